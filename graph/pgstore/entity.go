package pgstore

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

// EntityAt gives an entity as of a version. CodeInvalidVersion beyond the head,
// CodeGone where the entity's history does not reach back.
func (s *Store) EntityAt(ctx context.Context, g graph.GraphKey, ref graph.Ref, at graph.Version) (snap graph.Snapshot, err error) {
	const head = `
		-- name: entityAt.head
		SELECT version FROM graphs WHERE key = $1 AND name IS NOT NULL`
	const entity = `
		-- name: entityAt
		SELECT h.id, h.from_id, h.to_id, h.type, h.version, h.created_version, h.at, h.created_at, h.by, h.created_by, h.access,
			CASE WHEN h.delta IS NULL THEN h.body ELSE history_body(h.graph, h.kind, h.id, h.version) END,
			h.kind, h.what, p.version, p.at, p.by, p.access, p.body
		FROM history h
		LEFT JOIN LATERAL (
			SELECT p.version, p.at, p.by, p.access, CASE WHEN p.delta IS NULL THEN p.body ELSE history_body(p.graph, p.kind, p.id, p.version) END AS body FROM history p
			WHERE p.graph = h.graph AND p.kind = h.kind AND p.id = h.id AND p.version < h.version
			ORDER BY p.version DESC LIMIT 1
		) p ON h.what & 3 = 3
		WHERE h.graph = $1 AND h.kind = $2 AND h.id = $3 AND h.version <= $4
		ORDER BY h.version DESC LIMIT 1`
	// An entity that was there by then and has no row of history lost it to the
	// retention of its type; but one that was deleted by then is just not there.
	const lost = `
		-- name: entityAt.lost
		SELECT EXISTS (SELECT FROM objects WHERE $2 = 0 AND graph = $1 AND id = $3 AND created_version <= $4 AND NOT (deleted AND version <= $4))
			OR EXISTS (SELECT FROM edges WHERE $2 = 1 AND graph = $1 AND id = $3 AND created_version <= $4 AND NOT (deleted AND version <= $4))`
	act := fmt.Sprintf("read %s %s at version %d", ref.Kind, ref.IDString(), at)
	err = s.read(ctx, act, func(conn *pgx.Conn) error {
		found := false
		batch := &pgx.Batch{}
		batch.Queue(head, g).QueryRow(func(row pgx.Row) error {
			var version graph.Version
			err := row.Scan(&version)
			if errors.Is(err, pgx.ErrNoRows) {
				return graph.NotFound("graph")
			}
			if err != nil {
				return err
			}
			return reachable(at, version, 0)
		})
		batch.Queue(entity, g, int16(ref.Kind), ref.ID, at).Query(func(rows pgx.Rows) error {
			p, err := pgx.CollectOneRow(rows, func(row pgx.CollectableRow) (p past, err error) {
				return p, scanPast(row, &p)
			})
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			found = true
			snap, err = p.snapshot()
			return err
		})
		batch.Queue(lost, g, int32(ref.Kind), ref.ID, at).QueryRow(func(row pgx.Row) error {
			var there bool
			if err := row.Scan(&there); err != nil {
				return err
			}
			if there && !found {
				return graph.Errf(graph.CodeGone, "the history of %s %s does not reach back to version %d", ref.Kind, ref.IDString(), at)
			}
			return nil
		})
		return conn.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return graph.Snapshot{}, err
	}
	return snap, nil
}

// History gives versions of an entity below before (0: no bound), newest first.
func (s *Store) History(ctx context.Context, g graph.GraphKey, ref graph.Ref, before graph.Version, limit int) ([]*graph.HistoryEntry, error) {
	const exists = `
		-- name: history.graph
		SELECT FROM graphs WHERE key = $1 AND name IS NOT NULL`
	const sql = `
		-- name: history
		SELECT h.id, h.from_id, h.to_id, h.type, h.version, h.created_version, h.at, h.created_at, h.by, h.created_by, h.access,
			CASE WHEN h.delta IS NULL THEN h.body ELSE history_body(h.graph, h.kind, h.id, h.version) END,
			h.kind, h.what, p.version, p.at, p.by, p.access, p.body,
			c.schema_version, c.cause_version, c.depth, c.epoch, c.mutation, c.session, c.grp, c.note,
			c.cause, c.cause_run, c.hash, c.principals, CASE WHEN h.what & 3 = 2 THEN coalesce(c.done, c.asked) END
		FROM history h
		LEFT JOIN LATERAL (
			SELECT p.version, p.at, p.by, p.access, CASE WHEN p.delta IS NULL THEN p.body ELSE history_body(p.graph, p.kind, p.id, p.version) END AS body FROM history p
			WHERE p.graph = h.graph AND p.kind = h.kind AND p.id = h.id AND p.version < h.version
			ORDER BY p.version DESC LIMIT 1
		) p ON h.what & 3 = 3
		CROSS JOIN LATERAL (SELECT * FROM commits c WHERE c.graph = h.graph AND c.version = h.version LIMIT 1) c
		WHERE h.graph = $1 AND h.kind = $2 AND h.id = $3 AND h.version < $4
		ORDER BY h.version DESC LIMIT $5`
	if limit <= 0 {
		return nil, nil
	}
	if before <= 0 {
		before = math.MaxInt64
	}
	var out []*graph.HistoryEntry
	act := fmt.Sprintf("read the history of %s %s", ref.Kind, ref.IDString())
	err := s.read(ctx, act, func(conn *pgx.Conn) error {
		batch := &pgx.Batch{}
		batch.Queue(exists, g).QueryRow(oneGraph)
		batch.Queue(sql, g, int16(ref.Kind), ref.ID, before, limit).Query(func(rows pgx.Rows) (err error) {
			out, err = pgx.CollectRows(rows, scanHistory)
			return err
		})
		return conn.SendBatch(ctx, batch).Close()
	})
	return out, err
}

// scanHistory reads a row with the columns of history.
func scanHistory(row pgx.CollectableRow) (*graph.HistoryEntry, error) {
	var p past
	var c graph.Commit
	var causeVersion *graph.Version
	var session, group, note, run *string
	var who, done []byte
	err := scanPast(row, &p, &c.SchemaVer, &causeVersion, &c.Depth, &c.Epoch, &c.Mutation, &session, &group, &note,
		&c.Cause.Kind, &run, &c.Hash, &who, &done)
	if err != nil {
		return nil, err
	}
	c.Version, c.At = p.Version, p.At.UTC()
	c.Session, c.Group, c.Note, c.Cause.Run = orEmpty(session), orEmpty(group), orEmpty(note), orEmpty(run)
	if causeVersion != nil {
		c.Cause.Version = *causeVersion
	}
	if c.Author, err = parsePrincipals(p.By, who); err != nil {
		return nil, err
	}
	e := &graph.HistoryEntry{Commit: &c}
	if done != nil {
		parts, err := partsOf(done)
		if err != nil {
			return nil, fmt.Errorf("read what version %d did: %w", c.Version, err)
		}
		e.Patch = parts[graph.Ref{Kind: p.kind, ID: p.ID}]
	}
	e.Snapshot, err = p.snapshot()
	return e, err
}
