package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

var _ graph.Compactor = (*Store)(nil)

// A compaction takes a page of objects at a time, and of each its oldest
// states: what one step reads and removes is bounded, however long a history is.
const (
	compactObjects = 100
	compactStates  = 200
	compactCommits = 1000
)

// Compact applies a retention policy to the history of a graph's objects: see
// graph.Compactor. It works in short steps, none of which keeps a writer waiting
// for longer than it takes to set the floor.
func (s *Store) Compact(ctx context.Context, name string, keep map[string]graph.Keep, grace time.Duration) (graph.Compacted, error) {
	var out graph.Compacted
	info, err := s.Graph(ctx, name)
	if err != nil {
		return out, err
	}
	for typ, k := range keep {
		if k == (graph.Keep{}) {
			continue
		}
		for after, done := (graph.ObjectID{}), false; !done; {
			var page compactPage
			if page, err = s.compactRead(ctx, info.Key, typ, k, grace, after); err != nil {
				return out, err
			}
			rows, err := s.compactRemove(ctx, info.Key, &page)
			if err != nil {
				return out, err
			}
			out.Rows += rows
			if page.again && len(page.versions) > 0 {
				continue // the same objects have more
			}
			after, done = page.last, page.objects < compactObjects
		}
	}
	out.Floor, err = s.compactLog(ctx, info.Key)
	return out, err
}

// compactPage is what may go of the history of some objects.
type compactPage struct {
	objects  int
	last     graph.ObjectID
	floor    graph.Version
	versions []graph.Version // with ords, the rows that go
	ords     []int32
	again    bool // some object has states that were not looked at
}

// compactRead finds what may go of the objects of a type after an id.
func (s *Store) compactRead(ctx context.Context, g graph.GraphKey, typ string, keep graph.Keep, grace time.Duration, after graph.ObjectID) (page compactPage, err error) {
	const objects = `
		-- name: compact.objects
		SELECT id FROM objects WHERE graph = $1 AND id > $2 AND type = $3 ORDER BY id LIMIT $4`
	// Rules read the log from their cursor on, and followers look at the last
	// commit that they have applied: nothing beyond either may go.
	const upto = `
		-- name: compact.upto
		SELECT least(g.version - 1, coalesce((SELECT c.version FROM run_cursors c WHERE c.graph = g.key), 0))
		FROM graphs g WHERE g.key = $1`
	const states = `
		-- name: compact.states
		SELECT o, n.total, h.version, h.ord, h.at, h.what & 3 = 3
		FROM unnest($2::uuid[]) o
		CROSS JOIN LATERAL (
			SELECT count(*) AS total FROM history n WHERE n.graph = $1 AND n.kind = 0 AND n.id = o
		) n
		CROSS JOIN LATERAL (
			SELECT h.version, h.ord, h.at, h.what FROM history h
			WHERE h.graph = $1 AND h.kind = 0 AND h.id = o
			ORDER BY h.version LIMIT $3
		) h
		ORDER BY o, h.version`
	err = s.within(ctx, "look for history to forget", readOnly, func(tx pgx.Tx) error {
		page = compactPage{}
		found, _ := tx.Query(ctx, objects, g, after, typ, compactObjects) // the collector gives its error
		ids, err := pgx.CollectRows(found, pgx.RowTo[[16]byte])
		if err != nil || len(ids) == 0 {
			return err
		}
		page.objects, page.last = len(ids), ids[len(ids)-1]
		now := time.Now()
		settled := graph.Settled{Until: now.Add(-grace)}
		if err := tx.QueryRow(ctx, upto, g).Scan(&settled.Upto); err != nil {
			return err
		}
		past, _ := tx.Query(ctx, states, g, ids, compactStates)
		rows, err := pgx.CollectRows(past, pgx.RowToStructByPos[compactRow])
		if err != nil {
			return err
		}
		for len(rows) > 0 {
			n := 1
			for n < len(rows) && rows[n].ID == rows[0].ID {
				n++
			}
			page.add(rows[:n], keep, now, settled)
			rows = rows[n:]
		}
		return nil
	})
	return page, err
}

// compactRow is a row of history, as far as retention looks at it.
type compactRow struct {
	ID      [16]byte
	Total   int // rows of the object
	Version graph.Version
	Ord     int32
	At      time.Time
	Deleted bool
}

// add judges the oldest rows of one object.
func (p *compactPage) add(rows []compactRow, keep graph.Keep, now time.Time, settled graph.Settled) {
	states := make([]graph.PastState, len(rows))
	for i, r := range rows {
		states[i] = graph.PastState{Version: r.Version, At: r.At, Deleted: r.Deleted}
	}
	n, from := keep.Removable(states, rows[0].Total, now, settled)
	for _, r := range rows[:n] {
		p.versions, p.ords = append(p.versions, r.Version), append(p.ords, r.Ord)
	}
	p.floor = max(p.floor, from)
	p.again = p.again || n > 0 && len(rows) < rows[0].Total
}

// compactRemove removes what was found. The floor first, in a transaction of its
// own: who reads the log looks at the floor last, so that nobody takes a commit
// that lacks something for a whole one.
func (s *Store) compactRemove(ctx context.Context, g graph.GraphKey, page *compactPage) (rows int64, err error) {
	const raise = `
		-- name: compact.raise
		UPDATE graphs SET floor = $2 WHERE key = $1 AND floor < $2`
	const remove = `
		-- name: compact.remove
		DELETE FROM history h USING unnest($2::bigint[], $3::integer[]) gone(version, ord)
		WHERE h.graph = $1 AND h.version = gone.version AND h.ord = gone.ord`
	if len(page.versions) == 0 {
		return 0, nil
	}
	err = s.within(ctx, "raise the floor of history", pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, raise, g, page.floor)
		return err
	})
	if err != nil {
		return 0, err
	}
	// The first state that stays must be whole before those that it is made from
	// go. The lock keeps it from being thinned meanwhile; a step of that may take
	// longer than others wait for locks.
	const patience = `
		-- name: compact.patience
		SET LOCAL lock_timeout = '12s'`
	const lock = `
		-- name: compact.lock
		SELECT pg_advisory_xact_lock_shared(7420, ($1::bigint % 2147483647)::integer)`
	const whole = `
		-- name: compact.whole
		UPDATE history h SET body = history_body(h.graph, h.kind, h.id, h.version), delta = NULL, head = NULL, tail = NULL, since = 0
		FROM (
			SELECT n.version, n.ord
			FROM (
				SELECT h.id, max(h.version) AS last
				FROM unnest($2::bigint[], $3::integer[]) gone(version, ord)
				JOIN history h ON h.graph = $1 AND h.version = gone.version AND h.ord = gone.ord
				GROUP BY h.id
			) e
			CROSS JOIN LATERAL (
				SELECT n.version, n.ord, n.delta FROM history n
				WHERE n.graph = $1 AND n.kind = 0 AND n.id = e.id AND n.version > e.last
				ORDER BY n.version LIMIT 1
			) n
			WHERE n.delta IS NOT NULL
		) first
		WHERE h.graph = $1 AND h.version = first.version AND h.ord = first.ord`
	// Whole objects in one transaction: a removal never stands without the state
	// before it.
	err = s.within(ctx, "forget history", pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, patience); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, lock, g); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, whole, g, page.versions, page.ords); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, remove, g, page.versions, page.ords)
		rows = tag.RowsAffected()
		return err
	})
	return rows, err
}

// compactLog removes the patches of those commits below the floor that nothing
// in history needs any more, and gives the floor.
func (s *Store) compactLog(ctx context.Context, g graph.GraphKey) (floor graph.Version, err error) {
	const sql = `
		-- name: compact.floor
		SELECT floor FROM graphs WHERE key = $1`
	const forget = `
		-- name: compact.forget
		UPDATE commits c SET asked = NULL, done = NULL
		WHERE c.graph = $1 AND c.version > $2 AND c.version <= $3 AND (c.asked IS NOT NULL OR c.done IS NOT NULL)
			AND NOT EXISTS (SELECT FROM history h WHERE h.graph = c.graph AND h.version = c.version)`
	err = s.read(ctx, "read the floor of history", func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, sql, g).Scan(&floor)
	})
	for from := graph.Version(0); err == nil && from < floor; from += compactCommits {
		err = s.within(ctx, "forget patches", pgx.TxOptions{}, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, forget, g, from, min(from+compactCommits, floor))
			return err
		})
	}
	return floor, err
}
