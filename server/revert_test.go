package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/testserver"
)

func undo(versions ...graph.Version) string {
	return fmt.Sprintf(`{"versions":%s}`, strings.ReplaceAll(fmt.Sprint(versions), " ", ","))
}

func conflicts(t *testing.T, a *testserver.Answer) string {
	t.Helper()
	var p struct {
		Conflicts []struct {
			Path    string
			Version graph.Version
		}
	}
	a.WantCode(graph.CodeUndoConflict).JSON(&p)
	var out []string
	for _, c := range p.Conflicts {
		out = append(out, fmt.Sprintf("%s@%d", c.Path, c.Version))
	}
	return strings.Join(out, " ")
}

func TestUndoKeepsWhatOthersChanged(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, id := s.As("ann"), newID()
	obj := main + "/objects/" + id
	ann.Patch(main, patchOf(op("add", "/objects/"+id, m{"type": "Note", "body": m{"title": "a", "tags": []string{"x", "y"}}}))).Want(200)
	ann.Patch(obj, patchOf(op("replace", "/body/title", "b"), op("add", "/body/text", "new"))).Want(200)                     // 2
	ann.Patch(obj, patchOf(op("add", "/body/n", 7))).Want(200)                                                               // 3
	ann.Patch(obj, patchOf(op("replace", "/body", m{"title": "b", "text": "new", "n": 7, "tags": []string{"y"}}))).Want(200) // 4

	a := ann.Header("Idempotency-Key: undo-2").Post(main+"/revert", undo(2)).Want(200)
	if got := string(a.Body); got != `{"graph":"main","version":5,"mutation":"undo-2","replayed":false}` || a.Header.Get("ETag") != `"5"` {
		t.Errorf("%s %s", a.Header, got)
	}
	body := ann.Get(obj).Want(200).Map()["body"].(m)
	if fmt.Sprint(body) != "map[n:7 tags:[y] title:a]" {
		t.Errorf("%v", body)
	}
	if got := string(ann.Header("Idempotency-Key: undo-2").Post(main+"/revert", undo(2)).Want(200).Body); got != `{"graph":"main","version":5,"mutation":"undo-2","replayed":true}` {
		t.Error(got)
	}
	var page logPage
	ann.Get(main + "/log?since=4").Want(200).JSON(&page)
	if c := string(page.Commits[0]); !strings.Contains(c, `"cause":{"kind":"revert","version":2}`) || strings.Contains(c, `"test"`) {
		t.Error(c)
	}
	// Once more: the undo itself is in the way now.
	if got := conflicts(t, ann.Post(main+"/revert", undo(2))); got != "/objects/"+id+"/body/title@5 /objects/"+id+"/body/text@5" {
		t.Error(got)
	}
	// The undo is undone.
	ann.Post(main+"/revert", undo(5)).Want(200)
	if got := ann.Get(obj).Want(200).Map()["body"].(m)["title"]; got != "b" {
		t.Error(got)
	}
	// Several at once, in any order; what cancels out is no commit.
	ann.Post(main+"/revert", undo(3, 4)).Want(200)
	if body := ann.Get(obj).Want(200).Map()["body"].(m); fmt.Sprint(body) != "map[tags:[x y] text:new title:b]" {
		t.Errorf("%v", body)
	}
	if v := ann.Post(main+"/revert", undo(5, 6)).Version(); v != 7 {
		t.Errorf("nothing is left to undo, and yet there is version %d", v)
	}
}

func TestUndoTellsEachPathChangedSince(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, id := s.As("ann"), newID()
	obj := main + "/objects/" + id
	ann.Patch(main, patchOf(op("add", "/objects/"+id, m{"type": "Note", "body": m{"title": "a", "tags": []string{"x", "y", "z"}}}))).Want(200)
	ann.Patch(obj, patchOf(op("replace", "/body/title", "b"), remove("/body/tags/0"))).Want(200) // 2
	ann.Patch(obj, patchOf(op("replace", "/body/title", "c"))).Want(200)                         // 3
	ann.Patch(obj, patchOf(op("add", "/body/tags/0", "w"))).Want(200)                            // 4
	if got := conflicts(t, ann.Post(main+"/revert", undo(2))); !strings.Contains(got, "/body/title@3") || !strings.Contains(got, "/body/tags@4") {
		t.Error(got)
	}
	if v := ann.Get(main).Want(200).Map()["version"]; v != 4.0 {
		t.Errorf("a refused undo made version %v", v)
	}
	if got := conflicts(t, ann.Post(main+"/revert", undo(1))); !strings.Contains(got, "/objects/"+id+"/body/title@3") {
		t.Error(got)
	}
	ann.Patch(main, patchOf(remove("/objects/"+id))).Want(200) // 5
	if got := conflicts(t, ann.Post(main+"/revert", undo(3))); !strings.Contains(got, "/objects/"+id+"@5") {
		t.Error(got)
	}
	// What has been made and removed again needs no undoing.
	if v := ann.Post(main+"/revert", undo(1, 2, 3, 4)).Version(); v != 5 {
		t.Errorf("version %d", v)
	}
}

func TestUndoOfARemovalBringsBackAllThatWentWithIt(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, bob, eve := member(s, "ann", "acme"), member(s, "bob", "acme"), member(s, "eve", "evil")
	folder, doc, other, edge := newID(), newID(), newID(), newID()
	ann.Patch(main, patchOf(op("add", "/objects/"+folder, m{"type": "Folder", "body": m{"name": "f"}}))).Want(200)
	ann.Patch(main, patchOf(op("add", "/objects/"+doc, m{"type": "Doc", "body": m{"text": "t"}}), addEdge(edge, "folder", doc, folder))).Want(200)
	before := ann.Get(main + "/objects/" + doc).Want(200).Map()
	ann.Patch(main, patchOf(remove("/objects/"+folder))).Want(200)
	ann.Get(main + "/objects/" + doc).WantCode(graph.CodeNotFound) // cascaded

	eve.Post(main+"/revert", undo(3)).WantCode(graph.CodeNotFound)
	bob.Post(main+"/revert", undo(3)).WantCode(graph.CodeForbidden) // may read, could not have removed it
	ann.Post(main+"/revert", undo(3)).Want(200)
	after := ann.Get(main + "/objects/" + doc).Want(200).Map()
	if fmt.Sprint(after["body"]) != fmt.Sprint(before["body"]) || fmt.Sprint(after["access"]) != fmt.Sprint(before["access"]) {
		t.Errorf("%v\n%v", before, after)
	}
	meta, old := after["meta"].(m), before["meta"].(m)
	if meta["createdAt"] != old["createdAt"] || meta["createdBy"] != old["createdBy"] || meta["createdVersion"] != old["createdVersion"] || meta["version"] != 4.0 {
		t.Errorf("%v\n%v", old, meta)
	}
	ann.Get(main + "/edges/" + edge).Want(200)
	bob.Get(main + "/objects/" + doc).Want(200)
	if g := s.Admin().Get(main).Want(200).Map(); g["objects"] != 2.0 || g["edges"] != 1.0 {
		t.Errorf("%v", g)
	}
	// Alive again, it can be changed, removed, and brought back once more.
	ann.Patch(main+"/objects/"+doc, patchOf(op("replace", "/body/text", "u"))).Want(200)
	ann.Patch(main, patchOf(remove("/objects/"+doc))).Want(200)
	ann.Post(main+"/revert", undo(6)).Want(200)
	if got := ann.Get(main + "/objects/" + doc).Want(200).Map()["body"].(m)["text"]; got != "u" {
		t.Error(got)
	}
	// Users cannot take an old id by themselves.
	ann.Patch(main, patchOf(remove("/objects/"+doc))).Want(200)
	ann.Patch(main, patchOf(op("add", "/objects/"+doc, m{"type": "Doc", "body": m{}}), addEdge(newID(), "folder", doc, folder))).WantCode(graph.CodeExists)
	// The far end has gone since.
	ann.Patch(main, patchOf(remove("/objects/"+folder))).Want(200) // 9
	if got := conflicts(t, ann.Post(main+"/revert", undo(8))); got != "/objects/"+folder+"@9" {
		t.Error(got)
	}
	// Others have linked to what is to go.
	a, b := newID(), newID()
	v := ann.Patch(main, patchOf(addNote(a, "a"))).Version()
	ann.Patch(main, patchOf(addNote(b, "b"), addEdge(other, "link", b, a))).Want(200)
	if got := conflicts(t, ann.Post(main+"/revert", undo(v))); got != fmt.Sprintf("/edges/%s@%d", other, v+1) {
		t.Error(got)
	}
	ann.Post(main+"/revert", undo(v, v+1)).Want(200)
	ann.Get(main + "/objects/" + a).WantCode(graph.CodeNotFound)
}

// What an undo would bring back may be in the way of what it takes away, or of
// what stands there now: each is a conflict, and coming again would not help.
func TestUndoTellsOfEdgesThatCannotComeBack(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.As("ann")
	a, b, edge, again := newID(), newID(), newID(), newID()
	ann.Patch(main, patchOf(addNote(a, "a"))).Want(200)
	v := ann.Patch(main, patchOf(addNote(b, "b"))).Version()
	ann.Patch(main, patchOf(addEdge(edge, "link", b, a))).Want(200) // v+1
	ann.Patch(main, patchOf(remove("/edges/"+edge))).Want(200)      // v+2
	if got := conflicts(t, ann.Post(main+"/revert", undo(v, v+2))); got != fmt.Sprintf("/edges/%s@%d", edge, v+1) {
		t.Errorf("its end goes: %s", got)
	}
	ann.Patch(main, patchOf(addEdge(again, "link", b, a))).Want(200) // v+3
	if got := conflicts(t, ann.Post(main+"/revert", undo(v+2))); got != fmt.Sprintf("/edges/%s@%d", again, v+3) {
		t.Errorf("others have made the same since: %s", got)
	}
	ann.Post(main+"/revert", undo(v+2, v+3)).Want(200)
	ann.Get(main + "/edges/" + edge).Want(200)
}

func TestUndoByMutationGroupAndCause(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, bob, id, group := s.As("ann"), s.As("bob"), newID(), newID()
	obj := main + "/objects/" + id
	ann.Patch(main, patchOf(addShared(id, "0", "ann", "bob"))).Want(200)
	grouped := ann.Header("Graphtide-Group: " + group)
	grouped.Header("Idempotency-Key: first").Patch(obj, patchOf(op("add", "/body/text", "1"))).Want(200)
	grouped.Patch(obj, patchOf(op("add", "/body/n", 1))).Want(200)
	// A rule answered version 2 and its own answer.
	byRun := func(cause graph.Version, patch string) graph.Version {
		t.Helper()
		r, err := s.Pipeline.Submit(t.Context(), "main", &graph.Mutation{Patch: []byte(patch), Author: graph.Principal{User: "run:x", Admin: true, Graphs: []string{"main"}},
			Cause: graph.Cause{Kind: graph.CauseRun, Version: cause, Run: newID()}, Depth: 1})
		if err != nil {
			t.Fatal(err)
		}
		return r.Version
	}
	four := byRun(2, patchOf(op("add", "/objects/"+id+"/body/tags", []string{"from a rule"})))
	byRun(four, patchOf(op("add", "/objects/"+id+"/body/tags/-", "from its rule")))

	bob.Post(main+"/revert", `{"mutation":"first"}`).WantCode(graph.CodeForbidden)
	ann.Post(main+"/revert", `{"mutation":"none"}`).WantCode(graph.CodeNotFound)
	ann.Post(main+"/revert", `{"group":"`+newID()+`"}`).WantCode(graph.CodeNotFound)
	ann.Post(main+"/revert", `{"mutation":"first","caused":true}`).Want(200)
	if body := ann.Get(obj).Want(200).Map()["body"].(m); fmt.Sprint(body) != "map[n:1 title:0]" {
		t.Errorf("%v", body)
	}
	ann.Post(main+"/revert", undo(6)).Want(200)
	dry := ann.Post(main+"/revert?dryRun=true", undo(3)).Want(200).Map()
	if dry["ok"] != true || fmt.Sprint(dry["objects"].(m)[id].(m)["body"]) != "map[tags:[from a rule from its rule] text:1 title:0]" {
		t.Errorf("%v", dry)
	}
	// All is as the group left it: that it was undone meanwhile is in nobody's way.
	ann.Post(main+"/revert", `{"group":"`+strings.ToUpper(group)+`"}`).Want(200)
	if body := ann.Get(obj).Want(200).Map()["body"].(m); fmt.Sprint(body) != "map[tags:[from a rule from its rule] title:0]" {
		t.Errorf("%v", body)
	}
}

func TestUndoNeedsRightsAndTellsNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, bob, shared, secret := s.As("ann"), s.As("bob"), newID(), newID()
	ann.Patch(main, patchOf(addShared(shared, "x", "ann", "bob"))).Want(200)
	ann.Header("Idempotency-Key: hidden").Patch(main, patchOf(addNote(secret, "canary"), op("replace", "/objects/"+shared+"/body/title", "y"))).Want(200)
	ann.Patch(main+"/objects/"+shared, patchOf(op("add", "/access/read/users/carl", true))).Want(200)
	ann.Patch(main+"/objects/"+shared, patchOf(op("add", "/access/read/users/dora", true))).Want(200)
	same(t, "a hidden mutation", bob.Post(main+"/revert", `{"mutation":"hidden"}`), bob.Post(main+"/revert", `{"mutation":"absent"}`), "", "")
	same(t, "a hidden version", bob.Post(main+"/revert", undo(2)), bob.Post(main+"/revert", `{"mutation":"absent"}`), "", "")
	a := bob.Post(main+"/revert", undo(3)).WantCode(graph.CodeForbidden)
	if strings.Contains(string(a.Body), "carl") || a.Map()["right"] != "manage" {
		t.Errorf("%s", a.Body)
	}
	ann.Post(main+"/revert", undo(3)).Want(200)
	if access := fmt.Sprint(ann.Get(main + "/objects/" + shared).Want(200).Map()["access"]); strings.Contains(access, "carl") || !strings.Contains(access, "dora") {
		t.Error(access)
	}
}

func TestUndoOfManyGoesBeyondATransactionsBounds(t *testing.T) {
	t.Parallel()
	s := testserver.New(t, testserver.Options{Schema: testSchema})
	ann, folder := member(s, "ann", "acme"), newID()
	ann.Patch(main, patchOf(op("add", "/objects/"+folder, m{"type": "Folder", "body": m{}}))).Want(200)
	for range 3 {
		var ops []string
		for range 400 {
			doc := newID()
			ops = append(ops, op("add", "/objects/"+doc, m{"type": "Doc", "body": m{}}), addEdge(newID(), "folder", doc, folder))
		}
		ann.Patch(main, patchOf(ops...)).Want(200)
	}
	v := ann.Patch(main, patchOf(remove("/objects/"+folder))).Version()
	if n := s.Admin().Get(main).Map()["objects"]; n != 0.0 {
		t.Fatalf("%v objects are left", n)
	}
	ann.Post(main+"/revert", undo(v)).Want(200)
	if g := s.Admin().Get(main).Map(); g["objects"] != 1201.0 || g["edges"] != 1200.0 {
		t.Errorf("%v", g)
	}
}

func TestUndoRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.As("ann")
	ann.Patch(main, patchOf(addNote(newID(), "x"))).Want(200)
	for body, code := range map[string]graph.Code{
		``:                                graph.CodeInvalidJSON,
		`[]`:                              graph.CodeInvalidPatch,
		`{}`:                              graph.CodeInvalidPatch,
		`null`:                            graph.CodeInvalidPatch,
		`{"versions":[]}`:                 graph.CodeInvalidVersion,
		`{"versions":[0]}`:                graph.CodeInvalidVersion,
		`{"versions":[-1]}`:               graph.CodeInvalidVersion,
		`{"versions":[1.5]}`:              graph.CodeInvalidVersion,
		`{"versions":["x"]}`:              graph.CodeInvalidVersion,
		`{"versions":["1"]}`:              graph.CodeInvalidVersion,
		`{"versions":1}`:                  graph.CodeInvalidVersion,
		`{"versions":[2]}`:                graph.CodeInvalidVersion,
		`{"versions":[1],"mutation":"x"}`: graph.CodeInvalidPatch,
		`{"mutation":7}`:                  graph.CodeInvalidPatch,
		`{"mutation":""}`:                 graph.CodeInvalidPatch,
		`{"group":"x"}`:                   graph.CodeInvalidID,
		`{"versions":[1],"caused":"x"}`:   graph.CodeInvalidPatch,
	} {
		if a := ann.Post(main+"/revert", body); a.Status == http.StatusOK {
			t.Errorf("%s: %s", body, a.Body)
		} else {
			a.WantCode(code)
		}
	}
	ann.Header("Idempotency-Key: k").Patch(main, patchOf(addNote(newID(), "x"))).Want(200)
	ann.Header("Idempotency-Key: k").Post(main+"/revert", undo(1)).WantCode(graph.CodeMutationConflict)
}
