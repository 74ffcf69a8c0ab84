-- What an append takes of which every commit changes one object that lives; and look-ups
-- of keys that find their one row whatever the planner knows.

-- +goose Up

-- A commit that changes, or removes, one object that lives. What all commits of
-- an append have in common, its time and the schema, is not in it.
CREATE TYPE append_edit AS (
    cause_version   bigint,
    depth           integer,
    author          text,
    mutation        text,
    session         text,
    grp             text,
    note            text,
    cause           text,
    cause_run       text,
    hash            bytea,
    principals      json,
    asked           json,
    done            json,
    what            smallint,
    id              uuid,
    type            text,
    created_version bigint,
    created_at      timestamptz,
    created_by      text,
    access          json,
    body            json,
    expect          bigint, -- as in append_change: -1 or a version, or none
    last            boolean -- the last state of the object in this append
);

-- A key is looked for with every commit. Without statistics, and the first plan that a
-- connection makes is kept, every index that begins with the graph looks as good as
-- another; the smallest was taken, commits_pkey, and with it the whole log was read for
-- each commit, until autovacuum came by. So the key's index begins with the key, and
-- who looks for a key hides the graph (graph + 0) from all other indexes.
DROP INDEX commits_mutation;
CREATE UNIQUE INDEX commits_mutation ON commits (mutation, author, graph);

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION remember_idle(
    p_graph bigint, p_version bigint,
    p_authors text[], p_mutations text[], p_hashes bytea[], p_causes text[], p_runs uuid[], p_attempts integer[]
) RETURNS TABLE (author text, mutation text, version bigint, hash bytea) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    kept bigint;
BEGIN
    PERFORM FROM graphs g WHERE g.key = p_graph AND g.name IS NOT NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT NULL::text, NULL::text, NULL::bigint, NULL::bytea;
        RETURN;
    END IF;
    RETURN QUERY
        SELECT k.author, k.mutation, r.version, r.hash
        FROM unnest(p_authors, p_mutations) k(author, mutation)
        CROSS JOIN LATERAL (
            SELECT c.version, c.hash FROM commits c WHERE c.graph + 0 = p_graph AND c.mutation = k.mutation AND c.author = k.author
            UNION ALL
            SELECT i.version, i.hash FROM idle_keys i WHERE i.graph = p_graph AND i.mutation = k.mutation AND i.author = k.author
            LIMIT 1
        ) r;
    INSERT INTO idle_keys (graph, version, mutation, author, cause, hash)
    SELECT p_graph, p_version, k.mutation, k.author, k.cause, k.hash
    FROM unnest(p_authors, p_mutations, p_hashes, p_causes, p_runs, p_attempts) k(author, mutation, hash, cause, run, attempt)
    WHERE NOT EXISTS (SELECT FROM commits c WHERE c.graph + 0 = p_graph AND c.mutation = k.mutation AND c.author = k.author)
        AND (k.run IS NULL OR EXISTS (
            SELECT FROM runs r WHERE r.graph = p_graph AND r.id = k.run AND r.state = 'running' AND r.attempt = k.attempt))
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS kept = ROW_COUNT;
    IF kept > 0 THEN
        UPDATE graphs g SET idle = g.idle + kept WHERE g.key = p_graph;
    END IF;
END
$$;
-- +goose StatementEnd

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

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION append_object(
    p_graph bigint, p_version bigint, p_epoch text, p_schema bigint, p_objects bigint,
    c_at timestamptz, c_schema_version bigint, c_cause_version bigint, c_depth integer, c_author text, c_mutation text,
    c_session text, c_grp text, c_note text, c_cause text, c_cause_run text, c_hash bytea, c_principals json, c_asked json, c_done json,
    h_what smallint, h_id uuid, h_type text, h_created_version bigint, h_created_at timestamptz, h_created_by text,
    h_access json, h_body json, h_expect bigint
) RETURNS SETOF append_refusal LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    r record;
    k record;
    hit boolean := false;
BEGIN
    SELECT g.version, g.epoch, g.at, g.schema_version, g.idle, k.version AS recorded, k.hash, o.version AS present, o.deleted INTO r
    FROM graphs g
    LEFT JOIN LATERAL (
        SELECT k.version, k.hash FROM commits k
        WHERE k.graph + 0 = p_graph AND k.mutation = c_mutation AND k.author = c_author
        LIMIT 1
    ) k ON true
    LEFT JOIN LATERAL (
        SELECT o.version, o.deleted FROM objects o WHERE o.graph = p_graph AND o.id = h_id LIMIT 1
    ) o ON true
    WHERE g.key = p_graph AND g.name IS NOT NULL
    FOR NO KEY UPDATE OF g;
    IF NOT FOUND THEN
        RETURN NEXT (-1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::append_refusal;
        RETURN;
    END IF;
    IF r.version <> p_version OR r.epoch <> p_epoch OR r.schema_version <> p_schema THEN
        RETURN NEXT (0, NULL, NULL, NULL, r.version, NULL, r.epoch, r.at, r.schema_version)::append_refusal;
        RETURN;
    END IF;
    IF r.recorded IS NOT NULL THEN
        RETURN NEXT (1, 1, NULL, NULL, r.recorded, r.hash, NULL, NULL, NULL)::append_refusal;
        hit := true;
    ELSIF r.idle > 0 THEN
        SELECT i.version, i.hash INTO k FROM idle_keys i
        WHERE i.graph = p_graph AND i.mutation = c_mutation AND i.author = c_author;
        IF FOUND THEN
            RETURN NEXT (1, 1, NULL, NULL, k.version, k.hash, NULL, NULL, NULL)::append_refusal;
            hit := true;
        END IF;
    END IF;
    IF (CASE
        WHEN h_expect = 0 THEN r.present IS NOT NULL
        WHEN h_expect = -2 THEN r.deleted IS NOT TRUE
        ELSE r.present IS NULL OR r.deleted OR (h_expect > 0 AND r.present <> h_expect)
    END) THEN
        RETURN NEXT (CASE WHEN h_expect IN (0, -2) THEN 2 ELSE 6 END, 1, 0, h_id, NULL, NULL, NULL, NULL, NULL)::append_refusal;
        hit := true;
    END IF;
    IF hit THEN
        RETURN;
    END IF;

    WITH logged AS (
        INSERT INTO commits (graph, version, at, schema_version, cause_version, depth, epoch, author, mutation,
            session, grp, note, cause, cause_run, hash, principals, asked, done)
        VALUES (p_graph, p_version + 1, c_at, c_schema_version, c_cause_version, c_depth, p_epoch, c_author, c_mutation,
            c_session, c_grp, c_note, c_cause, c_cause_run, c_hash, c_principals, c_asked, c_done)
    ), kept AS (
        INSERT INTO history (graph, version, created_version, at, created_at, ord, kind, what, id,
            type, by, created_by, access, body)
        VALUES (p_graph, p_version + 1, h_created_version, c_at, h_created_at, 0, 0, h_what, h_id,
            h_type, c_author, h_created_by, h_access, h_body)
    ), present AS (
        INSERT INTO objects AS o (graph, version, created_version, at, created_at, id, deleted, type, by, created_by, access, body)
        VALUES (p_graph, p_version + 1, h_created_version, c_at, h_created_at, h_id, h_body IS NULL, h_type, c_author, h_created_by, h_access, h_body)
        ON CONFLICT (graph, id) DO UPDATE SET version = excluded.version, at = excluded.at, by = excluded.by,
            deleted = excluded.deleted, access = excluded.access, body = excluded.body
    )
    UPDATE graphs g SET version = p_version + 1, at = c_at, objects = g.objects + p_objects
    WHERE g.key = p_graph;
END
$$;
-- +goose StatementEnd

-- Nodes of before call it; those of now send the statement that it consists of.
-- Whether the object lives is asked of its one row: as a condition it would bring in
-- objects_of_type, and with that all objects of the graph.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION append_change_alone(
    p_graph bigint, p_version bigint, p_epoch text, p_schema bigint, p_objects bigint,
    c_at timestamptz, c_schema_version bigint, c_cause_version bigint, c_depth integer, c_author text, c_mutation text,
    c_session text, c_grp text, c_note text, c_cause text, c_cause_run text, c_hash bytea, c_principals json, c_asked json, c_done json,
    h_what smallint, h_id uuid, h_type text, h_created_version bigint, h_created_at timestamptz, h_created_by text,
    h_access json, h_body json, h_expect bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    WITH head AS (
        UPDATE graphs g SET version = p_version + 1, at = c_at, objects = g.objects + p_objects
        WHERE g.key = p_graph AND g.name IS NOT NULL
            AND g.version = p_version AND g.epoch = p_epoch AND g.schema_version = p_schema
            AND NOT EXISTS (SELECT FROM commits k WHERE k.graph + 0 = p_graph AND k.mutation = c_mutation AND k.author = c_author)
            AND (g.idle = 0
                OR g.idle = (SELECT s.idle FROM graphs s WHERE s.key = p_graph)
                    AND NOT EXISTS (SELECT FROM idle_keys k WHERE k.graph = p_graph AND k.mutation = c_mutation AND k.author = c_author))
            AND (SELECT NOT o.deleted AND (h_expect < 0 OR o.version = h_expect) FROM objects o WHERE o.graph = p_graph AND o.id = h_id)
        RETURNING g.key
    ), logged AS (
        INSERT INTO commits (graph, version, at, schema_version, cause_version, depth, epoch, author, mutation,
            session, grp, note, cause, cause_run, hash, principals, asked, done)
        SELECT p_graph, p_version + 1, c_at, c_schema_version, c_cause_version, c_depth, p_epoch, c_author, c_mutation,
            c_session, c_grp, c_note, c_cause, c_cause_run, c_hash, c_principals, c_asked, c_done
        FROM head
    ), kept AS (
        INSERT INTO history (graph, version, created_version, at, created_at, ord, kind, what, id,
            type, by, created_by, access, body)
        SELECT p_graph, p_version + 1, h_created_version, c_at, h_created_at, 0, 0, h_what, h_id,
            h_type, c_author, h_created_by, h_access, h_body
        FROM head
    )
    UPDATE objects o SET version = p_version + 1, at = c_at, by = c_author, deleted = h_body IS NULL, access = h_access, body = h_body
    FROM head WHERE o.graph = p_graph AND o.id = h_id;
    RETURN FOUND;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION remember_idle(
    p_graph bigint, p_version bigint,
    p_authors text[], p_mutations text[], p_hashes bytea[], p_causes text[], p_runs uuid[], p_attempts integer[]
) RETURNS TABLE (author text, mutation text, version bigint, hash bytea) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    kept bigint;
BEGIN
    PERFORM FROM graphs g WHERE g.key = p_graph AND g.name IS NOT NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT NULL::text, NULL::text, NULL::bigint, NULL::bytea;
        RETURN;
    END IF;
    RETURN QUERY
        SELECT k.author, k.mutation, r.version, r.hash
        FROM unnest(p_authors, p_mutations) k(author, mutation)
        CROSS JOIN LATERAL (
            SELECT c.version, c.hash FROM commits c WHERE c.graph = p_graph AND c.mutation = k.mutation AND c.author = k.author
            UNION ALL
            SELECT i.version, i.hash FROM idle_keys i WHERE i.graph = p_graph AND i.mutation = k.mutation AND i.author = k.author
            LIMIT 1
        ) r;
    INSERT INTO idle_keys (graph, version, mutation, author, cause, hash)
    SELECT p_graph, p_version, k.mutation, k.author, k.cause, k.hash
    FROM unnest(p_authors, p_mutations, p_hashes, p_causes, p_runs, p_attempts) k(author, mutation, hash, cause, run, attempt)
    WHERE NOT EXISTS (SELECT FROM commits c WHERE c.graph = p_graph AND c.mutation = k.mutation AND c.author = k.author)
        AND (k.run IS NULL OR EXISTS (
            SELECT FROM runs r WHERE r.graph = p_graph AND r.id = k.run AND r.state = 'running' AND r.attempt = k.attempt))
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS kept = ROW_COUNT;
    IF kept > 0 THEN
        UPDATE graphs g SET idle = g.idle + kept WHERE g.key = p_graph;
    END IF;
END
$$;
-- +goose StatementEnd
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
            WHERE k.graph = p_graph AND k.mutation = c.mutation AND k.author = c.author
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
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION append_object(
    p_graph bigint, p_version bigint, p_epoch text, p_schema bigint, p_objects bigint,
    c_at timestamptz, c_schema_version bigint, c_cause_version bigint, c_depth integer, c_author text, c_mutation text,
    c_session text, c_grp text, c_note text, c_cause text, c_cause_run text, c_hash bytea, c_principals json, c_asked json, c_done json,
    h_what smallint, h_id uuid, h_type text, h_created_version bigint, h_created_at timestamptz, h_created_by text,
    h_access json, h_body json, h_expect bigint
) RETURNS SETOF append_refusal LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    r record;
    k record;
    hit boolean := false;
BEGIN
    SELECT g.version, g.epoch, g.at, g.schema_version, g.idle, k.version AS recorded, k.hash, o.version AS present, o.deleted INTO r
    FROM graphs g
    LEFT JOIN LATERAL (
        SELECT k.version, k.hash FROM commits k
        WHERE k.graph = p_graph AND k.mutation = c_mutation AND k.author = c_author
        LIMIT 1
    ) k ON true
    LEFT JOIN LATERAL (
        SELECT o.version, o.deleted FROM objects o WHERE o.graph = p_graph AND o.id = h_id LIMIT 1
    ) o ON true
    WHERE g.key = p_graph AND g.name IS NOT NULL
    FOR NO KEY UPDATE OF g;
    IF NOT FOUND THEN
        RETURN NEXT (-1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::append_refusal;
        RETURN;
    END IF;
    IF r.version <> p_version OR r.epoch <> p_epoch OR r.schema_version <> p_schema THEN
        RETURN NEXT (0, NULL, NULL, NULL, r.version, NULL, r.epoch, r.at, r.schema_version)::append_refusal;
        RETURN;
    END IF;
    IF r.recorded IS NOT NULL THEN
        RETURN NEXT (1, 1, NULL, NULL, r.recorded, r.hash, NULL, NULL, NULL)::append_refusal;
        hit := true;
    ELSIF r.idle > 0 THEN
        SELECT i.version, i.hash INTO k FROM idle_keys i
        WHERE i.graph = p_graph AND i.mutation = c_mutation AND i.author = c_author;
        IF FOUND THEN
            RETURN NEXT (1, 1, NULL, NULL, k.version, k.hash, NULL, NULL, NULL)::append_refusal;
            hit := true;
        END IF;
    END IF;
    IF (CASE
        WHEN h_expect = 0 THEN r.present IS NOT NULL
        WHEN h_expect = -2 THEN r.deleted IS NOT TRUE
        ELSE r.present IS NULL OR r.deleted OR (h_expect > 0 AND r.present <> h_expect)
    END) THEN
        RETURN NEXT (CASE WHEN h_expect IN (0, -2) THEN 2 ELSE 6 END, 1, 0, h_id, NULL, NULL, NULL, NULL, NULL)::append_refusal;
        hit := true;
    END IF;
    IF hit THEN
        RETURN;
    END IF;

    WITH logged AS (
        INSERT INTO commits (graph, version, at, schema_version, cause_version, depth, epoch, author, mutation,
            session, grp, note, cause, cause_run, hash, principals, asked, done)
        VALUES (p_graph, p_version + 1, c_at, c_schema_version, c_cause_version, c_depth, p_epoch, c_author, c_mutation,
            c_session, c_grp, c_note, c_cause, c_cause_run, c_hash, c_principals, c_asked, c_done)
    ), kept AS (
        INSERT INTO history (graph, version, created_version, at, created_at, ord, kind, what, id,
            type, by, created_by, access, body)
        VALUES (p_graph, p_version + 1, h_created_version, c_at, h_created_at, 0, 0, h_what, h_id,
            h_type, c_author, h_created_by, h_access, h_body)
    ), present AS (
        INSERT INTO objects AS o (graph, version, created_version, at, created_at, id, deleted, type, by, created_by, access, body)
        VALUES (p_graph, p_version + 1, h_created_version, c_at, h_created_at, h_id, h_body IS NULL, h_type, c_author, h_created_by, h_access, h_body)
        ON CONFLICT (graph, id) DO UPDATE SET version = excluded.version, at = excluded.at, by = excluded.by,
            deleted = excluded.deleted, access = excluded.access, body = excluded.body
    )
    UPDATE graphs g SET version = p_version + 1, at = c_at, objects = g.objects + p_objects
    WHERE g.key = p_graph;
END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION append_change_alone(
    p_graph bigint, p_version bigint, p_epoch text, p_schema bigint, p_objects bigint,
    c_at timestamptz, c_schema_version bigint, c_cause_version bigint, c_depth integer, c_author text, c_mutation text,
    c_session text, c_grp text, c_note text, c_cause text, c_cause_run text, c_hash bytea, c_principals json, c_asked json, c_done json,
    h_what smallint, h_id uuid, h_type text, h_created_version bigint, h_created_at timestamptz, h_created_by text,
    h_access json, h_body json, h_expect bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    WITH head AS (
        UPDATE graphs g SET version = p_version + 1, at = c_at, objects = g.objects + p_objects
        WHERE g.key = p_graph AND g.name IS NOT NULL
            AND g.version = p_version AND g.epoch = p_epoch AND g.schema_version = p_schema
            AND NOT EXISTS (SELECT FROM commits k WHERE k.graph = p_graph AND k.mutation = c_mutation AND k.author = c_author)
            AND (g.idle = 0
                OR g.idle = (SELECT s.idle FROM graphs s WHERE s.key = p_graph)
                    AND NOT EXISTS (SELECT FROM idle_keys k WHERE k.graph = p_graph AND k.mutation = c_mutation AND k.author = c_author))
            AND EXISTS (SELECT FROM objects o WHERE o.graph = p_graph AND o.id = h_id AND NOT o.deleted AND (h_expect < 0 OR o.version = h_expect))
        RETURNING g.key
    ), logged AS (
        INSERT INTO commits (graph, version, at, schema_version, cause_version, depth, epoch, author, mutation,
            session, grp, note, cause, cause_run, hash, principals, asked, done)
        SELECT p_graph, p_version + 1, c_at, c_schema_version, c_cause_version, c_depth, p_epoch, c_author, c_mutation,
            c_session, c_grp, c_note, c_cause, c_cause_run, c_hash, c_principals, c_asked, c_done
        FROM head
    ), kept AS (
        INSERT INTO history (graph, version, created_version, at, created_at, ord, kind, what, id,
            type, by, created_by, access, body)
        SELECT p_graph, p_version + 1, h_created_version, c_at, h_created_at, 0, 0, h_what, h_id,
            h_type, c_author, h_created_by, h_access, h_body
        FROM head
    )
    UPDATE objects o SET version = p_version + 1, at = c_at, by = c_author, deleted = h_body IS NULL, access = h_access, body = h_body
    FROM head WHERE o.graph = p_graph AND o.id = h_id;
    RETURN FOUND;
END
$$;
-- +goose StatementEnd
DROP INDEX commits_mutation;
CREATE UNIQUE INDEX commits_mutation ON commits (graph, mutation, author);
DROP TYPE append_edit;
