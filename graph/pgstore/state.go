package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

// page is how many entities are read at once while a state is streamed: a short
// statement, and a bounded piece of memory.
const page = 2000

// State streams the present state and returns the head it belongs to: all of it
// is one snapshot of the database.
func (s *Store) State(ctx context.Context, g graph.GraphKey, fn graph.StateFunc) (head graph.Head, err error) {
	const objects = `
		-- name: state.objects
		SELECT id, NULL::uuid, NULL::uuid, type, version, created_version, at, created_at, by, created_by, access, body
		FROM objects
		WHERE graph = $1 AND id > $2 AND NOT deleted
		ORDER BY id LIMIT $3`
	const edges = `
		-- name: state.edges
		SELECT id, from_id, to_id, label, version, created_version, at, created_at, by, created_by, NULL::json, body
		FROM edges
		WHERE graph = $1 AND id > $2 AND NOT deleted
		ORDER BY id LIMIT $3`
	err = s.within(ctx, "read the state", readOnly, func(tx pgx.Tx) error {
		info, _, err := headIn(ctx, tx, g)
		if err != nil {
			return err
		}
		head = info
		return stream(ctx, tx, fn, objects, edges, g)
	})
	return head, err
}

// StateAt streams the state at a version.
func (s *Store) StateAt(ctx context.Context, g graph.GraphKey, at graph.Version, fn graph.StateFunc) (head graph.Head, err error) {
	// From each entity that there ever was, one probe for its last row at or
	// before the version: the cost is that of the entities, not of their history.
	const objects = `
		-- name: stateAt.objects
		SELECT h.id, h.from_id, h.to_id, h.type, h.version, h.created_version, h.at, h.created_at, h.by, h.created_by, h.access,
			CASE WHEN h.delta IS NULL THEN h.body ELSE history_body(h.graph, h.kind, h.id, h.version) END
		FROM objects o
		CROSS JOIN LATERAL (
			SELECT * FROM history h
			WHERE h.graph = $1 AND h.kind = 0 AND h.id = o.id AND h.version <= $4
			ORDER BY h.version DESC LIMIT 1
		) h
		WHERE o.graph = $1 AND o.id > $2 AND o.created_version <= $4 AND h.what & 3 <> 3
		ORDER BY o.id LIMIT $3`
	const edges = `
		-- name: stateAt.edges
		SELECT h.id, h.from_id, h.to_id, h.type, h.version, h.created_version, h.at, h.created_at, h.by, h.created_by, h.access,
			CASE WHEN h.delta IS NULL THEN h.body ELSE history_body(h.graph, h.kind, h.id, h.version) END
		FROM edges e
		CROSS JOIN LATERAL (
			SELECT * FROM history h
			WHERE h.graph = $1 AND h.kind = 1 AND h.id = e.id AND h.version <= $4
			ORDER BY h.version DESC LIMIT 1
		) h
		WHERE e.graph = $1 AND e.id > $2 AND e.created_version <= $4 AND h.what & 3 <> 3
		ORDER BY e.id LIMIT $3`
	const then = `
		-- name: stateAt.head
		SELECT at, schema_version FROM commits WHERE graph = $1 AND version = $2`
	err = s.within(ctx, "read a past state", readOnly, func(tx pgx.Tx) error {
		now, floor, err := headIn(ctx, tx, g)
		if err != nil {
			return err
		}
		if err := reachable(at, now.Version, floor); err != nil {
			return err
		}
		head = graph.Head{Version: at, Epoch: now.Epoch}
		if at == 0 {
			return nil
		}
		if err := tx.QueryRow(ctx, then, g, at).Scan(&head.At, &head.SchemaVer); err != nil {
			return err
		}
		head.At = head.At.UTC()
		return stream(ctx, tx, fn, objects, edges, g, at)
	})
	return head, err
}

// headIn gives the graph's head and the version below which history is gone.
func headIn(ctx context.Context, tx pgx.Tx, g graph.GraphKey) (head graph.Head, floor graph.Version, err error) {
	const sql = `
		-- name: headIn
		SELECT version, epoch, at, schema_version, floor FROM graphs WHERE key = $1 AND name IS NOT NULL`
	var at *time.Time
	err = tx.QueryRow(ctx, sql, g).Scan(&head.Version, &head.Epoch, &at, &head.SchemaVer, &floor)
	if errors.Is(err, pgx.ErrNoRows) {
		err = graph.NotFound("graph")
	}
	head.At = utc(at)
	return head, floor, err
}

// reachable refuses versions that the log has not reached, and those that
// history does not keep.
func reachable(at, head, floor graph.Version) error {
	if at < 0 || at > head {
		return graph.Errf(graph.CodeInvalidVersion, "there is no version %d yet; the last is %d", at, head)
	}
	if at < floor {
		return graph.Errf(graph.CodeGone, "history is kept from version %d on", floor)
	}
	return nil
}

// stream reads both statements page by page. Their parameters are the graph, the
// last id of the page before, the page's size, and more.
func stream(ctx context.Context, tx pgx.Tx, fn graph.StateFunc, objects, edges string, g graph.GraphKey, more ...any) error {
	err := pages(ctx, tx, objects, g, more, func(all []*entity) error {
		piece := make([]*graph.Object, len(all))
		for i, e := range all {
			var err error
			if piece[i], err = e.object(); err != nil {
				return err
			}
		}
		return fn(piece, nil)
	})
	if err != nil {
		return err
	}
	return pages(ctx, tx, edges, g, more, func(all []*entity) error {
		piece := make([]*graph.Edge, len(all))
		for i, e := range all {
			var err error
			if piece[i], err = e.edge(); err != nil {
				return err
			}
		}
		return fn(nil, piece)
	})
}

func pages(ctx context.Context, tx pgx.Tx, sql string, g graph.GraphKey, more []any, fn func([]*entity) error) error {
	// No entity has the zero id: it stands for "none" inside the server.
	var last [16]byte
	for {
		rows, err := tx.Query(ctx, sql, append([]any{g, last, page}, more...)...)
		if err != nil {
			return err
		}
		all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*entity, error) {
			e := new(entity)
			return e, row.Scan(e.targets()...)
		})
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return nil
		}
		if err := fn(all); err != nil {
			return err
		}
		if len(all) < page {
			return nil
		}
		last = all[len(all)-1].ID
	}
}
