package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/internal/embedded"
	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/internal/testdb"
)

func TestDoctorFindsNothingWrongWithAGoodSetUp(t *testing.T) {
	t.Parallel()
	sh := newShell(t, "GRAPHTIDE_LISTEN=127.0.0.1:0")
	sh.run("doctor").ends(exitOK).says("ok    127.0.0.1:0 is free", "ok    Postgres ", "for graphtide dev")
	sh.with("GRAPHTIDE_JWT_SECRET=" + secret).run("doctor").ends(exitOK).says("ok    the JWT secret")
}

func TestDoctorNamesEachWrongThingAndItsMend(t *testing.T) {
	t.Parallel()
	sh := newShell(t, "GRAPHTIDE_LISTEN=127.0.0.1:0")
	wrong := func(sh shell, what, mend string, args ...string) {
		t.Helper()
		out := sh.run(plus([]string{"doctor"}, args...)...).ends(exitFailed, "wrong").stdout
		for line := range strings.Lines(out) {
			_, found, ok := strings.Cut(line, "WRONG ")
			if ok && strings.Contains(found, what) {
				if !strings.Contains(out, "mend: ") || !strings.Contains(out, mend) {
					t.Errorf("no mend %q for %q:\n%s", mend, what, out)
				}
				return
			}
		}
		t.Errorf("doctor %v does not find %q:\n%s", args, what, out)
	}

	// The machine.
	wrong(sh.with(embedded.BinEnv+"="+sh.dir), "no Postgres for graphtide dev", "install PostgreSQL")
	sh.write(".data/postgres/PG_VERSION", "9\n")
	wrong(sh, "made by Postgres 9", "install PostgreSQL")

	// The address.
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	taken := strings.TrimPrefix(other.URL, "http://")
	wrong(sh, taken+" cannot be listened on", "choose another with --listen", "--listen="+taken)
	wrong(sh, "host:port", "host:port", "--listen=7420")
	_, sv := sharedDev(t)
	newShell(t).run("doctor", "--listen="+strings.TrimPrefix(sv.url, "http://")).ends(exitOK).says("taken by a Graphtide that runs")

	// Tokens.
	wrong(sh, "the JWT secret has 5 bytes", "openssl rand", "--jwt-secret=short")
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"keys":[]}`)) }))
	defer keys.Close()
	wrong(sh, "no keys to check tokens with", "--jwks-url", "--jwks-url="+keys.URL)
	wrong(sh, "no keys to check tokens with", "--jwks-url", "--jwks-url="+other.URL)
	wrong(sh, "no keys to check tokens with", "--jwks-url", "--jwks-url=keys")

	// The schema.
	wrong(sh, "cannot be read", "see the error", "--schema=missing.yaml")
	sh.write("bad.yaml", "graphtide: 1\ntypes: {A: {extends: B}}\n")
	wrong(sh, "the schema has 1 fault(s)", "graphtide schema check", "--schema=bad.yaml")
	sh.write("hook.yaml", noteSchema+`rules:
  tell: {on: {object: Note, events: [create]}, handler: {webhook: "https://example.com", secret: "${env:NO_SUCH_SECRET}"}}
`)
	wrong(sh, "NO_SUCH_SECRET", "set it where", "--schema=hook.yaml")
}

func TestDoctorLooksAtTheDatabase(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	sh := newShell(t, "GRAPHTIDE_LISTEN=127.0.0.1:0", "GRAPHTIDE_DATABASE_URL="+url)
	sh.run("doctor").ends(exitFailed, "wrong").says("WRONG the database is older", "run graphtide migrate")
	sh.run("doctor", "--database-url=postgres://127.0.0.1:1/x").ends(exitFailed, "wrong").says("WRONG the database cannot be used", "check --database-url")
	sh.run("doctor", "--database-url=postgres://db:x/y").ends(exitFailed, "wrong").says("WRONG the database cannot be used")
	sh.run("migrate").ends(exitOK)

	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	out := sh.run("doctor").ends(exitFailed, "wrong").says("ok    the database answers", "WRONG the database has no schema", "graphtide schema apply").stdout
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		var value string
		if err := conn.QueryRow(t.Context(), "SHOW "+name).Scan(&value); err != nil {
			t.Fatal(err)
		}
		want := "ok    " + name + " is on"
		if value != "on" {
			want = "WRONG " + name + " is off\n      mend: set " + name
		}
		if !strings.Contains(out, want) {
			t.Errorf("%s is %s; doctor says\n%s", name, value, out)
		}
	}
	sql(t, url, "ALTER DATABASE "+conn.Config().Database+" SET synchronous_commit = 'local'")
	sh.run("doctor").ends(exitFailed, "wrong").says("WRONG synchronous_commit is local")
	sql(t, url, "ALTER DATABASE "+conn.Config().Database+" SET synchronous_commit = 'remote_apply'")
	sh.run("doctor").ends(exitFailed, "wrong").says("ok    synchronous_commit is remote_apply")
	sql(t, url, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999999, true)`)
	sh.run("doctor").ends(exitFailed, "wrong").says("WRONG the database is newer")
}

func TestDoctorLooksAtRedis(t *testing.T) {
	t.Parallel()
	redis, err := embedded.StartRedis(t.Context(), embedded.RedisConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer redis.Stop()
	sh := newShell(t, "GRAPHTIDE_LISTEN=127.0.0.1:0", "GRAPHTIDE_REDIS_URL="+redis.URL())
	sh.run("doctor").ends(exitOK).says("ok    Redis answers", "maxmemory-policy")
	client, err := node.NewRedis(redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err(); err == nil { // a Redis that has settings
		sh.run("doctor").ends(exitFailed, "wrong").says("WRONG Redis's maxmemory-policy is allkeys-lru", "noeviction")
	}
	sh.run("doctor", "--redis-url=redis://127.0.0.1:1").ends(exitFailed, "wrong").says("WRONG Redis does not answer", "check --redis-url")
	sh.run("doctor", "--redis-url=http://cache").ends(exitFailed, "wrong").says("WRONG the address of the Redis cannot be read")
}
