package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Setting gives a setting of the database server, as SHOW would; "" for one
// that it does not have.
func (s *Store) Setting(ctx context.Context, name string) (string, error) {
	const sql = `-- name: setting
SELECT coalesce(current_setting($1, true), '')`
	rows, err := s.pool.Query(ctx, sql, name)
	if err != nil {
		return "", failed("read a setting", err)
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
}
