-- Rules that are paused, runs that are replayed, runs that are pruned; and a
-- sweep that sees every rule, however many runs of another one are due.

-- +goose Up

-- Of a paused rule runs are made and wait.
CREATE TABLE rule_pauses (
    graph bigint NOT NULL,
    at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    rule  text COLLATE "C" NOT NULL,
    by    text NOT NULL,
    PRIMARY KEY (graph, rule)
);

ALTER TABLE runs
    ADD COLUMN started_at timestamptz, -- of the first attempt
    ADD COLUMN replay     uuid;        -- of the replay that made it
ALTER TABLE rule_faults ADD COLUMN at timestamptz NOT NULL DEFAULT clock_timestamp();

-- What a rule has due is found rule by rule: a flood of one hides no other.
CREATE INDEX runs_due ON runs (graph, rule, kind, wake_at) WHERE wake_at IS NOT NULL;
DROP INDEX runs_wake;
CREATE INDEX runs_rule ON runs (graph, rule, version, id);
CREATE INDEX runs_rule_state ON runs (graph, rule, state, version) WHERE state <> 'succeeded';
CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX rule_faults_rule ON rule_faults (graph, rule, version);

-- runs_make makes runs and gives those that may start; see runs_dispatch for the
-- order of locks.
-- +goose StatementBegin
CREATE FUNCTION runs_make(p_graph bigint, p_node text, p_runs json) RETURNS TABLE (run uuid, rule text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    present timestamptz := clock_timestamp();
    made    uuid[];
BEGIN
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
            depth, entity_kind, event, state, kind, rule, graph_name, by, chain, error, replay)
        SELECT p_graph, n.version, n.schema_version, n.timeout_ms, present, CASE WHEN n.state = 'stopped' THEN present END,
            n.id, n.entity, n.retries, n.retries, n.depth, n.entity_kind, n.event, n.state, n.kind, n.rule, n.graph_name,
            n.by, n.chain, n.error, n.replay
        FROM json_to_recordset(p_runs) AS n(version bigint, schema_version bigint, timeout_ms bigint, id uuid, entity uuid,
            retries integer, depth integer, entity_kind smallint, event smallint, state text, kind text, rule text,
            graph_name text, by json, chain json, error json, replay uuid)
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
        RETURNING r.id, r.rule;
END
$$;
-- +goose StatementEnd

-- As before, with runs_make for the runs.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION runs_dispatch(
    p_graph bigint, p_node text, p_lease interval, p_from bigint, p_to bigint, p_epoch text, p_runs json, p_faults json
) RETURNS TABLE (moved boolean, epoch text, version bigint, holder text, until timestamptz, run uuid, rule text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    present timestamptz := clock_timestamp();
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
    IF p_runs IS NOT NULL THEN
        RETURN QUERY SELECT true, NULL::text, NULL::bigint, NULL::text, NULL::timestamptz, m.run, m.rule
            FROM runs_make(p_graph, p_node, p_runs) m;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION runs_dispatch(
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
DROP FUNCTION runs_make;
CREATE INDEX runs_wake ON runs (wake_at) WHERE wake_at IS NOT NULL;
DROP INDEX rule_faults_rule;
DROP INDEX runs_ended;
DROP INDEX runs_rule_state;
DROP INDEX runs_rule;
DROP INDEX runs_due;
ALTER TABLE rule_faults DROP COLUMN at;
ALTER TABLE runs DROP COLUMN replay, DROP COLUMN started_at;
DROP TABLE rule_pauses;
