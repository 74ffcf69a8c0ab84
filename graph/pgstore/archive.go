package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

var _ graph.Archive = (*Store)(nil)

// Floor gives the version from which log and states are kept.
func (s *Store) Floor(ctx context.Context, g graph.GraphKey) (floor graph.Version, err error) {
	const sql = `
		-- name: floor
		SELECT floor FROM graphs WHERE key = $1 AND name IS NOT NULL`
	err = s.read(ctx, "read the floor of history", func(conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, sql, g).Scan(&floor)
		if errors.Is(err, pgx.ErrNoRows) {
			return graph.NotFound("graph")
		}
		return err
	})
	return floor, err
}

// Floors gives the versions from which logs and states are kept.
func (s *Store) Floors(ctx context.Context, keys []graph.GraphKey) (map[graph.GraphKey]graph.Version, error) {
	const sql = `
		-- name: floors
		SELECT g.key, g.floor FROM unnest($1::bigint[]) k
		CROSS JOIN LATERAL (SELECT * FROM graphs g WHERE g.key = k AND g.name IS NOT NULL LIMIT 1) g`
	out := make(map[graph.GraphKey]graph.Version, len(keys))
	err := s.read(ctx, "read the floors of history", func(conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, sql, keys) // the reader gives its error
		var key graph.GraphKey
		var floor graph.Version
		_, err := pgx.ForEachRow(rows, []any{&key, &floor}, func() error {
			out[key] = floor
			return nil
		})
		return err
	})
	return out, err
}

// Marks gives commits without what they did, however old.
func (s *Store) Marks(ctx context.Context, g graph.GraphKey, since graph.Version, limit int) (marks []*graph.Commit, err error) {
	const sql = `
		-- name: marks
		SELECT version, at, schema_version, cause_version, depth, epoch, author, mutation, session, grp, note,
			cause, cause_run, hash, principals, NULL::json, NULL::json
		FROM commits
		WHERE graph = $1 AND version > $2
		ORDER BY version LIMIT $3`
	err = s.read(ctx, "read the marks of the log", func(conn *pgx.Conn) (err error) {
		rows, _ := conn.Query(ctx, sql, g, since, limit) // the collector gives its error
		marks, err = collectCommits(rows)
		return err
	})
	return marks, err
}

// occupied refuses a name whose graph is not empty, and gives the graph that has
// it, 0 for none. The graph's row stays locked.
func occupied(ctx context.Context, tx pgx.Tx, name string) (key graph.GraphKey, err error) {
	const sql = `
		-- name: occupied
		SELECT key, version FROM graphs WHERE name = $1 FOR UPDATE`
	var version graph.Version
	err = tx.QueryRow(ctx, sql, name).Scan(&key, &version)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err == nil && version > 0 {
		err = graph.Occupied(name, version)
	}
	return key, err
}

// Prepare makes an empty graph out of sight.
func (s *Store) Prepare(ctx context.Context, name string) (graph.GraphInfo, error) {
	const drop = `
		-- name: prepare.drop
		UPDATE graphs SET name = NULL, dropped_at = now() WHERE name = $1`
	// The share of the server's row keeps an activation of a schema out: see
	// EnsureGraph.
	const insert = `
		-- name: prepare.insert
		WITH active AS (SELECT schema_version FROM server FOR SHARE)
		INSERT INTO graphs (name, schema_version) SELECT $1, schema_version FROM active`
	hidden := graph.PreparedName(name)
	err := s.within(ctx, "prepare a graph", pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := occupied(ctx, tx, name); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, drop, hidden); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, insert, hidden)
		return err
	})
	if err != nil {
		return graph.GraphInfo{}, err
	}
	return s.Graph(ctx, hidden)
}

// Ground lays what a log with a floor begins with.
func (s *Store) Ground(ctx context.Context, g graph.GraphKey, marks []*graph.Commit, objects []*graph.Object, edges []*graph.Edge) error {
	const lock = `
		-- name: ground.lock
		SELECT version, epoch, schema_version, objects + edges FROM graphs
		WHERE key = $1 AND name LIKE '.%' AND version = floor FOR NO KEY UPDATE`
	const raise = `
		-- name: ground.raise
		UPDATE graphs SET version = $2, floor = $2, at = $3 WHERE key = $1`
	const count = `
		-- name: ground.count
		UPDATE graphs SET objects = objects + $2, edges = edges + $3 WHERE key = $1`
	return s.within(ctx, "lay the ground of a log", pgx.TxOptions{}, func(tx pgx.Tx) error {
		var head graph.Head
		var there int64
		err := tx.QueryRow(ctx, lock, g).Scan(&head.Version, &head.Epoch, &head.SchemaVer, &there)
		if errors.Is(err, pgx.ErrNoRows) {
			return graph.NotFound("graph that is being prepared")
		}
		if err != nil {
			return err
		}
		if len(marks) > 0 {
			if err := copyMarks(ctx, tx, g, head, marks); err != nil {
				return err
			}
			last := marks[len(marks)-1]
			if _, err := tx.Exec(ctx, raise, g, last.Version, last.At); err != nil {
				return err
			}
		}
		if err := copyGround(ctx, tx, g, there, objects, edges); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, count, g, len(objects), len(edges))
		return err
	})
}

func copyMarks(ctx context.Context, tx pgx.Tx, g graph.GraphKey, head graph.Head, marks []*graph.Commit) error {
	columns := []string{"graph", "version", "at", "schema_version", "cause_version", "depth", "epoch", "author", "mutation",
		"session", "grp", "note", "cause", "cause_run", "hash", "principals"}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"commits"}, columns, pgx.CopyFromSlice(len(marks), func(i int) ([]any, error) {
		c := marks[i]
		return []any{int64(g), int64(head.Version) + int64(i) + 1, c.At, head.SchemaVer, orNone(c.Cause.Version), int32(c.Depth), head.Epoch, c.Author.User, c.Mutation,
			orNone(c.Session), orNone(c.Group), orNone(c.Note), string(c.Cause.Kind), orNone(c.Cause.Run), c.Hash, appendPrincipals(nil, &c.Author)}, nil
	}))
	return err
}

// orNone gives a null for a zero value.
func orNone[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// copyGround writes present rows, and to each the row of history that it is;
// there is how many entities the graph has.
func copyGround(ctx context.Context, tx pgx.Tx, g graph.GraphKey, there int64, objects []*graph.Object, edges []*graph.Edge) error {
	type row struct {
		kind         int16
		id           [16]byte
		from, to     *[16]byte
		typ          string
		meta         *graph.Meta
		access, body []byte
	}
	rows := make([]row, 0, len(objects)+len(edges))
	for _, o := range objects {
		rows = append(rows, row{int16(graph.KindObject), o.ID, nil, nil, o.Type, &o.Meta, o.Access.Raw, o.Body})
	}
	for _, e := range edges {
		rows = append(rows, row{int16(graph.KindEdge), e.ID, (*[16]byte)(&e.From), (*[16]byte)(&e.To), e.Label, &e.Meta, nil, e.Body})
	}
	columns := []string{"graph", "version", "created_version", "at", "created_at", "ord", "kind", "what", "id", "from_id", "to_id", "type", "by", "created_by", "access", "body"}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"history"}, columns, pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		r, m := &rows[i], rows[i].meta
		what := int16(graph.Modified)
		if m.Version == m.CreatedVersion {
			what = int16(graph.Created)
		}
		// The place of an entity in its commit is not known any more; any that is
		// free will do.
		ord := int32(there) + int32(i)
		return []any{int64(g), int64(m.Version), int64(m.CreatedVersion), m.UpdatedAt, m.CreatedAt, ord, r.kind, what | bodyChanged, r.id, r.from, r.to,
			r.typ, m.UpdatedBy, m.CreatedBy, r.access, r.body}, nil
	}))
	if err != nil {
		return err
	}
	columns = []string{"graph", "version", "created_version", "at", "created_at", "id", "deleted", "type", "by", "created_by", "access", "body"}
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"objects"}, columns, pgx.CopyFromSlice(len(objects), func(i int) ([]any, error) {
		r, m := &rows[i], rows[i].meta
		return []any{int64(g), int64(m.Version), int64(m.CreatedVersion), m.UpdatedAt, m.CreatedAt, r.id, false, r.typ, m.UpdatedBy, m.CreatedBy, r.access, r.body}, nil
	}))
	if err != nil {
		return err
	}
	columns = []string{"graph", "version", "created_version", "at", "created_at", "id", "from_id", "to_id", "deleted", "label", "by", "created_by", "body"}
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"edges"}, columns, pgx.CopyFromSlice(len(edges), func(i int) ([]any, error) {
		r := &rows[len(objects)+i]
		m := r.meta
		return []any{int64(g), int64(m.Version), int64(m.CreatedVersion), m.UpdatedAt, m.CreatedAt, r.id, r.from, r.to, false, r.typ, m.UpdatedBy, m.CreatedBy, r.body}, nil
	}))
	return err
}

// Publish gives a prepared graph its name.
func (s *Store) Publish(ctx context.Context, g graph.GraphKey, name string) error {
	const drop = `
		-- name: publish.drop
		UPDATE graphs SET name = NULL, dropped_at = $2 WHERE key = $1`
	const rename = `
		-- name: publish.rename
		UPDATE graphs SET name = $3 WHERE key = $1 AND name = $2`
	const cursor = `
		-- name: publish.cursor
		INSERT INTO run_cursors (graph, version, until, epoch, holder)
		SELECT key, version, now(), epoch, '' FROM graphs WHERE key = $1
		ON CONFLICT (graph) DO UPDATE SET version = excluded.version, until = excluded.until, epoch = excluded.epoch, holder = excluded.holder`
	return s.within(ctx, "publish a graph", pgx.TxOptions{}, func(tx pgx.Tx) error {
		old, err := occupied(ctx, tx, name)
		if err != nil {
			return err
		}
		if old != 0 {
			if _, err := tx.Exec(ctx, drop, old, time.Now()); err != nil {
				return err
			}
		}
		tag, err := tx.Exec(ctx, rename, g, graph.PreparedName(name), name)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return graph.NotFound("graph that is being prepared")
		}
		_, err = tx.Exec(ctx, cursor, g)
		return err
	})
}
