-- What a commit fires is made without reading the runs that wait already: each
-- look is a probe of its own (see ARCHITECTURE.md, "Planner"). Joins read all
-- runs of the graph where the planner took them for few. The index of the lanes
-- begins with the entity, and the graph is compared as an expression: then no
-- other index fits. Without statistics each that begins with the graph looks as
-- good, and the shallowest was taken, which holds every run of the graph.

-- +goose Up
DROP INDEX runs_lane;
CREATE INDEX runs_lane ON runs (entity, rule, kind, entity_kind, version, graph)
    WHERE state IN ('pending', 'running', 'retrying');
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
    PERFORM l.id
    FROM (
        SELECT DISTINCT o.version, o.id
        FROM (
            SELECT DISTINCT n.entity, n.rule, n.kind, n.entity_kind
            FROM json_to_recordset(p_runs) AS n(entity uuid, rule text, kind text, entity_kind smallint)
        ) n
        CROSS JOIN LATERAL (
            SELECT r.version, r.id FROM runs r
            WHERE r.graph + 0 = p_graph AND r.entity = n.entity AND r.rule = n.rule AND r.kind = n.kind
                AND r.entity_kind = n.entity_kind AND r.state IN ('pending', 'running', 'retrying')
            OFFSET 0
        ) o
        ORDER BY o.version, o.id
    ) s
    CROSS JOIN LATERAL (SELECT r.id FROM runs r WHERE r.graph = p_graph AND r.id = s.id LIMIT 1 FOR NO KEY UPDATE) l;

    WITH made_now AS (
        INSERT INTO runs (graph, version, schema_version, timeout_ms, created_at, ended_at, wake_at, id, entity, retries, retries_left,
            depth, entity_kind, event, state, kind, rule, graph_name, by, chain, error, replay)
        SELECT p_graph, n.version, n.schema_version, n.timeout_ms, present, CASE WHEN n.state = 'stopped' THEN present END,
            CASE WHEN n.state = 'pending' AND n.place = 1 AND (
                SELECT e.id FROM runs e
                WHERE e.graph + 0 = p_graph AND e.entity = n.entity AND e.rule = n.rule AND e.kind = n.kind
                    AND e.entity_kind = n.entity_kind AND e.version < n.version AND e.state IN ('pending', 'running', 'retrying')
                LIMIT 1) IS NULL
                THEN present END,
            n.id, n.entity, n.retries, n.retries, n.depth, n.entity_kind, n.event, n.state, n.kind, n.rule, n.graph_name,
            n.by, n.chain, n.error, n.replay
        FROM (
            SELECT n.*, row_number() OVER (PARTITION BY n.entity, n.rule, n.kind, n.entity_kind, n.state ORDER BY n.version, n.id) AS place
            FROM json_to_recordset(p_runs) AS n(version bigint, schema_version bigint, timeout_ms bigint, id uuid, entity uuid,
                retries integer, depth integer, entity_kind smallint, event smallint, state text, kind text, rule text,
                graph_name text, by json, chain json, error json, replay uuid)
            WHERE (SELECT r.id FROM runs r WHERE r.graph = p_graph AND r.id = n.id LIMIT 1) IS NULL
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
            FROM (
                SELECT m.id FROM unnest(rest) AS m(id)
                CROSS JOIN LATERAL (SELECT r.* FROM runs r WHERE r.graph = p_graph AND r.id = m.id LIMIT 1) r
                WHERE (
                    SELECT e.id FROM runs e
                    WHERE e.graph + 0 = p_graph AND e.entity = r.entity AND e.rule = r.rule AND e.kind = r.kind
                        AND e.entity_kind = r.entity_kind AND e.version < r.version AND e.state IN ('pending', 'running', 'retrying')
                    LIMIT 1) IS NULL
                OFFSET 0
            ) d
            WHERE r.graph = p_graph AND r.id = d.id
            RETURNING r.id, r.rule;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP INDEX runs_lane;
CREATE INDEX runs_lane ON runs (graph, entity, rule, kind, entity_kind, version)
    WHERE state IN ('pending', 'running', 'retrying');
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
