package storetest

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/graphtide/graphtide/graph"
)

var anyNumber = graph.TouchedBounds{Entities: 1000, Bytes: 1 << 20}

func touchedLeadsBackToTheStateBefore(t *testing.T, s Suite) {
	w := s.world(t)
	rng := rand.New(rand.NewPCG(5, 1))
	for range 8 {
		for range 1 + rng.IntN(3) {
			w.Build(func(d *Draft) { RandomChanges(rng, d) })
		}
		w.Append()
	}
	for until := w.Head.Version; until >= 0; until -= 3 {
		for since := graph.Version(0); since <= until; since++ {
			w.CheckTouched(since, until)
		}
	}
}

func touchedKnowsWhatCameBack(t *testing.T, s Suite) {
	w := s.world(t)
	var a graph.ObjectID
	w.Commit(func(d *Draft) { a = d.Create(`{"v":1}`) })
	last := w.Now().Objects[a]
	w.Commit(func(d *Draft) { d.Delete(a) })
	w.Commit(func(d *Draft) { d.Revive(last) })
	for since := graph.Version(0); since <= 3; since++ {
		for until := since; until <= 3; until++ {
			w.CheckTouched(since, until)
		}
	}
}

func touchedIsBounded(t *testing.T, s Suite) {
	w := s.world(t)
	w.Commit(func(d *Draft) { d.Create(`{"v":1}`); d.Create(`{"v":2}`) })
	w.Commit(func(d *Draft) {
		for _, o := range sortedObjects(w.At(1)) {
			d.Set(o.ID, `{}`)
		}
	})
	for _, c := range []struct {
		since, until graph.Version
		max          graph.TouchedBounds
		want         graph.Code
	}{
		{1, 2, graph.TouchedBounds{Entities: 2, Bytes: 14}, ""},
		{1, 2, graph.TouchedBounds{Entities: 1, Bytes: 14}, graph.CodeTooLarge},
		{1, 2, graph.TouchedBounds{Entities: 2, Bytes: 13}, graph.CodeTooLarge},
		{0, 2, graph.TouchedBounds{Entities: 2}, ""},
		{0, 3, anyNumber, graph.CodeInvalidVersion},
		{-1, 2, anyNumber, graph.CodeInvalidVersion},
	} {
		_, err := w.Store.Touched(t.Context(), w.Info.Key, c.since, c.until, c.max)
		if (err == nil) != (c.want == "") || err != nil && graph.CodeOf(err) != c.want {
			t.Errorf("after %d, up to %d, at most %+v: %v", c.since, c.until, c.max, err)
		}
	}
	other := w.Info.Key + 1_000_000
	if _, err := w.Store.Touched(t.Context(), other, 0, 0, anyNumber); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("of no graph: %v", err)
	}
}

func touchedIsGoneWhereHistoryIs(t *testing.T, s Suite) {
	w := newCompacting(t, s)
	w.match(0, w.Head.Version)
	out := w.compact(graph.Keep{Versions: 2}, 0)
	for since := graph.Version(0); since <= w.Head.Version; since++ {
		if since >= out.Floor {
			w.CheckTouched(since, w.Head.Version)
			continue
		}
		if _, err := w.Store.Touched(t.Context(), w.Info.Key, since, w.Head.Version, anyNumber); graph.CodeOf(err) != graph.CodeGone {
			t.Errorf("since %d, before the floor %d: %v", since, out.Floor, err)
		}
	}
}

// CheckTouched compares what the store says of a stretch with the log.
func (w *World) CheckTouched(since, until graph.Version) {
	w.T.Helper()
	got, err := w.Store.Touched(w.T.Context(), w.Info.Key, since, until, anyNumber)
	if err != nil {
		w.T.Fatalf("touched after %d, up to %d: %v", since, until, err)
	}
	want := map[graph.Ref]*graph.Touched{}
	for _, c := range w.Log[since:until] {
		for _, ch := range c.Changes {
			t := want[ch.Ref]
			if t == nil {
				t = &graph.Touched{Ref: ch.Ref}
				want[ch.Ref] = t
			}
			if t.Gone = nil; ch.Event == graph.Deleted {
				t.Gone = &graph.Snapshot{Deleted: true, At: c.Version, Object: ch.ObjBefore, Edge: ch.EdgeBefore}
			}
		}
	}
	for ref, t := range want {
		if ref.Kind == graph.KindObject {
			t.Object = w.At(since).Objects[graph.ObjectID(ref.ID)]
		} else {
			t.Edge = w.At(since).Edges[graph.EdgeID(ref.ID)]
		}
		bury(t)
	}
	seen := map[graph.Ref]*graph.Touched{}
	for i := range got {
		if t := &got[i]; seen[t.Ref] == nil {
			seen[t.Ref] = t
			bury(t)
		} else {
			w.T.Errorf("%s %s is there twice", t.Ref.Kind, t.Ref.IDString())
		}
	}
	if d := cmp.Diff(want, seen, comparing); d != "" {
		w.T.Errorf("touched after %d, up to %d (-want +got):\n%s", since, until, d)
	}
}

// bury leaves of a deleted entity what is promised: neither body nor meta.
func bury(t *graph.Touched) {
	switch g := t.Gone; {
	case g == nil:
	case g.Object != nil:
		o := *g.Object
		o.Body, o.Meta = nil, graph.Meta{}
		g.Object = &o
	case g.Edge != nil:
		e := *g.Edge
		e.Body, e.Meta = nil, graph.Meta{}
		g.Edge = &e
	}
}
