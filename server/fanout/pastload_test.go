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

// A name stands for one thing at a time: a past state in the place of what follows,
// or of another past state, says that it takes its place.
func TestAPastStateTakesThePlaceOfItsName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody), w.object(oid(2), "Node", `{}`, everybody), edge(eid(2), "child", oid(2), oid(1)))
	w.commit("ann", remove(graph.EdgeRef(eid(2))))
	c := w.connect(bob)
	again := func(rest string, objects, resets int) {
		t.Helper()
		before := c.resets
		c.say(`{"t":"sub","sub":"s1","projection":%s%s}`, childrenOf1, rest)
		if err := c.drain(); err != nil {
			t.Fatal(err)
		}
		if h := c.subs["s1"]; len(h.objects) != objects || c.resets != before+resets {
			t.Errorf("%q: %d objects after %d resets, want %d and %d", rest, len(h.objects), c.resets-before, objects, resets)
		}
	}
	c.subs["s1"] = &held{}
	again(`,"at":1`, 2, 0)
	again(`,"at":2`, 1, 1)
	again("", 1, 1)
	again(`,"at":1`, 2, 1)
	seen := c.seen
	w.commit("ann", set(graph.ObjectRef(oid(1)), "n", "1"))
	if err := c.drain(); err != nil || c.seen != seen {
		t.Errorf("a subscription whose name was given to a past state goes on: %v", err)
	}
	again("", 1, 1)
}
