package postprocess

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// things is a schema with open objects that everybody of the org may write.
const things = `
graphtide: 1
types:
  Thing:
    open: true
    access: {read: [org], write: [org]}
    edges:
      out: {part: {to: Thing}}
      in: {part: {from: Thing, as: wholes}}
`

func rules(text string) string { return things + "rules:\n" + indent(2, text) + "\n" }

func scripts(files ...string) string {
	out := "scripts:\n"
	for i := 0; i+1 < len(files); i += 2 {
		out += "  " + files[i] + ": |\n" + indent(4, files[i+1]) + "\n"
	}
	return out
}

func TestHandlersGetTheWholeEvent(t *testing.T) {
	t.Parallel()
	events := make(chan event, 4)
	s := setup(t, rules(`
seen:
  on: {object: Thing, events: [create, modify, delete]}
  handler: {go: seen}
linked:
  on: {edge: part, events: [create]}
  handler: {go: seen}`), map[string]GoHandler{
		"seen": func(_ context.Context, c *Call) (json.RawMessage, error) {
			events <- eventOf(t, c.Event)
			return nil, nil
		},
	})
	id, v := s.create("Thing", `{"n":1}`)
	e := take(t, events)
	if e.Event != "create" || e.Entity != id || e.Before != nil || e.After == nil || e.After.Body["n"] != 1.0 || e.After.ID != id || e.After.Type != "Thing" ||
		e.Version != v || e.By != "ann" || e.Graph != "main" || e.Rule != "seen" || e.Attempt != 1 || e.Run == "" || e.Cause["kind"] != "client" || string(e.Patch) != "[]" {
		t.Fatalf("created: %+v", e)
	}
	s.set(id, "n", "2")
	e = take(t, events)
	if e.Event != "modify" || e.Before == nil || e.Before.Body["n"] != 1.0 || e.After.Body["n"] != 2.0 || string(e.Patch) == "[]" {
		t.Fatalf("modified: %+v", e)
	}
	s.patch(ann, `[{"op":"remove","path":"/objects/`+id+`"}]`)
	e = take(t, events)
	if e.Event != "delete" || e.Before == nil || e.Before.Body["n"] != 2.0 || e.After != nil {
		t.Fatalf("deleted: %+v", e)
	}
	a, b, l := newID(), newID(), newID()
	s.patch(ann, fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":"Thing","body":{}}},
		{"op":"add","path":"/objects/%s","value":{"type":"Thing","body":{}}},
		{"op":"add","path":"/edges/%s","value":{"label":"part","from":"%s","to":"%s"}}]`, a, b, l, a, b))
	for range 3 {
		if e = take(t, events); e.Rule == "linked" && (e.Entity != l || e.After == nil || e.After.From != a || e.After.To != b) {
			t.Fatalf("linked: %+v", e)
		}
	}
}

func TestScriptsAnswerWithAPatch(t *testing.T) {
	t.Parallel()
	s := setup(t, rules(`
double:
  on: {object: Thing, events: [create]}
  handler: {script: double.ts}`)+scripts("double.ts", `
export default async function (event: {entity: string, after: {body: {n: number}}}, graph: any) {
  const now = await graph.get(event.entity)
  return { patch: [{ op: 'add', path: '/objects/' + event.entity + '/body/twice', value: now.body.n * 2 }] }
}`), nil)
	id, v := s.create("Thing", `{"n":21}`)
	s.waitBody(id, func(b map[string]any) bool { return b["twice"] == 42.0 })
	run := s.waitState("double", graph.RunSucceeded)[0]
	made := s.madeBy(run.ID)
	if len(made) != 1 || made[0].Author.User != "run:"+run.ID || made[0].Cause != (graph.Cause{Kind: graph.CauseRun, Version: v, Run: run.ID}) ||
		made[0].Depth != 1 || made[0].Mutation != run.ID {
		t.Fatalf("the run made %+v", made)
	}
	d, err := s.first.svc.Get(t.Context(), "main", &admin, run.ID)
	if err != nil {
		t.Fatal(err)
	}
	var hops []graph.HopKind
	for _, h := range d.Hops {
		hops = append(hops, h.Hop)
	}
	if want := []graph.HopKind{graph.HopMatched, graph.HopStarted, graph.HopAnswered, graph.HopCommitted, graph.HopSucceeded}; !slices.Equal(hops, want) {
		t.Errorf("hops %v, want %v", hops, want)
	}
	if len(d.Attempts) != 1 || d.Attempts[0].Request == nil || d.Attempts[0].Answer == nil || !slices.Equal(d.Attempts[0].Versions, []graph.Version{made[0].Version}) {
		t.Errorf("attempts %+v", d.Attempts)
	}
}

// A handler that fails after its writes is called again; what it wrote is not
// written again, even if it would write something else by now.
func TestWritesAreCommittedOnceHoweverOftenTheHandlerIsCalled(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB, string, map[string]GoHandler, ...option) *system{"memory": setup, "postgres": setupPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, rules(`
count:
  on: {object: Thing, events: [create]}
  handler: {go: count}
  retries: 3`), map[string]GoHandler{
				"count": func(ctx context.Context, c *Call) (json.RawMessage, error) {
					e := eventOf(t, c.Event)
					add := func(name string) json.RawMessage {
						return json.RawMessage(fmt.Sprintf(`[{"op":"add","path":"/objects/%s/body/%s","value":%d}]`, e.Entity, name, e.Attempt))
					}
					if _, err := c.Graph.Patch(ctx, add("numbered"), ""); err != nil {
						return nil, err
					}
					if _, err := c.Graph.Patch(ctx, add("keyed"), "k"); err != nil {
						return nil, err
					}
					if e.Attempt < 3 {
						return nil, errors.New("not yet")
					}
					return json.RawMessage(`{"patch":` + string(add("answered")) + `}`), nil
				},
			})
			id, _ := s.create("Thing", `{}`)
			run := s.waitState("count", graph.RunSucceeded)[0]
			if b := s.body(id); b["numbered"] != 1.0 || b["keyed"] != 1.0 || b["answered"] != 3.0 {
				t.Errorf("the body is %v", b)
			}
			if made := s.madeBy(run.ID); len(made) != 3 || run.Attempt != 3 {
				t.Errorf("%d commits in %d attempts", len(made), run.Attempt)
			}
		})
	}
}

func TestRunsOfOneEntityKeepTheirOrderAndOthersGoOn(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string][]graph.Version{}
	hold, begun := make(chan struct{}), make(chan struct{})
	var held string
	s := setup(t, rules(`
order:
  on: {object: Thing, events: [modify]}
  handler: {go: order}`), map[string]GoHandler{
		"order": func(ctx context.Context, c *Call) (json.RawMessage, error) {
			e := eventOf(t, c.Event)
			mu.Lock()
			first := held == e.Entity && len(seen[e.Entity]) == 0
			seen[e.Entity] = append(seen[e.Entity], e.Version)
			mu.Unlock()
			if first {
				close(begun)
				select {
				case <-hold:
				case <-ctx.Done():
				}
			}
			return nil, nil
		},
	})
	slow, _ := s.create("Thing", `{}`)
	fast, _ := s.create("Thing", `{}`)
	mu.Lock()
	held = slow
	mu.Unlock()
	for i := range 5 {
		s.set(slow, "n", fmt.Sprint(i))
		s.set(fast, "n", fmt.Sprint(i))
	}
	s.waitRuns("order", func(runs []*graph.Run) bool {
		n := 0
		for _, r := range runs {
			if r.Entity.IDString() == fast && r.State == graph.RunSucceeded {
				n++
			}
		}
		return n == 5
	})
	take(t, begun)
	mu.Lock()
	if len(seen[slow]) != 1 {
		t.Errorf("the held entity's later runs began: %v", seen[slow])
	}
	mu.Unlock()
	close(hold)
	s.waitRuns("order", func(runs []*graph.Run) bool {
		return len(runs) == 10 && !slices.ContainsFunc(runs, func(r *graph.Run) bool { return r.State != graph.RunSucceeded })
	})
	mu.Lock()
	defer mu.Unlock()
	for id, versions := range seen {
		if len(versions) != 5 || !slices.IsSorted(versions) {
			t.Errorf("%s was handled as %v", id, versions)
		}
	}
}

func TestFailedRunsAreRetriedThenDeadAndLetTheNextOneStart(t *testing.T) {
	t.Parallel()
	s := setup(t, rules(`
flaky:
  on: {object: Thing, events: [create, modify]}
  handler: {script: flaky.js}
  retries: 2`)+scripts("flaky.js", `
export default (event) => { if (event.after.body.bad) throw new Error('bad ' + event.attempt) }`), nil)
	id, _ := s.create("Thing", `{"bad":true}`)
	s.set(id, "bad", "false")
	runs := s.waitState("flaky", graph.RunDead, graph.RunSucceeded)
	dead := runs[0]
	if dead.Attempt != 3 || dead.Error == nil || dead.Error.Code != "handler-failed" {
		t.Fatalf("the dead run is %+v", dead)
	}
	if !runs[1].CreatedAt.Before(time.Now()) || runs[1].Attempt != 1 {
		t.Fatalf("the next run is %+v", runs[1])
	}
	d, err := s.first.svc.Get(t.Context(), "main", &admin, dead.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Attempts) != 3 || d.Attempts[1].Error == nil || d.Attempts[1].EndedAt == "" || d.Attempts[1].Request == nil {
		t.Fatalf("attempts %+v", d.Attempts)
	}
	// A mended handler serves what is retried by hand.
	s.put(rules(`
flaky:
  on: {object: Thing, events: [create, modify]}
  handler: {script: flaky.js}`) + scripts("flaky.js", `export default () => {}`))
	if _, err := s.first.svc.Retry(t.Context(), "main", &admin, dead.ID); err != nil {
		t.Fatal(err)
	}
	s.waitState("flaky", graph.RunSucceeded, graph.RunSucceeded)
}

func TestAHangingRuleDoesNotStarveOthers(t *testing.T) {
	t.Parallel()
	s := setup(t, rules(`
hang:
  on: {object: Thing, events: [create]}
  handler: {go: hang}
work:
  on: {object: Thing, events: [modify]}
  handler: {go: work}`), map[string]GoHandler{
		"hang": func(ctx context.Context, _ *Call) (json.RawMessage, error) { <-ctx.Done(); return nil, ctx.Err() },
		"work": func(context.Context, *Call) (json.RawMessage, error) { return nil, nil },
	}, func(c *Config) { c.Concurrency = 4 })
	var first string
	for range 20 {
		first, _ = s.create("Thing", `{}`)
	}
	s.set(first, "n", "1")
	s.waitState("work", graph.RunSucceeded)
}

func TestHandlersEndInTime(t *testing.T) {
	t.Parallel()
	s := setup(t, rules(`
slow:
  on: {object: Thing, events: [create]}
  handler: {script: slow.js}
  timeout: 100ms
  retries: 0`)+scripts("slow.js", `export default () => { for (;;) ; }`), nil)
	s.create("Thing", `{}`)
	run := s.waitState("slow", graph.RunDead)[0]
	if run.Error.Code != "timed-out" {
		t.Fatalf("the run ended with %+v", run.Error)
	}
}

func TestRuleChainsAreStopped(t *testing.T) {
	t.Parallel()
	s := setup(t, rules(`
again:
  on: {object: Thing, events: [modify], paths: [/body/n]}
  handler: {script: again.js}
breed:
  on: {object: Thing, events: [create]}
  when: has(after.body.breed)
  handler: {script: breed.js}`)+scripts("again.js", `
export default (e) => ({ patch: [{ op: 'add', path: '/objects/' + e.entity + '/body/n', value: e.after.body.n + 1 }] })`,
		"breed.js", `
const hex = n => n.toString(16).padStart(12, '0')
export default (e) => ({ patch: [{ op: 'add', path: '/objects/00000000-0000-4000-8000-' + hex(e.after.body.breed + 1), value: { type: 'Thing', body: { breed: e.after.body.breed + 1 } } }] })`), nil)

	id, _ := s.create("Thing", `{"n":0}`)
	s.set(id, "n", "1")
	runs := s.waitState("again", graph.RunSucceeded, graph.RunStopped)
	if e := runs[1].Error; e == nil || e.Code != "loop" || len(e.Chain) != 2 || e.Chain[0].Run != runs[0].ID || e.Chain[1].Run != runs[1].ID {
		t.Errorf("the second visit ended with %+v", e)
	}
	if s.body(id)["n"] != 2.0 {
		t.Errorf("n is %v", s.body(id)["n"])
	}

	s.create("Thing", `{"breed":0}`)
	want := slices.Repeat([]graph.RunState{graph.RunSucceeded}, 8)
	runs = s.waitState("breed", append(want, graph.RunStopped)...)
	if e := runs[8].Error; e == nil || e.Code != "too-deep" || len(e.Chain) != 9 {
		t.Errorf("the ninth run in line ended with %+v", e)
	}
}

func TestConditionsThatFailAreInTheTrace(t *testing.T) {
	t.Parallel()
	s := setup(t, rules(`
broken:
  on: {object: Thing, events: [create]}
  when: after.body.missing > 1
  handler: {script: x.js}
fine:
  on: {object: Thing, events: [create]}
  handler: {script: x.js}`)+scripts("x.js", `
export default (e) => ({ patch: [{ op: 'add', path: '/objects/' + e.entity + '/body/seen', value: true }] })`), nil)
	id, v := s.create("Thing", `{}`)
	run := s.waitState("fine", graph.RunSucceeded)[0]
	tr, err := s.first.svc.Trace(t.Context(), "main", &admin, v)
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.Commit.Rules) != 2 || tr.Commit.Cause.Kind != graph.CauseClient || tr.Commit.By != "ann" {
		t.Fatalf("the trace is %+v", tr.Commit)
	}
	fine, broken := tr.Commit.Rules[0], tr.Commit.Rules[1]
	if broken.Rule != "broken" || broken.Error == "" || broken.Run != nil || broken.Entity != id {
		t.Errorf("the broken condition is %+v", broken)
	}
	if fine.Run == nil || fine.Run.ID != run.ID || len(fine.Commits) != 1 {
		t.Fatalf("the fired rule is %+v", fine)
	}
	after := fine.Commits[0]
	if after.Cause.Run != run.ID || after.Cause.Version != v {
		t.Errorf("the run's commit is %+v", after)
	}
	tr, err = s.first.svc.Trace(t.Context(), "main", &admin, after.Version)
	if err != nil || len(tr.Causes) != 1 || tr.Causes[0].Version != v || tr.Causes[0].Run != run.ID {
		t.Errorf("the causes are %+v, %v", tr, err)
	}
	if _, err := s.first.svc.Trace(t.Context(), "main", &admin, 1000); graph.CodeOf(err) != graph.CodeInvalidVersion {
		t.Errorf("a trace beyond the head gives %v", err)
	}
}

func TestHandlersActAsTheUserWhereTheRuleSaysSo(t *testing.T) {
	t.Parallel()
	results := make(chan error, 2)
	write := func(ctx context.Context, c *Call) (json.RawMessage, error) {
		var foreign string
		if err := json.Unmarshal([]byte(`"`+fmt.Sprint(eventOf(t, c.Event).After.Body["foreign"])+`"`), &foreign); err != nil {
			return nil, err
		}
		_, err := c.Graph.Patch(ctx, json.RawMessage(`[{"op":"add","path":"/objects/`+foreign+`/body/n","value":1}]`), "")
		results <- err
		return nil, nil
	}
	s := setup(t, rules(`
mine:
  on: {object: Thing, events: [create]}
  when: has(after.body.foreign) && after.body.how == 'user'
  handler: {go: write}
  as: user
any:
  on: {object: Thing, events: [create]}
  when: has(after.body.foreign) && after.body.how == 'run'
  handler: {go: write}`), map[string]GoHandler{"write": write})
	foreign := newID()
	bob := graph.Principal{User: "bob", Org: "other", Graphs: []string{"*"}}
	s.patch(bob, `[{"op":"add","path":"/objects/`+foreign+`","value":{"type":"Thing","body":{}}}]`)
	s.create("Thing", `{"how":"user","foreign":"`+foreign+`"}`)
	if err := take(t, results); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("as its user the handler got %v", err)
	}
	s.create("Thing", `{"how":"run","foreign":"`+foreign+`"}`)
	if err := take(t, results); err != nil {
		t.Errorf("as itself the handler got %v", err)
	}
}

func TestRunsAreSeenByWhoMayReadTheEntity(t *testing.T) {
	t.Parallel()
	s := setup(t, rules(`
seen:
  on: {object: Thing, events: [create]}
  handler: {script: x.js}`)+scripts("x.js", `export default () => { throw new Error('secret') }`), nil, func(c *Config) { c.RetryDelay = time.Nanosecond })
	id, v := s.create("Thing", `{}`)
	run := s.waitState("seen", graph.RunDead)[0]
	ctx, svc := t.Context(), s.first.svc
	stranger := graph.Principal{User: "eve", Org: "other", Graphs: []string{"*"}}
	if list, err := svc.List(ctx, "main", &stranger, graph.RunFilter{}); err != nil || len(list.Runs) != 0 {
		t.Errorf("a stranger sees %v, %v", list, err)
	}
	if _, err := svc.Get(ctx, "main", &stranger, run.ID); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("a stranger gets %v", err)
	}
	if tr, err := svc.Trace(ctx, "main", &stranger, v); err != nil || len(tr.Commit.Rules) != 0 || tr.Commit.By != "" || tr.Commit.Cause.Kind != "" {
		t.Errorf("a stranger's trace is %+v, %v", tr, err)
	}
	s.patch(ann, `[{"op":"remove","path":"/objects/`+id+`"}]`) // judged by its last access from now on
	d, err := svc.Get(ctx, "main", &ann, run.ID)
	if err != nil || d.State != graph.RunDead || d.Error != nil || len(d.Hops) != 0 || len(d.Attempts) != 6 {
		t.Fatalf("a reader sees %+v, %v", d, err)
	}
	for _, a := range d.Attempts {
		if a.Request != nil || a.Answer != nil || a.Error != nil || a.StartedAt == "" {
			t.Errorf("a reader sees the attempt %+v", a)
		}
	}
	for name, err := range map[string]error{"retry": second(svc.Retry(ctx, "main", &ann, run.ID)), "cancel": second(svc.Cancel(ctx, "main", &ann, run.ID))} {
		if graph.CodeOf(err) != graph.CodeForbidden {
			t.Errorf("%s by a reader gives %v", name, err)
		}
	}
	closed := graph.Principal{User: "ann", Org: "acme", Graphs: []string{"other"}, Admin: true}
	if _, err := svc.List(ctx, "main", &closed, graph.RunFilter{}); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("a token for another graph gets %v", err)
	}
	if _, err := svc.Get(ctx, "main", &admin, "x"); graph.CodeOf(err) != graph.CodeInvalidID {
		t.Errorf("a malformed id gives %v", err)
	}
}

func TestCancelledRunsWriteNothingAnyMore(t *testing.T) {
	t.Parallel()
	began, after := make(chan string), make(chan error, 1)
	s := setup(t, rules(`
slow:
  on: {object: Thing, events: [create]}
  handler: {go: slow}`), map[string]GoHandler{
		"slow": func(ctx context.Context, c *Call) (json.RawMessage, error) {
			e := eventOf(t, c.Event)
			began <- e.Run
			<-ctx.Done()
			_, err := c.Graph.Patch(context.WithoutCancel(ctx), json.RawMessage(`[{"op":"add","path":"/objects/`+e.Entity+`/body/late","value":1}]`), "")
			after <- err
			return nil, err
		},
	})
	id, _ := s.create("Thing", `{}`)
	run := take(t, began)
	if d, err := s.first.svc.Cancel(t.Context(), "main", &admin, run); err != nil || d.State != graph.RunCancelled {
		t.Fatalf("cancel gave %+v, %v", d, err)
	}
	if err := take(t, after); !errors.Is(err, errLeaseLost) {
		t.Errorf("a late write gave %v", err)
	}
	if _, err := s.first.svc.Cancel(t.Context(), "main", &admin, run); graph.CodeOf(err) != graph.CodeTestFailed {
		t.Errorf("a second cancel gave %v", err)
	}
	s.waitState("slow", graph.RunCancelled)
	if s.body(id)["late"] != nil {
		t.Error("a cancelled run wrote")
	}
}

func second[T any](_ T, err error) error { return err }
