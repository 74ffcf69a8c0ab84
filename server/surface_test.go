package server_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/internal/testserver"
	"github.com/graphtide/graphtide/server"
	"github.com/graphtide/graphtide/server/auth"
)

func TestPagesOfForeignOriginsGetNothing(t *testing.T) {
	t.Parallel()
	s := testserver.New(t, testserver.Options{Server: server.Config{AllowedOrigins: []string{"https://app.example.com"}}})
	ann := s.As("ann")
	for origin, allowed := range map[string]bool{
		"https://app.example.com": true, "http://app.example.com": false, "https://evil.test": false, "null": false,
	} {
		c := ann.Header("Origin: " + origin)
		got := c.Get(main).Want(200).Header
		if (got.Get("Access-Control-Allow-Origin") == origin) != allowed || got.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", origin, got)
		}
		if !slices.Contains(got.Values("Vary"), "Origin") {
			t.Errorf("%s: Vary %v", origin, got.Values("Vary"))
		}
		pre := s.Nobody().Header("Origin: "+origin, "Access-Control-Request-Method: PATCH", "Access-Control-Request-Headers: idempotency-key").
			Do("OPTIONS", main, "", "").Want(204).Header
		if (pre.Get("Access-Control-Allow-Origin") == origin) != allowed || strings.Contains(pre.Get("Access-Control-Allow-Headers"), "Idempotency-Key") != allowed ||
			strings.Contains(pre.Get("Access-Control-Allow-Methods"), "PATCH") != allowed {
			t.Errorf("%s: %v", origin, pre)
		}
		if allowed && !strings.Contains(got.Get("Access-Control-Expose-Headers"), "ETag") {
			t.Errorf("%v", got)
		}
	}
	// Refusals carry the headers too, or the page could not read them.
	if h := s.Nobody().Header("Origin: https://app.example.com").Get(main).WantCode(graph.CodeUnauthenticated).Header; h.Get("Access-Control-Allow-Origin") == "" {
		t.Error("a page of ours cannot read why it was refused")
	}
}

func TestForeignPageCannotUseRightsWithoutToken(t *testing.T) {
	t.Parallel()
	s := testserver.New(t, testserver.Options{Server: server.Config{Dev: true}, Auth: auth.Config{Dev: true}})
	s.Nobody().Patch(main, "[]").Want(200)
	s.Nobody().Header("Origin: "+s.URL).Patch(main, "[]").Want(200)
	s.Nobody().Header("Origin: http://localhost:5173").Patch(main, "[]").Want(200)
	for _, origin := range []string{"https://evil.test", "null", "http://localhost.evil.test"} {
		s.Nobody().Header("Origin: "+origin).Patch(main, "[]").WantCode(graph.CodeForbidden)
		s.Nobody().Header("Origin: "+origin).Do("PUT", "/v1/graphs/evil", "", "").WantCode(graph.CodeForbidden)
	}
	// A name that leads here from outside: DNS rebinding.
	for host, status := range map[string]int{"evil.test": 403, "localhost:80": 200, "127.0.0.1": 200, "[::1]:7": 200, "localhost.evil.test": 403, "127.0.0.1.evil.test": 403, "0.0.0.0": 403} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+main, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		if a := s.Nobody().Send(r); a.Status != status {
			t.Errorf("Host %s: %d", host, a.Status)
		}
	}
	if who := s.Nobody().Get("/v1/graphs").Want(200); !strings.Contains(string(who.Body), `"main"`) {
		t.Errorf("%s", who.Body)
	}
}

func TestAnonymousReadsWhatIsPublic(t *testing.T) {
	t.Parallel()
	s := testserver.New(t, testserver.Options{Schema: testSchema, Auth: auth.Config{Anonymous: true}})
	open, closed := newID(), newID()
	s.As("ann").Patch(main, patchOf(op("add", "/objects/"+open, m{"type": "Note", "body": m{}, "access": m{"read": m{"public": true}}}), addNote(closed, "x"))).Want(200)
	s.Nobody().Get(main + "/objects/" + open).Want(200)
	s.Nobody().Get(main + "/objects/" + closed).WantCode(graph.CodeNotFound)
	s.Nobody().Patch(main, patchOf(addNote(newID(), "x"))).WantCode(graph.CodeForbidden)
	s.Nobody().Get("/v1/schema").WantCode(graph.CodeForbidden)
	s.Nobody().Get("/v1/graphs/other").WantCode(graph.CodeNotFound)
}

// Who has no name has the same one, an empty text, wherever it is told who wrote.
func TestAnAnonymousWriterIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	s := testserver.New(t, testserver.Options{Schema: testSchema, Auth: auth.Config{Anonymous: true}})
	o := newID()
	all := m{"public": true}
	s.As("ann").Patch(main, patchOf(op("add", "/objects/"+o, m{"type": "Note", "body": m{}, "access": m{"read": all, "write": all}}))).Want(200)
	s.Nobody().Patch(main, patchOf(op("add", "/objects/"+o+"/body/title", "x"))).Want(200)
	object := s.Nobody().Get(main + "/objects/" + o).Want(200).Map()
	history := s.Admin().Get(main + "/objects/" + o + "/history?limit=1").Want(200).Map()["entries"].([]any)[0].(m)
	log := s.Admin().Get(main + "/log?since=1").Want(200).Map()["commits"].([]any)[0].(m)
	for place, by := range map[string]any{
		"meta": object["meta"].(m)["updatedBy"], "history": history["by"], "its entity": history["entity"].(m)["meta"].(m)["updatedBy"], "log": log["by"],
	} {
		if by != "" {
			t.Errorf("%s: written by %v", place, by)
		}
	}
}

func TestUserIsHeldToHisRate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := testserver.New(t, testserver.Options{Server: server.Config{Rate: 2, RateBurst: 3}, Deps: func(d *server.Deps) {
		d.Clock = func() time.Time { return now }
	}})
	for range 3 {
		s.As("ann").Get(main).Want(200)
	}
	a := s.As("ann").Get(main).WantCode(graph.CodeRateLimited)
	if a.Header.Get("Retry-After") != "1" || a.Map()["retryAfterMs"] != 500.0 {
		t.Errorf("%v %s", a.Header, a.Body)
	}
	s.As("bob").Get(main).Want(200)
	s.Nobody().Get("/healthz").Want(200)
}

func TestRunTokenActsInItsGraphAlone(t *testing.T) {
	t.Parallel()
	runs := &fakeRuns{}
	var asked *graph.Mutation
	s := testserver.New(t, testserver.Options{Schema: testSchema, Auth: auth.Config{Runs: runs}, Deps: func(d *server.Deps) {
		d.Runs = runs
		d.Submitter = fakeSubmitter{submit: func(_ context.Context, m *graph.Mutation) (graph.Receipt, error) {
			asked = m
			return graph.Receipt{Graph: "main", Version: 1}, nil
		}}
	}})
	s.Admin().Put("/v1/graphs/other", "").Want(201)
	run := s.Nobody().Header("Authorization: Bearer " + runToken)
	run.Patch(main, "[]").Want(200)
	if asked.Author.User != "run:"+runID || asked.Cause.Run != runID || asked.Fence == nil || asked.Fence.Attempt != 2 || asked.Depth != 1 || !asked.ReplayAny {
		t.Errorf("%+v", asked)
	}
	run.Get("/v1/graphs/other").WantCode(graph.CodeUnauthenticated)
	run.Get("/v1/graphs").WantCode(graph.CodeUnauthenticated)
	run.Put("/v1/schema", "x").WantCode(graph.CodeUnauthenticated)
	run.Post(main+"/runs/1/report", `{"status":{"message":"half"}}`).Want(200)
	s.As("ann").Post(main+"/runs/1/report", `{}`).Want(200)
	run.Post(main+"/runs/1/report", `{"a":1,"a":2}`).WantCode(graph.CodeInvalidJSON)
	if got := runs.seen(); !slices.Equal(got, []string{`report by run {"status":{"message":"half"}} main 1`, `report by user {} main 1`}) {
		t.Errorf("%q", got)
	}
}

func TestRunsAreAskedOfPostProcessing(t *testing.T) {
	t.Parallel()
	runs := &fakeRuns{}
	s := testserver.New(t, testserver.Options{Schema: testSchema, Deps: withRuns(runs)})
	ann := s.As("ann")
	if a := ann.Get(main + "/runs?state=dead&rule=r").Want(200); string(a.Body) != `{"runs":[]}` {
		t.Errorf("%s", a.Body)
	}
	ann.Get(main + "/runs?state=sleeping").WantCode(graph.CodeInvalidQuery)
	ann.Get(main + "/runs/1").Want(200)
	ann.Get(main + "/runs/2").WantCode(graph.CodeNotFound)
	ann.Post(main+"/runs/1/retry", "").Want(200)
	ann.Post(main+"/runs/1/cancel", "").Want(200)
	if got := runs.seen(); !slices.Equal(got, []string{"list main ann dead r", "get main 1", "get main 2", "retry main 1", "cancel main 1"}) {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{"0", "x", "-1", "99"} {
		ann.Get(main + "/trace/" + bad).WantCode(graph.CodeInvalidVersion)
	}
	ann.Patch(main, patchOf(addNote(newID(), "x"))).Want(200)
	if a := ann.Get(main + "/trace/1").Want(200); a.Map()["graph"] != "main" {
		t.Errorf("%s", a.Body)
	}
}

func TestFaultsOfOursStayInTheLog(t *testing.T) {
	t.Parallel()
	var fail func() error
	s := testserver.New(t, testserver.Options{Deps: func(d *server.Deps) {
		d.Submitter = fakeSubmitter{submit: func(context.Context, *graph.Mutation) (graph.Receipt, error) { return graph.Receipt{}, fail() }}
	}})
	canary := "dial tcp 10.0.0.7:5432: password=hunter2"
	fail = func() error { return errors.New(canary) }
	internal := s.As("ann").Patch(main, "[]").WantCode(graph.CodeInternal)
	fail = func() error { panic(canary) }
	panicked := s.As("ann").Patch(main, "[]").WantCode(graph.CodeInternal)
	for _, a := range []*testserver.Answer{internal, panicked} {
		if strings.Contains(string(a.Body), "hunter2") || strings.Contains(string(a.Body), "goroutine") {
			t.Errorf("%s", a.Body)
		}
	}
	if n := strings.Count(s.Logged(), "hunter2"); n < 2 {
		t.Errorf("the log tells of the faults %d times", n)
	}
	fail = func() error {
		return &graph.Error{Code: graph.CodeUnavailable, Message: "later", RetryAfter: 1500 * time.Millisecond, Err: errors.New(canary)}
	}
	later := s.As("ann").Patch(main, "[]").WantCode(graph.CodeUnavailable)
	if later.Header.Get("Retry-After") != "2" || later.Map()["retryAfterMs"] != 1500.0 || strings.Contains(string(later.Body), "hunter2") {
		t.Errorf("%v %s", later.Header, later.Body)
	}
	fail = func() error { return context.DeadlineExceeded }
	s.As("ann").Patch(main, "[]").WantCode(graph.CodeUnavailable)
}

func TestSecretsAreNotLogged(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.As("ann")
	ann.Get(main + "/log?token=canary-in-the-query").Want(200)
	ann.Patch(main, patchOf(addNote(newID(), "canary-in-a-body"))).Want(200)
	s.Nobody().Header("Authorization: Bearer canary.in.header").Get(main).WantCode(graph.CodeUnauthenticated)
	logged := s.Logged()
	if strings.Contains(logged, "canary") || strings.Contains(logged, strings.TrimPrefix(ann.Token(), "Bearer ")) {
		t.Error(logged)
	}
	if !strings.Contains(logged, main) {
		t.Error("requests are not logged at all")
	}
}

// brokenStore does not answer.
type brokenStore struct{ graph.Store }

func (brokenStore) Ping(context.Context) error { return errors.New("no route to host 10.0.0.7") }

func TestReadinessIsTheDatabases(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.As("ann").Get(main).Want(200)
	if a := s.Nobody().Get("/readyz").Want(200); a.Map()["lag"] != 0.0 {
		t.Errorf("%s", a.Body)
	}
	broken := testserver.New(t, testserver.Options{Store: brokenStore{memstore.New()}})
	a := broken.Nobody().Get("/readyz").WantCode(graph.CodeUnavailable)
	if a.Header.Get("Retry-After") == "" || strings.Contains(string(a.Body), "10.0.0.7") {
		t.Errorf("%v %s", a.Header, a.Body)
	}
	broken.Nobody().Get("/healthz").Want(200)
}

func TestMetricsCountRequestsByRoute(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	s := testserver.New(t, testserver.Options{Schema: testSchema, Deps: func(d *server.Deps) { d.Metrics = reg }})
	s.As("ann").Get(main + "/objects/" + newID()).WantCode(graph.CodeNotFound)
	s.As("ann").Get("/nothing/" + newID()).WantCode(graph.CodeNotFound)
	s.As("ann").Do("BREW", main, "", "").Want(405)
	body := string(s.Nobody().Get("/metrics").Want(200).Body)
	for _, line := range []string{
		`graphtide_http_requests_total{method="GET",route="/v1/graphs/{graph}/objects/{id}",status="404"} 1`,
		`graphtide_http_requests_total{method="GET",route="other",status="404"} 1`,
		`method="other"`,
		`graphtide_read_check_disagreements_total 0`,
	} {
		if !strings.Contains(body, line) {
			t.Errorf("no %s in\n%s", line, body)
		}
	}
}

func TestVersionTellsTheBuild(t *testing.T) {
	t.Parallel()
	s := testserver.New(t, testserver.Options{Server: server.Config{Version: "v1.2.3"}})
	if v := s.Nobody().Get("/version").Want(200).Map(); v["version"] != "v1.2.3" || v["go"] == "" {
		t.Errorf("%v", v)
	}
}

func TestSyncIsHandedOver(t *testing.T) {
	t.Parallel()
	s := testserver.New(t, testserver.Options{Deps: func(d *server.Deps) { d.Sync = &fakeSync{} }})
	// Even of a graph that does not exist, and without a token: it is told by a close code.
	if a := s.Nobody().Get("/v1/graphs/absent/sync").Want(http.StatusTeapot); a.Header.Get("X-Graph") != "absent" {
		t.Errorf("%v", a.Header)
	}
}

func TestSiteServesItsFilesAndNothingElse(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"index.html":     {Data: []byte(`<script type="importmap">{"imports":{}}</script><script type="module" src="app.js"></script>`)},
		"app.js":         {Data: []byte("1")},
		"docs/page.html": {Data: []byte("page")},
		"sub/index.html": {Data: []byte("sub")},
	}
	s := testserver.New(t, testserver.Options{Deps: func(d *server.Deps) { d.Site, d.Console = files, files }})
	c := s.Nobody()
	a := c.Get("/").Want(200)
	if a.Header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(a.Header.Get("Content-Security-Policy"), "script-src 'self' 'sha256-") {
		t.Errorf("%v", a.Header)
	}
	if js := c.Get("/app.js").Want(200); js.Header.Get("Content-Type") != "text/javascript; charset=utf-8" || strings.Contains(js.Header.Get("Content-Security-Policy"), "sha256") {
		t.Errorf("%v", js.Header)
	}
	c.Header("If-None-Match: " + a.Header.Get("ETag")).Get("/").Want(304)
	c.Get("/sub/").Want(200)
	c.Get("/docs/page.html").Want(200)
	for _, path := range []string{"/docs", "/docs/", "/../server.go", "/..%2fserver.go", "/%2e%2e/server.go", "/nothing.js", "/v1/nothing", "/v1/graphs/main/index.html"} {
		c.Get(path).WantCode(graph.CodeNotFound)
	}
	c.Do("POST", "/", "", "").WantCode(graph.CodeNotFound)
	if console := c.Get("/console/").Want(200); string(console.Body) != string(a.Body) {
		t.Errorf("%s", console.Body)
	}
	c.Get("/console/app.js").Want(200)
	c.Get("/console/objects/7").Want(200) // the page's own route
	if r := c.Get("/console").Want(308); r.Header.Get("Location") != "/console/" {
		t.Errorf("%v", r.Header)
	}
	if missing := c.Get("/console/nothing.js"); missing.Status != 404 {
		t.Errorf("%d", missing.Status)
	}
}
