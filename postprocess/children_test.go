package postprocess

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/graph/replica"
)

// families is a schema in which a parent starts a child of any kind and then
// ends as it is told.
func families(web string) string {
	return operations(`
parent:
  params: {child: {type: string}, id: {type: string}, end: {type: string}, when: {type: string}}
  handler: {script: parent.js}
  timeout: 20s
  retries: 0
spoken:
  handler: {script: spoken.js}
deaf:
  handler: {script: deaf.js}
inGo:
  handler: {go: inGo}
held:
  handler: {webhook: "`+web+`/held"}
parked:
  handler: {webhook: "`+web+`/parked"}
failing:
  handler: {script: failing.js}
  retries: 50`) + scripts("parent.js", `
export default async ({operation: op}, graph) => {
  const p = op.params
  await graph.patch([{op: 'add', path: '/objects/' + p.id, value: {type: 'OperationRequest', body: {operation: p.child}}}], {key: 'child'})
  await op.status('started it')
  while (!op.cancelled && !await graph.get(p.when)) await sleep(5)
  if (p.end === 'fail') await op.fail('no')
  else if (p.end === 'throw') throw new Error('no')
  else if (p.end === 'complete') await op.complete('done')
}`, "spoken.js", `
export default async ({operation: op}) => { await op.status('begun'); while (true) await sleep(5) }`, "deaf.js", `
export default async ({operation: op}) => { await op.status('begun'); for (;;) ; }`, "failing.js", `
export default async ({operation: op}) => { await op.status('begun'); throw new Error('not yet') }`)
}

// parentOf gives the operation that an operation is joined to.
func (s *system) parentOf(id string) (parent string) {
	oid, _ := graph.ParseObjectID(id)
	err := s.main().Read(s.t.Context(), func(st *replica.State) {
		st.Out(oid, "startedBy", func(e *graph.Edge) bool { parent = e.To.String(); return true })
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return parent
}

// An operation started by an operation is joined to it and ends when it does,
// whatever kind of handler it has and however the parent ends.
func TestChildOperationsEndWithTheirParent(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB, string, map[string]GoHandler, ...option) *system{"memory": setup, "postgres": setupPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := make(chan string, 10)
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				began <- r.URL.Path
				if r.URL.Path == "/parked" {
					w.WriteHeader(http.StatusAccepted)
					return
				}
				io.Copy(io.Discard, r.Body) // else the end of the request is not seen
				<-r.Context().Done()
			}))
			t.Cleanup(web.Close)
			s := open(t, families(web.URL), map[string]GoHandler{
				"inGo": func(ctx context.Context, c *Call) (json.RawMessage, error) {
					began <- "inGo"
					<-ctx.Done()
					return nil, ctx.Err()
				},
			}, func(c *Config) { c.CancelGrace = time.Hour; c.RetryDelay = time.Minute })
			for i, child := range []string{"spoken", "deaf", "inGo", "held", "parked", "failing"} {
				end := []string{"complete", "fail", "", "throw"}[i%4]
				state := map[string]string{"complete": "succeeded", "fail": "failed", "": "cancelled", "throw": "cancelled"}[end]
				id := newID()
				when := newID() // the parent ends when there is this object, or when it is asked to stop
				above := s.operation("parent", fmt.Sprintf(`{"child":%q,"id":%q,"end":%q,"when":%q}`, child, id, end, when))
				switch child {
				case "inGo", "held":
					take(t, began)
				case "parked":
					take(t, began)
					s.waitRuns(child, func(r []*graph.Run) bool { return len(r) == 1 && r[0].Open })
				case "failing":
					s.waitState(child, graph.RunRetrying)
				default:
					s.waitBody(id, func(b map[string]any) bool { l, _ := b["status"].([]any); return len(l) > 0 })
				}
				if got := s.parentOf(id); got != above {
					t.Errorf("%s is joined to %q, not to %s", child, got, above)
				}
				if state == "cancelled" {
					s.set(above, "cancel", "true")
				} else {
					s.patch(ann, `[{"op":"add","path":"/objects/`+when+`","value":{"type":"Thing","body":{}}}]`)
				}
				if b := s.waitDone(above); b["state"] != state {
					t.Errorf("the parent is %v", b)
				}
				b := s.waitDone(id)
				why, _ := b["error"].(map[string]any)
				detail := fmt.Sprint(why["detail"])
				if b["state"] != "cancelled" || why["code"] != "parent-ended" || !strings.Contains(detail, "parent") || !strings.Contains(detail, state) {
					t.Errorf("%s ended as %v", child, b)
				}
				runs := s.waitRuns(child, func(r []*graph.Run) bool { return len(r) == 1 && r[0].State.Final() })
				if runs[0].State != graph.RunCancelled || runs[0].Error == nil || runs[0].Error.Code != "parent-ended" {
					t.Errorf("the run of %s is %s, %+v", child, runs[0].State, runs[0].Error)
				}
			}
		})
	}
}

// A child that waits for a retry or for reports ends with its parent also where
// it is taken up by a node that has not heard of the parent's end.
func TestAChildEndsWithItsParentOnANodeThatLags(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"waiting for reports", "waiting for a retry"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			child, end, tries := newID(), make(chan struct{}), make(chan int, 9)
			handlers := map[string]GoHandler{
				"parent": func(ctx context.Context, c *Call) (json.RawMessage, error) {
					_, err := c.Graph.Patch(ctx, json.RawMessage(`[{"op":"add","path":"/objects/`+child+`","value":{"type":"OperationRequest","body":{"operation":"child"}}}]`), "child")
					select {
					case <-end:
					case <-ctx.Done():
					}
					return nil, err
				},
				"child": func(_ context.Context, c *Call) (json.RawMessage, error) {
					tries <- eventOf(t, c.Event).Attempt
					return nil, errors.New("not yet")
				},
			}
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusAccepted) }))
			t.Cleanup(web.Close)
			handler, state := `{go: child}`, graph.RunRetrying
			if kind == "waiting for reports" {
				handler, state = `{webhook: "`+web.URL+`"}`, graph.RunRunning
			}
			s := setupPostgres(t, operations(`
parent: {handler: {go: parent}}
child: {handler: `+handler+`}`), handlers, func(c *Config) { c.RetryDelay = time.Hour })
			s.operation("parent", `{}`)
			s.waitRuns("child", func(r []*graph.Run) bool {
				return len(r) == 1 && r[0].State == state && (r[0].Open || state == graph.RunRetrying)
			})
			// From here on the other node begins what is due; it knows the graph as it
			// is now.
			s.first.runs.idle.Store(true)
			other := s.nodeThatLooks(time.Hour, "n2", handlers, func(c *Config) { c.RetryDelay = time.Hour })
			if _, err := other.replicas.Open(t.Context(), graph.MainGraph); err != nil {
				t.Fatal(err)
			}
			other.start()
			close(end)
			b := s.waitDone(child)
			if why, _ := b["error"].(map[string]any); b["state"] != "cancelled" || why["code"] != "parent-ended" {
				t.Errorf("the child ended as %v", b)
			}
			s.waitState("child", graph.RunCancelled)
			if state == graph.RunRetrying && len(tries) != 1 {
				t.Errorf("its handler was called %d times", len(tries))
			}
		})
	}
}

// Who asks an operation to stop asks its children, wherever they are handled and
// in whatever way: they hear of it while the parent goes on.
func TestACancelIsPassedOnToChildren(t *testing.T) {
	t.Parallel()
	release, told, heard := make(chan struct{}), make(chan struct{}), make(chan string, 9)
	child := map[string]string{"listening": newID(), "nested": newID(), "parked": newID(), "failing": newID(), "late": newID()}
	request := func(name string) json.RawMessage {
		return json.RawMessage(fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":"OperationRequest","body":{"operation":%q}}}]`, child[name], name))
	}
	var s *system
	parent := map[string]GoHandler{
		"parent": func(ctx context.Context, c *Call) (json.RawMessage, error) {
			s.first.runs.idle.Store(true) // what else there is runs on another node
			for _, name := range []string{"listening", "parked", "failing"} {
				if _, err := c.Graph.Patch(ctx, request(name), name); err != nil {
					return nil, err
				}
			}
			<-c.Operation.Asked()
			_, err := c.Graph.Patch(ctx, request("late"), "late")
			select {
			case <-release:
			case <-ctx.Done():
			}
			return nil, err
		},
	}
	listen := func(name, starts string) GoHandler {
		return func(ctx context.Context, c *Call) (json.RawMessage, error) {
			if starts != "" {
				if _, err := c.Graph.Patch(ctx, request(starts), ""); err != nil {
					return nil, err
				}
			}
			select {
			case <-c.Operation.Asked():
				heard <- name
				<-told // and ends later
			case <-ctx.Done():
			}
			return nil, nil
		}
	}
	children := map[string]GoHandler{
		"listening": listen("listening", "nested"), "nested": listen("nested", ""), "late": listen("late", ""),
		"failing": func(context.Context, *Call) (json.RawMessage, error) { return nil, errors.New("not yet") },
	}
	tokens := make(chan event, 9)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		tokens <- eventOf(t, body)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(web.Close)
	defer func() {
		select {
		case <-told:
		default:
			close(told)
		}
	}()
	slow := func(c *Config) { c.CancelGrace, c.RetryDelay = time.Hour, time.Hour }
	s = setupPostgres(t, operations(`
parent: {handler: {go: parent}}
listening: {handler: {go: listening}}
nested: {handler: {go: nested}}
late: {handler: {go: late}}
failing: {handler: {go: failing}}
parked: {handler: {webhook: "`+web.URL+`"}}`), parent, slow)
	above := s.operation("parent", `{}`)
	s.waitState("parent", graph.RunRunning)
	other := s.node("n2", children, slow)
	other.start()
	report := take(t, tokens)
	s.waitState("failing", graph.RunRetrying)
	for _, name := range []string{"listening", "nested"} {
		s.waitBody(child[name], func(b map[string]any) bool { return b["state"] == "running" })
	}
	s.set(above, "cancel", "true")
	if got := []string{take(t, heard), take(t, heard)}; !slices.Contains(got, "listening") || !slices.Contains(got, "nested") {
		t.Errorf("%v heard of it", got)
	}
	close(told)
	for _, name := range []string{"listening", "nested", "failing"} {
		if b := s.waitDone(child[name]); b["state"] != "cancelled" || b["cancel"] != true || b["error"] != nil && name != "nested" {
			t.Errorf("%s is %v", name, b)
		}
	}
	// What waits for reports reads it in the answer to one.
	s.waitBody(child["parked"], func(b map[string]any) bool { return b["cancel"] == true })
	ident, err := other.svc.Authenticate(t.Context(), "main", report.Token)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := other.svc.Report(t.Context(), "main", nil, ident, report.Run, []byte(`{"status":{"message":"so far"}}`))
	if err != nil || !answer.Cancel {
		t.Errorf("the report was answered with %+v, %v", answer, err)
	}
	if b := s.body(above); b["done"] == true {
		t.Errorf("the parent has ended: %v", b)
	}
	// What it starts after it was asked may tidy up until it ends.
	b := s.waitBody(child["late"], func(b map[string]any) bool { return b["state"] == "running" })
	if b["cancel"] == true {
		t.Errorf("what was started later is asked to stop: %v", b)
	}
	close(release)
	if b := s.waitDone(child["late"]); b["state"] != "cancelled" || b["error"] == nil {
		t.Errorf("what was started later ended as %v", b)
	}
	// The commit that asked a child has the parent's run as its cause.
	run := s.list(graph.RunFilter{Rule: "parent"})[0]
	if made := s.madeBy(run.ID); !slices.ContainsFunc(made, func(c *graph.Commit) bool {
		return strings.Contains(string(c.Changes[0].Patch), "/body/cancel") && c.Cause.Kind == graph.CauseOperation
	}) {
		t.Error("no commit of the parent's run asked a child")
	}
}

// What an operation asks for as it ends is no child of its: nothing ends it.
func TestAnOperationMayHandOnWorkAsItEnds(t *testing.T) {
	t.Parallel()
	s := setup(t, operations(`
first:
  params: {next: {type: string}}
  handler: {script: first.js}
next:
  handler: {script: next.js}`)+scripts("first.js", `
export default async ({operation: op}) => op.complete(1, [{op: 'add', path: '/objects/' + op.params.next, value: {type: 'OperationRequest', body: {operation: 'next'}}}])`,
		"next.js", `export default () => {}`), nil)
	next := newID()
	s.waitDone(s.operation("first", `{"next":"`+next+`"}`))
	if b := s.waitDone(next); b["state"] != "succeeded" || s.parentOf(next) != "" {
		t.Errorf("the next operation is %v, joined to %q", b, s.parentOf(next))
	}
}

// An operation that has ended starts no others: nobody would end them.
func TestAnOperationThatHasEndedStartsNoOthers(t *testing.T) {
	t.Parallel()
	child, told := newID(), make(chan error, 1)
	s := setup(t, operations(`
late:
  handler: {go: late}
child:
  handler: {go: late}`), map[string]GoHandler{
		"late": func(ctx context.Context, c *Call) (json.RawMessage, error) {
			if err := c.Operation.Complete(ctx, nil, nil); err != nil {
				return nil, err
			}
			_, err := c.Graph.Patch(ctx, json.RawMessage(`[{"op":"add","path":"/objects/`+child+`","value":{"type":"OperationRequest","body":{"operation":"child"}}}]`), "")
			told <- err
			return nil, nil
		},
	})
	s.waitDone(s.operation("late", `{}`))
	if err := take(t, told); graph.CodeOf(err) != graph.CodeForbidden {
		t.Errorf("the child was taken: %v", err)
	}
	if s.body(child) != nil {
		t.Error("the child is there")
	}
}

// A whole family ends: what a child started too.
func TestGrandchildrenEndToo(t *testing.T) {
	t.Parallel()
	s := setup(t, operations(`
nest:
  params: {ids: {type: array}}
  handler: {script: nest.js}`)+scripts("nest.js", `
export default async ({operation: op}, graph) => {
  const [id, ...ids] = op.params.ids
  if (id) await graph.patch([{op: 'add', path: '/objects/' + id, value: {type: 'OperationRequest', body: {operation: 'nest', params: {ids}}}}])
  while (!op.cancelled) await sleep(5)
}`), nil)
	ids := []string{newID(), newID(), newID()}
	text, err := json.Marshal(ids)
	if err != nil {
		t.Fatal(err)
	}
	top := s.operation("nest", `{"ids":`+string(text)+`}`)
	s.waitBody(ids[2], func(b map[string]any) bool { return b["state"] == "running" })
	s.set(top, "cancel", "true")
	for i, id := range append([]string{top}, ids...) {
		// Each was asked to stop, and ends by itself or with the one above it.
		b := s.waitDone(id)
		if b["state"] != "cancelled" || b["cancel"] != true && b["error"] == nil || b["error"] != nil && i == 0 {
			t.Errorf("operation %d ended as %v", i, b)
		}
	}
}

// Nobody but the server joins operations.
func TestNobodyNamesTheParentOfAnOperation(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	s := setup(t, operations(`
long:
  handler: {go: long}`), map[string]GoHandler{
		"long": func(ctx context.Context, c *Call) (json.RawMessage, error) {
			select {
			case <-hold:
			case <-ctx.Done():
			}
			return nil, nil
		},
	})
	a, b := s.operation("long", `{}`), s.operation("long", `{}`)
	link := func(from string) string {
		return fmt.Sprintf(`{"op":"add","path":"/edges/%s","value":{"label":"startedBy","from":"%s","to":"%s"}}`, newID(), from, a)
	}
	fresh := newID()
	for what, ops := range map[string]string{
		"later":       "[" + link(b) + "]",
		"at creation": `[{"op":"add","path":"/objects/` + fresh + `","value":{"type":"OperationRequest","body":{"operation":"long"}}},` + link(fresh) + "]",
	} {
		for _, by := range []graph.Principal{ann, admin} {
			_, err := s.first.pipeline.Submit(t.Context(), "main", &graph.Mutation{Patch: json.RawMessage(ops), Author: by})
			if graph.CodeOf(err) != graph.CodeForbidden {
				t.Errorf("%s, as %s: %v", what, by.User, err)
			}
		}
	}
}

// An operation tells, once it runs, when it may end, and whoever sees it sees that.
func TestAnOperationTellsWhenItMayEnd(t *testing.T) {
	t.Parallel()
	s := setup(t, operations(`
work:
  handler: {script: work.js}`)+scripts("work.js", `export default async () => { await sleep(30) }`), nil)
	if b := s.waitDone(s.operation("work", `{}`)); b["expectedEnd"] != nil {
		t.Errorf("the first of its kind is expected to end at %v", b["expectedEnd"])
	}
	s.waitState("work", graph.RunSucceeded)
	b := s.waitDone(s.operation("work", `{}`))
	run := s.waitState("work", graph.RunSucceeded, graph.RunSucceeded)
	text, _ := b["expectedEnd"].(string)
	at, err := time.Parse(graph.TimeFormat, text)
	first := run[0].EndedAt.Sub(run[0].StartedAt)
	if want := run[1].StartedAt.Add(first); err != nil || at.Sub(want).Abs() > 2*time.Millisecond {
		t.Errorf("it is expected to end at %q, and the one before took %v from %v on", text, first, run[1].StartedAt)
	}
}

// Children are asked to stop also where what is matched came from the store, and
// the replica has not heard of them yet.
func TestACancelIsPassedOnToChildrenThatTheReplicaDoesNotKnowYet(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	s := &system{t: t, store: store, runs: &observedRuns{RunStore: memstore.NewRuns(store), changed: make(chan struct{})}}
	s.first = s.node("n1", nil) // takes writes; this test follows by itself
	s.put(operations(`
parent: {handler: {go: parent}}
child: {handler: {go: child}}`))
	above, child := s.operation("parent", `{}`), newID()
	lagging := s.nodeThatLooks(time.Hour, "n2", nil)
	if err := lagging.live.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	follow := func() *follower {
		r, err := lagging.replicas.Open(t.Context(), graph.MainGraph)
		if err != nil {
			t.Fatal(err)
		}
		f := &follower{cfg: lagging.svc.cfg, deps: lagging.svc.deps, key: r.Key(), name: graph.MainGraph, replica: r,
			ready: func([]graph.RunRef) {}, reserve: func([]*graph.Run) *reservation { return &reservation{} },
			match: &matcher{key: r.Key(), name: r.Name(), schema: lagging.live, runs: s.runs, typesOf: typesOf(store, r)}}
		if err := f.recall(t.Context()); err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := follow()
	if _, err := f.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	claimed, err := s.runs.Claim(t.Context(), graph.RunClaims{Graph: f.key, Node: "n3", Lease: time.Hour,
		Runs: []graph.RunClaim{{Run: s.list(graph.RunFilter{Rule: "parent"})[0].ID, TokenHash: []byte("t")}}})
	if err != nil || len(claimed) != 1 {
		t.Fatalf("claimed %d, %v", len(claimed), err)
	}
	run := claimed[0]
	parent, _ := graph.ParseObjectID(above)
	s.patch(ann, `[{"op":"add","path":"/objects/`+newID()+`","value":{"type":"Thing","body":{}}}]`)
	if err := f.replica.CatchUp(t.Context()); err != nil { // and hears of nothing after this
		t.Fatal(err)
	}
	if _, err := s.first.pipeline.Submit(t.Context(), graph.MainGraph, &graph.Mutation{
		Patch:  json.RawMessage(`[{"op":"add","path":"/objects/` + child + `","value":{"type":"OperationRequest","body":{"operation":"child"}}}]`),
		Author: authorOf(run, false), Depth: run.Depth + 1,
		Fence: &graph.Fence{Run: run.ID, Attempt: run.Attempt, Operation: parent},
		Cause: graph.Cause{Kind: graph.CauseOperation, Version: run.Version, Run: run.ID},
	}); err != nil {
		t.Fatal(err)
	}
	if s.parentOf(child) != above {
		t.Fatal("the child is not joined to its parent")
	}
	asked := s.set(above, "cancel", "true")
	commits, err := s.store.Log(t.Context(), f.key, f.at, pieceOfLog)
	if err != nil || commits[len(commits)-1].Version != asked {
		t.Fatalf("%d commits, %v", len(commits), err)
	}
	if err := f.pass(t.Context(), commits); err != nil {
		t.Fatal(err)
	}
	s.waitBody(child, func(b map[string]any) bool { return b["cancel"] == true })
}
