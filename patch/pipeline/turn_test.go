package pipeline_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// counted counts how the log is reached; broken turns are refused.
type counted struct {
	graph.Store
	turns, appends, moved atomic.Int64
	broken                bool
}

func (c *counted) Turn(ctx context.Context, g graph.GraphKey, since graph.Version) (graph.Turn, error) {
	if c.broken {
		return nil, &graph.Error{Code: graph.CodeUnavailable, Message: "no turns"}
	}
	c.turns.Add(1)
	return c.Store.Turn(ctx, g, since)
}

func (c *counted) Append(ctx context.Context, b *graph.Batch) (graph.AppendResult, error) {
	res, err := c.Store.Append(ctx, b)
	c.appends.Add(1)
	if res.Moved {
		c.moved.Add(1)
	}
	return res, err
}

// crowd has writers on every node append to one list, and checks that all of it
// is there, each writer's in order.
func crowd(t *testing.T, nodes []*system, writers, each int) {
	t.Helper()
	ds := nodes[0].dataStore()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				nodes[w%len(nodes)].do(ann, fmt.Sprintf(`[{"op":"add","path":"/objects/%s/body/tags/-","value":"%d-%d"}]`, ds, w, i))
			}
		})
	}
	wg.Wait()
	if err := nodes[0].rep().CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if head := nodes[0].head(); head != graph.Version(writers*each+1) {
		t.Errorf("head %d, want %d", head, writers*each+1)
	}
	nodes[0].replays()
}

func TestNodesThatWriteOneGraphTakeTurns(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, store graph.Store) {
		c := &counted{Store: store}
		s := setupOn(t, c, graph.Limits{})
		nodes := []*system{s, s.another(), s.another()}
		const writers, each = 12, 40
		crowd(t, nodes, writers, each)
		if c.turns.Load() == 0 {
			t.Error("nobody took a turn")
		}
		if moved := c.moved.Load(); moved > writers*each/4 {
			t.Errorf("%d appends of %d commits came too late", moved, writers*each)
		}
		// Left alone, a node is soon back to one round trip a commit.
		ds := s.dataStore()
		write := func(n int) {
			for i := range n {
				s.do(ann, fmt.Sprintf(`[{"op":"replace","path":"/objects/%s/body/name","value":"n%d"}]`, ds, i))
			}
		}
		write(20)
		turns, appends := c.turns.Load(), c.appends.Load()
		write(10)
		if c.turns.Load() != turns || c.appends.Load() != appends+10 {
			t.Errorf("ten lone commits took %d turns and %d appends", c.turns.Load()-turns, c.appends.Load()-appends)
		}
	})
}

func TestWithoutTurnsNodesWriteAllTheSame(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, store graph.Store) {
		s := setupOn(t, &counted{Store: store, broken: true}, graph.Limits{})
		crowd(t, []*system{s, s.another()}, 8, 20)
	})
}
