package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/graphtide/graphtide/graph"
)

// compacting is a world whose history is to be forgotten.
type compacting struct {
	*World
	runs  graph.RunStore
	often graph.ObjectID // has six states, of versions 1 and 4 to 8
	once  graph.ObjectID // has one
	gone  graph.ObjectID // was made by version 2, with an edge, and deleted by version 3
}

func newCompacting(t *testing.T, s Suite) *compacting {
	t.Helper()
	store := s.Fresh(t)()
	w := &compacting{World: NewWorld(t, store), runs: s.Runs(t, store)}
	w.Commit(func(d *Draft) { w.often, w.once = d.Create(`{"v":0}`), d.Create(`{}`) })
	w.Commit(func(d *Draft) { w.gone = d.Create(`{}`); d.Link("l", w.often, w.gone, `{}`) })
	w.Commit(func(d *Draft) { d.Delete(w.gone) })
	for i := range 5 {
		w.Commit(func(d *Draft) { d.Set(w.often, fmt.Sprintf(`{"v":%d}`, i+1)) })
	}
	w.Commit(func(d *Draft) { d.Link("l", w.often, w.once, `{}`) })
	return w
}

// match says that the rules have seen the log from one version up to another.
func (w *compacting) match(from, to graph.Version) {
	w.T.Helper()
	d, err := w.runs.Dispatch(w.T.Context(), &graph.Dispatch{
		Graph: w.Info.Key, Node: "n", Lease: time.Minute, From: from, To: to, Epoch: w.Head.Epoch,
	})
	if err != nil || !d.Moved {
		w.T.Fatalf("%+v, %v", d, err)
	}
}

// compact compacts and checks what holds whatever the policy is.
func (w *compacting) compact(keep graph.Keep, grace time.Duration) graph.Compacted {
	w.T.Helper()
	ctx := w.T.Context()
	out, err := w.Store.(graph.Compactor).Compact(ctx, w.Info.Name, map[string]graph.Keep{"T": keep}, grace)
	if err != nil {
		w.T.Fatal(err)
	}
	w.CheckHead()
	w.CheckState()
	for v := out.Floor; v <= w.Head.Version; v++ {
		w.CheckStateAt(v)
	}
	if floors, err := w.Store.Floors(ctx, []graph.GraphKey{w.Info.Key, w.Info.Key + 1<<40}); err != nil || len(floors) != 1 || floors[w.Info.Key] != out.Floor {
		w.T.Errorf("floors %v, want %d, %v", floors, out.Floor, err)
	}
	log, err := w.Store.Log(ctx, w.Info.Key, out.Floor, 100)
	if err != nil || len(log) != int(w.Head.Version-out.Floor) {
		w.T.Fatalf("the log after the floor %d: %d commits, %v", out.Floor, len(log), err)
	}
	for i, c := range log {
		if d := cmp.Diff(Logged(w.Log[int(out.Floor)+i]), c, comparing); d != "" {
			w.T.Errorf("version %d (-want +got):\n%s", c.Version, d)
		}
	}
	for v := graph.Version(0); v < out.Floor; v++ {
		if _, err := w.Store.Log(ctx, w.Info.Key, v, 100); graph.CodeOf(err) != graph.CodeGone {
			w.T.Errorf("the log since %d, before the floor %d: %v", v, out.Floor, err)
		}
		nothing := func([]*graph.Object, []*graph.Edge) error { w.T.Error("a state was streamed"); return nil }
		if _, err := w.Store.StateAt(ctx, w.Info.Key, v, nothing); graph.CodeOf(err) != graph.CodeGone {
			w.T.Errorf("the state at %d, before the floor %d: %v", v, out.Floor, err)
		}
	}
	for _, c := range w.Log {
		key := graph.MutationKey{Author: c.Author.User, Key: c.Mutation}
		found, err := w.Store.Recorded(ctx, w.Info.Key, []graph.MutationKey{key})
		if err != nil || found[key].Version != c.Version || string(found[key].Hash) != string(c.Hash) {
			w.T.Errorf("the key of version %d: %v, %v", c.Version, found, err)
		}
	}
	return out
}

// states checks how many states of an object are left.
func (w *compacting) states(id graph.ObjectID, want int) {
	w.T.Helper()
	list, err := w.Store.History(w.T.Context(), w.Info.Key, graph.ObjectRef(id), 0, 100)
	if err != nil || len(list) != want {
		w.T.Errorf("%d states, want %d, %v", len(list), want, err)
	}
	for _, e := range list {
		if e.Object == nil || e.Commit.At.IsZero() || (e.Patch == nil) != (e.Deleted || e.Commit.Version == e.Object.Meta.CreatedVersion) {
			w.T.Errorf("version %d: %+v", e.Commit.Version, e)
		}
	}
}

func compactKeepsSoManyVersions(t *testing.T, s Suite) {
	w := newCompacting(t, s)
	w.match(0, w.Head.Version)
	out := w.compact(graph.Keep{Versions: 2}, 0)
	if out.Rows != 4 || out.Floor != 7 {
		t.Errorf("%+v", out)
	}
	w.states(w.often, 2)
	w.states(w.once, 1)
	w.states(w.gone, 2)
	if _, err := w.Store.EntityAt(t.Context(), w.Info.Key, graph.ObjectRef(w.often), 6); graph.CodeOf(err) != graph.CodeGone {
		t.Errorf("a state that was removed: %v", err)
	}
	if snap, err := w.Store.EntityAt(t.Context(), w.Info.Key, graph.ObjectRef(w.once), 1); err != nil || snap.Object == nil {
		t.Errorf("another object's state, below the floor: %+v, %v", snap, err)
	}
	if again := w.compact(graph.Keep{Versions: 2}, 0); again.Rows != 0 || again.Floor != out.Floor {
		t.Errorf("again: %+v", again)
	}
	w.Commit(func(d *Draft) { d.Set(w.often, `{"v":9}`) })
	w.Commit(func(d *Draft) { d.Delete(w.often) })
	w.match(9, w.Head.Version)
	if out := w.compact(graph.Keep{Versions: 2}, 0); out.Rows != 2 || out.Floor != 10 {
		t.Errorf("after more was written: %+v", out)
	}
	w.states(w.often, 2)
}

func compactKeepsStatesWithinAnAge(t *testing.T, s Suite) {
	w := newCompacting(t, s)
	w.match(0, w.Head.Version)
	if out := w.compact(graph.Keep{Age: time.Hour}, 0); out.Rows != 0 || out.Floor != 0 {
		t.Errorf("all is younger: %+v", out)
	}
	if out := w.compact(graph.Keep{Age: time.Nanosecond}, 0); out.Rows != 7 || out.Floor != 8 {
		t.Errorf("all is older: %+v", out)
	}
	for v, want := range map[graph.Version]graph.Code{2: graph.CodeGone, w.Head.Version: ""} {
		snap, err := w.Store.EntityAt(t.Context(), w.Info.Key, graph.ObjectRef(w.gone), v)
		if graph.CodeOf(err) != want || snap != (graph.Snapshot{}) {
			t.Errorf("a deleted object at %d: %+v, %v", v, snap, err)
		}
	}
	if snap, err := w.Store.EntityAt(t.Context(), w.Info.Key, graph.ObjectRef(w.often), w.Head.Version); err != nil || snap.Object == nil {
		t.Errorf("a living object: %+v, %v", snap, err)
	}
	w.Build(func(d *Draft) { d.CreateAs(w.gone, `{}`) })
	if res, err := w.Store.Append(t.Context(), w.Batch()); err != nil || len(res.Hits) != 1 || res.Hits[0].Kind != graph.HitObject {
		t.Errorf("its id again: %+v, %v", res, err)
	}
	w.Forget()
}

func compactLeavesWhatIsYoungOrNotYetSeen(t *testing.T, s Suite) {
	w := newCompacting(t, s)
	if out := w.compact(graph.Keep{Versions: 1}, 0); out.Rows != 0 {
		t.Errorf("no rule has seen anything: %+v", out)
	}
	w.match(0, 5)
	if out := w.compact(graph.Keep{Versions: 1}, time.Hour); out.Rows != 0 {
		t.Errorf("all is young: %+v", out)
	}
	if out := w.compact(graph.Keep{Versions: 1}, 0); out.Floor != 5 {
		t.Errorf("seen up to version 5: %+v", out)
	}
	w.Commit(func(d *Draft) { d.Set(w.once, `{"v":1}`) })
	w.match(5, w.Head.Version)
	if out := w.compact(graph.Keep{Versions: 1}, 0); out.Floor != 8 {
		t.Errorf("the last commit, at which followers look, is %d: %+v", w.Head.Version, out)
	}
}

func compactForgetsNothingWithoutAPolicy(t *testing.T, s Suite) {
	w := newCompacting(t, s)
	w.match(0, w.Head.Version)
	if out := w.compact(graph.Keep{}, 0); out != (graph.Compacted{}) {
		t.Errorf("%+v", out)
	}
	w.CheckAll()
	if _, err := w.Store.(graph.Compactor).Compact(t.Context(), "no-such-graph", nil, 0); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("a graph that is not there: %v", err)
	}
}

func compactTakesLongHistoriesInSteps(t *testing.T, s Suite) {
	w := newCompacting(t, s)
	for range 20 {
		for i := range 50 {
			w.Build(func(d *Draft) { d.Set(w.once, fmt.Sprintf(`{"v":%d}`, i)) })
		}
		w.Append()
	}
	w.match(0, w.Head.Version)
	out, err := w.Store.(graph.Compactor).Compact(t.Context(), w.Info.Name, map[string]graph.Keep{"T": {Versions: 3}}, 0)
	if err != nil || out.Floor != w.Head.Version-2 {
		t.Errorf("%+v, %v", out, err)
	}
	w.states(w.once, 3)
	w.states(w.often, 3)
	w.CheckStateAt(out.Floor)
	w.CheckState()
}
