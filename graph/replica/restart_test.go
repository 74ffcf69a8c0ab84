package replica_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// metered counts what parts of states are read from a store.
type metered struct {
	graph.Store
	queries, objects atomic.Int64
}

func (m *metered) Piece(ctx context.Context, g graph.GraphKey, want *graph.Want) (*graph.Piece, error) {
	p, err := m.Store.Piece(ctx, g, want)
	m.queries.Add(1)
	if p != nil {
		m.objects.Add(int64(len(p.Objects)))
	}
	return p, err
}

// A node that starts again serves what it served before: from an image without
// asking the store for any object, with the second level warm likewise, and from
// the store where there is neither.
func TestRestartedNodeFindsWhatItHad(t *testing.T) {
	t.Parallel()
	const parts = 2000
	w := newWorld(t)
	var root *graph.Object
	w.commit(t, func(x *tx) {
		root = x.create("Thing", `{"p":"root"}`, acl(""))
		for i := range parts {
			part := x.create("Part", fmt.Sprintf(`{"p":%d}`, i), acl("a"))
			x.link("a", part.ID, root.ID, `{}`)
		}
	})
	proj, gerr := graph.ParseProjection([]byte(fmt.Sprintf(`{"root":%q,"in":{"a":{}}}`, root.ID.String())))
	if gerr != nil {
		t.Fatal(gerr)
	}
	store, level := &metered{Store: w.store}, newLiar(1)
	level.honest = true
	// serve starts a node, looks through it, and stops it.
	serve := func(images string) (queries, objects int64, took time.Duration) {
		t.Helper()
		store.queries.Store(0)
		store.objects.Store(0)
		begun := time.Now()
		set := replica.New(replica.Config{Store: store, Eager: 100, Cache: level, ImageDir: images})
		if err := set.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer func() { set.Stop(context.Background()) }()
		r, err := set.Open(t.Context(), graph.MainGraph)
		if err != nil {
			t.Fatal(err)
		}
		var res *replica.Result
		err = r.Read(t.Context(), func(st *replica.State) {
			res, gerr = replica.Evaluate(st, st, testTypes, &graph.Principal{User: "ann"}, proj, graph.Limits{})
		})
		if err != nil || gerr != nil {
			t.Fatal(err, gerr)
		}
		if len(res.Objects) != parts+1 || len(res.Edges) != parts {
			t.Fatalf("%d objects and %d edges, want %d and %d", len(res.Objects), len(res.Edges), parts+1, parts)
		}
		return store.queries.Load(), store.objects.Load(), time.Since(begun)
	}
	images := t.TempDir()
	queries, objects, took := serve("")
	t.Logf("cold: ready after %v, %d queries for %d objects", took, queries, objects)
	if objects != parts+1 || queries > 4 {
		t.Errorf("a cold start read %d objects in %d queries, want each object once, in a few", objects, queries)
	}
	// Other commits since do not make the second level useless.
	w.commit(t, func(x *tx) { x.modify(root, `{"p":"changed"}`, acl("")) })
	queries, objects, took = serve(images)
	t.Logf("warm: ready after %v, %d queries for %d objects", took, queries, objects)
	if objects != 1 {
		t.Errorf("with the second level warm %d objects were read, want the one that has changed", objects)
	}
	w.commit(t, func(x *tx) { x.modify(w.objects[root.ID], `{"p":"again"}`, acl("")) })
	level.mu.Lock()
	level.trouble = true
	level.mu.Unlock()
	queries, objects, took = serve(images)
	t.Logf("image: ready after %v, %d queries for %d objects", took, queries, objects)
	if queries != 0 {
		t.Errorf("with an image the store was asked %d times for %d objects", queries, objects)
	}
}
