package postprocess

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// errLeaseLost ends an attempt that is no longer this node's: it was cancelled,
// ended by a report, or taken over.
var errLeaseLost = errors.New("the attempt was ended or taken over")

// leases keeps the attempts of this node alive, all in one statement a graph.
type leases struct {
	runs  graph.RunStore
	lease time.Duration
	log   *slog.Logger

	mu   sync.Mutex // guards the field below
	held map[holding]*heldLease
}

type holding struct {
	graph   graph.GraphKey
	run     string
	attempt int
}

type heldLease struct {
	ref    graph.RunRef
	until  time.Time // by our clock, counted from before the claim was sent
	cancel context.CancelCauseFunc
}

func newLeases(runs graph.RunStore, lease time.Duration, log *slog.Logger) *leases {
	return &leases{runs: runs, lease: lease, log: log, held: map[holding]*heldLease{}}
}

// hold keeps an attempt's lease until release; cancel is called once it is
// lost. began is from before the claim.
func (l *leases) hold(run *graph.Run, began time.Time, cancel context.CancelCauseFunc) (release func()) {
	k := holding{run.Graph, run.ID, run.Attempt}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[k] = &heldLease{
		ref:   graph.RunRef{Graph: run.Graph, Run: run.ID, Rule: run.Rule, Attempt: run.Attempt},
		until: began.Add(l.lease), cancel: cancel,
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.held, k)
	}
}

// loop prolongs the leases until ctx ends.
func (l *leases) loop(ctx context.Context) {
	t := time.NewTicker(l.lease / 4)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			l.extend(ctx)
		}
	}
}

func (l *leases) extend(ctx context.Context) {
	l.mu.Lock()
	asked := make([]graph.RunRef, 0, len(l.held))
	for _, h := range l.held {
		asked = append(asked, h.ref)
	}
	l.mu.Unlock()
	if len(asked) == 0 {
		return
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, l.lease/2)
	defer cancel()
	alive, err := l.runs.Extend(ctx, l.lease, asked)
	if err != nil {
		if ctx.Err() == nil {
			l.log.Warn("prolong the leases of runs", "error", err)
		}
		l.expire(began)
		return
	}
	kept := make(map[holding]bool, len(alive))
	for _, r := range alive {
		kept[holding{r.Graph, r.Run, r.Attempt}] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range asked {
		k := holding{r.Graph, r.Run, r.Attempt}
		switch h := l.held[k]; {
		case h == nil: // released meanwhile
		case kept[k]:
			h.until = began.Add(l.lease)
		default:
			h.cancel(errLeaseLost)
		}
	}
}

// expire ends attempts whose lease is over for want of an answer: another node
// may have them by now, and our writes would be refused anyway.
func (l *leases) expire(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.held {
		if !h.until.After(now) {
			h.cancel(errLeaseLost)
		}
	}
}
