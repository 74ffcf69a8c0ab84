package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/internal/testdb"
	"github.com/graphtide/graphtide/migrations"
	"github.com/graphtide/graphtide/patch/pipeline"
	"github.com/graphtide/graphtide/schema"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// stores are what the guarantees are shown on.
func stores(t *testing.T, run func(t *testing.T, store graph.Store)) {
	t.Run("memory", func(t *testing.T) { t.Parallel(); run(t, memstore.New()) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); run(t, ownDatabase(t)) })
}

// ownDatabase gives a store whose schema is the test's alone.
func ownDatabase(t testing.TB) graph.Store {
	t.Helper()
	url := testdb.EmptyURL(t)
	if err := migrations.Up(context.Background(), url); err != nil {
		t.Fatal(err)
	}
	return testdb.Open(t, url)
}

// another gives a second node on the same store and graph.
func (s *system) another() *system {
	s.t.Helper()
	live := schema.NewLive(s.store)
	if err := live.Refresh(context.Background()); err != nil {
		s.t.Fatal(err)
	}
	set := replica.New(replica.Config{Store: s.store})
	if err := set.Start(context.Background()); err != nil {
		s.t.Fatal(err)
	}
	p := pipeline.New(pipeline.Config{Store: s.store, Replicas: set, Live: live})
	s.t.Cleanup(func() {
		p.Stop()
		if err := set.Stop(context.Background()); err != nil {
			s.t.Error(err)
		}
	})
	return &system{p, s.t, s.store, set, live, s.graph}
}

func TestConcurrentWritersOfOneObjectLoseNothing(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, store graph.Store) {
		s := setupOn(t, store, graph.Limits{})
		nodes := []*system{s, s.another()}
		ds := s.dataStore()
		const writers, each = 8, 20
		var wg sync.WaitGroup
		for w := range writers {
			wg.Add(1)
			go func() {
				defer wg.Done()
				n := nodes[w%len(nodes)]
				for i := range each {
					n.do(ann, fmt.Sprintf(`[{"op":"add","path":"/objects/%s/body/tags/-","value":"%d-%d"}]`, ds, w, i))
				}
			}()
		}
		wg.Wait()
		if err := s.rep().CatchUp(context.Background()); err != nil {
			t.Fatal(err)
		}
		body := string(s.object(ds).Body)
		for w := range writers {
			last := -1
			for i := range each {
				at := strings.Index(body, fmt.Sprintf(`"%d-%d"`, w, i))
				if at <= last {
					t.Fatalf("writer %d's element %d is lost or out of order", w, i)
				}
				last = at
			}
		}
		if s.head() != writers*each+1 {
			t.Errorf("head %d", s.head())
		}
		s.replays()
	})
}

// A base that another node has just given is known to the graph, though not yet
// to the node that is asked.
func TestABaseOfAnotherNodeIsNotBeyondTheGraph(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, store graph.Store) {
		s := setupOn(t, store, graph.Limits{})
		n := s.another()
		ds := s.dataStore()
		for i := range 20 {
			v := s.do(ann, fmt.Sprintf(`[{"op":"replace","path":"/objects/%s/body/size","value":%d}]`, ds, i+10))
			n.do(ann, fmt.Sprintf(`[{"op":"replace","path":"/objects/%s/body/name","value":"%d"}]`, ds, i), base(v))
		}
		n.refused(ann, "invalid-version", `[{"op":"replace","path":"/objects/`+ds+`/body/name","value":"x"}]`, base(n.head()+1))
	})
}

// Preconditions hold in the state that the commit follows: of the writers who
// test for the same value only one goes through, on any node.
func TestATestHoldsInTheStateThatTheCommitFollows(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, store graph.Store) {
		s := setupOn(t, store, graph.Limits{})
		nodes := []*system{s, s.another(), s.another()}
		ds := s.dataStore()
		for round := range 10 {
			var won atomic.Int32
			var wg sync.WaitGroup
			for w := range 9 {
				wg.Add(1)
				go func() {
					defer wg.Done()
					was := `"n"`
					if round > 0 {
						was = fmt.Sprintf(`"r%d"`, round-1)
					}
					_, err := nodes[w%3].try(ann, fmt.Sprintf(`[{"op":"test","path":"/objects/%[1]s/body/name","value":%[2]s},{"op":"replace","path":"/objects/%[1]s/body/name","value":"r%[3]d"}]`, ds, was, round))
					switch {
					case err == nil:
						won.Add(1)
					case err.Code != graph.CodeTestFailed:
						t.Errorf("round %d: %v", round, err)
					}
				}()
			}
			wg.Wait()
			if won.Load() != 1 {
				t.Fatalf("round %d: %d writers went through", round, won.Load())
			}
		}
		s.replays()
	})
}

func TestMaxHoldsUnderConcurrentLinks(t *testing.T) {
	t.Parallel()
	s := setup(t)
	nodes := []*system{s, s.another()}
	ds := s.dataStore()
	var won atomic.Int32
	var wg sync.WaitGroup
	for w := range 12 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, err := nodes[w%2].try(ann, fmt.Sprintf(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Schema","body":{}}},
				{"op":"add","path":"/edges/%[2]s","value":{"label":"schemaOf","from":"%[1]s","to":"%[3]s"}}]`, id(), id(), ds))
			switch {
			case err == nil:
				won.Add(1)
			case err.Code != graph.CodeCardinality:
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d went through", won.Load())
	}
	s.replays()
}

func TestASessionsMutationsSettleInTheOrderSent(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	const n = 200
	answers := make(chan int, n)
	for i := range n {
		p := fmt.Sprintf(`[{"op":"add","path":"/objects/%s/body/tags/-","value":"%d"}]`, ds, i)
		if i%10 == 3 {
			p = `[` // refused without looking at any state, in its turn all the same
		}
		s.Enqueue(context.Background(), s.graph, &graph.Mutation{Author: ann, Session: "s", Patch: []byte(p)},
			func(graph.Receipt, error) { answers <- i })
	}
	for want := range n {
		if got := <-answers; got != want {
			t.Fatalf("answer %d came in the place of %d", got, want)
		}
	}
	body := string(s.object(ds).Body)
	last := -1
	for i := range n {
		at := strings.Index(body, fmt.Sprintf(`"%d"`, i))
		if i%10 == 3 {
			continue
		}
		if at <= last {
			t.Fatalf("element %d is out of order: %s", i, body)
		}
		last = at
	}
}

// flaky fails appends: before they reach the store, or after they were done.
type flaky struct {
	graph.Store
	before, after atomic.Int32
	poison        string
}

func (f *flaky) Append(ctx context.Context, b *graph.Batch) (graph.AppendResult, error) {
	for _, c := range b.Commits {
		if f.poison != "" && strings.Contains(string(c.Done), f.poison) {
			return graph.AppendResult{}, errors.New("the database chokes on this")
		}
	}
	lost := &graph.Error{Code: graph.CodeUnavailable, Message: "the connection broke"}
	if f.before.Add(-1) >= 0 {
		return graph.AppendResult{}, lost
	}
	res, err := f.Store.Append(ctx, b)
	if err == nil && !res.Moved && len(res.Hits) == 0 && f.after.Add(-1) >= 0 {
		return graph.AppendResult{}, lost
	}
	return res, err
}

func TestAnUnknownOutcomeIsResolvedByTheSameIDs(t *testing.T) {
	t.Parallel()
	store := &flaky{Store: memstore.New()}
	s := setupOn(t, store, graph.Limits{})
	ds := s.dataStore()
	for round := range 5 {
		store.before.Store(int32(round % 2))
		store.after.Store(2)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				r, err := s.try(ann, fmt.Sprintf(`[{"op":"add","path":"/objects/%s/body/tags/-","value":"%d-%d"}]`, ds, round, w))
				if err != nil || r.Replayed {
					t.Errorf("%+v %v", r, err)
				}
			}()
		}
		wg.Wait()
	}
	body := string(s.object(ds).Body)
	for round := range 5 {
		for w := range 8 {
			if n := strings.Count(body, fmt.Sprintf(`"%d-%d"`, round, w)); n != 1 {
				t.Errorf("%d-%d is there %d times", round, w, n)
			}
		}
	}
	s.replays()
}

func TestOneThatCannotBeWrittenLeavesItsNeighboursAlone(t *testing.T) {
	t.Parallel()
	store := &flaky{Store: memstore.New(), poison: "poison"}
	s := setupOn(t, store, graph.Limits{})
	ds := s.dataStore()
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			value := fmt.Sprint(w)
			if w == 17 {
				value = "poison"
			}
			m := &graph.Mutation{Author: ann, Patch: []byte(`[{"op":"add","path":"/objects/` + ds + `/body/tags/-","value":"` + value + `"}]`)}
			_, err := s.Submit(context.Background(), s.graph, m)
			if (err != nil) != (w == 17) {
				t.Errorf("%d: %v", w, err)
			}
		}()
	}
	wg.Wait()
	if s.head() != 64 {
		t.Errorf("head %d", s.head())
	}
	s.replays()
}

func TestSchemaChanges(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, store graph.Store) {
		s := setupOn(t, store, graph.Limits{})
		ctx := context.Background()
		ds := s.dataStore()
		put := func(doc string, dry bool) (*graph.SchemaResult, *graph.Error) {
			res, err := s.PutSchema(ctx, &admin, "app.yaml", []byte(doc), dry)
			if err != nil {
				return nil, graph.AsError(err)
			}
			return res, nil
		}
		tighter := strings.Replace(workbook, "required: [name]", "required: [name, owner]", 1)
		tighter = strings.Replace(tighter, "size: {type: number, default: 1}", "size: {type: number, default: 1}, owner: {type: string}", 1)
		if tighter == workbook {
			t.Fatal("the schema did not change")
		}
		_, err := put(tighter, false)
		if err == nil || err.Code != graph.CodeSchemaInUse || err.Count < 1 || len(err.Objects) < 1 {
			t.Fatalf("got %v", err)
		}
		res, err := put(tighter, true)
		if err != nil || res.OK || res.Count < 1 {
			t.Fatalf("dry run: %+v %v", res, err)
		}
		if _, err := put("graphtide: 1\ntypes: {A: {extends: Nope}}", false); err == nil || err.Code != graph.CodeInvalidSchema {
			t.Fatalf("got %v", err)
		}
		before := s.live.Current().Version
		migrating := strings.Replace(workbook, "properties: {tags: {type: array, items: {type: string}}, size", "migrate: {rename: {tags: labels}}\n    properties: {labels: {type: array, items: {type: string}}, size", 1)
		res, err = put(migrating, false)
		if err != nil {
			t.Fatal(err, err.Errors, err.Objects)
		}
		if res.Version != before+1 || s.live.Current().Version != before+1 {
			t.Errorf("version %d", res.Version)
		}
		if err := s.rep().CatchUp(ctx); err != nil {
			t.Fatal(err)
		}
		if got := string(s.object(ds).Body); !strings.Contains(got, `"labels":["a","b"]`) || strings.Contains(got, "tags") {
			t.Errorf("body %s", got)
		}
		log := s.commits(0)
		if last := log[len(log)-1]; last.Cause.Kind != graph.CauseSchema || last.SchemaVer != before+1 {
			t.Errorf("cause %v, schema %d", last.Cause, last.SchemaVer)
		}
		s.refused(ann, "schema", `[{"op":"add","path":"/objects/`+ds+`/body/tags","value":["x"]}]`)
		s.do(ann, `[{"op":"add","path":"/objects/`+ds+`/body/labels/-","value":"c"}]`)
		s.replays()
	})
}

// Another node's next write is judged by the schema that was put here.
func TestASchemaHoldsOnEveryNodeAtOnce(t *testing.T) {
	t.Parallel()
	s := setup(t)
	other := s.another()
	ds := s.dataStore()
	other.do(ann, `[{"op":"replace","path":"/objects/`+ds+`/body/name","value":"m"}]`)
	looser := strings.Replace(workbook, "size: {type: number, default: 1}", "size: {type: number, default: 1}, note: {type: string}", 1)
	note := `[{"op":"add","path":"/objects/` + ds + `/body/note","value":"x"}]`
	other.refused(ann, "schema", note)
	if _, err := s.PutSchema(context.Background(), &admin, "app.yaml", []byte(looser), false); err != nil {
		t.Fatal(err)
	}
	other.do(ann, note)
}

func TestEachCommitRecordsAllThatTheLogPromises(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, store graph.Store) {
		s := setupOn(t, store, graph.Limits{})
		ds, group := id(), uuid.NewString()
		s.do(ann, `[{"op":"add","path":"/objects/`+ds+`","value":{"type":"DataStore","body":{"name":"a"}}}]`, key("k"), func(m *graph.Mutation) {
			m.Group, m.Note, m.Session = group, "why", "sess"
		})
		c := s.commits(0)[0]
		switch {
		case c.Version != 1, c.Epoch == "", c.At.IsZero(), c.Author.User != "ann", len(c.Author.Teams) != 1, c.Author.Org != "acme",
			c.Mutation != "k", c.Group != group, c.Note != "why", c.Session != "sess", c.Cause.Kind != graph.CauseClient,
			c.SchemaVer != s.live.Current().Version, len(c.Hash) == 0, len(c.Asked) == 0, len(c.Done) == 0, len(c.Changes) != 1:
			t.Errorf("%+v", c)
		}
		if c.Changes[0].ObjAfter == nil || string(c.Changes[0].ObjAfter.Body) != `{"name":"a","size":1}` {
			t.Errorf("snapshot %+v", c.Changes[0].ObjAfter)
		}
	})
}

// A base that reaches further back than the commits in memory is looked up in
// the store, also for drafts that must be made anew while others go in.
func TestABaseFromLongAgoIsLookedUp(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, store graph.Store) {
		s := setupOn(t, store, graph.Limits{}, func(c *replica.Config) { c.Ring = 2 })
		ds := s.dataStore()
		rec, _ := s.record(ds)
		saw := s.head()
		s.do(ann, `[{"op":"remove","path":"/objects/`+rec+`"},{"op":"remove","path":"/objects/`+ds+`/body/tags/1"}]`)
		for i := range 6 {
			s.do(ann, fmt.Sprintf(`[{"op":"replace","path":"/objects/%s/body/size","value":%d}]`, ds, i+10))
		}
		s.refused(eve, "not-found", `[{"op":"remove","path":"/objects/`+rec+`"}]`, base(saw))
		s.refused(ann, "test-failed", `[{"op":"replace","path":"/objects/`+ds+`/body/tags/0","value":"z"}]`, base(saw))
		var wg sync.WaitGroup
		for w := range 12 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				s.do(ann, fmt.Sprintf(`[{"op":"remove","path":"/objects/%s"},{"op":"replace","path":"/objects/%s/body/size","value":%d}]`, rec, ds, w+100), base(saw))
			}()
		}
		wg.Wait()
		s.replays()
	})
}

// asked is a store that calls a function before it looks into the past.
type asked struct {
	graph.Store
	entityAt func()
}

func (a *asked) EntityAt(ctx context.Context, g graph.GraphKey, ref graph.Ref, at graph.Version) (graph.Snapshot, error) {
	a.entityAt()
	return a.Store.EntityAt(ctx, g, ref, at)
}

func TestADryRunAsksTheStoreWithoutHoldingUpTheGraph(t *testing.T) {
	t.Parallel()
	store := &asked{Store: memstore.New(), entityAt: func() {}}
	s := setupOn(t, store, graph.Limits{}, func(c *replica.Config) { c.Ring = 2 })
	ds := s.dataStore()
	rec, _ := s.record(ds)
	saw := s.head()
	s.do(ann, `[{"op":"remove","path":"/objects/`+rec+`"}]`)
	for i := range 6 {
		s.do(ann, fmt.Sprintf(`[{"op":"replace","path":"/objects/%s/body/size","value":%d}]`, ds, i+10))
	}
	looked := 0
	store.entityAt = func() {
		looked++
		free := make(chan error, 1)
		go func() { free <- s.rep().Apply(nil) }() // takes the lock to write
		select {
		case err := <-free:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Error("the graph is locked while the store is asked")
		}
	}
	res, err := s.DryRun(t.Context(), s.graph, &graph.Mutation{Author: ann, Base: &saw, Patch: []byte(`[{"op":"remove","path":"/objects/` + rec + `"}]`)})
	if err != nil || !res.OK || looked == 0 {
		t.Errorf("%+v %v, the store was asked %d times", res, err, looked)
	}
}
