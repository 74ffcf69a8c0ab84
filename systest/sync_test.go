package systest

import (
	"strings"
	"testing"
	"time"
)

func TestWelcome(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.as("ann").create("Doc", `{}`)
	_ = id
	s := w.dial(t, "ann")
	m := s.welcome
	m.is("graph", f("%q", w.graph)).is("version", "1").is("user", `{"id":"ann","teams":["red"],"org":"acme","admin":false}`).is("applied", "{}")
	info := w.as("ann").get(w.path("")).json()
	m.is("epoch", f("%q", info.str("epoch")))
	if m.int("schema") < 1 {
		t.Errorf("%s", m)
	}
	if at, err := time.Parse(time.RFC3339, m.str("expiresAt")); err != nil || time.Until(at) > time.Hour || time.Until(at) < 50*time.Minute {
		t.Errorf("expiresAt: %s", m)
	}
	// Every bound that the client can hit: the defaults of section 8.
	limits := m.at("limits").String()
	for _, n := range []string{"1000", "1048576", "524288", "64", "20000", "100", "100000", "4096"} {
		if !strings.Contains(limits, n) {
			t.Errorf("no %s among the limits %s", n, limits)
		}
	}
	s.settle().is("version", "1").is("digests", "{}")
}

func TestASubscriptionFollowsTheGraph(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann, bob := w.as("ann"), w.as("bob")
	store := ann.create("DataStore", `{"name":"s"}`)
	record := func(rank int) (string, string) {
		r, e := newID(), newID()
		ann.commit(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Record","body":{"rank":%d}}},{"op":"add","path":"/edges/%s","value":{"label":"dataStore","from":"%s","to":"%s"}}]`, r, rank, e, r, store))
		return r, e
	}
	r1, e1 := record(1)
	s := w.dial(t, "ann")
	projection := f(`{"root":%q,"in":{"dataStore":{"order":["/body/rank"]}},"out":{"creator":{}}}`, store)
	v := s.sub("s1", `"projection":`+projection)
	if len(v.objects) != 2 || v.objects[r1] == nil || v.edges[e1] == nil || v.objects[store]["access"] != nil {
		t.Fatalf("%v", v)
	}
	s.same("ann", "s1", projection)

	// patch
	n := bob.w.as("ann").commit(f(`[{"op":"replace","path":"/objects/%s/body/rank","value":5}]`, r1))
	d := s.next("delta")
	d.is("version", f("%d", n)).is("by", `"ann"`).is("objects."+r1+".patch", `[{"op":"replace","path":"/body/rank","value":5}]`).
		is("objects."+r1+".version", f("%d", n)).is("objects."+r1+".was", "2").is("objects."+r1+".meta.updatedBy", `"ann"`).is("edges", "{}").is("done", "true")
	if at, err := time.Parse(time.RFC3339, d.str("at")); err != nil || time.Since(at) > time.Minute {
		t.Errorf("at: %s", d)
	}
	// enter
	r2, e2 := record(2)
	d = s.next("delta")
	d.is("objects."+r2+".enter.body.rank", "2").is("edges."+e2+".enter.label", `"dataStore"`)
	// leave, in one version
	user := ann.create("User", `{"name":"u"}`)
	ce := ann.link("creator", store, user)
	s.next("delta").is("objects."+user+".enter.type", `"User"`).is("edges."+ce+".enter.to", f("%q", user))
	ann.commit(f(`[{"op":"remove","path":"/edges/%s"}]`, ce))
	s.next("delta").is("objects."+user+".leave", `"unlinked"`).is("edges."+ce+".leave", `"deleted"`)
	ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, r2))
	s.next("delta").is("objects."+r2+".leave", `"deleted"`).is("edges."+e2+".leave", `"deleted"`)
	s.same("ann", "s1", projection)
	// What does not concern the view makes no delta.
	ann.create("Doc", `{}`)
	head := ann.head()
	s.reach(head)
	if s.view("s1").version == head {
		t.Error("a delta for a commit that does not concern the view")
	}
	// The root goes.
	ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, store))
	s.next("delta").is("objects."+store+".leave", `"deleted"`).is("roots", "[]")
	if v := s.view("s1"); len(v.objects)+len(v.edges) != 0 {
		t.Errorf("%v", v)
	}
	// No more after unsub.
	s.sub("s2", `"projection":{"root":{"type":"Doc"}}`)
	s.send(`{"t":"unsub","sub":"s2"}`)
	s.settle()
	delete(s.views, s.subs["s2"])
	ann.create("Doc", `{}`)
	s.reach(ann.head()) // a delta would be of an unknown view
}

func TestMutationsOverTheSocket(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s := w.dial(t, "ann")
	id := newID()
	v := s.sub("s1", `"projection":{"root":{"type":"Doc"}}`)
	if v.version != 0 || len(v.roots) != 0 {
		t.Fatalf("%v", v)
	}
	m := newID()
	g := newID()
	s.send(f(`{"t":"mutate","mutation":%q,"group":%q,"note":"n","base":0,"patch":[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{"l":[]}}}]}`, m, g, id))
	// The delta comes before the ack, and names the mutation.
	first, err := s.receive()
	if err != nil || first.str("t") != "delta" {
		t.Fatalf("first comes %s", first)
	}
	first.is("mutations", f("[%q]", m)).is("roots", f("[%q]", id)).is("objects."+id+".enter.body", `{"l":[]}`)
	ack := s.next("ack")
	ack.is("mutation", f("%q", m)).is("version", "1")
	w.as("ann").get(w.path("/log")).json().is("commits.0.group", f("%q", g)).is("commits.0.note", `"n"`).is("commits.0.mutation", f("%q", m))
	// The same again: no second commit, the same answer.
	s.send(f(`{"t":"mutate","mutation":%q,"group":%q,"note":"n","base":0,"patch":[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{"l":[]}}}]}`, m, g, id))
	s.next("ack").is("mutation", f("%q", m)).is("version", "1")
	s.send(f(`{"t":"mutate","mutation":%q,"patch":[]}`, m))
	s.next("reject").is("problem.code", `"mutation-conflict"`)
	// The same key over HTTP is the same transaction.
	w.as("ann").with("Idempotency-Key: "+m).patch(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{"l":[]}}}]`, id)).want(200).json().is("replayed", "true")

	// Settled and answered in the order sent, many in flight, several in one message.
	var lines []string
	var order []string
	for i := range 100 {
		k := newID()
		order = append(order, k)
		ops := f(`[{"op":"add","path":"/objects/%s/body/l/%d","value":%d}]`, id, i, i)
		if i%10 == 9 {
			ops = f(`[{"op":"test","path":"/objects/%s/body/l/%d","value":"no"},{"op":"add","path":"/objects/%s/body/l/0","value":"x"}]`, id, 0, id)
			ops = f(`[{"op":"add","path":"/objects/%s/body/l/-","value":%d},{"op":"test","path":"/objects/%s/body/l/0","value":0}]`, id, i, id)
		}
		lines = append(lines, f(`{"t":"mutate","mutation":%q,"patch":%s}`, k, ops))
	}
	for i := 0; i < 100; i += 20 {
		s.send(strings.Join(lines[i:i+20], "\n"))
	}
	for i := 0; i < 100; {
		m, err := s.receive()
		if err != nil {
			t.Fatal(err)
		}
		if k := m.str("t"); k == "ack" || k == "reject" {
			if m.str("mutation") != order[i] {
				t.Fatalf("answer %d is of another: %s", i, m)
			}
			if k == "reject" {
				t.Fatalf("%s", m)
			}
			if v := s.view("s1"); v.version < m.int("version") {
				t.Fatalf("the ack of %d came before the delta, the view is at %d", m.int("version"), v.version)
			}
			i++
		}
	}
	if n := len(s.view("s1").body(t, id).list("l")); n != 100 {
		t.Errorf("%d elements", n)
	}
	// A refusal names path and op, and is answered in its place.
	p := s.rejects(f(`[{"op":"test","path":"/objects/%s/body/l/0","value":0},{"op":"remove","path":"/objects/%s/body/zz"}]`, id, id), "path-missing")
	p.is("op", "1").is("path", f(`"/objects/%s/body/zz"`, id))
	s.rejects(`{}`, "invalid-patch")
	s.same("ann", "s1", `{"root":{"type":"Doc"}}`)
}

func TestSubscriptionsThatCannotBe(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s := w.dial(t, "ann")
	for i, c := range []struct{ rest, code string }{
		{`"projection":{"root":"x"}`, "-"},
		{`"projection":{}`, "invalid-projection"},
		{`"projection":{"root":{"type":"Doc"},"up":{}}`, "-"},
		{`"projection":{"root":{"type":"Doc","limit":-1}}`, "invalid-projection"},
		{`"projection":{"root":{"type":"Doc","where":{"n":{"like":1}}}}`, "invalid-projection"},
		{`"name":"Unheard"`, "-"},
		{`"name":"Workbook"`, "-"},
		{`"name":"Workbook","args":{"id":5}`, "-"},
		{`"projection":{"root":{"type":"Doc"}},"at":99`, "invalid-version"},
		{`"projection":{"root":{"type":"Doc"}},"at":-1`, "-"},
		{`"x":1`, "-"},
	} {
		name := f("s%d", i)
		s.send(f(`{"t":"sub","sub":%q,%s}`, name, c.rest))
		m, err := s.receive()
		if err != nil || m.str("t") != "error" {
			t.Fatalf("%s: %v %s", c.rest, err, m)
		}
		p := m.at("problem")
		if m.str("sub") != name {
			t.Errorf("%s: %s", c.rest, m)
		}
		if code := p.str("code"); c.code != "-" && code != c.code || p.int("status") < 400 || p.int("status") > 422 {
			t.Errorf("%s: %s", c.rest, m)
		}
	}
	// The session goes on.
	s.sub("ok", `"projection":{"root":{"type":"Doc"}}`)
}

// TestARootYetToCome holds an absent root and a hidden one to be the same: an
// empty view, which fills when there is something to be read.
func TestARootYetToCome(t *testing.T) {
	t.Parallel()
	w := setup(t)
	bob := w.as("bob")
	hidden, absent := bob.create("Private", `{}`), newID()
	s := w.dial(t, "ann")
	for i, id := range []string{hidden, absent} {
		if v := s.sub(f("s%d", i), f(`"projection":{"root":%q}`, id)); len(v.objects) != 0 || len(v.roots) != 0 {
			t.Errorf("%v", v)
		}
	}
	bob.commit(f(`[{"op":"add","path":"/objects/%s/access/read","value":{"users":{"ann":true}}},{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{"n":1}}}]`, hidden, absent))
	s.reach(bob.head())
	s.view("s0").body(t, hidden)
	s.view("s1").body(t, absent).is("n", "1")
	s.same("ann", "s0", f(`{"root":%q}`, hidden))
}

func TestNamedProjectionsAndFixedVersions(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	store := ann.create("DataStore", `{"name":"a"}`)
	then := ann.head()
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/name","value":"b"}]`, store))
	s := w.dial(t, "ann")
	v := s.sub("s1", f(`"name":"Workbook","args":{"id":%q}`, store))
	v.body(t, store).is("name", `"b"`)
	old := s.sub("s2", f(`"name":"Workbook","args":{"id":%q},"at":%d`, store, then))
	old.body(t, store).is("name", `"a"`)
	if old.version != then {
		t.Errorf("version %d, want %d", old.version, then)
	}
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/name","value":"c"}]`, store))
	s.reach(ann.head())
	s.view("s1").body(t, store).is("name", `"c"`)
	s.view("s2").body(t, store).is("name", `"a"`)
	ann.load(f(`{"name":"Workbook","args":{"id":%q}}`, store)).want(200).json().is("roots", f("[%q]", store))
}

func TestS5Resumable(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	a, b := ann.create("Node", `{"n":0}`), ann.create("Node", `{"n":0}`)
	e := ann.link("next", a, b)
	projection := f(`"projection":{"root":%q,"out":{"next":{}}}`, a)
	session := newID()
	s := w.dialSession(t, "ann", session)
	v := s.sub("s1", projection)
	epoch := s.welcome.str("epoch")
	key, since := v.key, v.version
	s.conn.CloseNow()

	resume := func(key string, since int, epoch string) (*socket, value) {
		t.Helper()
		n := w.dialSession(t, "ann", newID())
		n.subs["s1"] = v.id
		n.views[v.id] = &viewCopy{id: v.id, objects: v.objects, edges: v.edges, roots: v.roots, version: since}
		n.send(f(`{"t":"sub","sub":"s1",%s,"since":%d,"epoch":%q,"key":%q}`, projection, since, epoch, key))
		return n, n.next("load")
	}
	// Nothing has changed: an empty load.
	_, m := resume(key, since, epoch)
	m.is("objects", "{}").is("edges", "{}").is("done", "true")
	if m.has("reset") {
		t.Errorf("%s", m)
	}
	// Changes, one that enters and one that leaves.
	c := ann.create("Node", `{"n":0}`)
	e2 := ann.link("next", a, c)
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":1}]`, a))
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":2}]`, a))
	ann.commit(f(`[{"op":"remove","path":"/edges/%s"}]`, e))
	n, m := resume(key, since, epoch)
	if m.has("reset") {
		t.Errorf("%s", m)
	}
	m.is("objects."+c+".enter.type", `"Node"`).is("edges."+e2+".enter.from", f("%q", a)).is("objects."+b+".leave", `"unlinked"`).is("edges."+e+".leave", `"deleted"`)
	if m.int("objects."+a+".was") != 1 {
		t.Errorf("%s", m)
	}
	n.same("ann", "s1", f(`{"root":%q,"out":{"next":{}}}`, a))
	// Another epoch, key or a version beyond: the whole view.
	for _, r := range []struct {
		key   string
		since int
		epoch string
	}{{key, since, newID()}, {"another", since, epoch}} {
		n, m := resume(r.key, r.since, r.epoch)
		m.is("reset", "true")
		n.same("ann", "s1", f(`{"root":%q,"out":{"next":{}}}`, a))
	}
	n = w.dial(t, "ann")
	n.send(f(`{"t":"sub","sub":"s1",%s,"since":%d,"epoch":%q,"key":%q}`, projection, 9999, epoch, key))
	if m, err := n.receive(); err != nil || m.str("t") != "error" && !(m.str("t") == "load" && m.has("reset")) {
		t.Errorf("since beyond the head: %s %v", m, err)
	}
	// On the other node, too.
	o := *w
	o.url = w.other
	n = o.dial(t, "ann")
	n.subs["s1"] = v.id
	n.views[v.id] = &viewCopy{id: v.id, objects: v.objects, edges: v.edges, roots: v.roots, version: since}
	n.send(f(`{"t":"sub","sub":"s1",%s,"since":%d,"epoch":%q,"key":%q}`, projection, since, epoch, key))
	n.next("load")
	n.same("ann", "s1", f(`{"root":%q,"out":{"next":{}}}`, a))
}

func TestPendingMutationsAreToldAtTheWelcome(t *testing.T) {
	t.Parallel()
	w := setup(t)
	session := newID()
	s := w.dialSession(t, "ann", session)
	done, lost := newID(), newID()
	s.send(f(`{"t":"mutate","mutation":%q,"patch":[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{}}}]}`, done, newID()))
	n := s.next("ack").int("version")
	s.conn.CloseNow()
	again := w.dialSession(t, "ann", session, done, lost)
	again.welcome.is("applied", f(`{%q:%d}`, done, n))
	// Another user's are not told.
	w.dial(t, "bob", done).welcome.is("applied", "{}")
	// Known on the other node as well.
	o := *w
	o.url = w.other
	o.dial(t, "ann", done, lost).welcome.is("applied", f(`{%q:%d}`, done, n))
}

func TestCan(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	store := ann.create("DataStore", `{"name":"s"}`)
	private := ann.create("Private", `{}`)
	can := func(user string) value {
		s := w.dial(t, user)
		s.send(f(`{"t":"can","objects":[%q,%q,%q]}`, store, private, newID()))
		return s.next("can").at("objects")
	}
	set := func(v value, id string) map[any]bool {
		m := map[any]bool{}
		if v.has(id) {
			for _, r := range v.list(id) {
				m[r.v] = true
			}
		}
		return m
	}
	a := can("ann")
	for _, r := range []string{"read", "write", "manage", "comment"} {
		if !set(a, store)[r] {
			t.Errorf("ann lacks %s: %s", r, a)
		}
	}
	b := can("bob")
	if got := set(b, store); !got["read"] || !got["comment"] || got["write"] || got["manage"] {
		t.Errorf("bob: %s", b)
	}
	if b.has(private) {
		t.Errorf("unreadable ones are left out: %s", b)
	}
	if c := can("cat"); len(c.members("")) != 0 {
		t.Errorf("cat: %s", c)
	}
}

func TestRightsThatChangeActAsEnterAndLeave(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	a, b := ann.create("Shared", `{"n":1}`), ann.create("Shared", `{"n":2}`)
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/access/read","value":{"users":{"bob":true}}}]`, a))
	bob, cat, annS := w.dial(t, "bob"), w.dial(t, "cat"), w.dial(t, "ann")
	p := `"projection":{"root":{"type":"Shared"}}`
	if v := bob.sub("s1", p); len(v.objects) != 2 {
		t.Fatalf("%v", v.objects)
	}
	if v := cat.sub("s1", p); len(v.objects) != 0 {
		t.Fatalf("%v", v.objects)
	}
	annS.sub("s1", p)
	// Taken away and changed at once: only the leaving is told.
	n := ann.commit(f(`[{"op":"replace","path":"/objects/%[1]s/access/read","value":{"users":{"cat":true}}},{"op":"replace","path":"/objects/%[1]s/body/n","value":"canary"}]`, a))
	bob.raw = func(m []byte) {
		if strings.Contains(string(m), "canary") {
			t.Errorf("bob gets %s", m)
		}
	}
	bob.reach(n)
	if v := bob.view("s1"); v.objects[a] != nil || v.objects[b] == nil {
		t.Errorf("bob holds %v", v.objects)
	}
	cat.reach(n)
	cat.view("s1").body(t, a).is("n", `"canary"`)
	annS.reach(n)
	for _, s := range []struct {
		s    *socket
		user string
	}{{bob, "bob"}, {cat, "cat"}, {annS, "ann"}} {
		s.s.same(s.user, "s1", `{"root":{"type":"Shared"}}`)
	}
	// Given back.
	n = ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":3},{"op":"replace","path":"/objects/%s/access/read","value":{"orgs":{"acme":true,"other":true}}}]`, a, a))
	for _, s := range []*socket{bob, cat, annS} {
		s.reach(n)
		s.view("s1").body(t, a).is("n", "3")
	}
}

func TestARenewedTokenWithOtherRights(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Shared", `{"n":1}`)
	s := w.dial(t, "bob")
	if v := s.sub("s1", `"projection":{"root":{"type":"Shared"}}`); v.objects[id] == nil {
		t.Fatal("bob is of acme")
	}
	token := func(more ...string) string { return mintToken("bob", time.Hour, append(more, "graphs="+w.graph)...) }
	until := func(there bool) {
		t.Helper()
		for {
			s.settle()
			if v := s.view("s1"); (v.objects[id] != nil) == there {
				return
			}
		}
	}
	s.send(f(`{"t":"token","token":%q}`, token("org=nowhere")))
	until(false)
	s.send(f(`{"t":"token","token":%q}`, token()))
	until(true)
	s.rejects(f(`[{"op":"replace","path":"/objects/%s/access/read","value":{}}]`, id), "forbidden")
	// Another user's token ends it.
	s.send(f(`{"t":"token","token":%q}`, mintToken("ann", time.Hour, "graphs="+w.graph)))
	if code := s.closeCode(); code != 4403 && code != 4401 {
		t.Errorf("closed with %d", code)
	}
}

func TestPresence(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Doc", `{}`)
	hidden := ann.create("Private", `{}`)
	p := f(`"projection":{"root":%q}`, id)
	a, b := w.dial(t, "ann"), w.dial(t, "bob")
	a.sub("s1", p)
	b.sub("s1", p)
	a.send(f(`{"t":"presence","on":%q,"state":{"cursor":[1,2]}}`, id))
	b.next("presence").is("on", f("%q", id)).is("sessions", f(`{%q:{"user":"ann","state":{"cursor":[1,2]}}}`, a.id))
	// Newcomers hear of who is there.
	c := w.dial(t, "cat")
	c.sub("s1", p)
	c.next("presence").is("sessions."+a.id+".user", `"ann"`)
	// null leaves.
	a.send(f(`{"t":"presence","on":%q,"state":null}`, id))
	b.next("presence").is("sessions", f(`{%q:null}`, a.id))
	c.next("presence").is("sessions", f(`{%q:null}`, a.id))
	// So does a connection that ends.
	b.send(f(`{"t":"presence","on":%q,"state":{"x":1}}`, id))
	for {
		if m := c.next("presence"); m.has("sessions." + b.id) {
			break
		}
	}
	b.conn.CloseNow()
	c.next("presence").is("sessions", f(`{%q:null}`, b.id))
	// Too much, and on what may not be read.
	a.send(f(`{"t":"presence","on":%q,"state":{"x":%q}}`, id, strings.Repeat("y", 5000)))
	a.next("error").is("problem.code", `"too-large"`)
	// On what may not be read it is passed over, as on what is not there.
	c.send(f(`{"t":"presence","on":%q,"state":{}}`, hidden))
	c.send(f(`{"t":"presence","on":%q,"state":{}}`, newID()))
	c.settle()
	if got := ann.head(); got != 2 {
		t.Errorf("presence made commits: %d", got)
	}
}

func TestCloseCodes(t *testing.T) {
	t.Parallel()
	w := setup(t)
	hello := func(s *socket, token, session string) {
		s.send(f(`{"t":"hello","token":%q,"session":%q,"pending":[]}`, token, session))
	}
	ok := w.as("ann").token
	for name, c := range map[string]struct {
		code int
		do   func(s *socket)
	}{
		"not JSON":              {4400, func(s *socket) { s.send(`{`) }},
		"no object":             {4400, func(s *socket) { s.send(`[]`) }},
		"no kind":               {4400, func(s *socket) { s.send(`{"x":1}`) }},
		"something before":      {4400, func(s *socket) { s.send(`{"t":"ping"}`) }},
		"a bad session id":      {4400, func(s *socket) { hello(s, ok, "x") }},
		"no token":              {4401, func(s *socket) { s.send(f(`{"t":"hello","session":%q}`, newID())) }},
		"a bad token":           {4401, func(s *socket) { hello(s, "nonsense", newID()) }},
		"an expired token":      {4401, func(s *socket) { hello(s, expired("ann"), newID()) }},
		"another key's token":   {4401, func(s *socket) { hello(s, foreign("ann"), newID()) }},
		"another graph's token": {4404, func(s *socket) { hello(s, mintToken("ann", time.Hour, "graphs=elsewhere"), newID()) }},
		"a bad sub":             {4400, func(s *socket) { s.hello(ok, newID()); s.send(`{"t":"sub","sub":5}`) }},
		"a duplicate key":       {4400, func(s *socket) { s.hello(ok, newID()); s.send(`{"t":"ping","t":"ping"}`) }},
		"bad UTF-8":             {4400, func(s *socket) { s.hello(ok, newID()); s.send("{\"t\":\"ping\",\"x\":\"\xff\"}") }},
		"a bad token message":   {4401, func(s *socket) { s.hello(ok, newID()); s.send(`{"t":"token","token":"x"}`) }},
		"too large": {4413, func(s *socket) {
			s.hello(ok, newID())
			s.send(f(`{"t":"ping","x":%q}`, strings.Repeat("x", 1<<20+64<<10)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := w.open(t)
			c.do(s)
			if got := s.closeCode(); got != c.code {
				t.Errorf("closed with %d, want %d", got, c.code)
			}
		})
	}
	t.Run("no such graph", func(t *testing.T) {
		t.Parallel()
		o := *w
		o.graph = "t-absent-" + newID()[:8]
		s := o.open(t)
		hello(s, mintToken("ann", time.Hour, "graphs=*"), newID())
		if got := s.closeCode(); got != 4404 {
			t.Errorf("closed with %d", got)
		}
	})
	t.Run("a graph that is deleted", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		s := w.dial(t, "ann")
		s.sub("s1", `"projection":{"root":{"type":"Doc"}}`)
		w.root().delete(w.path("")).want(204)
		if got := s.closeCode(); got != 4404 {
			t.Errorf("closed with %d", got)
		}
	})
	t.Run("another user's session", func(t *testing.T) {
		t.Parallel()
		a := w.dial(t, "ann")
		s := w.open(t)
		hello(s, w.as("bob").token, a.id)
		if got := s.closeCode(); got != 4403 {
			t.Errorf("closed with %d", got)
		}
		a.settle()
	})
	t.Run("replaced", func(t *testing.T) {
		t.Parallel()
		a := w.dial(t, "ann")
		w.dialSession(t, "ann", a.id).settle()
		if got := a.closeCode(); got != 4409 {
			t.Errorf("closed with %d", got)
		}
	})
	t.Run("no hello", func(t *testing.T) {
		t.Parallel()
		begin := time.Now()
		s := w.open(t)
		if got := s.closeCode(); got != 4408 || time.Since(begin) < 9*time.Second || time.Since(begin) > 25*time.Second {
			t.Errorf("closed with %d after %v", got, time.Since(begin))
		}
	})
	t.Run("a token that expires", func(t *testing.T) {
		t.Parallel()
		s := w.open(t)
		s.hello(mintToken("ann", 2*time.Second, "graphs="+w.graph), newID())
		if got := s.closeCode(); got != 4401 {
			t.Errorf("closed with %d", got)
		}
	})
	t.Run("a token renewed in time", func(t *testing.T) {
		t.Parallel()
		s := w.open(t)
		s.hello(mintToken("ann", 6*time.Second, "graphs="+w.graph), newID())
		s.send(f(`{"t":"token","token":%q}`, ok))
		<-time.After(7 * time.Second) // the old one is over by then
		s.settle()
	})
	t.Run("unknown kinds are ignored", func(t *testing.T) {
		t.Parallel()
		s := w.dial(t, "ann")
		s.send(`{"t":"novelty","x":1}` + "\n" + `{"t":"ping","unknown":true}`)
		s.next("at")
	})
}

func TestOriginsAndProtocols(t *testing.T) {
	t.Parallel()
	w := setup(t)
	host := strings.TrimPrefix(w.url, "http://")
	for origin, ok := range map[string]bool{
		"https://app.example.com": true, w.url: true,
		"https://evil.example.com": false, "null": false, "https://" + host: false, "http://app.example.com": false,
		"https://app.example.com.evil.com": false, "https://app.example.com:444": false, "https://app.example.com@evil.com": false, "file://": false,
	} {
		s, resp, err := w.tryOpen(t, "Origin: "+origin)
		if ok != (err == nil) {
			t.Errorf("%s: %v", origin, err)
		}
		if !ok && (resp == nil || resp.StatusCode != 403) {
			t.Errorf("%s: %v", origin, resp)
		}
		if s != nil {
			s.hello(w.as("ann").token, newID())
		}
	}
	s, _, err := w.tryOpen(t) // no Origin: no browser
	if err != nil || s == nil {
		t.Errorf("%v", err)
	}
}

// resumed ends the session's connection and comes back on a node, with the
// copies that it has.
func (s *socket) resumed(on *world, user string, projections []string) *socket {
	s.t.Helper()
	s.conn.CloseNow()
	next := on.dialSession(s.t, user, newID())
	var subs []string
	for j, p := range projections {
		sub := f("s%d", j)
		old := s.views[s.subs[sub]]
		if old == nil {
			continue
		}
		subs = append(subs, sub)
		if old.partial { // it ended in the middle
			next.send(f(`{"t":"sub","sub":%q,"projection":%s}`, sub, p))
			continue
		}
		held := *old
		held.id = "held by " + sub
		next.subs[sub], next.views[held.id] = held.id, &held
		next.send(f(`{"t":"sub","sub":%q,"projection":%s,"since":%d,"epoch":%q,"key":%q}`, sub, p, held.version, s.welcome.str("epoch"), held.key))
	}
	for range subs {
		for {
			if m := next.next("load"); m.bool("done") {
				break
			}
		}
	}
	return next
}

// TestS7Convergent changes a small world at random, over two nodes, while
// sessions of users with different rights watch it through different
// projections, come and go; every digest, `was` and patch is checked on the
// way, and at the end every copy is what a load answers.
func TestS7Convergent(t *testing.T) {
	t.Parallel()
	w := setup(t)
	o := *w
	o.url = w.other
	rng := seeded(t)
	ann, bob := w.as("ann"), w.as("bob")
	var ids, edges []string
	for i := range 8 {
		ids = append(ids, ann.create([]string{"Node", "Node", "Shared"}[i%3], f(`{"n":%d,"s":"x"}`, i)))
	}
	projections := []string{
		f(`{"root":%q,"out":{"next":{"repeat":true},"one":{}}}`, ids[0]),
		`{"root":{"type":"Node","where":{"n":{"lt":5}},"order":["-/body/n"],"limit":3},"in":{"next":{"limit":2,"order":["/body/n"]}}}`,
		`{"root":{"type":"Shared"}}`,
		f(`{"root":[%q,%q],"out":{"next":{"where":{"or":[{"n":{"gte":3}},{"s":"y"}]},"out":{"one":{}}}},"in":{"swap":{}}}`, ids[0], ids[3]),
	}
	type watcher struct {
		s    *socket
		user string
	}
	var watchers []watcher
	for i, user := range []string{"ann", "bob", "cat", "root", "bob"} {
		on := w
		if i%2 == 1 {
			on = &o
		}
		s := on.dial(t, user)
		for j, p := range projections {
			s.send(f(`{"t":"sub","sub":"s%d","projection":%s}`, j, p))
			if m, err := s.receive(); err != nil {
				t.Fatal(err)
			} else if m.str("t") == "load" && !m.bool("done") {
				s.loaded(f("s%d", j))
			} else if m.str("t") == "error" && m.str("problem.code") != "not-found" {
				t.Fatalf("%s", m)
			}
		}
		watchers = append(watchers, watcher{s, user})
	}
	pick := func(l []string) string {
		if len(l) == 0 {
			return newID()
		}
		return l[rng.IntN(len(l))]
	}
	done := 0
	for i := range 250 {
		switch n := i / 20 % len(watchers); {
		case i%20 != 19:
		case i%40 == 39: // some read, and some fall behind
			watchers[n].s.settle()
		default: // some go away and come back to either node with what they hold
			on := []*world{w, &o}[rng.IntN(2)]
			watchers[n].s = watchers[n].s.resumed(on, watchers[n].user, projections)
		}
		var op string
		switch rng.IntN(8) {
		case 0:
			id := newID()
			op = f(`{"op":"add","path":"/objects/%s","value":{"type":%q,"body":{"n":%d,"s":"x"}}}`, id, []string{"Node", "Shared"}[rng.IntN(2)], rng.IntN(9))
			ids = append(ids, id)
		case 1, 2, 3:
			id := newID()
			op = f(`{"op":"add","path":"/edges/%s","value":{"label":%q,"from":%q,"to":%q}}`, id, []string{"next", "one", "swap", "next"}[rng.IntN(4)], pick(ids), pick(ids))
			edges = append(edges, id)
		case 4, 5:
			op = f(`{"op":"replace","path":"/objects/%s/body/n","value":%d}`, pick(ids), rng.IntN(9))
		case 6:
			op = f(`{"op":"remove","path":"/edges/%s"}`, pick(edges))
		case 7:
			switch rng.IntN(4) {
			case 0:
				id := pick(ids[1:])
				op = f(`{"op":"remove","path":"/objects/%s"}`, id)
			case 1:
				op = f(`{"op":"replace","path":"/objects/%s/access/read","value":{"public":%v}}`, pick(ids), rng.IntN(2) == 0)
			case 2:
				op = f(`{"op":"replace","path":"/objects/%s/access/read","value":{"users":{"bob":true},"teams":{"red":true}}}`, pick(ids))
			case 3:
				op = f(`{"op":"replace","path":"/objects/%s/body/s","value":"y"}`, pick(ids))
			}
		}
		c := ann
		if rng.IntN(3) == 0 {
			c = bob
		}
		if rng.IntN(2) == 0 {
			c = c.on(w.other)
		}
		a := c.patch("[" + op + "]")
		if a.status >= 500 {
			t.Fatalf("%v", a)
		}
		if a.status == 200 {
			done++
		}
	}
	if done < 60 {
		t.Fatalf("only %d of 250 were committed", done)
	}
	head := ann.head()
	for _, x := range watchers {
		x.s.reach(head)
		for j, p := range projections {
			if x.s.subs[f("s%d", j)] == "" {
				continue
			}
			a := x.s.w.as(x.user).with(f("Graphtide-Min-Version: %d", head)).load(p)
			if a.status == 404 { // named roots that went or may not be read any more
				if v := x.s.view(f("s%d", j)); len(v.objects) != 0 {
					t.Errorf("%s holds %v", x.user, v.objects)
				}
				continue
			}
			x.s.sameAs(a, f("s%d", j))
		}
	}
}
