package postprocess

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
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

// askedTypes notes whose types a store is asked for.
type askedTypes struct {
	graph.Store
	mu   sync.Mutex
	most int // at once
	ids  map[graph.ObjectID]bool
}

func (a *askedTypes) Types(ctx context.Context, g graph.GraphKey, ids []graph.ObjectID) (map[graph.ObjectID]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.most = max(a.most, len(ids))
	for _, id := range ids {
		a.ids[id] = true
	}
	return a.Store.Types(ctx, g, ids)
}

// Of a graph that a node holds in part, matching loads nothing: it asks for types
// alone, a bounded number at once, of what a rule wants to know it of.
func TestRulesOnEdgesLoadNoObjects(t *testing.T) {
	t.Parallel()
	s := setup(t, `
graphtide: 1
types:
  Thing: {open: true, access: {read: [org], write: [org]}, edges: {in: {part: {from: Sub, as: wholes}, plain: {from: Sub, as: plains}}}}
  Sub:
    open: true
    access: {read: [org], write: [org]}
    edges: {out: {part: {to: Thing}, plain: {to: Thing}}}
rules:
  parts:
    on: {edge: part, from: Sub, to: Thing, events: [create]}
    handler: {go: note}
  plains:
    on: {edge: plain, events: [create]}
    handler: {go: note}
`, nil)
	s.first.runs.cut.Store(true) // this test matches by itself
	const parts = 2 * typesAtOnce
	oid := func(id string) graph.ObjectID { out, _ := graph.ParseObjectID(id); return out }
	commit := func(ops []string) (first graph.Version) {
		for some := range slices.Chunk(ops, 500) {
			v := s.patch(ann, "["+strings.Join(some, ",")+"]")
			first = min(v, cmp.Or(first, v))
		}
		return first
	}
	things := func(n int) []string {
		ids, ops := make([]string, n), make([]string, n)
		for i := range ids {
			ids[i] = newID()
			ops[i] = `{"op":"add","path":"/objects/` + ids[i] + `","value":{"type":"Thing","body":{}}}`
		}
		commit(ops)
		return ids
	}
	link := func(label, from string, to []string) graph.Version {
		ops := make([]string, len(to))
		for i, id := range to {
			ops[i] = fmt.Sprintf(`{"op":"add","path":"/edges/%s","value":{"label":%q,"from":"%s","to":"%s"}}`, newID(), label, from, id)
		}
		return commit(ops)
	}
	from, _ := s.create("Sub", `{}`)
	many, plain, brought := things(parts), things(1), things(1)
	linked := link("part", from, many)
	link("plain", from, plain)
	imported := link("part", from, brought)
	gone := []string{many[0], many[parts-1]} // by a commit that is not matched yet
	deleted := s.patch(ann, `[{"op":"remove","path":"/objects/`+gone[0]+`"},{"op":"remove","path":"/objects/`+gone[1]+`"}]`)

	store := &askedTypes{Store: s.store, ids: map[graph.ObjectID]bool{}}
	set := replica.New(replica.Config{Store: s.store, Eager: -1, Poll: time.Hour})
	if err := set.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer set.Stop(context.Background())
	r, err := set.Open(t.Context(), graph.MainGraph)
	if err != nil {
		t.Fatal(err)
	}
	held := func(ask ...string) (n int) {
		if err := r.Read(t.Context(), func(st *replica.State) {
			for _, id := range ask {
				st.Object(oid(id))
			}
			n, _ = st.Len()
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := held(from, many[1])
	commits, err := commitsSince(t.Context(), store, r, linked-1)
	if err != nil || commits[len(commits)-1].Version != deleted {
		t.Fatalf("%d commits, %v", len(commits), err)
	}
	commits = commits[:len(commits)-1]
	for i, c := range commits {
		if c.Version == imported {
			other := *c
			other.Cause = graph.Cause{Kind: graph.CauseImport}
			commits[i] = &other
		}
	}
	m := &matcher{key: r.Key(), name: r.Name(), schema: s.first.live, runs: s.runs, typesOf: typesOf(store, r)}
	found, err := m.match(t.Context(), commits)
	if err != nil {
		t.Fatal(err)
	}
	fired := map[string]int{}
	for _, run := range found.runs {
		fired[run.Rule]++
	}
	if fired["parts"] != parts || fired["plains"] != 1 {
		t.Errorf("%v fired", fired)
	}
	if after := held(); after != before || before >= parts {
		t.Errorf("the replica held %d objects before, and %d after", before, after)
	}
	if store.most > typesAtOnce || len(store.ids) < parts-4 {
		t.Errorf("%d types were asked for, up to %d at once", len(store.ids), store.most)
	}
	for _, id := range gone {
		if !store.ids[oid(id)] {
			t.Error("the type of what is gone came from elsewhere")
		}
	}
	for what, id := range map[string]string{"held": many[1], "of a rule without ends": plain[0], "imported": brought[0]} {
		if store.ids[oid(id)] {
			t.Errorf("the store was asked for the type of what is %s", what)
		}
	}
}
