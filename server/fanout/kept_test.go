package fanout

import (
	"testing"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
)

// Views that are somebody's own, each asked for once, as after a node has gone.
func TestTheLoadsThatAreKeptAreBoundedTogether(t *testing.T) {
	t.Parallel()
	const entities, fit = 100, 7
	kept := &keptLoads{limit: fit * (entities*entityWeight + keptWeight)}
	views := make([]*view, 50)
	for i := range views {
		views[i] = &view{objects: map[graph.ObjectID]*graph.Object{}}
		for range entities {
			views[i].putObject(&graph.Object{ID: graph.ObjectID(uuid.New())})
		}
		views[i].whole(kept)
	}
	check := func(when string, want func(i int) bool) {
		t.Helper()
		for i, v := range views {
			if has := v.load != nil; has != want(i) {
				t.Errorf("%s: the load of view %d is kept: %v", when, i, has)
			}
		}
	}
	check("all asked once", func(i int) bool { return i >= len(views)-fit })

	// Asked again, it is the same and not counted twice; changed, it is another.
	last := views[len(views)-1]
	if b := last.load; last.whole(kept) != b {
		t.Error("a load that is kept was made again")
	}
	last.changed()
	last.whole(kept)
	check("one changed", func(i int) bool { return i > len(views)-fit })
	for range fit {
		views[0].changed()
		views[0].whole(kept)
	}
	check("one changes again and again", func(i int) bool { return i == 0 })

	// One that is too large is kept all the same, alone: many may share it.
	kept.limit = 1
	views[1].whole(kept)
	check("no room", func(i int) bool { return i == 1 })
}
