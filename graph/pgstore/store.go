package pgstore

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/graphtide/graphtide/graph"
)

// DefaultMaxConns is how many connections a Store opens at most. One append is
// under way per graph and node; the rest are reads and runs.
const DefaultMaxConns = 16

// Config says how to reach the database.
type Config struct {
	// URL is a connection string of libpq's. Its own settings win over ours.
	URL string
	// MaxConns bounds the pool; 0 is DefaultMaxConns.
	MaxConns int32
	// Name tells this process in the database's list of connections; it stands
	// after "graphtide".
	Name string
	// Log takes what an operator should know; nil is slog's default.
	Log *slog.Logger
}

// Store is a graph.Store in Postgres.
type Store struct {
	pool   *pgxpool.Pool
	log    *slog.Logger
	passed passed
}

var _ graph.Store = (*Store)(nil)

// Open connects to a migrated database. CodeUnavailable where it cannot be
// reached now.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s := &Store{log: cfg.Log}
	if s.log == nil {
		s.log = slog.Default()
	}
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("read the database's address: %w", err)
	}
	pc.MaxConns = cfg.MaxConns
	if pc.MaxConns == 0 {
		pc.MaxConns = DefaultMaxConns
	}
	pc.MaxConnIdleTime = 5 * time.Minute
	settle(pc.ConnConfig, cfg.Name)
	pc.AfterConnect = s.greet
	if s.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return nil, fmt.Errorf("read the database's address: %w", err)
	}
	first, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := s.pool.Ping(first); err != nil {
		s.pool.Close()
		return nil, failed("connect to the database", err)
	}
	return s, nil
}

// openTimeout bounds the making of the first connection. A node that starts has nobody
// waiting who could come back, as a request has: it gives a busy machine time.
const openTimeout = 30 * time.Second

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, "ping", func(conn *pgx.Conn) error { return conn.Ping(ctx) })
}

// Close waits for what is under way and closes the connections.
func (s *Store) Close() { s.pool.Close() }

// Pool is the Store's pool, for metrics.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// acquireTimeout bounds the waiting for a connection: a caller is told to come
// back rather than queued without end.
const acquireTimeout = 2 * time.Second

// acquire gives a connection of the pool; the caller releases it.
func (s *Store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	bounded, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	conn, err := s.pool.Acquire(bounded)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("wait for a connection: %w", err)
		}
		if bounded.Err() != nil {
			return nil, unavailable("every connection to the database is busy", err)
		}
		return nil, failed("connect to the database", err)
	}
	return conn, nil
}

// read runs fn on a connection of the pool. fn only reads, and starts anew when
// it is called again.
func (s *Store) read(ctx context.Context, act string, fn func(*pgx.Conn) error) error {
	return s.use(ctx, act, fn, func() bool { return true })
}

// within runs fn in a transaction on a connection of the pool and commits it
// unless fn fails.
func (s *Store) within(ctx context.Context, act string, opt pgx.TxOptions, fn func(pgx.Tx) error) error {
	begun := false
	run := func(conn *pgx.Conn) error {
		return pgx.BeginTxFunc(ctx, conn, opt, func(tx pgx.Tx) error {
			begun = true
			return fn(tx)
		})
	}
	return s.use(ctx, act, run, func() bool { return !begun })
}

// use runs fn on a connection of the pool. When the server goes away, every
// connection of the pool dies, and each is found out by using it: then the pool
// is cleared, and fn gets another one, once, if it may be repeated.
func (s *Store) use(ctx context.Context, act string, fn func(*pgx.Conn) error, repeat func() bool) error {
	for tries := 1; ; tries++ {
		conn, err := s.acquire(ctx)
		if err != nil {
			return err
		}
		err = fn(conn.Conn())
		dead := s.bury(conn)
		conn.Release()
		if err == nil || !dead || tries == 2 || ctx.Err() != nil || !repeat() {
			return failed(act, err)
		}
	}
}

// bury clears the pool where a connection of it turned out to be dead.
func (s *Store) bury(conn *pgxpool.Conn) (dead bool) {
	if dead = conn.Conn().IsClosed(); dead {
		s.pool.Reset()
	}
	return dead
}
