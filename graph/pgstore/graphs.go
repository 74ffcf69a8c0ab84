package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

// readOnly is a transaction that sees one state throughout and holds no lock
// that anybody waits for: it may take its time between two statements.
var readOnly = pgx.TxOptions{
	IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly,
	BeginQuery: "begin isolation level repeatable read read only; set local idle_in_transaction_session_timeout = '60s'; set local statement_timeout = '60s'",
}

// EnsureGraph makes the graph if it does not exist.
func (s *Store) EnsureGraph(ctx context.Context, name string) (info graph.GraphInfo, created bool, err error) {
	// The look first: a graph that exists takes no lock and no number.
	info, err = s.Graph(ctx, name)
	if graph.CodeOf(err) != graph.CodeNotFound {
		return info, false, err
	}
	// The share of the server's row keeps an activation of a schema out: it must
	// know every graph.
	const sql = `
		-- name: ensureGraph
		WITH active AS (SELECT schema_version FROM server FOR SHARE)
		INSERT INTO graphs (name, schema_version) SELECT $1, schema_version FROM active
		ON CONFLICT (name) DO NOTHING`
	err = s.within(ctx, "make a graph", pgx.TxOptions{}, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, name)
		created = tag.RowsAffected() == 1
		return err
	})
	if err != nil {
		return graph.GraphInfo{}, false, err
	}
	info, err = s.Graph(ctx, name)
	return info, created && err == nil, err
}

// Graph gives a graph by its name; CodeNotFound.
func (s *Store) Graph(ctx context.Context, name string) (info graph.GraphInfo, err error) {
	const sql = `
		-- name: graph
		SELECT key, name, version, epoch, at, schema_version, objects, edges
		FROM graphs WHERE name = $1`
	err = s.read(ctx, "look up a graph", func(conn *pgx.Conn) (err error) {
		rows, _ := conn.Query(ctx, sql, name) // the collector gives its error
		info, err = pgx.CollectExactlyOneRow(rows, scanGraph)
		if errors.Is(err, pgx.ErrNoRows) {
			return graph.NotFound("graph")
		}
		return err
	})
	return info, err
}

// Graphs lists the graphs by name, without those that are only prepared.
func (s *Store) Graphs(ctx context.Context) (list []graph.GraphInfo, err error) {
	const sql = `
		-- name: graphs
		SELECT key, name, version, epoch, at, schema_version, objects, edges
		FROM graphs WHERE name NOT LIKE '.%' ORDER BY name`
	err = s.read(ctx, "list the graphs", func(conn *pgx.Conn) (err error) {
		rows, _ := conn.Query(ctx, sql) // the collector gives its error
		list, err = pgx.CollectRows(rows, scanGraph)
		return err
	})
	return list, err
}

func scanGraph(row pgx.CollectableRow) (graph.GraphInfo, error) {
	var g graph.GraphInfo
	var at *time.Time
	err := row.Scan(&g.Key, &g.Name, &g.Head.Version, &g.Head.Epoch, &at, &g.Head.SchemaVer, &g.Objects, &g.Edges)
	g.Head.At = utc(at)
	return g, err
}

// utc gives a time as the server has it; zero for none.
func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// DeleteGraph drops the graph's name, at once and for all nodes; Purge removes
// its rows later. `main` stays.
func (s *Store) DeleteGraph(ctx context.Context, name string) error {
	const sql = `
		-- name: deleteGraph
		UPDATE graphs SET name = NULL, dropped_at = now() WHERE name = $1`
	if name == graph.MainGraph {
		return graph.Errf(graph.CodeForbidden, "the graph %s always exists", graph.MainGraph)
	}
	return s.within(ctx, "delete a graph", pgx.TxOptions{}, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, name)
		if err == nil && tag.RowsAffected() == 0 {
			return graph.NotFound("graph")
		}
		return err
	})
}

// NewEpoch gives the graph a new random epoch and returns it.
func (s *Store) NewEpoch(ctx context.Context, name string) (epoch string, err error) {
	const sql = `
		-- name: newEpoch
		UPDATE graphs SET epoch = left(replace(gen_random_uuid()::text, '-', ''), 16)
		WHERE name = $1 RETURNING epoch`
	err = s.within(ctx, "give a graph a new epoch", pgx.TxOptions{}, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, sql, name).Scan(&epoch)
		if errors.Is(err, pgx.ErrNoRows) {
			return graph.NotFound("graph")
		}
		return err
	})
	return epoch, err
}

// Heads gives the heads of those graphs that exist.
func (s *Store) Heads(ctx context.Context, keys []graph.GraphKey) (map[graph.GraphKey]graph.Head, error) {
	const sql = `
		-- name: heads
		SELECT g.key, g.version, g.epoch, g.at, g.schema_version
		FROM unnest($1::bigint[]) k
		CROSS JOIN LATERAL (SELECT * FROM graphs g WHERE g.key = k AND g.name IS NOT NULL LIMIT 1) g`
	const sqlWal = `
		-- name: heads.wal
		SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint`
	out := make(map[graph.GraphKey]graph.Head, len(keys))
	var wal int64
	err := s.read(ctx, "read heads", func(conn *pgx.Conn) error {
		batch := &pgx.Batch{}
		batch.Queue(sql, keys).Query(func(rows pgx.Rows) error {
			var key graph.GraphKey
			var head graph.Head
			var at *time.Time
			_, err := pgx.ForEachRow(rows, []any{&key, &head.Version, &head.Epoch, &at, &head.SchemaVer}, func() error {
				head.At = utc(at)
				out[key] = head
				return nil
			})
			return err
		})
		// Every poll asks for heads: so we know how far the server has come.
		batch.Queue(sqlWal).QueryRow(func(row pgx.Row) error { return row.Scan(&wal) })
		return conn.SendBatch(ctx, batch).Close()
	})
	if err == nil {
		s.passed.reach(wal)
	}
	return out, err
}

// Recorded looks up mutations by author and key.
func (s *Store) Recorded(ctx context.Context, g graph.GraphKey, keys []graph.MutationKey) (map[graph.MutationKey]graph.Recorded, error) {
	const exists = `
		-- name: recorded.graph
		SELECT FROM graphs WHERE key = $1 AND name IS NOT NULL`
	const sql = `
		-- name: recorded
		SELECT k.author, k.mutation, c.version, c.hash, c.cause, c.idle
		FROM unnest($2::text[], $3::text[]) k(author, mutation)
		CROSS JOIN LATERAL (
			SELECT c.version, c.hash, c.cause, false AS idle FROM commits c
			WHERE c.graph + 0 = $1 AND c.mutation = k.mutation AND c.author = k.author
			UNION ALL
			SELECT i.version, i.hash, i.cause, true FROM idle_keys i
			WHERE i.graph = $1 AND i.mutation = k.mutation AND i.author = k.author
			LIMIT 1
		) c`
	authors, mutations := make([]string, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		authors[i], mutations[i] = k.Author, k.Key
	}
	out := map[graph.MutationKey]graph.Recorded{}
	err := s.read(ctx, "look up mutations", func(conn *pgx.Conn) error {
		batch := &pgx.Batch{}
		batch.Queue(exists, g).QueryRow(oneGraph)
		batch.Queue(sql, g, authors, mutations).Query(func(rows pgx.Rows) error {
			var k graph.MutationKey
			var r graph.Recorded
			_, err := pgx.ForEachRow(rows, []any{&k.Author, &k.Key, &r.Version, &r.Hash, &r.Cause, &r.Idle}, func() error {
				out[k] = r
				return nil
			})
			return err
		})
		return conn.SendBatch(ctx, batch).Close()
	})
	return out, err
}

// oneGraph turns the lack of a graph's row into CodeNotFound.
func oneGraph(row pgx.Row) error {
	err := row.Scan()
	if errors.Is(err, pgx.ErrNoRows) {
		return graph.NotFound("graph")
	}
	return err
}
