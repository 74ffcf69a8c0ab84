package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/testserver"
	"github.com/graphtide/graphtide/server/auth"
)

// same compares two answers: status, body and headers, the ids that were asked
// for aside.
func same(t *testing.T, what string, a, b *testserver.Answer, idA, idB string) {
	t.Helper()
	text := func(x *testserver.Answer, id string) string {
		h := x.Header.Clone()
		h.Del("Date")
		h.Del("X-Request-Id")
		var lines []string
		for k, v := range h {
			lines = append(lines, k+": "+strings.Join(v, ", "))
		}
		slices.Sort(lines)
		return http.StatusText(x.Status) + "\n" + strings.Join(lines, "\n") + "\n" + strings.ReplaceAll(string(x.Body), id, "<id>")
	}
	if ta, tb := text(a, idA), text(b, idB); ta != tb {
		t.Errorf("%s tells hidden from absent:\n%s\n---\n%s", what, ta, tb)
	}
}

func TestAbsentAndHiddenCannotBeToldApart(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	bob, ann, admin := s.As("bob"), s.As("ann"), s.Admin()
	hidden, deleted, mine, hiddenEdge, edgeOfMine := newID(), newID(), newID(), newID(), newID()
	bob.Patch(main, patchOf(addNote(hidden, "secret"), addNote(deleted, "secret too"), addEdge(hiddenEdge, "link", hidden, deleted))).Want(200)
	bob.Patch(main, patchOf(op("add", "/objects/"+hidden+"/body/text", "secret"), remove("/edges/"+hiddenEdge), remove("/objects/"+deleted))).Want(200)
	ann.Patch(main, patchOf(addNote(mine, "mine"))).Want(200)
	admin.Patch(main, patchOf(addEdge(edgeOfMine, "link", mine, hidden))).Want(200)

	type ask struct {
		what string
		send func(c *testserver.Client, id string) *testserver.Answer
	}
	get := func(path string) ask {
		return ask{"GET " + path, func(c *testserver.Client, id string) *testserver.Answer {
			return c.Get(main + strings.ReplaceAll(path, "{id}", id))
		}}
	}
	patch := func(path, body string) ask {
		return ask{"PATCH " + path + " " + body, func(c *testserver.Client, id string) *testserver.Answer {
			return c.Patch(main+strings.ReplaceAll(path, "{id}", id), strings.ReplaceAll(body, "{id}", id))
		}}
	}
	post := func(path, body string) ask {
		return ask{"POST " + path + " " + body, func(c *testserver.Client, id string) *testserver.Answer {
			return c.Post(main+path, strings.ReplaceAll(body, "{id}", id))
		}}
	}
	objects := []ask{
		get("/objects/{id}"), get("/objects/{id}?at=1"), get("/objects/{id}?at=3"), get("/objects/{id}?at=99"),
		get("/objects/{id}/history"), get("/objects/{id}/history?limit=1&before=2"),
		patch("/objects/{id}", `[{"op":"test","path":"/body/title","value":"secret"}]`),
		patch("/objects/{id}", `[{"op":"test","path":"/body/title","value":"other"}]`),
		patch("/objects/{id}", `[{"op":"test","path":"/meta/version","value":2}]`),
		patch("/objects/{id}", `[{"op":"test","path":"/type","value":"Note"}]`),
		patch("/objects/{id}", `[{"op":"replace","path":"/body/title","value":7}]`),
		patch("/objects/{id}", `[{"op":"replace","path":"/body/nothing/there","value":7}]`),
		patch("/objects/{id}", `[{"op":"replace","path":"/type","value":"Doc"}]`),
		patch("/objects/{id}", `[{"op":"add","path":"/access/read/public","value":true}]`),
		patch("/objects/{id}", `[{"op":"remove","path":""}]`),
		patch("", `[{"op":"remove","path":"/objects/{id}"}]`),
		patch("", `[{"op":"copy","from":"/objects/{id}/body/title","path":"/objects/{id}/body/text"}]`),
		patch("", `[{"op":"add","path":"/edges/0192f000-0000-7000-8000-000000000001","value":{"label":"link","from":"`+mine+`","to":"{id}"}}]`),
		patch("", `[{"op":"add","path":"/edges/0192f000-0000-7000-8000-000000000001","value":{"label":"link","from":"{id}","to":"`+mine+`"}}]`),
		patch("", `[{"op":"add","path":"/edges/0192f000-0000-7000-8000-000000000001","value":{"label":"nothing","from":"{id}","to":"`+mine+`","body":{"x":1}}}]`),
		patch("?dryRun=true", `[{"op":"replace","path":"/objects/{id}/body/title","value":"x"}]`),
		patch("?dryRun=true", `[{"op":"remove","path":"/objects/{id}"}]`),
		post("/load", `{"root":"{id}"}`), post("/load?at=1", `{"root":"{id}"}`), post("/load", `{"name":"Linked","args":{"id":"{id}"}}`),
		post("/load", `{"root":["`+mine+`","{id}"],"out":{"link":{}}}`),
	}
	ifMatch := []string{`If-Match: "1"`, `If-Match: "2"`, `If-Match: "1", "2"`, `If-Match: *`}
	for _, gone := range []string{hidden, deleted} {
		for _, a := range objects {
			absent := newID()
			same(t, a.what, a.send(ann, gone), a.send(ann, absent), gone, absent)
		}
		for _, h := range ifMatch {
			a, absent := patch("/objects/{id}", `[{"op":"replace","path":"/body/title","value":"x"}]`), newID()
			same(t, h, a.send(ann.Header(h), gone), a.send(ann.Header(h), absent), gone, absent)
		}
	}
	edges := []ask{
		get("/edges/{id}"), get("/edges/{id}?at=1"), get("/edges/{id}?at=4"), get("/edges/{id}/history"),
		patch("/edges/{id}", `[{"op":"add","path":"/body/x","value":1}]`),
		patch("/edges/{id}", `[{"op":"test","path":"/label","value":"link"}]`),
		patch("/edges/{id}", `[{"op":"remove","path":""}]`),
		patch("", `[{"op":"remove","path":"/edges/{id}"}]`),
		patch("?dryRun=true", `[{"op":"remove","path":"/edges/{id}"}]`),
	}
	for _, gone := range []string{hiddenEdge, edgeOfMine} {
		for _, a := range edges {
			absent := newID()
			same(t, a.what, a.send(ann, gone), a.send(ann, absent), gone, absent)
		}
	}
	// Nothing of it all did anything.
	if v := admin.Get(main).Want(200).Map()["version"]; v != 4.0 {
		t.Errorf("version %v", v)
	}
}

func TestGraphThatATokenDoesNotOpenIsAsIfAbsent(t *testing.T) {
	t.Parallel()
	s := testserver.New(t, testserver.Options{Schema: testSchema, Deps: withRuns(&fakeRuns{})})
	admin, id := s.Admin(), newID()
	admin.Put("/v1/graphs/closed", "").Want(201)
	admin.Patch("/v1/graphs/closed", patchOf(addNote(id, "x"))).Want(200)
	for who, c := range map[string]*testserver.Client{
		"user":        s.As("ann"),
		"local admin": s.With(auth.Claims{User: "loc", Graphs: []string{"main"}, Admin: true}),
		"no graphs":   s.With(auth.Claims{User: "x", Graphs: []string{}}),
	} {
		for _, a := range []struct{ method, path, kind, body string }{
			{"GET", "", "", ""}, {"PUT", "", "", ""}, {"DELETE", "", "", ""}, {"HEAD", "", "", ""},
			{"PATCH", "", "application/json-patch+json", "[]"}, {"PATCH", "", "text/plain", "["},
			{"PATCH", "?dryRun=x", "application/json-patch+json", "["},
			{"GET", "/objects/" + id, "", ""}, {"GET", "/objects/x", "", ""}, {"GET", "/objects/" + id + "?at=x", "", ""},
			{"PATCH", "/objects/" + id, "application/json-patch+json", "[]"}, {"GET", "/objects/" + id + "/history", "", ""},
			{"GET", "/edges/" + id, "", ""}, {"GET", "/edges/" + id + "/history", "", ""},
			{"POST", "/load", "application/json", `{"root":"` + id + `"}`}, {"POST", "/load", "", "x"},
			{"GET", "/log", "", ""}, {"GET", "/log?since=99", "", ""}, {"GET", "/trace/1", "", ""}, {"GET", "/trace/x", "", ""},
			{"GET", "/runs", "", ""}, {"GET", "/runs?state=x", "", ""}, {"GET", "/runs/1", "", ""},
			{"POST", "/runs/1/retry", "", ""}, {"POST", "/runs/1/cancel", "", ""}, {"POST", "/runs/1/report", "application/json", "{}"},
			{"POST", "/revert", "application/json", `{"versions":[1]}`}, {"POST", "/revert", "application/json", `x`},
		} {
			closed := c.Do(a.method, "/v1/graphs/closed"+a.path, a.kind, a.body)
			absent := c.Do(a.method, "/v1/graphs/absent"+a.path, a.kind, a.body)
			same(t, who+" "+a.method+" "+a.path, closed, absent, "closed", "absent")
			if closed.Status != 404 {
				t.Errorf("%s %s %s: %d", who, a.method, a.path, closed.Status)
			}
			withVersion := c.Header("Graphtide-Min-Version: 1").Do(a.method, "/v1/graphs/closed"+a.path, a.kind, a.body)
			same(t, who+" with a version "+a.method+" "+a.path, withVersion, absent, "closed", "absent")
		}
	}
}

func TestLogKeepsThePlaceOfWhatIsNotReadable(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, bob, admin := s.As("ann"), s.As("bob"), s.Admin()
	shared, secret, edge := newID(), newID(), newID()
	group := newID()
	ann.Patch(main, patchOf(addShared(shared, "for both", "ann", "bob"))).Want(200)
	ann.Header("Graphtide-Group: "+group, "Graphtide-Note: a note", "Idempotency-Key: both").Patch(main, patchOf(
		addNote(secret, "canary"), op("replace", "/objects/"+shared+"/body/title", "changed"), addEdge(edge, "link", shared, secret))).Want(200)
	ann.Patch(main, patchOf(op("replace", "/objects/"+secret+"/body/title", "canary again"))).Want(200)
	ann.Patch(main, patchOf(op("add", "/objects/"+shared+"/access/write", m{"users": m{"bob": true}}))).Want(200)

	var all, part logPage
	admin.Get(main + "/log").Want(200).JSON(&all)
	raw := bob.Get(main + "/log").Want(200).JSON(&part)
	if len(all.Commits) != 4 || len(part.Commits) != 4 || part.Version != 4 || part.Epoch == "" || part.More {
		t.Fatalf("%d and %d commits; %+v", len(all.Commits), len(part.Commits), part)
	}
	for _, canary := range []string{"canary", secret, edge, group, "a note", `"both"`} {
		if strings.Contains(string(raw.Body), canary) {
			t.Errorf("bob sees %s", canary)
		}
	}
	full := "at by cause group mutation note patch version"
	for i, want := range []string{full, "at patch version", "at patch version", full} {
		if got := keys(t, part.Commits[i]); got != want {
			t.Errorf("commit %d shows %s to bob, want %s", i+1, got, want)
		}
		if got := keys(t, all.Commits[i]); got != full {
			t.Errorf("commit %d shows %s to an admin", i+1, got)
		}
	}
	patchIn := func(c json.RawMessage) string {
		var v struct{ Patch json.RawMessage }
		if err := json.Unmarshal(c, &v); err != nil {
			t.Fatal(err)
		}
		return string(v.Patch)
	}
	if got := patchIn(part.Commits[1]); got != `[{"op":"replace","path":"/objects/`+shared+`/body/title","value":"changed"}]` {
		t.Error(got)
	}
	if got := patchIn(part.Commits[2]); got != "[]" {
		t.Error(got)
	}
	// bob may read the object, not manage it: its access is not his to see.
	if got := patchIn(part.Commits[0]); strings.Contains(got, "access") || !strings.Contains(got, "for both") {
		t.Error(got)
	}
	if got := patchIn(part.Commits[3]); got != "[]" {
		t.Error(got)
	}
	if got := patchIn(all.Commits[0]); !strings.Contains(got, `"access"`) {
		t.Error(got)
	}
	// The creator manages.
	var mine logPage
	ann.Get(main + "/log").Want(200).JSON(&mine)
	for i, c := range mine.Commits {
		if keys(t, c) != full || string(c) != string(all.Commits[i]) {
			t.Errorf("ann sees %s", c)
		}
	}
}

func TestLogIsPagedAndBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, id := s.As("ann"), newID()
	ann.Patch(main, patchOf(addNote(id, "0"))).Want(200)
	for range 9 {
		ann.Patch(main+"/objects/"+id, patchOf(op("add", "/body/text", newID()))).Want(200)
	}
	var p logPage
	versions := func() (out []graph.Version) {
		for _, c := range p.Commits {
			var v struct{ Version graph.Version }
			if err := json.Unmarshal(c, &v); err != nil {
				t.Fatal(err)
			}
			out = append(out, v.Version)
		}
		return out
	}
	ann.Get(main + "/log?since=3&limit=4").Want(200).JSON(&p)
	if got := versions(); !slices.Equal(got, []graph.Version{4, 5, 6, 7}) || !p.More || p.Version != 10 {
		t.Errorf("%v, %+v", got, p.More)
	}
	ann.Get(main + "/log?since=7&limit=3").Want(200).JSON(&p)
	if got := versions(); !slices.Equal(got, []graph.Version{8, 9, 10}) || p.More {
		t.Errorf("%v, %v", got, p.More)
	}
	ann.Get(main + "/log?since=10").Want(200).JSON(&p)
	if len(p.Commits) != 0 || p.Commits == nil || p.More {
		t.Errorf("%+v", p)
	}
	ann.Get(main + "/log?since=11").WantCode(graph.CodeInvalidVersion)
	for _, bad := range []string{"since=-1", "since=x", "since=", "since=1.5", "since=9223372036854775808"} {
		ann.Get(main + "/log?" + bad).WantCode(graph.CodeInvalidVersion)
	}
	for _, bad := range []string{"limit=-1", "limit=0", "limit=x", "limit="} {
		ann.Get(main + "/log?" + bad).WantCode(graph.CodeInvalidQuery)
	}
	ann.Get(main + "/log?limit=99999999").Want(200)
}

func TestDeletedObjectIsJudgedByItsLastRights(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, bob, eve := member(s, "ann", "acme"), member(s, "bob", "acme"), member(s, "eve", "evil")
	folder, doc, note, edge := newID(), newID(), newID(), newID()
	// The doc is readable through its folder alone.
	ann.Patch(main, patchOf(op("add", "/objects/"+folder, m{"type": "Folder", "body": m{"name": "f"}}))).Want(200)
	ann.Patch(main, patchOf(op("add", "/objects/"+doc, m{"type": "Doc", "body": m{"text": "canary"}}), addEdge(edge, "folder", doc, folder))).Want(200)
	ann.Patch(main, patchOf(addShared(note, "canary", "ann", "bob", "eve"))).Want(200)
	ann.Patch(main, patchOf(remove("/objects/"+note+"/access/read/users/eve"))).Want(200)
	bob.Get(main + "/objects/" + doc + "?at=2").Want(200)
	ann.Patch(main, patchOf(remove("/objects/"+doc), remove("/objects/"+note))).Want(200)

	for _, path := range []string{"/objects/" + doc + "?at=2", "/objects/" + note + "?at=3", "/objects/" + doc + "/history", "/objects/" + note + "/history",
		"/edges/" + edge + "?at=2", "/edges/" + edge + "/history"} {
		ann.Get(main + path).Want(200)
		bob.Get(main + path).Want(200)
		eve.Get(main + path).WantCode(graph.CodeNotFound)
	}
	for _, id := range []string{doc, note} {
		if a := bob.Get(main + "/objects/" + id + "/history"); strings.Contains(string(a.Body), `"access"`) {
			t.Errorf("bob may not manage it, and sees %s", a.Body)
		}
	}
	for path, body := range map[string]string{"/log": "", "/load?at=3": `{"root":["` + doc + `","` + note + `"],"out":{"folder":{}}}`} {
		ask := func(c *testserver.Client) *testserver.Answer {
			if body == "" {
				return c.Get(main + path)
			}
			return c.Post(main+path, body)
		}
		if a := ask(bob).Want(200); strings.Count(string(a.Body), "canary") != 2 {
			t.Errorf("%s: bob sees %s", path, a.Body)
		}
		if a := ask(eve); strings.Contains(string(a.Body), "canary") {
			t.Errorf("%s: eve sees %s", path, a.Body)
		}
	}
	// The folder goes too: the doc's last rights are then judged by the folder's.
	ann.Patch(main, patchOf(remove("/objects/"+folder))).Want(200)
	bob.Get(main + "/objects/" + doc + "?at=2").Want(200)
	eve.Get(main + "/objects/" + doc + "?at=2").WantCode(graph.CodeNotFound)
}

func TestThePastIsJudgedByTodaysRights(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, bob, id := s.As("ann"), s.As("bob"), newID()
	ann.Patch(main, patchOf(addShared(id, "open then", "ann", "bob"))).Want(200)
	bob.Get(main + "/objects/" + id).Want(200)
	ann.Patch(main, patchOf(remove("/objects/"+id+"/access/read/users/bob"))).Want(200)
	bob.Get(main + "/objects/" + id + "?at=1").WantCode(graph.CodeNotFound)
	bob.Get(main + "/objects/" + id + "/history").WantCode(graph.CodeNotFound)
	bob.Post(main+"/load?at=1", `{"root":"`+id+`"}`).WantCode(graph.CodeNotFound)
	ann.Patch(main, patchOf(op("add", "/objects/"+id+"/access/read/public", true))).Want(200)
	bob.Get(main + "/objects/" + id + "?at=1").Want(200)
	bob.Post(main+"/load?at=1", `{"root":"`+id+`"}`).Want(200)
}

func TestAccessIsShownToManagersAlone(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, bob, id := s.As("ann"), s.As("bob"), newID()
	ann.Patch(main, patchOf(op("add", "/objects/"+id, m{"type": "Note", "body": m{"title": "x"}, "access": m{
		"read": m{"users": m{"bob": true}}, "write": m{"users": m{"bob": true}}}}))).Want(200)
	ann.Patch(main, patchOf(op("add", "/objects/"+id+"/access/read/users/carl", true))).Want(200)
	for _, path := range []string{"/objects/" + id, "/objects/" + id + "?at=1", "/objects/" + id + "/history", "/log"} {
		if a := ann.Get(main + path).Want(200); !strings.Contains(string(a.Body), `access`) {
			t.Errorf("%s: its manager sees %s", path, a.Body)
		}
		if a := bob.Get(main + path).Want(200); strings.Contains(string(a.Body), `access`) || strings.Contains(string(a.Body), `carl`) {
			t.Errorf("%s: a reader sees %s", path, a.Body)
		}
	}
	dry := bob.Patch(main+"?dryRun=true", patchOf(op("replace", "/objects/"+id+"/body/title", "y"))).Want(200)
	if strings.Contains(string(dry.Body), "carl") || !strings.Contains(string(dry.Body), `"title":"y"`) {
		t.Errorf("a dry run shows %s", dry.Body)
	}
}
