-- The change of a living object, which is what most lone writers send, in one
-- statement.

-- +goose Up

-- append_change_alone is append_object for an object that lives, where everything
-- is as the caller expects. It is false, and has written nothing, where anything
-- is not; append_object then says what. It takes about two thirds of the processor
-- time: the lock comes with the update of the graph's row, nothing is looked up for
-- a conflict, and a lone value needs no store for a set of rows.
--
-- The look-ups share the statement that locks: where the row that was locked is at
-- the version that the caller knows, nothing was committed since that the
-- statement's snapshot lacks.
-- +goose StatementBegin
CREATE FUNCTION append_change_alone(
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

-- +goose Down
DROP FUNCTION append_change_alone;
