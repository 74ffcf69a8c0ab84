package pgstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/sabotage"
)

// appendTimeout ends the waiting for an append's answer in a transaction that is open.
// The database has given up on it long before (statement_timeout); this is for a
// network that is gone.
const appendTimeout = 20 * time.Second

// Append writes all commits or none, in one round trip. CodeUnavailable leaves
// the outcome unknown: the commits may be in the log, and their mutation keys
// tell.
func (s *Store) Append(ctx context.Context, b *graph.Batch) (graph.AppendResult, error) {
	if err := b.Check(); err != nil {
		return graph.AppendResult{}, err
	}
	conn, err := s.acquire(ctx)
	if err != nil {
		return graph.AppendResult{}, err
	}
	defer conn.Release()
	defer s.bury(conn)
	// From here on the caller's context has no say: ending it would close the
	// connection in the middle of a commit. A network that is gone ends the
	// connection (see silence): a context of its own would cost a lone write more
	// than the encoding of it.
	return appendOn(context.Background(), conn.Conn(), b)
}

// appendOn appends on a connection, in a transaction of its own unless one is
// open.
func appendOn(ctx context.Context, conn *pgx.Conn, b *graph.Batch) (graph.AppendResult, error) {
	p := buildPlan(b)
	if len(p.hits) > 0 {
		return graph.AppendResult{Hits: sortHits(p.hits)}, nil
	}
	for _, quick := range shortcuts {
		if !quick.fits(b, p) {
			continue
		}
		if done, err := quick.append(ctx, conn, b, p); done || err != nil {
			return graph.AppendResult{}, failedAppend(b, err)
		}
	}
	res, err := appendWhole(ctx, conn, b, p)
	return res, failedAppend(b, err)
}

// failedAppend is failed for a batch.
func failedAppend(b *graph.Batch, err error) error {
	if err == nil {
		return nil
	}
	return failed(fmt.Sprintf("append %d commits to graph %d", len(b.Commits), b.Graph), err)
}

// appendWhole appends with the function that provides for everything, and says what
// stands in the way.
func appendWhole(ctx context.Context, conn *pgx.Conn, b *graph.Batch, p *plan) (graph.AppendResult, error) {
	prepare, params := prepareBatch, batchParams
	if lone(b) {
		prepare, params = prepareLone, loneParams
	}
	name, err := prepare(ctx, conn)
	if err != nil {
		return graph.AppendResult{}, err
	}
	bufs := buffers.Get().(*appendBuffers)
	defer buffers.Put(bufs) // the parameters are copied as they are sent
	res := conn.PgConn().ExecPrepared(ctx, name, params(bufs, conn, b, p), allBinary, allBinary)
	refused, err := pgx.CollectRows(pgx.RowsFromResultReader(conn.TypeMap(), res), pgx.RowToStructByPos[refusal])
	if err != nil {
		return graph.AppendResult{}, err
	}
	return answer(refused)
}

// prepareBatch prepares the call of append_batch, which takes batchParams.
func prepareBatch(ctx context.Context, conn *pgx.Conn) (name string, err error) {
	const sql = `
		-- name: append
		SELECT kind, commit, entity, id, version, hash, epoch, at, schema_version
		FROM append_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	_, err = conn.Prepare(ctx, "append", sql)
	return "append", err
}

// refusal is one row of append_batch's answer.
type refusal struct {
	Kind    int32
	Commit  *int32
	Entity  *int16
	ID      *[16]byte
	Version *int64
	Hash    []byte
	Epoch   *string
	At      *time.Time
	Schema  *int64
}

// The kinds of refusal that are not hits.
const (
	refusedMoved = 0
	refusedGone  = -1
)

func answer(rows []refusal) (graph.AppendResult, error) {
	var out graph.AppendResult
	for _, r := range rows {
		switch r.Kind {
		case refusedGone:
			return out, graph.NotFound("graph")
		case refusedMoved:
			out.Moved = true
			out.Head = graph.Head{Version: graph.Version(*r.Version), Epoch: *r.Epoch, SchemaVer: *r.Schema}
			if r.At != nil {
				out.Head.At = r.At.UTC()
			}
			return out, nil
		}
		h := graph.Hit{Commit: int(*r.Commit) - 1, Kind: graph.HitKind(r.Kind), Hash: r.Hash}
		if r.ID != nil {
			h.Ref = graph.Ref{Kind: graph.EntityKind(*r.Entity), ID: *r.ID}
		}
		if r.Version != nil {
			h.Version = graph.Version(*r.Version)
		}
		out.Hits = append(out.Hits, h)
	}
	out.Hits = sortHits(out.Hits)
	return out, nil
}

func sortHits(hits []graph.Hit) []graph.Hit {
	slices.SortStableFunc(hits, func(a, b graph.Hit) int {
		return cmp.Or(cmp.Compare(a.Commit, b.Commit), cmp.Compare(a.Kind, b.Kind))
	})
	return hits
}

// appendBuffers are what one append encodes into; kept, as they grow large.
type appendBuffers struct {
	commits, changes []byte
}

var buffers = sync.Pool{New: func() any { return new(appendBuffers) }}

// allBinary says that every parameter or column is in binary format.
var allBinary = []int16{pgx.BinaryFormatCode}

const (
	commitFields = 17
	changeFields = 18
)

// batchParams gives the parameters of append_batch in binary format.
func batchParams(a *appendBuffers, conn *pgx.Conn, b *graph.Batch, p *plan) [][]byte {
	data := conn.PgConn().CustomData()

	var e rowsEncoder
	e.begin(a.commits, data[oidCommit].(uint32), commitFields)
	fenced := false
	for _, c := range b.Commits {
		fenced = encodeCommit(&e, c) || fenced
	}
	a.commits = e.buf
	commits := e.end()

	e.begin(a.changes, data[oidChange].(uint32), changeFields)
	for i, c := range b.Commits {
		for j := range c.Changes {
			if sabotage.On(sabotage.LoseChange) && j > 0 && j == len(c.Changes)-1 && c.Changes[j].Event == graph.Modified {
				continue
			}
			encodeChange(&e, c, &c.Changes[j], i, j, &p.rows[p.first[i]+j])
		}
	}
	a.changes = e.buf
	changes := e.end()

	last := b.Commits[len(b.Commits)-1]
	count := func(k graph.EntityKind) []byte {
		if !p.touched[k] {
			return nil
		}
		return int8Param(p.delta[k])
	}
	return [][]byte{
		int8Param(int64(b.Graph)), int8Param(int64(b.Expect.Version)), []byte(b.Expect.Epoch), int8Param(b.Expect.SchemaVer),
		int8Param(int64(len(b.Commits))), appendTime(nil, last.At),
		count(graph.KindObject), count(graph.KindEdge),
		appendBool(nil, fenced), commits, changes,
	}
}

// encodeCommit writes a row of append_commit and reports whether it has a fence.
func encodeCommit(e *rowsEncoder, c *graph.Commit) (fenced bool) {
	e.beginRow()
	e.time(c.At)
	e.int8(c.SchemaVer)
	encodeOrigin(e, c)
	if c.Fence == nil {
		e.null(oidUUID)
		e.null(oidInt4)
	} else {
		// A run that has no UUID is no run: the zero one is never made.
		run, _ := graph.ParseObjectID(c.Fence.Run)
		e.uuid(run)
		e.int4(int32(c.Fence.Attempt))
	}
	e.endRow()
	return c.Fence != nil
}

// encodeOrigin writes what append_commit and append_edit say alike of whence a commit
// came: the fields from cause_version to done.
func encodeOrigin(e *rowsEncoder, c *graph.Commit) {
	if c.Cause.Version > 0 {
		e.int8(int64(c.Cause.Version))
	} else {
		e.null(oidInt8)
	}
	e.int4(int32(c.Depth))
	e.text(c.Author.User)
	e.text(c.Mutation)
	e.textOrNull(c.Session)
	e.textOrNull(c.Group)
	e.textOrNull(c.Note)
	e.text(string(c.Cause.Kind))
	e.textOrNull(c.Cause.Run)
	e.bytes(c.Hash)
	e.json(appendPrincipals(nil, &c.Author))
	e.json(c.Asked)
	if string(c.Done) == string(c.Asked) {
		e.null(oidJSON)
	} else {
		e.json(c.Done)
	}
}

// encodeChange writes a row of append_change.
func encodeChange(e *rowsEncoder, c *graph.Commit, ch *graph.Change, commit, ord int, row *planRow) {
	e.beginRow()
	e.int4(int32(commit) + 1)
	e.int4(int32(ord))
	e.int2(int16(ch.Ref.Kind))
	e.int2(whatOf(ch))
	e.uuid(ch.Ref.ID)
	var meta *graph.Meta
	var access, body []byte
	if ch.Ref.Kind == graph.KindObject {
		o := ch.ObjAfter
		if o == nil {
			o = ch.ObjBefore
		} else {
			body = o.Body
		}
		e.null(oidUUID)
		e.null(oidUUID)
		e.text(o.Type)
		meta, access = &o.Meta, o.Access.Raw
	} else {
		d := ch.EdgeAfter
		if d == nil {
			d = ch.EdgeBefore
		} else {
			body = d.Body
		}
		e.uuid(d.From)
		e.uuid(d.To)
		e.text(d.Label)
		meta = &d.Meta
	}
	e.time(c.At)
	e.text(c.Author.User)
	e.int8(int64(meta.CreatedVersion))
	e.time(meta.CreatedAt)
	e.text(meta.CreatedBy)
	e.json(access)
	e.json(body)
	if row.look {
		e.int8(row.expect)
	} else {
		e.null(oidInt8)
	}
	e.bool(row.free)
	e.bool(row.last)
	e.endRow()
}

// whatOf gives history.what: the event and what it changed.
func whatOf(ch *graph.Change) int16 {
	what := int16(ch.Event)
	if ch.AccessChanged {
		what |= accessChanged
	}
	if ch.BodyChanged {
		what |= bodyChanged
	}
	return what
}

// The flags beside the event in history.what.
const (
	eventMask     = 3
	accessChanged = 4
	bodyChanged   = 8
)
