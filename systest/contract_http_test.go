package systest

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// only fails the test where an object has other members than those named; one that
// ends in ? may be missing.
func (v value) only(path, names string) value {
	v.t.Helper()
	have := v.members(path)
	left := maps.Clone(have)
	for _, name := range strings.Fields(names) {
		name, may := strings.CutSuffix(name, "?")
		if _, there := have[name]; !there && !may {
			v.t.Fatalf("no %s in %s", name, v.at(path))
		}
		delete(left, name)
	}
	if len(left) > 0 {
		v.t.Fatalf("%v is too much in %s", slices.Sorted(maps.Keys(left)), v.at(path))
	}
	return v
}

const metaMembers = "version createdVersion createdAt createdBy updatedAt updatedBy"

// TestARouteOfOneEntity holds the routes of objects and those of edges to the same.
func TestARouteOfOneEntity(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann, bob := w.as("ann"), w.as("bob")
	a, b := ann.create("Node", `{"rank":0}`), ann.create("Node", `{}`)
	e := newID()
	ann.commit(f(`[{"op":"add","path":"/edges/%s","value":{"label":"weighed","from":"%s","to":"%s","body":{"rank":0}}}]`, e, a, b))
	for _, c := range []struct{ at, members string }{
		{"/objects/" + a, "id type body access meta"},
		{"/edges/" + e, "id label from to body meta"},
	} {
		get := func(c *client, rest string) *answer { t.Helper(); return c.get(w.path(rest)) }
		first := get(ann, c.at).want(200)
		created := first.int("meta.version")
		first.json().only("", c.members).only("meta", metaMembers).is("id", f("%q", c.at[strings.LastIndex(c.at, "/")+1:])).is("meta.createdVersion", f("%d", created))
		if c.at[1] == 'o' { // access is shown to who may manage alone
			get(bob, c.at).want(200).json().only("", "id type body meta")
		}
		tag := f(`"%d"`, created)
		if first.header.Get("ETag") != tag {
			t.Fatalf("ETag %s of version %d", first.header.Get("ETag"), created)
		}
		for _, cond := range []string{tag, `"x", ` + tag, "W/" + tag, "*"} {
			if r := get(ann.with("If-None-Match: "+cond), c.at); r.status != 304 || len(r.body) != 0 {
				t.Errorf("If-None-Match %s: %v", cond, r)
			}
		}
		get(ann.with(`If-None-Match: "0"`), c.at).want(200)

		// Conditions of a patch: each of these keeps the entity as it is.
		set := func(n int) string { return f(`[{"op":"replace","path":"/body/rank","value":%d}]`, n) }
		for _, cond := range []string{`"0"`, "W/" + tag, `"0", "99"`, `"x"`} {
			ann.with("If-Match: "+cond).patchAt(c.at, set(-1)).problem("version-mismatch")
		}
		for _, cond := range []string{created0(created), `"`, `"1" "2"`, "*, " + tag} {
			if s := ann.with("If-Match: "+cond).patchAt(c.at, set(-1)).status; s != 400 {
				t.Errorf("If-Match %s: %d", cond, s)
			}
		}
		// Who may not read it is told nothing by a condition.
		if r, absent := w.as("cat").with("If-Match: "+tag), c.at[:len(c.at)-36]+newID(); r.patchAt(absent, set(1)).status != 404 {
			t.Error("a condition on what is absent")
		}

		key := ann.with("Idempotency-Key: "+newID(), "If-Match: "+`"0", `+tag)
		done := key.patchAt(c.at, set(1)).want(200)
		v := done.int("version")
		done.json().only("", "graph version mutation replayed").is("graph", f("%q", w.graph)).is("replayed", "false")
		if done.header.Get("ETag") != f(`"%d"`, v) {
			t.Errorf("ETag %s of version %d", done.header.Get("ETag"), v)
		}
		// The key is answered before the condition is asked about: it held then.
		again := key.patchAt(c.at, set(1)).want(200).json().is("replayed", "true").is("version", f("%d", v))
		again.is("mutation", f("%q", done.str("mutation")))
		key.patchAt(c.at, set(2)).problem("mutation-conflict")
		ann.with("If-Match: *").patchAt(c.at, set(2)).want(200)
		ann.do("PATCH", w.path(c.at+"?dryRun=true"), patchType, set(9)).want(200).json().only("", "ok problems objects edges rules").is("ok", "true")
		for i := range 4 {
			ann.patchAt(c.at, set(3+i)).want(200)
		}
		head := ann.head()

		// History, newest first, in pages.
		h := get(ann, c.at+"/history").want(200).json().only("", "entries").list("entries")
		if len(h) != 7 {
			t.Fatalf("%d entries", len(h))
		}
		var versions []int
		for i, entry := range h {
			entry.only("", "version at by cause mutation deleted entity patch").is("deleted", "false").is("cause", `{"kind":"client"}`).is("by", `"ann"`)
			entry.is("entity.body.rank", f("%d", 6-i)).is("entity.meta.version", f("%d", entry.int("version")))
			if i < 6 {
				entry.is("patch", set(6-i))
			}
			versions = append(versions, entry.int("version"))
		}
		if versions[0] != head || versions[6] != created || !slices.IsSortedFunc(versions, func(a, b int) int { return b - a }) {
			t.Errorf("versions %v, the head is %d", versions, head)
		}
		var paged []int
		for before := ""; len(paged) < 7; {
			page := get(ann, c.at+"/history?limit=3"+before).want(200).json().list("entries")
			if len(page) == 0 || len(page) > 3 {
				t.Fatalf("a page of %d entries after %v", len(page), paged)
			}
			for _, entry := range page {
				paged = append(paged, entry.int("version"))
			}
			before = f("&before=%d", paged[len(paged)-1])
		}
		if !slices.Equal(paged, versions) {
			t.Errorf("in pages %v, at once %v", paged, versions)
		}
		if l := get(ann, f("%s/history?before=%d", c.at, created)).want(200).json().list("entries"); len(l) != 0 {
			t.Errorf("before the first: %v", l)
		}
		for _, bad := range []string{"limit=0", "limit=-1", "limit=x", "limit=1.5", "before=0", "before=-1", "before=x", "limit=1&limit=2"} {
			if s := get(ann, c.at+"/history?"+bad).status; s != 400 {
				t.Errorf("%s: %d", bad, s)
			}
		}
		// As of each of its versions, between them, before and beyond.
		for i, v := range versions {
			r := get(ann, f("%s?at=%d", c.at, v)).want(200)
			r.json().is("body.rank", f("%d", 6-i)).is("meta.version", f("%d", v))
			if r.header.Get("ETag") != f(`"%d"`, v) {
				t.Errorf("at %d the ETag is %s", v, r.header.Get("ETag"))
			}
		}
		get(ann, f("%s?at=%d", c.at, created-1)).problem("not-found")
		get(ann, f("%s?at=%d", c.at, head+1)).problem("invalid-version")
		// HEAD is GET without the body.
		if r := ann.do("HEAD", w.path(c.at), "", ""); r.status != 200 || len(r.body) != 0 || r.header.Get("ETag") != f(`"%d"`, head) {
			t.Errorf("HEAD: %v", r)
		}
	}
	// A transaction over the graph has no one version to match.
	ann.with(`If-Match: "1"`).patch(`[]`).problem("invalid-version")
}

// created0 gives a tag that is none: without its quotes.
func created0(v int) string { return f("%d", v) }

// TestEveryReadWaitsForTheVersionAskedFor writes on one node and reads each route
// of the other, with the version that it was told.
func TestEveryReadWaitsForTheVersionAskedFor(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	a, b := ann.create("Node", `{"n":0}`), ann.create("Node", `{}`)
	e := newID()
	ann.commit(f(`[{"op":"add","path":"/edges/%s","value":{"label":"weighed","from":"%s","to":"%s","body":{"rank":0}}}]`, e, a, b))
	n := 0
	change := func() int {
		n++
		return ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":%d},{"op":"replace","path":"/edges/%s/body/rank","value":%d}]`, a, n, e, n))
	}
	reads := map[string]func(c *client, v int) *answer{
		"the graph":            func(c *client, _ int) *answer { return c.get(w.path("")) },
		"an object":            func(c *client, _ int) *answer { return c.object(a) },
		"an edge":              func(c *client, _ int) *answer { return c.edge(e) },
		"an object as of then": func(c *client, v int) *answer { return c.get(w.path(f("/objects/%s?at=%d", a, v))) },
		"a history":            func(c *client, _ int) *answer { return c.get(w.path("/objects/" + a + "/history?limit=1")) },
		"an edge's history":    func(c *client, _ int) *answer { return c.get(w.path("/edges/" + e + "/history?limit=1")) },
		"a load":               func(c *client, _ int) *answer { return c.load(f(`{"root":%q,"out":{"weighed":{}}}`, a)) },
		"a load of then": func(c *client, v int) *answer {
			return c.post(w.path(f("/load?at=%d", v)), f(`{"root":%q,"out":{"weighed":{}}}`, a))
		},
		"the log": func(c *client, v int) *answer { return c.get(w.path(f("/log?since=%d", v-1))) },
		"a trace": func(c *client, v int) *answer { return c.get(w.path(f("/trace/%d", v))) },
		"a dry run": func(c *client, _ int) *answer {
			return c.do("PATCH", w.path("?dryRun=true"), patchType, f(`[{"op":"test","path":"/objects/%s/body/n","value":%d}]`, a, n))
		},
		"the runs": func(c *client, _ int) *answer { return c.get(w.path("/runs")) },
		"a mutation": func(c *client, _ int) *answer {
			return c.patch(f(`[{"op":"test","path":"/objects/%s/body/n","value":%d}]`, a, n))
		},
		"the present": func(c *client, _ int) *answer { return c.object(b) },
	}
	for _, node := range []string{w.other, w.url} {
		for what, read := range reads {
			v := change()
			r := read(ann.on(node).with(f("Graphtide-Min-Version: %d", v)), v).want(200)
			text := string(r.body)
			ok := true
			switch what {
			case "the graph":
				ok = r.int("version") >= v
			case "an object", "an object as of then":
				ok = r.int("body.n") == n
			case "an edge":
				ok = r.int("body.rank") == n
			case "a history", "an edge's history":
				ok = r.int("entries.0.version") == v
			case "a load", "a load of then":
				ok = r.int("version") >= v && r.int("objects."+a+".body.n") == n && r.int("edges."+e+".body.rank") == n
			case "the log":
				ok = r.int("commits.0.version") == v
			case "a trace":
				ok = strings.Contains(text, f("%d", v))
			case "a dry run":
				ok = r.json().bool("ok")
			}
			if !ok {
				t.Errorf("%s of version %d: %s", what, v, text)
			}
		}
		for what, read := range reads {
			bad := []string{"1000000"}
			if what == "an object" {
				bad = append(bad, "-1", "x", "1.5", "", "01", "99999999999999999999")
			}
			for _, bad := range bad {
				if r := read(ann.on(node).with("Graphtide-Min-Version: "+bad), 1); r.status != 400 || r.str("code") != "invalid-version" {
					t.Errorf("%s with Graphtide-Min-Version %q: %v", what, bad, r)
				}
			}
		}
	}
}

// TestWhatACommitOfTheLogSays holds the log, its pages and its stream, to the
// members that the contract gives a commit: all for who may read all that it
// touched, place and readable part for others.
func TestWhatACommitOfTheLogSays(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann, bob := w.as("ann"), w.as("bob")
	group, open, hidden := newID(), newID(), newID()
	add := func(id, typ string) string {
		return f(`{"op":"add","path":"/objects/%s","value":{"type":%q,"body":{"n":1}}}`, id, typ)
	}
	ann.with("Graphtide-Note: hush", "Idempotency-Key: k1", "Graphtide-Group: "+group).patch("[" + add(open, "Doc") + "," + add(hidden, "Private") + "]").want(200)
	ann.with("Graphtide-Note: why", "Idempotency-Key: k2", "Graphtide-Group: "+group).patch(f(`[{"op":"replace","path":"/objects/%s/body/n","value":2}]`, open)).want(200)
	ann.patch(f(`[{"op":"replace","path":"/objects/%s/body/n","value":"canary"}]`, hidden)).want(200)
	undo := ann.post(w.path("/revert"), `{"versions":[2]}`).want(200).int("version")
	ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, hidden))

	full := "version at by mutation group note cause patch"
	mine := ann.get(w.path("/log")).want(200)
	for i, c := range mine.json().only("", "epoch version commits more?").list("commits") {
		c.only("", full).is("version", f("%d", i+1)).is("by", `"ann"`)
	}
	mine.json().is("commits.0.note", `"hush"`).is("commits.0.group", f("%q", group)).is("commits.1.cause", `{"kind":"client"}`).
		is(f("commits.%d.cause", undo-1), `{"kind":"revert","version":2}`).is("commits.2.group", "null").is("commits.2.note", "null")

	his := bob.get(w.path("/log")).want(200)
	for _, leak := range []string{hidden, "canary", "hush", "k1"} {
		if strings.Contains(string(his.body), leak) {
			t.Errorf("bob reads %s: %s", leak, his.body)
		}
	}
	for i, c := range his.json().list("commits") {
		c.is("version", f("%d", i+1))
		switch i + 1 {
		case 2, undo:
			c.only("", full)
			ours := mine.json().at(f("commits.%d", i))
			if !equal(c.v, ours.v) {
				t.Errorf("of what both may read whole, bob has %s, ann %s", c, ours)
			}
		default:
			c.only("", "version at patch")
		}
	}
	his.json().is("commits.2.patch", "[]").is("commits.4.patch", "[]").is("commits.0.patch.0.path", f(`"/objects/%s"`, open)).is("version", "5")

	// The stream says the same, commit by commit; a limit ends it.
	for _, c := range []*client{ann, bob} {
		pages := c.get(w.path("/log")).json().list("commits")
		s := c.stream(t, w.path("/log?limit=5"))
		if got := s.resp.Header.Get("Graphtide-Epoch"); got != c.get(w.path("")).str("epoch") {
			t.Errorf("Graphtide-Epoch is %q", got)
		}
		for i, want := range pages {
			if id, got := s.next(t); id != f("%d", i+1) || !equal(got.v, want.v) {
				t.Errorf("event %s is %s, the page has %s", id, got, want)
			}
		}
		for s.scan.Scan() {
			if line := s.scan.Text(); line != "" && line[0] != ':' {
				t.Errorf("after the limit comes %q", line)
			}
		}
	}
	// A page asks for what it says, whatever a stream before it has seen.
	ann.with("Last-Event-ID: 4").get(w.path("/log?since=1&limit=1")).json().is("commits.0.version", "2")
	// A head is read before its commits are: the page says what there is beyond it.
	page := ann.get(w.path("/log?since=1&limit=2")).want(200).json().is("version", "5").is("more", "true")
	if l := page.list("commits"); len(l) != 2 || l[0].int("version") != 2 {
		t.Errorf("%s", page)
	}
	ann.get(w.path("/log?since=3&limit=2")).want(200).json().is("more", "false")
	for _, c := range []*client{ann, bob} {
		for _, bad := range []string{"6", "x", "-1"} {
			c.with("Accept: text/event-stream", "Last-Event-ID: "+bad).get(w.path("/log?since=0")).problem("invalid-version")
			c.with("Accept: text/event-stream").get(w.path("/log?since=" + bad)).problem("invalid-version")
		}
	}
}

// TestALoadSaysWhereItIsFrom holds a load to its members, its version and its
// refusals, by projection and by name, now and then.
func TestALoadSaysWhereItIsFrom(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann, bob := w.as("ann"), w.as("bob")
	store := ann.create("DataStore", `{"name":"a"}`)
	hidden := ann.create("Private", `{}`)
	then := ann.head()
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/name","value":"b"}]`, store))
	gone := ann.create("Doc", `{}`)
	ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, gone))
	head, epoch := ann.head(), ann.get(w.path("")).str("epoch")
	for _, body := range []string{f(`{"root":%q}`, store), f(`{"name":"Workbook","args":{"id":%q}}`, store), f(`{"root":[%q,%q]}`, newID(), store), f(`{"root":[%q,%q]}`, store, hidden)} {
		for at, name := range map[int]string{then: "a", head: "b", 0: "b"} {
			query, version := f("?at=%d", at), at
			if at == 0 {
				query, version = "", head
			}
			r := bob.post(w.path("/load"+query), body).want(200).json()
			r.only("", "graph epoch version roots objects edges").is("graph", f("%q", w.graph)).is("epoch", f("%q", epoch)).is("version", f("%d", version)).
				is("roots", f("[%q]", store)).is("edges", "{}").only("objects", store).is("objects."+store+".body.name", f("%q", name))
			r.only("objects."+store, "type body meta")
		}
	}
	for _, c := range []struct {
		query, body, code string
	}{
		{"", f(`{"root":%q}`, hidden), "not-found"}, {"", f(`{"root":%q}`, newID()), "not-found"}, {"", f(`{"root":[%q,%q]}`, hidden, newID()), "not-found"},
		{"", f(`{"root":%q}`, gone), "not-found"}, {f("?at=%d", head), f(`{"root":%q}`, gone), "not-found"},
		{"?at=0", f(`{"root":%q}`, store), "not-found"}, {f("?at=%d", head+1), f(`{"root":%q}`, store), "invalid-version"},
		{"", `{"name":"Unheard"}`, "invalid-projection"}, {"", `{"root":"x"}`, "invalid-id"}, {"", `{"root":"x","root":"y"}`, "invalid-json"},
		{"", f(`{"root":%q,"depth":1}`, store), "invalid-projection"},
	} {
		bob.post(w.path("/load"+c.query), c.body).problem(c.code)
	}
	// A type of which there is nothing to be read is no root that was named.
	bob.load(`{"root":{"type":"Private"}}`).want(200).json().is("roots", "[]").is("objects", "{}")
	bob.post(w.path(f("/load?at=%d", head-1)), f(`{"root":%q}`, gone)).want(200).json().is("version", f("%d", head-1)).only("objects", gone)
}
