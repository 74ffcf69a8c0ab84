package memstore

import (
	"context"
	"sync"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// gate is a mutex whose waiting a context may end.
type gate chan struct{}

func (g gate) Lock()   { g <- struct{}{} }
func (g gate) Unlock() { <-g }

func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// silence is how long the holder of a turn may say nothing.
const silence = 2500 * time.Millisecond

// turn holds the store's write lock.
type turn struct {
	s     *Store
	key   graph.GraphKey
	head  graph.Head
	tail  []*graph.Commit
	clock *time.Timer

	mu   sync.Mutex // guards over
	over bool
}

// Turn waits for the write lock and holds it until the turn ends.
func (s *Store) Turn(ctx context.Context, key graph.GraphKey, since graph.Version) (graph.Turn, error) {
	if err := s.write.enter(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	g, err := s.graphOf(key)
	var head graph.Head
	if err == nil {
		head = g.head
	}
	s.mu.RUnlock()
	var tail []*graph.Commit
	if err == nil {
		tail, err = s.Log(ctx, key, since, graph.MaxTail)
	}
	if err != nil {
		s.write.Unlock()
		return nil, err
	}
	t := &turn{s: s, key: key, head: head, tail: tail}
	t.mu.Lock()
	t.clock = time.AfterFunc(silence, t.Release)
	t.mu.Unlock()
	return t, nil
}

func (t *turn) Head() graph.Head { return t.head }

func (t *turn) Tail() []*graph.Commit { return t.tail }

func (t *turn) Append(_ context.Context, b *graph.Batch) (graph.AppendResult, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return graph.AppendResult{}, errTurnOver()
	}
	defer t.end()
	if err := b.Check(); err != nil {
		return graph.AppendResult{}, err
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	g, err := t.s.graphOf(b.Graph)
	if err != nil {
		return graph.AppendResult{}, err
	}
	return t.s.appendTo(g, b), nil
}

func (t *turn) Release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end()
}

// end gives the write lock back, once; the caller holds mu.
func (t *turn) end() {
	if !t.over {
		t.over = true
		t.clock.Stop()
		t.s.write.Unlock()
	}
}

func errTurnOver() error {
	return &graph.Error{Code: graph.CodeUnavailable, Message: "the turn to append is over", RetryAfter: time.Second}
}
