package replica

import (
	"context"
	"sync"

	"github.com/graphtide/graphtide/graph"
)

// confirmations asks the store which graphs are still those that are open here.
// As with a follower's rounds, one question is under way at a time, and who asks
// meanwhile shares the next: it begins after he came.
type confirmations struct {
	mu      sync.Mutex
	running bool
	next    *confirmation // asked for, not begun
}

// confirmation is one question, about all graphs that somebody asks for.
type confirmation struct {
	keys  map[graph.GraphKey]bool
	done  chan struct{}
	heads map[graph.GraphKey]graph.Head // set, as err, before done is closed
	err   error
}

// Confirm gives the replica of what is r's graph now: r itself, or where the
// graph was deleted and made again, the new one's; CodeNotFound where there is
// none. It has the epoch that the store had at some time during the call. Calls
// at the same time share one look at the store.
func (s *Set) Confirm(ctx context.Context, r *Replica) (*Replica, error) {
	for {
		before := r.Head()
		head, ok, err := s.confirm(ctx, r.key)
		switch {
		case err != nil:
			return nil, err
		case ok && head.Epoch == r.Head().Epoch:
			return r, nil
		case ok:
			r.observe(before, head)
			return r, r.CatchUp(ctx)
		}
		if err := s.check(ctx, r); err != nil {
			return nil, err
		}
		if r, err = s.Open(ctx, r.name); err != nil {
			return nil, err
		}
	}
}

// confirm gives the head of a graph; ok is false where it is no more.
func (s *Set) confirm(ctx context.Context, key graph.GraphKey) (head graph.Head, ok bool, err error) {
	asked := s.ask(key)
	select {
	case <-asked.done:
		head, ok = asked.heads[key]
		return head, ok, asked.err
	case <-ctx.Done():
		return head, false, ctx.Err()
	}
}

// ask adds a graph to the next question.
func (s *Set) ask(key graph.GraphKey) *confirmation {
	c := &s.confirmations
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == nil {
		c.next = &confirmation{keys: map[graph.GraphKey]bool{}, done: make(chan struct{})}
	}
	asked := c.next
	asked.keys[key] = true
	if !c.running {
		c.running = s.spawn(s.answer)
		if !c.running {
			asked.err = errStopped()
			close(asked.done)
			c.next = nil
		}
	}
	return asked
}

// answer asks the store until nobody wants to know any more.
func (s *Set) answer(ctx context.Context) {
	for {
		c := &s.confirmations
		c.mu.Lock()
		asked := c.next
		c.next, c.running = nil, asked != nil
		c.mu.Unlock()
		if asked == nil {
			return
		}
		keys := make([]graph.GraphKey, 0, len(asked.keys))
		for k := range asked.keys {
			keys = append(keys, k)
		}
		asked.heads, asked.err = s.cfg.Store.Heads(ctx, keys)
		close(asked.done)
	}
}

// Removed is for who has just deleted a graph: it closes the replica, if it is
// open, and tells the other nodes, which may have it open though this one has not.
func (s *Set) Removed(ctx context.Context, g graph.GraphInfo) error {
	if h := s.cfg.Hints; h != nil {
		h.Announce(g.Key, goneEpoch, g.Head.Version) // no such epoch: they ask the store
	}
	return s.Refresh(ctx, g.Name)
}
