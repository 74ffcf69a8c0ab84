package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
)

func (w *World) turn() graph.Turn {
	w.T.Helper()
	turn, err := w.Store.Turn(w.T.Context(), w.Info.Key, w.Head.Version)
	if err != nil {
		w.T.Fatal(err)
	}
	return turn
}

// take appends what was built in a turn; it must succeed.
func (w *World) take(turn graph.Turn) {
	w.T.Helper()
	res, err := turn.Append(w.T.Context(), w.Batch())
	if err != nil || res.Moved || len(res.Hits) > 0 {
		w.T.Fatalf("append to %d in a turn: %+v, %v", w.Head.Version, res, err)
	}
	w.Settled()
}

func turnAppendsAtItsHead(t *testing.T, s Suite) {
	w := s.world(t)
	var id graph.ObjectID
	turn := w.turn()
	if turn.Head() != w.Head {
		t.Errorf("the head is %+v, want %+v", turn.Head(), w.Head)
	}
	w.Build(func(d *Draft) { id = d.Create(`{}`) }) // a lone one
	w.take(turn)
	turn = w.turn()
	for range 3 { // a batch
		w.Build(func(d *Draft) { d.Link("l", id, d.Create(`{}`), `{}`) })
	}
	w.take(turn)
	turn, err := w.Store.Turn(t.Context(), w.Info.Key, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer turn.Release()
	if turn.Head() != w.Head {
		t.Errorf("the head is %+v, want %+v", turn.Head(), w.Head)
	}
	if tail := turn.Tail(); len(tail) != 3 || tail[0].Version != 2 || len(tail[0].Changes) != 2 {
		t.Errorf("%d commits came with the turn", len(tail))
	}
	turn.Release()
	w.CheckAll()
}

func turnEndsWithItsAppendOrRelease(t *testing.T, s Suite) {
	w := s.world(t)
	w.Commit(func(d *Draft) { d.Create(`{}`) })
	first := w.Log[0].Mutation
	refused := w.turn()
	w.Build(func(d *Draft) { d.Mutation = first; d.Create(`{}`) })
	if res, err := refused.Append(t.Context(), w.Batch()); err != nil || len(res.Hits) != 1 || res.Hits[0].Kind != graph.HitMutation {
		t.Errorf("a key that was used: %+v, %v", res, err)
	}
	w.Forget()
	moved := w.turn()
	w.Build(func(d *Draft) { d.Create(`{}`) })
	elsewhere := *w.Batch()
	elsewhere.Expect.Epoch = "another"
	if res, err := moved.Append(t.Context(), &elsewhere); err != nil || !res.Moved || res.Head != w.Head {
		t.Errorf("another epoch: %+v, %v", res, err)
	}
	malformed := w.turn()
	if _, err := malformed.Append(t.Context(), &graph.Batch{Graph: w.Info.Key, Expect: w.Head}); err == nil {
		t.Error("an empty batch was appended")
	}
	released := w.turn()
	released.Release()
	released.Release()
	for _, over := range []graph.Turn{refused, moved, malformed, released} {
		if _, err := over.Append(t.Context(), w.Batch()); graph.CodeOf(err) != graph.CodeUnavailable {
			t.Errorf("append after the end: %v", err)
		}
		over.Release()
	}
	w.Append() // nothing is locked
	w.CheckAll()
}

func turnIsOfNoGraphThatIsGone(t *testing.T, s Suite) {
	w := s.world(t)
	if err := w.Store.DeleteGraph(t.Context(), w.Info.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Store.Turn(t.Context(), w.Info.Key, 0); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("got %v", err)
	}
	again := NewWorld(t, w.Store) // nothing is locked
	again.Commit(func(d *Draft) { d.Create(`{}`) })
}

func turnMakesOthersWait(t *testing.T, s Suite) {
	w := s.world(t)
	other := s.Open(t)
	turn := w.turn()
	impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if second, err := other.Turn(impatient, w.Info.Key, 0); err == nil {
		second.Release()
		t.Fatal("two turns at a time")
	}
	var waiting sync.WaitGroup
	waiting.Go(func() { // sent before the turn ends, or after: never granted in between
		second, err := other.Turn(t.Context(), w.Info.Key, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer second.Release()
		if second.Head().Version != 1 || len(second.Tail()) != 1 {
			t.Errorf("the next turn is at %d, with %d commits", second.Head().Version, len(second.Tail()))
		}
	})
	w.Build(func(d *Draft) { d.Create(`{}`) })
	w.take(turn)
	waiting.Wait()
	w.CheckAll()
}

func silentHolderLosesItsTurn(t *testing.T, s Suite) {
	w := s.world(t)
	silent := w.turn()
	began := time.Now()
	w.Build(func(d *Draft) { d.Create(`{}`) })
	for {
		res, err := s.Open(t).Append(t.Context(), w.Batch())
		if graph.CodeOf(err) == graph.CodeUnavailable {
			continue // it waited as long as one may for a lock
		}
		if err != nil || res.Moved || len(res.Hits) > 0 {
			t.Fatalf("%+v, %v", res, err)
		}
		break
	}
	w.Settled()
	if took := time.Since(began); took > 3500*time.Millisecond { // half a second for a busy machine
		t.Errorf("the lock was free after %s", took)
	}
	w.Build(func(d *Draft) { d.Create(`{}`) })
	if _, err := silent.Append(t.Context(), w.Batch()); graph.CodeOf(err) != graph.CodeUnavailable {
		t.Errorf("the silent holder: %v", err)
	}
	w.Forget()
	silent.Release()
	w.CheckAll()
}
