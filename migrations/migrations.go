// Package migrations holds the database's shape as numbered SQL and brings a
// database to it.
//
// Several nodes may migrate at once: one does it under a lock of the database,
// the others wait and find it done. Each file is one transaction, so a migration
// that is cut off leaves the database at the last whole step. A file that has
// been released is never changed.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	_ "github.com/jackc/pgx/v5/stdlib" // database/sql, as goose wants it
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed *.sql
var files embed.FS

// Files are the migrations: NNNNN_name.sql.
func Files() fs.FS { return files }

// ErrOlder says that the database lacks migrations that this program has.
var ErrOlder = errors.New("the database is older than this program: run graphtide migrate")

// ErrNewer says that the database has migrations that this program does not
// know.
var ErrNewer = errors.New("the database is newer than this program: use the program that migrated it, or a newer one")

// Up brings the database at url to the newest shape. ErrNewer where it is beyond
// that.
func Up(ctx context.Context, url string) error {
	return with(url, func(db *sql.DB, p *goose.Provider) error {
		if err := check(ctx, db, p); !errors.Is(err, ErrOlder) {
			return err // nil where there is nothing to do: most nodes start so, and at once
		}
		done, err := p.Up(ctx)
		for _, r := range done {
			slog.DebugContext(ctx, "migrated the database", "file", r.Source.Path, "took", r.Duration)
		}
		if err != nil {
			return fmt.Errorf("migrate the database: %w", err)
		}
		return nil
	})
}

// DownTo takes migrations back until version is the last one; their data is
// lost.
func DownTo(ctx context.Context, url string, version int64) error {
	return with(url, func(_ *sql.DB, p *goose.Provider) error {
		if _, err := p.DownTo(ctx, version); err != nil {
			return fmt.Errorf("migrate the database down to %d: %w", version, err)
		}
		return nil
	})
}

// Check reports ErrOlder or ErrNewer where the database's shape is not this
// program's.
func Check(ctx context.Context, url string) error {
	return with(url, func(db *sql.DB, p *goose.Provider) error { return check(ctx, db, p) })
}

// with runs fn with the runner of our migrations.
func with(url string, fn func(*sql.DB, *goose.Provider) error) (err error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	// Advisory, of the session: freed by the database however we end. Tried once
	// a second for ten minutes.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600))
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	return fn(db, p)
}

// check compares the versions. It writes nothing, where goose's own look would
// make its table.
func check(ctx context.Context, db *sql.DB, p *goose.Provider) error {
	var have int64
	var migrated bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL`).Scan(&migrated); err != nil {
		return fmt.Errorf("look at the database: %w", err)
	}
	if migrated {
		if err := db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&have); err != nil {
			return fmt.Errorf("look at the database's version: %w", err)
		}
	}
	switch want := latest(p); {
	case have < want:
		return fmt.Errorf("%w (it is at migration %d of %d)", ErrOlder, have, want)
	case have > want:
		return fmt.Errorf("%w (it is at migration %d, this program knows %d)", ErrNewer, have, want)
	}
	return nil
}

func latest(p *goose.Provider) int64 {
	sources := p.ListSources()
	return sources[len(sources)-1].Version
}
