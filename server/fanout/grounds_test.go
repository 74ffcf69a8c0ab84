package fanout

import (
	"fmt"
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// What comes and goes in a view, each hidden from its user for the sake of
// another one, must leave no trace for ever.
func TestTheGroundsOfALivingViewAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.crowd(3)
	c := w.connect(bob)
	c.sub("s1", childrenOf1)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	evaluated := valueOf(w.hub.metrics.computed)
	most := 0
	const passing = 2000
	for i := range passing {
		id := oid(1000 + i)
		w.commit("ann", w.object(id, "Leaf", `{}`, fmt.Sprintf(`{"read":{"users":{"u%d":true}}}`, i)), edge(eid(1000+i), "child", id, oid(1)))
		c.s.relay.settle()
		w.commit("ann", remove(graph.EdgeRef(eid(1000+i))), remove(graph.ObjectRef(id)))
		sub := c.s.subscriptions()[0]
		seen := make(chan int)
		c.s.relay.ask(t.Context(), command{alone: true, run: func(x *step) {
			n := sub.view.why.names()
			x.later(func() { seen <- n })
		}})
		most = max(most, <-seen)
	}
	if most > maxGrown {
		t.Errorf("the grounds named %d", most)
	}
	if n := valueOf(w.hub.metrics.computed) - evaluated; n > passing/maxNamed+1 {
		t.Errorf("the view was evaluated %v times", n)
	}
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	w.compare(t, c, childrenOf1)
}

// The same of the objects on which rights rest.
func TestTheRightsThatALivingViewRestsOnAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody))
	c := w.connect(bob)
	c.sub("s1", childrenOf1)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	most := 0
	for i := range 2 * rightsRoom {
		id, far := oid(10_000+2*i), oid(10_001+2*i)
		w.commit("ann", w.object(far, "Leaf", `{}`, everybody), w.object(id, "Leaf", `{}`, `{"read":{"inherit":{"up":true}}}`),
			edge(eid(10_000+2*i), "child", id, oid(1)), edge(eid(10_001+2*i), "up", id, far))
		c.s.relay.settle()
		w.commit("ann", remove(graph.EdgeRef(eid(10_000+2*i))), remove(graph.EdgeRef(eid(10_001+2*i))), remove(graph.ObjectRef(id)), remove(graph.ObjectRef(far)))
		sub := c.s.subscriptions()[0]
		seen := make(chan int)
		c.s.relay.ask(t.Context(), command{alone: true, run: func(x *step) {
			n := len(sub.view.book.rights)
			x.later(func() { seen <- n })
		}})
		most = max(most, <-seen)
	}
	if most > rightsRoom {
		t.Errorf("the view rests on %d objects", most)
	}
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	w.compare(t, c, childrenOf1)
}
