package storetest

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/graphtide/graphtide/graph"
)

// changesAppendedTogether: a batch that only changes and removes objects that live, or
// one such change alone, is judged and written like any other, in a turn and without
// one.
func changesAppendedTogether(t *testing.T, s Suite) {
	for _, inTurn := range []bool{false, true} {
		t.Run(fmt.Sprint("turn=", inTurn), func(t *testing.T) {
			t.Parallel()
			w := s.world(t)
			var ids []graph.ObjectID
			first := w.Commit(func(d *Draft) { ids = append(ids, d.Create(`{}`), d.Create(`{}`), d.Create(`{}`), d.Create(`{}`)) })
			ours := func(d *Draft) { d.Set(ids[0], fmt.Sprintf(`{"n":%d}`, d.Version)) }
			together := func(fns ...func(*Draft)) *graph.Batch {
				for _, fn := range fns {
					w.Build(fn).At = w.Log[w.Head.Version].At
				}
				restamp(w.Batch())
				return w.Batch()
			}

			w.mustAppend(together(ours, func(d *Draft) { d.Set(ids[1], `{"b":1}`) }, ours, func(d *Draft) { d.Delete(ids[2]) }, ours), inTurn)
			w.CheckAll()

			old := w.Now().Objects[ids[1]]
			w.mustAppend(together(func(d *Draft) { d.Set(ids[1], `{"b":2}`) }, func(d *Draft) { d.Share(ids[3], `{"read":{"users":{"bob":true}}}`) }), inTurn)
			if used := w.remember(idle("no effect")); len(used) > 0 {
				t.Errorf("a new key was in use: %v", used)
			}
			w.mustAppend(together(ours, ours), inTurn) // though there are keys without effect
			w.mustAppend(together(ours), inTurn)
			for name, test := range map[string]struct {
				spoil func(*Draft)
				want  graph.Hit
			}{
				"key":                {func(d *Draft) { ours(d); d.Mutation = first.Mutation }, graph.Hit{Kind: graph.HitMutation, Version: 1, Hash: first.Hash}},
				"key without effect": {func(d *Draft) { ours(d); d.Mutation = "no effect" }, graph.Hit{Kind: graph.HitMutation, Version: w.Head.Version - 3, Hash: []byte{1, 2, 3}}},
				"older state":        {func(d *Draft) { d.Set(ids[1], `{"b":3}`); d.Changes[0].ObjBefore = old }, graph.Hit{Kind: graph.HitConflict, Ref: graph.ObjectRef(ids[1])}},
			} {
				for at, batch := range map[int][]func(*Draft){0: {test.spoil}, 1: {ours, test.spoil, ours}} {
					test.want.Commit = at
					res := w.appendAs(together(batch...), inTurn)
					w.Forget()
					if d := cmp.Diff(graph.AppendResult{Hits: []graph.Hit{test.want}}, res, comparing); d != "" {
						t.Errorf("%s, of %d (-want +got):\n%s", name, len(batch), d)
					}
					w.CheckAll()
				}
			}
		})
	}
}

// restamp gives all states of a batch the time of their commit.
func restamp(b *graph.Batch) {
	for _, c := range b.Commits {
		for i := range c.Changes {
			if o := c.Changes[i].ObjAfter; o != nil {
				o.Meta.UpdatedAt = c.At
			}
		}
	}
}

func (w *World) appendAs(b *graph.Batch, inTurn bool) graph.AppendResult {
	w.T.Helper()
	write := w.Store.Append
	if inTurn {
		turn, err := w.Store.Turn(w.T.Context(), b.Graph, b.Expect.Version)
		if err != nil {
			w.T.Fatal(err)
		}
		defer turn.Release()
		write = turn.Append
	}
	res, err := write(w.T.Context(), b)
	if err != nil {
		w.T.Fatal(err)
	}
	return res
}

func (w *World) mustAppend(b *graph.Batch, inTurn bool) {
	w.T.Helper()
	if res := w.appendAs(b, inTurn); res.Moved || len(res.Hits) > 0 {
		w.T.Fatalf("append: %+v", res)
	}
	w.Settled()
}
