package server

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/graphtide/graphtide/graph"
)

// Bounds of a list of runs.
const (
	runsDefault = 100
	runsMax     = 1000
)

// listRuns gives runs, newest first.
func (s *Server) listRuns(w http.ResponseWriter, r *http.Request, c *call) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	var f graph.RunFilter
	if f.Limit, err = q.limit(runsDefault, runsMax); err != nil {
		return err
	}
	state, set, err := q.one("state")
	if err != nil {
		return err
	}
	if f.State = graph.RunState(state); set && !f.State.Valid() {
		return graph.Errf(graph.CodeInvalidQuery, "state is one of pending, running, retrying, succeeded, dead, cancelled and stopped")
	}
	if f.Rule, _, err = q.one("rule"); err != nil {
		return err
	}
	if f.Before, _, err = q.one("before"); err != nil {
		return err
	}
	entity, set, err := q.one("entity")
	if err != nil {
		return err
	}
	if set {
		id, ok := graph.ParseObjectID(entity)
		if !ok {
			return graph.InvalidID(entity)
		}
		f.About = (*[16]byte)(&id)
	}
	runs, err := s.Runs.List(r.Context(), c.graph, c.p, f)
	if err != nil {
		return err
	}
	// Who hears that a run has succeeded finds what it wrote.
	if err := c.rep.CatchUp(r.Context()); err != nil {
		return err
	}
	return answerJSON(w, http.StatusOK, runs)
}

func (s *Server) getRun(w http.ResponseWriter, r *http.Request, c *call) error {
	run, err := s.Runs.Get(r.Context(), c.graph, c.p, chi.URLParam(r, "run"))
	if err != nil {
		return err
	}
	if err := c.rep.CatchUp(r.Context()); err != nil {
		return err
	}
	return answerJSON(w, http.StatusOK, run)
}

func (s *Server) retryRun(w http.ResponseWriter, r *http.Request, c *call) error {
	return showRun(w)(s.Runs.Retry(r.Context(), c.graph, c.p, chi.URLParam(r, "run")))
}

func (s *Server) cancelRun(w http.ResponseWriter, r *http.Request, c *call) error {
	return showRun(w)(s.Runs.Cancel(r.Context(), c.graph, c.p, chi.URLParam(r, "run")))
}

// reportRun hands a handler's report on. Its text is checked here, its meaning
// there.
func (s *Server) reportRun(w http.ResponseWriter, r *http.Request, c *call) error {
	body, err := readBody(w, r, int64(s.cfg.Limits.TransactionBytes), "transactionBytes", typeJSON)
	if err != nil {
		return err
	}
	if err := checkJSON(body, s.cfg.Limits.BodyDepth+8); err != nil {
		return err
	}
	return showRun(w)(s.Runs.Report(r.Context(), c.graph, c.p, c.id.Run, chi.URLParam(r, "run"), body))
}

func showRun(w http.ResponseWriter) func(*graph.RunDetail, error) error {
	return func(d *graph.RunDetail, err error) error {
		if err != nil {
			return err
		}
		return answerJSON(w, http.StatusOK, d)
	}
}

// retryRuns retries all runs of a state, or of a rule, that ended without
// success, a bounded number of them.
func (s *Server) retryRuns(w http.ResponseWriter, r *http.Request, c *call) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	f := graph.RunRetries{}
	state, _, err := q.one("state")
	if err != nil {
		return err
	}
	f.State = graph.RunState(state)
	if f.Rule, _, err = q.one("rule"); err != nil {
		return err
	}
	if f.Limit, err = q.limit(runsMax, runsMax); err != nil {
		return err
	}
	n, err := s.Runs.RetryAll(r.Context(), c.graph, c.p, f)
	if err != nil {
		return err
	}
	return answerJSON(w, http.StatusOK, map[string]any{"retried": n})
}

// getTrace gives the cause tree around a commit, or what happened to an entity
// or because of a run, where the id of one is given.
func (s *Server) getTrace(w http.ResponseWriter, r *http.Request, c *call) error {
	if id, ok := graph.ParseObjectID(chi.URLParam(r, "version")); ok {
		q, err := queryOf(r)
		if err != nil {
			return err
		}
		limit, err := q.limit(0, runsMax)
		if err != nil {
			return err
		}
		trace, err := s.Runs.TraceOf(r.Context(), c.graph, c.p, id.String(), limit)
		if err != nil {
			return err
		}
		return answerJSON(w, http.StatusOK, trace)
	}
	v, ok := parseVersion(chi.URLParam(r, "version"))
	if !ok || v == 0 {
		return graph.Errf(graph.CodeInvalidVersion, "no version of a commit: write a whole number from 1")
	}
	if err := s.reach(r.Context(), c, v); err != nil {
		return err
	}
	trace, err := s.Runs.Trace(r.Context(), c.graph, c.p, v)
	if err != nil {
		return err
	}
	return answerJSON(w, http.StatusOK, trace)
}
