package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/internal/embedded"
	"github.com/graphtide/graphtide/migrations"
)

func (c *migrateCmd) Run(a *app) error {
	if err := migrations.Up(a.ctx, c.DatabaseURL); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, "the database is up to date")
	return nil
}

// Run looks at each thing that a server or dev needs, and says the mend.
func (c *doctorCmd) Run(a *app) error {
	bad := 0
	say := func(ok bool, what, mend string) {
		if ok {
			fmt.Fprintf(a.stdout, "ok    %s\n", what)
			return
		}
		bad++
		fmt.Fprintf(a.stdout, "WRONG %s\n      mend: %s\n", what, mend)
	}
	if c.DatabaseURL == "" {
		bin, err := embedded.FindPostgres(a.ctx, 0)
		if err != nil {
			say(false, "no Postgres for `graphtide dev`: "+err.Error(), "install PostgreSQL, or set "+embedded.BinEnv+" to the folder of its programs")
		} else {
			say(true, fmt.Sprintf("Postgres %d for `graphtide dev` (%s: %s)", bin.Major, bin.Source, bin.Dir), "")
		}
	} else {
		c.database(a.ctx, say)
	}
	if c.RedisURL != "" {
		c.redis(a.ctx, say)
	}
	c.address(a.ctx, say)
	if bad > 0 {
		return fmt.Errorf("%d thing(s) wrong", bad)
	}
	return nil
}

func (c *doctorCmd) database(ctx context.Context, say func(bool, string, string)) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := migrations.Check(ctx, c.DatabaseURL)
	switch {
	case err == nil:
		say(true, "the database answers and is up to date", "")
	case errors.Is(err, migrations.ErrOlder):
		say(false, "the database is older than this program", "run graphtide migrate --database-url …")
		return
	case errors.Is(err, migrations.ErrNewer):
		say(false, "the database is newer than this program", "use the program that migrated it, or a newer one")
		return
	default:
		say(false, "the database cannot be used: "+firstLine(err), "check --database-url, and that the server runs and lets you in")
		return
	}
	store, err := pgstore.Open(ctx, pgstore.Config{URL: c.DatabaseURL, MaxConns: 1})
	if err != nil {
		say(false, "no connection: "+firstLine(err), "check --database-url")
		return
	}
	defer store.Close()
	for _, s := range []struct{ name, want, mend string }{
		{"fsync", "on", "set fsync = on: without it a power cut loses acknowledged writes"},
		{"synchronous_commit", "on", "set synchronous_commit = on, or stronger: without it a crash loses acknowledged writes"},
		{"full_page_writes", "on", "set full_page_writes = on"},
	} {
		got, err := store.Setting(ctx, s.name)
		ok := err == nil && (got == s.want || s.name == "synchronous_commit" && (got == "remote_apply" || got == "remote_write"))
		say(ok, s.name+" is "+got, s.mend)
	}
	version, _, err := store.Schema(ctx)
	say(err == nil && version > 0, fmt.Sprintf("the active schema is version %d", version), "apply one: graphtide schema apply FILE")
}

func (c *doctorCmd) redis(ctx context.Context, say func(bool, string, string)) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	opts, err := redis.ParseURL(c.RedisURL)
	if err != nil {
		say(false, "--redis-url: "+err.Error(), "write it as redis://host:6379/0")
		return
	}
	client := redis.NewClient(opts)
	defer client.Close()
	if err := client.Ping(ctx).Err(); err != nil {
		say(false, "Redis does not answer: "+firstLine(err), "check --redis-url; without Redis everything works, but slower")
		return
	}
	say(true, "Redis answers", "")
	if policy, err := client.ConfigGet(ctx, "maxmemory-policy").Result(); err == nil {
		say(policy["maxmemory-policy"] == "noeviction", "Redis's maxmemory-policy is "+policy["maxmemory-policy"], "set maxmemory-policy noeviction: the task queue must not be evicted")
	}
}

// address tells whether the port is free, and who has it where it is not.
func (c *doctorCmd) address(ctx context.Context, say func(bool, string, string)) {
	l, err := net.Listen("tcp", c.Listen)
	if err == nil {
		l.Close()
		say(true, c.Listen+" is free", "")
		return
	}
	req, rerr := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Listen+"/version", nil)
	if rerr == nil {
		client := http.Client{Timeout: 2 * time.Second}
		if res, rerr := client.Do(req); rerr == nil {
			res.Body.Close()
			say(true, c.Listen+" is taken, by something that answers HTTP: perhaps a Graphtide that runs", "")
			return
		}
	}
	say(false, c.Listen+" cannot be listened on: "+firstLine(err), "end what has it, or choose another with --listen")
}

func firstLine(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}
