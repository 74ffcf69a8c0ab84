package fanout

import (
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// Who has changed something is woken once, with what came of it: not for the
// outcome alone, which has to wait for that.
func TestAnAckWakesItsSessionOnceTheDeltasAreThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{"n":0}`, everybody))
	c := w.connect(bob)
	c.sub("s1", rooted(1))
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	asleep := func() bool {
		select {
		case <-c.s.wake:
			return false
		default:
			return true
		}
	}
	asleep() // what woke it until now
	first, refused := &answer{mutation: "m1"}, &answer{mutation: "m2"}
	c.s.mu.Lock()
	c.s.answers = append(c.s.answers, first, refused)
	c.s.mu.Unlock()
	next := c.s.relay.at().Version + 1
	c.s.answered(first, graph.Receipt{Version: next}, nil)
	if !asleep() {
		t.Error("woken for an ack that cannot go out yet")
	}
	w.commit("bob", set(graph.ObjectRef(oid(1)), "n", "1"))
	c.s.relay.settle()
	if asleep() {
		t.Error("not woken when the delta was there")
	}
	c.s.answered(refused, graph.Receipt{}, graph.NotFound("object"))
	if asleep() {
		t.Error("not woken for a refusal")
	}
	if got := c.s.collect(); len(got.parts) != 3 {
		t.Errorf("%d messages, want the delta, the ack and the refusal", len(got.parts))
	}
}
