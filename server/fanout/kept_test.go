package fanout

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
)

// Views that are somebody's own, each asked for once, as after a node has gone.
func TestTheLoadsThatAreKeptAreBoundedTogether(t *testing.T) {
	t.Parallel()
	const entities, fit = 100, 7
	kept := &keptLoads{limit: fit * (entities*entityRoom + keptWeight)}
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

// How much text there is tell the bodies: what they hold may be a thousand times the
// average.
func TestTheLoadsThatAreKeptAreBoundedByTheirText(t *testing.T) {
	t.Parallel()
	large := json.RawMessage(`{"text":"` + strings.Repeat("x", 100<<10) + `"}`)
	kept := &keptLoads{limit: 10 * len(large)}
	views := make([]*view, 50)
	for i := range views {
		views[i] = &view{objects: map[graph.ObjectID]*graph.Object{}, edges: map[graph.EdgeID]*graph.Edge{}}
		views[i].putObject(&graph.Object{ID: graph.ObjectID(uuid.New()), Body: large})
		views[i].putEdge(&graph.Edge{ID: graph.EdgeID(uuid.New()), Body: large})
		views[i].whole(kept).encoded()
	}
	text := 0
	for _, v := range views {
		if v.load != nil {
			for _, f := range v.load.frames {
				text += len(f)
			}
		}
	}
	if text == 0 || text > kept.limit {
		t.Errorf("%d bytes of text are kept where %d may be", text, kept.limit)
	}
}
