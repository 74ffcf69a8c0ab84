package storetest

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/graphtide/graphtide/graph"
)

func pieceHasWhatWasAskedFor(t *testing.T, s Suite) {
	w := s.world(t)
	rng := rand.New(rand.NewPCG(7, 3))
	for range 12 {
		for range 1 + rng.IntN(3) {
			w.Build(func(d *Draft) { RandomChanges(rng, d) })
		}
		w.Append()
		w.CheckPieces(rng)
	}
}

// CheckPieces asks for parts of the present state, drawn at random.
func (w *World) CheckPieces(rng *rand.Rand) {
	w.T.Helper()
	objects, edges := sortedObjects(w.now), sortedEdges(w.now)
	for range 10 {
		want := &graph.Want{}
		for range rng.IntN(4) {
			if len(objects) > 0 {
				want.Objects = append(want.Objects, objects[rng.IntN(len(objects))].ID)
				want.In = append(want.In, graph.Arriving{To: objects[rng.IntN(len(objects))].ID, Label: []string{"", "l", "m", "none"}[rng.IntN(4)]})
			}
			if len(edges) > 0 {
				want.Edges = append(want.Edges, edges[rng.IntN(len(edges))].ID)
			}
			want.Objects, want.Edges = append(want.Objects, NewObjectID()), append(want.Edges, NewEdgeID())
		}
		if rng.IntN(6) == 0 {
			want.Types = []string{"T", "none"}
		}
		w.checkPiece(want)
	}
}

func (w *World) checkPiece(want *graph.Want) {
	w.T.Helper()
	ids := map[graph.ObjectID]bool{}
	for _, id := range want.Objects {
		ids[id] = true
	}
	for _, e := range w.now.Edges {
		if slices.Contains(want.Edges, e.ID) || slices.Contains(want.In, graph.Arriving{To: e.To, Label: e.Label}) || slices.Contains(want.In, graph.Arriving{To: e.To}) {
			ids[e.From] = true
		}
	}
	for _, o := range w.now.Objects {
		if slices.Contains(want.Types, o.Type) {
			ids[o.ID] = true
		}
	}
	expect, got := State{map[graph.ObjectID]*graph.Object{}, map[graph.EdgeID]*graph.Edge{}}, State{map[graph.ObjectID]*graph.Object{}, map[graph.EdgeID]*graph.Edge{}}
	for id := range ids {
		if o := w.now.Objects[id]; o != nil {
			expect.Objects[id] = o
		}
	}
	for id, e := range w.now.Edges {
		if ids[e.From] {
			expect.Edges[id] = e
		}
	}
	piece, err := w.Store.Piece(w.T.Context(), w.Info.Key, want)
	if err != nil {
		w.T.Fatal(err)
	}
	for _, o := range piece.Objects {
		got.Objects[o.ID] = o
	}
	for _, e := range piece.Edges {
		got.Edges[e.ID] = e
	}
	if len(got.Objects) != len(piece.Objects) || len(got.Edges) != len(piece.Edges) {
		w.T.Errorf("a piece of %d objects and %d edges has repeats", len(piece.Objects), len(piece.Edges))
	}
	if diff := cmp.Diff(expect, got); diff != "" {
		w.T.Fatalf("the piece %+v at version %d:\n%s", want, w.Head.Version, diff)
	}
	if piece.Head.Version != w.Head.Version || piece.Head.Epoch != w.Head.Epoch {
		w.T.Fatalf("the piece is of %+v, want %+v", piece.Head, w.Head)
	}
}

func beforesAreTheStatesRightBefore(t *testing.T, s Suite) {
	w := s.world(t)
	rng := rand.New(rand.NewPCG(11, 3))
	refs := map[graph.Ref]bool{graph.ObjectRef(NewObjectID()): true}
	for range 8 {
		c := w.Build(func(d *Draft) { RandomChanges(rng, d) })
		for i := range c.Changes {
			refs[c.Changes[i].Ref] = true
		}
		w.Append()
	}
	var asked []graph.RefVersion
	var want []graph.Snapshot
	for ref := range maps.Keys(refs) {
		for v := graph.Version(1); v <= w.Head.Version+1; v++ {
			asked = append(asked, graph.RefVersion{Ref: ref, Version: v})
			var snap graph.Snapshot
			if snap.Object, snap.Edge = w.At(v - 1).Objects[ref.ID], w.At(v - 1).Edges[ref.ID]; snap.Object != nil {
				snap.At = snap.Object.Meta.Version
			} else if snap.Edge != nil {
				snap.At = snap.Edge.Meta.Version
			}
			want = append(want, snap)
		}
	}
	got, err := w.Store.Befores(t.Context(), w.Info.Key, asked)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	for _, list := range [][]graph.RefVersion{asked[:1], nil} {
		if _, err := w.Store.Befores(t.Context(), w.Info.Key+1_000_000, list); graph.CodeOf(err) != graph.CodeNotFound {
			t.Errorf("of a graph that is not there: %v", err)
		}
	}
}

func typesOutliveTheirObjects(t *testing.T, s Suite) {
	w := s.world(t)
	rng := rand.New(rand.NewPCG(12, 3))
	want, ids := map[graph.ObjectID]string{}, []graph.ObjectID{NewObjectID()}
	for range 20 {
		c := w.Build(func(d *Draft) { RandomChanges(rng, d) })
		for i := range c.Changes {
			if o := c.Changes[i].ObjAfter; o != nil {
				want[o.ID], ids = o.Type, append(ids, o.ID)
			}
		}
	}
	w.Append()
	if len(w.now.Objects) == len(want) {
		t.Fatal("no object was deleted")
	}
	got, err := w.Store.Types(t.Context(), w.Info.Key, ids)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, list := range [][]graph.ObjectID{ids[:1], nil} {
		if _, err := w.Store.Types(t.Context(), w.Info.Key+1_000_000, list); graph.CodeOf(err) != graph.CodeNotFound {
			t.Errorf("of a graph that is not there: %v", err)
		}
	}
}

func trailHasEverythingTouched(t *testing.T, s Suite) {
	w := s.world(t)
	rng := rand.New(rand.NewPCG(13, 3))
	for range 8 {
		w.Build(func(d *Draft) { RandomChanges(rng, d) })
	}
	w.Append()
	for since := graph.Version(0); since <= w.Head.Version; since++ {
		until := since + graph.Version(rng.IntN(4))
		want, got := map[graph.Foot]int{}, map[graph.Foot]int{}
		for _, c := range w.Log[since:min(until, w.Head.Version)] {
			for i := range c.Changes {
				ch := &c.Changes[i]
				f := graph.Foot{Version: c.Version, Ref: ch.Ref, Event: ch.Event}
				for _, o := range []*graph.Object{ch.ObjBefore, ch.ObjAfter} {
					if o != nil {
						f.Type = o.Type
					}
				}
				for _, e := range []*graph.Edge{ch.EdgeBefore, ch.EdgeAfter} {
					if e != nil {
						f.Type, f.From, f.To = e.Label, e.From, e.To
					}
				}
				want[f]++
			}
		}
		if err := w.Store.Trail(t.Context(), w.Info.Key, since, until, func(f graph.Foot) { got[f]++ }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("after %d up to %d:\n%s", since, until, diff)
		}
	}
}
