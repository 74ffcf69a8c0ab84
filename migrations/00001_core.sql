-- The log and the states of graphs. Every table but the server's own begins its
-- key with the graph's number, so that it can be partitioned or distributed by
-- it, and no statement needs two graphs.

-- +goose Up

-- What belongs to the server as a whole: one row.
CREATE TABLE server (
    one             boolean PRIMARY KEY DEFAULT true CHECK (one),
    schema_version  bigint NOT NULL DEFAULT 0, -- the active one
    origin          text                       -- system identifier and timeline of the Postgres that was last seen
);
INSERT INTO server DEFAULT VALUES;

CREATE TABLE schemas (
    version bigint PRIMARY KEY,
    doc     bytea NOT NULL, -- as it was put
    at      timestamptz NOT NULL DEFAULT now()
);

-- One row a graph; it is the lock under which its log grows. Updated at each
-- append, in place, as no index names what changes: hence the room in its pages.
CREATE TABLE graphs (
    key            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version        bigint NOT NULL DEFAULT 0, -- the head
    schema_version bigint NOT NULL,
    objects        bigint NOT NULL DEFAULT 0,
    edges          bigint NOT NULL DEFAULT 0,
    floor          bigint NOT NULL DEFAULT 0, -- states and log below it cannot be had any more
    at             timestamptz,               -- of the head's commit
    created_at     timestamptz NOT NULL DEFAULT now(),
    dropped_at     timestamptz,
    epoch          text NOT NULL DEFAULT left(replace(gen_random_uuid()::text, '-', ''), 16),
    name           text COLLATE "C" UNIQUE,   -- none once it is dropped and waits for the purge
    CHECK ((name IS NULL) = (dropped_at IS NOT NULL))
) WITH (fillfactor = 20);
INSERT INTO graphs (name, schema_version) VALUES ('main', 0);

CREATE TABLE commits (
    graph          bigint NOT NULL,
    version        bigint NOT NULL,
    at             timestamptz NOT NULL,
    schema_version bigint NOT NULL,
    cause_version  bigint,
    depth          integer NOT NULL,
    epoch          text NOT NULL,
    author         text COLLATE "C" NOT NULL,
    mutation       text COLLATE "C" NOT NULL,
    session        text,
    grp            text,
    note           text,
    cause          text NOT NULL,
    cause_run      text,
    hash           bytea NOT NULL,
    principals     json NOT NULL,
    asked          json,
    done           json, -- none where it is what was asked
    PRIMARY KEY (graph, version)
);
-- The mutation first: a revert names it without its author.
CREATE UNIQUE INDEX commits_mutation ON commits (graph, mutation, author);
CREATE INDEX commits_group ON commits (graph, grp, version) WHERE grp IS NOT NULL;
CREATE INDEX commits_run ON commits (graph, cause_run, version) WHERE cause_run IS NOT NULL;
CREATE INDEX commits_caused ON commits (graph, cause_version, version) WHERE cause_version IS NOT NULL;

-- A row for each entity that a commit touched: its state after, or for a removal
-- what is needed to show and judge it.
CREATE TABLE history (
    graph           bigint NOT NULL,
    version         bigint NOT NULL,
    created_version bigint NOT NULL,
    at              timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    ord             integer NOT NULL,  -- place in the commit
    kind            smallint NOT NULL, -- 0 object, 1 edge
    what            smallint NOT NULL, -- 1 created, 2 modified, 3 deleted; + 4 access, + 8 body changed
    id              uuid NOT NULL,
    from_id         uuid,
    to_id           uuid,
    type            text COLLATE "C" NOT NULL, -- an edge's label
    by              text NOT NULL,
    created_by      text NOT NULL,
    access          json,
    body            json, -- none for a removal
    PRIMARY KEY (graph, version, ord)
);
CREATE INDEX history_entity ON history (graph, kind, id, version);

-- The present rows. A deleted entity keeps its row for ever: an id is taken once.
CREATE TABLE objects (
    graph           bigint NOT NULL,
    version         bigint NOT NULL,
    created_version bigint NOT NULL,
    at              timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    id              uuid NOT NULL,
    deleted         boolean NOT NULL,
    type            text COLLATE "C" NOT NULL,
    by              text NOT NULL,
    created_by      text NOT NULL,
    access          json,
    body            json,
    PRIMARY KEY (graph, id)
) WITH (fillfactor = 80);

CREATE TABLE edges (
    graph           bigint NOT NULL,
    version         bigint NOT NULL,
    created_version bigint NOT NULL,
    at              timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    id              uuid NOT NULL,
    from_id         uuid NOT NULL,
    to_id           uuid NOT NULL,
    deleted         boolean NOT NULL,
    label           text COLLATE "C" NOT NULL,
    by              text NOT NULL,
    created_by      text NOT NULL,
    body            json,
    PRIMARY KEY (graph, id)
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX edges_between ON edges (graph, from_id, to_id, label) WHERE NOT deleted;

-- lz4 where the server has it: at 100 KB a change costs a sixth of pglz's time.
-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE 'ALTER TABLE commits ALTER asked SET COMPRESSION lz4, ALTER done SET COMPRESSION lz4';
    EXECUTE 'ALTER TABLE history ALTER body SET COMPRESSION lz4, ALTER access SET COMPRESSION lz4';
    EXECUTE 'ALTER TABLE objects ALTER body SET COMPRESSION lz4, ALTER access SET COMPRESSION lz4';
    EXECUTE 'ALTER TABLE edges ALTER body SET COMPRESSION lz4';
EXCEPTION WHEN feature_not_supported OR syntax_error THEN
    NULL;
END
$$;
-- +goose StatementEnd

-- What append takes: the rows of commits and history, as the client sends them.
CREATE TYPE append_commit AS (
    at             timestamptz,
    schema_version bigint,
    cause_version  bigint,
    depth          integer,
    author         text,
    mutation       text,
    session        text,
    grp            text,
    note           text,
    cause          text,
    cause_run      text,
    hash           bytea,
    principals     json,
    asked          json,
    done           json,
    fence_run      uuid,
    fence_attempt  integer
);
CREATE TYPE append_change AS (
    commit          integer, -- index of its commit, from 1
    ord             integer,
    kind            smallint,
    what            smallint,
    id              uuid,
    from_id         uuid,
    to_id           uuid,
    type            text,
    at              timestamptz,
    by              text,
    created_version bigint,
    created_at      timestamptz,
    created_by      text,
    access          json,
    body            json,
    -- What the present row must be: none: not looked at (an earlier commit of the
    -- batch touches the entity); 0: there never was one; -1: it lives; -2: it
    -- was deleted; else it lives at that version.
    expect          bigint,
    free            boolean, -- the edge's triple must be free
    last            boolean  -- the last state of the entity in this batch
);
-- What append answers where it wrote nothing. kind 0: the head, the epoch or the
-- schema moved, and the columns tell where to; -1: there is no such graph; else
-- a hit, numbered as in graph.HitKind.
CREATE TYPE append_refusal AS (
    kind           integer,
    commit         integer, -- index from 1
    entity         smallint,
    id             uuid,
    version        bigint,
    hash           bytea,
    epoch          text,
    at             timestamptz,
    schema_version bigint
);

-- append_batch writes commits with the versions after p_version, or nothing. No
-- row in the answer is success.
--
-- It runs at Read Committed: each statement sees what was committed before it,
-- so what is read after the graph's row is locked is what the previous writer
-- left. Look-ups are LATERAL probes of an index for each row; a join over unnest
-- is planned on a guess of the array's length, and a wrong one reads the table.
-- Their LIMIT 1 keeps the planner from turning them into such a join.
-- +goose StatementBegin
CREATE FUNCTION append_batch(
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
    SELECT g.version, g.epoch, g.at, g.schema_version INTO head
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

-- append_object is append_batch for one commit that touches one object and has
-- no fence: what a lone writer sends. Plain values and two statements take half
-- the time of arrays.
--
-- The look-ups may share the statement that locks: if the head is where the
-- caller knows it to be, nothing was committed since that the statement's
-- snapshot lacks.
-- +goose StatementBegin
CREATE FUNCTION append_object(
    p_graph bigint, p_version bigint, p_epoch text, p_schema bigint, p_objects bigint,
    c_at timestamptz, c_schema_version bigint, c_cause_version bigint, c_depth integer, c_author text, c_mutation text,
    c_session text, c_grp text, c_note text, c_cause text, c_cause_run text, c_hash bytea, c_principals json, c_asked json, c_done json,
    h_what smallint, h_id uuid, h_type text, h_created_version bigint, h_created_at timestamptz, h_created_by text,
    h_access json, h_body json, h_expect bigint
) RETURNS SETOF append_refusal LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    r record;
    hit boolean := false;
BEGIN
    SELECT g.version, g.epoch, g.at, g.schema_version, k.version AS recorded, k.hash, o.version AS present, o.deleted INTO r
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

-- +goose Down
DROP FUNCTION append_object;
DROP FUNCTION append_batch;
DROP TYPE append_refusal;
DROP TYPE append_change;
DROP TYPE append_commit;
DROP TABLE edges;
DROP TABLE objects;
DROP TABLE history;
DROP TABLE commits;
DROP TABLE graphs;
DROP TABLE schemas;
DROP TABLE server;
