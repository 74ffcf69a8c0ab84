package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Failed is failed, for the tests.
var Failed = failed

// Greet is greet, for the tests.
func (s *Store) Greet(ctx context.Context, conn *pgx.Conn) error { return s.greet(ctx, conn) }

// Reach has the server be seen further on.
func (s *Store) Reach(wal int64) { s.passed.reach(wal) }
