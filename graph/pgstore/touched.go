package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

// Touched gives what a stretch of the log touched, as it was before.
func (s *Store) Touched(ctx context.Context, g graph.GraphKey, since, until graph.Version, bounds graph.TouchedBounds) (out []graph.Touched, err error) {
	act := fmt.Sprintf("read what changed after version %d", since)
	err = s.within(ctx, act, readOnly, func(tx pgx.Tx) error {
		head, floor, err := headIn(ctx, tx, g)
		if err != nil {
			return err
		}
		for _, v := range []graph.Version{since, until} {
			if err := reachable(v, head.Version, floor); err != nil {
				return err
			}
		}
		found, err := touched(ctx, tx, g, since, until, bounds.Entities)
		if err != nil {
			return err
		}
		bytes := 0
		for from := 0; from < len(found); from += page {
			piece := found[from:min(from+page, len(found))]
			n, err := statesBefore(ctx, tx, g, since, piece)
			if err != nil {
				return err
			}
			if bytes += n; bytes > bounds.Bytes {
				return graph.TooLarge("bytes", int64(bounds.Bytes), "bytes were touched")
			}
		}
		out = make([]graph.Touched, len(found))
		for i := range found {
			out[i] = found[i].Touched
		}
		return nil
	})
	return out, err
}

// touchedRow is an entity that the stretch touched, without the state before.
type touchedRow struct {
	graph.Touched
	created graph.Version
	known   bool // there is a row of history from before the stretch
}

// touched gives which entities the stretch touched and how it left them.
func touched(ctx context.Context, tx pgx.Tx, g graph.GraphKey, since, until graph.Version, limit int) ([]touchedRow, error) {
	// One more than may be tells that there are too many.
	const sql = `
		-- name: touched
		SELECT l.id, l.from_id, l.to_id, l.type, l.version, l.created_version, l.at, l.created_at, l.by, l.created_by,
			CASE WHEN l.what & 3 = 3 THEN l.access END, NULL::json, t.kind, l.what
		FROM (
			SELECT h.kind, h.id, max(h.version) AS last
			FROM history h
			WHERE h.graph = $1 AND h.version > $2 AND h.version <= $3
			GROUP BY h.kind, h.id
			LIMIT $4
		) t
		CROSS JOIN LATERAL (
			SELECT * FROM history l
			WHERE l.graph = $1 AND l.kind = t.kind AND l.id = t.id AND l.version = t.last
			LIMIT 1
		) l`
	rows, err := tx.Query(ctx, sql, g, since, until, int64(limit)+1)
	if err != nil {
		return nil, err
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t touchedRow, err error) {
		var e entity
		var what int16
		if err := row.Scan(append(e.targets(), &t.Ref.Kind, &what)...); err != nil {
			return t, err
		}
		t.Ref.ID, t.created = e.ID, e.CreatedVersion
		if graph.Event(what&eventMask) == graph.Deleted {
			t.Gone = &graph.Snapshot{Deleted: true, At: e.Version}
			t.Gone.Object, t.Gone.Edge, err = e.state(t.Ref.Kind)
		}
		return t, err
	})
	if err == nil && len(out) > limit {
		err = graph.TooLarge("entities", int64(limit), "entities were touched")
	}
	return out, err
}

// statesBefore fills in the states at since and gives the size of their bodies.
func statesBefore(ctx context.Context, tx pgx.Tx, g graph.GraphKey, since graph.Version, all []touchedRow) (bytes int, err error) {
	const sql = `
		-- name: touched.before
		SELECT b.id, b.from_id, b.to_id, b.type, b.version, b.created_version, b.at, b.created_at, b.by, b.created_by, b.access,
			CASE WHEN b.delta IS NULL THEN b.body ELSE history_body(b.graph, b.kind, b.id, b.version) END, t.n, b.what
		FROM unnest($3::smallint[], $4::uuid[]) WITH ORDINALITY AS t(kind, id, n)
		CROSS JOIN LATERAL (
			SELECT * FROM history b
			WHERE b.graph = $1 AND b.kind = t.kind AND b.id = t.id AND b.version <= $2
			ORDER BY b.version DESC LIMIT 1
		) b`
	kinds, ids := make([]int16, len(all)), make([][16]byte, len(all))
	for i := range all {
		kinds[i], ids[i] = int16(all[i].Ref.Kind), all[i].Ref.ID
	}
	rows, err := tx.Query(ctx, sql, g, since, kinds, ids)
	if err != nil {
		return 0, err
	}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var e entity
		var n int
		var what int16
		if err := row.Scan(append(e.targets(), &n, &what)...); err != nil {
			return struct{}{}, err
		}
		t := &all[n-1]
		if t.known = true; graph.Event(what&eventMask) == graph.Deleted {
			return struct{}{}, nil
		}
		bytes += len(e.Body)
		var err error
		t.Object, t.Edge, err = e.state(t.Ref.Kind)
		return struct{}{}, err
	})
	if err != nil {
		return 0, err
	}
	for i := range all {
		// What was there by then and has no state from then lost it to the
		// retention of its type.
		if t := &all[i]; !t.known && t.created <= since {
			return 0, graph.Errf(graph.CodeGone, "the history of %s %s does not reach back to version %d", t.Ref.Kind, t.Ref.IDString(), since)
		}
	}
	return bytes, nil
}
