package fanout

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/patch"
	"github.com/graphtide/graphtide/schema"
)

const testSchema = `
graphtide: 1
types:
  Node: {open: true, edges: {out: {child: {to: Node}, up: {to: Node}}, in: {child: {from: Node, as: children}, up: {from: Node, as: downs}}}}
  Leaf: {extends: Node, open: true}
projections:
  Children: {args: {id: {type: string}}, root: {$arg: id}, in: {child: {}}}
`

// world is a graph in memory with a hub over it. Its commits are made by hand:
// what the write path would refuse can be tried as well.
type world struct {
	t       fataler
	store   *memstore.Store
	set     *replica.Set
	live    *schema.Live
	hub     *Hub
	replica *replica.Replica
	key     graph.GraphKey
	pipes   *pipes // once served in memory

	mu       sync.Mutex // guards the fields below
	head     graph.Head
	now      time.Time
	submit   func(m *graph.Mutation) (graph.Receipt, error)
	expires  map[string]time.Time
	withheld []*graph.Commit // committed, and not yet applied to the replica
	withhold bool
}

// fataler is a test, or one run of a property.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func newWorld(t testing.TB, change func(*Config)) *world {
	t.Helper()
	w := makeWorld(t, 0, change)
	t.Cleanup(w.close)
	return w
}

// makeWorld makes a world that remembers ring recent commits (0: many). The
// caller closes it.
func makeWorld(t fataler, ring int, change func(*Config)) *world {
	t.Helper()
	ctx := context.Background()
	w := &world{t: t, store: memstore.New(), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), expires: map[string]time.Time{}}
	w.live = schema.NewLive(w.store)
	w.putSchema(testSchema)
	w.set = replica.New(replica.Config{Store: w.store, Ring: ring, Log: slog.New(slog.DiscardHandler)})
	r, err := w.set.Open(ctx, graph.MainGraph)
	if err != nil {
		t.Fatal(err)
	}
	w.replica, w.key, w.head = r, r.Key(), r.Head()
	cfg := Config{
		Replicas: w.set, Store: w.store, Submitter: (*submitter)(w), Live: w.live, Authenticate: w.authenticate,
		Log: slog.New(slog.DiscardHandler), Linger: time.Hour,
	}
	if change != nil {
		change(&cfg)
	}
	w.hub = New(cfg)
	return w
}

func (w *world) close() {
	w.hub.Stop()
	w.set.Stop(context.Background())
}

// putSchema makes another schema the active one.
func (w *world) putSchema(doc string) {
	w.t.Helper()
	ctx := context.Background()
	before := w.live.Current().Version
	none := func(context.Context, []graph.GraphInfo) ([]*graph.Batch, error) { return nil, nil }
	version, err := w.store.ActivateSchema(ctx, before, []byte(doc), none)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.live.Refresh(ctx); err != nil {
		w.t.Fatal(err)
	}
	w.head.SchemaVer = version
}

// authenticate takes a principal as JSON for a token.
func (w *world) authenticate(_ context.Context, _, token string) (graph.Principal, time.Time, error) {
	if token == "" {
		return graph.Principal{Anonymous: true}, time.Time{}, nil
	}
	var p graph.Principal
	if err := json.Unmarshal([]byte(token), &p); err != nil {
		return p, time.Time{}, graph.Errf(graph.CodeUnauthenticated, "not a token")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return p, w.expires[token], nil
}

func token(p graph.Principal) string {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// submitter answers mutations through world.submit.
type submitter world

func (s *submitter) Submit(_ context.Context, _ string, m *graph.Mutation) (graph.Receipt, error) {
	return s.submit(m)
}

func (s *submitter) Enqueue(_ context.Context, _ string, m *graph.Mutation, done func(graph.Receipt, error)) {
	done(s.submit(m))
}

func (s *submitter) DryRun(context.Context, string, *graph.Mutation) (*graph.DryRun, error) {
	return nil, graph.Errf(graph.CodeInternal, "not in this test")
}

// edit is one change of a commit under construction.
type edit struct {
	ref     graph.Ref
	object  *graph.Object // created, or the next state without meta
	edge    *graph.Edge
	gone    bool
	revived bool // object, or edge, was there before
	patch   []patch.Op
}

// lived gives the meta of what is revived; nil for what is new.
func (e *edit) lived(m *graph.Meta) *graph.Meta {
	if e.revived {
		return m
	}
	return nil
}

func acl(t fataler, text string) *graph.ACL {
	a, violations := access.Parse(json.RawMessage(text))
	if len(violations) > 0 {
		t.Fatalf("access %s: %v", text, violations)
	}
	return a
}

const everybody = `{"read":{"public":true}}`

// object makes a creation.
func (w *world) object(id graph.ObjectID, typ, body, acc string) edit {
	return edit{ref: graph.ObjectRef(id), object: &graph.Object{ID: id, Type: typ, Body: json.RawMessage(body), Access: acl(w.t, acc)}}
}

func edge(id graph.EdgeID, label string, from, to graph.ObjectID) edit {
	return edit{ref: graph.EdgeRef(id), edge: &graph.Edge{ID: id, Label: label, From: from, To: to, Body: json.RawMessage(`{}`)}}
}

func remove(ref graph.Ref) edit { return edit{ref: ref, gone: true} }

// revive makes an undo of a deletion: the object, or the edge, as it is given.
func revive(o *graph.Object, e *graph.Edge) edit {
	if o != nil {
		return edit{ref: graph.ObjectRef(o.ID), object: o, revived: true}
	}
	return edit{ref: graph.EdgeRef(e.ID), edge: e, revived: true}
}

// set makes a change of one member of a body.
func set(ref graph.Ref, member, value string) edit {
	return edit{ref: ref, patch: []patch.Op{{Kind: patch.Add, Path: patch.Pointer{"body", member}, Value: json.RawMessage(value)}}}
}

// grant makes a change of an access.
func grant(id graph.ObjectID, text string) edit {
	return edit{ref: graph.ObjectRef(id), patch: []patch.Op{{Kind: patch.Replace, Path: patch.Pointer{"access"}, Value: json.RawMessage(text)}}}
}

// commit appends one commit and takes it to the replica.
func (w *world) commit(author string, edits ...edit) *graph.Commit {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.commitAs(author, uuid.NewString(), edits...)
}

func (w *world) commitAs(author, key string, edits ...edit) *graph.Commit {
	w.now = w.now.Add(time.Second)
	c := &graph.Commit{
		Version: w.head.Version + 1, Epoch: w.head.Epoch, At: w.now, Author: graph.Principal{User: author}, Mutation: key,
		Hash: []byte(key), Cause: graph.Cause{Kind: graph.CauseClient}, SchemaVer: w.head.SchemaVer,
		Asked: json.RawMessage(`[]`), Done: json.RawMessage(`[]`),
	}
	w.replica.Read(context.Background(), func(st *replica.State) {
		c.Changes = nil
		for _, e := range edits {
			c.Changes = append(c.Changes, w.change(st, c, e))
		}
	})
	res, err := w.store.Append(context.Background(), &graph.Batch{Graph: w.key, Expect: w.head, Commits: []*graph.Commit{c}})
	if err != nil || res.Moved || len(res.Hits) > 0 {
		panic(fmt.Sprintf("append: %v %+v", err, res))
	}
	for i := range c.Changes {
		c.Changes[i].Revived = false // as a node reads it that has not made the commit
	}
	w.head.Version, w.head.At = c.Version, c.At
	if w.withhold {
		w.withheld = append(w.withheld, c)
		return c
	}
	if err := w.replica.Apply([]*graph.Commit{c}); err != nil {
		panic(err)
	}
	return c
}

// release takes to the replica what was withheld.
func (w *world) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.withhold = false
	if err := w.replica.Apply(w.withheld); err != nil {
		panic(err)
	}
	w.withheld = nil
}

func (w *world) change(st *replica.State, c *graph.Commit, e edit) graph.Change {
	ch := graph.Change{Ref: e.ref}
	meta := func(before *graph.Meta) graph.Meta {
		m := graph.Meta{Version: c.Version, CreatedVersion: c.Version, CreatedAt: c.At, CreatedBy: c.Author.User, UpdatedAt: c.At, UpdatedBy: c.Author.User}
		if before != nil {
			m.CreatedVersion, m.CreatedAt, m.CreatedBy = before.CreatedVersion, before.CreatedAt, before.CreatedBy
		}
		return m
	}
	if e.ref.Kind == graph.KindObject {
		old := st.Object(graph.ObjectID(e.ref.ID))
		switch {
		case old == nil && e.object == nil: // not held yet: there will be another call
		case e.gone:
			ch.Event, ch.ObjBefore = graph.Deleted, old
		case old == nil:
			o := *e.object
			o.Meta = meta(e.lived(&o.Meta))
			ch.Event, ch.ObjAfter, ch.Revived = graph.Created, &o, e.revived
		default:
			o := *old
			o.Meta = meta(&old.Meta)
			w.apply(&ch, e.patch, &o.Body, &o.Access)
			ch.Event, ch.ObjBefore, ch.ObjAfter = graph.Modified, old, &o
		}
		return ch
	}
	old := st.Edge(graph.EdgeID(e.ref.ID))
	switch {
	case old == nil && e.edge == nil: // as above
	case e.gone:
		ch.Event, ch.EdgeBefore = graph.Deleted, old
	case old == nil:
		n := *e.edge
		n.Meta = meta(e.lived(&n.Meta))
		ch.Event, ch.EdgeAfter, ch.Revived = graph.Created, &n, e.revived
	default:
		n := *old
		n.Meta = meta(&old.Meta)
		w.apply(&ch, e.patch, &n.Body, nil)
		ch.Event, ch.EdgeBefore, ch.EdgeAfter = graph.Modified, old, &n
	}
	return ch
}

func (w *world) apply(ch *graph.Change, ops []patch.Op, body *json.RawMessage, acc **graph.ACL) {
	text := []byte{'['}
	for i, op := range ops {
		if i > 0 {
			text = append(text, ',')
		}
		text = patch.AppendOp(text, "", op)
		if op.Path[0] == "access" {
			ch.AccessChanged = true
			*acc = acl(w.t, string(op.Value))
			continue
		}
		ch.BodyChanged = true
		op.Path = op.Path[1:]
		out, err := patch.Apply(*body, []patch.Op{op}, patch.JSONLimits{})
		if err != nil {
			panic(err)
		}
		*body = out
	}
	ch.Patch = append(text, ']')
}

func oid(n int) graph.ObjectID {
	return graph.ObjectID{0: 0x01, 6: 0x70, 8: 0x80, 12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
}

func eid(n int) graph.EdgeID {
	return graph.EdgeID{0: 0x0e, 6: 0x70, 8: 0x80, 12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
}

// valueOf gives what a counter or a gauge stands at.
func valueOf(m prometheus.Metric) float64 {
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		panic(err)
	}
	return d.GetCounter().GetValue() + d.GetGauge().GetValue()
}
