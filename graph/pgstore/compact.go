package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

// Keep is how much history the objects of a type keep: so many versions, or the
// states they had within an age. Zero fields do not bound.
type Keep struct {
	Versions int
	Age      time.Duration
}

// CompactGrace is how old a state must be at least, since it was replaced, to be
// removed: followers read the end of the log, whatever the policy is.
const CompactGrace = time.Hour

// compactPage is how many objects one transaction of Compact looks at.
const compactPage = 200

// Compacted tells what Compact did.
type Compacted struct {
	Rows  int64         `json:"rows"`  // snapshots removed
	Floor graph.Version `json:"floor"` // states and log are kept from here on
}

// Compact applies a retention policy to the history of a graph's objects, by
// type; types that are not named, and edges, keep all. A snapshot goes when it
// was replaced longer than grace ago (CompactGrace at the least, in production),
// was matched by the rules, and the policy does not keep it. The last state of a
// living object stays; a deleted one goes whole when its age is over. The log
// keeps its commits, and so the mutation keys, but can be read from Floor on
// only. Objects are taken a page at a time: writers hardly notice.
func (s *Store) Compact(ctx context.Context, name string, keep map[string]Keep, grace time.Duration) (Compacted, error) {
	const forget = `
		-- name: compact.forget
		UPDATE commits c SET asked = NULL, done = NULL
		WHERE c.graph = $1 AND c.version > $2 AND c.version <= $3 AND (c.asked IS NOT NULL OR c.done IS NOT NULL)
			AND NOT EXISTS (SELECT FROM history h WHERE h.graph = c.graph AND h.version = c.version)`
	var out Compacted
	info, err := s.Graph(ctx, name)
	if err != nil {
		return out, err
	}
	for typ, k := range keep {
		if k == (Keep{}) {
			continue
		}
		for last := (graph.ObjectID{}); ; {
			page, err := s.compactPage(ctx, info.Key, typ, k, grace, last)
			if err != nil {
				return out, err
			}
			out.Rows += page.rows
			if page.seen < compactPage {
				break
			}
			last = page.last
		}
	}
	err = s.read(ctx, "read the floor of history", func(conn *pgx.Conn) error {
		const sql = `
			-- name: compact.floor
			SELECT floor FROM graphs WHERE key = $1`
		return conn.QueryRow(ctx, sql, info.Key).Scan(&out.Floor)
	})
	if err != nil {
		return out, err
	}
	// The patches of commits that nothing in history needs any more, in steps.
	const step = 1000
	for from := graph.Version(0); from < out.Floor; from += step {
		err := s.within(ctx, "compact the log", pgx.TxOptions{}, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, forget, info.Key, from, min(from+step, out.Floor))
			return err
		})
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

type compactedPage struct {
	seen int // objects looked at
	last graph.ObjectID
	rows int64
}

// compactPage removes what may go of the objects of a type after an id.
func (s *Store) compactPage(ctx context.Context, g graph.GraphKey, typ string, keep Keep, grace time.Duration, after graph.ObjectID) (page compactedPage, err error) {
	const objects = `
		-- name: compact.objects
		SELECT id FROM objects WHERE graph = $1 AND id > $2 AND type = $3 ORDER BY id LIMIT $4`
	// Rules read the log from their cursor on: nothing beyond it may go.
	const cursor = `
		-- name: compact.cursor
		SELECT coalesce((SELECT version FROM run_cursors WHERE graph = $1), 0)`
	const rows = `
		-- name: compact.rows
		SELECT h.id, h.version, h.at, h.what & 3 = 3, h.ctid::text
		FROM unnest($2::uuid[]) o
		CROSS JOIN LATERAL (
			SELECT h.id, h.version, h.at, h.what, h.ctid FROM history h
			WHERE h.graph = $1 AND h.kind = 0 AND h.id = o
			ORDER BY h.version DESC OFFSET 0
		) h
		ORDER BY h.id, h.version`
	const raise = `
		-- name: compact.raise
		UPDATE graphs SET floor = greatest(floor, $2) WHERE key = $1`
	// By place: rows of history never move, as nothing ever updates them.
	const remove = `
		-- name: compact.remove
		DELETE FROM history WHERE graph = $1 AND ctid = ANY($2::text[]::tid[])`
	err = s.within(ctx, "compact history", pgx.TxOptions{}, func(tx pgx.Tx) error {
		page = compactedPage{}
		all, _ := tx.Query(ctx, objects, g, after, typ, compactPage) // the collector gives its error
		ids, err := pgx.CollectRows(all, pgx.RowTo[[16]byte])
		if err != nil || len(ids) == 0 {
			return err
		}
		page.seen, page.last = len(ids), ids[len(ids)-1]
		var matched graph.Version
		if err := tx.QueryRow(ctx, cursor, g).Scan(&matched); err != nil {
			return err
		}
		past, _ := tx.Query(ctx, rows, g, ids)
		history, err := pgx.CollectRows(past, pgx.RowToStructByPos[compactRow])
		if err != nil {
			return err
		}
		var gone []string
		var floor graph.Version
		for len(history) > 0 {
			one := history[:1]
			for len(one) < len(history) && history[len(one)].ID == one[0].ID {
				one = history[:len(one)+1]
			}
			history = history[len(one):]
			n, from := keep.removable(one, time.Now(), grace, matched)
			for _, row := range one[:n] {
				gone = append(gone, row.Place)
			}
			floor = max(floor, from)
		}
		if len(gone) == 0 {
			return nil
		}
		if _, err := tx.Exec(ctx, raise, g, floor); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, remove, g, gone)
		page.rows = tag.RowsAffected()
		return err
	})
	return page, err
}

type compactRow struct {
	ID      [16]byte
	Version graph.Version
	At      time.Time
	Deleted bool
	Place   string
}

// removable gives how many of an object's rows, oldest first, may go, and the
// version from which its states are known afterwards.
func (k Keep) removable(rows []compactRow, now time.Time, grace time.Duration, matched graph.Version) (n int, from graph.Version) {
	settled := func(r compactRow) bool { return now.Sub(r.At) >= grace && r.Version <= matched }
	for n < len(rows)-1 {
		next := rows[n+1]
		if !settled(next) || next.Deleted { // a removal shows the state before it
			break
		}
		if k.Versions > 0 && len(rows)-n > k.Versions || k.Age > 0 && now.Sub(next.At) >= k.Age {
			n++
			continue
		}
		break
	}
	if last := rows[len(rows)-1]; last.Deleted && n >= len(rows)-2 && k.Age > 0 && now.Sub(last.At) >= k.Age && settled(last) {
		return len(rows), last.Version
	}
	if n == 0 {
		return 0, 0
	}
	return n, rows[n].Version
}
