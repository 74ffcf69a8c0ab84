package postprocess

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// P1: whoever matches late finds what whoever matches at once does, though the
// ends of an edge are gone by then.
func TestRulesOnEdgesMissNothingWhereAnEndIsGoneSince(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB, string, map[string]GoHandler, ...option) *system{"memory": setup, "postgres": setupPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, `
graphtide: 1
types:
  Thing: {open: true, access: {read: [org], write: [org]}, edges: {in: {part: {from: Sub, as: wholes}}}}
  Base: {abstract: true}
  Sub:
    extends: Base
    open: true
    access: {read: [org], write: [org]}
    edges: {out: {part: {to: Thing, body: {n: {type: integer}}}}}
  Other: {open: true}
rules:
  all:
    on: {edge: part, from: Base, to: Thing, events: [create, modify, delete]}
    handler: {go: note}
  none:
    on: {edge: part, from: Other, to: Thing, events: [create, modify, delete]}
    handler: {go: note}
`, map[string]GoHandler{"note": func(context.Context, *Call) (json.RawMessage, error) { return nil, nil }})
			s.first.runs.cut.Store(true) // nothing is matched for now
			from, _ := s.create("Sub", `{}`)
			to, _ := s.create("Thing", `{}`)
			edge, with := newID(), newID()
			link := func(id, to string) graph.Version {
				return s.patch(ann, fmt.Sprintf(`[{"op":"add","path":"/edges/%s","value":{"label":"part","from":"%s","to":"%s","body":{"n":1}}}]`, id, from, to))
			}
			versions := []graph.Version{
				link(edge, to),
				s.patch(ann, `[{"op":"replace","path":"/edges/`+edge+`/body/n","value":2}]`),
				s.patch(ann, `[{"op":"remove","path":"/edges/`+edge+`"}]`),
				link(with, to),
				s.patch(ann, `[{"op":"remove","path":"/objects/`+to+`"}]`), // and the edge with it
			}
			s.patch(ann, `[{"op":"remove","path":"/objects/`+from+`"}]`)
			s.first.runs.restore()
			events := []graph.Event{graph.Created, graph.Modified, graph.Deleted, graph.Created, graph.Deleted}
			states := make([]graph.RunState, len(events))
			for i := range states {
				states[i] = graph.RunSucceeded
			}
			for i, r := range s.waitState("all", states...) {
				if r.Version != versions[i] || r.Event != events[i] {
					t.Errorf("run %d is for %s at version %d, want %s at %d", i, r.Event, r.Version, events[i], versions[i])
				}
			}
			if others := s.list(graph.RunFilter{Rule: "none"}); len(others) > 0 {
				t.Errorf("a rule for another type fired %d times", len(others))
			}
			for _, v := range versions {
				verdict, err := s.first.svc.TestRule(t.Context(), "main", &admin, "all", graph.RuleTest{Version: v})
				if err != nil || !verdict.Fires {
					t.Errorf("tested against version %d the rule gives %+v, %v", v, verdict, err)
				}
			}
			again, err := s.first.svc.ReplayRule(t.Context(), "main", &admin, "all", graph.RuleReplay{})
			if err != nil || again.Matched != len(versions) {
				t.Errorf("a replay gives %+v, %v", again, err)
			}
		})
	}
}
