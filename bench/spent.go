package main

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// spending sums where the time of a child's writes goes, while somebody wants to
// know: it costs something itself.
type spending struct {
	on    atomic.Bool
	mu    sync.Mutex // guards steps
	steps map[string]time.Duration
}

// spent is the child's own.
var spent = spending{steps: map[string]time.Duration{}}

// observe is a pipeline.Config's Observe.
func (s *spending) observe(step string) (end func()) {
	if !s.on.Load() {
		return nil
	}
	began := time.Now()
	return func() {
		took := time.Since(began)
		s.mu.Lock()
		s.steps[step] += took
		s.mu.Unlock()
	}
}

// serve tells what was spent since it was last asked, and goes on summing if it is
// asked to.
func (s *spending) serve(w http.ResponseWriter, r *http.Request) {
	s.on.Store(r.FormValue("on") != "")
	s.mu.Lock()
	steps := s.steps
	s.steps = map[string]time.Duration{}
	s.mu.Unlock()
	json.NewEncoder(w).Encode(steps)
}

// writeSteps are the parts of a write that are told apart: the stages, the
// settling, the append's round trip to the database, and what the replica is given.
var writeSteps = []string{"stages", "settle", "append", "follow"}

// spent gives what each of writeSteps took since it was last called; it is summed
// from a call with on to the next.
func (t *target) spent(ctx context.Context, on string) (map[string]time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", t.inside+"/spent?on="+on, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var steps map[string]time.Duration
	if err := json.NewDecoder(res.Body).Decode(&steps); err != nil {
		return nil, err
	}
	out := map[string]time.Duration{}
	for name, took := range steps {
		switch name {
		case "settle", "append", "follow":
			out[name] += took
		default:
			out["stages"] += took
		}
	}
	return out, nil
}
