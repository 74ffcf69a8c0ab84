package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/testserver"
	"github.com/graphtide/graphtide/server"
	"github.com/graphtide/graphtide/server/auth"
)

// event is one of an event stream.
type event struct {
	id   string
	data string
}

// stream reads events until the test ends or the server closes it; events is
// closed then.
func stream(t *testing.T, c *testserver.Client, base, path string, headers ...string) (h http.Header, events <-chan event) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Authorization", c.Token())
	for _, l := range headers {
		name, value, _ := strings.Cut(l, ": ")
		r.Header.Set(name, value)
	}
	transport := &http.Transport{}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	out := make(chan event, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(out)
		var e event
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			switch l := lines.Text(); {
			case strings.HasPrefix(l, "id: "):
				e.id = l[4:]
			case strings.HasPrefix(l, "data: "):
				e.data = l[6:]
			case l == "" && e.id != "":
				out <- e
				e = event{}
			}
		}
	}()
	t.Cleanup(func() { resp.Body.Close(); <-done; transport.CloseIdleConnections() })
	return resp.Header, out
}

func next(t *testing.T, events <-chan event) event {
	t.Helper()
	select {
	case e, ok := <-events:
		if !ok {
			t.Fatal("the stream has ended")
		}
		return e
	case <-time.After(time.Minute):
		t.Fatal("no event")
	}
	return event{}
}

func ended(t *testing.T, events <-chan event) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			t.Logf("before the end: %v", e)
		case <-deadline:
			t.Fatal("the stream goes on")
		}
	}
}

func TestStreamFollowsTheLog(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, id := s.As("ann"), newID()
	ann.Patch(main, patchOf(addNote(id, "1"))).Want(200)
	ann.Patch(main+"/objects/"+id, patchOf(op("replace", "/body/title", "2"))).Want(200)
	h, events := stream(t, ann, s.URL, main+"/log")
	_, late := stream(t, ann, s.URL, main+"/log?since=0", "Last-Event-ID: 2")
	_, bob := stream(t, s.As("bob"), s.URL, main+"/log?since=1")
	if h.Get("Graphtide-Epoch") == "" {
		t.Error("no epoch")
	}
	for _, want := range []string{"1", "2"} {
		if e := next(t, events); e.id != want || !strings.Contains(e.data, `"version":`+want+",") {
			t.Errorf("%v instead of %s", e, want)
		}
	}
	ann.Patch(main+"/objects/"+id, patchOf(op("replace", "/body/title", "3"))).Want(200)
	e := next(t, events)
	var page logPage
	ann.Get(main + "/log?since=2").Want(200).JSON(&page)
	if e.id != "3" || e.data != string(page.Commits[0]) {
		t.Errorf("%v, but the log says %s", e, page.Commits[0])
	}
	if got := next(t, late); got != e {
		t.Errorf("Last-Event-ID did not win: %v", got)
	}
	for _, want := range []string{"2", "3"} {
		got := next(t, bob)
		var c struct{ Patch []json.RawMessage }
		if err := json.Unmarshal([]byte(got.data), &c); err != nil || got.id != want || len(c.Patch) != 0 || strings.Contains(got.data, "ann") {
			t.Errorf("bob sees %v", got)
		}
	}
	_, two := stream(t, ann, s.URL, main+"/log?since=0&limit=2")
	next(t, two)
	next(t, two)
	ended(t, two)
	for _, bad := range []string{"99", "x", "-1"} {
		ann.Header("Accept: text/event-stream", "Last-Event-ID: "+bad).Get(main + "/log").WantCode(graph.CodeInvalidVersion)
	}
}

func TestStreamNeitherLosesNorRepeats(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann, id := s.As("ann"), newID()
	ann.Patch(main, patchOf(addNote(id, "0"))).Want(200)
	_, events := stream(t, ann, s.URL, main+"/log")
	const n = 300
	go func() {
		for range n {
			m := &graph.Mutation{Patch: []byte(patchOf(op("add", "/objects/"+id+"/body/text", newID()))), Author: graph.Principal{User: "ann"}}
			if _, err := s.Pipeline.Submit(context.Background(), "main", m); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for want := range graph.Version(n + 1) {
		e := next(t, events)
		var c struct{ Version graph.Version }
		if err := json.Unmarshal([]byte(e.data), &c); err != nil || c.Version != want+1 {
			t.Fatalf("%v instead of version %d", e, want+1)
		}
	}
}

func TestStreamEndsWithItsGraphItsTokenAndItsServer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := s.Admin()
	admin.Put("/v1/graphs/brief", "").Want(201)
	_, ofGraph := stream(t, admin, s.URL, "/v1/graphs/brief/log")
	admin.Delete("/v1/graphs/brief").Want(204)
	ended(t, ofGraph)

	tok, err := auth.Mint(testserver.Secret, auth.Claims{User: "ann"}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_, ofToken := stream(t, s.Nobody().Header("Authorization: Bearer "+tok), s.URL, main+"/log")
	ended(t, ofToken)

	_, ofServer := stream(t, s.As("ann"), s.URL, main+"/log")
	s.HTTP.StopAccepting()
	ended(t, ofServer)
	s.Nobody().Get("/readyz").WantCode(graph.CodeUnavailable)
	s.Nobody().Get("/healthz").Want(200)
}

func TestIdleStreamStaysAlive(t *testing.T) {
	t.Parallel()
	s := testserver.New(t, testserver.Options{Server: server.Config{Heartbeat: 5 * time.Millisecond}})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+main+"/log", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Accept": {"text/event-stream"}, "Authorization": {s.As("ann").Token()}}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil || line != ": alive\n" {
		t.Errorf("%q, %v", line, err)
	}
}

func TestServeEndsGracefully(t *testing.T) {
	t.Parallel()
	began, release := make(chan struct{}), make(chan struct{})
	sync := &fakeSync{drained: make(chan struct{})}
	s := testserver.New(t, testserver.Options{Schema: testSchema, Deps: func(d *server.Deps) {
		d.Sync = sync
		d.Submitter = fakeSubmitter{submit: func(context.Context, *graph.Mutation) (graph.Receipt, error) {
			close(began)
			<-release
			return graph.Receipt{Graph: "main", Version: 7, Mutation: "m"}, nil
		}}
	}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	served := make(chan error, 1)
	go func() { served <- s.HTTP.Serve(ctx, l) }()

	base := "http://" + l.Addr().String()
	_, events := stream(t, s.As("ann"), base, main+"/log")
	answered := make(chan int, 1)
	go func() {
		r, _ := http.NewRequestWithContext(context.Background(), "PATCH", base+main, strings.NewReader("[]"))
		r.Header = http.Header{"Authorization": {s.As("ann").Token()}, "Content-Type": {"application/json-patch+json"}}
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	<-began
	stop()
	ended(t, events)
	<-sync.drained
	select {
	case err := <-served:
		t.Fatalf("it ended before the request under way: %v", err)
	default:
	}
	close(release)
	if status := <-answered; status != 200 {
		t.Errorf("the request under way was answered with %d", status)
	}
	if err := <-served; err != nil {
		t.Errorf("a graceful end gives %v", err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("it still listens")
	}
}

func TestServeCutsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	s := testserver.New(t, testserver.Options{Server: server.Config{Drain: 20 * time.Millisecond}, Deps: func(d *server.Deps) {
		d.Submitter = fakeSubmitter{submit: func(ctx context.Context, _ *graph.Mutation) (graph.Receipt, error) {
			close(began)
			<-ctx.Done()
			return graph.Receipt{}, ctx.Err()
		}}
	}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.HTTP.Serve(ctx, l) }()
	cut := make(chan error, 1)
	go func() {
		r, _ := http.NewRequestWithContext(context.Background(), "PATCH", "http://"+l.Addr().String()+main, strings.NewReader("[]"))
		r.Header = http.Header{"Authorization": {s.As("ann").Token()}, "Content-Type": {"application/json-patch+json"}}
		_, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
		cut <- err
	}()
	<-began
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := <-cut; err == nil {
		t.Error("the request was answered")
	}
}

func TestAStreamEndsWithTheAttemptWhoseTokenOpenedIt(t *testing.T) {
	t.Parallel()
	runs := &fakeRuns{}
	s := testserver.New(t, testserver.Options{Schema: testSchema, Auth: auth.Config{Runs: runs}})
	_, events := stream(t, s.Nobody().Header("Authorization: Bearer "+runToken), s.URL, main+"/log")
	s.As("ann").Patch(main, patchOf(addNote(newID(), "before"))).Want(200)
	next(t, events)
	runs.end()
	s.As("ann").Patch(main, patchOf(addNote(newID(), "after"))).Want(200)
	for e := range events {
		t.Errorf("an attempt that is over still hears of %s", e.data)
	}
}
