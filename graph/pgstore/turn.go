package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/graphtide/graphtide/graph"
)

// turn is an open transaction that holds the lock of a graph's row. The database
// ends it by itself once we are silent for as long as
// idle_in_transaction_session_timeout.
type turn struct {
	s    *Store
	key  graph.GraphKey
	conn *pgxpool.Conn // nil once the turn has ended
	head graph.Head
	tail []*graph.Commit
}

// Turn takes the lock of the graph's row and holds it until the turn ends. ctx
// bounds the waiting, as does lock_timeout.
func (s *Store) Turn(ctx context.Context, g graph.GraphKey, since graph.Version) (graph.Turn, error) {
	t := &turn{s: s, key: g}
	for tries := 1; ; tries++ {
		conn, err := s.acquire(ctx)
		if err != nil {
			return nil, err
		}
		t.conn = conn
		if t.head, t.tail, err = lockHead(ctx, conn.Conn(), g, since); err == nil {
			return t, nil
		}
		dead := conn.Conn().IsClosed()
		t.Release()
		if !dead || tries == 2 || ctx.Err() != nil {
			return nil, failed("wait for the lock of a graph", err)
		}
	}
}

// lockHead begins a transaction, locks the graph's row in it and reads what of the
// log is new to the caller, in one round trip. Each statement sees what was
// committed before it began, so what is read after the lock is what the holder
// before us left.
func lockHead(ctx context.Context, conn *pgx.Conn, g graph.GraphKey, since graph.Version) (head graph.Head, tail []*graph.Commit, err error) {
	const begin = `
		-- name: turn.begin
		BEGIN`
	const lock = `
		-- name: turn.lock
		SELECT version, epoch, at, schema_version, floor FROM graphs WHERE key = $1 AND name IS NOT NULL FOR NO KEY UPDATE`
	q := logQuery{graph: g, since: since, limit: graph.MaxTail, locked: true}
	batch := &pgx.Batch{}
	batch.Queue(begin)
	batch.Queue(lock, g).QueryRow(func(row pgx.Row) error {
		var at *time.Time
		var floor graph.Version
		err := row.Scan(&head.Version, &head.Epoch, &at, &head.SchemaVer, &floor)
		if at != nil {
			head.At = at.UTC()
		}
		if err == nil {
			err = q.reaches(floor)
		}
		if errors.Is(err, pgx.ErrNoRows) {
			return graph.NotFound("graph")
		}
		return err
	})
	q.queue(batch)
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return head, nil, err
	}
	tail, err = q.commits(ctx, conn)
	return head, tail, err
}

func (t *turn) Head() graph.Head { return t.head }

func (t *turn) Tail() []*graph.Commit { return t.tail }

func (t *turn) Append(ctx context.Context, b *graph.Batch) (graph.AppendResult, error) {
	if t.conn == nil {
		return graph.AppendResult{}, errTurnOver()
	}
	defer t.Release()
	if err := b.Check(); err != nil {
		return graph.AppendResult{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTimeout)
	defer cancel()
	p := buildPlan(b)
	if len(p.hits) > 0 {
		return graph.AppendResult{Hits: sortHits(p.hits)}, nil
	}
	res, err := appendAndCommit(ctx, t.conn.Conn(), b, p)
	if err != nil {
		return graph.AppendResult{}, failed(fmt.Sprintf("append %d commits to graph %d", len(b.Commits), b.Graph), err)
	}
	return res, nil
}

// appendAndCommit appends in the transaction that a turn opened, and commits it,
// in one round trip. A refusal wrote nothing, and so commits nothing.
func appendAndCommit(ctx context.Context, conn *pgx.Conn, b *graph.Batch, p *plan) (res graph.AppendResult, err error) {
	bufs := buffers.Get().(*appendBuffers)
	defer buffers.Put(bufs) // the parameters are copied as they are sent
	for _, quick := range shortcuts {
		if !quick.fits(b, p) {
			continue
		}
		if err := quick.prepare(ctx, conn); err != nil {
			return res, err
		}
		tag, err := execAndCommit(ctx, conn, quick.name, quick.params(bufs, conn, b, p), closeResult)
		if err == nil && tag.RowsAffected() == 0 { // without the lock: the head may move meanwhile
			return appendWhole(ctx, conn, b, p)
		}
		return res, err
	}
	prepare, params := prepareBatch, batchParams
	if lone(b) {
		prepare, params = prepareLone, loneParams
	}
	name, err := prepare(ctx, conn)
	if err != nil {
		return res, err
	}
	refused, err := execAndCommit(ctx, conn, name, params(bufs, conn, b, p), func(r *pgconn.ResultReader) ([]refusal, error) {
		return pgx.CollectRows(pgx.RowsFromResultReader(conn.TypeMap(), r), pgx.RowToStructByPos[refusal])
	})
	if err != nil {
		return res, err
	}
	return answer(refused)
}

func closeResult(r *pgconn.ResultReader) (pgconn.CommandTag, error) { return r.Close() }

// execAndCommit runs a prepared statement and commits the open transaction, in one
// round trip; collect reads the statement's answer.
func execAndCommit[T any](ctx context.Context, conn *pgx.Conn, name string, params [][]byte, collect func(*pgconn.ResultReader) (T, error)) (out T, err error) {
	const commit = `
		-- name: turn.commit
		COMMIT`
	pipe := conn.PgConn().StartPipeline(ctx)
	defer func() { err = errors.Join(err, pipe.Close()) }()
	pipe.SendQueryPrepared(name, params, allBinary, allBinary)
	pipe.SendQueryParams(commit, nil, nil, nil, nil)
	if err := pipe.Sync(); err != nil {
		return out, err
	}
	res, err := nextResult(pipe)
	if err != nil {
		return out, err
	}
	if out, err = collect(res); err != nil {
		return out, err
	}
	if res, err = nextResult(pipe); err != nil {
		return out, err
	}
	tag, err := res.Close()
	if err == nil && tag.String() != "COMMIT" {
		err = fmt.Errorf("the transaction of a turn ended with %s", tag)
	}
	return out, err
}

// nextResult gives the answer to the next statement of a pipeline.
func nextResult(pipe *pgconn.Pipeline) (*pgconn.ResultReader, error) {
	res, err := pipe.GetResults()
	if err != nil {
		return nil, err
	}
	reader, ok := res.(*pgconn.ResultReader)
	if !ok {
		return nil, fmt.Errorf("the database answered a statement with %T", res)
	}
	return reader, nil
}

// Release ends the turn. A transaction that is still open is rolled back; where
// the database cannot be told in time, the connection goes with it.
func (t *turn) Release() {
	if t.conn == nil {
		return
	}
	conn := t.conn
	t.conn = nil
	if status := conn.Conn().PgConn().TxStatus(); status != 'I' && !conn.Conn().IsClosed() {
		const rollback = `
			-- name: turn.rollback
			ROLLBACK`
		ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
		conn.Exec(ctx, rollback) // an error closes the connection, which ends the transaction too
		cancel()
	}
	t.s.bury(conn)
	conn.Release()
}

// rollbackTimeout bounds the end of a turn that nothing came of.
const rollbackTimeout = time.Second

func errTurnOver() error { return unavailable("the turn to append is over", nil) }
