package systest

import "testing"

func TestRevert(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann, bob := w.as("ann"), w.as("bob")
	id := ann.create("Doc", `{"a":1,"b":1,"l":[1,2]}`)
	v2 := ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/a","value":2}]`, id))
	v3 := bob.commit(f(`[{"op":"replace","path":"/objects/%s/body/b","value":2}]`, id))
	r := ann.post(w.path("/revert"), f(`{"versions":[%d]}`, v2)).want(200).json()
	r.is("version", f("%d", v3+1)).is("replayed", "false")
	ann.object(id).json().is("body", `{"a":1,"b":2,"l":[1,2]}`)
	ann.get(w.path(f("/log?since=%d", v3))).json().is("commits.0.cause.kind", `"revert"`).is("commits.0.by", `"ann"`)

	// Changed since: a conflict naming path and version.
	v5 := ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/a","value":5}]`, id))
	v6 := bob.commit(f(`[{"op":"replace","path":"/objects/%s/body/a","value":6}]`, id))
	p := ann.post(w.path("/revert"), f(`{"versions":[%d]}`, v5)).problem("undo-conflict")
	p.is("conflicts", f(`[{"path":"/objects/%s/body/a","version":%d}]`, id, v6))
	// Both together are no conflict.
	ann.post(w.path("/revert"), f(`{"versions":[%d,%d]}`, v5, v6)).want(200)
	ann.object(id).json().is("body.a", `1`)

	// By mutation and by group.
	ann.with("Idempotency-Key: the-key").patch(f(`[{"op":"replace","path":"/objects/%s/body/a","value":"k"}]`, id)).want(200)
	ann.post(w.path("/revert"), `{"mutation":"the-key"}`).want(200)
	ann.object(id).json().is("body.a", `1`)
	g := newID()
	other := newID()
	ann.with("Graphtide-Group: " + g).patch(f(`[{"op":"replace","path":"/objects/%s/body/a","value":"g"}]`, id)).want(200)
	ann.with("Graphtide-Group: " + g).patch(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{}}}]`, other)).want(200)
	ann.post(w.path("/revert"), f(`{"group":%q}`, g)).want(200)
	ann.object(id).json().is("body.a", `1`)
	ann.object(other).problem("not-found")

	// A removal comes back, with its edges, under its ids.
	a, b := ann.create("Node", `{"x":1}`), ann.create("Node", `{}`)
	e := ann.link("next", a, b)
	gone := ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, a))
	undo := ann.post(w.path("/revert"), f(`{"versions":[%d]}`, gone)).want(200).int("version")
	ann.object(a).want(200).json().is("body.x", `1`)
	ann.edge(e).want(200)
	// An undo is undone by its own version.
	ann.post(w.path("/revert"), f(`{"versions":[%d]}`, undo)).want(200)
	ann.object(a).problem("not-found")

	// One after the other, the newest first: what was itself undone is in nobody's way.
	list := ann.create("Doc", `{"a":0,"l":[1,2,3]}`)
	var mine []int
	for _, op := range []string{`{"op":"replace","path":"/objects/%s/body/a","value":1}`, `{"op":"replace","path":"/objects/%s/body/a","value":2}`, `{"op":"remove","path":"/objects/%s/body/l/0"}`, `{"op":"add","path":"/objects/%s/body/l/-","value":4}`} {
		mine = append(mine, ann.commit("["+f(op, list)+"]"))
	}
	bob.commit(f(`[{"op":"add","path":"/objects/%s/body/b","value":1}]`, list))
	for _, v := range []int{mine[3], mine[2], mine[1]} {
		ann.post(w.path("/revert"), f(`{"versions":[%d]}`, v)).want(200)
	}
	ann.object(list).json().is("body", `{"a":1,"b":1,"l":[1,2,3]}`)
	ann.post(w.path("/revert"), f(`{"versions":[%d]}`, mine[1])).problem("undo-conflict")
	ann.post(w.path("/revert"), f(`{"versions":[%d]}`, mine[0])).want(200)
	ann.object(list).json().is("body", `{"a":0,"b":1,"l":[1,2,3]}`)

	// An edge that made room comes back where there still is room: what somebody
	// chose since stays.
	at, k1, k2, k3 := ann.create("Node", `{}`), ann.create("Node", `{}`), ann.create("Node", `{}`), ann.create("Node", `{}`)
	old := ann.link("swap", at, k3)
	ann.link("swap", at, k1)
	hers := ann.head()
	his := bob.link("swap", at, k2)
	p = ann.post(w.path("/revert"), f(`{"versions":[%d]}`, hers)).problem("undo-conflict")
	p.is("conflicts", f(`[{"path":"/edges/%s","version":%d}]`, his, hers+1))
	bob.commit(f(`[{"op":"remove","path":"/edges/%s"}]`, his))
	ann.post(w.path("/revert"), f(`{"versions":[%d]}`, hers)).want(200)
	ann.edge(old).want(200)

	// With a key, once.
	v := ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/a","value":"once"}]`, id))
	k := ann.with("Idempotency-Key: undo-1")
	first := k.post(w.path("/revert"), f(`{"versions":[%d]}`, v)).want(200).int("version")
	k.post(w.path("/revert"), f(`{"versions":[%d]}`, v)).want(200).json().is("replayed", "true").is("version", f("%d", first))

	// What cannot be.
	for body, code := range map[string]string{
		`{"versions":[99999]}`: "invalid-version", `{"versions":[0]}`: "invalid-version", `{"versions":["1"]}`: "-", `{}`: "-", `[]`: "-",
		`{"mutation":"unheard"}`: "not-found", f(`{"group":%q}`, newID()): "not-found", `{"group":"x"}`: "-", `{"versions":[]}`: "-",
		`{"versions":[1],"mutation":"x"}`: "-",
	} {
		a := ann.post(w.path("/revert"), body)
		if code == "-" && a.status != 400 || code != "-" && (a.status != statuses[code] || a.str("code") != code) {
			t.Errorf("%s: %v", body, a)
		}
	}
	// Rights: who may not write cannot undo; who may not read cannot tell.
	d := ann.create("DataStore", `{"name":"a"}`)
	v = ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/name","value":"b"}]`, d))
	bob.post(w.path("/revert"), f(`{"versions":[%d]}`, v)).problem("forbidden")
	w.as("cat").post(w.path("/revert"), f(`{"versions":[%d]}`, v)).problem("not-found")
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Doc", `{"n":1}`)
	v := ann.head()
	dry := func(c *client, ops string) value {
		t.Helper()
		return c.do("PATCH", w.path("?dryRun=true"), patchType, ops).want(200).json()
	}
	fresh, watched := newID(), newID()
	r := dry(ann, f(`[{"op":"replace","path":"/objects/%s/body/n","value":2},{"op":"add","path":"/objects/%s","value":{"type":"Strict","body":{"title":"t"}}},
		{"op":"add","path":"/objects/%s","value":{"type":"Watched","body":{}}}]`, id, fresh, watched))
	r.is("ok", "true").is("problems", "[]").is("objects."+id+".body", `{"n":2}`).is("objects."+fresh+".body.level", `"low"`)
	found := false
	for _, rule := range r.list("rules") {
		found = found || rule.v == "watched" || rule.has("rule") && rule.str("rule") == "watched"
	}
	if !found {
		t.Errorf("the rules that would fire: %s", r)
	}
	ann.object(fresh).problem("not-found")

	r = dry(ann, f(`[{"op":"replace","path":"/objects/%s/body/zz","value":2},{"op":"remove","path":"/objects/%s"},{"op":"add","path":"/objects/%s","value":{"type":"Strict","body":{"n":-1}}}]`, id, newID(), newID()))
	r.is("ok", "false")
	codes := map[string]bool{}
	for _, p := range r.list("problems") {
		codes[p.str("code")] = true
		checkProblem(t, p, p.str("code"))
	}
	for _, want := range []string{"path-missing", "not-found", "schema"} {
		if !codes[want] {
			t.Errorf("every problem is listed; %s is not: %s", want, r)
		}
	}
	// Removals show what goes with them.
	a, b := ann.create("Node", `{}`), ann.create("Node", `{}`)
	e := ann.link("follow", b, a)
	r = dry(ann, f(`[{"op":"remove","path":"/objects/%s"}]`, a))
	r.is("ok", "true").is("objects."+a, "null").is("objects."+b, "null").is("edges."+e, "null")
	if got := ann.head(); got != v+3 {
		t.Errorf("a dry run wrote: version %d, was %d", got, v+3)
	}
	// One entity's patch has a dry run too.
	ann.do("PATCH", w.path("/objects/"+id+"?dryRun=true"), patchType, `[{"op":"remove","path":"/body/n"}]`).want(200).json().is("objects."+id+".body", "{}")
	// What may not be read is not shown.
	hidden := w.as("bob").create("Private", `{"x":"canary"}`)
	r = dry(ann, f(`[{"op":"remove","path":"/objects/%s"}]`, hidden))
	r.is("ok", "false").is("problems.0.code", `"not-found"`)
}
