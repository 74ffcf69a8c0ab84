-- Appends lock the runs of their fences in the order in which all others lock runs.

-- +goose Up

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION append_batch(
    p_graph bigint, p_version bigint, p_epoch text, p_schema bigint, -- what the head must be
    p_count bigint, p_at timestamptz,   -- number of commits, time of the last
    p_objects bigint, p_edges bigint,   -- how many more there are; none: no object, no edge is touched
    p_fenced boolean,                   -- some commit has a fence
    p_commits append_commit[], p_changes append_change[]
) RETURNS SETOF append_refusal LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    head record;
    hit  boolean := false;
BEGIN
    SELECT g.version, g.epoch, g.at, g.schema_version, g.idle INTO head
    FROM graphs g WHERE g.key = p_graph AND g.name IS NOT NULL
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT -1, NULL::integer, NULL::smallint, NULL::uuid, NULL::bigint, NULL::bytea, NULL::text, NULL::timestamptz, NULL::bigint;
        RETURN;
    END IF;
    IF head.version <> p_version OR head.epoch <> p_epoch OR head.schema_version <> p_schema THEN
        RETURN QUERY SELECT 0, NULL::integer, NULL::smallint, NULL::uuid, head.version, NULL::bytea, head.epoch, head.at, head.schema_version;
        RETURN;
    END IF;

    RETURN QUERY
        SELECT 1, c.n::integer, NULL::smallint, NULL::uuid, k.version, k.hash, NULL::text, NULL::timestamptz, NULL::bigint
        FROM unnest(p_commits) WITH ORDINALITY AS c(at, schema_version, cause_version, depth, author, mutation, session, grp, note, cause, cause_run, hash, principals, asked, done, fence_run, fence_attempt, n)
        CROSS JOIN LATERAL (
            SELECT k.version, k.hash FROM commits k
            WHERE k.graph + 0 = p_graph AND k.mutation = c.mutation AND k.author = c.author
            LIMIT 1
        ) k;
    hit := FOUND;
    IF head.idle > 0 THEN
        RETURN QUERY
            SELECT 1, c.n::integer, NULL::smallint, NULL::uuid, k.version, k.hash, NULL::text, NULL::timestamptz, NULL::bigint
            FROM unnest(p_commits) WITH ORDINALITY AS c(at, schema_version, cause_version, depth, author, mutation, session, grp, note, cause, cause_run, hash, principals, asked, done, fence_run, fence_attempt, n)
            CROSS JOIN LATERAL (
                SELECT k.version, k.hash FROM idle_keys k
                WHERE k.graph = p_graph AND k.mutation = c.mutation AND k.author = c.author
                LIMIT 1
            ) k;
        hit := hit OR FOUND;
    END IF;
    RETURN QUERY
        SELECT CASE WHEN h.expect NOT IN (0, -2) THEN 6 ELSE 2 + h.kind END, h.commit, h.kind, h.id, NULL::bigint, NULL::bytea, NULL::text, NULL::timestamptz, NULL::bigint
        FROM unnest(p_changes) h
        LEFT JOIN LATERAL (
            SELECT o.version, o.deleted FROM objects o WHERE h.kind = 0 AND o.graph = p_graph AND o.id = h.id
            UNION ALL
            SELECT e.version, e.deleted FROM edges e WHERE h.kind = 1 AND e.graph = p_graph AND e.id = h.id
            LIMIT 1
        ) o ON true
        WHERE CASE
            WHEN h.expect IS NULL THEN false
            WHEN h.expect = 0 THEN o.version IS NOT NULL
            WHEN h.expect = -2 THEN o.deleted IS NOT TRUE
            ELSE o.version IS NULL OR o.deleted OR (h.expect > 0 AND o.version <> h.expect)
        END;
    hit := hit OR FOUND;
    IF p_edges IS NOT NULL THEN
        RETURN QUERY
            SELECT 4, h.commit, h.kind, h.id, NULL::bigint, NULL::bytea, NULL::text, NULL::timestamptz, NULL::bigint
            FROM unnest(p_changes) h
            CROSS JOIN LATERAL (
                SELECT FROM edges e
                WHERE e.graph = p_graph AND e.from_id = h.from_id AND e.to_id = h.to_id AND e.label = h.type AND NOT e.deleted
                LIMIT 1
            ) e
            WHERE h.free;
        hit := hit OR FOUND;
    END IF;
    IF p_fenced THEN
        -- The runs' rows stay locked until we commit: nobody takes a run over between
        -- this look and our write. They are locked by version and id, as by everybody
        -- who locks several: whatever order the commits have, nobody waits in a circle.
        RETURN QUERY
            SELECT 5, c.n::integer, NULL::smallint, NULL::uuid, NULL::bigint, NULL::bytea, NULL::text, NULL::timestamptz, NULL::bigint
            FROM (
                SELECT c.n, c.fence_run, c.fence_attempt
                FROM unnest(p_commits) WITH ORDINALITY AS c(at, schema_version, cause_version, depth, author, mutation, session, grp, note, cause, cause_run, hash, principals, asked, done, fence_run, fence_attempt, n)
                LEFT JOIN LATERAL (SELECT r.version FROM runs r WHERE r.graph = p_graph AND r.id = c.fence_run LIMIT 1) r ON true
                WHERE c.fence_run IS NOT NULL
                ORDER BY r.version, c.fence_run
            ) c
            LEFT JOIN LATERAL (
                SELECT r.state, r.attempt FROM runs r WHERE r.graph = p_graph AND r.id = c.fence_run LIMIT 1 FOR SHARE
            ) r ON true
            WHERE r.state IS DISTINCT FROM 'running' OR r.attempt <> c.fence_attempt;
        hit := hit OR FOUND;
    END IF;
    IF hit THEN
        RETURN;
    END IF;

    INSERT INTO commits (graph, version, at, schema_version, cause_version, depth, epoch, author, mutation,
        session, grp, note, cause, cause_run, hash, principals, asked, done)
    SELECT p_graph, p_version + c.n, c.at, c.schema_version, c.cause_version, c.depth, p_epoch, c.author, c.mutation,
        c.session, c.grp, c.note, c.cause, c.cause_run, c.hash, c.principals, c.asked, c.done
    FROM unnest(p_commits) WITH ORDINALITY AS c(at, schema_version, cause_version, depth, author, mutation, session, grp, note, cause, cause_run, hash, principals, asked, done, fence_run, fence_attempt, n);

    INSERT INTO history (graph, version, created_version, at, created_at, ord, kind, what, id, from_id, to_id,
        type, by, created_by, access, body)
    SELECT p_graph, p_version + h.commit, h.created_version, h.at, h.created_at, h.ord, h.kind, h.what, h.id, h.from_id, h.to_id,
        h.type, h.by, h.created_by, h.access, h.body
    FROM unnest(p_changes) h;

    IF p_objects IS NOT NULL THEN
        INSERT INTO objects AS o (graph, version, created_version, at, created_at, id, deleted, type, by, created_by, access, body)
        SELECT p_graph, p_version + h.commit, h.created_version, h.at, h.created_at, h.id, h.body IS NULL, h.type, h.by, h.created_by, h.access, h.body
        FROM unnest(p_changes) h WHERE h.last AND h.kind = 0
        ON CONFLICT (graph, id) DO UPDATE SET version = excluded.version, at = excluded.at, by = excluded.by,
            deleted = excluded.deleted, access = excluded.access, body = excluded.body;
    END IF;

    IF p_edges IS NOT NULL THEN
        -- Removals first: they free the triples that others take.
        INSERT INTO edges AS e (graph, version, created_version, at, created_at, id, from_id, to_id, deleted, label, by, created_by, body)
        SELECT p_graph, p_version + h.commit, h.created_version, h.at, h.created_at, h.id, h.from_id, h.to_id, h.body IS NULL, h.type, h.by, h.created_by, h.body
        FROM unnest(p_changes) h WHERE h.last AND h.kind = 1
        ORDER BY h.body IS NOT NULL
        ON CONFLICT (graph, id) DO UPDATE SET version = excluded.version, at = excluded.at, by = excluded.by,
            deleted = excluded.deleted, body = excluded.body;
    END IF;

    UPDATE graphs g SET
        version = p_version + p_count,
        at = p_at,
        objects = g.objects + coalesce(p_objects, 0),
        edges = g.edges + coalesce(p_edges, 0)
    WHERE g.key = p_graph;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION append_batch(
    p_graph bigint, p_version bigint, p_epoch text, p_schema bigint, -- what the head must be
    p_count bigint, p_at timestamptz,   -- number of commits, time of the last
    p_objects bigint, p_edges bigint,   -- how many more there are; none: no object, no edge is touched
    p_fenced boolean,                   -- some commit has a fence
    p_commits append_commit[], p_changes append_change[]
) RETURNS SETOF append_refusal LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    head record;
    hit  boolean := false;
BEGIN
    SELECT g.version, g.epoch, g.at, g.schema_version, g.idle INTO head
    FROM graphs g WHERE g.key = p_graph AND g.name IS NOT NULL
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT -1, NULL::integer, NULL::smallint, NULL::uuid, NULL::bigint, NULL::bytea, NULL::text, NULL::timestamptz, NULL::bigint;
        RETURN;
    END IF;
    IF head.version <> p_version OR head.epoch <> p_epoch OR head.schema_version <> p_schema THEN
        RETURN QUERY SELECT 0, NULL::integer, NULL::smallint, NULL::uuid, head.version, NULL::bytea, head.epoch, head.at, head.schema_version;
        RETURN;
    END IF;

    RETURN QUERY
        SELECT 1, c.n::integer, NULL::smallint, NULL::uuid, k.version, k.hash, NULL::text, NULL::timestamptz, NULL::bigint
        FROM unnest(p_commits) WITH ORDINALITY AS c(at, schema_version, cause_version, depth, author, mutation, session, grp, note, cause, cause_run, hash, principals, asked, done, fence_run, fence_attempt, n)
        CROSS JOIN LATERAL (
            SELECT k.version, k.hash FROM commits k
            WHERE k.graph + 0 = p_graph AND k.mutation = c.mutation AND k.author = c.author
            LIMIT 1
        ) k;
    hit := FOUND;
    IF head.idle > 0 THEN
        RETURN QUERY
            SELECT 1, c.n::integer, NULL::smallint, NULL::uuid, k.version, k.hash, NULL::text, NULL::timestamptz, NULL::bigint
            FROM unnest(p_commits) WITH ORDINALITY AS c(at, schema_version, cause_version, depth, author, mutation, session, grp, note, cause, cause_run, hash, principals, asked, done, fence_run, fence_attempt, n)
            CROSS JOIN LATERAL (
                SELECT k.version, k.hash FROM idle_keys k
                WHERE k.graph = p_graph AND k.mutation = c.mutation AND k.author = c.author
                LIMIT 1
            ) k;
        hit := hit OR FOUND;
    END IF;
    RETURN QUERY
        SELECT CASE WHEN h.expect NOT IN (0, -2) THEN 6 ELSE 2 + h.kind END, h.commit, h.kind, h.id, NULL::bigint, NULL::bytea, NULL::text, NULL::timestamptz, NULL::bigint
        FROM unnest(p_changes) h
        LEFT JOIN LATERAL (
            SELECT o.version, o.deleted FROM objects o WHERE h.kind = 0 AND o.graph = p_graph AND o.id = h.id
            UNION ALL
            SELECT e.version, e.deleted FROM edges e WHERE h.kind = 1 AND e.graph = p_graph AND e.id = h.id
            LIMIT 1
        ) o ON true
        WHERE CASE
            WHEN h.expect IS NULL THEN false
            WHEN h.expect = 0 THEN o.version IS NOT NULL
            WHEN h.expect = -2 THEN o.deleted IS NOT TRUE
            ELSE o.version IS NULL OR o.deleted OR (h.expect > 0 AND o.version <> h.expect)
        END;
    hit := hit OR FOUND;
    IF p_edges IS NOT NULL THEN
        RETURN QUERY
            SELECT 4, h.commit, h.kind, h.id, NULL::bigint, NULL::bytea, NULL::text, NULL::timestamptz, NULL::bigint
            FROM unnest(p_changes) h
            CROSS JOIN LATERAL (
                SELECT FROM edges e
                WHERE e.graph = p_graph AND e.from_id = h.from_id AND e.to_id = h.to_id AND e.label = h.type AND NOT e.deleted
                LIMIT 1
            ) e
            WHERE h.free;
        hit := hit OR FOUND;
    END IF;
    IF p_fenced THEN
        -- The run's row stays locked until we commit: nobody takes the run over
        -- between this look and our write.
        RETURN QUERY
            SELECT 5, c.n::integer, NULL::smallint, NULL::uuid, NULL::bigint, NULL::bytea, NULL::text, NULL::timestamptz, NULL::bigint
            FROM unnest(p_commits) WITH ORDINALITY AS c(at, schema_version, cause_version, depth, author, mutation, session, grp, note, cause, cause_run, hash, principals, asked, done, fence_run, fence_attempt, n)
            LEFT JOIN LATERAL (
                SELECT r.attempt FROM runs r
                WHERE r.graph = p_graph AND r.id = c.fence_run AND r.state = 'running' AND r.attempt = c.fence_attempt
                LIMIT 1 FOR SHARE
            ) r ON true
            WHERE c.fence_run IS NOT NULL AND r.attempt IS NULL;
        hit := hit OR FOUND;
    END IF;
    IF hit THEN
        RETURN;
    END IF;

    INSERT INTO commits (graph, version, at, schema_version, cause_version, depth, epoch, author, mutation,
        session, grp, note, cause, cause_run, hash, principals, asked, done)
    SELECT p_graph, p_version + c.n, c.at, c.schema_version, c.cause_version, c.depth, p_epoch, c.author, c.mutation,
        c.session, c.grp, c.note, c.cause, c.cause_run, c.hash, c.principals, c.asked, c.done
    FROM unnest(p_commits) WITH ORDINALITY AS c(at, schema_version, cause_version, depth, author, mutation, session, grp, note, cause, cause_run, hash, principals, asked, done, fence_run, fence_attempt, n);

    INSERT INTO history (graph, version, created_version, at, created_at, ord, kind, what, id, from_id, to_id,
        type, by, created_by, access, body)
    SELECT p_graph, p_version + h.commit, h.created_version, h.at, h.created_at, h.ord, h.kind, h.what, h.id, h.from_id, h.to_id,
        h.type, h.by, h.created_by, h.access, h.body
    FROM unnest(p_changes) h;

    IF p_objects IS NOT NULL THEN
        INSERT INTO objects AS o (graph, version, created_version, at, created_at, id, deleted, type, by, created_by, access, body)
        SELECT p_graph, p_version + h.commit, h.created_version, h.at, h.created_at, h.id, h.body IS NULL, h.type, h.by, h.created_by, h.access, h.body
        FROM unnest(p_changes) h WHERE h.last AND h.kind = 0
        ON CONFLICT (graph, id) DO UPDATE SET version = excluded.version, at = excluded.at, by = excluded.by,
            deleted = excluded.deleted, access = excluded.access, body = excluded.body;
    END IF;

    IF p_edges IS NOT NULL THEN
        -- Removals first: they free the triples that others take.
        INSERT INTO edges AS e (graph, version, created_version, at, created_at, id, from_id, to_id, deleted, label, by, created_by, body)
        SELECT p_graph, p_version + h.commit, h.created_version, h.at, h.created_at, h.id, h.from_id, h.to_id, h.body IS NULL, h.type, h.by, h.created_by, h.body
        FROM unnest(p_changes) h WHERE h.last AND h.kind = 1
        ORDER BY h.body IS NOT NULL
        ON CONFLICT (graph, id) DO UPDATE SET version = excluded.version, at = excluded.at, by = excluded.by,
            deleted = excluded.deleted, body = excluded.body;
    END IF;

    UPDATE graphs g SET
        version = p_version + p_count,
        at = p_at,
        objects = g.objects + coalesce(p_objects, 0),
        edges = g.edges + coalesce(p_edges, 0)
    WHERE g.key = p_graph;
END
$$;
-- +goose StatementEnd
