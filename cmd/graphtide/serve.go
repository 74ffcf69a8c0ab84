package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/server"
)

type serveCmd struct {
	Listen         string   `help:"Address to listen on." default:"${listen}"`
	Schema         string   `help:"Schema file to apply at the start; handler files travel with it." placeholder:"FILE" type:"path"`
	AllowedOrigins []string `help:"Origins whose pages may use the API, scheme and port included." placeholder:"ORIGIN"`
	Rate           float64  `help:"Requests a second that one user may send; 0 is no limit." default:"0" placeholder:"N"`
	databaseOptions
	RedisURL string `group:"stores" help:"The Redis, for hints between nodes, the shared cache and the task queue." placeholder:"URL"`
	pollOption
	replicaOptions
	authOptions
	NoWorker     bool `group:"rules" help:"Leave post-processing to graphtide worker."`
	ruleOptions  `group:"rules"`
	limitOptions `group:"limits"`
	syncOptions  `group:"limits"`
}

// Help teaches the command.
func (*serveCmd) Help() string {
	return `The database must be up to date: run graphtide migrate first. Every node is alike and keeps nothing of its own; put any number of them behind a balancer. On SIGTERM a node lets its sessions go to the others, ends what is under way, and stops.

Examples:

    export GRAPHTIDE_DATABASE_URL=postgres://app:…@db/app GRAPHTIDE_JWT_SECRET=…
    graphtide migrate
    graphtide serve --redis-url redis://cache:6379 --schema app.yaml
    graphtide serve --listen 0.0.0.0:7420 --allowed-origins https://app.example.com`
}

// Validate refuses what the server would refuse later.
func (c *serveCmd) Validate() error {
	if c.Rate < 0 {
		return fmt.Errorf("--rate is %g: it must be at least 0", c.Rate)
	}
	for _, o := range c.AllowedOrigins {
		if err := origin(o); err != nil {
			return err
		}
	}
	return first(listenAddress(c.Listen), c.databaseOptions.check(), redisURL(c.RedisURL), c.pollOption.check(),
		c.authOptions.check(), c.ruleOptions.check(), c.limitOptions.check(), c.syncOptions.check())
}

func (c *serveCmd) Run(a *app) error {
	cfg := node.Config{
		DatabaseURL: c.DatabaseURL, RedisURL: c.RedisURL, NoWorker: c.NoWorker, Poll: c.Poll, Log: a.log,
		ReplicaBytes: c.ReplicaBytes, ReplicaEager: c.ReplicaEager, ImageDir: c.ImageDir,
		Server: server.Config{Listen: c.Listen, AllowedOrigins: c.AllowedOrigins, Limits: c.limits(), Rate: c.Rate, Version: version()},
		Sync:   c.syncOptions.config(),
		Auth:   c.authOptions.config(), Postprocess: c.ruleOptions.config(),
	}
	if c.Schema != "" {
		made, err := readSchema(c.Schema)
		if err != nil {
			return asUsage(err)
		}
		cfg.Prepare = func(ctx context.Context, n *node.Node) error { return applySchema(ctx, n, c.Schema, made.Doc) }
	}
	n, err := node.Start(a.ctx, cfg)
	if err != nil {
		return addressTaken(err)
	}
	defer a.stop(n)
	a.log.Info("serving", "url", n.URL(), "version", version())
	return a.untilEnd(n, nil)
}

type workerCmd struct {
	Listen string `help:"Serve /healthz, /readyz and /metrics here, host:port; without it the worker listens nowhere." placeholder:"ADDR"`
	databaseOptions
	RedisURL string `group:"stores" help:"The Redis, for hints between nodes and the task queue." placeholder:"URL"`
	pollOption
	replicaOptions
	ruleOptions  `group:"rules"`
	limitOptions `group:"limits"`
}

// Help teaches the command.
func (*workerCmd) Help() string {
	return `For handlers that shall not share a machine with the server: start the servers with --no-worker, and as many workers as the work asks for. Runs are kept in Postgres; whatever dies, another worker goes on.

Example:

    graphtide worker --database-url postgres://app:…@db/app --redis-url redis://cache:6379 --concurrency 64`
}

// Validate refuses what could not be connected to.
func (c *workerCmd) Validate() error {
	var listen error
	if c.Listen != "" {
		listen = listenAddress(c.Listen)
	}
	return first(listen, c.databaseOptions.check(), redisURL(c.RedisURL), c.pollOption.check(), c.ruleOptions.check(), c.limitOptions.check())
}

func (c *workerCmd) Run(a *app) error {
	n, err := node.Start(a.ctx, node.Config{DatabaseURL: c.DatabaseURL, RedisURL: c.RedisURL, NoServer: true, Poll: c.Poll, Log: a.log,
		ReplicaBytes: c.ReplicaBytes, ReplicaEager: c.ReplicaEager, ImageDir: c.ImageDir,
		Server: server.Config{Listen: c.Listen, Limits: c.limits(), Version: version()}, Postprocess: c.ruleOptions.config()})
	if err != nil {
		return addressTaken(err)
	}
	defer a.stop(n)
	a.log.Info("working on runs and operations", "version", version())
	return a.untilEnd(n, nil)
}

// untilEnd waits for a signal, for the node to fail, or for what it stands on to
// end by itself (nil: nothing of ours).
func (a *app) untilEnd(n *node.Node, base <-chan struct{}) error {
	select {
	case <-a.ctx.Done():
		return nil
	case err := <-n.Failed():
		return err
	case <-base:
		return fmt.Errorf("the private Postgres ended by itself; its log says why")
	}
}

// addressTaken adds the mend to the most frequent failure of a start.
func addressTaken(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: end what has the address, or choose another with --listen (port 0 takes a free one)", err)
	}
	return err
}

// drainTime bounds the graceful end.
const drainTime = 15 * time.Second

// stop ends a node, gracefully until a second signal.
func (a *app) stop(n *node.Node) {
	ctx, cancel := context.WithTimeout(a.hurry, drainTime)
	defer cancel()
	n.Stop(ctx)
}

// applySchema makes a document the schema of the database, as the command line's
// user. file names it in faults.
func applySchema(ctx context.Context, n *node.Node, file string, doc []byte) error {
	by := graph.Principal{User: "command-line", Admin: true, Graphs: []string{"*"}}
	_, err := n.Pipeline.PutSchema(ctx, &by, file, doc, false)
	return err
}

// asUsage makes a file that is not there a wrong use.
func asUsage(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return usageError{err}
	}
	return err
}
