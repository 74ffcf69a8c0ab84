package pgstore

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

// thinStep is how many versions one statement of Thin looks at.
const thinStep = 100

// Thin stores the history of types that keep a snapshot with every k-th version
// as what differs from the version before it, but for these. Reads give the same
// bytes as before. every has k by type; versions younger than grace are left as
// they are, for they are read most. It works in short steps and stops none of
// the writers; several nodes may call it at once.
func (s *Store) Thin(ctx context.Context, every map[string]int, grace time.Duration) error {
	const behind = `
		-- name: thin.graphs
		SELECT g.key FROM graphs g
		LEFT JOIN history_thinned t ON t.graph = g.key AND t.type = $1
		WHERE g.name IS NOT NULL AND g.version > coalesce(t.version, 0)
		ORDER BY g.key`
	const thin = `
		-- name: thin
		SELECT history_thin($1, $2, $3, $4, $5)`
	before := time.Now().Add(-grace)
	for _, typ := range slices.Sorted(maps.Keys(every)) {
		if every[typ] <= 1 {
			continue
		}
		var graphs []graph.GraphKey
		err := s.read(ctx, "look for history to thin", func(conn *pgx.Conn) (err error) {
			rows, _ := conn.Query(ctx, behind, typ) // the collector gives its error
			graphs, err = pgx.CollectRows(rows, pgx.RowTo[graph.GraphKey])
			return err
		})
		if err != nil {
			return err
		}
		for _, g := range graphs {
			for seen := thinStep; seen == thinStep; {
				err := s.within(ctx, "thin history", pgx.TxOptions{}, func(tx pgx.Tx) error {
					return tx.QueryRow(ctx, thin, g, typ, every[typ], before, thinStep).Scan(&seen)
				})
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}
