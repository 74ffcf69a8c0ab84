package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

// Piece reads parts of the present state; all of it is one snapshot of the
// database. Two round trips, or one where only objects are asked for.
func (s *Store) Piece(ctx context.Context, g graph.GraphKey, want *graph.Want) (*graph.Piece, error) {
	var out *graph.Piece
	err := s.within(ctx, "read a part of the state", readOnly, func(tx pgx.Tx) error {
		p := &pieceReader{ids: map[[16]byte]bool{}, edges: map[graph.EdgeID]*graph.Edge{}}
		for _, id := range want.Objects {
			p.ids[id] = false
		}
		if err := p.reach(ctx, tx, g, want); err != nil {
			return err
		}
		if err := p.objects(ctx, tx, g); err != nil {
			return err
		}
		head, _, err := headIn(ctx, tx, g)
		if err != nil {
			return err
		}
		out = p.piece
		out.Head = head
		return nil
	})
	return out, err
}

// pieceReader gathers a piece.
type pieceReader struct {
	piece *graph.Piece
	ids   map[[16]byte]bool // the objects that are in it; true: read already
	edges map[graph.EdgeID]*graph.Edge
}

// reach finds the objects that other things name.
//
// OFFSET 0 keeps the planner from making a join of the look-ups, here and in
// objects: on a guess of the arrays' lengths it read all edges of the graph, eight
// times, for those of 40 objects.
func (p *pieceReader) reach(ctx context.Context, tx pgx.Tx, g graph.GraphKey, want *graph.Want) error {
	p.piece = &graph.Piece{}
	const types = `
		-- name: piece.types
		SELECT o.id, NULL::uuid, NULL::uuid, o.type, o.version, o.created_version, o.at, o.created_at, o.by, o.created_by, o.access, o.body
		FROM unnest($2::text[]) t
		CROSS JOIN LATERAL (SELECT * FROM objects o WHERE o.graph = $1 AND o.type = t AND NOT o.deleted OFFSET 0) o`
	const arriving = `
		-- name: piece.arriving
		SELECT e.id, e.from_id, e.to_id, e.label, e.version, e.created_version, e.at, e.created_at, e.by, e.created_by, NULL::json, e.body
		FROM unnest($2::uuid[], $3::text[]) w(id, label)
		CROSS JOIN LATERAL (SELECT * FROM edges e WHERE e.graph = $1 AND e.to_id = w.id AND e.label = w.label AND NOT e.deleted OFFSET 0) e`
	const arrivingAll = `
		-- name: piece.arrivingAll
		SELECT e.id, e.from_id, e.to_id, e.label, e.version, e.created_version, e.at, e.created_at, e.by, e.created_by, NULL::json, e.body
		FROM unnest($2::uuid[]) w
		CROSS JOIN LATERAL (SELECT * FROM edges e WHERE e.graph = $1 AND e.to_id = w AND NOT e.deleted OFFSET 0) e`
	const edges = `
		-- name: piece.edges
		SELECT e.from_id
		FROM unnest($2::uuid[]) w
		CROSS JOIN LATERAL (SELECT e.from_id FROM edges e WHERE e.graph = $1 AND e.id = w AND NOT e.deleted LIMIT 1) e`
	batch := &pgx.Batch{}
	if len(want.Types) > 0 {
		batch.Queue(types, g, want.Types).Query(p.addObjects)
	}
	var to, every [][16]byte
	var labels []string
	for _, w := range want.In {
		if w.Label == "" {
			every = append(every, w.To)
		} else {
			to, labels = append(to, w.To), append(labels, w.Label)
		}
	}
	far := func(e *graph.Edge) { p.need(e.From) }
	if len(to) > 0 {
		batch.Queue(arriving, g, to, labels).Query(p.addEdges(far))
	}
	if len(every) > 0 {
		batch.Queue(arrivingAll, g, every).Query(p.addEdges(far))
	}
	if len(want.Edges) > 0 {
		ids := make([][16]byte, len(want.Edges))
		for i, id := range want.Edges {
			ids[i] = id
		}
		batch.Queue(edges, g, ids).Query(func(rows pgx.Rows) error {
			found, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
			for _, id := range found {
				p.need(id)
			}
			return err
		})
	}
	if batch.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, batch).Close()
}

// objects reads the objects that are named and not read yet, and the edges that
// leave all of them.
func (p *pieceReader) objects(ctx context.Context, tx pgx.Tx, g graph.GraphKey) error {
	const objects = `
		-- name: piece.objects
		SELECT o.id, NULL::uuid, NULL::uuid, o.type, o.version, o.created_version, o.at, o.created_at, o.by, o.created_by, o.access, o.body
		FROM unnest($2::uuid[]) w
		CROSS JOIN LATERAL (SELECT * FROM objects o WHERE o.graph = $1 AND o.id = w AND NOT o.deleted LIMIT 1) o`
	const leaving = `
		-- name: piece.leaving
		SELECT e.id, e.from_id, e.to_id, e.label, e.version, e.created_version, e.at, e.created_at, e.by, e.created_by, NULL::json, e.body
		FROM unnest($2::uuid[]) w
		CROSS JOIN LATERAL (SELECT * FROM edges e WHERE e.graph = $1 AND e.from_id = w AND NOT e.deleted OFFSET 0) e`
	if len(p.ids) == 0 {
		return nil
	}
	all, missing := make([][16]byte, 0, len(p.ids)), make([][16]byte, 0, len(p.ids))
	for id, read := range p.ids {
		all = append(all, id)
		if !read {
			missing = append(missing, id)
		}
	}
	batch := &pgx.Batch{}
	if len(missing) > 0 {
		batch.Queue(objects, g, missing).Query(p.addObjects)
	}
	batch.Queue(leaving, g, all).Query(p.addEdges(nil))
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	p.piece.Edges = make([]*graph.Edge, 0, len(p.edges))
	for _, e := range p.edges {
		p.piece.Edges = append(p.piece.Edges, e)
	}
	return nil
}

func (p *pieceReader) need(id graph.ObjectID) {
	if _, named := p.ids[id]; !named {
		p.ids[id] = false
	}
}

// addObjects takes objects that were not read before.
func (p *pieceReader) addObjects(rows pgx.Rows) error {
	_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var e entity
		if err := row.Scan(e.targets()...); err != nil {
			return struct{}{}, err
		}
		o, err := e.object()
		if err == nil && !p.ids[o.ID] {
			p.ids[o.ID] = true
			p.piece.Objects = append(p.piece.Objects, o)
		}
		return struct{}{}, err
	})
	return err
}

// addEdges takes edges, which may come twice, and tells of each.
func (p *pieceReader) addEdges(tell func(*graph.Edge)) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
			var e entity
			if err := row.Scan(e.targets()...); err != nil {
				return struct{}{}, err
			}
			edge, err := e.edge()
			if err == nil {
				p.edges[edge.ID] = edge
				if tell != nil {
					tell(edge)
				}
			}
			return struct{}{}, err
		})
		return err
	}
}

// Befores gives the states that entities had right before a version.
func (s *Store) Befores(ctx context.Context, g graph.GraphKey, asked []graph.RefVersion) ([]graph.Snapshot, error) {
	const sql = `
		-- name: befores
		SELECT b.id, b.from_id, b.to_id, b.type, b.version, b.created_version, b.at, b.created_at, b.by, b.created_by, b.access,
			CASE WHEN b.delta IS NULL THEN b.body ELSE history_body(b.graph, b.kind, b.id, b.version) END, w.n, b.what
		FROM unnest($2::smallint[], $3::uuid[], $4::bigint[]) WITH ORDINALITY AS w(kind, id, version, n)
		CROSS JOIN LATERAL (
			SELECT * FROM history b
			WHERE b.graph = $1 AND b.kind = w.kind AND b.id = w.id AND b.version < w.version
			ORDER BY b.version DESC LIMIT 1
		) b`
	// The first row of an entity's history that is left: where it made the
	// entity, history is whole; where it did not, what was before it is gone.
	const lost = `
		-- name: befores.lost
		SELECT w.n
		FROM unnest($2::smallint[], $3::uuid[], $4::bigint[]) WITH ORDINALITY AS w(kind, id, version, n)
		CROSS JOIN LATERAL (
			SELECT b.created_version, b.version FROM history b
			WHERE b.graph = $1 AND b.kind = w.kind AND b.id = w.id
			ORDER BY b.version LIMIT 1
		) b
		WHERE b.version >= w.version AND b.created_version < w.version`
	const known = `
		-- name: befores.known
		SELECT FROM graphs WHERE key = $1 AND name IS NOT NULL`
	kinds, ids, versions := make([]int16, len(asked)), make([][16]byte, len(asked)), make([]int64, len(asked))
	for i, a := range asked {
		kinds[i], ids[i], versions[i] = int16(a.Ref.Kind), a.Ref.ID, int64(a.Version)
	}
	var out []graph.Snapshot
	err := s.read(ctx, "read what entities were before", func(conn *pgx.Conn) error {
		out = make([]graph.Snapshot, len(asked))
		batch := &pgx.Batch{}
		batch.Queue(known, g).QueryRow(func(row pgx.Row) error {
			err := row.Scan()
			if errors.Is(err, pgx.ErrNoRows) {
				return graph.NotFound("graph")
			}
			return err
		})
		batch.Queue(sql, g, kinds, ids, versions).Query(func(rows pgx.Rows) error {
			_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
				var e entity
				var n int
				var what int16
				if err := row.Scan(append(e.targets(), &n, &what)...); err != nil {
					return struct{}{}, err
				}
				if graph.Event(what&eventMask) == graph.Deleted {
					return struct{}{}, nil
				}
				snap := &out[n-1]
				snap.At = e.Version
				var err error
				snap.Object, snap.Edge, err = e.state(asked[n-1].Ref.Kind)
				return struct{}{}, err
			})
			return err
		})
		batch.Queue(lost, g, kinds, ids, versions).Query(func(rows pgx.Rows) error {
			missing, err := pgx.CollectRows(rows, pgx.RowTo[int])
			if err == nil && len(missing) > 0 {
				a := asked[missing[0]-1]
				err = graph.Errf(graph.CodeGone, "the history of %s %s does not reach back before version %d", a.Ref.Kind, a.Ref.IDString(), a.Version)
			}
			return err
		})
		return conn.SendBatch(ctx, batch).Close()
	})
	return out, err
}

// Types gives the types of objects that are there or were once: the row of a
// deleted object stays.
func (s *Store) Types(ctx context.Context, g graph.GraphKey, ids []graph.ObjectID) (map[graph.ObjectID]string, error) {
	const known = `
		-- name: types.known
		SELECT FROM graphs WHERE key = $1 AND name IS NOT NULL`
	const types = `
		-- name: types
		SELECT id, type FROM objects WHERE graph = $1 AND id = ANY($2::uuid[])`
	asked := make([][16]byte, len(ids))
	for i, id := range ids {
		asked[i] = id
	}
	var out map[graph.ObjectID]string
	err := s.read(ctx, "read the types of objects", func(conn *pgx.Conn) error {
		out = make(map[graph.ObjectID]string, len(ids))
		batch := &pgx.Batch{}
		batch.Queue(known, g).QueryRow(oneGraph)
		batch.Queue(types, g, asked).Query(func(rows pgx.Rows) error {
			var id [16]byte
			var typ string
			_, err := pgx.ForEachRow(rows, []any{&id, &typ}, func() error {
				out[id] = typ
				return nil
			})
			return err
		})
		return conn.SendBatch(ctx, batch).Close()
	})
	return out, err
}

// Trail calls fn for everything that a stretch of the log touched.
func (s *Store) Trail(ctx context.Context, g graph.GraphKey, since, until graph.Version, fn func(graph.Foot)) error {
	const sql = `
		-- name: trail
		SELECT version, kind, id, from_id, to_id, type, what FROM history
		WHERE graph = $1 AND version > $2 AND version <= $3`
	return s.within(ctx, fmt.Sprintf("read what was touched after %d", since), readOnly, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sql, g, since, until)
		if err != nil {
			return err
		}
		var f graph.Foot
		var from, to *[16]byte
		var what int16
		_, err = pgx.ForEachRow(rows, []any{&f.Version, &f.Ref.Kind, &f.Ref.ID, &from, &to, &f.Type, &what}, func() error {
			f.Event, f.From, f.To = graph.Event(what&eventMask), graph.ObjectID{}, graph.ObjectID{}
			if from != nil && to != nil {
				f.From, f.To = *from, *to
			}
			fn(f)
			return nil
		})
		if err != nil {
			return err
		}
		// Last: a compaction raises the floor before it removes anything.
		_, floor, err := headIn(ctx, tx, g)
		if err == nil && since < floor {
			err = graph.Errf(graph.CodeGone, "the log begins after version %d", floor)
		}
		return err
	})
}
