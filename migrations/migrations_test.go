package migrations_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/internal/testdb"
	"github.com/graphtide/graphtide/migrations"
)

func TestMain(m *testing.M) { testdb.Main(m) }

func exec(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// tables counts what is left beside goose's own table.
func tables(t *testing.T, url string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	const sql = `
		SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'goose%')
		     + (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)
		     + (SELECT count(*) FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typname NOT LIKE '%goose%')`
	if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNodesMayMigrateAtOnce(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	if err := migrations.Check(t.Context(), url); !errors.Is(err, migrations.ErrOlder) {
		t.Errorf("an empty database: %v", err)
	}
	var nodes sync.WaitGroup
	for range 3 {
		nodes.Go(func() {
			if err := migrations.Up(t.Context(), url); err != nil {
				t.Error(err)
			}
		})
	}
	nodes.Wait()
	if err := migrations.Check(t.Context(), url); err != nil {
		t.Errorf("after Up: %v", err)
	}
}

func TestMigrationsGoDownToNothingAndUpAgain(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	for range 2 {
		if err := migrations.Up(t.Context(), url); err != nil {
			t.Fatal(err)
		}
		if tables(t, url) == 0 {
			t.Fatal("Up made nothing")
		}
		if err := migrations.DownTo(t.Context(), url, 0); err != nil {
			t.Fatal(err)
		}
		if n := tables(t, url); n != 0 {
			t.Errorf("%d tables, types and functions are left after Down", n)
		}
	}
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	if err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	exec(t, url, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`)
	if err := migrations.Check(t.Context(), url); !errors.Is(err, migrations.ErrNewer) {
		t.Errorf("Check: %v", err)
	}
	if err := migrations.Up(t.Context(), url); !errors.Is(err, migrations.ErrNewer) {
		t.Errorf("Up: %v", err)
	}
}
