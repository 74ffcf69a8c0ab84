package postprocess

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// askedBefores counts the looks at what was before, and what they ask for; of some
// entities history does not reach back.
type askedBefores struct {
	graph.Store
	looks, asked int
	gone         map[graph.ObjectID]bool
}

func (s *askedBefores) Befores(ctx context.Context, g graph.GraphKey, asked []graph.RefVersion) ([]graph.Snapshot, error) {
	s.looks++
	s.asked += len(asked)
	for _, a := range asked {
		if s.gone[graph.ObjectID(a.Ref.ID)] {
			return nil, graph.Errf(graph.CodeGone, "the history of %s begins later", a.Ref.Pointer())
		}
	}
	return s.Store.Befores(ctx, g, asked)
}

func (s *askedBefores) EntityAt(context.Context, graph.GraphKey, graph.Ref, graph.Version) (graph.Snapshot, error) {
	return graph.Snapshot{}, graph.Errf(graph.CodeInternal, "one by one")
}

// A node that starts reads what many changes were made on in one look; what is gone
// keeps it from nothing else.
func TestWhatWasBeforeIsReadAtOnce(t *testing.T) {
	t.Parallel()
	s := setup(t, "graphtide: 1\ntypes:\n  Doc: {open: true, access: {read: [org], write: [org]}}\n", nil)
	const docs = 50
	var ids, ops []string
	for range docs {
		id, _ := s.create("Doc", `{"n":0}`)
		ids = append(ids, id)
	}
	var first graph.Version
	for n := 1; n <= 2; n++ {
		ops = nil
		for _, id := range ids {
			ops = append(ops, fmt.Sprintf(`{"op":"replace","path":"/objects/%s/body/n","value":%d}`, id, n))
		}
		if v := s.patch(ann, "["+strings.Join(ops, ",")+"]"); n == 1 {
			first = v
		}
	}
	set := replica.New(replica.Config{Store: s.store, Eager: -1, Poll: time.Hour})
	if err := set.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer set.Stop(context.Background())
	r, err := set.Open(t.Context(), graph.MainGraph)
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []int{0, 3} {
		store := &askedBefores{Store: s.store, gone: map[graph.ObjectID]bool{}}
		for _, text := range ids[:gone] {
			if id, ok := graph.ParseObjectID(text); ok {
				store.gone[id] = true
			}
		}
		commits, err := commitsSince(t.Context(), store, r, first-1)
		if err != nil || len(commits) != 2 {
			t.Fatalf("%d commits, %v", len(commits), err)
		}
		for n, c := range commits {
			for _, ch := range c.Changes {
				if n == 0 && store.gone[graph.ObjectID(ch.Ref.ID)] {
					if ch.ObjBefore != nil {
						t.Error("what is gone has come from somewhere")
					}
					continue
				}
				if want := fmt.Sprintf(`{"n":%d}`, n); ch.ObjBefore == nil || string(ch.ObjBefore.Body) != want {
					t.Fatalf("before the change %d: %+v, want %s", n+1, ch.ObjBefore, want)
				}
			}
		}
		if gone == 0 && (store.looks != 1 || store.asked != docs) {
			t.Errorf("%d looks for %d states", store.looks, store.asked)
		}
		if store.looks > 2*gone*7+1 { // the half of the half …
			t.Errorf("%d looks where %d are gone", store.looks, gone)
		}
	}
}
