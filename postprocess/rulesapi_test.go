package postprocess

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
)

const apiRules = `
total:
  on: {object: Thing, events: [modify], paths: [/body/n]}
  when: after.body.n > 5.0
  handler: {go: work}
  writes: [Thing/body/total]
  retries: 0
all:
  on: {object: Thing, events: [modify], paths: [/body/total]}
  handler: {go: fine}`

// apiSystem has a rule whose handler fails while broken is set.
func apiSystem(t *testing.T, open func(testing.TB, string, map[string]GoHandler, ...option) *system) (*system, chan event, chan error) {
	calls, broken := make(chan event, 100), make(chan error, 100)
	return open(t, rules(apiRules), map[string]GoHandler{
		"work": func(_ context.Context, c *Call) (json.RawMessage, error) {
			calls <- eventOf(t, c.Event)
			select {
			case err := <-broken:
				return nil, err
			default:
				return nil, nil
			}
		},
		"fine": func(context.Context, *Call) (json.RawMessage, error) { return nil, nil },
	}), calls, broken
}

func bothStores(t *testing.T, test func(t *testing.T, open func(testing.TB, string, map[string]GoHandler, ...option) *system)) {
	for name, open := range map[string]func(testing.TB, string, map[string]GoHandler, ...option) *system{"memory": setup, "postgres": setupPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

func TestRulesAreListedWithWhatBecameOfThem(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, open func(testing.TB, string, map[string]GoHandler, ...option) *system) {
		s, calls, broken := apiSystem(t, open)
		svc := s.first.svc
		id, _ := s.create("Thing", `{"n":0}`)
		broken <- errors.New("no")
		s.set(id, "n", "10")
		take(t, calls)
		s.waitState("total", graph.RunDead)
		s.set(id, "n", `"text"`) // the condition cannot be evaluated
		s.set(id, "n", "11")
		take(t, calls)
		s.waitState("total", graph.RunDead, graph.RunSucceeded)
		list, err := svc.Rules(t.Context(), "main", &admin)
		if err != nil || len(list) != 2 || list[0].Name != "all" {
			t.Fatalf("%+v, %v", list, err)
		}
		r := list[1]
		if r.Name != "total" || r.Handler != "go" || r.When != "after.body.n > 5.0" || !strings.Contains(string(r.On), "/body/n") || r.Paused != nil ||
			len(r.Matches) != 2 || r.Matches[0].State != graph.RunSucceeded || len(r.Failures) != 1 || r.Failures[0].Error == nil ||
			r.Open["dead"] != 1 || len(r.Faults) != 1 || r.Faults[0].Version != 3 {
			t.Errorf("%+v", r)
		}
		if strings.Join(r.Writes, " ") != "Thing/body/total" || strings.Join(r.Fires, " ") != "all" || list[0].Writes != nil || len(list[0].Fires) != 0 {
			t.Errorf("the map is %v %v, %v %v", r.Writes, r.Fires, list[0].Writes, list[0].Fires)
		}
		if _, err := svc.Rules(t.Context(), "main", &ann); graph.CodeOf(err) != graph.CodeForbidden {
			t.Errorf("a user lists rules: %v", err)
		}
		n, err := svc.RetryAll(t.Context(), "main", &admin, graph.RunRetries{Rule: "total"})
		if err != nil || n != 1 {
			t.Errorf("%d retried, %v", n, err)
		}
		take(t, calls)
		s.waitState("total", graph.RunSucceeded, graph.RunSucceeded)
		if _, err := svc.RetryAll(t.Context(), "main", &admin, graph.RunRetries{State: graph.RunSucceeded}); err == nil {
			t.Error("successful runs may be retried")
		}
	})
}

func TestPausedRulesWaitAndMissNothing(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, open func(testing.TB, string, map[string]GoHandler, ...option) *system) {
		s, calls, _ := apiSystem(t, open)
		svc := s.first.svc
		info, err := svc.PauseRule(t.Context(), "main", &admin, "total", true)
		if err != nil || info.Paused == nil || info.Paused.By != "root" {
			t.Fatalf("%+v, %v", info, err)
		}
		id, _ := s.create("Thing", `{"n":0}`)
		for _, n := range []string{"6", "7", "8"} {
			s.set(id, "n", n)
		}
		s.waitState("total", graph.RunPending, graph.RunPending, graph.RunPending)
		s.set(id, "total", "1") // another rule goes on
		s.waitState("all", graph.RunSucceeded)
		select {
		case e := <-calls:
			t.Fatalf("a paused rule ran for version %d", e.Version)
		default:
		}
		if info, err = svc.PauseRule(t.Context(), "main", &admin, "total", false); err != nil || info.Paused != nil {
			t.Fatalf("%+v, %v", info, err)
		}
		for _, v := range []graph.Version{2, 3, 4} {
			if e := take(t, calls); e.Version != v {
				t.Errorf("version %d came, want %d", e.Version, v)
			}
		}
		if _, err := svc.PauseRule(t.Context(), "main", &admin, "none", true); graph.CodeOf(err) != graph.CodeNotFound {
			t.Errorf("a rule that is not there: %v", err)
		}
		if _, err := svc.PauseRule(t.Context(), "main", &ann, "total", true); graph.CodeOf(err) != graph.CodeForbidden {
			t.Errorf("a user pauses: %v", err)
		}
	})
}

func TestATestSaysWhyARuleDoesNotFire(t *testing.T) {
	t.Parallel()
	s, _, _ := apiSystem(t, setup)
	id, created := s.create("Thing", `{"n":0}`)
	low, high, other, odd := s.set(id, "n", "1"), s.set(id, "n", "9"), s.set(id, "total", "1"), s.set(id, "n", `"x"`)
	for v, want := range map[graph.Version]string{
		created: "it listens to modify", low: "its condition is false", high: "", other: "none of its paths changed", odd: "cannot be evaluated",
	} {
		got, err := s.first.svc.TestRule(t.Context(), "main", &admin, "total", graph.RuleTest{Version: v})
		if err != nil || len(got.Changes) != 1 || got.Fires != (want == "") || got.Changes[0].Fires != got.Fires || !strings.Contains(got.Changes[0].Why, want) {
			t.Errorf("version %d: %+v, %v", v, got, err)
		}
	}
	// A rule that no schema has yet.
	draft := json.RawMessage(`{"on":{"object":"Thing","events":["create"]},"handler":{"go":"x"}}`)
	got, err := s.first.svc.TestRule(t.Context(), "main", &admin, "new", graph.RuleTest{Version: created, Rule: draft})
	if err != nil || !got.Fires {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := s.first.svc.TestRule(t.Context(), "main", &admin, "new", graph.RuleTest{Version: created, Rule: json.RawMessage(`{"on":1}`)}); graph.CodeOf(err) != graph.CodeInvalidSchema {
		t.Errorf("a faulty rule: %v", err)
	}
	if _, err := s.first.svc.TestRule(t.Context(), "main", &admin, "total", graph.RuleTest{Version: 99}); graph.CodeOf(err) != graph.CodeInvalidVersion {
		t.Errorf("a version that is not there: %v", err)
	}
	if runs := s.list(graph.RunFilter{Rule: "new"}); len(runs) != 0 {
		t.Errorf("a test made %d runs", len(runs))
	}
}

func TestAReplayRunsARuleForPastCommits(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, open func(testing.TB, string, map[string]GoHandler, ...option) *system) {
		s, calls, _ := apiSystem(t, open)
		svc := s.first.svc
		id, _ := s.create("Thing", `{"n":0}`)
		for _, n := range []string{"6", "1", "7", "8"} {
			s.set(id, "n", n)
		}
		for range 3 {
			take(t, calls)
		}
		s.waitState("total", graph.RunSucceeded, graph.RunSucceeded, graph.RunSucceeded)
		replay := graph.RuleReplay{From: 1, To: 4, ID: newID()}
		for i := range 2 {
			got, err := svc.ReplayRule(t.Context(), "main", &admin, "total", replay)
			if err != nil || got.Matched != 2 || got.Made != 2-2*i || got.ID != replay.ID {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		for _, v := range []graph.Version{2, 4} {
			if e := take(t, calls); e.Version != v {
				t.Errorf("version %d came, want %d", e.Version, v)
			}
		}
		runs := s.waitState("total", graph.RunSucceeded, graph.RunSucceeded, graph.RunSucceeded, graph.RunSucceeded, graph.RunSucceeded)
		replayed := 0
		for _, r := range runs {
			if r.Replay == replay.ID {
				replayed++
			}
		}
		if replayed != 2 {
			t.Errorf("%d runs tell of the replay", replayed)
		}
		for _, bad := range []graph.RuleReplay{{From: 3, To: 2}, {From: 0, To: 99}, {From: -1}, {ID: "x"}} {
			if _, err := svc.ReplayRule(t.Context(), "main", &admin, "total", bad); err == nil {
				t.Errorf("%+v was taken", bad)
			}
		}
	})
}

func TestTheTraceOfAnEntityAndOfARun(t *testing.T) {
	t.Parallel()
	s := setup(t, rules(`
mark:
  on: {object: Thing, events: [create]}
  handler: {script: mark.js}`)+scripts("mark.js", `export default e => ({patch: [{op: 'add', path: '/objects/' + e.entity + '/body/seen', value: true}]})`), nil)
	id, _ := s.create("Thing", `{}`)
	run := s.waitState("mark", graph.RunSucceeded)[0]
	last := s.set(id, "n", "1")
	tr, err := s.first.svc.TraceOf(t.Context(), "main", &admin, id, 0)
	if err != nil || len(tr.Commits) != 2 || tr.Commits[0].Version != last || tr.Commits[1].Version != 1 {
		t.Fatalf("%+v, %v", tr, err)
	}
	// What the run did is found below what fired it.
	rule := tr.Commits[1].Rules[0]
	if rule.Run.ID != run.ID || len(rule.Commits) != 1 || rule.Commits[0].Version != 2 {
		t.Errorf("%+v", rule)
	}
	var hops []string
	for _, h := range rule.Run.Hops {
		if h.At.IsZero() {
			t.Errorf("hop %s has no time", h.Hop)
		}
		hops = append(hops, string(h.Hop))
	}
	if got := strings.Join(hops, " "); got != "matched started answered committed succeeded" {
		t.Errorf("the hops are %s", got)
	}
	tr, err = s.first.svc.TraceOf(t.Context(), "main", &admin, run.ID, 0)
	if err != nil || tr.Run != run.ID || len(tr.Commits) != 1 || len(tr.Commits[0].Rules) != 1 {
		t.Errorf("%+v, %v", tr, err)
	}
	eve := graph.Principal{User: "eve", Graphs: []string{"*"}}
	for _, of := range []string{newID(), run.ID, id} {
		if _, err := s.first.svc.TraceOf(t.Context(), "main", &eve, of, 0); graph.CodeOf(err) != graph.CodeNotFound {
			t.Errorf("eve traces %s: %v", of, err)
		}
	}
}

func TestAPageOfRunsIsFullWhateverIsHidden(t *testing.T) {
	t.Parallel()
	s, _, _ := apiSystem(t, setup)
	var mine []string
	for i := range 12 {
		id, _ := s.create("Thing", `{"n":0}`)
		if i%4 == 0 {
			mine = append(mine, id)
		} else {
			s.patch(admin, `[{"op":"replace","path":"/objects/`+id+`/access","value":{"manage":{"users":{"root":true}}}}]`)
		}
		s.patch(admin, `[{"op":"add","path":"/objects/`+id+`/body/n","value":9}]`)
	}
	s.waitRuns("total", func(runs []*graph.Run) bool { return len(runs) == 12 })
	first, err := s.first.svc.List(t.Context(), "main", &ann, graph.RunFilter{Limit: 2})
	if err != nil || len(first.Runs) != 2 || first.Runs[0].Entity != mine[2] || first.Next != first.Runs[1].ID {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := s.first.svc.List(t.Context(), "main", &ann, graph.RunFilter{Limit: 2, Before: first.Next})
	if err != nil || len(second.Runs) != 1 || second.Runs[0].Entity != mine[0] || second.Next != "" {
		t.Errorf("%+v, %v", second, err)
	}
}

// Asked to stop, no handler goes on for longer than its grace.
func TestHandlersThatDoNotLookAreCutOff(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, open func(testing.TB, string, map[string]GoHandler, ...option) *system) {
		called := make(chan struct{}, 8)
		hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // a server hears of a caller that is gone once the body is read
			called <- struct{}{}
			if r.URL.Path == "/open" {
				w.WriteHeader(http.StatusAccepted)
				return
			}
			<-r.Context().Done()
		}))
		t.Cleanup(hook.Close)
		began := make(chan struct{}, 8)
		s := open(t, operations(`
gone: {handler: {go: deaf}, timeout: 5m}
loop: {handler: {script: loop.js}, timeout: 5m}
open: {handler: {webhook: "`+hook.URL+`/open"}, timeout: 5m}
held: {handler: {webhook: "`+hook.URL+`/held"}, timeout: 5m}
again: {handler: {go: fails}, timeout: 5m, retries: 3}`)+scripts("loop.js", `export default async ({operation: op}) => { await op.status('begun'); for (;;) {} }`), map[string]GoHandler{
			"deaf": func(ctx context.Context, _ *Call) (json.RawMessage, error) {
				began <- struct{}{}
				<-ctx.Done()
				return nil, ctx.Err()
			},
			"fails": func(context.Context, *Call) (json.RawMessage, error) {
				began <- struct{}{}
				return nil, errors.New("no")
			},
		}, func(c *Config) { c.CancelGrace, c.RetryDelay = 50*time.Millisecond, time.Hour })
		for _, name := range []string{"gone", "loop", "open", "held", "again"} {
			id := s.operation(name, `{}`)
			switch name {
			case "gone":
				take(t, began)
			case "again":
				take(t, began)
				s.waitState(name, graph.RunRetrying)
			case "loop":
				s.waitBody(id, func(b map[string]any) bool { return len(b["status"].([]any)) > 0 })
			default:
				take(t, called)
			}
			s.set(id, "cancel", "true")
			if b := s.waitDone(id); b["state"] != "cancelled" {
				t.Errorf("%s: the operation is %v", name, b)
			}
			s.waitState(name, graph.RunCancelled)
		}
	})
}

func TestAnOperationUnderWayTellsWhenItMayEnd(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, open func(testing.TB, string, map[string]GoHandler, ...option) *system) {
		hold, begun := make(chan struct{}), make(chan string, 4)
		s := open(t, operations(`
work: {handler: {go: work}}`), map[string]GoHandler{"work": func(ctx context.Context, c *Call) (json.RawMessage, error) {
			begun <- eventOf(t, c.Event).Run
			select {
			case <-hold:
			case <-ctx.Done():
			}
			return nil, nil
		}})
		s.operation("work", `{}`)
		first := take(t, begun)
		if got, err := s.first.svc.Get(t.Context(), "main", &admin, first); err != nil || got.ExpectedEnd != "" {
			t.Errorf("without a past: %+v, %v", got, err)
		}
		hold <- struct{}{}
		s.waitState("work", graph.RunSucceeded)
		s.operation("work", `{}`)
		got, err := s.first.svc.Get(t.Context(), "main", &admin, take(t, begun))
		if err != nil {
			t.Fatal(err)
		}
		if end, err := time.Parse(graph.TimeFormat, got.ExpectedEnd); err != nil || time.Until(end).Abs() > time.Minute {
			t.Errorf("it may end at %q", got.ExpectedEnd)
		}
		close(hold)
		s.waitState("work", graph.RunSucceeded, graph.RunSucceeded)
	})
}
