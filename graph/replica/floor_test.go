package replica_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// floored is a store whose logs have a floor.
type floored struct {
	graph.Store
	at atomic.Int64
}

func (f *floored) Floors(_ context.Context, keys []graph.GraphKey) (map[graph.GraphKey]graph.Version, error) {
	out := map[graph.GraphKey]graph.Version{}
	for _, k := range keys {
		out[k] = graph.Version(f.at.Load())
	}
	return out, nil
}

func TestFloorIsKnownAfterAPoll(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		w := newWorld(t)
		store := &floored{Store: w.store}
		_, r := w.open(t, replica.Config{Store: store, Poll: time.Second})
		<-time.After(1500 * time.Millisecond)
		if r.Floor() != 0 {
			t.Fatalf("floor %d", r.Floor())
		}
		store.at.Store(3)
		<-time.After(time.Second)
		synctest.Wait()
		if r.Floor() != 3 {
			t.Errorf("floor %d a second after a compaction", r.Floor())
		}
	})
}

// A state of the past that the node has loaded is forgotten with the others.
func TestAForgottenStateIsNotGivenFromMemory(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		w := newWorld(t)
		for range 5 {
			w.commit(t, func(x *tx) { x.create("Thing", `{}`, open("")) })
		}
		store := &floored{Store: w.store}
		set, _ := w.open(t, replica.Config{Store: store, Poll: time.Second})
		for _, at := range []graph.Version{1, 3} {
			if _, err := set.At(t.Context(), graph.MainGraph, at); err != nil {
				t.Fatal(err)
			}
		}
		store.at.Store(3)
		<-time.After(1500 * time.Millisecond)
		synctest.Wait()
		if _, err := set.At(t.Context(), graph.MainGraph, 1); graph.CodeOf(err) != graph.CodeGone {
			t.Errorf("below the floor: %v", err)
		}
		if _, err := set.At(t.Context(), graph.MainGraph, 3); err != nil {
			t.Errorf("at the floor: %v", err)
		}
	})
}
