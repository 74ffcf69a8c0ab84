package replica

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"github.com/graphtide/graphtide/graph"
)

func TestRingKeepsTheNewestWithinItsBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		r := ring{limit: rapid.IntRange(1, 20).Draw(rt, "limit"), bytes: rapid.IntRange(1, 20_000).Draw(rt, "bytes")}
		var all []*graph.Commit
		for range rapid.IntRange(0, 100).Draw(rt, "commits") {
			c := &graph.Commit{
				Version: graph.Version(len(all) + 1),
				Done:    make(json.RawMessage, rapid.IntRange(0, 2000).Draw(rt, "size")),
			}
			all = append(all, c)
			r.push(c)
			if r.last() != c {
				rt.Fatalf("the last of %d is %d", len(all), r.last().Version)
			}
			kept, weight := 0, 0
			for kept < len(all) && kept < r.limit && (kept == 0 || weight+weigh(all[len(all)-1-kept]) <= r.bytes) {
				weight += weigh(all[len(all)-1-kept])
				kept++
			}
			head := graph.Version(len(all))
			for v := graph.Version(0); v <= head+1; v++ {
				commits, ok := r.since(v, head)
				if want := v <= head && int(head-v) <= kept; ok != want {
					rt.Fatalf("since %d of %d, %d kept: %v", v, head, kept, ok)
				}
				for i, c := range commits {
					if c != all[int(v)+i] {
						rt.Fatalf("since %d: commit %d is %v", v, i, c)
					}
				}
			}
			if len(r.commits) > 2*r.limit+2 {
				rt.Fatalf("%d places for %d commits", len(r.commits), r.limit)
			}
		}
	})
}
