-- A lane, the open runs of a rule for an entity, is looked up in the one index that
-- fits. Where the table was small when a connection planned, any index seemed as good
-- that has the rule or the version in whatever place, or holds open runs alone and so
-- can be read from end to end: each of a few hundred runs was then made by reading
-- all that waited, half a second for five hundred. So the lanes' index alone has what
-- is asked for: rule and version as expressions, and, for open, that a run has not ended.

-- +goose Up
DROP INDEX runs_lane;
CREATE INDEX runs_lane ON runs (entity, (rule || ''), kind, entity_kind, (version + 0), graph) WHERE ended_at IS NULL;
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
            WHERE r.graph + 0 = p_graph AND r.entity = n.entity AND r.rule || '' = n.rule AND r.kind = n.kind
                AND r.entity_kind = n.entity_kind AND r.ended_at IS NULL
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
                WHERE e.graph + 0 = p_graph AND e.entity = n.entity AND e.rule || '' = n.rule AND e.kind = n.kind
                    AND e.entity_kind = n.entity_kind AND e.version + 0 < n.version AND e.ended_at IS NULL
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
                    WHERE e.graph + 0 = p_graph AND e.entity = r.entity AND e.rule || '' = r.rule AND e.kind = r.kind
                        AND e.entity_kind = r.entity_kind AND e.version + 0 < r.version AND e.ended_at IS NULL
                    LIMIT 1) IS NULL
                OFFSET 0
            ) d
            WHERE r.graph = p_graph AND r.id = d.id
            RETURNING r.id, r.rule;
    END IF;
END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION runs_end(p_graph bigint, p_ends json) RETURNS TABLE (n integer, id uuid, rule text, attempt integer)
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
             WHERE n.graph + 0 = p_graph AND n.entity = r.entity AND n.rule || '' = r.rule AND n.kind = r.kind AND n.entity_kind = r.entity_kind
                AND n.ended_at IS NULL AND n.id <> r.id
             ORDER BY n.version + 0 LIMIT 1)
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
                WHERE n.graph + 0 = p_graph AND n.entity = e.entity AND n.rule || '' = e.rule AND n.kind = e.kind
                    AND n.entity_kind = e.entity_kind AND n.ended_at IS NULL
                ORDER BY n.version + 0 LIMIT 1
            ) n
        ) f
        WHERE r.graph = p_graph AND r.id = f.id AND r.state = 'pending'
        RETURNING NULL::integer, r.id, r.rule, r.attempt;
END
$$;
-- +goose StatementEnd

-- +goose Down
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
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION runs_end(p_graph bigint, p_ends json) RETURNS TABLE (n integer, id uuid, rule text, attempt integer)
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
