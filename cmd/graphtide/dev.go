package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/graphtide/graphtide/internal/embedded"
	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/server"
	"github.com/graphtide/graphtide/server/auth"
)

type devCmd struct {
	Schema      string  `help:"Schema file, applied now and whenever it or its handlers change (default: the example's)." placeholder:"FILE" type:"path"`
	Data        string  `help:"Folder of the private Postgres; kept between runs." default:".data" type:"path"`
	Listen      string  `help:"Address to listen on, of this machine alone." default:"${listen}"`
	Rate        float64 `help:"Requests a second that one user may send; 0 is no limit." default:"0" placeholder:"N"`
	DatabaseURL string  `group:"stores" help:"Use this Postgres, and bring it up to date, instead of a private one." placeholder:"URL"`
	RedisURL    string  `group:"stores" help:"Use this Redis instead of one in this process." placeholder:"URL"`
	pollOption
	replicaOptions
	JWTSecret    string `name:"jwt-secret" group:"tokens" help:"Also take tokens signed with this secret." placeholder:"SECRET"`
	ruleOptions  `group:"rules"`
	limitOptions `group:"limits"`
	syncOptions  `group:"limits"`
}

// Help teaches the command.
func (*devCmd) Help() string {
	return `Without a token you are the admin user dev; therefore it listens on this machine alone. Without --schema it runs the example, a workbook that several people edit at once. Ctrl-C ends everything; the data stays in the folder.

Examples:

    graphtide dev
    graphtide dev --schema app.yaml
    graphtide dev --data /tmp/try --listen 127.0.0.1:7421
    GRAPHTIDE_JWT_SECRET=try graphtide dev     # others than dev come with a token`
}

// Validate refuses what others could reach.
func (c *devCmd) Validate() error {
	if err := listenAddress(c.Listen); err != nil {
		return err
	}
	if !server.Loopback(c.Listen) {
		return fmt.Errorf("--listen %q: dev listens on this machine alone (127.0.0.1, [::1] or localhost), for without a token everybody is its admin; for others there is graphtide serve", c.Listen)
	}
	if c.Rate < 0 {
		return fmt.Errorf("--rate is %g: it must be at least 0", c.Rate)
	}
	return first(databaseURL(c.DatabaseURL), redisURL(c.RedisURL), c.pollOption.check(), c.ruleOptions.check(), c.limitOptions.check(), c.syncOptions.check())
}

func (c *devCmd) Run(a *app) error {
	began := time.Now()
	if c.Schema != "" {
		if _, err := os.Stat(c.Schema); err != nil {
			return asUsage(err)
		}
	}
	cfg := node.Config{
		DatabaseURL: c.DatabaseURL, RedisURL: c.RedisURL, Migrate: true, Poll: c.Poll, Log: a.log,
		ReplicaBytes: c.ReplicaBytes, ReplicaEager: c.ReplicaEager, ImageDir: c.ImageDir,
		Server: server.Config{Listen: c.Listen, Dev: true, Limits: c.limits(), Rate: c.Rate, Version: version()},
		Sync:   c.syncOptions.config(),
		Auth:   auth.Config{Dev: true, Secret: []byte(c.JWTSecret)}, Postprocess: c.ruleOptions.config(),
	}
	cfg.Postprocess.AllowPrivateWebhooks = true
	shown := banner{postgres: "the one you named", redis: "the one you named"}

	var pg *embedded.Postgres
	var pgDone <-chan struct{}
	if cfg.DatabaseURL == "" {
		var err error
		if pg, err = startPostgres(a.ctx, c.Data); err != nil {
			return err
		}
		defer a.stopService("Postgres", pg.Stop)
		cfg.DatabaseURL, pgDone = pg.URL(), pg.Done()
		shown.postgres = fmt.Sprintf("version %d (%s), data in %s", pg.Binaries().Major, pg.Binaries().Source, c.Data)
	}
	if cfg.RedisURL == "" {
		redis, err := embedded.StartRedis(a.ctx, embedded.RedisConfig{InProcess: true})
		if err != nil {
			return fmt.Errorf("start the Redis in this process: %w", err)
		}
		defer a.stopService("Redis", redis.Stop)
		cfg.RedisURL, shown.redis = redis.URL(), redis.Source()+", in this process"
	}
	live := &liveSchema{app: a, file: c.Schema}
	if c.Schema == "" {
		ex, err := unpackExample(c.Data)
		if err != nil {
			return err
		}
		live.file, cfg.Site, shown.example = ex.schema, ex.pages, ex.pages != nil
	}
	// A schema that does not fit is told and waited for: mending the file is what
	// dev is for.
	cfg.Prepare = live.start
	n, err := node.Start(a.ctx, cfg)
	if err != nil {
		live.stop()
		return addressTaken(err)
	}
	defer a.stop(n)
	defer live.stop()
	if pg != nil {
		if err := pg.Announce(n.URL()); err != nil {
			a.log.Warn("a second start will not be told where this one serves", "err", err)
		}
	}
	shown.url, shown.schema, shown.took = n.URL(), live.file, time.Since(began)
	shown.print(a)
	return a.untilEnd(n, pgDone)
}

// banner is what a person wants to know once dev runs.
type banner struct {
	url, schema, postgres, redis string
	example                      bool
	took                         time.Duration
}

func (b banner) print(a *app) {
	w := a.stdout
	fmt.Fprintf(w, "\n  Graphtide %s, ready in %d ms\n\n", version(), b.took.Milliseconds())
	if b.example {
		fmt.Fprintf(w, "  Example   %s/\n", b.url)
	}
	fmt.Fprintf(w, "  API       %s/v1/graphs/main\n", b.url)
	fmt.Fprintf(w, "  Sync      ws%s/v1/graphs/main/sync\n", b.url[len("http"):])
	fmt.Fprintf(w, "  Schema    %s (applied again when it changes)\n", b.schema)
	fmt.Fprintf(w, "  Postgres  %s\n", b.postgres)
	fmt.Fprintf(w, "  Redis     %s\n", b.redis)
	fmt.Fprintf(w, "\n  Without a token you are the admin user dev. Ctrl-C ends everything.\n")
	fmt.Fprintf(w, "  Try: graphtide log --url %s\n\n", b.url)
}

func startPostgres(ctx context.Context, data string) (*embedded.Postgres, error) {
	pg, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{DataDir: data})
	var inUse *embedded.InUseError
	if errors.As(err, &inUse) {
		return nil, inUse
	}
	if err != nil {
		return nil, fmt.Errorf("start a private Postgres: %w", err)
	}
	return pg, nil
}

func (a *app) stopService(name string, stop func() error) {
	if err := stop(); err != nil {
		a.log.Warn(name+" did not stop in order", "err", err)
	}
}
