package pgstore

import (
	"context"
	"encoding/binary"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

// lone reports whether append_object can take the batch: one commit that touches
// one object.
func lone(b *graph.Batch) bool {
	return len(b.Commits) == 1 && len(b.Commits[0].Changes) == 1 &&
		b.Commits[0].Changes[0].Ref.Kind == graph.KindObject && b.Commits[0].Fence == nil
}

// changesOne reports whether prepareChange's statement can be tried: one commit that touches
// one object, which lived before.
func changesOne(b *graph.Batch, p *plan) bool {
	return lone(b) && p.rows[0].expect != expectNever && p.rows[0].expect != expectDead
}

const changeName = "append.change"

// prepareChange prepares the statement that takes loneParams for an object that
// lives. It changes the object's row, or nothing at all.
//
// Each table that a statement may look into costs as much at its start as the looking
// does, whether or not it comes to that: the object is found once, by its key, and
// again by the place of its row (which is one within its partition, so that the key
// has to hold as well); the keys of transactions without effect are asked of a
// function. As to the look-ups sharing the statement, see prepareEdits. o.deleted is
// asked for in words that no partial index has.
func prepareChange(ctx context.Context, conn *pgx.Conn) error {
	const sql = `
		-- name: append.change
		WITH head AS (
			UPDATE graphs g SET version = $2::bigint + 1, at = $6, objects = g.objects + $5::bigint
			FROM objects o
			WHERE g.key = $1::bigint AND g.name IS NOT NULL
				AND g.version = $2 AND g.epoch = $3::text AND g.schema_version = $4::bigint
				AND NOT EXISTS (SELECT FROM commits k WHERE k.graph + 0 = $1 AND k.mutation = $11 AND k.author = $10)
				AND (g.idle = 0 OR NOT is_idle_key($1, $11, $10))
				AND o.graph = $1 AND o.id = $22::uuid AND o.deleted IS NOT TRUE AND ($29::bigint < 0 OR o.version = $29)
			RETURNING o.ctid AS place
		), logged AS (
			INSERT INTO commits (graph, version, at, schema_version, cause_version, depth, epoch, author, mutation,
				session, grp, note, cause, cause_run, hash, principals, asked, done)
			SELECT $1, $2 + 1, $6, $7, $8, $9, $3, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20
			FROM head
		), kept AS (
			INSERT INTO history (graph, version, created_version, at, created_at, ord, kind, what, id,
				type, by, created_by, access, body)
			SELECT $1, $2 + 1, $24, $6, $25, 0, 0, $21, $22, $23, $10, $26, $27, $28
			FROM head
		)
		UPDATE objects o SET version = $2 + 1, at = $6, by = $10, deleted = $28::json IS NULL, access = $27, body = $28
		FROM head WHERE o.ctid = head.place AND o.graph + 0 = $1 AND o.id = $22`
	_, err := conn.Prepare(ctx, changeName, sql)
	return err
}

// prepareLone prepares the call of append_object, which takes loneParams: for an
// object that is created or restored, and to say what was not as expected.
func prepareLone(ctx context.Context, conn *pgx.Conn) (name string, err error) {
	const sql = `
		-- name: append.object
		SELECT kind, commit, entity, id, version, hash, epoch, at, schema_version
		FROM append_object($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
			$21, $22, $23, $24, $25, $26, $27, $28, $29)`
	_, err = conn.Prepare(ctx, "append.object", sql)
	return "append.object", err
}

// loneParams gives the parameters of append_object in binary format.
func loneParams(_ *appendBuffers, _ *pgx.Conn, b *graph.Batch, p *plan) [][]byte {
	c := b.Commits[0]
	ch := &c.Changes[0]
	o, body := ch.ObjAfter, []byte(nil)
	if o == nil {
		o = ch.ObjBefore
	} else {
		body = o.Body
	}
	done := []byte(c.Done)
	if string(c.Done) == string(c.Asked) {
		done = nil
	}
	return [][]byte{
		int8Param(int64(b.Graph)), int8Param(int64(b.Expect.Version)), []byte(b.Expect.Epoch), int8Param(b.Expect.SchemaVer), int8Param(p.delta[graph.KindObject]),
		appendTime(nil, c.At), int8Param(c.SchemaVer), causeParam(c.Cause.Version), int4Param(int32(c.Depth)), []byte(c.Author.User), []byte(c.Mutation),
		textParam(c.Session), textParam(c.Group), textParam(c.Note), []byte(c.Cause.Kind), textParam(c.Cause.Run), hashParam(c.Hash),
		appendPrincipals(nil, &c.Author), jsonParam(c.Asked), jsonParam(done),
		binary.BigEndian.AppendUint16(nil, uint16(whatOf(ch))), ch.Ref.ID[:], []byte(o.Type),
		int8Param(int64(o.Meta.CreatedVersion)), appendTime(nil, o.Meta.CreatedAt), []byte(o.Meta.CreatedBy),
		jsonParam(o.Access.Raw), jsonParam(body), int8Param(p.rows[0].expect),
	}
}

// Parameters in binary format; nil is null.

func int8Param(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }
func int4Param(v int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(v)) }

func causeParam(v graph.Version) []byte {
	if v <= 0 {
		return nil
	}
	return int8Param(int64(v))
}

func textParam(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

func jsonParam(text []byte) []byte {
	if len(text) == 0 {
		return nil
	}
	return text
}

func hashParam(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
