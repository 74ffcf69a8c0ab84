package pgstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

// purgeStep is how many rows one statement of a purge removes: short enough to
// be in nobody's way.
const purgeStep = 5000

// Purge removes the rows of deleted graphs, in steps, and returns when none are
// left. Several nodes may purge at once. Cut off, it goes on at the next call.
func (s *Store) Purge(ctx context.Context) error {
	const next = `
		-- name: purge.next
		SELECT key FROM graphs WHERE name IS NULL ORDER BY key LIMIT 1`
	const done = `
		-- name: purge.done
		DELETE FROM graphs WHERE key = $1 AND name IS NULL`
	for {
		var key graph.GraphKey
		err := s.within(ctx, "find a graph to purge", pgx.TxOptions{}, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, next).Scan(&key)
		})
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, sql := range purges {
			if err := s.purge(ctx, sql, key); err != nil {
				return err
			}
		}
		err = s.within(ctx, "purge a graph", pgx.TxOptions{}, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, done, key)
			return err
		})
		if err != nil {
			return err
		}
	}
}

// purges are the statements that empty a graph, in the order in which they run.
// Each removes up to $2 rows.
var purges = []string{
	`-- name: purge.hops
	DELETE FROM run_hops WHERE graph = $1 AND ctid = ANY (ARRAY(SELECT ctid FROM run_hops WHERE graph = $1 LIMIT $2))`,
	`-- name: purge.runs
	DELETE FROM runs WHERE graph = $1 AND ctid = ANY (ARRAY(SELECT ctid FROM runs WHERE graph = $1 LIMIT $2))`,
	`-- name: purge.faults
	DELETE FROM rule_faults WHERE graph = $1 AND ctid = ANY (ARRAY(SELECT ctid FROM rule_faults WHERE graph = $1 LIMIT $2))`,
	`-- name: purge.pauses
	DELETE FROM rule_pauses WHERE graph = $1 AND ctid = ANY (ARRAY(SELECT ctid FROM rule_pauses WHERE graph = $1 LIMIT $2))`,
	`-- name: purge.cursor
	DELETE FROM run_cursors WHERE graph = $1 AND ctid = ANY (ARRAY(SELECT ctid FROM run_cursors WHERE graph = $1 LIMIT $2))`,
	`-- name: purge.thinned
	DELETE FROM history_thinned WHERE graph = $1 AND ctid = ANY (ARRAY(SELECT ctid FROM history_thinned WHERE graph = $1 LIMIT $2))`,
	`-- name: purge.history
	DELETE FROM history WHERE graph = $1 AND ctid = ANY (ARRAY(SELECT ctid FROM history WHERE graph = $1 LIMIT $2))`,
	`-- name: purge.idle
	DELETE FROM idle_keys WHERE graph = $1 AND ctid = ANY (ARRAY(SELECT ctid FROM idle_keys WHERE graph = $1 LIMIT $2))`,
	`-- name: purge.commits
	DELETE FROM commits WHERE graph = $1 AND ctid = ANY (ARRAY(SELECT ctid FROM commits WHERE graph = $1 LIMIT $2))`,
	`-- name: purge.edges
	DELETE FROM edges WHERE graph = $1 AND ctid = ANY (ARRAY(SELECT ctid FROM edges WHERE graph = $1 LIMIT $2))`,
	`-- name: purge.objects
	DELETE FROM objects WHERE graph = $1 AND ctid = ANY (ARRAY(SELECT ctid FROM objects WHERE graph = $1 LIMIT $2))`,
}

func (s *Store) purge(ctx context.Context, sql string, key graph.GraphKey) error {
	for {
		var removed int64
		err := s.within(ctx, "purge a graph", pgx.TxOptions{}, func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, sql, key, purgeStep)
			removed = tag.RowsAffected()
			return err
		})
		if err != nil || removed < purgeStep {
			return err
		}
	}
}
