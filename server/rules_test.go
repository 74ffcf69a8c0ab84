package server_test

import (
	"context"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/testserver"
)

func (f *fakeRuns) ReplayRule(_ context.Context, _ string, _ *graph.Principal, rule string, in graph.RuleReplay) (*graph.RuleReplayed, error) {
	f.note("replay " + rule)
	return &graph.RuleReplayed{From: in.From, To: in.To}, nil
}

func TestAReplaySaysWhereItBegins(t *testing.T) {
	t.Parallel()
	runs := &fakeRuns{}
	s := testserver.New(t, testserver.Options{Schema: testSchema, Deps: withRuns(runs)})
	const path = "/v1/graphs/main/rules/total/replay"
	for _, all := range []string{`{}`, `{"to":3}`, `{"from":null}`} {
		s.Admin().Post(path, all).WantCode(graph.CodeInvalidVersion)
	}
	if seen := runs.seen(); len(seen) > 0 {
		t.Errorf("all the same: %v", seen)
	}
	for body, from := range map[string]float64{`{"from":0}`: 0, `{"from":2,"to":3}`: 2} {
		if got := s.Admin().Post(path, body).Want(200).Map(); got["from"] != from {
			t.Errorf("%s gives %v", body, got)
		}
	}
	if seen := runs.seen(); len(seen) != 2 {
		t.Errorf("asked for two, got %v", seen)
	}
}
