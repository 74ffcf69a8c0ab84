package replica_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
)

func TestSnapshotIsTheStateAtItsVersion(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		set := replica.New(replica.Config{Store: w.store})
		defer set.Stop(context.Background())
		var then []*world // what the world was after each commit
		keep := func() {
			now := &world{objects: map[graph.ObjectID]*graph.Object{}, edges: map[graph.EdgeID]*graph.Edge{}}
			for id, o := range w.objects {
				now.objects[id] = o
			}
			for id, e := range w.edges {
				now.edges[id] = e
			}
			then = append(then, now)
		}
		keep()
		for range rapid.IntRange(1, 20).Draw(rt, "commits") {
			w.step(rt)
			keep()
		}
		for range 5 {
			v := rapid.IntRange(0, len(then)-1).Draw(rt, "version")
			snapshot, err := set.At(t.Context(), graph.MainGraph, graph.Version(v))
			if err != nil {
				rt.Fatalf("state at %d: %v", v, err)
			}
			if snapshot.Head().Version != graph.Version(v) {
				rt.Fatalf("state at %d says that it is at %d", v, snapshot.Head().Version)
			}
			then[v].agrees(rt, snapshot.State)
		}
		if _, err := set.At(t.Context(), graph.MainGraph, graph.Version(len(then))); graph.CodeOf(err) != graph.CodeInvalidVersion {
			rt.Fatalf("state beyond the head: %v", err)
		}
	})
}

// counting counts the reads of the past.
type counting struct {
	graph.Store
	states, pages atomic.Int32
}

func (c *counting) StateAt(ctx context.Context, g graph.GraphKey, at graph.Version, fn graph.StateFunc) (graph.Head, error) {
	c.states.Add(1)
	return c.Store.StateAt(ctx, g, at, fn)
}

func (c *counting) Log(ctx context.Context, g graph.GraphKey, since graph.Version, limit int) ([]*graph.Commit, error) {
	c.pages.Add(1)
	return c.Store.Log(ctx, g, since, limit)
}

func TestSnapshotsAreKeptForAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 20 {
		w.commit(t, addThing)
	}
	store := &counting{Store: w.store}
	set, _ := w.open(t, replica.Config{Store: store})
	at := func(v graph.Version) *replica.Snapshot {
		t.Helper()
		s, err := set.At(t.Context(), graph.MainGraph, v)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := at(3)
	if again := at(3); again != first || store.states.Load() != 1 {
		t.Errorf("asked twice, loaded %d times", store.states.Load())
	}
	for v := range graph.Version(20) {
		at(v)
	}
	before := store.states.Load()
	at(19)
	if store.states.Load() != before {
		t.Error("the newest was not kept")
	}
	if at(0); store.states.Load() == before {
		t.Error("all were kept")
	}
}

// held is a store whose loads of the past wait.
type held struct {
	graph.Store
	loads atomic.Int64
	open  chan struct{}
}

func (h *held) StateAt(ctx context.Context, g graph.GraphKey, at graph.Version, fn graph.StateFunc) (graph.Head, error) {
	h.loads.Add(1)
	<-h.open
	return h.Store.StateAt(ctx, g, at, fn)
}

func TestLoadsOfThePastLeaveTheStoreToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 10 {
			w.commit(t, addThing)
		}
		store := &held{Store: w.store, open: make(chan struct{})}
		set, _ := w.open(t, replica.Config{Store: store})
		var asking sync.WaitGroup
		for v := range graph.Version(10) {
			asking.Go(func() {
				if _, err := set.At(t.Context(), graph.MainGraph, v); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := store.loads.Load(); n != 2 {
			t.Errorf("%d loads at once", n)
		}
		close(store.open)
		asking.Wait()
		if n := store.loads.Load(); n != 10 {
			t.Errorf("%d loads in all", n)
		}
	})
}

func TestPastIsJudgedByTodaysRightsAndTheDeletedByItsLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &counting{Store: w.store}
	_, r := w.open(t, replica.Config{Store: store})
	var anns, bobs, record, closed, moved *graph.Object
	w.commit(t, func(x *tx) {
		anns, bobs = x.create("Thing", `{}`, acl("ann")), x.create("Thing", `{}`, acl("bob"))
		record, closed, moved = x.create("Part", `{}`, acl("a")), x.create("Part", `{}`, acl("ann")), x.create("Part", `{}`, acl("a"))
		x.link("a", record.ID, anns.ID, `{}`)
		x.link("a", moved.ID, anns.ID, `{}`)
	})
	w.commit(t, func(x *tx) { x.modify(closed, `{}`, acl("bob")) })
	w.commit(t, func(x *tx) {
		x.unlink(w.between("a", moved.ID, anns.ID))
		x.link("a", moved.ID, bobs.ID, `{}`)
	})
	w.commit(t, func(x *tx) { x.remove(moved.ID) })
	w.commit(t, func(x *tx) { x.remove(record.ID) })
	w.commit(t, func(x *tx) { x.remove(anns.ID) })
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	judge := func(past *replica.Past, want string) {
		t.Helper()
		r.Read(context.Background(), func(st *replica.State) {
			got := ""
			for _, user := range []string{"ann", "bob"} {
				for _, o := range []*graph.Object{anns, bobs, record, closed, moved} {
					if access.Direct(past.Over(st), &graph.Principal{User: user}, o.ID, access.Read) {
						got += "1"
					} else {
						got += "0"
					}
				}
				got += " "
			}
			if got != want {
				t.Errorf("ann and bob may read %s, want %s (anns, bobs, record, closed, moved)", got, want)
			}
		})
	}
	newest, err := r.Past(t.Context(), 5) // knows of the last deletion alone
	if err != nil {
		t.Fatal(err)
	}
	judge(newest, "10000 01010 ")
	past, err := r.Past(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	judge(past, "10100 01011 ")
	pages := store.pages.Load()
	for since := range graph.Version(6) {
		if _, err := r.Past(t.Context(), max(1, since)); err != nil {
			t.Fatal(err)
		}
	}
	if store.pages.Load() != pages {
		t.Error("what is known was read again")
	}
	var late *graph.Object
	w.commit(t, func(x *tx) { late = x.create("Thing", `{"p":1}`, acl("ann")) })
	w.commit(t, func(x *tx) { x.remove(late.ID) })
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if past, err = r.Past(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	judge(past, "10100 01011 ")
	r.Read(context.Background(), func(st *replica.State) {
		over := past.Over(st)
		if o := over.Object(late.ID); o == nil || o.Body != nil || o.Meta.CreatedBy != late.Meta.CreatedBy {
			t.Errorf("the object deleted last is %+v", o)
		}
		if over.CountOut(record.ID, "a") != 1 || over.CountOut(record.ID, "b") != 0 || over.CountOut(bobs.ID, "") != 0 {
			t.Error("the edges that were deleted with their objects are counted wrong")
		}
	})
}

func TestPastMayBeReadByMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, r := w.open(t, replica.Config{})
	var all []*graph.Object
	for range 50 {
		w.commit(t, func(x *tx) { all = append(all, x.create("Thing", `{}`, acl("ann"))) })
	}
	for _, o := range all {
		w.commit(t, func(x *tx) { x.remove(o.ID) })
	}
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for i := range 8 {
		readers.Go(func() {
			since := graph.Version(90 - 10*i)
			past, err := r.Past(t.Context(), since)
			if err != nil {
				t.Error(err)
				return
			}
			r.Read(context.Background(), func(st *replica.State) {
				for i, o := range all {
					if deletedAt := graph.Version(51 + i); deletedAt > since && past.Over(st).Object(o.ID) == nil {
						t.Error(fmt.Sprintf("since %d, the object deleted at %d is unknown", since, deletedAt))
					}
				}
			})
		})
	}
	readers.Wait()
}
