package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/testserver"
	"github.com/graphtide/graphtide/server"
	"github.com/graphtide/graphtide/server/auth"
)

func TestTransactionIsAnsweredWithItsVersion(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, id := s.As("ann"), newID()
	a := ann.Header("Idempotency-Key: k1").Patch(main, patchOf(addNote(id, "one"))).Want(200)
	if got := string(a.Body); got != `{"graph":"main","version":1,"mutation":"k1","replayed":false}` {
		t.Error(got)
	}
	if a.Header.Get("ETag") != `"1"` {
		t.Errorf("ETag %s", a.Header.Get("ETag"))
	}
	a = ann.Header("Idempotency-Key: k1").Patch(main, patchOf(addNote(id, "one"))).Want(200)
	if got := string(a.Body); got != `{"graph":"main","version":1,"mutation":"k1","replayed":true}` {
		t.Error(got)
	}
	ann.Header("Idempotency-Key: k1").Patch(main, patchOf(addNote(newID(), "two"))).WantCode(graph.CodeMutationConflict)
	if v := ann.Patch(main, "[]").Version(); v != 1 {
		t.Errorf("a transaction without effect is answered with version %d", v)
	}
}

func TestEntityIsReadAndPatchedByItself(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, a, b, e := s.As("ann"), newID(), newID(), newID()
	ann.Patch(main, patchOf(addNote(a, "a"), addNote(b, "b"), addEdge(e, "link", a, b))).Want(200)

	got := ann.Get(main + "/objects/" + a).Want(200)
	if keys(t, got.Body) != "access body id meta type" || got.Map()["id"] != a || got.Header.Get("ETag") != `"1"` {
		t.Errorf("%s %s", got.Header, got.Body)
	}
	edge := ann.Get(main + "/edges/" + e).Want(200)
	if keys(t, edge.Body) != "body from id label meta to" || edge.Map()["from"] != a || edge.Map()["to"] != b {
		t.Errorf("%s", edge.Body)
	}
	if upper := ann.Get(main + "/objects/" + strings.ToUpper(a)).Want(200); string(upper.Body) != string(got.Body) {
		t.Error("the case of an id counts")
	}
	ann.Get(main + "/objects/x").WantCode(graph.CodeInvalidID)
	if v := ann.Header(`If-Match: "1"`).Patch(main+"/objects/"+a, patchOf(op("replace", "/body/title", "A"))).Version(); v != 2 {
		t.Errorf("version %d", v)
	}
	ann.Header(`If-Match: "1"`).Patch(main+"/objects/"+a, patchOf(op("replace", "/body/title", "B"))).WantCode(graph.CodeVersionMismatch)
	ann.Header(`If-Match: W/"2"`).Patch(main+"/objects/"+a, patchOf(op("replace", "/body/title", "B"))).WantCode(graph.CodeVersionMismatch)
	if p := ann.Header(`If-Match: "abc"`).Patch(main+"/objects/"+a, "[]").WantCode(graph.CodeVersionMismatch).Map(); strings.Contains(fmt.Sprint(p["detail"]), "-1") || !strings.Contains(fmt.Sprint(p["detail"]), `"2"`) {
		t.Errorf("%v", p)
	}
	ann.Header(`If-Match: 2`).Patch(main+"/objects/"+a, patchOf(op("replace", "/body/title", "B"))).WantCode(graph.CodeInvalidVersion)
	ann.Header(`If-Match: "9", "2"`).Patch(main+"/objects/"+a, patchOf(op("replace", "/body/title", "B"))).Want(200)
	ann.Header(`If-Match: *`).Patch(main+"/objects/"+a, patchOf(op("replace", "/body/title", "C"))).Want(200)
	ann.Header(`If-Match: "4"`).Patch(main, "[]").WantCode(graph.CodeInvalidVersion)

	now := ann.Get(main + "/objects/" + a).Want(200)
	if now.Header.Get("ETag") != `"4"` || now.Map()["body"].(m)["title"] != "C" {
		t.Errorf("%s", now.Body)
	}
	if r := ann.Header(`If-None-Match: "4"`).Get(main + "/objects/" + a).Want(304); len(r.Body) != 0 || r.Header.Get("ETag") != `"4"` {
		t.Errorf("%s %q", r.Header, r.Body)
	}
	ann.Header(`If-None-Match: "1"`).Get(main + "/objects/" + a).Want(200)
}

func TestALoadOfThePastHasObjectsOfTypesThatAreGone(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	root := s.Admin()
	const old = "\n  Old: {open: true, access: {read: [public]}}\n  Older: {extends: Old}\n"
	root.Put("/v1/schema", strings.Replace(testSchema, "types:\n", "types:"+old, 1)).Want(200)
	o, p, n := newID(), newID(), newID()
	at := root.Patch(main, patchOf(add(o, "Old"), add(p, "Older"), addNote(n, "one"))).Version()
	root.Patch(main, patchOf(remove("/objects/"+o), remove("/objects/"+p))).Want(200)
	loaded := func(typ string) (ids int) {
		t.Helper()
		res := root.Post(fmt.Sprintf("%s/load?at=%d", main, at), `{"root":{"type":"`+typ+`"}}`).Want(200).Map()
		return len(res["objects"].(m))
	}
	if got := []int{loaded("Object"), loaded("Old"), loaded("Older"), loaded("Note")}; !slices.Equal(got, []int{3, 2, 1, 1}) {
		t.Errorf("before: %v", got)
	}
	root.Put("/v1/schema", testSchema).Want(200)
	if got := []int{loaded("Object"), loaded("Old"), loaded("Older"), loaded("Note"), loaded("Never")}; !slices.Equal(got, []int{3, 1, 1, 1, 0}) {
		t.Errorf("after: %v", got)
	}
}

func TestThePastOfAnEntityCanBeRead(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, a, b, e := s.As("ann"), newID(), newID(), newID()
	ann.Patch(main, patchOf(addNote(a, "one"), addNote(b, "b"))).Want(200)
	ann.Patch(main, patchOf(op("replace", "/objects/"+a+"/body/title", "two"), addEdge(e, "link", a, b))).Want(200)
	ann.Patch(main, patchOf(remove("/objects/"+a))).Want(200)

	ann.Get(main + "/objects/" + a).WantCode(graph.CodeNotFound)
	for at, title := range map[string]string{"1": "one", "2": "two"} {
		if got := ann.Get(main + "/objects/" + a + "?at=" + at).Want(200).Map()["body"].(m)["title"]; got != title {
			t.Errorf("at %s: %v", at, got)
		}
	}
	ann.Get(main + "/objects/" + a + "?at=0").WantCode(graph.CodeNotFound)
	ann.Get(main + "/objects/" + a + "?at=3").WantCode(graph.CodeNotFound)
	ann.Get(main + "/objects/" + a + "?at=4").WantCode(graph.CodeInvalidVersion)
	for _, bad := range []string{"", "-1", "1.0", "x", "01", "9223372036854775808"} {
		ann.Get(main + "/objects/" + a + "?at=" + bad).WantCode(graph.CodeInvalidVersion)
	}
	ann.Get(main + "/edges/" + e + "?at=2").Want(200)
	ann.Get(main + "/edges/" + e + "?at=1").WantCode(graph.CodeNotFound)
	ann.Get(main + "/edges/" + e).WantCode(graph.CodeNotFound)

	type entry struct {
		Version  graph.Version `json:"version"`
		By       string        `json:"by"`
		Mutation string        `json:"mutation"`
		Deleted  bool          `json:"deleted"`
		Entity   m             `json:"entity"`
		Patch    []m           `json:"patch"`
		Cause    m             `json:"cause"`
	}
	var h struct{ Entries []entry }
	ann.Get(main + "/objects/" + a + "/history").Want(200).JSON(&h)
	if len(h.Entries) != 3 || h.Entries[0].Version != 3 || !h.Entries[0].Deleted || h.Entries[0].Entity != nil ||
		h.Entries[1].Entity["body"].(m)["title"] != "two" || len(h.Entries[1].Patch) != 1 || h.Entries[2].Version != 1 ||
		h.Entries[0].By != "ann" || h.Entries[0].Mutation == "" || h.Entries[0].Cause["kind"] != "client" {
		t.Errorf("%+v", h.Entries)
	}
	ann.Get(main + "/objects/" + a + "/history?limit=1&before=3").Want(200).JSON(&h)
	if len(h.Entries) != 1 || h.Entries[0].Version != 2 {
		t.Errorf("%+v", h.Entries)
	}
	ann.Get(main + "/edges/" + e + "/history").Want(200).JSON(&h)
	if len(h.Entries) != 2 || !h.Entries[0].Deleted || h.Entries[1].Entity["label"] != "link" {
		t.Errorf("%+v", h.Entries)
	}
	ann.Get(main + "/objects/" + a + "/history?limit=0").WantCode(graph.CodeInvalidQuery)
	ann.Get(main + "/objects/" + a + "/history?limit=x").WantCode(graph.CodeInvalidQuery)
	ann.Get(main + "/objects/" + a + "/history?before=0").WantCode(graph.CodeInvalidVersion)
}

func TestLoadAnswersInOneRoundTrip(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, a, b, e := s.As("ann"), newID(), newID(), newID()
	ann.Patch(main, patchOf(addNote(a, "a"), addNote(b, "b"), addEdge(e, "link", a, b))).Want(200)
	ann.Patch(main+"/objects/"+b, patchOf(op("replace", "/body/title", "B"))).Want(200)

	type page struct {
		Graph, Epoch string
		Version      graph.Version
		Roots        []string
		Objects      map[string]m
		Edges        map[string]m
	}
	var p page
	got := ann.Post(main+"/load", `{"root":"`+a+`","out":{"link":{}}}`).Want(200).JSON(&p)
	if keys(t, got.Body) != "edges epoch graph objects roots version" || p.Graph != "main" || p.Epoch == "" || p.Version != 2 ||
		len(p.Roots) != 1 || p.Roots[0] != a || len(p.Objects) != 2 || len(p.Edges) != 1 || p.Objects[b]["body"].(m)["title"] != "B" {
		t.Errorf("%s", got.Body)
	}
	if _, shown := p.Objects[a]["access"]; shown {
		t.Error("a load shows access")
	}
	named := ann.Post(main+"/load", `{"name":"Linked","args":{"id":"`+a+`"}}`).Want(200)
	if string(named.Body) != string(got.Body) {
		t.Errorf("by name: %s", named.Body)
	}
	var old page
	ann.Post(main+"/load?at=1", `{"root":"`+a+`","out":{"link":{}}}`).Want(200).JSON(&old)
	if old.Version != 1 || old.Objects[b]["body"].(m)["title"] != "b" {
		t.Errorf("%+v", old)
	}
	ann.Post(main+"/load?at=3", `{"root":"`+a+`"}`).WantCode(graph.CodeInvalidVersion)
	ann.Post(main+"/load", `{"root":"`+newID()+`"}`).WantCode(graph.CodeNotFound)
	var none page
	s.As("bob").Post(main+"/load", `{"root":{"type":"Note"}}`).Want(200).JSON(&none)
	if len(none.Roots) != 0 || none.Roots == nil || none.Objects == nil || none.Edges == nil {
		t.Errorf("%+v", none)
	}
	for body, code := range map[string]graph.Code{
		``:                                     graph.CodeInvalidJSON,
		`{`:                                    graph.CodeInvalidJSON,
		`{"root":"` + a + `"} x`:               graph.CodeInvalidJSON,
		`{"root":"` + a + `","root":"x"}`:      graph.CodeInvalidJSON,
		"{\"root\":\"\xff\"}":                  graph.CodeInvalidJSON,
		`{"root":"\u0000"}`:                    graph.CodeInvalidJSON,
		`[]`:                                   graph.CodeInvalidProjection,
		`null`:                                 graph.CodeInvalidProjection,
		`{}`:                                   graph.CodeInvalidProjection,
		`{"root":"x"}`:                         graph.CodeInvalidID,
		`{"name":7}`:                           graph.CodeInvalidProjection,
		`{"name":"Nothing"}`:                   graph.CodeInvalidProjection,
		`{"name":"Linked","root":"` + a + `"}`: graph.CodeInvalidProjection,
		strings.Repeat(`[`, 5000):              graph.CodeTooLarge,
	} {
		ann.Post(main+"/load", body).WantCode(code)
	}
}

func TestEdgesAreFollowedToManyLevels(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, a, b := s.As("ann"), newID(), newID()
	ann.Patch(main, patchOf(addNote(a, "a"), addNote(b, "b"), addEdge(newID(), "link", a, b))).Want(200)
	there := func(pairs int) string {
		return `{"root":"` + a + `"` + strings.Repeat(`,"out":{"link":{"in":{"link":{"limit":7`, pairs) + strings.Repeat(`}}}}`, pairs) + "}"
	}
	var p struct{ Objects, Edges m }
	ann.Post(main+"/load", there(graph.MaxProjectionDepth/2)).Want(200).JSON(&p)
	if len(p.Objects) != 2 || len(p.Edges) != 1 {
		t.Errorf("%v", p)
	}
	for body, limit := range map[string]string{
		there(graph.MaxProjectionDepth/2 + 1): "projectionDepth",
		there(1000):                           "projectionNesting",
		`{"root":{"type":"Note","where":` + strings.Repeat(`{"not":`, 40) + "{}" + strings.Repeat("}", 40) + "}}": "projectionConditionDepth",
	} {
		var told struct{ Limit string }
		ann.Post(main+"/load", body).WantCode(graph.CodeTooLarge).JSON(&told)
		if told.Limit != limit {
			t.Errorf("the limit is %q, want %q", told.Limit, limit)
		}
	}
}

func TestGraphsAreMadeListedAndDeletedByWhoGoverns(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	root := s.Admin()
	local := s.With(auth.Claims{User: "loc", Graphs: []string{"main", "team-*"}, Admin: true})

	a := root.Put("/v1/graphs/team-a", "").Want(201)
	if keys(t, a.Body) != "edges epoch name objects version" || a.Map()["version"] != 0.0 || a.Header.Get("Location") != "/v1/graphs/team-a" {
		t.Errorf("%s", a.Body)
	}
	epoch := a.Map()["epoch"]
	if again := root.Put("/v1/graphs/team-a", "").Want(200); again.Map()["epoch"] != epoch {
		t.Error("a graph that exists has been made anew")
	}
	root.Put("/v1/graphs/other", "").Want(201)
	names := func(c *testserver.Client) string {
		var l struct{ Graphs []struct{ Name string } }
		c.Get("/v1/graphs").Want(200).JSON(&l)
		var out []string
		for _, g := range l.Graphs {
			out = append(out, g.Name)
		}
		return strings.Join(out, " ")
	}
	for who, want := range map[*testserver.Client]string{
		root: "main other team-a", local: "main team-a", s.As("ann"): "main", s.With(auth.Claims{User: "x", Graphs: []string{}}): "",
	} {
		if got := names(who); got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
	local.Put("/v1/graphs/team-b", "").WantCode(graph.CodeForbidden)
	local.Delete("/v1/graphs/team-a").WantCode(graph.CodeForbidden)
	s.As("ann").Delete("/v1/graphs/main").WantCode(graph.CodeForbidden)
	for _, bad := range []string{"Team", "-a", "a_b", strings.Repeat("a", 64), "a.b", "%C3%A4"} {
		root.Put("/v1/graphs/"+bad, "").WantCode(graph.CodeInvalidID)
		root.Get("/v1/graphs/" + bad).WantCode(graph.CodeNotFound)
	}
	root.Put("/v1/graphs/"+strings.Repeat("a", 63), "").Want(201)
	root.Delete("/v1/graphs/main").WantCode(graph.CodeRestricted)
	root.Delete("/v1/graphs/team-a").Want(204)
	root.Delete("/v1/graphs/team-a").WantCode(graph.CodeNotFound)
	root.Get("/v1/graphs/team-a").WantCode(graph.CodeNotFound)
	if again := root.Put("/v1/graphs/team-a", "").Want(201); again.Map()["epoch"] == epoch {
		t.Error("deleted and made again, it has the old epoch")
	}
	root.Patch("/v1/graphs/other", patchOf(addNote(newID(), "x"))).Want(200)
	if g := root.Get("/v1/graphs/other").Want(200).Map(); g["objects"] != 1.0 || g["version"] != 1.0 || g["name"] != "other" {
		t.Errorf("%v", g)
	}
}

func TestSchemaIsReadAndReplacedByWhoGoverns(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	root, ann := s.Admin(), s.As("ann")
	local := s.With(auth.Claims{User: "loc", Graphs: []string{"main"}, Admin: true})
	ann.Get("/v1/schema").WantCode(graph.CodeForbidden)
	local.Get("/v1/schema").Want(200)
	for _, c := range []*testserver.Client{ann, local} {
		c.Put("/v1/schema", testSchema).WantCode(graph.CodeForbidden)
	}
	client := ann.Get("/v1/schema?view=client").Want(200)
	if client.Map()["version"] != 1.0 || client.Map()["types"] == nil {
		t.Errorf("%s", client.Body)
	}
	ann.Get("/v1/schema?view=all").WantCode(graph.CodeInvalidQuery)
	js := root.Get("/v1/schema").Want(200)
	if js.Header.Get("Content-Type") != "application/json" || js.Map()["types"].(m)["Note"] == nil || js.Header.Get("ETag") != `"1"` {
		t.Errorf("%s %s", js.Header, js.Body)
	}
	root.Header(`If-None-Match: "1"`).Get("/v1/schema").Want(304)
	y := root.Header("Accept: application/yaml").Get("/v1/schema").Want(200)
	if y.Header.Get("Content-Type") != "application/yaml" || !strings.Contains(string(y.Body), "\ntypes:\n") {
		t.Errorf("%s %s", y.Header, y.Body)
	}
	// What GET gives, PUT takes.
	root.Put("/v1/schema?dryRun=true", string(y.Body)).Want(200)

	longer := strings.Replace(testSchema, "n: {type: number}", "n: {type: number}, extra: {type: string}", 1)
	longer = strings.Replace(longer, "      n: {type: number}, extra: {type: string}", "      n: {type: number}\n      extra: {type: string}", 1)
	dry := root.Put("/v1/schema?dryRun=true", longer).Want(200)
	if keys(t, dry.Body) != "count objects ok problems" || dry.Map()["ok"] != true {
		t.Errorf("%s", dry.Body)
	}
	put := root.Put("/v1/schema", longer).Want(200)
	if string(put.Body) != `{"problems":[],"version":2}` {
		t.Errorf("%s", put.Body)
	}
	root.Patch(main, patchOf(op("add", "/objects/"+newID(), m{"type": "Note", "body": m{"extra": "x"}}))).Want(200)
	inUse := root.Put("/v1/schema", testSchema).WantCode(graph.CodeSchemaInUse).Map()
	if inUse["count"] != 1.0 || len(inUse["objects"].([]any)) != 1 {
		t.Errorf("%v", inUse)
	}
	if dry := root.Put("/v1/schema?dryRun=true", testSchema).Want(200).Map(); dry["ok"] != false || dry["count"] != 1.0 {
		t.Errorf("%v", dry)
	}
	root.Put("/v1/schema", "types: [").WantCode(graph.CodeInvalidSchema)
	if dry := root.Put("/v1/schema?dryRun=true", "types: [").Want(200).Map(); dry["ok"] != false || len(dry["problems"].([]any)) == 0 {
		t.Errorf("%v", dry)
	}
	root.Header("Content-Type: text/plain").Put("/v1/schema", testSchema).WantCode(graph.CodeUnsupportedMedia)
	root.Header("Content-Type: application/json").Put("/v1/schema?dryRun=true", string(js.Body)).Want(200)
	for _, doc := range []string{testSchema, `{"graphtide":1,}`, `{'graphtide':1}`, `{"graphtide":1} # no comment`, ``} {
		root.Header("Content-Type: application/json").Put("/v1/schema", doc).WantCode(graph.CodeInvalidJSON)
	}
	root.Header("Content-Type: application/json").Put("/v1/schema", `{"graphtide":1,"graphtide":1}`).WantCode(graph.CodeInvalidSchema)
}

func TestDryRunTellsAndWritesNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, id := s.As("ann"), newID()
	dry := ann.Patch(main+"?dryRun=true", patchOf(addNote(id, "x"))).Want(200)
	if keys(t, dry.Body) != "edges objects ok problems rules" || dry.Map()["ok"] != true {
		t.Errorf("%s", dry.Body)
	}
	if o := dry.Map()["objects"].(m)[id].(m); o["body"].(m)["title"] != "x" || o["access"] == nil {
		t.Errorf("%v", o)
	}
	ann.Get(main + "/objects/" + id).WantCode(graph.CodeNotFound)
	bad := ann.Patch(main+"?dryRun=true", patchOf(op("add", "/objects/"+id, m{"type": "Note", "body": m{"title": 7}}))).Want(200).Map()
	if bad["ok"] != false || len(bad["problems"].([]any)) != 1 || len(bad["objects"].(m)) != 0 {
		t.Errorf("%v", bad)
	}
	ann.Patch(main+"?dryRun=yes", "[]").WantCode(graph.CodeInvalidQuery)
	if v := ann.Get(main).Want(200).Map()["version"]; v != 0.0 {
		t.Errorf("version %v", v)
	}
}

func TestMinVersionWaitsForWhatWasSeenElsewhere(t *testing.T) {
	t.Parallel()
	a := newServer(t)
	b := testserver.New(t, testserver.Options{Store: a.Store})
	if err := b.Live.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.As("ann").Get(main).Want(200) // the graph is open there
	for range 20 {
		id := newID()
		v := a.As("ann").Patch(main, patchOf(addNote(id, "x"))).Version()
		b.As("ann").Header("Graphtide-Min-Version: " + fmt.Sprint(v)).Get(main + "/objects/" + id).Want(200)
	}
	for _, bad := range []string{"21", "x", "-1", "", "1.0"} {
		b.As("ann").Header("Graphtide-Min-Version: " + bad).Get(main).WantCode(graph.CodeInvalidVersion)
	}
}

func TestEveryFaultIsAProblem(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.As("ann")
	for _, path := range []string{"/", "/v1", "/v2/graphs", "/v1/graphs/main/nothing", "/v1/graphs/main/objects", "/debug/pprof/", "/v1/graphs//log", "/console/"} {
		ann.Get(path).WantCode(graph.CodeNotFound)
	}
	for _, c := range []struct{ method, path, allow string }{
		{"POST", "/v1/graphs/main", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"},
		{"DELETE", "/v1/schema", "GET, HEAD, PUT, OPTIONS"},
		{"GET", "/v1/graphs/main/load", "POST, OPTIONS"},
		{"PUT", "/healthz", "GET, HEAD, OPTIONS"},
		{"TRACE", "/v1/graphs/main", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"},
		{"BREW", "/v1/graphs", "GET, HEAD, OPTIONS"},
	} {
		a := ann.Do(c.method, c.path, "", "").WantCode(graph.CodeMethodNotAllowed)
		if got := a.Header.Get("Allow"); got != c.allow {
			t.Errorf("%s %s: Allow %q, want %q", c.method, c.path, got, c.allow)
		}
		if o := ann.Do("OPTIONS", c.path, "", "").Want(204); o.Header.Get("Allow") != c.allow {
			t.Errorf("OPTIONS %s: Allow %q", c.path, o.Header.Get("Allow"))
		}
	}
	if a := s.Nobody().Get(main).WantCode(graph.CodeUnauthenticated); a.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Error("no WWW-Authenticate")
	}
	for _, path := range []string{"/v1/graphs/", "/v1/graphs/main/", "/healthz/", "/v1/graphs/main/log/"} {
		ann.Get(path).Want(200)
	}
	if a := ann.Do("HEAD", main, "", "").Want(200); len(a.Body) != 0 || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s", a.Header)
	}
	for _, path := range []string{"/healthz", main, "/v1/nothing", main + "/objects/x"} {
		h := ann.Get(path).Header
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Security-Policy") == "" || h.Get("X-Request-Id") == "" {
			t.Errorf("%s: %v", path, h)
		}
	}
	ann.Get(main + "/log?since=%zz").WantCode(graph.CodeInvalidQuery)
	ann.Get(main + "/log?since=0&since=1").WantCode(graph.CodeInvalidQuery)
	ann.Get(main + "/log?unknown=1").Want(200)
}

func TestBodiesAreRefusedBeforeTheyAreRead(t *testing.T) {
	t.Parallel()
	s := testserver.New(t, testserver.Options{Schema: testSchema, Server: server.Config{Limits: graph.Limits{TransactionBytes: 1000, SchemaBytes: 100}}})
	ann, root := s.As("ann"), s.Admin()
	for _, kind := range []string{"", "application/json", "text/plain", "application/merge-patch+json", "application/json-patch+json; charset=latin1", "nonsense;;"} {
		a := ann.Do("PATCH", main, kind, "[]").WantCode(graph.CodeUnsupportedMedia)
		if a.Header.Get("Accept-Patch") != "application/json-patch+json" {
			t.Errorf("%q: no Accept-Patch", kind)
		}
	}
	for _, kind := range []string{"application/json-patch+json; charset=UTF-8", "Application/JSON-Patch+JSON"} {
		ann.Do("PATCH", main, kind, "[]").Want(200)
	}
	ann.Header("Content-Encoding: gzip").Patch(main, "[]").WantCode(graph.CodeUnsupportedMedia)
	ann.Header("Content-Encoding: identity").Patch(main, "[]").Want(200)
	ann.Do("POST", main+"/load", "application/json-patch+json", "{}").WantCode(graph.CodeUnsupportedMedia)

	long := "[" + strings.Repeat(" ", 2000) + "]"
	if p := ann.Patch(main, long).WantCode(graph.CodeTooLarge).Map(); p["limit"] != "transactionBytes" {
		t.Errorf("%v", p)
	}
	// Without a length, too.
	r, err := http.NewRequestWithContext(t.Context(), "PATCH", s.URL+main, struct{ *strings.Reader }{strings.NewReader(long)})
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = -1
	r.Header = http.Header{"Authorization": {ann.Token()}, "Content-Type": {"application/json-patch+json"}}
	ann.Send(r).WantCode(graph.CodeTooLarge)
	if p := root.Put("/v1/schema", testSchema).WantCode(graph.CodeTooLarge).Map(); p["limit"] != "schemaBytes" {
		t.Errorf("%v", p)
	}
}
