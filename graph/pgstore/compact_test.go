package pgstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/graph/storetest"
	"github.com/graphtide/graphtide/internal/testdb"
)

// matched says that the rules have seen the log up to a version.
func matched(t *testing.T, w *storetest.World, v graph.Version) {
	t.Helper()
	_, err := pgstore.NewRuns(testdb.Store(t).Pool()).Dispatch(t.Context(), &graph.Dispatch{
		Graph: w.Info.Key, Node: "n", Lease: time.Minute, From: 0, To: v, Epoch: w.Head.Epoch,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// changed gives a graph with an object of six states, one of one state, and one
// that was deleted.
func changed(t *testing.T) (w *storetest.World, often, once, gone graph.ObjectID) {
	t.Helper()
	w = storetest.NewWorld(t, testdb.Store(t))
	w.Commit(func(d *storetest.Draft) { often, once = d.Create(`{"v":0}`), d.Create(`{}`) })
	w.Commit(func(d *storetest.Draft) { gone = d.Create(`{}`); d.Link("l", often, gone, `{}`) })
	w.Commit(func(d *storetest.Draft) { d.Delete(gone) })
	for i := range 5 {
		w.Commit(func(d *storetest.Draft) { d.Set(often, fmt.Sprintf(`{"v":%d}`, i+1)) })
	}
	w.Commit(func(d *storetest.Draft) { d.Link("l", often, once, `{}`) })
	return w, often, once, gone
}

func compact(t *testing.T, w *storetest.World, keep pgstore.Keep, grace time.Duration) pgstore.Compacted {
	t.Helper()
	out, err := testdb.Store(t).Compact(t.Context(), w.Info.Name, map[string]pgstore.Keep{"T": keep}, grace)
	if err != nil {
		t.Fatal(err)
	}
	w.CheckHead()
	w.CheckState()
	for v := out.Floor; v <= w.Head.Version; v++ {
		w.CheckStateAt(v)
	}
	if log, err := w.Store.Log(t.Context(), w.Info.Key, out.Floor, 100); err != nil || len(log) != int(w.Head.Version-out.Floor) {
		t.Errorf("the log after the floor %d: %d commits, %v", out.Floor, len(log), err)
	}
	if out.Floor > 0 {
		if _, err := w.Store.Log(t.Context(), w.Info.Key, out.Floor-1, 100); graph.CodeOf(err) != graph.CodeGone {
			t.Errorf("the log before the floor: %v", err)
		}
		nothing := func([]*graph.Object, []*graph.Edge) error { t.Error("a state was streamed"); return nil }
		if _, err := w.Store.StateAt(t.Context(), w.Info.Key, out.Floor-1, nothing); graph.CodeOf(err) != graph.CodeGone {
			t.Errorf("the state before the floor: %v", err)
		}
	}
	for _, c := range w.Log {
		key := graph.MutationKey{Author: c.Author.User, Key: c.Mutation}
		if found, err := w.Store.Recorded(t.Context(), w.Info.Key, []graph.MutationKey{key}); err != nil || found[key].Version != c.Version {
			t.Errorf("the key of version %d: %v, %v", c.Version, found, err)
		}
	}
	r, err := testdb.Store(t).Verify(t.Context(), w.Info.Name)
	if err != nil || !r.OK() || r.From != out.Floor {
		t.Errorf("verify: %+v, %v", r, err)
	}
	return out
}

func TestCompactKeepsSoManyVersions(t *testing.T) {
	t.Parallel()
	w, often, once, gone := changed(t)
	matched(t, w, w.Head.Version)
	out := compact(t, w, pgstore.Keep{Versions: 2}, 0)
	if out.Rows != 4 || out.Floor != 7 {
		t.Errorf("%+v", out)
	}
	for ref, want := range map[graph.ObjectID]int{often: 2, once: 1, gone: 2} {
		list, err := w.Store.History(t.Context(), w.Info.Key, graph.ObjectRef(ref), 0, 100)
		if err != nil || len(list) != want {
			t.Errorf("%d versions, want %d, %v", len(list), want, err)
		}
	}
	if _, err := w.Store.EntityAt(t.Context(), w.Info.Key, graph.ObjectRef(often), 6); graph.CodeOf(err) != graph.CodeGone {
		t.Errorf("a state that was removed: %v", err)
	}
	if again := compact(t, w, pgstore.Keep{Versions: 2}, 0); again.Rows != 0 || again.Floor != out.Floor {
		t.Errorf("again: %+v", again)
	}
}

func TestCompactKeepsStatesWithinAnAge(t *testing.T) {
	t.Parallel()
	w, often, _, gone := changed(t)
	matched(t, w, w.Head.Version)
	if out := compact(t, w, pgstore.Keep{Age: time.Hour}, 0); out.Rows != 0 || out.Floor != 0 {
		t.Errorf("all is younger: %+v", out)
	}
	if out := compact(t, w, pgstore.Keep{Age: time.Nanosecond}, 0); out.Rows != 7 || out.Floor != 8 {
		t.Errorf("all is older: %+v", out)
	}
	if snap, err := w.Store.EntityAt(t.Context(), w.Info.Key, graph.ObjectRef(gone), w.Head.Version); err != nil || snap != (graph.Snapshot{}) {
		t.Errorf("a deleted object: %+v, %v", snap, err)
	}
	if snap, err := w.Store.EntityAt(t.Context(), w.Info.Key, graph.ObjectRef(often), w.Head.Version); err != nil || snap.Object == nil {
		t.Errorf("a living object: %+v, %v", snap, err)
	}
	w.Build(func(d *storetest.Draft) { d.CreateAs(gone, `{}`) })
	if res, err := w.Store.Append(t.Context(), w.Batch()); err != nil || len(res.Hits) != 1 || res.Hits[0].Kind != graph.HitObject {
		t.Errorf("its id again: %+v, %v", res, err)
	}
}

func TestCompactLeavesWhatIsYoungOrNotYetMatched(t *testing.T) {
	t.Parallel()
	w, _, _, _ := changed(t)
	if out := compact(t, w, pgstore.Keep{Versions: 1}, 0); out.Rows != 0 {
		t.Errorf("no rule has seen anything: %+v", out)
	}
	matched(t, w, 5)
	if out := compact(t, w, pgstore.Keep{Versions: 1}, pgstore.CompactGrace); out.Rows != 0 {
		t.Errorf("all is young: %+v", out)
	}
	if out := compact(t, w, pgstore.Keep{Versions: 1}, 0); out.Floor != 5 {
		t.Errorf("seen up to version 5: %+v", out)
	}
}
