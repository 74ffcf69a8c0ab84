package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

// Named gives the versions of the commits of a mutation, whoever made them.
func (s *Store) Named(ctx context.Context, g graph.GraphKey, mutation string) ([]graph.Version, error) {
	const named = `
		-- name: find.named
		SELECT version FROM commits WHERE graph + 0 = $1 AND mutation = $2 ORDER BY version`
	return s.find(ctx, "mutation", named, g, mutation)
}

// Grouped gives the versions of the commits of a group.
func (s *Store) Grouped(ctx context.Context, g graph.GraphKey, group string) ([]graph.Version, error) {
	const grouped = `
		-- name: find.grouped
		SELECT version FROM commits WHERE graph = $1 AND grp = $2 ORDER BY version`
	return s.find(ctx, "group", grouped, g, group)
}

// Caused gives the versions of the commits that runs and operations made
// because of the causes.
func (s *Store) Caused(ctx context.Context, g graph.GraphKey, causes []graph.Version) ([]graph.Version, error) {
	const caused = `
		-- name: find.caused
		SELECT version FROM commits
		WHERE graph = $1 AND cause_version = ANY($2) AND cause IN ('run', 'operation')
		ORDER BY version`
	return s.find(ctx, "causes", caused, g, causes)
}

func (s *Store) find(ctx context.Context, by, sql string, g graph.GraphKey, arg any) (versions []graph.Version, err error) {
	err = s.read(ctx, "find commits by "+by, func(conn *pgx.Conn) (err error) {
		rows, _ := conn.Query(ctx, sql, g, arg) // the collector gives its error
		versions, err = pgx.CollectRows(rows, pgx.RowTo[graph.Version])
		return err
	})
	return versions, err
}
