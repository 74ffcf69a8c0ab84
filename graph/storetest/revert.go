package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
)

// Revive brings a deleted object back with the meta data of its making.
func (d *Draft) Revive(last *graph.Object) {
	o := *last
	o.Meta = d.meta(&last.Meta)
	d.w.now.Objects[o.ID] = &o
	d.Changes = append(d.Changes, graph.Change{Ref: graph.ObjectRef(o.ID), Event: graph.Created, Revived: true, ObjAfter: &o, BodyChanged: true, AccessChanged: true})
	d.op(fmt.Sprintf(`{"op":"add","path":"/objects/%s","value":{"type":%q,"body":%s,"access":%s}}`, o.ID, o.Type, o.Body, o.Access.Raw))
}

// ReviveEdge brings a deleted edge back.
func (d *Draft) ReviveEdge(last *graph.Edge) {
	e := *last
	e.Meta = d.meta(&last.Meta)
	d.w.now.Edges[e.ID] = &e
	d.Changes = append(d.Changes, graph.Change{Ref: graph.EdgeRef(e.ID), Event: graph.Created, Revived: true, EdgeAfter: &e, BodyChanged: true})
	d.op(fmt.Sprintf(`{"op":"add","path":"/edges/%s","value":{"label":%q,"from":"%s","to":"%s","body":%s}}`, e.ID, e.Label, e.From, e.To, e.Body))
}

func revivedEntitiesLiveAgain(t *testing.T, s Suite) {
	w := s.world(t)
	var a, b graph.ObjectID
	var e graph.EdgeID
	w.Commit(func(d *Draft) { a, b = d.Create(`{"n":1}`), d.Create(`{}`); e = d.Link("l", a, b, `{"x":1}`) })
	w.Commit(func(d *Draft) { d.Set(a, `{"n":2}`) })
	object, edge := w.Now().Objects[a], w.Now().Edges[e]
	w.Commit(func(d *Draft) { d.Delete(a) })
	w.Commit(func(d *Draft) { d.Revive(object); d.ReviveEdge(edge) })
	w.CheckAll()
	w.Commit(func(d *Draft) { d.Set(a, `{"n":3}`) })
	object = w.Now().Objects[a]
	// A change alone, the way of a lone writer; and within one batch.
	w.Commit(func(d *Draft) { d.Delete(a) })
	w.Commit(func(d *Draft) { d.Revive(object) })
	w.CheckAll()
	w.Build(func(d *Draft) { d.Delete(a) })
	w.Build(func(d *Draft) { d.Revive(object) })
	w.Append()
	w.CheckAll()
}

func onlyDeletedEntitiesAreRevived(t *testing.T, s Suite) {
	w := s.world(t)
	var alive, gone graph.ObjectID
	var e graph.EdgeID
	w.Commit(func(d *Draft) { alive, gone = d.Create(`{}`), d.Create(`{}`); e = d.Link("l", alive, alive, `{}`) })
	there, edge, old := w.Now().Objects[alive], w.Now().Edges[e], w.Now().Objects[gone]
	never := *there
	never.ID = NewObjectID()
	w.Commit(func(d *Draft) { d.Delete(gone) })
	for _, o := range []*graph.Object{there, &never} {
		w.Build(func(d *Draft) { d.Revive(o) })
		want := graph.AppendResult{Hits: []graph.Hit{{Kind: graph.HitObject, Ref: graph.ObjectRef(o.ID)}}}
		if d := cmp.Diff(want, refused(w)); d != "" {
			t.Errorf("hits (-want +got):\n%s", d)
		}
	}
	w.Build(func(d *Draft) { d.Create(`{}`); d.Revive(there) })
	if res := refused(w); len(res.Hits) != 1 || res.Hits[0].Kind != graph.HitObject {
		t.Errorf("beside another change: %+v", res)
	}
	w.Build(func(d *Draft) { d.ReviveEdge(edge) })
	if res := refused(w); !slices.ContainsFunc(res.Hits, func(h graph.Hit) bool { return h.Kind == graph.HitEdge }) {
		t.Errorf("an edge that lives: %+v", res)
	}
	w.Build(func(d *Draft) { d.Revive(old) })
	w.Build(func(d *Draft) { d.Revive(old) })
	if d := cmp.Diff(graph.AppendResult{Hits: []graph.Hit{{Commit: 1, Kind: graph.HitObject, Ref: graph.ObjectRef(gone)}}}, refused(w)); d != "" {
		t.Errorf("twice in a batch (-want +got):\n%s", d)
	}
	w.CheckAll()
}

func commitsAreFoundByNameGroupAndCause(t *testing.T, s Suite) {
	w := s.world(t)
	group, run := uuid.NewString(), uuid.NewString()
	by := func(user, key, group string, cause graph.Cause) graph.Version {
		return w.Commit(func(d *Draft) {
			d.Author.User, d.Mutation, d.Group, d.Cause = user, key, group, cause
			d.Create(`{}`)
		}).Version
	}
	client := graph.Cause{Kind: graph.CauseClient}
	one := by("ann", "key", group, client)
	two := by("bob", "key", "", client)
	three := by("ann", "other", group, client)
	four := by("run:"+run, "r1", "", graph.Cause{Kind: graph.CauseRun, Version: one, Run: run})
	five := by("run:"+run, "r2", "", graph.Cause{Kind: graph.CauseOperation, Version: two, Run: run})
	six := by("run:"+run, "r3", "", graph.Cause{Kind: graph.CauseRun, Version: four, Run: run})
	by("ann", "undo", "", graph.Cause{Kind: graph.CauseRevert, Version: one})

	ctx, key := t.Context(), w.Info.Key
	check := func(what string, want []graph.Version) func([]graph.Version, error) {
		return func(got []graph.Version, err error) {
			t.Helper()
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %v, %v, want %v", what, got, err, want)
			}
		}
	}
	check("key", []graph.Version{one, two})(w.Store.Named(ctx, key, "key"))
	check("no such key", nil)(w.Store.Named(ctx, key, "none"))
	check("group", []graph.Version{one, three})(w.Store.Grouped(ctx, key, group))
	check("no such group", nil)(w.Store.Grouped(ctx, key, uuid.NewString()))
	check("causes", []graph.Version{four, five})(w.Store.Caused(ctx, key, []graph.Version{one, two, three}))
	check("a cause", []graph.Version{six})(w.Store.Caused(ctx, key, []graph.Version{four}))
	check("no cause", nil)(w.Store.Caused(ctx, key, nil))
	other := NewWorld(t, w.Store)
	check("another graph", nil)(w.Store.Named(ctx, other.Info.Key, "key"))
}
