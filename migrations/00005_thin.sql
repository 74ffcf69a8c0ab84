-- History of types that keep a snapshot with every k-th version: what stands
-- between two snapshots is stored as what differs from the version before it.

-- +goose Up

-- A thinned row has no body but delta: the body of the entity's row before it,
-- without all but its first `head` and its last `tail` characters, and delta in
-- the place of what was left out. since counts such rows since the last body.
ALTER TABLE history
    ADD COLUMN head  integer,
    ADD COLUMN tail  integer,
    ADD COLUMN since integer NOT NULL DEFAULT 0,
    ADD COLUMN delta text;

-- How far the history of a type has been thinned.
CREATE TABLE history_thinned (
    graph   bigint NOT NULL,
    version bigint NOT NULL,
    type    text COLLATE "C" NOT NULL,
    PRIMARY KEY (graph, type)
) WITH (fillfactor = 50);

-- history_body gives the body of an entity's row, made from the last one that is
-- whole. It is STABLE: it reads by the snapshot of the statement that calls it.
-- +goose StatementBegin
CREATE FUNCTION history_body(p_graph bigint, p_kind smallint, p_id uuid, p_version bigint) RETURNS json
LANGUAGE plpgsql STABLE AS $$
DECLARE
    body text;
    r    record;
BEGIN
    FOR r IN
        SELECT h.body, h.head, h.tail, h.delta
        FROM history h
        WHERE h.graph = p_graph AND h.kind = p_kind AND h.id = p_id AND h.version <= p_version AND h.version >= (
            SELECT w.version FROM history w
            WHERE w.graph = p_graph AND w.kind = p_kind AND w.id = p_id AND w.version <= p_version AND w.delta IS NULL
            ORDER BY w.version DESC LIMIT 1)
        ORDER BY h.version
    LOOP
        body := CASE WHEN r.delta IS NULL THEN r.body::text
            ELSE left(body, r.head) || r.delta || CASE WHEN r.tail > 0 THEN right(body, r.tail) ELSE '' END END;
    END LOOP;
    RETURN body::json;
END
$$;
-- +goose StatementEnd

-- history_thin thins up to p_limit versions of a graph's history of one type,
-- those made before p_before, and gives how many versions it looked at: less
-- than p_limit once there are no more. Rows are taken in the order of versions,
-- so that the one before each has been dealt with. A row stays whole where it is
-- the p_every-th, where the one before it is gone, or where little is spared.
--
-- The lock keeps others from thinning, and from removing, at the same time; those
-- who remove share it.
-- +goose StatementBegin
CREATE FUNCTION history_thin(p_graph bigint, p_type text, p_every integer, p_before timestamptz, p_limit integer) RETURNS integer
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    seen  bigint;
    upto  bigint;
    r     record;
    p     record;
    old   text;
    new   text;
    lo    integer;
    hi    integer;
    mid   integer;
    h     integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7420, (p_graph % 2147483647)::integer) THEN
        RETURN 0;
    END IF;
    SELECT t.version INTO seen FROM history_thinned t WHERE t.graph = p_graph AND t.type = p_type;
    seen := coalesce(seen, 0);
    SELECT c.version INTO upto FROM commits c
    WHERE c.graph = p_graph AND c.version > seen AND c.version <= seen + p_limit AND c.at < p_before
    ORDER BY c.version DESC LIMIT 1;
    IF upto IS NULL THEN
        RETURN 0;
    END IF;
    FOR r IN
        SELECT n.version, n.ord, n.id, n.body::text AS body FROM history n
        WHERE n.graph = p_graph AND n.version > seen AND n.version <= upto
            AND n.kind = 0 AND n.type = p_type AND n.what & 3 = 2 AND n.delta IS NULL
        ORDER BY n.version, n.ord
    LOOP
        SELECT b.version, b.what, b.since, b.body, b.delta INTO p FROM history b
        WHERE b.graph = p_graph AND b.kind = 0 AND b.id = r.id AND b.version < r.version
        ORDER BY b.version DESC LIMIT 1;
        CONTINUE WHEN NOT FOUND OR p.what & 3 = 3 OR p.since + 1 >= p_every;
        new := r.body;
        old := CASE WHEN p.delta IS NULL THEN p.body::text ELSE history_body(p_graph, 0::smallint, r.id, p.version)::text END;
        -- The longest beginning that both have, and then the longest end.
        lo := 0; hi := least(length(old), length(new));
        WHILE lo < hi LOOP
            mid := (lo + hi + 1) / 2;
            IF left(old, mid) = left(new, mid) THEN lo := mid; ELSE hi := mid - 1; END IF;
        END LOOP;
        h := lo;
        lo := 0; hi := least(length(old), length(new)) - h;
        WHILE lo < hi LOOP
            mid := (lo + hi + 1) / 2;
            IF right(old, mid) = right(new, mid) THEN lo := mid; ELSE hi := mid - 1; END IF;
        END LOOP;
        CONTINUE WHEN length(new) - h - lo > length(new) / 2;
        UPDATE history n SET body = NULL, head = h, tail = lo, since = p.since + 1, delta = substr(new, h + 1, length(new) - h - lo)
        WHERE n.graph = p_graph AND n.version = r.version AND n.ord = r.ord;
    END LOOP;
    INSERT INTO history_thinned (graph, version, type) VALUES (p_graph, upto, p_type)
    ON CONFLICT (graph, type) DO UPDATE SET version = excluded.version;
    RETURN upto - seen;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION history_thin;
UPDATE history h SET body = history_body(h.graph, h.kind, h.id, h.version) WHERE h.delta IS NOT NULL;
DROP FUNCTION history_body;
DROP TABLE history_thinned;
ALTER TABLE history DROP COLUMN delta, DROP COLUMN since, DROP COLUMN tail, DROP COLUMN head;
