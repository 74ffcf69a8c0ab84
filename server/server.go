package server

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/schema"
	"github.com/graphtide/graphtide/server/auth"
)

// Sync serves the websockets; server/fanout has one.
type Sync interface {
	// ServeSync takes over the connection. It judges the Origin itself; who is
	// there and which graph it may open it learns from the first message.
	ServeSync(w http.ResponseWriter, r *http.Request, graphName string)
	// Drain says `bye` to every session and returns when they are gone or ctx
	// ends.
	Drain(ctx context.Context) error
}

// Registry is where metrics are registered and gathered.
type Registry interface {
	prometheus.Registerer
	prometheus.Gatherer
}

// Deps are what the server stands on. Those without "may be nil" are needed.
type Deps struct {
	Submitter graph.Submitter     // may be nil where only probes are served
	Schemas   graph.SchemaService // likewise
	Live      *schema.Live
	Replicas  *replica.Set
	Store     graph.Store
	Auth      *auth.Authenticator // may be nil where only probes are served
	Sync      Sync                // may be nil: no websockets
	Runs      graph.RunService    // may be nil: no post-processing
	Log       *slog.Logger        // may be nil: discarded
	Metrics   Registry            // may be nil: a registry of its own
	Clock     graph.Clock         // may be nil: time.Now
	Site      fs.FS               // may be nil: nothing at /
	Console   fs.FS               // may be nil: nothing at /console/
}

// Server answers the routes of Graphtide. Make one with New.
type Server struct {
	cfg  Config
	Deps // immutable after New

	handler  http.Handler
	metrics  *metrics
	limiter  *limiter
	drainOne sync.Once
	draining chan struct{} // closed when the server begins to end
}

// New makes a Server, or says what is wrong with its configuration. It starts
// nothing.
func New(cfg Config, deps Deps) (*Server, error) {
	cfg = cfg.WithDefaults()
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if err := cfg.validate(deps.Log); err != nil {
		return nil, err
	}
	routes := deps.Submitter != nil && deps.Schemas != nil && deps.Auth != nil
	if deps.Live == nil || deps.Replicas == nil || deps.Store == nil || !routes && !cfg.ProbesOnly {
		return nil, errors.New("server: a needed dependency is missing")
	}
	if deps.Metrics == nil {
		deps.Metrics = prometheus.NewRegistry()
	}
	m, err := newMetrics(deps.Metrics)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, Deps: deps, metrics: m, draining: make(chan struct{})}
	s.limiter = newLimiter(cfg.Rate, cfg.RateBurst, deps.Clock)
	s.handler = s.routes()
	return s, nil
}

// Handler gives the whole server as one handler.
func (s *Server) Handler() http.Handler { return s.handler }

func (s *Server) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(s.observe, bodies, s.recover, headers, s.hosts, s.cors, trimSlash, s.options, middleware.GetHead)
	r.NotFound(s.plain(s.notFound))
	r.MethodNotAllowed(s.methodNotAllowed)

	r.Get("/healthz", s.plain(s.healthz))
	r.Get("/readyz", s.plain(s.readyz))
	r.Get("/metrics", s.serveMetrics().ServeHTTP)
	r.Get("/version", s.plain(s.version))
	if s.cfg.ProbesOnly {
		return r
	}

	r.Get("/v1/schema", s.asUser(s.getSchema))
	r.Put("/v1/schema", s.asUser(s.putSchema))
	r.Get("/v1/graphs", s.asUser(s.listGraphs))

	// Whole paths, no sub-router: a mounted one answers to every method at its
	// own path, and Allow and HEAD would be wrong.
	const g = "/v1/graphs/{graph}"
	r.Put(g, s.asUser(s.putGraph))
	r.Delete(g, s.asUser(s.deleteGraph))
	r.Get(g, s.inGraph(s.getGraph))
	r.Patch(g, s.inGraph(s.patchGraph))
	r.Get(g+"/objects/{id}", s.inGraph(s.entity(graph.KindObject, s.getEntity)))
	r.Patch(g+"/objects/{id}", s.inGraph(s.entity(graph.KindObject, s.patchEntity)))
	r.Get(g+"/objects/{id}/history", s.inGraph(s.entity(graph.KindObject, s.getHistory)))
	r.Get(g+"/edges/{id}", s.inGraph(s.entity(graph.KindEdge, s.getEntity)))
	r.Patch(g+"/edges/{id}", s.inGraph(s.entity(graph.KindEdge, s.patchEntity)))
	r.Get(g+"/edges/{id}/history", s.inGraph(s.entity(graph.KindEdge, s.getHistory)))
	r.Post(g+"/load", s.inGraph(s.load))
	r.Get(g+"/log", s.inGraph(s.log))
	r.Post(g+"/revert", s.inGraph(s.revert))
	if s.Runs != nil {
		r.Get(g+"/trace/{version}", s.inGraph(s.getTrace))
		r.Get(g+"/rules", s.inGraph(s.listRules))
		r.Post(g+"/rules/{rule}/pause", s.inGraph(s.pauseRule))
		r.Post(g+"/rules/{rule}/resume", s.inGraph(s.resumeRule))
		r.Post(g+"/rules/{rule}/test", s.inGraph(s.testRule))
		r.Post(g+"/rules/{rule}/replay", s.inGraph(s.replayRule))
		r.Get(g+"/runs", s.inGraph(s.listRuns))
		r.Post(g+"/runs/retry", s.inGraph(s.retryRuns))
		r.Get(g+"/runs/{run}", s.inGraph(s.getRun))
		r.Post(g+"/runs/{run}/retry", s.inGraph(s.retryRun))
		r.Post(g+"/runs/{run}/cancel", s.inGraph(s.cancelRun))
		r.Post(g+"/runs/{run}/report", s.inGraph(s.reportRun))
	}
	if s.Sync != nil {
		r.Get(g+"/sync", func(w http.ResponseWriter, r *http.Request) {
			s.Sync.ServeSync(w, r, chi.URLParam(r, "graph"))
		})
	}
	if s.Console != nil {
		r.Get("/console", http.RedirectHandler("/console/", http.StatusPermanentRedirect).ServeHTTP)
		r.Get("/console/*", site{files: s.Console, prefix: "/console/", fallback: true}.ServeHTTP)
	}
	return r
}
