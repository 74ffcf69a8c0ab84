package fanout

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// fallBehind has a client of two views miss n commits that write a text of so many
// bytes each into one of three children, take one of them off the parent, and put it
// back.
func fallBehind(t *testing.T, w *world, n, size int) *client {
	t.Helper()
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody))
	for i := 2; i <= 4; i++ {
		w.commit("ann", append([]edit{w.object(oid(i), "Node", `{}`, everybody)}, edge(eid(i), "child", oid(i), oid(1)))...)
	}
	c := w.connect(bob)
	c.sub("s1", childrenOf1)
	c.sub("s2", `{"root":{"type":"Node","where":{"n":{"exists":true}}}}`)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", size)
	for i := range n {
		w.commit("ann", set(graph.ObjectRef(oid(2+i%3)), "text", fmt.Sprintf("%q", fmt.Sprint(i, text))))
		switch i {
		case n / 3:
			w.commit("ann", set(graph.ObjectRef(oid(3)), "n", "1"), remove(graph.EdgeRef(eid(4))))
		case 2 * n / 3:
			w.commit("ann", edge(eid(5), "child", oid(4), oid(1)))
		}
		c.s.relay.settle()
	}
	return c
}

func checkMerged(t *testing.T, w *world, c *client) {
	t.Helper()
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	if c.seen != 2 || c.resets != 0 { // one for each view
		t.Errorf("%d deltas, %d resets", c.seen, c.resets)
	}
	w.compare(t, c, childrenOf1)
}

// What was dropped is told from what the deltas did, which is kept for longer than
// their contents and than the states before the commits.
func TestWhoFellBehindTheRecentCommitsGetsOneMergedDelta(t *testing.T) {
	t.Parallel()
	w := makeWorld(t, 8, func(c *Config) { c.FeedBytes = 100_000 })
	defer w.close()
	checkMerged(t, w, fallBehind(t, w, 60, 2000))
}

func TestWhoHasTooMuchToReadGetsOneMergedDelta(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	checkMerged(t, w, fallBehind(t, w, 60, 64<<10))
}

// What left and came back unchanged, while nobody read, is nothing to tell of.
func TestWhatCameBackAsItWasIsNotToldAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody), w.object(oid(2), "Node", `{}`, everybody), edge(eid(2), "child", oid(2), oid(1)))
	watching := w.connect(ann) // so that the view lives on
	watching.sub("s1", childrenOf1)
	h := w.sight(t, bob, childrenOf1)
	for _, e := range []edit{remove(graph.EdgeRef(eid(2))), edge(eid(3), "child", oid(2), oid(1))} {
		w.commit("ann", e)
		watching.s.relay.settle()
	}
	w.comeBack(t, bob, childrenOf1, h)
}

// A merged delta that is ready goes out before it is made anew: who is always behind
// still gets on, and what waits for him does not grow.
func TestWhoIsAlwaysBehindGetsOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody))
	for i := 2; i <= 4; i++ {
		w.commit("ann", w.object(oid(i), "Node", `{}`, everybody), edge(eid(i), "child", oid(i), oid(1)))
	}
	c := w.connect(bob)
	c.sub("s1", childrenOf1)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", behindBytes/behindDeltas)
	sent := 0
	for range 10 { // each time the writer looks, much has come since the last time
		release := c.s.relay.hold()
		for i := range behindDeltas + 1 {
			w.commit("ann", set(graph.ObjectRef(oid(2+i%3)), "text", fmt.Sprintf("%q", fmt.Sprint(i, text))))
		}
		release()
		c.s.relay.settle()
		got := c.s.collect()
		if got.lagging {
			c.s.relay.ask(t.Context(), c.s.catchingUp())
			c.s.relay.settle()
		}
		sent += len(got.parts)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if sent < 4 || len(c.s.items) > 1 {
		t.Errorf("%d parts were sent, and %d merged deltas wait", sent, len(c.s.items))
	}
}

// Whom one stall has held up catch up in one step, and share what it finds; what others
// ask for goes before or after it.
func TestWhoFellBehindTogetherCatchesUpTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	r := makeRelay(w.hub, w.replica)
	fell := func() command { return (&session{relay: r}).catchingUp() }
	other, alone := command{run: func(*step) {}}, command{alone: true, run: func(*step) {}}
	for _, c := range []command{fell(), fell(), other, other, fell(), alone, fell()} {
		r.ask(t.Context(), c)
	}
	var steps []int
	for range 5 {
		first := r.held
		r.held = nil
		steps = append(steps, len(r.gather(first)))
	}
	if want := []int{2, 2, 1, 1, 1}; !slices.Equal(steps, want) {
		t.Errorf("the steps took %v commands, want %v", steps, want)
	}
}
