package fanout

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

// line joins hubs in memory. A message is handed over at once, in a goroutine of
// its own, and quiet waits until all have been taken.
type line struct {
	mu    sync.Mutex // guards the field below
	ends  []func([]byte)
	ready chan struct{}
	open  sync.WaitGroup
}

func (l *line) Publish(m []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, fn := range l.ends {
		l.open.Go(func() { fn(m) })
	}
}

func (l *line) Listen(ctx context.Context, subscribed func(), fn func([]byte)) {
	l.mu.Lock()
	l.ends = append(l.ends, fn)
	l.mu.Unlock()
	subscribed()
	l.ready <- struct{}{}
	<-ctx.Done()
}

// pair gives two worlds over one graph, each with a hub of its own.
func pair(t *testing.T) (a, b *world, settle func()) {
	l := &line{ready: make(chan struct{}, 2)}
	a = newWorld(t, func(c *Config) { c.Peers = l })
	<-l.ready
	cfg := a.hub.cfg
	cfg.Log, cfg.Metrics = slog.New(slog.DiscardHandler), nil
	second := New(cfg)
	<-l.ready
	t.Cleanup(second.Stop)
	b = &world{t: t, store: a.store, set: a.set, live: a.live, replica: a.replica, key: a.key, hub: second}
	return a, b, func() {
		l.open.Wait()
		for _, h := range []*Hub{a.hub, second} {
			for _, r := range h.open() {
				r.settle()
			}
		}
		l.open.Wait()
	}
}

func TestPresenceReachesSessionsOfOtherNodes(t *testing.T) {
	t.Parallel()
	wa, wb, settle := pair(t)
	wa.commit("ann", wa.object(oid(1), "Node", `{}`, everybody))
	on1 := quote(oid(1).String())
	a, b := wa.connect(ann), wb.connect(bob)
	a.s.id, b.s.id = "A", "B"
	told := func(c *client, want string) {
		t.Helper()
		settle()
		if err := c.drain(); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, m := range c.others {
			got += string(m["sessions"])
		}
		c.others = nil
		if got != want {
			t.Errorf("told %s, want %s", got, want)
		}
	}
	b.sub("s1", `{"root":`+on1+`}`)
	told(b, "")
	a.say(`{"t":"presence","on":%s,"state":1}`, on1)
	told(b, `{"A":{"user":"ann","state":1}}`)
	wa.hub.relayOf("main").sayPresence() // said again, it is no news
	told(b, "")
	late := wb.connect(bob) // a newcomer is told of those elsewhere
	late.sub("s1", `{"root":`+on1+`}`)
	told(late, `{"A":{"user":"ann","state":1}}`)
	// The session moves to the other node: its end here takes nothing back.
	moved := wb.connect(ann)
	moved.s.id = "A"
	moved.say(`{"t":"presence","on":%s,"state":2}`, on1)
	told(b, `{"A":{"user":"ann","state":2}}`)
	a.leave()
	told(b, "")
	moved.leave()
	told(b, `{"A":null}`)
	// Of whom nobody speaks any more, it is said that they left.
	far := wa.connect(ann)
	far.s.id = "F"
	far.say(`{"t":"presence","on":%s,"state":3}`, on1)
	told(b, `{"F":{"user":"ann","state":3}}`)
	r := wb.hub.relayOf("main")
	r.ask(t.Context(), command{run: func(s *step) { s.presence.refresh(s, time.Now().Add(2*presenceAge)) }})
	told(b, `{"F":null}`)
}

func TestASessionIsReplacedFromAnotherNode(t *testing.T) {
	t.Parallel()
	wa, wb, settle := pair(t)
	closed := make(chan protocol.CloseCode, 1)
	a := wa.connect(ann)
	a.s.id, a.s.conn.socket = "11111111-1111-4111-8111-111111111111", &closing{closed: closed}
	if _, err := wa.hub.claim(a.s); err != nil {
		t.Fatal("the id is free")
	}
	settle()
	// Another user's claim moves nothing.
	thief := wb.connect(bob)
	thief.s.id = a.s.id
	if _, err := wb.hub.claim(thief.s); err == nil {
		t.Error("the id was heard to be ann's")
	}
	next := wb.connect(ann)
	next.s.id = a.s.id
	if replaced, err := wb.hub.claim(next.s); err != nil || replaced != nil {
		t.Errorf("%v, %v", replaced, err)
	}
	if code := <-closed; code != protocol.CloseReplaced {
		t.Errorf("closed with %v", code)
	}
}

// closing is a socket that tells with which code it is closed.
type closing struct {
	silent
	closed chan protocol.CloseCode
}

func (c *closing) Close(code websocket.StatusCode, _ string) error {
	c.closed <- protocol.CloseCode(code)
	return nil
}

func TestNonsenseFromPeersIsPassedOver(t *testing.T) {
	t.Parallel()
	wa, _, settle := pair(t)
	wa.connect(ann)
	for _, m := range []string{``, `{`, `[]`, `{"node":"x","kind":"presence","graph":"main","on":"x"}`, `{"node":"x","kind":"presence","graph":"none","on":"` + oid(1).String() + `"}`,
		`{"node":"x","kind":"presence","graph":"main","on":"` + oid(9).String() + `","session":"s","state":` + strings.Repeat("[", 9) + `}`, `{"node":"x","kind":"odd"}`} {
		wa.hub.peers.take([]byte(m))
	}
	settle()
}

// ledger is what hubs share of whose sessions are.
type ledger struct {
	mu sync.Mutex
	of map[string]string
}

func (l *ledger) Claim(_ context.Context, session, user string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.of[session]; !known {
		l.of[session] = user
	}
	return l.of[session]
}

func (l *ledger) Keep(_ context.Context, users map[string]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.Copy(l.of, users)
}

// The two hubs do not hear of each other: one has started later, perhaps.
func TestASessionIsItsUsersOnANodeThatNeverSawIt(t *testing.T) {
	t.Parallel()
	shared := &ledger{of: map[string]string{}}
	a, b := newWorld(t, func(c *Config) { c.Owners = shared }), newWorld(t, func(c *Config) { c.Owners = shared })
	admit := func(w *world, p graph.Principal, want error) {
		t.Helper()
		c := w.connect(p)
		c.s.id = sessionA
		c.s.conn.socket = &closing{closed: make(chan protocol.CloseCode, 1)}
		if _, err := w.hub.admit(t.Context(), c.s); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", p.User, err, want)
		}
	}
	forbidden := refused(protocol.CloseForbidden)
	admit(a, ann, nil)
	admit(b, bob, forbidden)
	admit(b, graph.Principal{Anonymous: true}, forbidden)
	admit(b, ann, nil)
	admit(a, bob, forbidden)
}

func TestASessionStaysItsUsersForAsLongAsItLives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := &ledger{of: map[string]string{}}
		w := newWorld(t, func(c *Config) { c.Owners = shared })
		defer w.close()
		c := w.connect(ann)
		c.s.id = sessionA
		if _, err := w.hub.admit(t.Context(), c.s); err != nil {
			t.Fatal(err)
		}
		shared.mu.Lock()
		clear(shared.of) // what keeps it has lost it
		shared.mu.Unlock()
		<-time.After(ownership / 2)
		synctest.Wait()
		if id, user := c.s.shared(); shared.Claim(t.Context(), id, "user bob") != user {
			t.Error("it is another's")
		}
		c.leave()
	})
}

// Who has no name owns a session by its id: whoever learns it could take it.
func TestTheIdOfAnAnonymousSessionIsToldToNobodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody))
	nobody, other := w.connect(graph.Principal{Anonymous: true}), w.connect(graph.Principal{Anonymous: true})
	nobody.s.id, other.s.id = sessionA, sessionB
	for _, c := range []*client{nobody, other} {
		c.sub("s1", rooted(1))
	}
	nobody.say(`{"t":"presence","on":%q,"state":1}`, oid(1))
	own, screen := shown{}, shown{}
	own.watch(t, nobody)
	screen.watch(t, other)
	if here := own[oid(1).String()]; len(here) != 1 || here[sessionA] == "" {
		t.Errorf("it is shown to itself as %v", here)
	}
	if here := screen[oid(1).String()]; len(here) != 1 || here[sessionA] != "" {
		t.Errorf("others are shown %v", here)
	}
	nobody.leave()
	if screen.watch(t, other); len(screen) != 0 {
		t.Errorf("after it left: %v", screen)
	}
}
