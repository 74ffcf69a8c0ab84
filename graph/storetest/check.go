package storetest

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/graphtide/graphtide/graph"
)

// comparing is how states and commits are compared: times by instant, texts as
// they are, and accesses by their text, from which the rest is parsed.
var comparing = cmp.Options{
	cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }),
	cmp.Comparer(func(a, b json.RawMessage) bool { return string(a) == string(b) }),
	cmp.Comparer(func(a, b *graph.ACL) bool {
		return a == b || a != nil && b != nil && string(a.Raw) == string(b.Raw)
	}),
}

// diff is cmp.Diff, which takes many times as long to find that two things are the
// same, as nearly all here are.
func diff(want, got any, opts ...cmp.Option) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return cmp.Diff(want, got, opts...)
}

// CheckHead compares the store's head and counts with the world's.
func (w *World) CheckHead() {
	w.T.Helper()
	info, err := w.Store.Graph(w.T.Context(), w.Info.Name)
	if err != nil {
		w.T.Fatal(err)
	}
	want := graph.GraphInfo{Key: w.Info.Key, Name: w.Info.Name, Head: w.Head, Objects: int64(len(w.now.Objects)), Edges: int64(len(w.now.Edges))}
	if d := diff(want, info, comparing); d != "" {
		w.T.Errorf("graph (-want +got):\n%s", d)
	}
	heads, err := w.Store.Heads(w.T.Context(), []graph.GraphKey{w.Info.Key})
	if err != nil {
		w.T.Fatal(err)
	}
	if d := diff(map[graph.GraphKey]graph.Head{w.Info.Key: w.Head}, heads, comparing); d != "" {
		w.T.Errorf("heads (-want +got):\n%s", d)
	}
}

// CheckState compares the store's present state with the world's.
func (w *World) CheckState() {
	w.T.Helper()
	var c collector
	head, err := w.Store.State(w.T.Context(), w.Info.Key, c.add)
	if err != nil {
		w.T.Fatal(err)
	}
	if d := diff(w.Head, head, comparing); d != "" {
		w.T.Errorf("head of the state (-want +got):\n%s", d)
	}
	c.compare(w, w.now)
}

// CheckStateAt compares the store's state at a version with the world's.
func (w *World) CheckStateAt(v graph.Version) {
	w.T.Helper()
	var c collector
	head, err := w.Store.StateAt(w.T.Context(), w.Info.Key, v, c.add)
	if err != nil {
		w.T.Fatalf("state at %d: %v", v, err)
	}
	want := graph.Head{Version: v, Epoch: w.Head.Epoch}
	if v > 0 {
		want.At, want.SchemaVer = w.Log[v-1].At, w.Log[v-1].SchemaVer
	}
	if d := diff(want, head, comparing); d != "" {
		w.T.Errorf("head of the state at %d (-want +got):\n%s", v, d)
	}
	c.compare(w, w.At(v))
}

// collector puts a streamed state together.
type collector struct {
	objects []*graph.Object
	edges   []*graph.Edge
	fault   string
}

func (c *collector) add(objects []*graph.Object, edges []*graph.Edge) error {
	if len(objects) > 0 && len(c.edges) > 0 {
		c.fault = "objects come after edges"
	}
	c.objects = append(c.objects, objects...)
	c.edges = append(c.edges, edges...)
	return nil
}

func (c *collector) compare(w *World, want State) {
	w.T.Helper()
	if c.fault != "" {
		w.T.Error(c.fault)
	}
	slices.SortFunc(c.objects, func(a, b *graph.Object) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	slices.SortFunc(c.edges, func(a, b *graph.Edge) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	if d := diff(sortedObjects(want), c.objects, comparing, nilIsEmpty); d != "" {
		w.T.Errorf("objects (-want +got):\n%s", d)
	}
	if d := diff(sortedEdges(want), c.edges, comparing, nilIsEmpty); d != "" {
		w.T.Errorf("edges (-want +got):\n%s", d)
	}
}

var nilIsEmpty = cmp.Options{
	cmp.Transformer("objects", func(s []*graph.Object) []*graph.Object { return append([]*graph.Object{}, s...) }),
	cmp.Transformer("edges", func(s []*graph.Edge) []*graph.Edge { return append([]*graph.Edge{}, s...) }),
}

// Logged gives a commit as Log must give it: without what only an append has,
// and without the states before, save those of deleted entities.
func Logged(c *graph.Commit) *graph.Commit {
	out := *c
	out.Fence = nil
	out.Changes = slices.Clone(c.Changes)
	for i := range out.Changes {
		out.Changes[i].Revived = false
		if out.Changes[i].Event != graph.Deleted {
			out.Changes[i].ObjBefore, out.Changes[i].EdgeBefore = nil, nil
		}
	}
	return &out
}

// CheckLog compares the store's log with the world's, read in pages of several
// sizes.
func (w *World) CheckLog() {
	w.T.Helper()
	for _, size := range []int{1000, 3, 1} {
		for since := graph.Version(0); since < w.Head.Version || size == 1000; since += graph.Version(size) {
			got, err := w.Store.Log(w.T.Context(), w.Info.Key, since, size)
			if err != nil {
				w.T.Fatal(err)
			}
			want := w.Log[since:min(since+graph.Version(size), w.Head.Version)]
			if len(got) != len(want) {
				w.T.Fatalf("log since %d, limit %d: %d commits, want %d", since, size, len(got), len(want))
			}
			for i := range want {
				if d := diff(Logged(want[i]), got[i], comparing); d != "" {
					w.T.Errorf("version %d (-want +got):\n%s", want[i].Version, d)
				}
			}
			if size == 1000 {
				break
			}
		}
	}
}

// CheckHistory compares each entity's history, and the entity at each version,
// with what the log says.
func (w *World) CheckHistory() {
	w.T.Helper()
	ctx := w.T.Context()
	want := map[graph.Ref][]*graph.HistoryEntry{}
	for _, c := range w.Log[:w.Head.Version] {
		bare := *c
		bare.Changes, bare.Asked, bare.Done, bare.Fence = nil, nil, nil, nil
		for _, ch := range c.Changes {
			e := &graph.HistoryEntry{Commit: &bare, Patch: ch.Patch}
			e.At, e.Deleted = c.Version, ch.Event == graph.Deleted
			if e.Object, e.Edge = ch.ObjAfter, ch.EdgeAfter; e.Deleted {
				e.Object, e.Edge = ch.ObjBefore, ch.EdgeBefore
			}
			want[ch.Ref] = append(want[ch.Ref], e)
		}
	}
	for ref, entries := range want {
		got, err := w.Store.History(ctx, w.Info.Key, ref, 0, 1000)
		if err != nil {
			w.T.Fatal(err)
		}
		newest := slices.Clone(entries)
		slices.Reverse(newest)
		if d := diff(newest, got, comparing); d != "" {
			w.T.Errorf("history of %s %s (-want +got):\n%s", ref.Kind, ref.IDString(), d)
		}
		var paged []*graph.HistoryEntry
		for before := graph.Version(0); len(paged) < len(entries); {
			page, err := w.Store.History(ctx, w.Info.Key, ref, before, 2)
			if err != nil {
				w.T.Fatal(err)
			}
			if len(page) == 0 || len(page) > 2 {
				w.T.Fatalf("a page of %d entries before %d", len(page), before)
			}
			paged = append(paged, page...)
			before = page[len(page)-1].Commit.Version
		}
		if d := diff(newest, paged, comparing); d != "" {
			w.T.Errorf("history of %s in pages (-want +got):\n%s", ref.IDString(), d)
		}
		for v := graph.Version(0); v <= w.Head.Version; v++ {
			got, err := w.Store.EntityAt(ctx, w.Info.Key, ref, v)
			if err != nil {
				w.T.Fatal(err)
			}
			var snap graph.Snapshot
			for _, e := range entries {
				if e.Commit.Version <= v {
					snap = e.Snapshot
				}
			}
			if d := diff(snap, got, comparing); d != "" {
				w.T.Errorf("%s at %d (-want +got):\n%s", ref.IDString(), v, d)
			}
		}
	}
}

// CheckAll compares everything.
func (w *World) CheckAll() {
	w.T.Helper()
	w.CheckHead()
	w.CheckState()
	for v := graph.Version(0); v <= w.Head.Version; v++ {
		w.CheckStateAt(v)
	}
	w.CheckLog()
	w.CheckHistory()
}
