package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/graphtide/graphtide/examples/workbook"
	"github.com/graphtide/graphtide/internal/embedded"
	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/server"
	"github.com/graphtide/graphtide/server/auth"
)

type devCmd struct {
	serverOptions
	Schema      string `help:"Schema file; applied now and whenever it or its handlers change (default: the example's)." placeholder:"FILE" type:"path"`
	Data        string `help:"Folder of the private Postgres; kept between runs." default:".data" type:"path"`
	Listen      string `help:"Address to listen on; loopback alone." default:"${listen}"`
	DatabaseURL string `help:"Use this Postgres instead of a private one." placeholder:"URL"`
	RedisURL    string `help:"Use this Redis instead of one in this process." placeholder:"URL"`
	JWTSecret   string `name:"jwt-secret" help:"Also take tokens signed with this secret." placeholder:"SECRET"`
}

func (c *devCmd) Run(a *app) error {
	began := time.Now()
	cfg := node.Config{
		DatabaseURL: c.DatabaseURL, RedisURL: c.RedisURL, Migrate: true, Poll: c.Poll, Log: a.log,
		Server: server.Config{Listen: c.Listen, Dev: true, Limits: c.limits(), Version: version()},
		Auth:   auth.Config{Dev: true, Secret: []byte(c.JWTSecret)}, Postprocess: c.postprocess(),
	}
	cfg.Postprocess.AllowPrivateWebhooks = true
	var pg *embedded.Postgres
	source := "the one you named"
	if cfg.DatabaseURL == "" {
		var err error
		if pg, err = startPostgres(a.ctx, c.Data); err != nil {
			return err
		}
		defer stopService(a, "Postgres", pg.Stop)
		cfg.DatabaseURL = pg.URL()
		source = fmt.Sprintf("version %d (%s), data in %s", pg.Binaries().Major, pg.Binaries().Source, c.Data)
	}
	redisSource := "the one you named"
	if cfg.RedisURL == "" {
		redis, err := embedded.StartRedis(a.ctx, embedded.RedisConfig{InProcess: true})
		if err != nil {
			return fmt.Errorf("start the in-process Redis: %w", err)
		}
		defer stopService(a, "Redis", redis.Stop)
		cfg.RedisURL, redisSource = redis.URL(), redis.Source()
	}
	schemaFile := c.Schema
	if schemaFile == "" {
		file, site, err := example(c.Data)
		if err != nil {
			return err
		}
		schemaFile, cfg.Site = file, site
	}
	n, err := node.Start(a.ctx, cfg)
	if err != nil {
		return err
	}
	defer stopNode(n)
	if pg != nil {
		if err := pg.Announce(n.URL()); err != nil {
			a.log.Warn("a second start will not be told where this one serves", "err", err)
		}
	}
	// A schema that does not fit is told and waited for: mending the file is
	// what dev is for.
	if err := applySchema(a.ctx, n, schemaFile); err != nil {
		fmt.Fprintf(a.stderr, "The schema was not applied; mend it and save:\n")
		report(a.stderr, err)
	}
	c.banner(a, n, source, redisSource, schemaFile, time.Since(began))
	watch, cancel := context.WithCancel(a.ctx)
	watched := make(chan struct{})
	go func() { defer close(watched); watchSchema(watch, a, n, schemaFile) }()
	defer func() { cancel(); <-watched }()
	return untilEnd(a.ctx, n)
}

func (c *devCmd) banner(a *app, n *node.Node, postgres, redis, schemaFile string, took time.Duration) {
	w := a.stdout
	fmt.Fprintf(w, "\n  Graphtide %s, ready in %d ms\n\n", version(), took.Milliseconds())
	if c.Schema == "" {
		fmt.Fprintf(w, "  Example   %s/\n", n.URL())
	}
	fmt.Fprintf(w, "  API       %s/v1/graphs/main\n", n.URL())
	fmt.Fprintf(w, "  Sync      ws%s/v1/graphs/main/sync\n", n.URL()[len("http"):])
	fmt.Fprintf(w, "  Schema    %s (applied again when it changes)\n", schemaFile)
	fmt.Fprintf(w, "  Postgres  %s\n", postgres)
	fmt.Fprintf(w, "  Redis     %s\n", redis)
	fmt.Fprintf(w, "\n  Without a token you are the admin user dev. Ctrl-C ends everything.\n")
	fmt.Fprintf(w, "  Try: graphtide log --url %s\n\n", n.URL())
}

func startPostgres(ctx context.Context, data string) (*embedded.Postgres, error) {
	pg, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{DataDir: data})
	var inUse *embedded.InUseError
	if errors.As(err, &inUse) {
		return nil, fmt.Errorf("dev: %w", inUse)
	}
	if err != nil {
		return nil, fmt.Errorf("start a private Postgres: %w", err)
	}
	return pg, nil
}

func stopService(a *app, name string, stop func() error) {
	if err := stop(); err != nil {
		a.log.Warn(name+" did not stop in order", "err", err)
	}
}

// example gives the example's schema file and its pages: from the source tree
// where dev runs in it, so that changes show at once, else from the program.
func example(data string) (schemaFile string, site fs.FS, err error) {
	const dir = "examples/workbook"
	if _, err := os.Stat(filepath.Join(dir, "app.yaml")); err == nil {
		file, err := filepath.Abs(filepath.Join(dir, "app.yaml"))
		if err != nil {
			return "", nil, err
		}
		if _, err := os.Stat(filepath.Join(dir, workbook.SiteDir, "index.html")); err == nil {
			return file, os.DirFS(filepath.Join(dir, workbook.SiteDir)), nil
		}
		return file, nil, nil
	}
	out := filepath.Join(filepath.Dir(data), filepath.Base(data)+"-example")
	if err := os.RemoveAll(out); err != nil {
		return "", nil, err
	}
	if err := os.CopyFS(out, workbook.Files); err != nil {
		return "", nil, fmt.Errorf("unpack the example: %w", err)
	}
	pages, err := fs.Sub(workbook.Files, workbook.SiteDir)
	if err != nil {
		return "", nil, err
	}
	if _, err := fs.Stat(pages, "index.html"); err != nil {
		pages = nil // built without its pages: the API works all the same
	}
	return filepath.Join(out, "app.yaml"), pages, nil
}

// settleTime is how long a file must be quiet before it is read: editors write
// in several steps.
const settleTime = 150 * time.Millisecond

// watchSchema applies the schema again whenever a file in its folder, or one
// folder below, changes.
func watchSchema(ctx context.Context, a *app, n *node.Node, file string) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		a.log.Warn("changes of the schema will not be seen", "err", err)
		return
	}
	defer w.Close()
	dir := filepath.Dir(file)
	add := func(d string) {
		if err := w.Add(d); err != nil {
			a.log.Warn("changes in this folder will not be seen", "folder", d, "err", err)
		}
	}
	add(dir)
	if _, err := os.Stat(filepath.Join(dir, "handlers")); err == nil {
		add(filepath.Join(dir, "handlers"))
	}
	var due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-w.Errors:
			if !ok {
				return
			}
		case e, ok := <-w.Events:
			if !ok {
				return
			}
			if e.Name == file || filepath.Base(filepath.Dir(e.Name)) == "handlers" {
				due = time.After(settleTime)
			}
		case <-due:
			due = nil
			before := n.Live.Current().Version
			if err := applySchema(ctx, n, file); err != nil {
				report(a.stderr, err)
			} else if v := n.Live.Current().Version; v != before {
				fmt.Fprintf(a.stdout, "  Schema applied again: version %d\n", v)
			}
		}
	}
}

type migrateCmd struct{ databaseOptions }

type verifyCmd struct {
	databaseOptions
	Graph string `help:"Graph to check." default:"main"`
}

type doctorCmd struct {
	DatabaseURL string `help:"Postgres to look at; none looks for what dev needs." placeholder:"URL"`
	RedisURL    string `help:"Redis to look at." placeholder:"URL"`
	Data        string `help:"Data folder of dev." default:".data" type:"path"`
	Listen      string `help:"Address that a server would listen on." default:"${listen}"`
}
