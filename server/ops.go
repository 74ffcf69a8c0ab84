package server

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/graphtide/graphtide/graph"
)

// readyTimeout bounds the questions behind /readyz.
const readyTimeout = 2 * time.Second

// healthz says that the process answers; nothing else is asked.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	return answerJSON(w, http.StatusOK, map[string]bool{"ok": true})
}

// readyz says whether requests should be sent here: the database answers, and
// the node follows the log closely enough.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	select {
	case <-s.draining:
		return graph.Errf(graph.CodeUnavailable, "this node is stopping")
	default:
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := s.Store.Ping(ctx); err != nil {
		s.Log.WarnContext(r.Context(), "not ready: the database does not answer", "err", err)
		return graph.Errf(graph.CodeUnavailable, "the database does not answer")
	}
	lag, err := s.lag(ctx)
	if err != nil {
		s.Log.WarnContext(r.Context(), "not ready: the log cannot be followed", "err", err)
		return graph.Errf(graph.CodeUnavailable, "the log cannot be followed")
	}
	if lag > graph.Version(s.cfg.MaxLag) {
		return graph.Errf(graph.CodeUnavailable, "this node is %d commits behind", lag)
	}
	return answerJSON(w, http.StatusOK, map[string]any{"ok": true, "lag": lag})
}

// lag gives how many commits the node is behind, in the graph where that is
// most.
func (s *Server) lag(ctx context.Context) (graph.Version, error) {
	open := s.Replicas.Opened()
	if len(open) == 0 {
		return 0, nil
	}
	keys := make([]graph.GraphKey, len(open))
	for i, rep := range open {
		keys[i] = rep.Key()
	}
	heads, err := s.Store.Heads(ctx, keys)
	if err != nil {
		return 0, fmt.Errorf("read the heads: %w", err)
	}
	var most graph.Version
	for _, rep := range open {
		if head, ok := heads[rep.Key()]; ok {
			most = max(most, head.Version-rep.Head().Version)
		}
	}
	return most, nil
}

func (s *Server) version(w http.ResponseWriter, _ *http.Request) error {
	out := map[string]string{"version": s.cfg.Version, "go": runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, kv := range info.Settings {
			switch kv.Key {
			case "vcs.revision":
				out["commit"] = kv.Value
			case "vcs.time":
				out["at"] = kv.Value
			}
		}
	}
	return answerJSON(w, http.StatusOK, out)
}

// buildVersion gives the module's version that the binary was built from.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func (s *Server) serveMetrics() http.Handler {
	return promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{})
}
