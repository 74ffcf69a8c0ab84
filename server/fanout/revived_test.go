package fanout

import (
	"fmt"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// An undone deletion brings a state back that no patch of the log leads to: whoever held
// an older one is sent the whole body, however he comes to hear of it.
func TestAnUndoneDeletionIsToldWhole(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"commit by commit", "in one step", "to who fell behind", "to who comes back"} {
		for _, changed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, changed before: %v", how, changed), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, nil)
				w.hub.behind = 0
				w.commit("ann", w.object(oid(1), "Node", `{}`, everybody))
				made := w.commit("ann", w.object(oid(2), "Node", `{"a":1,"long":"`+strings.Repeat("y", 300)+`"}`, everybody), edge(eid(2), "child", oid(2), oid(1)))
				c := w.connect(bob)
				c.sub("s1", childrenOf1)
				drain := func() {
					t.Helper()
					if err := c.drain(); err != nil {
						t.Fatal(err)
					}
				}
				drain()
				held := *c.subs["s1"]
				each, last := func() { c.s.relay.settle() }, func() {}
				switch how {
				case "commit by commit":
					each = drain
				case "in one step":
					each, last = func() {}, c.s.relay.hold()
				default:
					for i := range behindDeltas + 1 {
						w.commit("ann", set(graph.ObjectRef(oid(1)), "n", fmt.Sprint(i)))
						each()
					}
				}
				if changed {
					w.commit("ann", set(graph.ObjectRef(oid(2)), "a", "2"))
					each()
				}
				w.commit("ann", remove(graph.EdgeRef(eid(2))), remove(graph.ObjectRef(oid(2))))
				each()
				w.commit("ann", revive(made.Changes[0].ObjAfter, nil), revive(nil, made.Changes[1].EdgeAfter))
				each()
				last()
				if how == "to who comes back" {
					c = w.comeBack(t, bob, childrenOf1, &held)
				}
				drain()
				w.compare(t, c, childrenOf1)
			})
		}
	}
}
