package postprocess

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// What a rule or an operation declares that it writes, its runs are held to:
// what is left out is refused, whole, with the place in the run's error.
func TestDeclaredWritesAreHeldTo(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		writes, patch, refused string
	}{
		"its place":            {"[Thing/body/a]", `[{"op":"add","path":"/objects/ID/body/a","value":1}]`, ""},
		"below its place":      {"[Thing/body/o]", `[{"op":"add","path":"/objects/ID/body/o/x","value":1}]`, ""},
		"another place":        {"[Thing/body/a]", `[{"op":"add","path":"/objects/ID/body/a","value":1},{"op":"add","path":"/objects/ID/body/b","value":1}]`, "Thing/body/b"},
		"above its place":      {"[Thing/body/o/x]", `[{"op":"add","path":"/objects/ID/body/o","value":{}}]`, "Thing/body/o"},
		"the whole body":       {"[Thing/body/a]", `[{"op":"replace","path":"/objects/ID/body","value":{"a":1}}]`, "Thing/body"},
		"moved from elsewhere": {"[Thing/body/a]", `[{"op":"move","from":"/objects/ID/body/o","path":"/objects/ID/body/a"}]`, "Thing/body/o"},
		"copied from there":    {"[Thing/body/a]", `[{"op":"copy","from":"/objects/ID/body/o","path":"/objects/ID/body/a"}]`, ""},
		"only tested":          {"[]", `[{"op":"test","path":"/objects/ID/body/o","value":{}}]`, ""},
		"access":               {"[Thing/body]", `[{"op":"add","path":"/objects/ID/access/read/public","value":true}]`, "Thing/access/read/public"},
		"a new object":         {"[Other]", `[{"op":"add","path":"/objects/NEW","value":{"type":"Other","body":{}}}]`, ""},
		"another new object":   {"[Thing]", `[{"op":"add","path":"/objects/NEW","value":{"type":"Other","body":{}}}]`, "Other"},
		"removal":              {"[Thing/body]", `[{"op":"remove","path":"/objects/ID"}]`, "Thing"},
		"a cascade":            {"[Thing]", `[{"op":"remove","path":"/objects/ID"}]`, ""},
		"an edge":              {`[Thing]`, `[{"op":"add","path":"/edges/NEW","value":{"label":"next","from":"ID","to":"ID"}}]`, "edge:next"},
		"its edge":             {`["edge:next"]`, `[{"op":"add","path":"/edges/NEW","value":{"label":"next","from":"ID","to":"ID"}}]`, ""},
		"nothing":              {"[]", `[{"op":"add","path":"/objects/ID/body/a","value":1}]`, "Thing/body/a"},
	}
	rulesText, opsText := "", ""
	for name, c := range cases {
		key := strings.ReplaceAll(name, " ", "-")
		rulesText += fmt.Sprintf("  %s: {on: {object: Thing, events: [create]}, when: after.body.rule == '%s', handler: {go: try}, writes: %s, retries: 0}\n", key, key, c.writes)
		opsText += fmt.Sprintf("  %s: {params: {thing: {type: string}}, handler: {go: try}, writes: %s, retries: 0}\n", key, c.writes)
	}
	s := setup(t, `graphtide: 1
types:
  Thing: {open: true, access: {read: [public], write: [public]}, edges: {out: {next: {to: Thing}}, in: {next: {from: Thing, as: before}, of: {from: Part, as: parts}}}}
  Part: {open: true, access: {read: [public], write: [public]}, edges: {out: {of: {to: Thing, max: 1, onDelete: cascade}}}}
  Other: {open: true, access: {read: [public], write: [public]}}
rules:
`+rulesText+"operations:\n"+opsText, map[string]GoHandler{
		"try": func(_ context.Context, c *Call) (json.RawMessage, error) {
			e := eventOf(t, c.Event)
			id := e.Entity
			if c.Operation != nil {
				var p struct{ Thing string }
				if err := json.Unmarshal(c.Operation.Params(), &p); err != nil {
					return nil, err
				}
				id = p.Thing
			}
			p := cases[strings.ReplaceAll(e.Rule, "-", " ")].patch
			return json.RawMessage(`{"patch":` + strings.ReplaceAll(strings.ReplaceAll(p, "ID", id), "NEW", newID()) + `}`), nil
		},
	})
	for name, c := range cases {
		key := strings.ReplaceAll(name, " ", "-")
		thing := newID()
		make := func(rule string) string {
			return fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":"Thing","body":{"rule":%q,"o":{}}}},
				{"op":"add","path":"/objects/%s","value":{"type":"Part","body":{}}},{"op":"add","path":"/edges/%[3]s","value":{"label":"of","from":"%[3]s","to":"%[1]s"}}]`, thing, rule, newID())
		}
		s.patch(ann, make(key))
		runs := s.waitRuns(key, func(r []*graph.Run) bool { return len(r) == 1 && r[0].State.Final() })
		judge := func(what string, run *graph.Run) {
			switch made := s.madeBy(run.ID); {
			case c.refused == "" && run.State != graph.RunSucceeded:
				t.Errorf("%s: %s is %s, %+v", name, what, run.State, run.Error)
			case c.refused == "":
			case run.State != graph.RunDead || run.Error.Code != "forbidden" || !strings.Contains(run.Error.Message, "it writes "+c.refused+";"):
				t.Errorf("%s: %s is %s, %+v", name, what, run.State, run.Error)
			default:
				for _, commit := range made {
					for _, ch := range commit.Changes {
						if typeName(&ch) != operationType {
							t.Errorf("%s: %s wrote %s", name, what, ch.Patch)
						}
					}
				}
			}
		}
		judge("the rule's run", runs[0])
		thing = newID()
		s.patch(ann, make("none"))
		b := s.waitDone(s.operation(key, fmt.Sprintf(`{"thing":%q}`, thing)))
		if want := map[bool]string{true: "succeeded", false: "failed"}[c.refused == ""]; b["state"] != want {
			t.Errorf("%s: the operation is %v", name, b)
		}
		runs = s.waitRuns(key, func(r []*graph.Run) bool {
			return len(r) == 2 && r[0].State.Final() && r[1].State.Final()
		})
		judge("the operation's run", runs[1])
	}
}
