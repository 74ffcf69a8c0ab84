package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/internal/embedded"
	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/migrations"
	"github.com/graphtide/graphtide/schema"
	"github.com/graphtide/graphtide/server/auth"
)

type doctorCmd struct {
	DatabaseURL string `group:"stores" help:"The Postgres to look at; without one, doctor looks for what dev needs." placeholder:"URL"`
	RedisURL    string `group:"stores" help:"The Redis to look at." placeholder:"URL"`
	Data        string `help:"Data folder of dev." default:".data" type:"path"`
	Listen      string `help:"Address that a server would listen on." default:"${listen}"`
	Schema      string `help:"Schema file to look at." placeholder:"FILE" type:"path"`
	JWTSecret   string `name:"jwt-secret" group:"tokens" help:"The server's secret." placeholder:"SECRET"`
	JWKSURL     string `name:"jwks-url" group:"tokens" help:"Where the keys of tokens are." placeholder:"URL"`
}

// Help teaches the command.
func (*doctorCmd) Help() string {
	return `Looks at each thing that a server needs, with the options that the server would get, and says the mend of what is wrong. Nothing is changed. Status 1 where something is wrong.

Examples:

    graphtide doctor
    graphtide doctor --database-url postgres://app:…@db/app --redis-url redis://cache:6379`
}

// examination collects what a doctor finds.
type examination struct {
	app *app
	bad int
}

func (x *examination) ok(format string, args ...any) {
	fmt.Fprintf(x.app.stdout, "ok    %s\n", fmt.Sprintf(format, args...))
}

func (x *examination) wrong(mend, format string, args ...any) {
	x.bad++
	fmt.Fprintf(x.app.stdout, "WRONG %s\n      mend: %s\n", fmt.Sprintf(format, args...), mend)
}

// lookTime bounds each look.
const lookTime = 5 * time.Second

// Run looks at what is named, each thing by itself.
func (c *doctorCmd) Run(a *app) error {
	x := &examination{app: a}
	looks := []func(context.Context, *examination){c.address, c.keys}
	if c.DatabaseURL != "" {
		looks = append(looks, c.database)
	} else {
		looks = append(looks, c.private)
	}
	if c.RedisURL != "" {
		looks = append(looks, c.redis)
	}
	if c.Schema != "" {
		looks = append(looks, c.schema)
	}
	for _, look := range looks {
		ctx, cancel := context.WithTimeout(a.ctx, lookTime)
		look(ctx, x)
		cancel()
	}
	if x.bad > 0 {
		return fmt.Errorf("%d thing(s) wrong", x.bad)
	}
	return nil
}

// private looks for the Postgres of dev.
func (c *doctorCmd) private(ctx context.Context, x *examination) {
	bin, err := embedded.FindPostgres(ctx, embedded.DataVersion(c.Data))
	if err != nil {
		x.wrong("install PostgreSQL 14 or newer, or set "+embedded.BinEnv+" to the folder of its programs", "no Postgres for graphtide dev: %s", firstLine(err))
		return
	}
	x.ok("Postgres %d for graphtide dev (%s, %s), data in %s", bin.Major, bin.Source, bin.Dir, c.Data)
}

// database looks at a Postgres and at how safe it keeps what it acknowledged.
func (c *doctorCmd) database(ctx context.Context, x *examination) {
	err := databaseURL(c.DatabaseURL)
	if err == nil {
		err = migrations.Check(ctx, c.DatabaseURL)
	}
	switch {
	case errors.Is(err, migrations.ErrOlder):
		x.wrong("run graphtide migrate", "the database is older than this program")
		return
	case errors.Is(err, migrations.ErrNewer):
		x.wrong("use the program that migrated it, or a newer one", "the database is newer than this program")
		return
	case err != nil:
		x.wrong("check --database-url, and that the server runs and lets you in", "the database cannot be used: %s", firstLine(err))
		return
	}
	store, err := pgstore.Open(ctx, pgstore.Config{URL: c.DatabaseURL, MaxConns: 1, Log: x.app.log})
	if err != nil {
		x.wrong("check --database-url", "no connection to the database: %s", firstLine(err))
		return
	}
	defer store.Close()
	x.ok("the database answers and is up to date")
	for _, s := range []struct {
		name, mend string
		good       []string
	}{
		{"fsync", "set fsync = on: without it a power cut loses the database", []string{"on"}},
		{"full_page_writes", "set full_page_writes = on: without it a power cut may break the database", []string{"on"}},
		{"synchronous_commit", "set synchronous_commit = on, or stronger: without it a crash loses acknowledged writes", []string{"on", "remote_write", "remote_apply"}},
	} {
		got, err := store.Setting(ctx, s.name)
		switch {
		case err != nil:
			x.wrong("let the user read pg_settings", "%s cannot be read: %s", s.name, firstLine(err))
		case !slices.Contains(s.good, got):
			x.wrong(s.mend, "%s is %s", s.name, got)
		default:
			x.ok("%s is %s", s.name, got)
		}
	}
	switch version, _, err := store.Schema(ctx); {
	case err != nil:
		x.wrong("see the error", "the active schema cannot be read: %s", firstLine(err))
	case version == 0:
		x.wrong("apply one: graphtide schema apply FILE, or serve --schema FILE", "the database has no schema, so nothing can be created")
	default:
		x.ok("the active schema is version %d", version)
	}
}

// redis looks at a Redis. Its loss costs time only, but for the queue it must not
// throw tasks away.
func (c *doctorCmd) redis(ctx context.Context, x *examination) {
	client, err := node.NewRedis(c.RedisURL)
	if err != nil {
		x.wrong("check --redis-url", "%s", firstLine(err))
		return
	}
	defer client.Close()
	if err := client.Ping(ctx).Err(); err != nil {
		x.wrong("check --redis-url, and that the server runs; without it everything works, only slower", "Redis does not answer: %s", firstLine(err))
		return
	}
	x.ok("Redis answers")
	const policy = "maxmemory-policy"
	got, err := client.ConfigGet(ctx, policy).Result()
	switch {
	case err != nil || got[policy] == "":
		x.ok("Redis does not tell its %s; it should be noeviction", policy)
	case got[policy] != "noeviction":
		x.wrong("set "+policy+" noeviction: tasks must not be evicted", "Redis's %s is %s", policy, got[policy])
	default:
		x.ok("Redis's %s is noeviction", policy)
	}
}

// address tells whether the port is free, and who has it where it is not.
func (c *doctorCmd) address(ctx context.Context, x *examination) {
	if err := listenAddress(c.Listen); err != nil {
		x.wrong("write it as host:port", "%s", err)
		return
	}
	l, err := net.Listen("tcp", c.Listen)
	if err == nil {
		l.Close()
		x.ok("%s is free", c.Listen)
		return
	}
	if v := whoServes(ctx, c.Listen); v != "" {
		x.ok("%s is taken by a Graphtide that runs (%s)", c.Listen, v)
		return
	}
	x.wrong("end what has it, or choose another with --listen", "%s cannot be listened on: %s", c.Listen, firstLine(err))
}

// whoServes asks for the version of the Graphtide at an address; "" where there
// is none.
func whoServes(ctx context.Context, address string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/version", nil)
	if err != nil {
		return ""
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	var v struct {
		Version string `json:"version"`
	}
	if res.StatusCode != http.StatusOK || json.NewDecoder(res.Body).Decode(&v) != nil {
		return ""
	}
	return v.Version
}

// keys looks at what tokens are checked with.
func (c *doctorCmd) keys(_ context.Context, x *examination) {
	switch n := len(c.JWTSecret); {
	case n > 0 && n < minSecret:
		x.wrong(fmt.Sprintf("make a new one of %d bytes or more: openssl rand -base64 32", minSecret), "the JWT secret has %d bytes: it can be guessed from any token", n)
	case n > 0:
		x.ok("the JWT secret has %d bytes", n)
	}
	if c.JWKSURL == "" {
		return
	}
	if n, err := auth.CheckJWKS(c.JWKSURL); err != nil {
		x.wrong("check --jwks-url; usable are RSA keys of 2048 bits or more, P-256 and Ed25519 keys", "no keys to check tokens with: %s", firstLine(err))
	} else {
		x.ok("the JWKS has %d key(s)", n)
	}
}

// minSecret is the length that RFC 7518 asks of a secret for HS256.
const minSecret = 32

func (c *doctorCmd) faulty(x *examination, fault *graph.Error) {
	x.wrong("graphtide schema check "+c.Schema+" names each with its line", "the schema has %d fault(s)", len(fault.Errors))
}

// schema looks at a schema file.
func (c *doctorCmd) schema(_ context.Context, x *examination) {
	made, err := readSchema(c.Schema)
	if fault := (*graph.Error)(nil); errors.As(err, &fault) {
		c.faulty(x, fault)
		return
	}
	if err != nil {
		x.wrong("see the error", "the schema cannot be read: %s", firstLine(err))
		return
	}
	reg, fault := schema.Compile(c.Schema, made.Doc, 1)
	if fault != nil {
		c.faulty(x, fault)
		return
	}
	x.ok("the schema has no faults")
	for _, r := range reg.Rules {
		x.secret("rule "+r.Name, r.Handler)
	}
	for _, o := range reg.Operations {
		x.secret("operation "+o.Name, o.Handler)
	}
}

// secret looks whether a handler's secret is there.
func (x *examination) secret(whose string, h schema.Handler) {
	name, ok := strings.CutPrefix(h.Secret, "${env:")
	if name = strings.TrimSuffix(name, "}"); ok && os.Getenv(name) == "" {
		x.wrong("set it where the server and the workers run", "the secret of %s is in the variable %s, which is not set here", whose, name)
	}
}

func firstLine(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}
