package fanout

import (
	"context"
	"fmt"

	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

// bubble runs a test in fake time, with clients that reach the node over pipes.
func bubble(t *testing.T, test func(t *testing.T, w *world, dial func() *peer)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := makeWorld(t, 0, nil)
		client, stop := w.serveInMemory()
		defer stop()
		test(t, w, func() *peer { return dial(t, memoryURL, dialing{client: client}) })
	})
}

func TestWithoutAHelloTheConnectionCloses(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, dial func() *peer) {
		p := dial()
		start := time.Now()
		if got := p.closed(); got != protocol.CloseNoHello {
			t.Errorf("closed with %d", got)
		}
		if took := time.Since(start); took != DefaultHelloTimeout {
			t.Errorf("after %s", took)
		}
	})
}

func TestAnIdleSessionIsToldWhereItStands(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, dial func() *peer) {
		w.commit("ann", w.object(oid(1), "Node", `{}`, everybody))
		p := dial()
		p.greet(ann, sessionA)
		p.subscribe("s1", childrenOf1)
		for range 5 {
			start := time.Now()
			if at := p.await("at"); string(at["version"]) != "1" || len(at["digests"]) < 6 {
				t.Errorf("at: %s", at)
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("after %s", took)
			}
		}
	})
}

func TestAnExpiredTokenClosesTheSessionUnlessItIsRenewed(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, dial func() *peer) {
		renewed := ann
		renewed.Teams = append([]string{"green"}, ann.Teams...)
		start := time.Now()
		w.expires[token(ann)] = start.Add(time.Minute)
		w.expires[token(renewed)] = start.Add(2 * time.Minute)
		p := dial()
		p.greet(ann, sessionA)
		p.send(`{"t":"token","token":` + quote(token(renewed)) + `}`)
		if got := p.closed(); got != protocol.CloseUnauthenticated {
			t.Errorf("closed with %d", got)
		}
		if took := time.Since(start); took < 2*time.Minute || took > 2*time.Minute+2*tick {
			t.Errorf("after %s", took)
		}
	})
}

func TestAPeerThatDoesNotReadIsLetGoAndDelaysNobody(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, dial func() *peer) {
		w.commit("ann", w.object(oid(1), "Node", `{"n":0}`, everybody))
		stuck, live := dial(), dial()
		stuck.greet(ann, sessionA)
		stuck.subscribe("s1", childrenOf1)
		live.greet(bob, sessionB)
		live.subscribe("s1", childrenOf1)
		start := time.Now()
		for i := range 100 {
			w.commit("ann", set(graph.ObjectRef(oid(1)), "n", fmt.Sprint(i)))
			live.await("delta")
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("the others waited for %s", took)
		}
		go live.closed() // it reads on, and so answers pings
		synctest.Wait()
		for valueOf(w.hub.metrics.sessions) > 1 {
			time.Sleep(time.Second) // fake time
			if time.Since(start) > time.Minute {
				t.Fatal("the stuck session is still open")
			}
		}
		if took := time.Since(start); took < 29*time.Second || took > 35*time.Second {
			t.Errorf("let go after %s", took)
		}
		if n := valueOf(w.hub.metrics.closed.WithLabelValues("4510")); n != 1 {
			t.Errorf("%v counted as stalled", n)
		}
	})
}

func TestADrainingNodeSaysByeAtDifferentTimesAndCloses(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, dial func() *peer) {
		a, b := dial(), dial()
		a.greet(ann, sessionA)
		b.greet(bob, sessionB)
		drained := make(chan error)
		go func() { drained <- w.hub.Drain(context.Background()) }()
		byes := map[string]bool{}
		for _, p := range []*peer{a, b} {
			byes[string(p.await("bye")["retryAfterMs"])] = true
			if got := p.closed(); got != protocol.CloseDraining {
				t.Errorf("closed with %d", got)
			}
		}
		if len(byes) != 2 {
			t.Errorf("all come back after %v", byes)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
		late := dial()
		late.await("bye")
		if got := late.closed(); got != protocol.CloseDraining {
			t.Errorf("a newcomer is closed with %d", got)
		}
	})
}

func TestADrainingNodeWaitsForNoHello(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, dial func() *peer) {
		a, b := dial(), dial()
		synctest.Wait()
		start := time.Now()
		drained := make(chan error)
		go func() { drained <- w.hub.Drain(context.Background()) }()
		byes := map[string]bool{}
		for _, p := range []*peer{a, b} {
			byes[string(p.await("bye")["retryAfterMs"])] = true
			if got := p.closed(); got != protocol.CloseDraining {
				t.Errorf("closed with %d", got)
			}
		}
		if len(byes) != 2 {
			t.Errorf("all come back after %v", byes)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
		if waited := time.Since(start); waited >= DefaultHelloTimeout/2 {
			t.Errorf("it took %s", waited)
		}
	})
}

func TestARelayEndsWhenNobodyNeedsItAndStartsAgain(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, dial func() *peer) {
		p := dial()
		p.greet(ann, sessionA)
		p.subscribe("s1", childrenOf1)
		p.conn.Close(websocket.StatusNormalClosure, "")
		time.Sleep(3 * time.Hour) // views linger for an hour here
		synctest.Wait()
		if n := len(w.hub.open()); n != 0 {
			t.Errorf("%d relays are left", n)
		}
		if n := valueOf(w.hub.metrics.views); n != 0 {
			t.Errorf("%v views are left", n)
		}
		p = dial()
		p.greet(ann, sessionA)
		p.subscribe("s1", childrenOf1)
	})
}

// A fault in the work on a message ends that session as any other ends.
func TestASessionThatPanicsLeavesNothingBehind(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, dial func() *peer) {
		w.submit = func(*graph.Mutation) (graph.Receipt, error) { panic("a fault") }
		p := dial()
		p.greet(ann, sessionA)
		p.subscribe("s1", childrenOf1)
		p.send(`{"t":"mutate","mutation":"` + sessionB + `","patch":[{"op":"add","path":"/objects/` + oid(1).String() + `/body/n","value":1}]}`)
		synctest.Wait()
		if n := valueOf(w.hub.metrics.sessions); n != 0 {
			t.Errorf("%v sessions are left", n)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if n := len(w.hub.open()); n != 0 {
			t.Errorf("%d relays are left", n)
		}
	})
}

func TestASessionThatReadsAgainGetsOneMergedDelta(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.FeedBytes = 2000 })
	w.commit("ann", w.object(oid(1), "Node", `{"n":0}`, everybody))
	c := w.connect(ann)
	c.sub("s1", childrenOf1)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		w.commit("ann", set(graph.ObjectRef(oid(1)), "n", fmt.Sprint(i)))
		c.s.relay.settle()
	}
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	if c.seen != 1 || c.resets != 0 || c.subs["s1"].version != 101 {
		t.Errorf("%d deltas, %d resets, at %d", c.seen, c.resets, c.subs["s1"].version)
	}
}
