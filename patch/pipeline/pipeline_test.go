package pipeline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/patch"
	"github.com/graphtide/graphtide/patch/pipeline"
	"github.com/graphtide/graphtide/schema"
)

const workbook = `
graphtide: 1
types:
  Entity:
    abstract: true
    properties:
      name: {type: string, minLength: 1, maxLength: 200}
  User:
    extends: Entity
    access: {read: [org], write: [user]}
    edges: {in: {creator: {from: DataStore, needs: read}}}
  DataStore:
    extends: Entity
    required: [name]
    properties: {tags: {type: array, items: {type: string}}, size: {type: number, default: 1}}
    access: {read: [org], write: [team], comment: [org]}
    edges:
      out: {creator: {to: User, max: 1, whenFull: replace}}
      in:
        dataStore: {from: Record, as: records}
        schemaOf: {from: Schema, max: 1, as: schema}
        about: {from: Comment, as: comments, needs: comment}
        keeps: {from: Keeper, as: keepers}
  Schema:
    extends: Entity
    properties: {columns: {type: array, items: {type: object}}}
    access: {inherit: schemaOf}
    edges: {out: {schemaOf: {to: DataStore, max: 1, required: true, onDelete: cascade}}}
  Record:
    properties: {values: {type: object}, rank: {type: number}}
    access: {inherit: dataStore}
    edges: {out: {dataStore: {to: DataStore, max: 1, required: true, onDelete: cascade}}}
  Comment:
    properties: {text: {type: string}}
    access: {read: [{inherit: about}], write: [user]}
    edges: {out: {about: {to: DataStore, max: 1, required: true, onDelete: cascade}}}
  Keeper:
    properties: {n: {type: integer}}
    edges: {out: {keeps: {to: DataStore, onDelete: restrict, body: {properties: {why: {type: string}}}}}}
  Free: {open: true, access: {read: [public], write: [public]}, create: [user]}
  Vault: {properties: {x: {type: integer}}, create: [admin]}
operations:
  sync:
    params: {project: {type: string}}
    target: DataStore
    needs: write
    handler: {go: sync}
  export:
    params: {format: {type: string, default: csv}, opts: {type: object, properties: {deep: {type: boolean, default: true}}}}
    handler: {go: export}
rules:
  changed:
    on: {object: DataStore, events: [modify], paths: [/body/name]}
    handler: {go: noted}
`

// system is a pipeline over a fresh store with the schema above.
type system struct {
	*pipeline.Pipeline
	t     testing.TB
	store graph.Store
	set   *replica.Set
	live  *schema.Live
	graph string
}

func setup(t *testing.T) *system { return setupOn(t, memstore.New(), graph.Limits{}) }

func setupOn(t testing.TB, store graph.Store, lim graph.Limits, opts ...func(*replica.Config)) *system {
	t.Helper()
	live := schema.NewLive(store)
	cfg := replica.Config{Store: store}
	for _, o := range opts {
		o(&cfg)
	}
	set := replica.New(cfg)
	if err := set.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	p := pipeline.New(pipeline.Config{Store: store, Replicas: set, Live: live, Limits: lim})
	t.Cleanup(func() {
		p.Stop()
		if err := set.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if _, err := p.PutSchema(context.Background(), &admin, "app.yaml", []byte(workbook), false); err != nil {
		t.Fatalf("schema: %v %v", err, graph.AsError(err).Errors)
	}
	name := "g" + strings.ToLower(uuid.NewString()[:8])
	if _, _, err := store.EnsureGraph(context.Background(), name); err != nil {
		t.Fatal(err)
	}
	return &system{p, t, store, set, live, name}
}

var (
	admin = graph.Principal{User: "root", Admin: true, Graphs: []string{"*"}}
	ann   = graph.Principal{User: "ann", Teams: []string{"red"}, Org: "acme"}
	bob   = graph.Principal{User: "bob", Teams: []string{"blue"}, Org: "acme"}
	eve   = graph.Principal{User: "eve", Teams: []string{"evil"}, Org: "other"}
)

var ids atomic.Uint64

// id makes a UUID that is the test's own.
func id() string { return uuid.Must(uuid.NewV7()).String() }

type mutate func(*graph.Mutation)

func base(v graph.Version) mutate { return func(m *graph.Mutation) { m.Base = &v } }
func key(k string) mutate         { return func(m *graph.Mutation) { m.Key = k } }
func executor(m *graph.Mutation)  { m.Executor = true }

func (s *system) try(who graph.Principal, text string, opts ...mutate) (graph.Receipt, *graph.Error) {
	s.t.Helper()
	m := &graph.Mutation{Patch: []byte(text), Author: who}
	for _, o := range opts {
		o(m)
	}
	r, err := s.Submit(context.Background(), s.graph, m)
	if err != nil {
		e := graph.AsError(err)
		if e.Code == graph.CodeInternal {
			s.t.Fatalf("internal error: %v", err)
		}
		return r, e
	}
	return r, nil
}

func (s *system) do(who graph.Principal, text string, opts ...mutate) graph.Version {
	s.t.Helper()
	r, err := s.try(who, text, opts...)
	if err != nil {
		s.t.Fatalf("%s: %v\n%v", text, err, err.Errors)
	}
	return r.Version
}

// refused checks the code, and the path where want has one after a space.
func (s *system) refused(who graph.Principal, want, text string, opts ...mutate) *graph.Error {
	s.t.Helper()
	head := s.head()
	_, err := s.try(who, text, opts...)
	code, path, _ := strings.Cut(want, " ")
	if err == nil {
		s.t.Fatalf("%s was taken, want %s", text, want)
	}
	if string(err.Code) != code || path != "" && err.Path != path {
		s.t.Fatalf("%s: got %v, want %s", text, err, want)
	}
	if now := s.head(); now != head {
		s.t.Fatalf("a refusal moved the head from %d to %d", head, now)
	}
	return err
}

func (s *system) head() graph.Version {
	s.t.Helper()
	info, err := s.store.Graph(context.Background(), s.graph)
	if err != nil {
		s.t.Fatal(err)
	}
	return info.Head.Version
}

func (s *system) rep() *replica.Replica {
	s.t.Helper()
	r, err := s.set.Open(context.Background(), s.graph)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *system) object(id string) (o *graph.Object) {
	s.t.Helper()
	oid, _ := graph.ParseObjectID(id)
	s.rep().Read(context.Background(), func(st *replica.State) { o = st.Object(oid) })
	return o
}

func (s *system) edge(id string) (e *graph.Edge) {
	s.t.Helper()
	eid, _ := graph.ParseEdgeID(id)
	s.rep().Read(context.Background(), func(st *replica.State) { e = st.Edge(eid) })
	return e
}

func (s *system) commits(since graph.Version) []*graph.Commit {
	s.t.Helper()
	info, err := s.store.Graph(context.Background(), s.graph)
	if err != nil {
		s.t.Fatal(err)
	}
	log, err := s.store.Log(context.Background(), info.Key, since, 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	return log
}

// replays checks that the log's patches give the present state, meta aside.
func (s *system) replays() {
	s.t.Helper()
	doc := []byte(`{"objects":{},"edges":{}}`)
	for i, c := range s.commits(0) {
		if c.Version != graph.Version(i+1) {
			s.t.Fatalf("commit %d has version %d", i+1, c.Version)
		}
		ops, err := patch.Parse(c.Done, 1<<20)
		if err != nil {
			s.t.Fatalf("commit %d: %v", c.Version, err)
		}
		if doc, err = patch.Apply(doc, ops, patch.JSONLimits{}); err != nil {
			s.t.Fatalf("commit %d: %v in %s", c.Version, err, c.Done)
		}
	}
	want := map[string]map[string]any{"objects": {}, "edges": {}}
	info, err := s.store.Graph(context.Background(), s.graph)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.store.State(context.Background(), info.Key, func(objects []*graph.Object, edges []*graph.Edge) error {
		for _, o := range objects {
			want["objects"][o.ID.String()] = strip(o.AppendJSON(nil, true))
		}
		for _, e := range edges {
			want["edges"][e.ID.String()] = strip(e.AppendJSON(nil))
		}
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	var got map[string]map[string]any
	if err := json.Unmarshal(doc, &got); err != nil {
		s.t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Fatalf("the replayed log differs from the state (-state +log):\n%s", diff)
	}
}

func strip(entity []byte) map[string]any {
	var m map[string]any
	if err := json.Unmarshal(entity, &m); err != nil {
		panic(err)
	}
	delete(m, "meta")
	return m
}

// store makes a DataStore of ann's and gives its id.
func (s *system) dataStore() string {
	s.t.Helper()
	sid := id()
	s.do(ann, `[{"op":"add","path":"/objects/`+sid+`","value":{"type":"DataStore","body":{"name":"n","tags":["a","b"]}}}]`)
	return sid
}

// record makes a Record in a store and gives its id and its edge's.
func (s *system) record(store string) (rid, eid string) {
	s.t.Helper()
	rid, eid = id(), id()
	s.do(ann, addRecord(rid, eid, store))
	return rid, eid
}

func addRecord(rid, eid, store string) string {
	return fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":"Record","body":{"values":{}}}},
		{"op":"add","path":"/edges/%s","value":{"label":"dataStore","from":"%s","to":"%s"}}]`, rid, eid, rid, store)
}
