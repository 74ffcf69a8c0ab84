package replica_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

func TestAppliedLogEqualsLoadedState(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		set := replica.New(replica.Config{Store: w.store})
		defer set.Stop(context.Background())
		r, err := set.Open(t.Context(), graph.MainGraph)
		if err != nil {
			rt.Fatalf("open: %v", err)
		}
		var waiting []*graph.Commit
		for range rapid.IntRange(1, 40).Draw(rt, "commits") {
			waiting = append(waiting, w.step(rt))
			switch rapid.IntRange(0, 2).Draw(rt, "how") {
			case 0:
				err = r.Apply(waiting)
			case 1:
				err = r.CatchUp(t.Context())
			default:
				continue // a larger batch later, or one that was read from the log meanwhile
			}
			if err != nil {
				rt.Fatalf("follow: %v", err)
			}
			r.Read(context.Background(), func(st *replica.State) { w.agrees(rt, st) })
		}
		if err := r.CatchUp(t.Context()); err != nil {
			rt.Fatalf("catch up: %v", err)
		}
		if r.Head() != w.head {
			rt.Fatalf("head %+v, want %+v", r.Head(), w.head)
		}
		other := replica.New(replica.Config{Store: w.store})
		defer other.Stop(context.Background())
		fresh, err := other.Open(t.Context(), graph.MainGraph)
		if err != nil {
			rt.Fatalf("open: %v", err)
		}
		for _, r := range []*replica.Replica{r, fresh} {
			r.Read(context.Background(), func(st *replica.State) { w.agrees(rt, st) })
		}
	})
}

func TestLargeEdgeListsStayConsistent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, r := w.open(t, replica.Config{})
	apply := func(build func(*tx)) {
		t.Helper()
		if err := r.Apply([]*graph.Commit{w.commit(t, build)}); err != nil {
			t.Fatal(err)
		}
	}
	var hub *graph.Object
	apply(func(x *tx) {
		hub = x.create("Thing", `{}`, acl(""))
		for range 60 {
			o := x.create("Part", `{}`, acl(""))
			x.link("a", o.ID, hub.ID, `{}`)
			x.link("b", hub.ID, o.ID, `{}`)
		}
	})
	for i, e := range w.sortedEdges() {
		if w.edges[e.ID] == nil {
			continue // went with an object
		}
		switch {
		case i%3 == 0:
			apply(func(x *tx) { x.modifyEdge(e, `{"n":1}`) })
		case i%7 == 0 && e.To == hub.ID:
			apply(func(x *tx) { x.remove(e.From) })
		default:
			apply(func(x *tx) { x.unlink(e) })
		}
		r.Read(context.Background(), func(st *replica.State) { w.agrees(t, st) })
	}
	apply(func(x *tx) { x.remove(hub.ID) })
	r.Read(context.Background(), func(st *replica.State) { w.agrees(t, st) })
}

func TestApplyFillsInWhatWasBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, r := w.open(t, replica.Config{})
	var a, b *graph.Object
	var e *graph.Edge
	w.commit(t, func(x *tx) {
		a, b = x.create("Thing", `{"p":1}`, acl("")), x.create("Part", `{}`, acl(""))
		e = x.link("a", a.ID, b.ID, `{}`)
	})
	w.commit(t, func(x *tx) { x.modify(a, `{"p":2}`, a.Access); x.modifyEdge(e, `{"n":1}`) })
	w.commit(t, func(x *tx) { x.modify(w.objects[a.ID], `{"p":2}`, acl("bob")) })
	w.commit(t, func(x *tx) { x.remove(a.ID) })
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	commits, ok := r.Since(0)
	if !ok || len(commits) != 4 {
		t.Fatalf("since 0: %d commits, %v", len(commits), ok)
	}
	if ch := commits[0].Changes[0]; ch.ObjBefore != nil || ch.ObjAfter.ID != a.ID {
		t.Errorf("creation: %+v", ch)
	}
	if ch := commits[1].Changes[0]; string(ch.ObjBefore.Body) != `{"p":1}` || !ch.BodyChanged || ch.AccessChanged {
		t.Errorf("change of the body: %+v", ch)
	}
	if ch := commits[1].Changes[1]; string(ch.EdgeBefore.Body) != `{}` || !ch.BodyChanged {
		t.Errorf("change of the edge: %+v", ch)
	}
	if ch := commits[2].Changes[0]; ch.BodyChanged || !ch.AccessChanged || ch.ObjBefore != commits[1].Changes[0].ObjAfter {
		t.Errorf("change of the access: %+v", ch)
	}
	if ch := commits[3].Changes[1]; ch.EdgeBefore != commits[1].Changes[1].EdgeAfter || ch.EdgeAfter != nil {
		t.Errorf("removal of the edge: %+v", ch)
	}
}

func TestApplyPassesOverWhatItHasAndRefusesGaps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, r := w.open(t, replica.Config{})
	var commits []*graph.Commit
	for range 4 {
		commits = append(commits, w.commit(t, func(x *tx) { x.create("Thing", `{}`, acl("")) }))
	}
	told := 0
	stop := r.Watch(func() { told++ })
	for _, bad := range [][]*graph.Commit{{commits[1]}, {commits[0], commits[2]}} {
		if err := r.Apply(bad); err == nil {
			t.Error("a gap was taken")
		}
	}
	if r.Head().Version != 0 || told != 0 {
		t.Fatalf("at %d, told %d times, after nothing but gaps", r.Head().Version, told)
	}
	for i, good := range [][]*graph.Commit{commits[:2], commits[:2], commits[:3]} {
		if err := r.Apply(good); err != nil {
			t.Error(err)
		}
		if want := []graph.Version{2, 2, 3}[i]; r.Head().Version != want {
			t.Errorf("at %d, want %d", r.Head().Version, want)
		}
	}
	stop()
	if err := r.Apply(commits); err != nil {
		t.Error(err)
	}
	if told != 2 {
		t.Errorf("told %d times, want 2: once for each change, none after stop", told)
	}
}

func TestCommitThatDoesNotFitChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, r := w.open(t, replica.Config{})
	var a, b *graph.Object
	first := w.commit(t, func(x *tx) {
		a, b = x.create("Thing", `{}`, acl("")), x.create("Thing", `{}`, acl(""))
		x.link("a", a.ID, b.ID, `{}`)
	})
	if err := r.Apply([]*graph.Commit{first}); err != nil {
		t.Fatal(err)
	}
	stranger := &graph.Object{ID: graph.ObjectID{9}, Type: "Thing", Body: []byte(`{}`), Access: acl("")}
	ref := graph.ObjectRef(stranger.ID)
	for name, changes := range map[string][]graph.Change{
		"created twice":           {{Ref: graph.ObjectRef(a.ID), Event: graph.Created, ObjAfter: a}},
		"changed without being":   {{Ref: ref, Event: graph.Modified, ObjAfter: stranger}},
		"deleted without being":   {{Ref: ref, Event: graph.Deleted, ObjBefore: stranger}},
		"deleted without edges":   {{Ref: graph.ObjectRef(a.ID), Event: graph.Deleted, ObjBefore: a}},
		"linked to nothing":       {{Ref: graph.EdgeRef(graph.EdgeID{9}), Event: graph.Created, EdgeAfter: &graph.Edge{ID: graph.EdgeID{9}, Label: "a", From: a.ID, To: stranger.ID, Body: []byte(`{}`)}}},
		"good and bad":            {{Ref: graph.ObjectRef(a.ID), Event: graph.Modified, ObjAfter: b}, {Ref: ref, Event: graph.Deleted}},
		"an event without a name": {{Ref: ref, ObjAfter: stranger}},
	} {
		err := r.Apply([]*graph.Commit{{Version: 2, Epoch: w.head.Epoch, Changes: changes}})
		if err == nil {
			t.Errorf("%s: taken", name)
		}
		r.Read(context.Background(), func(st *replica.State) { w.agrees(t, st) })
	}
	w.commit(t, func(x *tx) { x.create("Thing", `{}`, acl("")) })
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Read(context.Background(), func(st *replica.State) { w.agrees(t, st) })
}

func TestSinceInsideReadLedToTheState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, r := w.open(t, replica.Config{})
	var commits []*graph.Commit
	for range 300 {
		commits = append(commits, w.commit(t, func(x *tx) { x.create("Thing", `{}`, acl("")) }))
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for seen := graph.Version(0); seen < 300; {
				r.Read(context.Background(), func(st *replica.State) {
					head := st.Head().Version
					led, ok := r.Since(seen)
					if !ok || len(led) != int(head-seen) || r.Head() != st.Head() {
						t.Errorf("since %d at %d: %d commits, %v", seen, head, len(led), ok)
					}
					for i, c := range led {
						if c.Version != seen+graph.Version(i)+1 || st.Object(c.Changes[0].ObjAfter.ID) == nil {
							t.Errorf("commit %d of the state at %d is version %d", i, head, c.Version)
						}
					}
					if objects, _ := st.Len(); objects != int(head) {
						t.Errorf("%d objects at version %d", objects, head)
					}
					seen = head
				})
			}
		})
	}
	var writers sync.WaitGroup
	for range 2 { // the same commits twice, as the pipeline and the follower bring them
		writers.Go(func() {
			for i := range commits {
				if err := r.Apply(commits[max(0, i-3) : i+1]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	readers.Wait()
}

func TestSinceReachesAsFarAsTheRing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, r := w.open(t, replica.Config{Ring: 5})
	for range 20 {
		w.commit(t, func(x *tx) { x.create("Thing", `{}`, acl("")) })
	}
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	for v := graph.Version(0); v <= 22; v++ {
		commits, ok := r.Since(v)
		if want := v >= 15 && v <= 20; ok != want {
			t.Errorf("since %d of 20 with 5 kept: %v", v, ok)
		}
		if ok && len(commits) != int(20-v) {
			t.Errorf("since %d: %d commits", v, len(commits))
		}
	}
}

func TestWaitReturnsAtTheVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, r := w.open(t, replica.Config{})
	c := w.commit(t, func(x *tx) { x.create("Thing", `{}`, acl("")) })
	if err := r.Wait(t.Context(), 1); err != nil || r.Head().Version != 1 {
		t.Fatalf("a version that is in the log: %v at %d", err, r.Head().Version)
	}
	if err := r.Wait(t.Context(), 1); err != nil {
		t.Fatalf("a version that is there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Wait(ctx, 2); !errors.Is(err, context.Canceled) {
		t.Fatalf("a version that nobody wrote: %v", err)
	}
	waited := make(chan error)
	go func() { waited <- r.Wait(t.Context(), 2) }()
	c = w.commit(t, func(x *tx) { x.modify(c.Changes[0].ObjAfter, `{"p":1}`, acl("")) })
	if err := r.Apply([]*graph.Commit{c}); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
}
