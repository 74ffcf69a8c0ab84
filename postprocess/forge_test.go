package postprocess

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// Users set `cancel` of an operation and nothing else: no field, by no operation
// of JSON Patch, at creation or later, as whoever they are.
func TestNobodyForgesTheFieldsOfTheExecutor(t *testing.T) {
	t.Parallel()
	s := setup(t, operations(`
wait:
  params: {x: {type: integer}, a: {type: integer}}
  handler: {go: wait}`), map[string]GoHandler{
		"wait": func(ctx context.Context, c *Call) (json.RawMessage, error) {
			if err := c.Operation.Status(ctx, "begun", nil); err != nil {
				return nil, err
			}
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})
	fields := map[string]string{
		"operation": `"other"`, "params": `{"a":1}`, "status": `[]`, "progress": `0.7`, "expectedEnd": `"2030-01-01T00:00:00.000Z"`,
		"done": `true`, "state": `"succeeded"`, "result": `{"forged":1}`, "error": `{"code":"x"}`, "warnings": `["forged"]`,
	}
	id := s.operation("wait", `{"x":1}`)
	// Running, told, and asked to stop: there is something to move and to copy.
	s.waitBody(id, func(b map[string]any) bool { l, _ := b["status"].([]any); return len(l) > 0 })
	before, err := json.Marshal(s.body(id))
	if err != nil {
		t.Fatal(err)
	}
	at := "/objects/" + id + "/body"
	tries := map[string]string{}
	for name, value := range fields {
		tries["add "+name] = fmt.Sprintf(`{"op":"add","path":"%s/%s","value":%s}`, at, name, value)
		tries["replace "+name] = fmt.Sprintf(`{"op":"replace","path":"%s/%s","value":%s}`, at, name, value)
		tries["remove "+name] = fmt.Sprintf(`{"op":"remove","path":"%s/%s"}`, at, name)
		tries["move "+name+" away"] = fmt.Sprintf(`{"op":"move","from":"%[1]s/%[2]s","path":"%[1]s/cancel"}`, at, name)
		tries["move cancel to "+name] = fmt.Sprintf(`{"op":"add","path":"%[1]s/cancel","value":true},{"op":"move","from":"%[1]s/cancel","path":"%[1]s/%[2]s"}`, at, name)
		tries["copy cancel to "+name] = fmt.Sprintf(`{"op":"add","path":"%[1]s/cancel","value":true},{"op":"copy","from":"%[1]s/cancel","path":"%[1]s/%[2]s"}`, at, name)
		whole := map[string]json.RawMessage{"operation": json.RawMessage(`"wait"`), "params": json.RawMessage(`{"x":1}`)}
		whole[name] = json.RawMessage(value)
		text, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		tries["the whole body with "+name] = fmt.Sprintf(`{"op":"replace","path":"%s","value":%s}`, at, text)
		if name != "operation" && name != "params" {
			tries["create with "+name] = fmt.Sprintf(`{"op":"add","path":"/objects/NEW","value":{"type":"OperationRequest","body":{"operation":"wait","%s":%s}}}`, name, value)
		}
		tries["create, then "+name] = fmt.Sprintf(`{"op":"add","path":"/objects/NEW","value":{"type":"OperationRequest","body":{"operation":"wait"}}},{"op":"add","path":"/objects/NEW/body/%s","value":%s}`, name, value)
	}
	tries["a status entry"] = `{"op":"add","path":"` + at + `/status/-","value":{"at":"x","level":"info","message":"forged"}}`
	tries["below a status entry"] = `{"op":"replace","path":"` + at + `/status/0/message","value":"forged"}`
	tries["below params"] = `{"op":"replace","path":"` + at + `/params/x","value":2}`
	tries["the whole body added"] = `{"op":"add","path":"` + at + `","value":{"operation":"wait","cancel":true}}`
	tries["with cancel beside it"] = `{"op":"add","path":"` + at + `/cancel","value":true},{"op":"add","path":"` + at + `/done","value":true}`
	tries["create with cancel"] = `{"op":"add","path":"/objects/NEW","value":{"type":"OperationRequest","body":{"operation":"wait","cancel":true}}}`
	for name, ops := range tries {
		for _, by := range []graph.Principal{ann, admin} {
			fresh := newID()
			_, err := s.first.pipeline.Submit(t.Context(), "main", &graph.Mutation{Author: by, Patch: json.RawMessage("[" + strings.ReplaceAll(ops, "NEW", fresh) + "]")})
			absent := graph.CodeOf(err) == graph.CodePathMissing // of a field that is not there
			if graph.CodeOf(err) != graph.CodeForbidden && !absent {
				t.Errorf("%s, as %s: %v", name, by.User, err)
			}
			if s.body(fresh) != nil {
				t.Errorf("%s, as %s: it is there", name, by.User)
			}
		}
	}
	if after, _ := json.Marshal(s.body(id)); string(after) != string(before) {
		t.Errorf("the operation is %s, was %s", after, before)
	}
	// What they may do.
	s.patch(ann, `[{"op":"test","path":"`+at+`/state","value":"running"},{"op":"replace","path":"`+at+`/cancel","value":true}]`)
}
