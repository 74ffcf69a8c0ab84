package replica_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/graph/replica"
)

// asked counts the questions for heads; each waits until it is let go.
type asked struct {
	graph.Store
	heads atomic.Int64
	held  chan struct{}
}

func (a *asked) Heads(ctx context.Context, keys []graph.GraphKey) (map[graph.GraphKey]graph.Head, error) {
	a.heads.Add(1)
	if a.held != nil {
		<-a.held
	}
	return a.Store.Heads(ctx, keys)
}

func again(t *testing.T, s graph.Store, name string) graph.GraphInfo {
	t.Helper()
	if err := s.DeleteGraph(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	info, _, err := s.EnsureGraph(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestConfirmGivesTheGraphThatHasTheNameNow(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		w := worldIn(t, memstore.New(), "team")
		set, r := w.open(t, replica.Config{Poll: time.Hour})
		w.commit(t, addThing)
		if same, err := set.Confirm(t.Context(), r); err != nil || same != r {
			t.Fatalf("%v, %v", same, err)
		}
		info := again(t, w.store, "team")
		next, err := set.Confirm(t.Context(), r)
		if err != nil || next.Key() != info.Key || next.Head().Epoch != info.Head.Epoch {
			t.Fatalf("%+v, %v", next, err)
		}
		<-r.Closed()
		epoch, err := w.store.NewEpoch(t.Context(), "team")
		if err != nil {
			t.Fatal(err)
		}
		if same, err := set.Confirm(t.Context(), next); err != nil || same != next || next.Head().Epoch != epoch {
			t.Errorf("after a new epoch: %+v, %v", next.Head(), err)
		}
		if err := w.store.DeleteGraph(t.Context(), "team"); err != nil {
			t.Fatal(err)
		}
		if _, err := set.Confirm(t.Context(), next); graph.CodeOf(err) != graph.CodeNotFound {
			t.Errorf("a graph that is no more: %v", err)
		}
	})
}

func TestConfirmationsAtTheSameTimeShareTheNextQuestion(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		w := newWorld(t)
		store := &asked{Store: w.store, held: make(chan struct{})}
		set, r := w.open(t, replica.Config{Store: store, Poll: time.Hour})
		var all sync.WaitGroup
		confirm := func() {
			all.Go(func() {
				if same, err := set.Confirm(t.Context(), r); err != nil || same != r {
					t.Errorf("%v, %v", same, err)
				}
			})
		}
		confirm()
		synctest.Wait() // the first question is under way
		for range 50 {
			confirm()
		}
		synctest.Wait()
		close(store.held)
		all.Wait()
		if n := store.heads.Load(); n != 2 {
			t.Errorf("%d questions for 51 callers", n)
		}
	})
}

func TestDeletionIsToldByANodeThatHasNotOpenedTheGraph(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		w, h := worldIn(t, memstore.New(), "team"), &hints{}
		_, r := w.open(t, replica.Config{Hints: h, Poll: time.Hour})
		other := replica.New(replica.Config{Store: w.store, Hints: h})
		synctest.Wait()
		if err := w.store.DeleteGraph(t.Context(), "team"); err != nil {
			t.Fatal(err)
		}
		if err := other.Removed(t.Context(), w.info); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case <-r.Closed():
		default:
			t.Error("the other node reads the deleted graph")
		}
	})
}
