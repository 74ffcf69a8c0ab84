package fanout

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/server/protocol"
)

var (
	ann = people[0]
	bob = people[1]
	dan = people[3]
)

const childrenOf1 = `{"root":"01000000-0000-7000-8000-000000000001","in":{"child":{}}}`

func TestASessionLoadsFollowsAndIsAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{"n":1}`, everybody), w.object(oid(2), "Leaf", `{"n":2}`, everybody), edge(eid(1), "child", oid(2), oid(1)))
	w.submit = func(m *graph.Mutation) (graph.Receipt, error) {
		if string(m.Patch) == `["bad"]` {
			return graph.Receipt{}, graph.Errf(graph.CodePathMissing, "no")
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		c := w.commitAs(m.Author.User, m.Key, set(graph.ObjectRef(oid(2)), "n", "7"))
		return graph.Receipt{Version: c.Version, Mutation: m.Key}, nil
	}
	url := w.serve(t)
	p := dial(t, url, dialing{})
	welcome := p.greet(ann, sessionA)
	if string(welcome["version"]) != "1" || string(welcome["graph"]) != `"main"` || string(welcome["schema"]) != "1" || string(welcome["expiresAt"]) != "null" {
		t.Errorf("welcome: %s", welcome)
	}
	p.subscribe("s1", childrenOf1)
	if n := len(p.subs["s1"].objects); n != 2 {
		t.Fatalf("the load has %d objects", n)
	}

	p.send(`{"t":"mutate","mutation":"` + sessionA + `","patch":["ok"]}` + "\n" + `{"t":"mutate","mutation":"` + sessionB + `","patch":["bad"]}`)
	for len(p.acks)+len(p.rejects) < 2 {
		p.message()
		if len(p.acks) == 1 && versionIn(p.subs["s1"].objects[oid(2).String()]) != 2 {
			t.Fatal("acknowledged before the delta")
		}
	}
	if d := cmp.Diff([]string{sessionA, sessionB}, append(p.acks, p.rejects...)); d != "" {
		t.Error(d)
	}
	p.send(`{"t":"ping"}`)
	at := p.await("at")
	if string(at["version"]) != "2" || !strings.Contains(string(at["digests"]), `"v1":`) {
		t.Errorf("at: %s", at)
	}
}

func TestMutationsOfASessionAreAnsweredInTheOrderSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.submit = func(m *graph.Mutation) (graph.Receipt, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		c := w.commitAs("ann", m.Key, w.object(oid(int(w.head.Version)+1), "Node", `{}`, everybody))
		return graph.Receipt{Version: c.Version}, nil
	}
	c := w.connect(ann)
	var want []string
	for i := range 20 {
		key := fmt.Sprintf("0192f0c1-2a4b-7c3d-8e5f-0000000000%02d", i)
		if i%3 == 1 { // refused before it reaches the write path
			c.say(`{"t":"mutate","mutation":%q,"patch":[],"group":"x"}`, key)
		} else {
			c.say(`{"t":"mutate","mutation":%q,"patch":[]}`, key)
		}
		want = append(want, key)
	}
	var got []string
	c.s.relay.settle()
	out := c.s.collect()
	for _, p := range out.parts {
		for _, text := range p.texts {
			var m struct{ T, Mutation string }
			if err := json.Unmarshal(text, &m); err != nil {
				t.Fatal(err)
			}
			if (m.T == "reject") != (len(got)%3 == 1) {
				t.Errorf("%s: %s", m.Mutation, m.T)
			}
			got = append(got, m.Mutation)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestAnAnswerWaitsUntilTheNodeHasSeenTheCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.withhold = true
	w.submit = func(m *graph.Mutation) (graph.Receipt, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		c := w.commitAs("ann", m.Key, w.object(oid(1), "Node", `{}`, everybody))
		return graph.Receipt{Version: c.Version}, nil
	}
	c := w.connect(ann)
	c.sub("s1", `{"root":"`+oid(1).String()+`"}`)
	c.say(`{"t":"mutate","mutation":%q,"patch":[]}`, sessionA)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	if len(c.acks) != 0 {
		t.Fatal("acknowledged a commit that the node has not seen")
	}
	w.release()
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	if len(c.acks) != 1 || len(c.subs["s1"].objects) != 1 {
		t.Errorf("acks %v, objects %v", c.acks, c.subs["s1"].objects)
	}
}

func TestConnectionsAreRefusedWithACodeThatSaysWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		c.Limits.TransactionBytes, c.Limits.MessageBytes = 1000, 2000
		c.Rate = 10
	})
	url := w.serve(t)
	greeting := hello(ann, sessionA)
	elsewhere := graph.Principal{User: "eve", Graphs: []string{"other"}}
	for _, c := range []struct {
		name string
		dialing
		first  string
		binary bool
		then   string
		want   protocol.CloseCode
	}{
		{name: "token in the URL", dialing: dialing{path: "/v1/graphs/main/sync?token=x"}, want: protocol.CloseUnauthenticated},
		{name: "no subprotocol", dialing: dialing{subprotocol: "-"}, want: protocol.CloseTooOld},
		{name: "another subprotocol", dialing: dialing{subprotocol: "graphtide.v0"}, want: protocol.CloseTooOld},
		{name: "no hello first", first: `{"t":"ping"}`, want: protocol.CloseBadMessage},
		{name: "not JSON", first: `hello`, want: protocol.CloseBadMessage},
		{name: "binary", first: greeting, binary: true, want: protocol.CloseBadMessage},
		{name: "bad token", first: `{"t":"hello","token":"x"}`, want: protocol.CloseUnauthenticated},
		{name: "no such graph", dialing: dialing{path: "/v1/graphs/nowhere/sync"}, first: hello(graph.Principal{User: "a", Graphs: []string{"*"}}, sessionA), want: protocol.CloseNoGraph},
		{name: "a graph that the token does not open", first: hello(elsewhere, sessionA), want: protocol.CloseNoGraph},
		{name: "too large a hello", first: `{"t":"hello","x":"` + strings.Repeat("x", 2000) + `"}`, want: protocol.CloseTooLarge},
		{name: "malformed later", first: greeting, then: `{"t":`, want: protocol.CloseBadMessage},
		{name: "bad UTF-8", first: greeting, then: "{\"t\":\"\xff\"}", want: protocol.CloseBadMessage},
		{name: "a second hello", first: greeting, then: greeting, want: protocol.CloseBadMessage},
		{name: "too large", first: greeting, then: `{"t":"ping","x":"` + strings.Repeat("x", 2000) + `"}`, want: protocol.CloseTooLarge},
		{name: "another user's token", first: greeting, then: `{"t":"token","token":` + quote(token(bob)) + `}`, want: protocol.CloseForbidden},
		{name: "a bad token later", first: greeting, then: `{"t":"token","token":"x"}`, want: protocol.CloseUnauthenticated},
		{name: "a flood", first: greeting, then: strings.Repeat("{\"t\":\"ping\"}\n", 60), want: protocol.CloseTooMany},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := dial(t, url, c.dialing)
			if c.first != "" {
				kind := websocket.MessageText
				if c.binary {
					kind = websocket.MessageBinary
				}
				p.conn.Write(context.Background(), kind, []byte(c.first))
			}
			if c.then != "" {
				p.await("welcome")
				p.send(c.then)
			}
			if got := p.closed(); got != c.want {
				t.Errorf("closed with %d, want %d", got, c.want)
			}
		})
	}
}

func quote(s string) string { b, _ := json.Marshal(s); return string(b) }

func TestOnlyKnownOriginsConnect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.AllowedOrigins = []string{"https://app.example"} })
	dev := newWorld(t, func(c *Config) { c.Dev = true })
	for _, c := range []struct {
		origin, host, proto string
		tls, dev            bool
		want                bool
	}{
		{want: true},
		{origin: "http://node:7420", host: "node:7420", want: true},
		{origin: "https://node", host: "node", tls: true, want: true},
		{origin: "https://node", host: "node", proto: "https", want: true},
		{origin: "http://node", host: "node", tls: true},
		{origin: "http://node", host: "node", proto: "https"},
		{origin: "https://node", host: "node"},
		{origin: "http://node:7421", host: "node:7420"},
		{origin: "http://evil.example", host: "node"},
		{origin: "http://node.evil.example", host: "node"},
		{origin: "null", host: "node"},
		{origin: "", host: "node", want: true},
		{origin: "https://app.example", host: "node", want: true},
		{origin: "http://app.example", host: "node"},
		{origin: "https://app.example:8443", host: "node"},
		{origin: "http://localhost:5173", host: "127.0.0.1:7420"},
		{origin: "http://localhost:5173", host: "127.0.0.1:7420", dev: true, want: true},
		{origin: "http://[::1]:5173", host: "127.0.0.1:7420", dev: true, want: true},
		{origin: "http://localhost.evil.example", host: "127.0.0.1:7420", dev: true},
	} {
		r := httptest.NewRequest("GET", "http://x/v1/graphs/main/sync", nil)
		r.Host = c.host
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if c.proto != "" {
			r.Header.Set("X-Forwarded-Proto", c.proto)
		}
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		h := w.hub
		if c.dev {
			h = dev.hub
		}
		if got := h.originAllowed(r); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	url := w.serve(t)
	_, res, err := websocket.Dial(context.Background(), url+"/v1/graphs/main/sync", &websocket.DialOptions{
		Subprotocols: []string{protocol.Subprotocol}, HTTPHeader: http.Header{"Origin": {"http://evil.example"}}})
	if err == nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("a foreign origin: %v, %v", res, err)
	}
}

func TestASessionBelongsToItsUserAndMovesToItsNewestConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	url := w.serve(t)
	first := dial(t, url, dialing{})
	first.greet(ann, sessionA)
	thief := dial(t, url, dialing{})
	thief.send(hello(bob, sessionA))
	if got := thief.closed(); got != protocol.CloseForbidden {
		t.Errorf("another user is closed with %d", got)
	}
	second := dial(t, url, dialing{})
	second.greet(ann, sessionA)
	if got := first.closed(); got != protocol.CloseReplaced {
		t.Errorf("the old connection is closed with %d", got)
	}
	second.conn.Close(websocket.StatusNormalClosure, "")
	again := dial(t, url, dialing{})
	again.send(hello(bob, sessionA))
	if got := again.closed(); got != protocol.CloseForbidden {
		t.Errorf("after it has gone, another user is closed with %d", got)
	}
}

func TestTheWelcomeSaysWhichPendingMutationsWereCommitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.commit("ann", w.object(oid(1), "Node", `{}`, everybody))
	url := w.serve(t)
	p := dial(t, url, dialing{})
	p.send(fmt.Sprintf(`{"t":"hello","token":%s,"session":%q,"pending":[%q,%q]}`, quote(token(ann)), sessionA, c.Mutation, sessionB))
	if got := string(p.await("welcome")["applied"]); got != fmt.Sprintf(`{%q:1}`, c.Mutation) {
		t.Errorf("applied: %s", got)
	}
	other := dial(t, url, dialing{})
	other.send(fmt.Sprintf(`{"t":"hello","token":%s,"session":%q,"pending":[%q]}`, quote(token(bob)), sessionB, c.Mutation))
	if got := string(other.await("welcome")["applied"]); got != `{}` {
		t.Errorf("another author's: %s", got)
	}
}

func TestUsersWhomNothingTellsApartShareAViewAndItsBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const acme = `{"read":{"orgs":{"acme":true}},"manage":{"users":{"ann":true}}}`
	w.commit("ann", w.object(oid(1), "Node", `{}`, acme))
	w.commit("ann", w.object(oid(2), "Node", `{}`, `{"read":{"inherit":{"child":true}},"manage":{"users":{"ann":true},"inherit":{"child":true}}}`), edge(eid(1), "child", oid(2), oid(1)))
	a, b := w.connect(ann), w.connect(bob)
	for _, c := range []*client{a, b} {
		c.sub("s1", childrenOf1)
		if err := c.drain(); err != nil {
			t.Fatal(err)
		}
	}
	if a.subs["s1"].view != b.subs["s1"].view {
		t.Fatalf("views %s and %s", a.subs["s1"].view, b.subs["s1"].view)
	}
	if a.subs["s1"].key == b.subs["s1"].key {
		t.Error("a key that two users share would let one resume what the other held")
	}
	w.commit("ann", set(graph.ObjectRef(oid(2)), "n", "5"))
	a.s.relay.settle()
	x, y := a.s.collect(), b.s.collect()
	if len(x.parts) != 1 || len(y.parts) != 1 || &x.parts[0].texts[0][0] != &y.parts[0].texts[0][0] {
		t.Error("the delta was encoded twice")
	}
	for _, p := range x.parts {
		if err := a.receive(p.texts[0]); err != nil {
			t.Fatal(err)
		}
		if err := b.receive(p.texts[0]); err != nil {
			t.Fatal(err)
		}
	}

	// Something that only one may read parts them, from where they stand.
	w.commit("ann", w.object(oid(3), "Node", `{}`, `{"read":{"users":{"ann":true}}}`), edge(eid(2), "child", oid(3), oid(1)))
	for _, c := range []*client{a, b} {
		if err := c.drain(); err != nil {
			t.Fatal(err)
		}
	}
	if a.subs["s1"].view == b.subs["s1"].view || len(a.subs["s1"].objects) != 3 || len(b.subs["s1"].objects) != 2 || a.resets+b.resets > 0 {
		t.Errorf("after parting: views %s and %s, %d and %d objects, %d resets", a.subs["s1"].view, b.subs["s1"].view,
			len(a.subs["s1"].objects), len(b.subs["s1"].objects), a.resets+b.resets)
	}
}

func TestTheSecondCheckOfRightsHoldsBackWhatTheFirstLetThrough(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody), w.object(oid(2), "Node", `{"secret":1}`, `{"read":{"users":{"ann":true}}}`), edge(eid(1), "child", oid(2), oid(1)))
	r, err := w.hub.relay(context.Background(), graph.MainGraph)
	if err != nil {
		t.Fatal(err)
	}
	w.replica.Read(context.Background(), func(st *replica.State) {
		res := &replica.Result{
			Roots: []graph.ObjectID{oid(1), oid(2)}, Objects: []*graph.Object{st.Object(oid(1)), st.Object(oid(2))}, Edges: []*graph.Edge{st.Edge(eid(1))},
		}
		w.hub.lens(r).recheck(st, &bob, res)
		if len(res.Objects) != 1 || len(res.Edges) != 0 || len(res.Roots) != 1 {
			t.Errorf("left: %d objects, %d edges, %d roots", len(res.Objects), len(res.Edges), len(res.Roots))
		}
	})
	if n := valueOf(w.hub.metrics.disagreed); n != 1 {
		t.Errorf("%v disagreements counted", n)
	}
}

func TestADeletionIsToldOnlyToWhoCouldReadTheObjectUntilThen(t *testing.T) {
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
	release := c.s.relay.hold()
	w.commit("ann", grant(oid(2), `{}`))
	w.commit("ann", remove(graph.ObjectRef(oid(2))), remove(graph.EdgeRef(eid(2))))
	w.commit("ann", remove(graph.ObjectRef(oid(3))), remove(graph.EdgeRef(eid(3))))
	w.commit("ann", remove(graph.EdgeRef(eid(4))))
	release()
	c.s.relay.settle()
	var d frameMessage
	for _, p := range c.s.collect().parts {
		if err := json.Unmarshal(p.texts[0], &d); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	for _, m := range []map[string]json.RawMessage{d.Objects, d.Edges} {
		for id, text := range m {
			got[id] = string(text)
		}
	}
	want := map[string]string{
		oid(2).String(): `{"leave":"forbidden"}`, oid(3).String(): `{"leave":"deleted"}`, oid(4).String(): `{"leave":"unlinked"}`,
		eid(2).String(): `{"leave":"forbidden"}`, eid(3).String(): `{"leave":"deleted"}`, eid(4).String(): `{"leave":"deleted"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestASubscriptionThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Limits.Subscriptions, c.Limits.ViewEntities = 3, 2 })
	for i := 1; i <= 3; i++ {
		w.commit("ann", w.object(oid(i), "Leaf", `{}`, everybody))
	}
	c := w.connect(ann)
	c.sub("bad", `{"root":7}`)
	c.sub("large", `{"root":{"type":"Leaf"}}`)
	c.say(`{"t":"sub","sub":"none","name":"nothing"}`)
	c.say(`{"t":"sub","sub":"args","name":"Children","args":{}}`)
	c.say(`{"t":"sub","sub":"json","projection":{"root":"a","root":"b"}}`)
	c.say(`{"t":"sub","sub":"late","projection":{"root":%q},"at":99}`, oid(1))
	levels := func(n int) string {
		return `{"root":"` + oid(1).String() + `"` + strings.Repeat(`,"in":{"a":{"limit":7`, n) + strings.Repeat("}}", n) + "}"
	}
	c.sub("deep", levels(graph.MaxProjectionDepth))
	c.say(`{"t":"unsub","sub":"deep"}`)
	c.sub("deeper", levels(graph.MaxProjectionDepth+1))
	c.sub("nested", levels(1000))
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		c.sub(fmt.Sprint("s", i), `{"root":"`+oid(1).String()+`"}`)
	}
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	want := map[string]graph.Code{
		"bad": graph.CodeInvalidProjection, "large": graph.CodeTooLarge, "none": graph.CodeInvalidProjection, "args": graph.CodeInvalidProjection,
		"json": graph.CodeInvalidJSON, "late": graph.CodeInvalidVersion,
		"deeper": graph.CodeTooLarge, "nested": graph.CodeTooLarge, "s3": graph.CodeTooLarge,
	}
	if d := cmp.Diff(want, c.errors); d != "" {
		t.Error(d)
	}
}

func TestAViewThatGrowsTooLargeEndsItsSubscriptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Limits.ViewEntities = 2 })
	w.commit("ann", w.object(oid(1), "Leaf", `{}`, everybody), w.object(oid(2), "Leaf", `{}`, everybody))
	c := w.connect(ann)
	c.sub("s1", `{"root":{"type":"Leaf"}}`)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	w.commit("ann", w.object(oid(3), "Leaf", `{}`, everybody))
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	if c.errors["s1"] != graph.CodeTooLarge {
		t.Errorf("errors: %v", c.errors)
	}
	c.sub("s1", `{"root":"`+oid(1).String()+`"}`)
	if err := c.drain(); err != nil || len(c.subs["s1"].objects) != 1 {
		t.Errorf("the name can be used again: %v", err)
	}
}

func TestAPastStateIsLoadedAndDoesNotFollow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{"n":1}`, everybody), w.object(oid(2), "Node", `{}`, everybody), edge(eid(1), "child", oid(2), oid(1)))
	w.commit("ann", set(graph.ObjectRef(oid(1)), "n", "2"))
	w.commit("ann", remove(graph.ObjectRef(oid(2))), remove(graph.EdgeRef(eid(1))))
	c := w.connect(bob)
	c.subs["past"] = &held{}
	c.say(`{"t":"sub","sub":"past","projection":%s,"at":1}`, childrenOf1)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	h := c.subs["past"]
	if len(h.objects) != 2 || h.version != 1 || !bytes.Contains(h.objects[oid(1).String()], []byte(`{"n":1}`)) {
		t.Errorf("at %d: %s", h.version, h.objects)
	}
	w.commit("ann", grant(oid(1), `{}`))
	c.subs["past"] = &held{}
	c.say(`{"t":"sub","sub":"past","projection":%s,"at":1}`, childrenOf1)
	if err := c.drain(); err != nil || len(c.subs["past"].objects) != 0 {
		t.Errorf("the past is judged by today's rights: %s, %v", c.subs["past"].objects, err)
	}
}

func TestCanTellsTheRightsOnWhatIsReadable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, `{"read":{"public":true},"write":{"users":{"bob":true}}}`), w.object(oid(2), "Node", `{}`, `{}`), w.object(oid(3), "Node", `{}`, `{"manage":{"users":{"bob":true}}}`))
	c := w.connect(bob)
	c.say(`{"t":"can","objects":[%q,%q,%q,%q,"x",%q]}`, oid(1), oid(2), oid(3), oid(9), oid(1))
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{%q:["read","write"],%q:["manage","read","write"]}`, oid(1), oid(3))
	if got := string(c.others[0]["objects"]); got != want {
		t.Errorf("can: %s, want %s", got, want)
	}
}

func TestPresenceReachesWhoHasTheObjectInAView(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody), w.object(oid(2), "Node", `{}`, `{"read":{"users":{"bob":true}}}`))
	a, b, far := w.connect(ann), w.connect(bob), w.connect(dan)
	a.s.id, b.s.id, far.s.id = "A", "B", "C"
	drain := func() {
		t.Helper()
		for _, c := range []*client{a, b, far} {
			if err := c.drain(); err != nil {
				t.Fatal(err)
			}
		}
	}
	last := func(c *client) string {
		if len(c.others) == 0 {
			return ""
		}
		m := c.others[len(c.others)-1]
		return string(m["on"]) + string(m["sessions"])
	}
	on1 := quote(oid(1).String())
	a.sub("s1", `{"root":`+on1+`}`)
	drain()
	a.say(`{"t":"presence","on":%s,"state": {"cursor" : 1}}`, on1)
	b.sub("s1", `{"root":`+on1+`}`)
	drain()
	present := on1 + `{"A":{"user":"ann","state":{"cursor":1}}}`
	if last(b) != present || last(a) != present || last(far) != "" {
		t.Errorf("a newcomer is told %q, the others %q and %q", last(b), last(a), last(far))
	}
	// Who cannot read the object is not there.
	n := len(b.others)
	b.sub("s2", `{"root":`+quote(oid(2).String())+`}`)
	a.say(`{"t":"presence","on":%q,"state":1}`, oid(2))
	drain()
	if len(b.others) != n {
		t.Errorf("told %q of somebody who cannot be there", last(b))
	}
	a.say(`{"t":"presence","on":%s,"state":%q}`, on1, strings.Repeat("x", 4<<10))
	drain()
	if a.errors[""] != graph.CodeTooLarge {
		t.Errorf("errors: %v", a.errors)
	}
	a.leave()
	drain()
	if got := last(b); got != on1+`{"A":null}` {
		t.Errorf("after leaving: %q", got)
	}
}

func TestANewSchemaIsToldAndTypesAreComputedAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody), w.object(oid(2), "Leaf", `{}`, everybody))
	c := w.connect(ann)
	c.sub("s1", `{"root":{"type":"Node"}}`)
	c.sub("s2", childrenOf1)
	if err := c.drain(); err != nil || len(c.subs["s1"].objects) != 2 {
		t.Fatal(err, c.subs["s1"].objects)
	}
	w.putSchema(strings.Replace(testSchema, "extends: Node, ", "", 1))
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	if len(c.subs["s1"].objects) != 1 || c.resets != 1 {
		t.Errorf("%d objects after %d resets", len(c.subs["s1"].objects), c.resets)
	}
	if m := c.others[0]; string(m["t"]) != `"schema"` || string(m["version"]) != "2" {
		t.Errorf("told %s", m)
	}
	w.commit("ann", w.object(oid(3), "Leaf", `{}`, everybody), w.object(oid(4), "Node", `{}`, everybody))
	if err := c.drain(); err != nil || len(c.subs["s1"].objects) != 2 {
		t.Errorf("%v %v", err, c.subs["s1"].objects)
	}
}

func TestANewEpochSendsSessionsAwayAndNothingOldCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody))
	url := w.serve(t)
	p := dial(t, url, dialing{})
	p.greet(ann, sessionA)
	p.subscribe("s1", childrenOf1)
	old := p.subs["s1"]
	epoch := w.head.Epoch
	if _, err := w.store.NewEpoch(soon(t), graph.MainGraph); err != nil {
		t.Fatal(err)
	}
	if err := w.set.Refresh(soon(t), graph.MainGraph); err != nil {
		t.Fatal(err)
	}
	if got := p.closed(); got != protocol.CloseDraining {
		t.Fatalf("closed with %d", got)
	}
	p = dial(t, url, dialing{})
	if got := p.greet(ann, sessionA)["epoch"]; string(got) == quote(epoch) {
		t.Fatal("the epoch is the old one")
	}
	p.subs["s1"] = old
	p.send(fmt.Sprintf(`{"t":"sub","sub":"s1","projection":%s,"since":%d,"epoch":%q,"key":%q}`, childrenOf1, old.version, epoch, old.key))
	if m := p.await("load"); string(m["reset"]) != "true" {
		t.Error("a view of another epoch was resumed")
	}
}

// A session that has joined is told what all are told, though its welcome is not
// written yet.
func TestTheWelcomeComesFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p := dial(t, w.serve(t), dialing{})
	r, err := w.hub.relay(context.Background(), graph.MainGraph)
	if err != nil {
		t.Fatal(err)
	}
	holding, limit := make(chan struct{}), soon(t)
	r.ask(limit, command{run: func(x *step) {
		x.later(func() {
			close(holding) // nobody is welcomed now
			for len(x.list()) == 0 && limit.Err() == nil {
				runtime.Gosched()
			}
			for _, s := range x.list() {
				s.queue(item{text: protocol.AppendSchema(nil, 7)})
				s.bye(time.Second, protocol.CloseDraining)
			}
		})
	}})
	<-holding
	p.send(hello(ann, sessionA))
	var kinds []string
	for len(kinds) < 3 {
		for _, m := range p.message() {
			kinds = append(kinds, string(m["t"]))
		}
	}
	if want := []string{`"welcome"`, `"schema"`, `"bye"`}; !slices.Equal(kinds, want) {
		t.Errorf("told %v, not %v", kinds, want)
	}
}

func TestADeletedGraphClosesItsSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if _, _, err := w.store.EnsureGraph(soon(t), "gone"); err != nil {
		t.Fatal(err)
	}
	url := w.serve(t)
	p := dial(t, url, dialing{path: "/v1/graphs/gone/sync"})
	p.greet(graph.Principal{User: "ann", Graphs: []string{"gone"}}, sessionA)
	if err := w.store.DeleteGraph(soon(t), "gone"); err != nil {
		t.Fatal(err)
	}
	if err := w.set.Refresh(soon(t), "gone"); err != nil && graph.CodeOf(err) != graph.CodeNotFound {
		t.Fatal(err)
	}
	if got := p.closed(); got != protocol.CloseNoGraph {
		t.Errorf("closed with %d", got)
	}
}

func TestResumingWhereNothingChangedSendsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody))
	c := w.connect(ann)
	c.sub("s1", childrenOf1)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	w.commit("ann", w.object(oid(5), "Node", `{}`, everybody)) // nothing to do with the view
	before := valueOf(w.hub.metrics.computed)
	next := w.connect(ann)
	next.resume("s1", childrenOf1, c.subs["s1"])
	if err := next.drain(); err != nil {
		t.Fatal(err)
	}
	if next.resets != 0 || len(next.subs["s1"].objects) != 1 || next.subs["s1"].version != 2 {
		t.Errorf("resets %d, at %d", next.resets, next.subs["s1"].version)
	}
	if after := valueOf(w.hub.metrics.computed); after != before {
		t.Errorf("%v evaluations", after-before)
	}
	// Another key is another view: nothing can be built on it.
	other := w.connect(bob)
	other.resume("s1", childrenOf1, c.subs["s1"])
	if err := other.drain(); err != nil || other.resets != 1 {
		t.Errorf("resets %d, %v", other.resets, err)
	}
}

func TestAnUnchangedPartOfTheGraphCostsAViewNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody), w.object(oid(2), "Node", `{}`, everybody))
	c := w.connect(ann)
	c.sub("s1", childrenOf1)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	before := valueOf(w.hub.metrics.computed)
	for i := range 50 {
		w.commit("ann", set(graph.ObjectRef(oid(2)), "n", fmt.Sprint(i)))
		w.commit("ann", set(graph.ObjectRef(oid(1)), "n", fmt.Sprint(i)))
	}
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	if after := valueOf(w.hub.metrics.computed); after != before {
		t.Errorf("content changes cost %v evaluations", after-before)
	}
	if !bytes.Contains(c.subs["s1"].objects[oid(1).String()], []byte(`"n":49`)) {
		t.Errorf("%s", c.subs["s1"].objects)
	}
}
