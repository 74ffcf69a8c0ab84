// Package node wires one node of Graphtide from its parts and runs it: the one
// place that knows who implements what. The commands, the benchmarks and the
// tests of whole systems stand on it.
//
//	store ─► replicas ─► pipeline ─► post-processing ─► hub ─► HTTP
//
// Start brings the parts up in this order, Stop takes them down from the other
// end: no new requests, sessions told to come back elsewhere, writes finished,
// followers and workers stopped, pools closed.
package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/graph/rediscache"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/migrations"
	"github.com/graphtide/graphtide/patch/pipeline"
	"github.com/graphtide/graphtide/postprocess"
	"github.com/graphtide/graphtide/schema"
	"github.com/graphtide/graphtide/server"
	"github.com/graphtide/graphtide/server/auth"
	"github.com/graphtide/graphtide/server/fanout"
)

// Config says what a node is made from. The zero value of a part is its own
// default.
type Config struct {
	DatabaseURL string // needed
	MaxConns    int32  // to the database; 0: pgstore.DefaultMaxConns
	RedisURL    string // "": other nodes' commits are found by polling, and no queue
	// Migrate brings the database up to date first; without it an older one is
	// refused.
	Migrate bool
	// NoServer leaves the routes and websockets out: post-processing only. Where
	// Server.Listen is set, the probes and metrics are served there.
	NoServer bool
	// NoWorker leaves post-processing to other nodes.
	NoWorker bool

	Server      server.Config
	Sync        Sync
	Auth        auth.Config
	Postprocess postprocess.Config
	Poll        time.Duration // of heads; see replica.Config
	// ReplicaBytes bounds what the replicas take, ReplicaEager is up to how many
	// entities a graph is read whole, ImageDir keeps images of them: see
	// replica.Config.
	ReplicaBytes int64
	ReplicaEager int
	ImageDir     string
	// RedisPatience is how long a read waits for a silent Redis before it goes to
	// the database: see rediscache.Config.
	RedisPatience time.Duration
	Observe       func(stage string) func()
	// Prepare runs once writes are possible and before anybody is served: the
	// place to apply a schema. Its error ends the start.
	Prepare func(context.Context, *Node) error

	Site    fs.FS // served at /; nil: nothing
	Console fs.FS // served at /console/; nil: nothing

	Log *slog.Logger
}

// Sync bounds the websocket sessions; see fanout.Config.
type Sync struct {
	Sessions, PerUser, PerAddress int
	Compress                      bool
}

// Node is a running node.
type Node struct {
	Store    *pgstore.Store
	Live     *schema.Live
	Replicas *replica.Set
	Pipeline *pipeline.Pipeline
	Runs     *postprocess.Service
	Metrics  *prometheus.Registry

	cfg      Config
	redis    redis.UniversalClient
	cache    *rediscache.Cache
	hints    *rediscache.Hints
	bus      *rediscache.Bus
	hub      *fanout.Hub
	http     *server.Server
	listener net.Listener
	served   chan error
	endServe context.CancelFunc
	undo     []func()
	stopOnce sync.Once
}

// Start brings a node up and returns once it serves. ctx bounds the start alone.
func Start(ctx context.Context, cfg Config) (_ *Node, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	n := &Node{cfg: cfg, Metrics: prometheus.NewRegistry(), served: make(chan error, 1)}
	n.Metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	defer func() {
		if err != nil {
			n.unwind()
		}
	}()
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"database", n.startStore},
		{"redis", n.startRedis},
		{"replicas", n.startReplicas},
		{"pipeline", n.startPipeline},
		{"server", n.listen},
		{"post-processing", n.startRuns},
		{"", n.prepare},
		{"server", n.startServer},
	} {
		if err := step.run(ctx); err != nil {
			if step.name == "" {
				return nil, err // it says itself what it was doing
			}
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return n, nil
}

// URL is where the node serves, without a slash at the end; "" for a worker that
// serves nothing.
func (n *Node) URL() string {
	if n.listener == nil {
		return ""
	}
	return "http://" + n.listener.Addr().String()
}

// Failed gives the error that ended the serving by itself.
func (n *Node) Failed() <-chan error { return n.served }

// Stop drains and ends the node. ctx bounds the draining. It may be called
// twice.
func (n *Node) Stop(ctx context.Context) {
	n.stopOnce.Do(func() {
		if n.http != nil {
			n.endServe()
			select {
			case <-n.served:
			case <-ctx.Done():
			}
		}
		n.unwind()
	})
}

// unwind stops what was started, last first.
func (n *Node) unwind() {
	for i := len(n.undo) - 1; i >= 0; i-- {
		n.undo[i]()
	}
	n.undo = nil
}

func (n *Node) onStop(fn func()) { n.undo = append(n.undo, fn) }

// stopTime bounds the end of each part after the draining.
const stopTime = 10 * time.Second

// stopping wraps a part's Stop for unwind.
func (n *Node) stopping(name string, stop func(context.Context) error) func() {
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		if err := stop(ctx); err != nil && !errors.Is(err, context.Canceled) {
			n.cfg.Log.Warn("a part did not stop in order", "part", name, "err", err)
		}
	}
}

func (n *Node) startStore(ctx context.Context) error {
	if n.cfg.DatabaseURL == "" {
		return errors.New("--database-url is needed")
	}
	if n.cfg.Migrate {
		if err := migrations.Up(ctx, n.cfg.DatabaseURL); err != nil {
			return err
		}
	} else if err := migrations.Check(ctx, n.cfg.DatabaseURL); err != nil {
		return err
	}
	store, err := pgstore.Open(ctx, pgstore.Config{URL: n.cfg.DatabaseURL, MaxConns: n.cfg.MaxConns, Log: n.cfg.Log})
	if err != nil {
		return err
	}
	n.Store = store
	n.onStop(store.Close)
	n.Live = schema.NewLive(store)
	if err := n.Live.Refresh(ctx); err != nil {
		return err
	}
	n.onStop(n.startPurge()) // it asks the schema what to keep
	return nil
}

// purgePause is how often the rows of deleted graphs are looked for.
const purgePause = 5 * time.Minute

// thinGrace is how long every version keeps its whole snapshot.
const thinGrace = time.Minute

// startPurge thins history and removes the rows of deleted graphs, now and then; it gives what
// stops it.
func (n *Node) startPurge() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(purgePause)
		defer tick.Stop()
		for {
			if err := n.Store.Thin(ctx, n.Live.Current().Snapshots(), thinGrace); err != nil && ctx.Err() == nil {
				n.cfg.Log.Warn("history could not all be thinned; it will be tried again", "err", err)
			}
			if err := n.Store.Purge(ctx); err != nil && ctx.Err() == nil {
				n.cfg.Log.Warn("the rows of deleted graphs could not all be removed; they will be tried again", "err", err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

func (n *Node) startRedis(ctx context.Context) error {
	if n.cfg.RedisURL == "" {
		return nil
	}
	redis.SetLogger(redisLog{n.cfg.Log}) // its own writes to standard error
	client, err := NewRedis(n.cfg.RedisURL)
	if err != nil {
		return err
	}
	n.redis = client
	n.onStop(func() { n.redis.Close() })
	n.hints = rediscache.New(rediscache.Config{Client: n.redis, Log: n.cfg.Log})
	n.onStop(n.stopping("hints", n.hints.Stop))
	n.cache = rediscache.NewCache(rediscache.Config{Client: n.redis, Log: n.cfg.Log, Patience: n.cfg.RedisPatience})
	n.onStop(n.stopping("cache", n.cache.Stop))
	n.bus = rediscache.NewBus(rediscache.Config{Client: n.redis, Log: n.cfg.Log})
	n.onStop(n.stopping("bus", n.bus.Stop))
	return n.hints.Start(ctx)
}

// listen opens the address before anything runs that names it to others.
// Requests wait until the server takes them.
func (n *Node) listen(context.Context) error {
	if n.cfg.NoServer && n.cfg.Server.Listen == "" {
		return nil
	}
	addr := n.cfg.Server.WithDefaults().Listen
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	n.listener = l
	n.onStop(func() { l.Close() })
	return nil
}

// publicURL is where webhooks reach this node, where nobody said otherwise.
func (n *Node) publicURL() string {
	if n.listener == nil || n.cfg.NoServer {
		return ""
	}
	host, port, err := net.SplitHostPort(n.listener.Addr().String())
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// port gives the hints as a port, without the trap of a nil pointer in it.
func (n *Node) port() graph.Hints {
	if n.hints == nil {
		return nil
	}
	return n.hints
}

func (n *Node) startReplicas(ctx context.Context) error {
	var cache replica.Cache // an interface that holds a nil pointer is not nil
	if n.cache != nil {
		cache = n.cache
	}
	n.Replicas = replica.New(replica.Config{Store: n.Store, Hints: n.port(), Poll: n.cfg.Poll, Log: n.cfg.Log,
		Bytes: n.cfg.ReplicaBytes, Eager: n.cfg.ReplicaEager, Cache: cache, ImageDir: n.cfg.ImageDir, Metrics: n.Metrics,
		OnSchema: func(ctx context.Context, version int64) {
			if err := n.Live.Refresh(ctx); err != nil && ctx.Err() == nil {
				n.cfg.Log.Error("the active schema could not be read", "version", version, "err", err)
			}
		}})
	n.onStop(n.stopping("replicas", n.Replicas.Stop))
	return n.Replicas.Start(ctx)
}

func (n *Node) startPipeline(context.Context) error {
	n.Pipeline = pipeline.New(pipeline.Config{Store: n.Store, Replicas: n.Replicas, Live: n.Live, Hints: n.port(),
		Limits: n.cfg.Server.Limits, Log: n.cfg.Log, Observe: n.cfg.Observe})
	n.onStop(n.Pipeline.Stop)
	return nil
}

func (n *Node) startRuns(ctx context.Context) error {
	cfg := n.cfg.Postprocess
	cfg.RedisURL, cfg.Log, cfg.Limits, cfg.Metrics = n.cfg.RedisURL, n.cfg.Log, n.cfg.Server.Limits, n.Metrics
	if cfg.PublicURL == "" {
		cfg.PublicURL = n.publicURL()
	}
	svc, err := postprocess.New(cfg, postprocess.Deps{Store: n.Store, Runs: pgstore.NewRuns(n.Store.Pool()),
		Replicas: n.Replicas, Schema: n.Live, Submitter: n.Pipeline, Hints: n.port()})
	if err != nil {
		return err
	}
	n.Runs = svc
	if n.cfg.NoWorker {
		return nil // the routes about runs work all the same
	}
	n.onStop(n.stopping("post-processing", svc.Stop))
	return svc.Start(ctx)
}

func (n *Node) prepare(ctx context.Context) error {
	if n.cfg.Prepare == nil {
		return nil
	}
	return n.cfg.Prepare(ctx, n)
}

func (n *Node) startServer(ctx context.Context) error {
	if n.listener == nil {
		return nil
	}
	deps := server.Deps{Live: n.Live, Replicas: n.Replicas, Store: n.Store, Log: n.cfg.Log, Metrics: n.Metrics}
	cfg := n.cfg.Server
	if cfg.ProbesOnly = n.cfg.NoServer; !cfg.ProbesOnly {
		if err := n.startSync(&deps); err != nil {
			return err
		}
	}
	var err error
	if n.http, err = server.New(cfg, deps); err != nil {
		return err
	}
	serve, cancel := context.WithCancel(context.Background())
	n.endServe = cancel
	go func() {
		n.served <- n.http.Serve(serve, n.listener)
		close(n.served) // who waits for the end may come after who took the error
	}()
	if cfg.ProbesOnly {
		return nil
	}
	// The main graph is opened now rather than by its first visitor. The node is
	// ready already: it must not end because the database went away this moment.
	if _, err := n.Replicas.Open(ctx, graph.MainGraph); errors.Is(err, &graph.Error{Code: graph.CodeUnavailable}) {
		n.cfg.Log.Warn("the main graph will be opened by its first visitor", "err", err)
	} else if err != nil {
		cancel()
		<-n.served
		return err
	}
	return nil
}

// startSync starts what the routes stand on.
func (n *Node) startSync(deps *server.Deps) error {
	authCfg := n.cfg.Auth
	authCfg.Runs, authCfg.Log = n.Runs, n.cfg.Log
	authn, err := auth.New(authCfg)
	if err != nil {
		return err
	}
	var peers fanout.Peers // an interface that holds a nil pointer is not nil
	var owners fanout.Owners
	if n.bus != nil {
		peers = n.bus
		shared := rediscache.NewOwners(rediscache.Config{Client: n.redis, Log: n.cfg.Log})
		n.onStop(n.stopping("owners", shared.Stop))
		owners = shared
	}
	n.hub = fanout.New(fanout.Config{Peers: peers, Owners: owners, Replicas: n.Replicas, Store: n.Store, Submitter: n.Pipeline, Live: n.Live,
		Authenticate: authn.Session,
		Limits:       n.cfg.Server.Limits, AllowedOrigins: n.cfg.Server.AllowedOrigins, Dev: n.cfg.Server.Dev,
		Sessions: n.cfg.Sync.Sessions, SessionsPerUser: n.cfg.Sync.PerUser, SessionsPerAddress: n.cfg.Sync.PerAddress, Compress: n.cfg.Sync.Compress,
		Log: n.cfg.Log, Metrics: n.Metrics})
	n.onStop(n.hub.Stop)
	deps.Submitter, deps.Schemas, deps.Auth, deps.Sync, deps.Runs = n.Pipeline, n.Pipeline, authn, n.hub, n.Runs
	deps.Site, deps.Console = n.cfg.Site, n.cfg.Console
	return nil
}
