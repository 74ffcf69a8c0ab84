package fanout

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/graphtide/graphtide/graph"
)

// past subscribes to a past state, and gives what comes of it.
func (c *client) past(t *testing.T, projection string, at graph.Version) *held {
	t.Helper()
	c.subs["past"] = &held{}
	c.say(`{"t":"sub","sub":"past","projection":%s,"at":%d}`, projection, at)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	h := c.subs["past"]
	if h == nil {
		t.Fatalf("refused: %v", c.errors)
	}
	return h
}

func TestAPastStateHasObjectsOfTypesThatAreGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody), w.object(oid(2), "Leaf", `{}`, everybody))
	w.commit("ann", remove(graph.ObjectRef(oid(2))))
	w.putSchema(strings.Replace(testSchema, "  Leaf: {extends: Node, open: true}\n", "", 1))
	c := w.connect(ann)
	for typ, want := range map[string]int{"Object": 2, "Node": 1, "Leaf": 1, "Never": 0} {
		if h := c.past(t, `{"root":{"type":"`+typ+`"}}`, 1); len(h.objects) != want {
			t.Errorf("%s: %d objects, want %d", typ, len(h.objects), want)
		}
	}
}

// A node that has not heard of a version yet does not judge it by older rights:
// it waits until it is there.
func TestAPastStateThatTheNodeHasNotSeenIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := makeWorld(t, 0, nil)
		defer w.close()
		w.commit("ann", w.object(oid(1), "Node", `{}`, everybody))
		c := w.connect(bob)
		w.withhold = true
		w.commit("ann", w.object(oid(2), "Node", `{}`, everybody), edge(eid(2), "child", oid(2), oid(1)))
		told := make(chan *held)
		go func() { told <- c.past(t, childrenOf1, 2) }()
		synctest.Wait()
		w.release()
		if h := <-told; h.version != 2 || len(h.objects) != 2 || len(h.edges) != 1 {
			t.Errorf("at %d: %d objects and %d edges", h.version, len(h.objects), len(h.edges))
		}
		c.leave()
	})
}
