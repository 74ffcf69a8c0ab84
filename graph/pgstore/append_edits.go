package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

// Most commits change one object that lives. Where all commits of an append do, one
// plain statement writes them; see shortcut.

// editFields is the number of fields of append_edit.
const editFields = 23

// edits reports whether prepareEdits's statement can be tried.
func edits(b *graph.Batch, p *plan) bool {
	if len(b.Commits) < 2 || len(p.rows) != len(b.Commits) {
		return false
	}
	at := b.Commits[0].At
	for i, c := range b.Commits {
		row := &p.rows[i]
		switch {
		case len(c.Changes) != 1, c.Changes[0].Ref.Kind != graph.KindObject, c.Changes[0].Event == graph.Created,
			row.look && (row.expect == expectNever || row.expect == expectDead),
			c.Fence != nil, !c.At.Equal(at), c.SchemaVer != b.Expect.SchemaVer:
			return false
		}
	}
	return true
}

const editsName = "append.edits"

// prepareEdits prepares the statement that takes editParams. It changes a row of
// objects for every object touched, or nothing at all.
//
// The update of the graph's row is the lock and the comparison, and all else hangs on
// it. The look-ups share its statement: where the row that was locked is at the version
// that the caller knows, nothing was committed since that the statement's snapshot
// lacks. That goes for the rows' places (ctid) too, which spare a second search; a
// place is one within its partition, so that the key has to hold as well, in words that
// no index fits: without statistics the plan would look through the graph instead.
// As to idle: see append_change_alone in the migrations.
func prepareEdits(ctx context.Context, conn *pgx.Conn) error {
	const sql = `
		-- name: append.edits
		WITH edit AS MATERIALIZED (
			SELECT e.*, $2::bigint + e.n AS version, p.ctid AS place,
				e.expect IS NULL OR (p.version IS NOT NULL AND NOT p.deleted AND (e.expect < 0 OR p.version = e.expect)) AS fits
			FROM unnest($8::append_edit[]) WITH ORDINALITY AS e(cause_version, depth, author, mutation, session, grp, note, cause, cause_run,
				hash, principals, asked, done, what, id, type, created_version, created_at, created_by, access, body, expect, last, n)
			LEFT JOIN LATERAL (
				SELECT o.ctid, o.version, o.deleted FROM objects o WHERE o.graph = $1::bigint AND o.id = e.id LIMIT 1
			) p ON true
		), head AS (
			UPDATE graphs g SET version = $2 + $5::bigint, at = $6::timestamptz, objects = g.objects + $7::bigint
			WHERE g.key = $1 AND g.name IS NOT NULL
				AND g.version = $2 AND g.epoch = $3::text AND g.schema_version = $4::bigint
				AND NOT EXISTS (SELECT FROM edit e WHERE NOT e.fits)
				AND NOT EXISTS (
					SELECT FROM edit e
					CROSS JOIN LATERAL (
						SELECT FROM commits k WHERE k.graph + 0 = $1 AND k.mutation = e.mutation AND k.author = e.author LIMIT 1
					) k)
				AND (g.idle = 0
					OR g.idle = (SELECT s.idle FROM graphs s WHERE s.key = $1) AND NOT EXISTS (
						SELECT FROM edit e
						CROSS JOIN LATERAL (
							SELECT FROM idle_keys k WHERE k.graph = $1 AND k.mutation = e.mutation AND k.author = e.author LIMIT 1
						) k))
			RETURNING g.key
		), logged AS (
			INSERT INTO commits (graph, version, at, schema_version, cause_version, depth, epoch, author, mutation,
				session, grp, note, cause, cause_run, hash, principals, asked, done)
			SELECT $1, e.version, $6, $4, e.cause_version, e.depth, $3, e.author, e.mutation,
				e.session, e.grp, e.note, e.cause, e.cause_run, e.hash, e.principals, e.asked, e.done
			FROM head, edit e
		), kept AS (
			INSERT INTO history (graph, version, created_version, at, created_at, ord, kind, what, id,
				type, by, created_by, access, body)
			SELECT $1, e.version, e.created_version, $6, e.created_at, 0, 0, e.what, e.id,
				e.type, e.author, e.created_by, e.access, e.body
			FROM head, edit e
		)
		UPDATE objects o SET version = e.version, at = $6, by = e.author, deleted = e.body IS NULL, access = e.access, body = e.body
		FROM head, edit e WHERE e.last AND o.ctid = e.place AND o.graph + 0 = $1 AND o.id = e.id`
	_, err := conn.Prepare(ctx, editsName, sql)
	return err
}

// editParams gives the parameters of append.edits in binary format.
func editParams(a *appendBuffers, conn *pgx.Conn, b *graph.Batch, p *plan) [][]byte {
	var e rowsEncoder
	e.begin(a.commits, conn.PgConn().CustomData()[oidEdit].(uint32), editFields)
	for i, c := range b.Commits {
		encodeEdit(&e, c, &p.rows[i])
	}
	a.commits = e.buf
	return [][]byte{
		int8Param(int64(b.Graph)), int8Param(int64(b.Expect.Version)), []byte(b.Expect.Epoch), int8Param(b.Expect.SchemaVer),
		int8Param(int64(len(b.Commits))), appendTime(nil, b.Commits[0].At), int8Param(p.delta[graph.KindObject]), e.end(),
	}
}

// encodeEdit writes a row of append_edit.
func encodeEdit(e *rowsEncoder, c *graph.Commit, row *planRow) {
	ch := &c.Changes[0]
	o, body := ch.ObjAfter, []byte(nil)
	if o == nil {
		o = ch.ObjBefore
	} else {
		body = o.Body
	}
	e.beginRow()
	encodeOrigin(e, c)
	e.int2(whatOf(ch))
	e.uuid(ch.Ref.ID)
	e.text(o.Type)
	e.int8(int64(o.Meta.CreatedVersion))
	e.time(o.Meta.CreatedAt)
	e.text(o.Meta.CreatedBy)
	e.json(o.Access.Raw)
	e.json(body)
	if row.look {
		e.int8(row.expect)
	} else {
		e.null(oidInt8)
	}
	e.bool(row.last)
	e.endRow()
}
