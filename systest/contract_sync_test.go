package systest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// messages notes the objects that the server sends, as they are.
func (s *socket) messages() *[]value {
	var all []value
	s.raw = func(m []byte) {
		for line := range strings.SplitSeq(string(m), "\n") {
			if v, err := decode([]byte(line)); err == nil {
				all = append(all, value{s.t, v})
			}
		}
	}
	return &all
}

// kind gives those of a kind.
func kind(all []value, t string) (some []value) {
	for _, m := range all {
		if m.str("t") == t {
			some = append(some, m)
		}
	}
	return some
}

// TestWhatEachMessageCarries holds every kind that a server sends to its members.
func TestWhatEachMessageCarries(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	top, kid := ann.create("Node", `{"n":0}`), ann.create("Node", `{}`)
	e := ann.link("next", kid, top)
	w.as("bob").create("Private", `{}`)
	s := w.dial(t, "ann")
	s.welcome.only("", "t graph session epoch version user schema limits applied expiresAt").only("user", "id teams org admin").is("session", f("%q", s.id)).is("version", "4")
	all := s.messages()
	s.sub("s1", f(`"projection":{"root":%q,"in":{"next":{}}}`, top))
	load := kind(*all, "load")[0]
	load.only("", "t sub view key version total objects edges done roots digest").is("sub", `"s1"`).is("version", "4").is("total", "3").is("done", "true").is("roots", f("[%q]", top))
	load.only("objects", top+" "+kid).only("edges", e).only("objects."+top, "type body meta").only("edges."+e, "label from to body meta").only("objects."+top+".meta", metaMembers)

	// A change, what enters and what leaves, in one delta.
	other, oe := newID(), newID()
	n := s.mutate(f(`[{"op":"replace","path":"/objects/%s/body/n","value":1},{"op":"add","path":"/objects/%s","value":{"type":"Node","body":{}}},
		{"op":"add","path":"/edges/%s","value":{"label":"next","from":%q,"to":%q}},{"op":"remove","path":"/edges/%s"}]`, top, other, oe, other, top, e))
	d := kind(*all, "delta")[0]
	d.only("", "t view version at by objects edges mutations done").is("view", load.at("view").String()).is("version", f("%d", n)).is("by", `"ann"`)
	d.only("objects", top+" "+kid+" "+other).only("edges", e+" "+oe)
	d.only("objects."+top, "version was patch meta").is("objects."+top+".was", "1").only("objects."+top+".meta", metaMembers).only("objects."+other, "enter").only("objects."+other+".enter", "type body meta")
	d.is("objects."+kid, `{"leave":"unlinked"}`).is("edges."+e, `{"leave":"deleted"}`).only("edges."+oe+".enter", "label from to body meta")
	ack := kind(*all, "ack")[0].only("", "t mutation version").is("version", f("%d", n))
	d.is("mutations", "["+ack.at("mutation").String()+"]")
	// Roots stand where they change.
	s.sub("s2", `"projection":{"root":{"type":"Private"}}`)
	s.mutate(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Private","body":{}}}]`, newID()))
	d = kind(*all, "delta")[1]
	d.only("", "t view version at by objects edges mutations done roots")
	if l := d.list("roots"); len(l) != 1 {
		t.Errorf("%s", d)
	}

	s.rejects(`[{"op":"remove","path":"/objects/`+newID()+`"}]`, "not-found")
	kind(*all, "reject")[0].only("", "t mutation problem").only("problem", "type title status code detail path op")
	s.send(`{"t":"can","objects":["` + top + `"]}`)
	s.next("can").only("", "t objects").only("objects", top)
	s.send(f(`{"t":"presence","on":%q,"state":{"at":"the door"}}`, top))
	s.next("presence").only("", "t on sessions").is("on", f("%q", top)).only("sessions", s.id).only("sessions."+s.id, "user state").is("sessions."+s.id+".user", `"ann"`).is("sessions."+s.id+".state", `{"at":"the door"}`)
	s.send(`{"t":"sub","sub":"bad","projection":{}}`)
	s.next("error").only("", "t sub problem").is("sub", `"bad"`)
	at := s.settle().only("", "t version digests")
	at.only("digests", s.view("s1").id+" "+s.view("s2").id)
	// A transaction that changes nothing is acknowledged at the present version.
	if v := s.mutate(`[]`); v != ann.head() {
		t.Errorf("nothing is acknowledged at %d, the head is %d", v, ann.head())
	}
}

// TestASessionThatStaysOn puts many small rules of the websocket to one session
// after another: each leaves it in order.
func TestASessionThatStaysOn(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Doc", `{"n":0}`)
	s := w.dial(t, "ann")
	projection := f(`{"root":%q}`, id)

	// Several objects in one message, with empty lines, returns and spaces between.
	// Each is answered.
	s.send("\n" + `{"t":"ping"}` + "\n\r\n  \n" + strings.Repeat(`{"t":"ping"}`+"\r\n", 4))
	for range 5 {
		s.next("at")
	}
	s.sub("s1", `"projection":`+projection)
	// An object may span lines, and what is in it comes on one line again.
	pretty := "{\n  \"a\" : [ 1,\r\n 2 ],\n\t\"b\": {\n}\n}"
	ann.commit(f("[\n{\"op\": \"add\",\n\"path\": \"/objects/%s/body/http\", \"value\": %s}\n]", id, pretty))
	s.send(f("{\"t\": \"mutate\",\n \"mutation\": %q,\n \"patch\": [{\"op\": \"add\", \"path\": \"/objects/%s/body/socket\",\n \"value\": %s}]\n}", newID(), id, pretty))
	s.next("ack")
	s.send(f("{\"t\":\"presence\",\"on\":%q,\n\"state\":%s}", id, pretty))
	s.next("presence").is("sessions."+s.id+".state", `{"a":[1,2],"b":{}}`)
	s.same("ann", "s1", projection)
	ann.stream(t, w.path("/log?since=1&limit=2")).next(t)
	s.mutate(f(`[{"op":"replace","path":"/objects/%s/body","value":{"n":0}}]`, id))
	// Kinds and fields of the future, null ones too.
	s.send(`{"t":"novelty"}` + "\n" + f(`{"t":"mutate","mutation":%q,"patch":[],"color":null,"deep":{"a":[1]}}`, newID()))
	s.next("ack")
	s.sub("s9", `"projection":{"root":{"type":"Doc"}},"then":1`)
	s.send(`{"t":"unsub","sub":"s9","why":"enough"}` + "\n" + `{"t":"unsub","sub":"never"}`)
	s.settle().only("digests", s.view("s1").id)
	// A name that is given again is another subscription, which begins with a reset.
	s.send(f(`{"t":"sub","sub":"s1","projection":{"root":[%q,%q]}}`, id, newID()))
	s.next("load").is("reset", "true")
	s.same("ann", "s1", projection)
	// What a mutation may not say is its rejection, in its place, and costs nothing else.
	before := ann.head()
	var want []string
	for _, bad := range []string{
		`"note":"` + strings.Repeat("x", 201) + `","patch":[]`, `"group":"x","patch":[]`, `"base":-1,"patch":[]`, `"base":99999,"patch":[]`, `"base":"1","patch":[]`, `"note":7,"patch":[]`, `"base":0`,
		`"patch":{}`, `"patch":"x"`, `"patch":[{"op":"add"}]`, f(`"patch":[{"op":"add","path":"/objects/%s/body/x","value":%q}]`, id, strings.Repeat("x", 1<<20)),
	} {
		m := newID()
		want = append(want, m)
		s.send(f(`{"t":"mutate","mutation":%q,%s}`, m, bad))
	}
	for i, m := range want {
		r := s.next("reject").is("mutation", f("%q", m))
		if c := r.str("problem.code"); i < len(want)-1 && c != "invalid-patch" && c != "invalid-version" && c != "invalid-json" || i == len(want)-1 && c != "too-large" {
			t.Errorf("%d: %s", i, r)
		}
	}
	if ann.head() != before {
		t.Error("a refused mutation made a commit")
	}
	s.mutate(f(`[{"op":"add","path":"/objects/%s/body/note","value":%q}]`, id, strings.Repeat("ü", 200)))
	s.send(f(`{"t":"mutate","mutation":%q,"note":%q,"patch":[{"op":"replace","path":"/objects/%s/body/n","value":1}]}`, newID(), strings.Repeat("ü", 200), id))
	s.next("ack")
	// A message of exactly the limit is read, one byte more is too large.
	limit := s.welcome.int("limits.messageBytes")
	exact := `{"t":"ping","x":""}`
	s.send(strings.Replace(exact, `""`, `"`+strings.Repeat("x", limit-len(exact))+`"`, 1))
	s.next("at")
	// The client's pings are answered while nothing else is said.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.conn.Ping(ctx); err != nil {
		t.Errorf("a ping: %v", err)
	}
	// Presence up to the limit, which counts what is sent and not how.
	state := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
	s.send(f(`{"t":"presence","on":%q,"state": %s }`, id, state(4096)))
	s.next("presence").only("sessions", s.id)
	s.send(f(`{"t":"presence","on":%q,"state":%s}`, id, state(4097)))
	s.next("error").is("problem.code", `"too-large"`).is("problem.limit", `"presenceBytes"`).is("sub", `""`)
	// A past state stands still, and its name may be used again.
	old := s.sub("s2", f(`"projection":%s,"at":1`, projection))
	if old.version != 1 || old.body(t, id).int("n") != 0 {
		t.Errorf("at 1: version %d, %s", old.version, old.body(t, id))
	}
	s.mutate(f(`[{"op":"replace","path":"/objects/%s/body/n","value":2}]`, id))
	s.settle().only("digests", s.view("s1").id)
	if s.view("s2").body(t, id).int("n") != 0 {
		t.Error("the past has changed")
	}
	s.same("ann", "s1", projection)
	// A second hello is one too many.
	s.send(f(`{"t":"hello","token":%q,"session":%q}`, ann.token, s.id))
	if got := s.closeCode(); got != 4400 {
		t.Errorf("a second hello: closed with %d", got)
	}
	big := w.dial(t, "ann")
	big.send(strings.Replace(exact, `""`, `"`+strings.Repeat("x", limit-len(exact)+1)+`"`, 1))
	if got := big.closeCode(); got != 4413 {
		t.Errorf("a byte too many: closed with %d", got)
	}
	for _, bad := range []string{`{"t":"hello","token":"` + ann.token + `","session":"` + newID() + `","pending":["x"]}`, "\n\n", `{"t":""}`, `{"t":5}`, `null`, `{"t":"ping"} {"t":"ping"}`} {
		c := w.open(t)
		c.send(bad)
		if strings.TrimSpace(bad) == "" { // nothing was said yet
			c.hello(ann.token, newID())
			continue
		}
		if got := c.closeCode(); got != 4400 {
			t.Errorf("%q: closed with %d", bad, got)
		}
	}
}

// TestOneViewIsTheSameBytes has users of the same rights share what they are sent,
// on one node, until their rights part; then each is sent what differs for him.
func TestOneViewIsTheSameBytes(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	var ids []string
	for i := range 3 {
		ids = append(ids, ann.create("Shared", f(`{"n":%d}`, i)))
	}
	p := `"projection":{"root":{"type":"Shared","order":["/body/n"]}}`
	users := []string{"bob", "dan", "bob"}
	var sessions []*socket
	var heard []*[]string
	for _, user := range users {
		s := w.dial(t, user)
		s.sub("s1", p)
		lines := &[]string{}
		s.raw = func(m []byte) {
			for line := range strings.SplitSeq(string(m), "\n") {
				if strings.Contains(line, `"t":"delta"`) {
					*lines = append(*lines, line)
				}
			}
		}
		sessions, heard = append(sessions, s), append(heard, lines)
	}
	view := sessions[0].view("s1").id
	for i, s := range sessions {
		if got := s.view("s1").id; got != view {
			t.Fatalf("%s sees %s, bob %s, and nothing tells them apart", users[i], got, view)
		}
	}
	reach := func(v int) {
		t.Helper()
		for _, s := range sessions {
			s.reach(v)
		}
	}
	// One at a time: what is committed at about the same time may come in one delta.
	for i := range 5 {
		reach(ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":%d},{"op":"add","path":"/objects/%s/body/x","value":%d}]`, ids[0], 10-i, ids[1], i)))
	}
	for i := range sessions {
		if len(*heard[i]) != 5 || !slices.Equal(*heard[i], *heard[0]) {
			t.Errorf("%s was sent\n%s\nbob\n%s", users[i], strings.Join(*heard[i], "\n"), strings.Join(*heard[0], "\n"))
		}
	}
	// Something is taken from dan alone. He, or the others, go on in another view: they
	// are sent a load of the same subscription that builds on what they have.
	var loads []*[]value
	for _, s := range sessions {
		loads = append(loads, s.messages())
	}
	v := ann.commit(f(`[{"op":"replace","path":"/objects/%s/access/read","value":{"users":{"bob":true}}}]`, ids[2]))
	reach(v)
	if a, b := sessions[0].view("s1").id, sessions[1].view("s1").id; a == b || sessions[2].view("s1").id != a {
		t.Errorf("the views are %s and %s", a, b)
	}
	for i, s := range sessions {
		there := users[i] == "bob"
		if (s.view("s1").objects[ids[2]] != nil) != there {
			t.Errorf("%s has %v", users[i], s.view("s1").ids())
		}
		for _, m := range kind(*loads[i], "load") {
			m.is("sub", `"s1"`)
			if m.has("reset") || len(m.members("objects")) != 1 || m.int("total") != 1 || m.str("view") == view {
				t.Errorf("%s is sent more than what differs: %s", users[i], m)
			}
		}
		if !there {
			last := (*loads[i])[slices.IndexFunc(*loads[i], func(m value) bool { return m.has("objects." + ids[2]) })]
			last.is("objects."+ids[2], `{"leave":"forbidden"}`)
		}
		s.same(users[i], "s1", `{"root":{"type":"Shared","order":["/body/n"]}}`)
	}
	if n := len(kind(*loads[0], "load")) + len(kind(*loads[1], "load")); n == 0 {
		t.Error("their views have parted, and no load told so")
	}
	reach(ann.commit(f(`[{"op":"add","path":"/objects/%s/access/read/users/dan","value":true}]`, ids[2])))
	for i, s := range sessions {
		s.same(users[i], "s1", `{"root":{"type":"Shared","order":["/body/n"]}}`)
	}
}

// TestARenewedTokenTellsWhatDiffers renews a session's token with other rights:
// what it loses leaves as forbidden, what it gains enters, in a load of each
// subscription that holds nothing else, and all of them at one version.
func TestARenewedTokenTellsWhatDiffers(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	shared, open, team := ann.create("Shared", `{}`), ann.create("Doc", `{}`), ann.create("Shared", `{}`)
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/access/read","value":{"teams":{"green":true}}}]`, team))
	s := w.dial(t, "bob")
	s.sub("s1", `"projection":{"root":{"type":"Object"}}`)
	s.sub("s2", f(`"projection":{"root":[%q,%q]}`, shared, open))
	if v := s.view("s1"); v.objects[shared] == nil || v.objects[team] != nil {
		t.Fatalf("%v", v.ids())
	}
	all := s.messages()
	token := func(more ...string) string { return mintToken("bob", time.Hour, append(more, "graphs="+w.graph)...) }
	s.send(f(`{"t":"token","token":%q}`, token("org=nowhere", "team=green")))
	eventually(t, "what the new rights show", func() bool {
		s.settle()
		return s.view("s1").objects[team] != nil && s.view("s2").objects[shared] == nil
	})
	if s.view("s1").objects[shared] != nil || s.view("s1").objects[open] == nil || s.view("s2").objects[open] == nil {
		t.Errorf("%v, %v", s.view("s1").ids(), s.view("s2").ids())
	}
	loads := kind(*all, "load")
	if len(loads) != 2 {
		t.Fatalf("%d loads: %v", len(loads), loads)
	}
	for _, m := range loads {
		if m.has("reset") {
			t.Errorf("a reset: %s", m)
		}
		m.is("objects."+shared, `{"leave":"forbidden"}`).is("edges", "{}").is("version", loads[0].at("version").String())
		switch m.str("sub") {
		case "s1":
			m.only("objects", shared+" "+team).only("objects."+team, "enter").is("total", "2")
		case "s2":
			m.only("objects", shared).is("total", "1").is("roots", f("[%q]", open))
		}
	}
	// A token of the same rights tells nothing, and one of none but the old ones all of it.
	*all = nil
	s.send(f(`{"t":"token","token":%q}`, token("org=nowhere", "team=green")))
	s.settle()
	if l := kind(*all, "load"); len(l) != 0 {
		t.Errorf("told without need: %v", l)
	}
	s.send(f(`{"t":"token","token":%q}`, token()))
	eventually(t, "what the old rights show", func() bool {
		s.settle()
		return s.view("s1").objects[team] == nil && s.view("s2").objects[shared] != nil
	})
	s.same("bob", "s1", `{"root":{"type":"Object"}}`)
	s.send(f(`{"t":"token","token":%q}`, mintToken("bob", time.Hour, "graphs=elsewhere")))
	if got := s.closeCode(); got != 4404 {
		t.Errorf("a token that does not open the graph: closed with %d", got)
	}
}

// TestPresenceFollowsTheViews has an object come into a session's view and go: with
// it those who are there.
func TestPresenceFollowsTheViews(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	top, a, b := ann.create("Node", `{}`), ann.create("Node", `{}`), ann.create("Node", `{}`)
	ea := ann.link("next", top, a)
	own, far := w.dial(t, "ann"), *w
	far.url = w.other
	watch := far.dial(t, "bob") // on the other node
	own.sub("s1", f(`"projection":{"root":[%q,%q]}`, a, b))
	watch.sub("s1", f(`"projection":{"root":%q,"out":{"next":{}}}`, top))
	for _, on := range []string{a, b} {
		own.send(f(`{"t":"presence","on":%q,"state":{"on":%q}}`, on, on))
		own.next("presence").only("sessions", own.id) // who is there is told as well
	}
	watch.next("presence").is("on", f("%q", a)).is("sessions", f(`{%q:{"user":"ann","state":{"on":%q}}}`, own.id, a))
	// b comes into the view, and who was there all along is told.
	eb := ann.link("next", top, b)
	watch.next("presence").is("on", f("%q", b)).is("sessions."+own.id+".state", f(`{"on":%q}`, b))
	// It leaves, and nobody is there any more, as far as this session is concerned.
	ann.commit(f(`[{"op":"remove","path":"/edges/%s"}]`, eb))
	watch.next("presence").is("on", f("%q", b)).is("sessions", f(`{%q:null}`, own.id))
	// What is said on it now is not for this session.
	own.send(f(`{"t":"presence","on":%q,"state":1}`, b) + "\n" + f(`{"t":"presence","on":%q,"state":2}`, a))
	watch.next("presence").is("on", f("%q", a)).is("sessions."+own.id+".state", "2")
	// A subscription that ends takes them with it; the session that goes is gone for all.
	watch.sub("s2", f(`"projection":{"root":%q}`, b))
	watch.next("presence").is("on", f("%q", b)).is("sessions."+own.id+".state", "1")
	watch.send(`{"t":"unsub","sub":"s2"}`)
	watch.next("presence").is("on", f("%q", b)).is("sessions", f(`{%q:null}`, own.id))
	own.conn.CloseNow()
	watch.next("presence").is("on", f("%q", a)).is("sessions", f(`{%q:null}`, own.id))
	if n := ann.head(); n != 6 {
		t.Errorf("presence made commits: %d", n)
	}
	_ = ea
}

// TestALargeDeltaComesInFrames lets two megabytes into two views at once: the
// frames of a version follow each other, only the last of each is done and names the
// mutation, and the ack comes behind both.
func TestALargeDeltaComesInFrames(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	top, mid := ann.create("Node", `{}`), ann.create("Node", `{}`)
	filler := strings.Repeat("x", 90<<10)
	for range 2 {
		var ops []string
		for range 7 {
			id := newID()
			ops = append(ops, f(`{"op":"add","path":"/objects/%s","value":{"type":"Node","body":{"x":%q}}},{"op":"add","path":"/edges/%s","value":{"label":"next","from":"%s","to":"%s"}}`, id, filler, newID(), mid, id))
		}
		ann.commit("[" + strings.Join(ops, ",") + "]")
	}
	s := w.dial(t, "ann")
	s.sub("s1", f(`"projection":{"root":%q,"out":{"next":{"repeat":1}}}`, top))
	s.sub("s2", f(`"projection":{"root":%q,"out":{"next":{"out":{"next":{}}}}}`, top))
	var order []value
	s.raw = func(m []byte) {
		if len(m) > 1<<20 {
			t.Errorf("a message of %d bytes", len(m))
		}
		for line := range strings.SplitSeq(string(m), "\n") {
			var v struct {
				T, View   string
				Version   json.Number
				Done      bool
				Mutations []string
			}
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Error(err)
			}
			order = append(order, value{t, map[string]any{"t": v.T, "view": v.View, "version": v.Version, "done": v.Done, "mutations": len(v.Mutations)}})
		}
	}
	n := s.mutate(f(`[{"op":"add","path":"/edges/%s","value":{"label":"next","from":%q,"to":%q}}]`, newID(), top, mid))
	frames := map[string]int{}
	done := map[string]bool{}
	for i, m := range order {
		if m.str("t") != "delta" {
			if i != len(order)-1 || m.str("t") != "ack" {
				t.Errorf("%s between the frames", m)
			}
			continue
		}
		view := m.str("view")
		m.is("version", f("%d", n))
		if done[view] {
			t.Errorf("a frame behind the last: %s", m)
		}
		done[view] = m.bool("done")
		if (m.v.(map[string]any)["mutations"] == 1) != done[view] {
			t.Errorf("the mutation is named in the last frame: %s", m)
		}
		frames[view]++
	}
	if len(done) != 2 {
		t.Errorf("%d views", len(done))
	}
	for view, count := range frames {
		if count < 2 || !done[view] {
			t.Errorf("%s came in %d frames, done: %v", view, count, done[view])
		}
	}
	s.raw = nil
	s.same("ann", "s1", f(`{"root":%q,"out":{"next":{"repeat":1}}}`, top))
}

// TestHiddenAndAbsentAreTheSameOverTheSocket puts the same questions about an object
// that cat may not read, and about one that never was: the answers are the same bytes,
// but for the names that she gave.
func TestHiddenAndAbsentAreTheSameOverTheSocket(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	open := w.as("cat").create("Doc", `{}`)
	hidden, other := ann.create("Node", `{"n":1}`), ann.create("Node", `{}`)
	edge := ann.link("next", hidden, other)
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/access","value":{"read":{"users":{"ann":true}},"manage":{"users":{"ann":true}}}},{"op":"replace","path":"/objects/%s/access","value":{"read":{"users":{"ann":true}},"manage":{"users":{"ann":true}}}}]`, hidden, other))
	ask := func(id, far, e string) (said []string) {
		s := w.dial(t, "cat")
		var mine []string
		name := func() string { mine = append(mine, newID()); return mine[len(mine)-1] }
		s.raw = func(m []byte) {
			text := string(m)
			for i, real := range append([]string{id, far, e}, mine...) {
				text = strings.ReplaceAll(text, real, f("<%d>", i))
			}
			for line := range strings.SplitSeq(text, "\n") {
				v, err := decode([]byte(line))
				if err != nil {
					t.Error(err)
					return
				}
				if o := v.(map[string]any); o["t"] == "load" { // the view's name, and the key of her projection
					o["view"], o["key"] = "", ""
					delete(o, "digest")
				} else if o["t"] == "at" {
					o["digests"] = nil
				}
				said = append(said, value{t, v}.String())
			}
		}
		for i, p := range []string{f(`{"root":%q}`, id), f(`{"root":[%q,%q],"out":{"next":{}}}`, open, id), f(`{"root":{"type":"Node","where":{"/meta/createdVersion":2}}}`)} {
			s.sub(f("s%d", i), `"projection":`+p)
			s.sub(f("p%d", i), f(`"projection":%s,"at":4`, p))
		}
		s.send(f(`{"t":"can","objects":[%q,%q,%q]}`, id, open, far))
		s.send(f(`{"t":"presence","on":%q,"state":1}`, id))
		s.settle()
		for _, op := range []string{
			`{"op":"remove","path":"/objects/<id>"}`, `{"op":"replace","path":"/objects/<id>/body/n","value":2}`, `{"op":"test","path":"/objects/<id>/body/n","value":1}`, `{"op":"test","path":"/objects/<id>/type","value":"Node"}`,
			`{"op":"add","path":"/objects/<id>/access/read/public","value":true}`, `{"op":"replace","path":"/objects/<id>/type","value":"x"}`, `{"op":"test","path":"/objects/<id>/meta/version","value":5}`,
			`{"op":"remove","path":"/edges/<e>"}`, `{"op":"add","path":"/edges/<e>/body/x","value":1}`, `{"op":"test","path":"/edges/<e>/body","value":{}}`,
			f(`{"op":"copy","from":"/objects/%s/body","path":"/objects/<id>/body/x"}`, open), f(`{"op":"copy","path":"/objects/%s/body/x","from":"/objects/<id>/body"}`, open), `{"op":"nonsense","path":"/objects/<id>"}`,
			f(`{"op":"add","path":"/edges/%s","value":{"label":"next","from":"<id>","to":%q}}`, name(), open), f(`{"op":"add","path":"/edges/%s","value":{"label":"next","from":%q,"to":"<id>"}}`, name(), open),
		} {
			s.send(f(`{"t":"mutate","mutation":%q,"patch":[%s]}`, name(), strings.NewReplacer("<id>", id, "<e>", e).Replace(op)))
			s.next("reject")
		}
		s.settle()
		return said
	}
	of, never := ask(hidden, other, edge), ask(newID(), newID(), newID())
	if len(of) != len(never) {
		t.Errorf("%d answers and %d", len(of), len(never))
	}
	for i := range min(len(of), len(never)) {
		if of[i] != never[i] {
			t.Errorf("of what is hidden\n%s\nof what is not there\n%s", of[i], never[i])
		}
	}
	if len(of) < 20 {
		t.Errorf("only %d answers", len(of))
	}
}
