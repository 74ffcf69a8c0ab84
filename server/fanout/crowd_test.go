package fanout

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

func TestConnectionsAreBoundedByNodeUserAndAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Config)
		second graph.Principal
		third  graph.Principal
	}{
		{"node", func(c *Config) { c.Sessions = 2 }, bob, ann},
		{"address", func(c *Config) { c.SessionsPerAddress = 2 }, bob, ann},
		{"user", func(c *Config) { c.SessionsPerUser = 1 }, bob, ann},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.change)
			url := w.serve(t)
			first := dial(t, url, dialing{})
			first.greet(ann, sessionA)
			dial(t, url, dialing{}).greet(c.second, sessionB)
			late := dial(t, url, dialing{})
			if c.name == "user" {
				late.send(hello(c.third, ""))
			}
			if code := late.closed(); code != protocol.CloseTooMany {
				t.Errorf("closed with %d", code)
			}
			if c.name == "user" { // the same session may come again
				dial(t, url, dialing{}).greet(ann, sessionA)
				first.closed()
			}
		})
	}
}

func TestThePlaceOfOneWhoWentIsFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.SessionsPerUser = 1 })
	url := w.serve(t)
	p := dial(t, url, dialing{})
	p.greet(ann, sessionA)
	s := w.only()
	p.conn.CloseNow()
	<-s.ctx.Done()
	s.helpers.Wait()
	for { // until the hub has released it
		w.hub.mu.Lock()
		n := w.hub.crowd.users["ann"]
		w.hub.mu.Unlock()
		if n == 0 {
			break
		}
		if soon(t).Err() != nil {
			t.Fatal("its place is still taken")
		}
	}
	dial(t, url, dialing{}).greet(ann, sessionB)
}

func TestTheWelcomeNamesEveryBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.SessionsPerAddress = 7 })
	p := dial(t, w.serve(t), dialing{})
	var limits map[string]int64
	if err := json.Unmarshal(p.greet(ann, sessionA)["limits"], &limits); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int64{
		"subscriptions": 100, "messageBytes": 1<<20 + 64<<10, "messagesPerSecond": DefaultRate, "messagesAtOnce": 5 * DefaultRate,
		"inFlight": DefaultInFlight, "inFlightBytes": maxFlying, "waitingBytes": maxWaiting, "presenceObjects": maxPresent,
		"sessions": DefaultSessions, "sessionsPerUser": DefaultPerUser, "sessionsPerAddress": 7, "helloMs": 10_000, "stallMs": 30_000,
	} {
		if limits[name] != want {
			t.Errorf("%s is %d, not %d", name, limits[name], want)
		}
	}
}

func TestMessagesAreCompressedWhereBothSidesWantIt(t *testing.T) {
	t.Parallel()
	for _, compress := range []bool{false, true} {
		w := newWorld(t, func(c *Config) { c.Compress = compress })
		w.crowd(50)
		srv := httptest.NewServer(w.handler())
		t.Cleanup(func() { w.hub.Stop(); srv.Close() })
		conn, res, err := websocket.Dial(t.Context(), srv.URL+"/v1/graphs/main/sync", &websocket.DialOptions{
			Subprotocols: []string{protocol.Subprotocol}, CompressionMode: websocket.CompressionNoContextTakeover,
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := res.Header.Get("Sec-WebSocket-Extensions") != ""; got != compress {
			t.Errorf("compression is %v, not %v", got, compress)
		}
		conn.SetReadLimit(-1)
		p := &peer{t: t, conn: conn, model: newModel()}
		p.greet(bob, sessionA)
		p.subscribe("s1", childrenOf1)
		if len(p.subs["s1"].objects) != 51 {
			t.Errorf("%d objects", len(p.subs["s1"].objects))
		}
		conn.CloseNow()
	}
}

// A user who loses an object in the step that brings it to his view, as that of
// others, is not told who is there.
func TestWhoPartsFromAViewIsNotToldOfPresenceThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const hidden = `{"read":{"users":{"ann":true}}}`
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody), w.object(oid(2), "Leaf", `{}`, hidden))
	a, b := w.connect(ann), w.connect(bob)
	a.s.id, b.s.id = sessionA, sessionB
	a.sub("s1", childrenOf1)
	b.sub("s1", childrenOf1)
	a.sub("s2", `{"root":"`+oid(2).String()+`"}`)
	if err := a.drain(); err != nil {
		t.Fatal(err)
	}
	if err := b.drain(); err != nil {
		t.Fatal(err)
	}
	if a.subs["s1"].view != b.subs["s1"].view {
		t.Fatal("they do not share the view")
	}
	a.say(`{"t":"presence","on":%q,"state":1}`, oid(2))
	a.s.relay.settle()
	w.commit("ann", edge(eid(2), "child", oid(2), oid(1)))
	a.s.relay.settle()
	told := func(c *client) bool {
		c.others = nil
		if err := c.drain(); err != nil {
			t.Fatal(err)
		}
		for _, m := range c.others {
			if string(m["t"]) == `"presence"` && strings.Contains(string(m["sessions"]), "state") {
				return true
			}
		}
		return false
	}
	if told(b) {
		t.Error("bob is told of presence on what he may not read")
	}
	if !told(a) {
		t.Error("ann is not told")
	}
	// What waited to be told is not told once the object is lost.
	w.commit("ann", grant(oid(2), everybody))
	told(b)
	a.say(`{"t":"presence","on":%q,"state":2}`, oid(2))
	a.s.relay.settle()
	w.commit("ann", grant(oid(2), hidden))
	if told(b) {
		t.Error("bob is told of presence on what he has lost")
	}
}

// A connection that is lost may be noticed only after its session has come back.
func TestWhoCameBackIsStillPresentWhenTheOldConnectionGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody))
	old, back, watcher := w.connect(ann), w.connect(ann), w.connect(bob)
	old.s.id, back.s.id, watcher.s.id = sessionA, sessionA, sessionB
	watcher.sub("s1", childrenOf1)
	old.say(`{"t":"presence","on":%q,"state":1}`, oid(1))
	back.say(`{"t":"presence","on":%q,"state":2}`, oid(1))
	old.leave()
	state := func() (last string) {
		if err := watcher.drain(); err != nil {
			t.Fatal(err)
		}
		for _, m := range watcher.others {
			var sessions map[string]json.RawMessage
			if json.Unmarshal(m["sessions"], &sessions) == nil && sessions[sessionA] != nil {
				last = string(sessions[sessionA])
			}
		}
		return last
	}
	if got := state(); got != `{"user":"ann","state":2}` {
		t.Errorf("ann is told of as %s", got)
	}
	back.leave()
	if got := state(); got != "null" {
		t.Errorf("ann has left, and is told of as %s", got)
	}
}

// A session that goes while its graph gets a new epoch leaves nothing behind.
func TestWhatIsAskedWhileTheEpochChangesIsDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody))
	c := w.connect(ann)
	c.sub("s1", childrenOf1)
	c.say(`{"t":"presence","on":%q,"state":1}`, oid(1))
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	r := c.s.relay
	release := r.hold()
	left := make(chan struct{})
	go func() {
		defer close(left)
		c.leave()
	}()
	<-left
	if _, err := w.store.NewEpoch(t.Context(), graph.MainGraph); err != nil {
		t.Fatal(err)
	}
	if err := w.set.Refresh(t.Context(), graph.MainGraph); err != nil {
		t.Fatal(err)
	}
	release()
	r.settle()
	present := make(chan int)
	r.ask(t.Context(), command{run: func(x *step) {
		n := len(x.presence.on) + len(x.presence.sessions)
		x.later(func() { present <- n })
	}})
	if n := <-present; n != 0 {
		t.Errorf("%d entries of presence are left", n)
	}
}
