package systest

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// log gives all commits of the graph.
func (c *client) log() []value {
	c.t.Helper()
	var out []value
	for since := 0; ; {
		page := c.get(c.w.path(f("/log?since=%d&limit=100", since))).want(200).json()
		commits := page.list("commits")
		out = append(out, commits...)
		if len(commits) == 0 {
			return out
		}
		since = commits[len(commits)-1].int("version")
	}
}

// replayed gives the graph document that the log's patches up to a version make.
func (c *client) replayed(version int) map[string]any {
	c.t.Helper()
	doc := any(map[string]any{"objects": map[string]any{}, "edges": map[string]any{}})
	last := 0
	for _, commit := range c.log() {
		v := commit.int("version")
		if v != last+1 {
			c.t.Fatalf("version %d follows %d", v, last)
		}
		last = v
		if v > version {
			break
		}
		var err error
		if doc, err = applyPatch(doc, copied(commit.at("patch").v).([]any)); err != nil {
			c.t.Fatalf("commit %d as %s sees it: %v\n%s", v, c.user, err, commit)
		}
	}
	return doc.(map[string]any)
}

// everything gives the graph at a version as the user may load it, in the form
// that replayed has: meta aside, access where it is shown.
func (c *client) everything(version int) map[string]any {
	c.t.Helper()
	a := c.post(c.w.path(f("/load?at=%d", version)), `{"root":{"type":"Object"},"out":{}}`).want(200).json()
	objects := a.members("objects")
	for id := range objects {
		m := copied(objects[id]).(map[string]any)
		delete(m, "meta")
		o := c.get(c.w.path(f("/objects/%s?at=%d", id, version))).want(200).json()
		if o.has("access") {
			m["access"] = o.at("access").v
		}
		objects[id] = m
	}
	return objects
}

func TestTheLogReplaysToTheGraph(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rng := seeded(t)
	root, ann, bob := w.as("root"), w.as("ann"), w.as("bob")
	var ids, edges []string
	pick := func(l []string) string {
		if len(l) == 0 {
			return newID()
		}
		return l[len(l)-1-rng.IntN(min(len(l), 12))]
	}
	labels := []string{"next", "one", "swap", "few", "hold", "follow", "loose"}
	kinds := []string{"Node", "Node", "Node", "Doc", "Private", "Shared", "Strict"}
	committed := 0
	for range 300 {
		var ops, fresh []string
		for range 1 + rng.IntN(2) {
			switch rng.IntN(9) {
			case 0, 1, 2:
				if len(ids) > 60 {
					ids = ids[20:]
				}
				id := newID()
				kind := pick(kinds)
				body := f(`{"n":%d,"l":[1,2,{"x":"y"}]}`, rng.IntN(10))
				if kind == "Strict" {
					body = `{"title":"t"}`
				}
				ops = append(ops, f(`{"op":"add","path":"/objects/%s","value":{"type":%q,"body":%s}}`, id, kind, body))
				fresh = append(fresh, id)
			case 3, 4:
				id := newID()
				ops = append(ops, f(`{"op":"add","path":"/edges/%s","value":{"label":%q,"from":%q,"to":%q}}`, id, pick(labels), pick(ids), pick(ids)))
				edges = append(edges, id)
			case 5:
				ops = append(ops, f(`{"op":"replace","path":"/objects/%s/body/n","value":%d}`, pick(ids), rng.IntN(10)))
			case 6:
				ops = append(ops, f(`{"op":"add","path":"/objects/%s/body/l/%d","value":{"k":[%d]}}`, pick(ids), rng.IntN(3), rng.IntN(9)),
					f(`{"op":"move","path":"/objects/%[1]s/body/m","from":"/objects/%[1]s/body/l/0"}`, pick(ids)))
			case 7:
				ops = append(ops, f(`{"op":"remove","path":"/edges/%s"}`, pick(edges)))
			case 8:
				if rng.IntN(2) == 0 {
					ops = append(ops, f(`{"op":"remove","path":"/objects/%s"}`, pick(ids)))
				} else {
					ops = append(ops, f(`{"op":"add","path":"/objects/%s/access/read/users","value":{"bob":true}}`, pick(ids)))
				}
			}
		}
		c := ann
		if rng.IntN(3) == 0 {
			c = bob
		}
		a := c.patch("[" + strings.Join(ops, ",") + "]")
		switch {
		case a.status == 200:
			committed++
			ids = append(ids, fresh...)
		case a.status >= 500:
			t.Fatalf("%v to %s", a, ops)
		}
	}
	head := root.head()
	if head < 40 {
		t.Fatalf("only %d of %d transactions made a commit", head, committed)
	}
	for _, c := range []*client{root, ann, bob} {
		for _, v := range []int{0, 1, head / 3, head / 2, head - 1, head} {
			doc := c.replayed(v)
			if c == root {
				// What an admin replays is the graph: nothing more, nothing less.
				if got, want := doc["objects"], any(c.everything(v)); !equal(got, want) {
					t.Fatalf("at %d\nreplayed %s\nloaded   %s", v, value{t, got}, value{t, want})
				}
				continue
			}
			if v != head {
				continue // the past is judged by today's rights, which the log of others is, too
			}
			got, want := doc["objects"].(map[string]any), c.everything(v)
			for id, o := range want {
				if !equal(got[id], o) {
					t.Errorf("at %d as %s, object %s: replayed %s\nloaded %s", v, c.user, id, value{t, got[id]}, value{t, o})
				}
			}
			for id := range got {
				if want[id] == nil {
					t.Errorf("at %d as %s, the log shows %s", v, c.user, id)
				}
			}
		}
	}
	// The edges, one by one.
	doc := root.replayed(head)
	n := 0
	for id, e := range doc["edges"].(map[string]any) {
		got := root.edge(id).want(200).json().v.(map[string]any)
		delete(got, "meta")
		delete(got, "id")
		if !equal(got, withBody(e)) {
			t.Errorf("edge %s: replayed %s, is %s", id, value{t, e}, value{t, got})
		}
		n++
	}
	root.get(w.path("")).json().is("edges", f("%d", n)).is("objects", f("%d", len(doc["objects"].(map[string]any))))
}

func withBody(e any) any {
	m := copied(e).(map[string]any)
	if m["body"] == nil {
		m["body"] = map[string]any{}
	}
	return m
}

func TestTheLogOfOthersIsTheReadablePart(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann, bob := w.as("ann"), w.as("bob")
	p, d := newID(), newID()
	ann.with("Graphtide-Note: hush", "Idempotency-Key: k1").patch(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Private","body":{"secret":"canary"}}},
		{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{"n":1}}}]`, p, d)).want(200)
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/secret","value":"canary2"}]`, p))
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":2}]`, d))
	log := bob.get(w.path("/log?since=0")).want(200)
	for _, leak := range []string{"canary", p, "hush", "k1"} {
		if strings.Contains(string(log.body), leak) {
			t.Errorf("bob reads %s: %s", leak, log.body)
		}
	}
	j := log.json()
	if len(j.list("commits")) != 3 {
		t.Fatalf("each commit keeps its place: %s", j)
	}
	j.is("version", `3`).is("commits.1.patch", `[]`).is("commits.2.by", `"ann"`)
	for _, m := range []string{"note", "mutation", "group", "cause", "by"} {
		if v, ok := j.find("commits.0." + m); ok && v != nil {
			t.Errorf("%s of a commit that bob may not read whole: %s", m, j)
		}
	}
	if n := len(j.list("commits.0.patch")); n != 1 {
		t.Errorf("%d operations: %s", n, j)
	}
	if strings.Contains(j.at("commits.0").String(), `"access"`) {
		t.Errorf("access is shown to who does not manage: %s", j)
	}
	// ann manages what she made, and sees the access in her log.
	if !strings.Contains(string(ann.get(w.path("/log?since=0")).body), `"access"`) {
		t.Error("ann does not see the access that she manages")
	}
}

func TestPagesOfTheLog(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Doc", `{"n":0}`)
	for i := range 9 {
		ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":%d}]`, id, i+1))
	}
	a := ann.get(w.path("/log?since=3&limit=4")).want(200).json()
	for i, c := range a.list("commits") {
		c.is("version", f("%d", 4+i))
		if at, err := time.Parse(time.RFC3339, c.str("at")); err != nil || time.Since(at) > time.Minute {
			t.Errorf("at: %s", c)
		}
	}
	a.is("version", `10`)
	if len(a.list("commits")) != 4 || a.str("epoch") == "" || a.str("epoch") != ann.get(w.path("")).str("epoch") {
		t.Errorf("%s", a)
	}
	if n := len(ann.get(w.path("/log")).want(200).json().list("commits")); n != 10 {
		t.Errorf("%d commits without since", n)
	}
	if n := len(ann.get(w.path("/log?since=10")).want(200).json().list("commits")); n != 0 {
		t.Errorf("%d commits after the head", n)
	}
	for _, bad := range []string{"11", "-1", "1.5", "x", "9223372036854775808", "99999999999999999999", "1e3", "+1"} {
		ann.get(w.path("/log?since=" + bad)).problem("invalid-version")
	}
	for _, bad := range []string{"0", "-1", "x", "1.5"} {
		if s := ann.get(w.path("/log?limit=" + bad)).status; s != 400 {
			t.Errorf("limit=%s: %d", bad, s)
		}
	}
}

// events reads a log stream.
type events struct {
	resp *http.Response
	scan *bufio.Scanner
}

func (c *client) stream(t testing.TB, path string) *events {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", c.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Authorization", "Bearer "+c.token)
	for k, v := range c.header {
		r.Header[k] = v
	}
	resp, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("%d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	s := bufio.NewScanner(resp.Body)
	s.Buffer(nil, 4<<20)
	return &events{resp, s}
}

// next gives the id and the data of the next event.
func (e *events) next(t testing.TB) (string, value) {
	t.Helper()
	var id, data string
	for e.scan.Scan() {
		line := e.scan.Text()
		switch {
		case strings.HasPrefix(line, "id:"):
			id = strings.TrimSpace(line[3:])
		case strings.HasPrefix(line, "data:"):
			data += strings.TrimSpace(line[5:])
		case line == "" && data != "":
			v, err := decode([]byte(data))
			if err != nil {
				t.Fatal(err)
			}
			return id, value{t, v}
		}
	}
	t.Fatalf("the stream ended: %v", e.scan.Err())
	return "", value{}
}

func TestTheLogAsAStream(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Doc", `{"n":0}`)
	s := ann.stream(t, w.path("/log?since=0"))
	want := func(s *events, v int) {
		t.Helper()
		id, commit := s.next(t)
		if id != fmt.Sprint(v) || commit.int("version") != v {
			t.Fatalf("event %s %s, want %d", id, commit, v)
		}
		if page := ann.get(w.path(f("/log?since=%d&limit=1", v-1))).json().at("commits.0"); !equal(page.v, commit.v) {
			t.Errorf("the stream has %s, the log %s", commit, page)
		}
	}
	want(s, 1)
	for i := range 5 {
		ann.on([]string{w.url, w.other}[i%2]).commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":%d}]`, id, i+1))
		want(s, i+2)
	}
	// Last-Event-ID resumes, and wins over since.
	want(ann.with("Last-Event-ID: 4").stream(t, w.path("/log?since=1")), 5)
	want(ann.stream(t, w.path("/log?since=5")), 6)
	if a := ann.with("Accept: text/event-stream", "Last-Event-ID: 77").get(w.path("/log")); a.status != 400 {
		t.Errorf("an event of the future: %v", a)
	}
	// Two observers read the same.
	other := w.as("bob").stream(t, w.path("/log"))
	for v := 1; v <= 6; v++ {
		if got, _ := other.next(t); got != fmt.Sprint(v) {
			t.Errorf("event %s, want %d", got, v)
		}
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"Doc", "Kept"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			ann, bob := w.as("ann"), w.as("bob")
			id := ann.create(kind, `{"n":0}`)
			bob.create("Doc", `{}`)
			for i := range 6 {
				c := []*client{ann, bob}[i%2]
				c.with("Idempotency-Key: " + f("m%d", i)).patch(f(`[{"op":"replace","path":"/objects/%s/body/n","value":%d}]`, id, i+1)).want(200)
			}
			h := ann.get(w.path("/objects/" + id + "/history")).want(200).json()
			entries := h.list("entries")
			if len(entries) != 7 {
				t.Fatalf("%d entries: %s", len(entries), h)
			}
			for i, e := range entries {
				v := 8 - i
				if v == 2 {
					v = 1
				}
				e.is("version", f("%d", v))
				e.is("entity.body.n", f("%d", 6-i))
				e.is("entity.meta.version", f("%d", v))
				e.is("deleted", "false")
				e.is("cause.kind", `"client"`)
				if i < 6 {
					e.is("mutation", f(`"m%d"`, 5-i)).is("by", f("%q", []string{"ann", "bob"}[(5-i)%2]))
					e.is("patch", f(`[{"op":"replace","path":"/body/n","value":%d}]`, 6-i))
				}
				if _, err := time.Parse(time.RFC3339, e.str("at")); err != nil {
					t.Error(err)
				}
			}
			page := ann.get(w.path("/objects/" + id + "/history?limit=2&before=6")).want(200).json()
			page.is("entries.0.version", `5`).is("entries.1.version", `4`)
			if len(page.list("entries")) != 2 {
				t.Errorf("%s", page)
			}
			// As of each version.
			for v := 0; v <= 8; v++ {
				a := ann.get(w.path(f("/objects/%s?at=%d", id, v)))
				if v == 0 {
					a.problem("not-found")
					continue
				}
				n := max(v-2, 0)
				a.want(200).json().is("body.n", f("%d", n)).is("id", f("%q", id))
				ann.post(w.path(f("/load?at=%d", v)), f(`{"root":%q}`, id)).want(200).json().is(f("objects.%s.body.n", id), f("%d", n)).is("version", f("%d", v))
			}
			for _, bad := range []string{"9", "-1", "x", "1.0", "99999999999999999999"} {
				ann.get(w.path("/objects/" + id + "?at=" + bad)).problem("invalid-version")
				ann.post(w.path("/load?at="+bad), f(`{"root":%q}`, id)).problem("invalid-version")
			}
			// A deleted one keeps its history.
			ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, id))
			h = ann.get(w.path("/objects/" + id + "/history")).want(200).json()
			h.is("entries.0.deleted", `true`).is("entries.0.version", `9`).is("entries.1.entity.body.n", `6`)
			if e, ok := h.find("entries.0.entity"); ok && e != nil {
				t.Errorf("a deletion has no entity: %s", h)
			}
			ann.object(id).problem("not-found")
			ann.get(w.path(f("/objects/%s?at=8", id))).want(200).json().is("body.n", `6`)
			ann.get(w.path(f("/objects/%s?at=9", id))).problem("not-found")
			ann.get(w.path("/objects/" + newID() + "/history")).problem("not-found")
		})
	}
}

func TestETags(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Doc", `{"n":0}`)
	ann.create("Doc", `{}`)
	a := ann.object(id)
	if a.header.Get("ETag") != `"1"` {
		t.Fatalf("ETag %s", a.header.Get("ETag"))
	}
	if r := ann.with(`If-None-Match: "1"`).object(id); r.status != 304 || len(r.body) != 0 || r.header.Get("ETag") != `"1"` {
		t.Errorf("%v", r)
	}
	ann.with(`If-None-Match: "2"`).object(id).want(200)
	ops := `[{"op":"replace","path":"/body/n","value":1}]`
	ann.with(`If-Match: "2"`).patchAt("/objects/"+id, ops).problem("version-mismatch")
	r := ann.with(`If-Match: "1"`).patchAt("/objects/"+id, ops).want(200)
	r.json().is("version", `3`)
	if r.header.Get("ETag") != `"3"` {
		t.Errorf("ETag %s", r.header.Get("ETag"))
	}
	ann.with(`If-Match: "1"`).patchAt("/objects/"+id, ops).problem("version-mismatch")
	ann.with(`If-Match: *`).patchAt("/objects/"+id, `[{"op":"replace","path":"/body/n","value":5}]`).want(200)
	ann.with(`If-Match: *`).patchAt("/objects/"+newID(), ops).problem("not-found")
	// Of two who saw the same, one wins.
	tag := ann.object(id).header.Get("ETag")
	results := make([]int, 8)
	done := make(chan int)
	for i := range results {
		go func() {
			c := ann.with("If-Match: " + tag)
			if i%2 == 1 {
				c = c.on(w.other)
			}
			if a, err := c.send("PATCH", w.path("/objects/"+id), patchType, f(`[{"op":"replace","path":"/body/n","value":%d}]`, 100+i)); err == nil {
				results[i] = a.status
			}
			done <- i
		}()
	}
	for range results {
		<-done
	}
	slices.Sort(results)
	if results[0] != 200 || results[1] != 412 || results[7] != 412 {
		t.Errorf("%v", results)
	}
}

func TestPatchesOfOneEntityAreRelative(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Doc", `{"a":1}`)
	ann.patchAt("/objects/"+id, `[{"op":"test","path":"/type","value":"Doc"},{"op":"test","path":"/meta/version","value":1},{"op":"copy","from":"/body/a","path":"/body/b"},{"op":"add","path":"/access/read/users/bob","value":true}]`).want(200)
	ann.object(id).json().is("body", `{"a":1,"b":1}`).is("access.read.users", `{"bob":true}`)
	p := ann.patchAt("/objects/"+id, `[{"op":"test","path":"/body/a","value":1},{"op":"remove","path":"/body/z"}]`).problem("path-missing")
	if !strings.HasSuffix(p.str("path"), "/body/z") || p.int("op") != 1 {
		t.Errorf("%s", p)
	}
	ann.patchAt("/objects/"+id, `[{"op":"replace","path":"/type","value":"Node"}]`).problem("type-immutable")
	ann.patchAt("/objects/"+id, `[{"op":"replace","path":"/meta/version","value":9}]`).problem("meta-immutable")
	other := ann.create("Doc", `{}`)
	ann.patchAt("/objects/"+id, f(`[{"op":"remove","path":"/objects/%s"}]`, other)).problem("invalid-patch")
	ann.patchAt("/objects/"+id, `[{"op":"remove","path":"/../x"}]`).problem("invalid-patch")
	ann.patchAt("/objects/"+id, `[{"op":"remove","path":""}]`).want(200)
	ann.object(id).problem("not-found")
	ann.patchAt("/objects/"+newID(), `[]`).problem("not-found")
}
