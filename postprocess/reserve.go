package postprocess

import (
	"context"
	"slices"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// reservedAtOnce bounds the runs that begin with the dispatch that makes them. Of a
// larger crowd most wait in any case, and go through claims of their own.
const reservedAtOnce = 16

// reservation is the places of runs that are about to be made: the dispatch that makes
// them begins them too. A lone run, which otherwise would take two transactions, each
// with its wait for the disk, before its handler starts, takes one.
type reservation struct {
	svc    *Service
	began  time.Time
	places []place
}

// place is a slot of this node that is kept for a run.
type place struct {
	ref   graph.RunRef
	token string
	hash  []byte
}

// reserve keeps places for those of the runs that could start at once, as far as there
// are free ones: the first of each rule and entity. Whether they may, the dispatch says.
func (s *Service) reserve(runs []*graph.Run) *reservation {
	r := &reservation{svc: s, began: time.Now()}
	if !s.working() {
		return r
	}
	first := map[graph.RunLink]bool{}
	for _, run := range runs {
		of := linkOf(run)
		of.Run, of.Version = "", 0
		if run.State != graph.RunPending || first[of] {
			continue
		}
		if len(r.places) == reservedAtOnce {
			break
		}
		first[of] = true
		ref := graph.RunRef{Graph: run.Graph, Run: run.ID, Rule: run.Rule}
		if s.scheduler.hold(ref) {
			token, hash := newToken(run.ID)
			r.places = append(r.places, place{ref, token, hash})
		}
	}
	return r
}

// claims gives what the dispatch is asked to begin.
func (r *reservation) claims() []graph.RunClaim {
	var out []graph.RunClaim
	for _, p := range r.places {
		out = append(out, graph.RunClaim{Run: p.ref.Run, TokenHash: p.hash})
	}
	return out
}

// find settles a dispatch whose answer was lost: what it began is under way for nobody,
// and would cost a try once its lease is over. It looks until the store answers, or
// until that lease has ended.
func (r *reservation) find() {
	if len(r.places) == 0 {
		return
	}
	ids := make([]string, len(r.places))
	for i, p := range r.places {
		ids[i] = p.ref.Run
	}
	go func() { // until the places are given up: scheduler.wait waits for those
		ctx, cancel := context.WithTimeout(r.svc.life, r.svc.cfg.Lease)
		defer cancel()
		for {
			runs, err := r.svc.deps.Runs.Runs(ctx, r.places[0].ref.Graph, ids)
			if err == nil || ctx.Err() != nil {
				var begun []*graph.Run
				for _, run := range runs {
					if run.State == graph.RunRunning {
						begun = append(begun, run)
					}
				}
				r.settle(begun)
				return
			}
			pause(ctx, findAgain)
		}
	}()
}

// findAgain is the pause between two looks of find.
const findAgain = 100 * time.Millisecond

// settle starts the attempts of those that have begun, and gives up the other places.
func (r *reservation) settle(begun []*graph.Run) {
	for _, p := range r.places {
		i := slices.IndexFunc(begun, func(run *graph.Run) bool { return run.ID == p.ref.Run && (run.Open || sameHash(run.TokenHash, p.hash)) })
		if i < 0 {
			r.svc.scheduler.drop(p.ref)
			continue
		}
		r.svc.scheduler.started(p.ref, func(_ graph.RunRef, vacate func()) { r.svc.attempt(begun[i], p.token, r.began, vacate) })
	}
}
