package pgstore

import (
	"context"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A database that is not the one it was (a restored backup, a standby that took
// over) may have lost the end of the logs. Each new connection therefore looks
// who is there. It shows in two ways:
//
//   - the server's identifier and timeline, beside those that the database
//     remembers: a standby that was promoted and a backup that was recovered begin
//     a timeline;
//   - the end of the write-ahead log, beside the furthest that this process has
//     seen of that server: a copy of the files that was put back shows its age.
//
// Either way every graph gets a new epoch before the connection is used, so that
// nobody goes on from a version that may now be another's. A standby is no server
// to us at all: a connection to it would outlive its promotion.

// place is a point in the life of a server.
type place struct {
	origin string // identifier and timeline
	wal    int64  // how much of its write-ahead log is on disk
}

// passed is the furthest place that this process has seen.
type passed struct {
	mu sync.Mutex // guards at
	at place
}

// note remembers a place, unless it was passed already.
func (p *passed) note(at place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.origin != p.at.origin || at.wal > p.at.wal {
		p.at = at
	}
}

// reach remembers how far the server of the last place has come.
func (p *passed) reach(wal int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at.wal = max(p.at.wal, wal)
}

// furthest gives the furthest place so far.
func (p *passed) furthest() place {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// accept takes a place for the furthest, where seen still is.
func (p *passed) accept(seen, at place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == seen {
		p.at = at
	}
}

// meet compares the server behind a new connection with what is remembered; last
// is what the database remembers.
func (s *Store) meet(ctx context.Context, conn *pgx.Conn, last *string) error {
	// What was seen before the question is sent: while its answer is on the way
	// others get further, which says nothing of this server.
	seen := s.passed.furthest()
	at, err := placeOf(ctx, conn)
	if err != nil || at.origin == "" {
		return err
	}
	switch {
	case last == nil || *last != at.origin:
		err = s.arrive(ctx, conn, last, at.origin)
	case at.origin == seen.origin && at.wal < seen.wal:
		// Connections that are opened at the same time each find it so, and each
		// make new epochs: none of them is used before.
		if err = renew(ctx, conn); err == nil {
			s.log.WarnContext(ctx, "the database is an older state of itself; every graph has a new epoch", "origin", at.origin)
			s.passed.accept(seen, at)
		}
	}
	if err == nil {
		s.passed.note(at)
	}
	return err
}

// placeOf tells where the server is. No origin: it does not tell us.
func placeOf(ctx context.Context, conn *pgx.Conn) (at place, err error) {
	const sql = `
		-- name: placeOf
		SELECT system_identifier || '/' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8), (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint
		FROM pg_control_system()`
	err = conn.QueryRow(ctx, sql).Scan(&at.origin, &at.wal)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42501" { // we may not ask
		return place{}, nil
	}
	return at, err
}

// arrive notes another server, once for all who meet it.
func (s *Store) arrive(ctx context.Context, conn *pgx.Conn, last *string, origin string) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		const note = `
			-- name: arrive
			UPDATE server SET origin = $1 WHERE origin IS NOT DISTINCT FROM $2`
		tag, err := tx.Exec(ctx, note, origin, last)
		if err != nil || tag.RowsAffected() == 0 || last == nil {
			return err
		}
		if err := renew(ctx, tx); err != nil {
			return err
		}
		s.log.WarnContext(ctx, "the database is another than before; every graph has a new epoch", "was", *last, "is", origin)
		return nil
	})
}

// renew gives every graph a new epoch.
func renew(ctx context.Context, db interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}) error {
	const sql = `
		-- name: renew
		UPDATE graphs SET epoch = left(replace(gen_random_uuid()::text, '-', ''), 16)`
	_, err := db.Exec(ctx, sql)
	return err
}
