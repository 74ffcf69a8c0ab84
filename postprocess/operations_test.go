package postprocess

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
)

func operations(text string) string { return things + "operations:\n" + indent(2, text) + "\n" }

func TestOperationsReportAndSucceed(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB, string, map[string]GoHandler, ...option) *system{"memory": setup, "postgres": setupPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, operations(`
import:
  params: {thing: {type: string}, times: {type: integer}}
  handler: {script: import.js}`)+scripts("import.js", `
export default async ({operation: op, event, rule}, graph) => {
  for (let i = 1; i <= op.params.times; i++) await op.status('step ' + i, i / op.params.times)
  await op.warn('careful')
  await op.complete({steps: op.params.times, event, rule}, [{op: 'add', path: '/objects/' + op.params.thing + '/body/done', value: true}])
  try { await op.status('late') } catch (e) { return }
  throw new Error('a status after the end was taken')
}`), nil)
			thing, _ := s.create("Thing", `{}`)
			id := s.operation("import", `{"thing":"`+thing+`","times":3}`)
			b := s.waitDone(id)
			if b["state"] != "succeeded" || b["progress"] != 1.0 || b["error"] != nil || fmt.Sprint(b["result"]) != "map[event:create rule:import steps:3]" {
				t.Fatalf("the operation is %v", b)
			}
			var told []string
			for _, e := range b["status"].([]any) {
				m := e.(map[string]any)
				told = append(told, fmt.Sprint(m["level"], " ", m["message"], " ", m["progress"]))
				if _, err := time.Parse(graph.TimeFormat, m["at"].(string)); err != nil {
					t.Error(err)
				}
			}
			if got := strings.Join(told, ", "); got != "info step 1 0.3333333333333333, info step 2 0.6666666666666666, info step 3 1, warning careful <nil>" {
				t.Errorf("told %s", got)
			}
			if fmt.Sprint(b["warnings"]) != "[careful]" {
				t.Errorf("warnings are %v", b["warnings"])
			}
			// The result and what it describes are one commit.
			run := s.waitState("import", graph.RunSucceeded)[0]
			made := s.madeBy(run.ID)
			last := made[len(made)-1]
			if len(last.Changes) != 2 || last.Cause.Kind != graph.CauseOperation || s.body(thing)["done"] != true {
				t.Errorf("the last commit touches %d entities, cause %+v", len(last.Changes), last.Cause)
			}
		})
	}
}

// outcome is how an operation's object and its run must end.
type outcome struct {
	state string
	code  string // of the error
	run   graph.RunState
}

func TestOperationsEndAsTheirHandlersDo(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		script  string
		decl    string
		outcome outcome
		tries   int
	}{
		"no verdict":        {"() => {}", "", outcome{"succeeded", "", graph.RunSucceeded}, 1},
		"answer with patch": {"() => ({ patch: [], result: 5 })", "", outcome{"succeeded", "", graph.RunSucceeded}, 1},
		"fail":              {"async e => { await e.operation.fail('no') }", "", outcome{"failed", "handler-failed", graph.RunDead}, 1},
		"fail, then throws": {"async e => { await e.operation.fail('no'); throw new Error('x') }", "", outcome{"failed", "handler-failed", graph.RunDead}, 1},
		"always throws":     {"() => { throw new Error('no') }", "retries: 2", outcome{"failed", "handler-failed", graph.RunDead}, 3},
		"too slow":          {"() => { for (;;) ; }", "timeout: 80ms", outcome{"timed-out", "timed-out", graph.RunDead}, 1},
		"refused patch": {"e => ({ patch: [{ op: 'remove', path: '/objects/' + e.entity + '/body/nothing' }] })", "retries: 0",
			outcome{"failed", "path-missing", graph.RunDead}, 1},
		"caught refusal": {`async e => {
    try { await e.operation.complete(1, [{ op: 'remove', path: '/objects/' + e.entity + '/body/nothing' }]) } catch (x) { await e.operation.complete(x.code) } }`,
			"", outcome{"succeeded", "", graph.RunSucceeded}, 1},
	}
	decls, files := "", []string{}
	for name, c := range cases {
		key := strings.ReplaceAll(strings.ReplaceAll(name, ",", ""), " ", "-")
		decls += fmt.Sprintf("%s:\n  handler: {script: %s.js}\n", key, key)
		if c.decl != "" {
			decls += "  " + c.decl + "\n"
		}
		files = append(files, key+".js", "export default "+c.script)
	}
	s := setup(t, operations(decls)+scripts(files...), nil)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			key := strings.ReplaceAll(strings.ReplaceAll(name, ",", ""), " ", "-")
			b := s.waitDone(s.operation(key, `{}`))
			code := ""
			if e, ok := b["error"].(map[string]any); ok {
				code = e["code"].(string)
				if e["type"] != "urn:graphtide:problem:"+code || e["detail"] == "" {
					t.Errorf("the problem is %v", e)
				}
				if text, _ := e["detail"].(string); strings.Contains(text, key+".js") || strings.Contains(text, "\n") {
					t.Errorf("users read of the code: %q", text)
				}
			}
			if b["state"] != c.outcome.state || code != c.outcome.code {
				t.Errorf("the operation is %v", b)
			}
			run := s.waitState(key, c.outcome.run)[0]
			if name == "always throws" && (run.Error.Message != "Error: no" || !strings.Contains(run.Error.Where, key+".js:1:")) {
				t.Errorf("admins read %+v", run.Error)
			}
			if run.Attempt != c.tries {
				t.Errorf("it took %d attempts, want %d", run.Attempt, c.tries)
			}
		})
	}
}

func TestOperationsStopWhenAsked(t *testing.T) {
	t.Parallel()
	began := make(chan string, 4)
	s := setup(t, operations(`
polite:
  handler: {go: polite}
stubborn:
  handler: {go: stubborn}
  timeout: 300ms
scripted:
  handler: {script: scripted.js}`)+scripts("scripted.js", `
export default async ({operation: op}) => { await op.status('begun'); while (!op.cancelled) await sleep(5) }`), map[string]GoHandler{
		"polite": func(ctx context.Context, c *Call) (json.RawMessage, error) {
			began <- eventOf(t, c.Event).Entity
			select {
			case <-c.Operation.Asked():
			case <-ctx.Done():
			}
			return nil, nil
		},
		"stubborn": func(ctx context.Context, c *Call) (json.RawMessage, error) {
			began <- eventOf(t, c.Event).Entity
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})
	for name, want := range map[string]string{"polite": "cancelled", "stubborn": "timed-out"} {
		id := s.operation(name, `{}`)
		take(t, began)
		s.set(id, "cancel", "true")
		if b := s.waitDone(id); b["state"] != want {
			t.Errorf("%s: the operation is %v", name, b)
		}
	}
	s.waitState("polite", graph.RunCancelled)
	id := s.operation("scripted", `{}`)
	s.waitBody(id, func(b map[string]any) bool { return len(b["status"].([]any)) > 0 })
	s.set(id, "cancel", "true")
	if b := s.waitDone(id); b["state"] != "cancelled" {
		t.Errorf("scripted: the operation is %v", b)
	}
}

func TestAnOperationCancelledByHandEndsAtOnce(t *testing.T) {
	t.Parallel()
	began := make(chan string, 1)
	s := setup(t, operations(`
long:
  handler: {go: long}`), map[string]GoHandler{
		"long": func(ctx context.Context, c *Call) (json.RawMessage, error) {
			began <- eventOf(t, c.Event).Run
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})
	id := s.operation("long", `{}`)
	run := take(t, began)
	d, err := s.first.svc.Cancel(t.Context(), "main", &admin, run)
	if err != nil || d.State != graph.RunCancelled {
		t.Fatalf("cancel gave %+v, %v", d, err)
	}
	if b := s.waitDone(id); b["state"] != "cancelled" {
		t.Errorf("the operation is %v", b)
	}
	if _, err := s.first.svc.Retry(t.Context(), "main", &admin, run); graph.CodeOf(err) != graph.CodeTestFailed {
		t.Errorf("an operation that ended was retried: %v", err)
	}
}

func TestAnOperationWhoseObjectGoesEndsItsRun(t *testing.T) {
	t.Parallel()
	began := make(chan struct{}, 1)
	s := setup(t, operations(`
long:
  handler: {go: long}`), map[string]GoHandler{
		"long": func(ctx context.Context, c *Call) (json.RawMessage, error) {
			began <- struct{}{}
			select {
			case <-c.Operation.Asked():
			case <-ctx.Done():
			}
			return nil, c.Operation.Status(ctx, "still here", nil)
		},
	})
	id := s.operation("long", `{}`)
	take(t, began)
	s.patch(ann, `[{"op":"remove","path":"/objects/`+id+`"}]`)
	s.waitRuns("long", func(runs []*graph.Run) bool { return len(runs) == 1 && runs[0].State.Final() })
}

func TestAnOperationAsItsUserGainsNoRightsByReporting(t *testing.T) {
	t.Parallel()
	s := setup(t, operations(`
take:
  params: {thing: {type: string}}
  handler: {script: take.js}
  as: user`)+scripts("take.js", `
export default async ({operation: op}) => {
  try { await op.complete('taken', [{op: 'add', path: '/objects/' + op.params.thing + '/body/stolen', value: true}]) }
  catch (e) { await op.complete(e.code) } }`), nil)
	thing := newID()
	bob := graph.Principal{User: "bob", Org: "other", Graphs: []string{"*"}}
	s.patch(bob, `[{"op":"add","path":"/objects/`+thing+`","value":{"type":"Thing","body":{}}}]`)
	b := s.waitDone(s.operation("take", `{"thing":"`+thing+`"}`))
	if b["result"] != "not-found" || s.body(thing)["stolen"] != nil {
		t.Errorf("the operation is %v, the object %v", b, s.body(thing))
	}
	mine, _ := s.create("Thing", `{}`)
	b = s.waitDone(s.operation("take", `{"thing":"`+mine+`"}`))
	if b["result"] != "taken" || s.body(mine)["stolen"] != true {
		t.Errorf("the operation is %v, the object %v", b, s.body(mine))
	}
}

func TestStatusEntriesAreBounded(t *testing.T) {
	t.Parallel()
	s := setup(t, operations(`
chatty:
  handler: {go: chatty}`), map[string]GoHandler{
		"chatty": func(ctx context.Context, c *Call) (json.RawMessage, error) {
			for i := range statusKept + 5 {
				if err := c.Operation.Status(ctx, fmt.Sprint(i), nil); err != nil {
					return nil, err
				}
			}
			return nil, nil
		},
	})
	b := s.waitDone(s.operation("chatty", `{}`))
	status := b["status"].([]any)
	if len(status) != statusKept || status[statusKept-1].(map[string]any)["message"] != fmt.Sprint(statusKept+4) {
		t.Errorf("%d entries, the last is %v", len(status), status[len(status)-1])
	}
}

// A panic of a handler written in Go is a failure like any other.
func TestHandlersThatPanicFail(t *testing.T) {
	t.Parallel()
	s := setup(t, operations(`
panics:
  handler: {go: panics}
  retries: 0
absent:
  handler: {go: absent}
  retries: 0
cloud:
  handler: {lambda: "arn:aws:lambda:eu-west-1:1:function:x"}`), map[string]GoHandler{
		"panics": func(context.Context, *Call) (json.RawMessage, error) { panic(errors.New("secret")) },
	})
	for name, want := range map[string]string{"panics": "panicked", "absent": "registered", "cloud": "no AWS region is set"} {
		b := s.waitDone(s.operation(name, `{}`))
		detail := fmt.Sprint(b["error"])
		if b["state"] != "failed" || !strings.Contains(detail, want) || strings.Contains(detail, "secret") {
			t.Errorf("%s: the operation is %v", name, b)
		}
	}
}
