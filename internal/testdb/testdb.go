// Package testdb gives tests a real database and a real Redis.
//
// A package that uses it says so in its TestMain:
//
//	func TestMain(m *testing.M) { testdb.Main(m) }
//
// One private Postgres then serves the whole test binary, started when a test
// first asks for it and gone when the tests are over; with
// GRAPHTIDE_TEST_DATABASE_URL set, a database of its own on that server does.
// Tests keep out of each other's way by having a graph of their own
// (GraphName), which costs nothing, and run in parallel.
package testdb

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/internal/embedded"
	"github.com/graphtide/graphtide/migrations"
)

// URLEnv names the variable with the address of a Postgres for tests. Its user
// must be allowed to make databases.
const URLEnv = "GRAPHTIDE_TEST_DATABASE_URL"

// RedisEnv names the variable with the address of a Redis for tests.
const RedisEnv = "GRAPHTIDE_TEST_REDIS_URL"

const startTimeout = 2 * time.Minute // a busy machine

var (
	mu    sync.Mutex // guards the fields below
	ready bool       // Main runs
	ends  []func() error

	postgres = sync.OnceValues(startPostgres)
	shared   = sync.OnceValues(func() (string, error) { return database(postgres) })
	model    = sync.OnceValues(func() (string, error) { return database(postgres) }) // nobody is connected to it
	redis    = sync.OnceValues(startRedis)
)

// Main runs the tests, takes down what they started, and exits.
func Main(m *testing.M) {
	mu.Lock()
	ready = true
	mu.Unlock()
	code := m.Run()
	mu.Lock()
	defer mu.Unlock()
	for i := len(ends) - 1; i >= 0; i-- {
		if err := ends[i](); err != nil {
			fmt.Fprintln(os.Stderr, "testdb:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// AtEnd has fn run when the tests are over, before what was started earlier is
// taken down.
func AtEnd(fn func() error) { atEnd(fn) }

func atEnd(fn func() error) {
	mu.Lock()
	defer mu.Unlock()
	ends = append(ends, fn)
}

// URL gives the address of a migrated database that the tests of the package
// share.
func URL(t testing.TB) string { return get(t, shared) }

// EmptyURL gives the address of a database of the test's own that nobody has
// migrated, for tests of migrations and of what concerns all graphs at once.
func EmptyURL(t testing.TB) string {
	t.Helper()
	return own(t, "template0")
}

// OwnURL gives the address of a migrated database of the test's own: a copy of
// one, for migrating takes longer.
func OwnURL(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(get(t, model))
	if err != nil {
		t.Fatal(err)
	}
	return own(t, strings.TrimPrefix(u.Path, "/"))
}

// own makes a database that is dropped with the test.
func own(t testing.TB, template string) string {
	t.Helper()
	server := get(t, postgres)
	u, err := createDatabase(server, template)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dropDatabase(server, u); err != nil {
			t.Error(err)
		}
	})
	return u
}

// Redis gives the address of a Redis that the tests of the package share, as
// redis.ParseURL takes it.
func Redis(t testing.TB) string { return get(t, redis) }

// GraphName gives a graph name that no other test has.
func GraphName(testing.TB) string { return "t-" + random() }

func get(t testing.TB, from func() (string, error)) string {
	t.Helper()
	mu.Lock()
	ok := ready
	mu.Unlock()
	if !ok {
		t.Fatal("the package's TestMain must call testdb.Main")
	}
	s, err := from()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func startPostgres() (string, error) {
	if u := os.Getenv(URLEnv); u != "" {
		return u, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	sweep()
	dir, err := os.MkdirTemp("", folders)
	if err != nil {
		return "", err
	}
	// Started by root, the database runs as another user, who must get there.
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	atEnd(func() error { return os.RemoveAll(dir) })
	p, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{DataDir: dir, NoSync: true})
	if err != nil {
		return "", err
	}
	atEnd(p.Stop)
	return p.URL(), nil
}

// database makes a migrated database that is dropped at the end.
func database(server func() (string, error)) (string, error) {
	s, err := server()
	if err != nil {
		return "", err
	}
	u, err := createDatabase(s, "template0")
	if err != nil {
		return "", err
	}
	atEnd(func() error { return dropDatabase(s, u) })
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	return u, migrations.Up(ctx, u)
}

func createDatabase(server, template string) (string, error) {
	name := "gt_test_" + random()
	if err := exec(server, `CREATE DATABASE `+name+` TEMPLATE `+template); err != nil {
		return "", err
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

func dropDatabase(server, database string) error {
	u, err := url.Parse(database)
	if err != nil {
		return err
	}
	return exec(server, `DROP DATABASE `+strings.TrimPrefix(u.Path, "/")+` WITH (FORCE)`)
}

func exec(server, sql string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

func startRedis() (string, error) {
	if u := os.Getenv(RedisEnv); u != "" {
		return u, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	r, err := embedded.StartRedis(ctx, embedded.RedisConfig{})
	if err != nil {
		return "", err
	}
	atEnd(r.Stop)
	return r.URL(), nil
}

func random() string {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}
