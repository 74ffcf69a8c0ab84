-- Runs are begun, ended and made many at a time; one that is asked to stop
-- remembers it.

-- +goose Up

-- When the attempt of an operation that was asked to stop is given up, if it
-- should be open for reports then.
ALTER TABLE runs ADD COLUMN stop_by timestamptz;

-- runs_end ends attempts: a JSON array of {n, run, attempt, state, delay, refund,
-- error, hops}, delay in milliseconds. An attempt that is not held any more is
-- left alone. The answer names those that ended by their n; its other rows, with
-- no n, are the runs of their lanes that may start now.
--
-- All that will be changed is locked first, by version and id, as runs_make does
-- it.
-- +goose StatementBegin
CREATE FUNCTION runs_end(p_graph bigint, p_ends json) RETURNS TABLE (n integer, id uuid, rule text, attempt integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    present timestamptz := clock_timestamp();
    ended   integer[];
    final   uuid[];
BEGIN
    PERFORM l.id
    FROM (
        SELECT DISTINCT o.version, o.id
        FROM json_to_recordset(p_ends) AS e(run uuid)
        CROSS JOIN LATERAL (SELECT * FROM runs r WHERE r.graph = p_graph AND r.id = e.run LIMIT 1) r
        CROSS JOIN LATERAL (
            SELECT r.version, r.id
            UNION ALL
            (SELECT n.version, n.id FROM runs n
             WHERE n.graph = p_graph AND n.entity = r.entity AND n.rule = r.rule AND n.kind = r.kind AND n.entity_kind = r.entity_kind
                AND n.state IN ('pending', 'running', 'retrying') AND n.id <> r.id
             ORDER BY n.version LIMIT 1)
        ) o
        ORDER BY o.version, o.id
    ) s
    CROSS JOIN LATERAL (SELECT r.id FROM runs r WHERE r.graph = p_graph AND r.id = s.id LIMIT 1 FOR NO KEY UPDATE) l;

    WITH asked AS (
        SELECT DISTINCT ON (e.run, e.attempt) e.*
        FROM json_to_recordset(p_ends) AS e(n integer, run uuid, attempt integer, state text, delay float8, refund boolean, error json)
        ORDER BY e.run, e.attempt, e.n
    ), done AS (
        UPDATE runs r SET
            state = e.state, error = e.error, open = false, token_hash = NULL,
            wake_at = CASE WHEN e.state = 'retrying' THEN present + e.delay * interval '1 millisecond' END,
            ended_at = CASE WHEN e.state <> 'retrying' THEN present END,
            retries_left = r.retries_left - CASE WHEN e.state = 'retrying' AND NOT e.refund THEN 1 ELSE 0 END
        FROM asked e
        WHERE r.graph = p_graph AND r.id = e.run AND r.state = 'running' AND r.attempt = e.attempt
        RETURNING e.n, r.id, e.state
    )
    SELECT array_agg(d.n), array_agg(d.id) FILTER (WHERE d.state <> 'retrying') INTO ended, final FROM done d;
    IF ended IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT e.n, NULL::uuid, NULL::text, NULL::integer FROM unnest(ended) AS e(n);

    INSERT INTO run_hops (graph, run, attempt, hop, node, version, request, answer, error)
    SELECT p_graph, e.run, e.attempt, h.hop, h.node, h.version, h.request, h.answer, h.error
    FROM json_to_recordset(p_ends) AS e(n integer, run uuid, attempt integer, hops json)
    CROSS JOIN LATERAL json_to_recordset(e.hops) AS h(hop text, node text, version bigint, request json, answer json, error json)
    WHERE e.n = ANY (ended);

    RETURN QUERY
        UPDATE runs r SET wake_at = clock_timestamp()
        FROM (
            SELECT DISTINCT n.id
            FROM unnest(final) AS f(id)
            CROSS JOIN LATERAL (SELECT * FROM runs r WHERE r.graph = p_graph AND r.id = f.id LIMIT 1) e
            CROSS JOIN LATERAL (
                SELECT n.id FROM runs n
                WHERE n.graph = p_graph AND n.entity = e.entity AND n.rule = e.rule AND n.kind = e.kind
                    AND n.entity_kind = e.entity_kind AND n.state IN ('pending', 'running', 'retrying')
                ORDER BY n.version LIMIT 1
            ) n
        ) f
        WHERE r.graph = p_graph AND r.id = f.id AND r.state = 'pending'
        RETURNING NULL::integer, r.id, r.rule, r.attempt;
END
$$;
-- +goose StatementEnd

-- As before, but what may start is made so, and not changed once more.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION runs_make(p_graph bigint, p_node text, p_runs json) RETURNS TABLE (run uuid, rule text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    present timestamptz := clock_timestamp();
    made    uuid[];
    due     uuid[];
    rest    uuid[];
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
        INSERT INTO runs (graph, version, schema_version, timeout_ms, created_at, ended_at, wake_at, id, entity, retries, retries_left,
            depth, entity_kind, event, state, kind, rule, graph_name, by, chain, error, replay)
        SELECT p_graph, n.version, n.schema_version, n.timeout_ms, present, CASE WHEN n.state = 'stopped' THEN present END,
            CASE WHEN n.state = 'pending' AND n.place = 1 AND NOT EXISTS (
                SELECT FROM runs e
                WHERE e.graph = p_graph AND e.entity = n.entity AND e.rule = n.rule AND e.kind = n.kind
                    AND e.entity_kind = n.entity_kind AND e.version < n.version AND e.state IN ('pending', 'running', 'retrying'))
                THEN present END,
            n.id, n.entity, n.retries, n.retries, n.depth, n.entity_kind, n.event, n.state, n.kind, n.rule, n.graph_name,
            n.by, n.chain, n.error, n.replay
        FROM (
            SELECT n.*, row_number() OVER (PARTITION BY n.entity, n.rule, n.kind, n.entity_kind, n.state ORDER BY n.version, n.id) AS place
            FROM json_to_recordset(p_runs) AS n(version bigint, schema_version bigint, timeout_ms bigint, id uuid, entity uuid,
                retries integer, depth integer, entity_kind smallint, event smallint, state text, kind text, rule text,
                graph_name text, by json, chain json, error json, replay uuid)
            WHERE NOT EXISTS (SELECT FROM runs r WHERE r.graph = p_graph AND r.id = n.id)
        ) n
        ON CONFLICT (graph, id) DO NOTHING
        RETURNING id, wake_at, state
    )
    SELECT array_agg(m.id), array_agg(m.id) FILTER (WHERE m.wake_at IS NOT NULL),
        array_agg(m.id) FILTER (WHERE m.wake_at IS NULL AND m.state = 'pending')
    INTO made, due, rest FROM made_now m;

    INSERT INTO run_hops (graph, run, attempt, hop, node)
    SELECT p_graph, m.id, 0, 'matched', p_node FROM unnest(made) AS m(id);
    INSERT INTO run_hops (graph, run, attempt, hop, node, error)
    SELECT p_graph, m.id, 0, 'stopped', p_node, r.error
    FROM unnest(made) AS m(id)
    CROSS JOIN LATERAL (SELECT r.error FROM runs r WHERE r.graph = p_graph AND r.id = m.id AND r.state = 'stopped') r;

    RETURN QUERY
        SELECT r.id, r.rule FROM unnest(due) AS d(id)
        CROSS JOIN LATERAL (SELECT r.id, r.rule, r.version FROM runs r WHERE r.graph = p_graph AND r.id = d.id LIMIT 1) r
        ORDER BY r.version, r.id;
    IF rest IS NOT NULL THEN
        -- What was first in its lane may have been made by another meanwhile, and
        -- have ended: then nobody wakes the next.
        RETURN QUERY
            UPDATE runs r SET wake_at = present
            WHERE r.graph = p_graph AND r.id = ANY (rest) AND r.state = 'pending' AND NOT EXISTS (
                SELECT FROM runs e
                WHERE e.graph = p_graph AND e.entity = r.entity AND e.rule = r.rule AND e.kind = r.kind
                    AND e.entity_kind = r.entity_kind AND e.version < r.version AND e.state IN ('pending', 'running', 'retrying'))
            RETURNING r.id, r.rule;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION runs_make(p_graph bigint, p_node text, p_runs json) RETURNS TABLE (run uuid, rule text)
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
DROP FUNCTION runs_end;
ALTER TABLE runs DROP COLUMN stop_by;
