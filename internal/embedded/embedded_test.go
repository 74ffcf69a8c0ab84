package embedded_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/graphtide/graphtide/internal/embedded"
)

func startPostgres(t *testing.T, dir string) *embedded.Postgres {
	t.Helper()
	p, err := embedded.StartPostgres(t.Context(), embedded.PostgresConfig{DataDir: dir, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// dataDir gives a folder that another user can reach: t.TempDir's cannot.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gt-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var s string
	if err := conn.QueryRow(t.Context(), sql).Scan(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPostgresKeepsItsDataOverARestart(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	p := startPostgres(t, dir)
	if got := query(t, p.URL(), `SHOW listen_addresses`); got != "" {
		t.Errorf("listens on %q", got)
	}
	conn, err := pgx.Connect(t.Context(), p.URL())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `CREATE TABLE t AS SELECT 'kept'::text AS v`); err != nil {
		t.Fatal(err)
	}
	conn.Close(t.Context())
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
	p = startPostgres(t, dir)
	if got := query(t, p.URL(), `SELECT v FROM t`); got != "kept" {
		t.Errorf("after a restart: %q", got)
	}
}

func TestSecondProcessIsToldWhoHasTheFolder(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	p := startPostgres(t, dir)
	if err := p.Announce("http://127.0.0.1:7420"); err != nil {
		t.Fatal(err)
	}
	_, err := embedded.StartPostgres(t.Context(), embedded.PostgresConfig{DataDir: dir, NoSync: true})
	var inUse *embedded.InUseError
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() || inUse.URL != "http://127.0.0.1:7420" {
		t.Errorf("got %v", err)
	}
}

func TestPostgresDoneTellsOfItsEnd(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, dataDir(t))
	proc, err := os.FindProcess(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	if err := proc.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-time.After(time.Minute):
		t.Error("Done stays open")
	}
}

func TestBrokenInstallationIsExplained(t *testing.T) {
	t.Setenv(embedded.BinEnv, filepath.Join(t.TempDir(), "nothing"))
	_, err := embedded.FindPostgres(t.Context(), 0)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestRedisAnswersAndLetsKeysExpire(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]embedded.RedisConfig{
		"found":     {},
		"loopback":  {TCP: true},
		"miniredis": {InProcess: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r, err := embedded.StartRedis(ctx, cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Stop()
			opt, err := redis.ParseURL(r.URL())
			if err != nil {
				t.Fatal(err)
			}
			client := redis.NewClient(opt)
			defer client.Close()
			if err := client.Set(ctx, "k", "v", 150*time.Millisecond).Err(); err != nil {
				t.Fatal(err)
			}
			for client.Exists(ctx, "k").Val() != 0 {
				if ctx.Err() != nil {
					t.Fatal("the key does not expire")
				}
			}
			if err := r.Stop(); err != nil {
				t.Fatal(err)
			}
			<-r.Done()
			if err := r.Stop(); err != nil {
				t.Errorf("second Stop: %v", err)
			}
		})
	}
}
