package systest

import (
	"strings"
	"testing"
	"time"
)

// TestWhoMayDoWhat is the matrix: users by kinds of object by what they do.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann") // team red, org acme; makes everything
	const (
		none   = ""
		read   = "r"
		write  = "rw"
		manage = "rwm"
	)
	for kind, who := range map[string]map[string]string{
		"Doc":       {"ann": manage, "bob": write, "cat": write, "dan": write, "eve": write, "root": manage},
		"Private":   {"ann": manage, "bob": none, "cat": none, "dan": none, "eve": none, "root": manage},
		"DataStore": {"ann": manage, "bob": read, "cat": none, "dan": write, "eve": none, "root": manage},
		"User":      {"ann": manage, "bob": read, "cat": none, "dan": read, "eve": none, "root": manage},
		"Shared":    {"ann": manage, "bob": write, "cat": none, "dan": write, "eve": none, "root": manage},
		"Granted":   {"ann": manage, "bob": read, "cat": none, "dan": read, "eve": none, "root": manage},
		"Inherit":   {"ann": manage, "bob": none, "cat": none, "dan": none, "eve": none, "root": manage}, // no edge: its own rights and its creator's
	} {
		for user, may := range who {
			t.Run(kind+" "+user, func(t *testing.T) {
				t.Parallel()
				a, c := *ann, *w.as(user)
				a.t, c.t = t, t
				id := a.create(kind, `{"name":"n"}`)
				absent := newID()
				got := func(x *answer) string {
					if x.status < 300 {
						return "ok"
					}
					return x.str("code")
				}
				check := func(what string, x *answer, need string) {
					t.Helper()
					want := "forbidden"
					switch {
					case may == none:
						want = "not-found"
					case strings.Contains(may, need):
						want = "ok"
					}
					if g := got(x); g != want {
						t.Errorf("%s: %s, want %s", what, g, want)
					}
				}
				// What may not be read cannot be told from what is not there.
				hidden := func(x, y *answer) {
					t.Helper()
					if may == none {
						x.body = []byte(strings.ReplaceAll(string(x.body), id, absent))
						same(t, x, y)
					}
				}
				for _, path := range []string{"", "/history", "?at=1"} {
					x := c.object(id + path)
					if path == "?at=1" && x.status == 404 && may != none {
						continue // it may be younger
					}
					check("GET "+path, x, "r")
					hidden(x, c.object(absent+path))
				}
				x := c.load(f(`{"root":%q}`, id))
				check("load", x, "r")
				hidden(x, c.load(f(`{"root":%q}`, absent)))
				for what, op := range map[string]string{
					"test":        `{"op":"test","path":"/objects/ID/meta/createdBy","value":"ann"}`,
					"change":      `{"op":"add","path":"/objects/ID/body/name","value":"m"}`,
					"test access": `{"op":"test","path":"/objects/ID/access/manage/users/ann","value":true}`,
					"manage":      `{"op":"add","path":"/objects/ID/access/read/users","value":{"zoe":true,"ann":true}}`,
					"type":        `{"op":"replace","path":"/objects/ID/type","value":"Doc"}`,
					"bad member":  `{"op":"add","path":"/objects/ID/xyz","value":1}`,
				} {
					if what == "test access" && kind == "Inherit" {
						continue // it has none of its own
					}
					need := map[string]string{"test": "r", "change": "w", "test access": "m", "manage": "m"}[what]
					x := c.do("PATCH", w.path("?dryRun=true"), patchType, "["+strings.ReplaceAll(op, "ID", id)+"]")
					y := c.do("PATCH", w.path("?dryRun=true"), patchType, "["+strings.ReplaceAll(op, "ID", absent)+"]")
					hidden(x, y)
					x = c.patch("[" + strings.ReplaceAll(op, "ID", id) + "]")
					y = c.patch("[" + strings.ReplaceAll(op, "ID", absent) + "]")
					hidden(x, y)
					if what == "type" || what == "bad member" {
						if g := got(x); may == none && g != "not-found" || may != none && g != "type-immutable" && g != "invalid-patch" {
							t.Errorf("%s: %s", what, g)
						}
						continue
					}
					check(what, x, need)
				}
				access := c.object(id)
				if shown := access.status == 200 && access.json().has("access"); shown != strings.Contains(may, "m") {
					t.Errorf("access is shown: %v", shown)
				}
				x = c.patchAt("/objects/"+id, `[{"op":"remove","path":""}]`)
				check("remove", x, "w")
				hidden(x, c.patchAt("/objects/"+absent, `[{"op":"remove","path":""}]`))
			})
		}
	}
}

func TestReadingThroughEdges(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann, bob := w.as("ann"), w.as("bob")
	a, b := ann.create("Node", `{}`), ann.create("Node", `{}`)
	c := ann.create("Node", `{"secret":"canary"}`)
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/access/read","value":{}}]`, c))
	e1, e2 := ann.link("next", a, b), ann.link("next", a, c)
	e3 := ann.link("next", c, b)
	bob.edge(e1).want(200)
	absent := bob.edge(newID())
	for _, e := range []string{e2, e3} {
		same(t, bob.edge(e), absent)
		bob.get(w.path("/edges/" + e + "/history")).problem("not-found")
		bob.patch(f(`[{"op":"remove","path":"/edges/%s"}]`, e)).problem("not-found")
	}
	// A hidden object is neither shown nor walked through, nor are its edges.
	l := bob.load(f(`{"root":%q,"out":{"next":{"repeat":true}}}`, a)).want(200)
	if strings.Contains(string(l.body), "canary") || strings.Contains(string(l.body), c) {
		t.Errorf("%s", l.body)
	}
	l.json().is("objects."+b+".type", `"Node"`)
	d := ann.create("Node", `{}`)
	ann.link("next", c, d)
	l = bob.load(f(`{"root":%q,"out":{"next":{"repeat":3}}}`, a)).want(200)
	if strings.Contains(string(l.body), d) {
		t.Errorf("walked through a hidden object: %s", l.body)
	}
	ann.load(f(`{"root":%q,"out":{"next":{"repeat":3}}}`, a)).want(200).json().is("objects."+d+".type", `"Node"`)
	// A type root shows what may be read.
	l = bob.load(`{"root":{"type":"Node"}}`).want(200)
	if n := len(l.json().list("roots")); n != 3 {
		t.Errorf("%d roots", n)
	}
	// Making an edge asks `needs` of both ends.
	store := ann.create("DataStore", `{"name":"s"}`)
	u := ann.create("User", `{"name":"u"}`)
	bob.patch(f(`[{"op":"add","path":"/edges/%s","value":{"label":"creator","from":"%s","to":"%s"}}]`, newID(), store, u)).problem("forbidden").is("right", `"write"`)
	// needs: comment on the far end lets bob comment, needs: read on User lets dan name it.
	bob.commit(f(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Comment","body":{"text":"x"}}},{"op":"add","path":"/edges/%[2]s","value":{"label":"about","from":"%[1]s","to":"%[3]s"}}]`, newID(), newID(), store))
	w.as("dan").link("creator", store, u)
	r := newID()
	bob.patch(f(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Record","body":{}}},{"op":"add","path":"/edges/%[2]s","value":{"label":"dataStore","from":"%[1]s","to":"%[3]s"}}]`, r, newID(), store)).problem("forbidden")
	w.as("cat").patch(f(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Record","body":{}}},{"op":"add","path":"/edges/%[2]s","value":{"label":"dataStore","from":"%[1]s","to":"%[3]s"}}]`, r, newID(), store)).problem("not-found")
}

func TestInheritedRights(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann, bob, dan := w.as("ann"), w.as("bob"), w.as("dan")
	// A Record's rights are its DataStore's: org reads, team writes.
	store := ann.create("DataStore", `{"name":"s"}`)
	r, e := newID(), newID()
	ann.commit(f(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Record","body":{"rank":1}}},{"op":"add","path":"/edges/%[2]s","value":{"label":"dataStore","from":"%[1]s","to":"%[3]s"}}]`, r, e, store))
	bob.object(r).want(200)
	w.as("cat").object(r).problem("not-found")
	bob.patch(f(`[{"op":"replace","path":"/objects/%s/body/rank","value":2}]`, r)).problem("forbidden")
	dan.commit(f(`[{"op":"replace","path":"/objects/%s/body/rank","value":2}]`, r))
	// The Comment's read is inherited; write is the creator's alone.
	c := newID()
	bob.commit(f(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Comment","body":{"text":"x"}}},{"op":"add","path":"/edges/%[2]s","value":{"label":"about","from":"%[1]s","to":"%[3]s"}}]`, c, newID(), store))
	dan.object(c).want(200)
	dan.patch(f(`[{"op":"replace","path":"/objects/%s/body/text","value":"y"}]`, c)).problem("forbidden")
	// Taking the right from the store takes it from what inherits.
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/access/read","value":{"teams":{"red":true}}}]`, store))
	bob.object(r).problem("not-found")
	bob.object(c).want(200) // his own
	dan.object(r).want(200)
	w.as("bob").get(w.path("/objects/" + r + "/history")).problem("not-found")
	w.as("bob").get(w.path(f("/objects/%s?at=2", r))).problem("not-found") // the past is judged by today's rights

	// Chains are followed 16 deep, a cycle gives nothing.
	top := ann.create("Shared", `{}`)
	chain := []string{top}
	for range 18 {
		id := newID()
		w.as("root").commit(f(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Inherit","body":{}}},{"op":"add","path":"/edges/%[2]s","value":{"label":"parent","from":"%[1]s","to":"%[3]s"}}]`, id, newID(), chain[len(chain)-1]))
		chain = append(chain, id)
	}
	for i, want := range map[int]int{1: 200, 8: 200, 15: 200, 18: 404} {
		if got := bob.object(chain[i]).status; got != want {
			t.Errorf("%d deep: %d, want %d", i, got, want)
		}
	}
	x, y := ann.create("Inherit", `{}`), ann.create("Inherit", `{}`)
	ann.link("parent", x, y)
	ann.link("parent", y, x)
	bob.object(x).problem("not-found")
	ann.object(x).problem("not-found")
	w.as("root").object(x).want(200)
}

func TestAccessAtCreation(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann, bob, dan := w.as("ann"), w.as("bob"), w.as("dan")
	id := newID()
	ann.commit(f(`[{"op":"add","path":"/objects/%s","value":{"type":"DataStore","body":{"name":"x"},"access":{"read":{"users":{"bob":true}}}}}]`, id))
	a := ann.object(id).json()
	a.is("access.read.users", `{"bob":true}`).is("access.manage.users", `{"ann":true}`)
	bob.object(id).want(200)
	dan.object(id).problem("not-found") // the default is replaced whole
	ann.patch(f(`[{"op":"replace","path":"/objects/%s/body/name","value":"y"}]`, id)).want(200)
	// manage named: the creator may have none.
	id = newID()
	ann.commit(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{},"access":{"read":{"public":true},"manage":{"users":{"bob":true}}}}}]`, id))
	if ann.object(id).json().has("access") {
		t.Error("ann still manages")
	}
	bob.commit(f(`[{"op":"add","path":"/objects/%s/access/write","value":{"users":{"ann":true}}}]`, id))
	ann.commit(f(`[{"op":"add","path":"/objects/%s/body/x","value":1}]`, id))
	// Several teams: creation must name the access where the default says team.
	dan.patch(f(`[{"op":"add","path":"/objects/%s","value":{"type":"DataStore","body":{"name":"x"}}}]`, newID())).want(422)
	dan.commit(f(`[{"op":"add","path":"/objects/%s","value":{"type":"DataStore","body":{"name":"x"},"access":{"read":{"teams":{"red":true}}}}}]`, newID()))
	// Who has no team makes one that is nobody's but hers.
	w.as("eve").create("DataStore", `{"name":"e"}`)
	// An access of the wrong form.
	for _, bad := range []string{`[]`, `"x"`, `{"read":["bob"]}`, `{"read":{"users":["bob"]}}`, `{"read":{"users":{"bob":1}}}`, `{"read":{"people":{}}}`, `{"read":{"public":"yes"}}`, `{"shout":{"public":true}}`, `{"read":null}`} {
		ann.patch(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{},"access":%s}}]`, newID(), bad)).problem("schema")
	}
	d := ann.create("Doc", `{}`)
	for _, bad := range []string{`[]`, `null`, `{"users":{"bob":"x"}}`} {
		ann.patch(f(`[{"op":"add","path":"/objects/%s/access/read","value":%s}]`, d, bad)).problem("schema")
	}
	// Own rights of a type by name.
	store := ann.create("DataStore", `{"name":"s"}`)
	ann.object(store).json().is("access.comment.orgs", `{"acme":true}`).is("access.write.teams", `{"red":true}`).is("access.read.orgs", `{"acme":true}`)
	ann.commit(f(`[{"op":"add","path":"/objects/%s/access/comment/users","value":{"cat":true}}]`, store))
	w.as("cat").object(store).problem("not-found") // each right needs read
	// Every op works inside access.
	ann.commit(f(`[{"op":"test","path":"/objects/%[1]s/access/comment/users/cat","value":true},{"op":"move","from":"/objects/%[1]s/access/comment/users","path":"/objects/%[1]s/access/read/users"},
		{"op":"copy","from":"/objects/%[1]s/access/read/users","path":"/objects/%[1]s/access/write/users"},{"op":"remove","path":"/objects/%[1]s/access/comment"},{"op":"replace","path":"/objects/%[1]s/access/read/orgs","value":{}}]`, store))
	w.as("cat").commit(f(`[{"op":"replace","path":"/objects/%s/body/name","value":"cat's"}]`, store))
	bob.object(store).problem("not-found")
}

func TestWhoMayCreate(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for user, may := range map[string][2]bool{"ann": {false, true}, "bob": {false, false}, "dan": {false, true}, "eve": {false, false}, "root": {true, true}} {
		for i, kind := range []string{"AdminMade", "RedMade"} {
			a := w.as(user).patch(f(`[{"op":"add","path":"/objects/%s","value":{"type":%q,"body":{}}}]`, newID(), kind))
			if may[i] {
				a.want(200)
			} else {
				a.problem("forbidden").is("right", `"create"`)
			}
		}
	}
}

func TestGraphs(t *testing.T) {
	t.Parallel()
	w := setup(t)
	root, ann := w.root(), w.as("ann")
	admin := &client{t: t, w: w, url: w.url, token: mintToken("root", time.Hour, "admin", "graphs="+w.graph)}
	id := ann.create("Doc", `{}`)
	info := ann.get(w.path("")).want(200).json()
	info.is("name", f("%q", w.graph)).is("version", "1").is("objects", "1").is("edges", "0")
	root.put(w.path(""), "", "").want(200).json().is("epoch", f("%q", info.str("epoch"))) // it is there
	for _, c := range []*client{ann, admin} {
		if s := c.delete(w.path("")).status; s != 403 {
			t.Errorf("deleting needs admin of *: %d", s)
		}
		if s := c.put("/v1/graphs/"+w.graph+"x", "", "").status; s != 403 && s != 404 {
			t.Errorf("making needs admin of *: %d", s)
		}
	}
	for _, bad := range []string{"A", "-a", "a_b", "a.b", strings.Repeat("a", 64), "%20", "a%2Fb", "é"} {
		if s := root.put("/v1/graphs/"+bad, "", "").status; s < 400 || s > 404 {
			t.Errorf("%s: %d", bad, s)
		}
	}
	long := "t" + strings.ReplaceAll(newID()+newID(), "-", "")[:62]
	root.put("/v1/graphs/"+long, "", "").want(201).json().is("version", "0")
	root.delete("/v1/graphs/" + long).want(204)
	root.get("/v1/graphs/" + long).problem("not-found")
	root.delete("/v1/graphs/" + long).problem("not-found")

	list := ann.get("/v1/graphs").want(200).json().list("graphs")
	if len(list) != 1 || list[0].str("name") != w.graph {
		t.Errorf("%v", list)
	}
	// Deleted and made again: empty, another epoch, ids free again, old cursors told apart.
	root.delete(w.path("")).want(204)
	ann.get(w.path("")).problem("not-found")
	ann.object(id).problem("not-found")
	ann.patch("[]").problem("not-found")
	ann.on(w.other).get(w.path("")).problem("not-found")
	for w.as("ann").on(w.other).object(id).status == 200 { // until the hint has come
	}
	root.put(w.path(""), "", "").want(201)
	again := ann.get(w.path("")).want(200).json()
	again.is("version", "0").is("objects", "0")
	if again.str("epoch") == info.str("epoch") {
		t.Error("the same epoch")
	}
	ann.commit(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{"new":true}}}]`, id))
	ann.on(w.other).with("Graphtide-Min-Version: 1").object(id).want(200).json().is("body.new", "true")
	if s := root.delete("/v1/graphs/main").status; s == 204 {
		t.Error("main always exists")
	}
}
