package fanout

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

var guest = graph.Principal{User: "guest", Graphs: []string{"gone"}}

// replaced makes another graph of the one called "gone", as an import does.
func (w *world) replaced(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	if err := w.store.DeleteGraph(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.store.EnsureGraph(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	if err := w.set.Refresh(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
}

// Who waits for the relay when its graph is replaced is let go like everybody: the
// relay will bring him nothing any more.
func TestWhoWaitsForARelayThatEndsIsLetGo(t *testing.T) {
	t.Parallel()
	for what, wait := range map[string]func(*session){
		"nothing":        func(*session) {},
		"a merged delta": func(s *session) { s.catching = true },
		"to be moved":    func(s *session) { s.frozen++ },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := makeWorld(t, 0, nil)
				client, stop := w.serveInMemory()
				defer stop()
				if _, _, err := w.store.EnsureGraph(context.Background(), "gone"); err != nil {
					t.Fatal(err)
				}
				p := dial(t, memoryURL, dialing{client: client, path: "/v1/graphs/gone/sync"})
				p.greet(guest, sessionA)
				p.subscribe("s1", childrenOf1)
				r := w.hub.relayOf("gone")
				for _, s := range r.list() {
					s.mu.Lock()
					wait(s)
					s.mu.Unlock()
				}
				w.replaced(t)
				defer time.AfterFunc(time.Minute, func() { p.conn.CloseNow() }).Stop()
				if got := p.closed(); got != protocol.CloseDraining {
					t.Errorf("closed with %d", got)
				}
				again := dial(t, memoryURL, dialing{client: client, path: "/v1/graphs/gone/sync"})
				again.greet(guest, sessionA)
				<-r.done
				if n := valueOf(w.hub.metrics.views); n != 0 {
					t.Errorf("%v views are left", n)
				}
			})
		})
	}
}

func TestWhoDoesNotReadIsLetGoByARelayThatEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := makeWorld(t, 0, nil)
		client, stop := w.serveInMemory()
		defer stop()
		if _, _, err := w.store.EnsureGraph(context.Background(), "gone"); err != nil {
			t.Fatal(err)
		}
		dial(t, memoryURL, dialing{client: client, path: "/v1/graphs/gone/sync"}).greet(guest, sessionA)
		r := w.hub.relayOf("gone")
		w.replaced(t)
		start := time.Now()
		for valueOf(w.hub.metrics.sessions) > 0 {
			time.Sleep(time.Second) // fake time
			if time.Since(start) > time.Minute {
				t.Fatal("the session is still open")
			}
		}
		<-r.done
		if n := valueOf(w.hub.metrics.closed.WithLabelValues("4503")); n != 1 {
			t.Errorf("%v counted as let go", n)
		}
	})
}
