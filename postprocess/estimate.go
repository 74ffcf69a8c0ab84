package postprocess

import (
	"context"
	"sync"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// estimateKept is how long an estimate of an operation's duration is used.
const estimateKept = 10 * time.Second

// estimates remembers how long operations take, so that a crowd of them asks
// the store once.
type estimates struct {
	mu   sync.Mutex // guards the field below
	made map[estimateKey]estimate
}

type estimateKey struct {
	graph graph.GraphKey
	name  string
}

type estimate struct {
	took  time.Duration
	until time.Time
}

// expectedEnd gives when an operation that begins now may end, as those of its
// kind did: the median of the last successful ones; "" where there were none.
func (s *Service) expectedEnd(ctx context.Context, run *graph.Run) string {
	took, err := s.took(ctx, run)
	if err != nil || took <= 0 {
		return "" // it is an estimate: the operation does as well without
	}
	return wireTime(run.StartedAt.Add(took))
}

func (s *Service) took(ctx context.Context, run *graph.Run) (time.Duration, error) {
	k := estimateKey{run.Graph, run.Rule}
	now := time.Now()
	e := &s.estimates
	e.mu.Lock()
	known, ok := e.made[k]
	e.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.took, nil
	}
	took, err := s.deps.Runs.Took(ctx, run.Graph, run.Rule)
	if err != nil || took <= 0 {
		return 0, err // the first one to end is asked for by the next to begin
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.made == nil || len(e.made) >= 1000 {
		e.made = map[estimateKey]estimate{}
	}
	e.made[k] = estimate{took, now.Add(estimateKept)}
	return took, nil
}
