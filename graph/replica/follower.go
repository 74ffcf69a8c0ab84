package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/graphtide/graphtide/graph"
)

// logPage is the number of commits read from the log in one go.
const logPage = 512

// maxReloads bounds the loads of one round: a log that fits no state of its own
// store is a fault for people, and must not load in a loop.
const maxReloads = 3

// follower brings one replica up to the log. At most one round runs at a time;
// who asks while one runs shares the next, which begins after the question and
// so sees all that was committed before it.
type follower struct {
	mu      sync.Mutex
	running bool
	next    *round // asked for, not begun
	reload  bool   // the next round loads the state anew
}

type round struct {
	done chan struct{}
	err  error // set before done is closed
}

// reloadNext makes the next round load the state anew.
func (f *follower) reloadNext() {
	f.mu.Lock()
	f.reload = true
	f.mu.Unlock()
}

// take begins the round that was asked for; nil where there is none.
func (f *follower) take() (r *round, reload bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, f.next = f.next, nil
	if r == nil {
		f.running = false
		return nil, false
	}
	reload, f.reload = f.reload, false
	return r, reload
}

// CatchUp reads the log until the store's head. Calls at the same time share
// the reading.
func (r *Replica) CatchUp(ctx context.Context) error {
	round := r.wake()
	select {
	case <-round.done:
		return round.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wake asks for a round of the follower.
func (r *Replica) wake() *round {
	f := &r.follow
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next == nil {
		f.next = &round{done: make(chan struct{})}
	}
	asked := f.next
	if !f.running {
		f.running = r.set.spawn(r.rounds)
		if !f.running {
			asked.err = errStopped()
			close(asked.done)
			f.next = nil
		}
	}
	return asked
}

// rounds runs until nobody asks for one any more.
func (r *Replica) rounds(ctx context.Context) {
	for {
		round, reload := r.follow.take()
		if round == nil {
			return
		}
		round.err = r.round(ctx, reload)
		if round.err != nil && ctx.Err() == nil {
			r.set.cfg.Log.Warn("following the log failed; the next hint or poll tries again", "graph", r.name, "err", round.err)
		}
		close(round.done)
	}
}

func (r *Replica) round(ctx context.Context, reload bool) error {
	if err := r.set.enter(ctx); err != nil {
		return err
	}
	defer r.set.leave()
	if reload {
		if err := r.reload(ctx); err != nil {
			return err
		}
	}
	for reloads := 0; ; {
		more, err := r.page(ctx)
		switch {
		case err != nil && reloads < maxReloads && onlyReloadHelps(err):
			reloads++
			r.set.cfg.Log.Warn("the replica is loaded anew", "graph", r.name, "why", err)
			if err := r.reload(ctx); err != nil {
				return err
			}
			more = true // what was committed since
		case onlyAgain(err):
			more = true
		case graph.CodeOf(err) == graph.CodeNotFound:
			r.set.retire(r)
			return err
		case err != nil:
			return err
		}
		if !more {
			return nil
		}
	}
}

func onlyReloadHelps(err error) bool {
	return errors.Is(err, errEpoch) || errors.Is(err, errGap) || errors.Is(err, errDiverged) || graph.CodeOf(err) == graph.CodeGone
}

// page reads and applies the next commits. It asks for the newest commit that
// the replica applied as well: a store that holds another one in its place, or
// none, has lost commits since.
func (r *Replica) page(ctx context.Context) (more bool, err error) {
	r.tailMu.RLock()
	head, last := r.head, r.ring.last()
	r.tailMu.RUnlock()
	since, limit := head.Version, logPage
	if last != nil {
		since, limit = since-1, limit+1
	}
	commits, err := r.set.cfg.Store.Log(ctx, r.key, since, limit)
	if err != nil {
		return false, fmt.Errorf("read log after %d: %w", since, err)
	}
	more = len(commits) == limit
	if last != nil {
		if len(commits) == 0 || !same(commits[0], last) {
			return false, r.lost(ctx, head)
		}
		commits = commits[1:]
	}
	return more, r.Follow(ctx, commits)
}

// same reports whether two commits of one version are the same one.
func same(a, b *graph.Commit) bool {
	return a.Version == b.Version &&
		(a.Epoch == "" || b.Epoch == "" || a.Epoch == b.Epoch) &&
		(a.Mutation == "" || b.Mutation == "" || a.Mutation == b.Mutation) &&
		(len(a.Hash) == 0 || len(b.Hash) == 0 || bytes.Equal(a.Hash, b.Hash))
}

// lost answers a store that no longer holds what was committed: the graph gets
// a new epoch, unless it has one already, so that no cursor of before counts.
func (r *Replica) lost(ctx context.Context, at graph.Head) error {
	info, err := r.set.cfg.Store.Graph(ctx, r.name)
	if err != nil {
		return fmt.Errorf("look up graph: %w", err)
	}
	if info.Key == r.key && info.Head.Epoch == at.Epoch {
		r.set.cfg.Log.Error("the store has lost commits: the graph gets a new epoch", "graph", r.name, "version", at.Version, "store", info.Head.Version)
		if _, err := r.set.cfg.Store.NewEpoch(ctx, r.name); err != nil {
			return fmt.Errorf("make a new epoch: %w", err)
		}
	}
	return errEpoch
}

// reload loads the state anew. A fault leaves the replica as it is, and the
// next round tries again.
func (r *Replica) reload(ctx context.Context) error {
	for range maxReloads {
		state, err := r.set.loadState(ctx, r.name, r.key)
		switch {
		case graph.CodeOf(err) == graph.CodeNotFound:
			r.set.retire(r)
			return err
		case err != nil:
			r.follow.reloadNext()
			return err
		}
		schema := state.head.SchemaVer // the state is the replica's from here on
		if r.replace(state) {
			r.set.noteSchema(schema)
			return nil
		}
	}
	r.follow.reloadNext()
	return graph.Errf(graph.CodeUnavailable, "the graph changes faster than it can be loaded anew")
}

// Reload drops the state at the next round of the follower and reads it anew
// from the store: for a caller that found the replica and the log to differ.
func (r *Replica) Reload() {
	r.follow.reloadNext()
	r.wake()
}
