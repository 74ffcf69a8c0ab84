package storetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
)

// archiveStore is a store that can be exported and imported.
type archiveStore interface {
	graph.Store
	graph.Archive
}

func archiveOf(t *testing.T, s Suite) archiveStore {
	t.Helper()
	return s.Open(t).(archiveStore)
}

func newName() string { return "t-" + uuid.NewString() }

// prepare gives a world over a graph that nobody sees.
func prepare(t *testing.T, s archiveStore, name string) *World {
	t.Helper()
	info, err := s.Prepare(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	w := &World{T: t, Store: s, Info: info, Head: info.Head, now: State{map[graph.ObjectID]*graph.Object{}, map[graph.EdgeID]*graph.Edge{}}}
	w.states = append(w.states, w.now.clone())
	return w
}

func preparedGraphIsOutOfSightUntilPublished(t *testing.T, s Suite) {
	store := archiveOf(t, s)
	name := newName()
	w := prepare(t, store, name)
	w.Commit(func(d *Draft) { d.Link("l", d.Create(`{}`), d.Create(`{}`), `{}`) })
	if _, err := store.Graph(t.Context(), name); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("the name, before it is published: %v", err)
	}
	list, err := store.Graphs(t.Context())
	if err != nil || slices.ContainsFunc(list, func(g graph.GraphInfo) bool { return g.Key == w.Info.Key }) {
		t.Errorf("graphs, before it is published: %+v, %v", list, err)
	}
	runs := s.Runs(t, store)
	behind := func() bool {
		list, err := runs.Behind(t.Context(), "n", 1000)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(list, func(b graph.RunBacklog) bool { return b.Graph == w.Info.Key })
	}
	if behind() {
		t.Error("rules look at a graph that is being prepared")
	}
	if err := store.Publish(t.Context(), w.Info.Key, name); err != nil {
		t.Fatal(err)
	}
	w.Info.Name = name
	w.CheckAll()
	if c, err := runs.Cursor(t.Context(), w.Info.Key); err != nil || c.Version != w.Head.Version || c.Epoch != w.Head.Epoch || behind() {
		t.Errorf("rules go on from %+v, %v", c, err)
	}
	w.Commit(func(d *Draft) { d.Create(`{}`) })
	w.CheckAll()
}

func graphsThatAreNotEmptyAreNotReplaced(t *testing.T, s Suite) {
	store := archiveOf(t, s)
	full := NewWorld(t, store)
	var only graph.ObjectID
	full.Commit(func(d *Draft) { only = d.Create(`{}`) })
	full.Commit(func(d *Draft) { d.Delete(only) }) // its history is left
	if _, err := store.Prepare(t.Context(), full.Info.Name); graph.CodeOf(err) != graph.CodeExists || !strings.Contains(err.Error(), "another name") {
		t.Errorf("prepared for a graph that is not empty: %v", err)
	}

	late := NewWorld(t, store)
	w := prepare(t, store, late.Info.Name)
	late.Commit(func(d *Draft) { d.Create(`{}`) })
	if err := store.Publish(t.Context(), w.Info.Key, late.Info.Name); graph.CodeOf(err) != graph.CodeExists {
		t.Errorf("published over a graph that was written meanwhile: %v", err)
	}
	late.CheckAll()

	empty := NewWorld(t, store)
	w = prepare(t, store, empty.Info.Name)
	if err := store.Publish(t.Context(), w.Info.Key, empty.Info.Name); err != nil {
		t.Fatal(err)
	}
	info, err := store.Graph(t.Context(), empty.Info.Name)
	if err != nil || info.Key != w.Info.Key || info.Head.Epoch == empty.Head.Epoch {
		t.Errorf("an empty graph was replaced by %+v, %v", info, err)
	}
	if _, err := store.Log(t.Context(), empty.Info.Key, 0, 1); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("the empty graph of before: %v", err)
	}
}

func laterPreparationTakesThePlaceOfAnEarlier(t *testing.T, s Suite) {
	store := archiveOf(t, s)
	name := newName()
	first, second := prepare(t, store, name), prepare(t, store, name)
	first.Build(func(d *Draft) { d.Create(`{}`) })
	if _, err := store.Append(t.Context(), first.Batch()); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("append to the first: %v", err)
	}
	if err := store.Publish(t.Context(), first.Info.Key, name); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("publish the first: %v", err)
	}
	second.Commit(func(d *Draft) { d.Create(`{}`) })
	if err := store.Publish(t.Context(), second.Info.Key, name); err != nil {
		t.Fatal(err)
	}
	if err := store.Publish(t.Context(), second.Info.Key, name); err == nil {
		t.Error("published twice")
	}
}

func groundCarriesALogWithAFloor(t *testing.T, s Suite) {
	store := archiveOf(t, s)
	old := NewWorld(t, store)
	var a, b graph.ObjectID
	old.Commit(func(d *Draft) { a, b = d.Create(`{"v":0}`), d.Create(`{}`) })
	old.Commit(func(d *Draft) { d.Link("l", a, b, `{"x":1}`) })
	old.Commit(func(d *Draft) { d.Set(a, `{"v":1}`); d.Create(`{}`) })
	old.Commit(func(d *Draft) { d.Set(a, `{"v":2}`) })

	name := newName()
	w := prepare(t, store, name)
	for since := graph.Version(0); since < 3; since += 2 {
		marks, err := store.Marks(t.Context(), old.Info.Key, since, int(min(2, 3-since)))
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range marks {
			want := *old.Log[int(since)+i]
			want.Asked, want.Done, want.Changes = nil, nil, nil
			if d := cmp.Diff(&want, c, comparing); d != "" {
				t.Errorf("mark (-want +got):\n%s", d)
			}
		}
		if err := store.Ground(t.Context(), w.Info.Key, marks, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	at := old.At(3)
	for _, o := range sortedObjects(at) {
		if err := store.Ground(t.Context(), w.Info.Key, nil, []*graph.Object{o}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Ground(t.Context(), w.Info.Key, nil, nil, sortedEdges(at)); err != nil {
		t.Fatal(err)
	}
	if floor, err := store.Floor(t.Context(), w.Info.Key); err != nil || floor != 3 {
		t.Errorf("floor %d, %v", floor, err)
	}
	// The rest of the log, and more.
	w.Log, w.states = slices.Clone(old.Log[:3]), slices.Clone(old.states[:4])
	w.now = w.At(3).clone()
	w.Head.Version, w.Head.At = 3, w.Log[2].At
	w.Commit(func(d *Draft) { d.Set(a, `{"v":2}`) })
	if err := store.Ground(t.Context(), w.Info.Key, nil, nil, nil); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("ground under a log that has begun: %v", err)
	}
	if err := store.Publish(t.Context(), w.Info.Key, name); err != nil {
		t.Fatal(err)
	}
	w.Info.Name = name
	w.Commit(func(d *Draft) { d.Delete(b) })
	w.CheckHead()
	w.CheckState()
	for v := graph.Version(3); v <= w.Head.Version; v++ {
		w.CheckStateAt(v)
	}
	if _, err := store.Log(t.Context(), w.Info.Key, 2, 10); graph.CodeOf(err) != graph.CodeGone {
		t.Errorf("the log before the floor: %v", err)
	}
	for _, c := range w.Log {
		key := graph.MutationKey{Author: c.Author.User, Key: c.Mutation}
		if found, err := store.Recorded(t.Context(), w.Info.Key, []graph.MutationKey{key}); err != nil || found[key].Version != c.Version {
			t.Errorf("the key of version %d: %v, %v", c.Version, found, err)
		}
	}
}
