-- Post-processing: how far each log has been matched, the runs that came of it,
-- and every step of their way. All but the sweep and the gauges, which look for
-- work wherever it is, names one graph a statement.

-- +goose Up

-- Updated once a batch of commits at the most, in place.
CREATE TABLE run_cursors (
    graph   bigint PRIMARY KEY,
    version bigint NOT NULL, -- matched up to here
    until   timestamptz NOT NULL,
    epoch   text NOT NULL,
    holder  text NOT NULL    -- the node that may move it until then
) WITH (fillfactor = 20);

CREATE TABLE runs (
    graph          bigint NOT NULL,
    version        bigint NOT NULL, -- of the commit that fired it
    schema_version bigint NOT NULL,
    timeout_ms     bigint NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at       timestamptz,
    -- When somebody has to look: due, or the end of the lease. None: it has
    -- ended, or an earlier run of its lane goes first.
    wake_at        timestamptz,
    deadline       timestamptz,
    id             uuid NOT NULL,
    entity         uuid NOT NULL,
    attempt        integer NOT NULL DEFAULT 0,
    retries        integer NOT NULL,
    retries_left   integer NOT NULL,
    depth          integer NOT NULL,
    entity_kind    smallint NOT NULL, -- 0 object, 1 edge
    event          smallint NOT NULL, -- 1 created, 2 modified, 3 deleted
    open           boolean NOT NULL DEFAULT false,
    state          text COLLATE "C" NOT NULL,
    kind           text COLLATE "C" NOT NULL,
    rule           text COLLATE "C" NOT NULL,
    graph_name     text NOT NULL,
    node           text,
    token_hash     bytea,
    by             json NOT NULL,
    chain          json NOT NULL,
    error          json,
    PRIMARY KEY (graph, id),
    CHECK (state IN ('pending', 'running', 'retrying', 'succeeded', 'dead', 'cancelled', 'stopped'))
) WITH (fillfactor = 80);
-- A lane: the runs of one rule and entity, which go one after the other.
CREATE INDEX runs_lane ON runs (graph, entity, rule, kind, entity_kind, version)
    WHERE state IN ('pending', 'running', 'retrying');
CREATE INDEX runs_wake ON runs (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX runs_version ON runs (graph, version, id);
CREATE INDEX runs_state ON runs (graph, state, version, id) WHERE state <> 'succeeded';

CREATE TABLE run_hops (
    graph   bigint NOT NULL,
    seq     bigint GENERATED ALWAYS AS IDENTITY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    version bigint,
    run     uuid NOT NULL,
    attempt integer NOT NULL,
    hop     text COLLATE "C" NOT NULL,
    node    text,
    request json,
    answer  json,
    error   json,
    PRIMARY KEY (graph, run, seq)
);

-- Conditions that could not be evaluated: their rules did not match.
CREATE TABLE rule_faults (
    graph   bigint NOT NULL,
    version bigint NOT NULL,
    entity  uuid NOT NULL,
    rule    text COLLATE "C" NOT NULL,
    error   text NOT NULL,
    PRIMARY KEY (graph, version, rule, entity)
);

-- runs_dispatch moves the cursor and makes the runs, or does nothing. The first
-- row of the answer is the cursor as it is then, and whether it was moved; the
-- others are the runs that may start.
--
-- A lane's open runs are locked before the look whether there are any: a run
-- that ends meanwhile has either been seen as ended, or waits for us and then
-- sees, and wakes, what we made. All who lock several runs of a graph do so by
-- version and id.
-- +goose StatementBegin
CREATE FUNCTION runs_dispatch(
    p_graph bigint, p_node text, p_lease interval, p_from bigint, p_to bigint, p_epoch text, p_runs json, p_faults json
) RETURNS TABLE (moved boolean, epoch text, version bigint, holder text, until timestamptz, run uuid, rule text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    present timestamptz := clock_timestamp();
    made    uuid[];
BEGIN
    INSERT INTO run_cursors AS c (graph, version, until, epoch, holder)
    SELECT p_graph, p_to, present + p_lease, p_epoch, p_node
    WHERE p_from = 0 OR EXISTS (SELECT FROM run_cursors o WHERE o.graph = p_graph)
    ON CONFLICT (graph) DO UPDATE
        SET version = excluded.version, until = excluded.until, epoch = excluded.epoch, holder = excluded.holder
        WHERE c.version = p_from AND (c.holder = p_node OR c.until <= present);
    IF NOT FOUND THEN
        RETURN QUERY SELECT false, c.epoch, c.version, c.holder, c.until, NULL::uuid, NULL::text FROM run_cursors c WHERE c.graph = p_graph;
        RETURN;
    END IF;
    RETURN QUERY SELECT true, p_epoch, p_to, p_node, present + p_lease, NULL::uuid, NULL::text;

    IF p_faults IS NOT NULL THEN
        INSERT INTO rule_faults (graph, version, entity, rule, error)
        SELECT p_graph, f.version, f.entity, f.rule, f.error
        FROM json_to_recordset(p_faults) AS f(version bigint, entity uuid, rule text, error text)
        ON CONFLICT DO NOTHING;
    END IF;
    IF p_runs IS NULL THEN
        RETURN;
    END IF;

    PERFORM r.id
    FROM (
        SELECT DISTINCT n.entity, n.rule, n.kind, n.entity_kind
        FROM json_to_recordset(p_runs) AS n(entity uuid, rule text, kind text, entity_kind smallint)
    ) n
    JOIN runs r ON r.graph = p_graph AND r.entity = n.entity AND r.rule = n.rule AND r.kind = n.kind
        AND r.entity_kind = n.entity_kind AND r.state IN ('pending', 'running', 'retrying')
    ORDER BY r.version, r.id
    FOR NO KEY UPDATE OF r;

    WITH made_now AS (
        INSERT INTO runs (graph, version, schema_version, timeout_ms, created_at, ended_at, id, entity, retries, retries_left,
            depth, entity_kind, event, state, kind, rule, graph_name, by, chain, error)
        SELECT p_graph, n.version, n.schema_version, n.timeout_ms, present, CASE WHEN n.state = 'stopped' THEN present END,
            n.id, n.entity, n.retries, n.retries, n.depth, n.entity_kind, n.event, n.state, n.kind, n.rule, n.graph_name,
            n.by, n.chain, n.error
        FROM json_to_recordset(p_runs) AS n(version bigint, schema_version bigint, timeout_ms bigint, id uuid, entity uuid,
            retries integer, depth integer, entity_kind smallint, event smallint, state text, kind text, rule text,
            graph_name text, by json, chain json, error json)
        ON CONFLICT (graph, id) DO NOTHING
        RETURNING id
    )
    SELECT array_agg(id) INTO made FROM made_now;

    INSERT INTO run_hops (graph, run, attempt, hop, node)
    SELECT p_graph, m.id, 0, 'matched', p_node FROM unnest(made) AS m(id);
    INSERT INTO run_hops (graph, run, attempt, hop, node, error)
    SELECT p_graph, m.id, 0, 'stopped', p_node, r.error
    FROM unnest(made) AS m(id)
    CROSS JOIN LATERAL (SELECT r.error FROM runs r WHERE r.graph = p_graph AND r.id = m.id AND r.state = 'stopped') r;

    RETURN QUERY
        UPDATE runs r SET wake_at = present
        WHERE r.graph = p_graph AND r.id = ANY (made) AND r.state = 'pending' AND NOT EXISTS (
            SELECT FROM runs e
            WHERE e.graph = p_graph AND e.entity = r.entity AND e.rule = r.rule AND e.kind = r.kind
                AND e.entity_kind = r.entity_kind AND e.version < r.version AND e.state IN ('pending', 'running', 'retrying'))
        RETURNING true, NULL::text, NULL::bigint, NULL::text, NULL::timestamptz, r.id, r.rule;
END
$$;
-- +goose StatementEnd

-- run_end ends the attempt p_attempt of a run, or, where p_attempt is none, the
-- run whatever it does: no row where it is not held, or has ended. The first row
-- is the run itself, a second one the run of its lane that may start now.
-- +goose StatementBegin
CREATE FUNCTION run_end(
    p_graph bigint, p_run uuid, p_attempt integer, p_state text, p_delay interval, p_refund boolean, p_error json, p_hops json
) RETURNS TABLE (id uuid, rule text, attempt integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    present timestamptz := clock_timestamp();
    ended   record;
BEGIN
    UPDATE runs r SET
        state = p_state, error = p_error, open = false, token_hash = NULL,
        wake_at = CASE WHEN p_state = 'retrying' THEN present + p_delay END,
        ended_at = CASE WHEN p_state <> 'retrying' THEN present END,
        retries_left = r.retries_left - CASE WHEN p_state = 'retrying' AND NOT p_refund THEN 1 ELSE 0 END
    WHERE r.graph = p_graph AND r.id = p_run AND CASE
        WHEN p_attempt IS NULL THEN r.state IN ('pending', 'running', 'retrying')
        ELSE r.state = 'running' AND r.attempt = p_attempt
    END
    RETURNING r.* INTO ended;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT ended.id, ended.rule, ended.attempt;
    INSERT INTO run_hops (graph, run, attempt, hop, node, version, request, answer, error)
    SELECT p_graph, p_run, ended.attempt, h.hop, h.node, h.version, h.request, h.answer, h.error
    FROM json_to_recordset(p_hops) AS h(hop text, node text, version bigint, request json, answer json, error json);
    IF p_state = 'retrying' THEN
        RETURN;
    END IF;
    RETURN QUERY
        UPDATE runs r SET wake_at = clock_timestamp()
        WHERE r.graph = p_graph AND r.state = 'pending' AND r.id = (
            SELECT n.id FROM runs n
            WHERE n.graph = p_graph AND n.entity = ended.entity AND n.rule = ended.rule AND n.kind = ended.kind
                AND n.entity_kind = ended.entity_kind AND n.state IN ('pending', 'running', 'retrying')
            ORDER BY n.version LIMIT 1)
        RETURNING r.id, r.rule, r.attempt;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION run_end;
DROP FUNCTION runs_dispatch;
DROP TABLE rule_faults;
DROP TABLE run_hops;
DROP TABLE runs;
DROP TABLE run_cursors;
