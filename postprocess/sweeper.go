package postprocess

import (
	"context"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// The sweeper's bounds: of a look, and of what one rule has of it.
const (
	sweepAtOnce  = 1000
	sweepPerRule = waitingPerRule
	sweepGrace   = time.Second // for whoever has the run already
)

// sweeper finds runs that are due and that nobody takes: the queue lost them,
// their worker died, or nobody had room.
type sweeper struct {
	cfg   Config
	runs  graph.RunStore
	offer func(graph.RunRef) bool
	full  func()        // some were left for want of room
	now   chan struct{} // look at once: there is room here
}

func newSweeper(cfg Config, runs graph.RunStore, offer func(graph.RunRef) bool, full func()) *sweeper {
	return &sweeper{cfg: cfg, runs: runs, offer: offer, full: full, now: make(chan struct{}, 1)}
}

// wake looks at once, for whatever is due.
func (s *sweeper) wake() {
	select {
	case s.now <- struct{}{}:
	default:
	}
}

func (s *sweeper) loop(ctx context.Context) {
	t := time.NewTicker(s.cfg.Sweep)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			s.sweep(ctx, min(sweepGrace, s.cfg.Sweep))
		case <-s.now:
			s.sweep(ctx, 0)
		}
	}
}

func (s *sweeper) sweep(ctx context.Context, grace time.Duration) {
	due, err := s.runs.Overdue(ctx, grace, sweepAtOnce, sweepPerRule)
	if err != nil {
		if ctx.Err() == nil {
			s.cfg.Log.Warn("look for runs that are due", "error", err)
		}
		return
	}
	for _, ref := range due {
		s.offer(ref)
	}
	if len(due) >= sweepPerRule {
		s.full() // there may be more
	}
}
