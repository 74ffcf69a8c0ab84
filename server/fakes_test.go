package server_test

import (
	"context"
	"net/http"
	"sync"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server"
)

// fakeRuns notes what it is asked and knows one token.
type fakeRuns struct {
	mu               sync.Mutex
	calls            []string
	over             bool // the attempt has ended
	graph.RunService      // nil: what a test does not expect panics
}

const (
	runID    = "0192f000-0000-7000-8000-00000000000a"
	runToken = graph.RunTokenPrefix + "token"
)

func (f *fakeRuns) note(s string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, s)
}

func (f *fakeRuns) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func (f *fakeRuns) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
}

func (f *fakeRuns) Authenticate(_ context.Context, name, token string) (*graph.RunIdentity, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over || name != "main" || token != runToken {
		return nil, graph.Errf(graph.CodeUnauthenticated, "over")
	}
	return &graph.RunIdentity{
		Author: graph.Principal{User: "run:" + runID, Admin: true},
		Cause:  graph.Cause{Kind: graph.CauseRun, Version: 1, Run: runID}, Fence: graph.Fence{Run: runID, Attempt: 2}, Depth: 1,
	}, nil
}

func (f *fakeRuns) List(_ context.Context, name string, by *graph.Principal, filter graph.RunFilter) (*graph.RunList, error) {
	f.note("list " + name + " " + by.User + " " + string(filter.State) + " " + filter.Rule)
	return &graph.RunList{Runs: []graph.RunSummary{}}, nil
}

func (f *fakeRuns) one(what, name, id string) (*graph.RunDetail, error) {
	f.note(what + " " + name + " " + id)
	if id != "1" {
		return nil, graph.NotFound("run")
	}
	return &graph.RunDetail{RunSummary: graph.RunSummary{ID: id}, Attempts: []graph.RunAttempt{}}, nil
}

func (f *fakeRuns) Get(_ context.Context, name string, _ *graph.Principal, id string) (*graph.RunDetail, error) {
	return f.one("get", name, id)
}

func (f *fakeRuns) Retry(_ context.Context, name string, _ *graph.Principal, id string) (*graph.RunDetail, error) {
	return f.one("retry", name, id)
}

func (f *fakeRuns) Cancel(_ context.Context, name string, _ *graph.Principal, id string) (*graph.RunDetail, error) {
	return f.one("cancel", name, id)
}

func (f *fakeRuns) Report(_ context.Context, name string, _ *graph.Principal, ident *graph.RunIdentity, id string, body []byte) (*graph.RunDetail, error) {
	who := "user"
	if ident != nil {
		who = "run"
	}
	return f.one("report by "+who+" "+string(body), name, id)
}

func (f *fakeRuns) Trace(_ context.Context, name string, _ *graph.Principal, v graph.Version) (*graph.Trace, error) {
	return &graph.Trace{Graph: name, Commit: &graph.TraceNode{Version: v}}, nil
}

func withRuns(f *fakeRuns) func(*server.Deps) {
	return func(d *server.Deps) { d.Runs = f }
}

// fakeSubmitter answers every mutation by a function.
type fakeSubmitter struct {
	graph.Submitter
	submit func(ctx context.Context, m *graph.Mutation) (graph.Receipt, error)
}

func (f fakeSubmitter) Submit(ctx context.Context, _ string, m *graph.Mutation) (graph.Receipt, error) {
	return f.submit(ctx, m)
}

// fakeSync answers the websocket's route in plain HTTP.
type fakeSync struct {
	drained chan struct{}
}

func (f *fakeSync) ServeSync(w http.ResponseWriter, _ *http.Request, name string) {
	w.Header().Set("X-Graph", name)
	w.WriteHeader(http.StatusTeapot)
}

func (f *fakeSync) Drain(context.Context) error {
	close(f.drained)
	return nil
}
