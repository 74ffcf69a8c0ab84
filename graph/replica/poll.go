package replica

import (
	"context"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/sabotage"
)

// hint is word of a commit on some node: perhaps late, repeated or wrong.
func (s *Set) hint(key graph.GraphKey, epoch string, v graph.Version) {
	if sabotage.On(sabotage.LoseHints) {
		return
	}
	s.mu.Lock()
	r := s.byKey[key]
	s.mu.Unlock()
	if r == nil {
		return
	}
	head := r.Head()
	switch {
	case epoch != "" && epoch != head.Epoch:
		// Perhaps a late hint of the epoch before: only the store knows.
		s.pollSoon()
	case v > head.Version && !r.lead.leaves(v):
		r.wake()
	}
}

// pollSoon makes the poll run now.
func (s *Set) pollSoon() {
	select {
	case s.polls <- struct{}{}:
	default: // one is asked for already
	}
}

// pollLoop compares the heads of all open graphs with the store's, at each tick
// and when asked. It finds what hints lost.
func (s *Set) pollLoop(ctx context.Context) {
	ticker := time.NewTicker(s.cfg.Poll)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.polls:
		}
		err := s.poll(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			s.cfg.Log.Warn("polling the heads failed; trying on", "err", err)
		case err == nil && failing:
			s.cfg.Log.Info("polling the heads works again")
		}
		failing = err != nil
	}
}

// poll asks for all heads in one query.
func (s *Set) poll(ctx context.Context) error {
	if sabotage.On(sabotage.LoseHints) {
		return nil
	}
	replicas := s.Opened()
	if len(replicas) == 0 {
		return nil
	}
	keys := make([]graph.GraphKey, len(replicas))
	before := make([]graph.Head, len(replicas)) // read before the store is asked: it may only be ahead of them
	for i, r := range replicas {
		keys[i], before[i] = r.key, r.Head()
	}
	heads, err := s.cfg.Store.Heads(ctx, keys)
	if err != nil && graph.CodeOf(err) != graph.CodeNotFound {
		return err
	}
	floors, err := s.cfg.Store.Floors(ctx, keys)
	if err != nil {
		return err
	}
	for i, r := range replicas {
		if floor, ok := floors[r.key]; ok {
			r.floor.Store(int64(floor))
		}
		head, ok := heads[r.key]
		if !ok {
			if err := s.check(ctx, r); err != nil {
				return err
			}
			continue
		}
		r.observe(before[i], head)
	}
	return nil
}

// observe compares the replica's head with the store's, read later.
func (r *Replica) observe(before, store graph.Head) {
	r.set.noteSchema(store.SchemaVer)
	switch {
	case store.Epoch != before.Epoch:
		if r.Head().Epoch != store.Epoch {
			r.follow.reloadNext()
			r.wake()
		}
	case store.Version > r.Head().Version, store.Version < before.Version:
		r.wake() // a round notices a log that is shorter than the replica
	default:
		r.raiseSchema(store)
	}
}

// check looks the graph of a replica up by name, and closes the replica where
// it is gone or another.
func (s *Set) check(ctx context.Context, r *Replica) error {
	before := r.Head()
	info, err := s.cfg.Store.Graph(ctx, r.name)
	switch {
	case graph.CodeOf(err) == graph.CodeNotFound, err == nil && info.Key != r.key:
		s.retire(r)
		return nil
	case err != nil:
		return err
	}
	r.observe(before, info.Head)
	return nil
}

// goneEpoch is announced for a graph that is no more.
const goneEpoch = "gone"

// Refresh compares an open graph with the store now, as the next poll would:
// for who has just deleted a graph or given it a new epoch. A graph that is not
// open is left alone. Other nodes are told of a graph that is gone.
func (s *Set) Refresh(ctx context.Context, name string) error {
	s.mu.Lock()
	r := s.open[name]
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	if err := s.check(ctx, r); err != nil {
		return err
	}
	select {
	case <-r.Closed():
		if s.cfg.Hints != nil {
			s.cfg.Hints.Announce(r.key, goneEpoch, r.Head().Version) // no such epoch: they ask the store
		}
		return nil
	default:
		return r.CatchUp(ctx)
	}
}
