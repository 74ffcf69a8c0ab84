package main

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// spending sums where the time of a child's writes goes.
type spending struct {
	mu    sync.Mutex // guards steps
	steps map[string]time.Duration
}

// spent is the child's own.
var spent = spending{steps: map[string]time.Duration{}}

// observe is a pipeline.Config's Observe.
func (s *spending) observe(step string) (end func()) {
	began := time.Now()
	return func() {
		took := time.Since(began)
		s.mu.Lock()
		s.steps[step] += took
		s.mu.Unlock()
	}
}

// serve tells what was spent since it was last asked.
func (s *spending) serve(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	steps := s.steps
	s.steps = map[string]time.Duration{}
	s.mu.Unlock()
	json.NewEncoder(w).Encode(steps)
}

// writeSteps are the parts of a write that are told apart: the stages, the
// settling, the append's round trip to the database, and what the replica is given.
var writeSteps = []string{"stages", "settle", "append", "follow"}

// spent gives what each of writeSteps took since it was last called.
func (t *target) spent(ctx context.Context) (map[string]time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", t.inside+"/spent", nil)
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
