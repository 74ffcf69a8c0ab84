package replica_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/graph/replica"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world writes valid commits to a graph of a store and knows, in plain maps,
// what must come of them.
type world struct {
	store   graph.Store
	info    graph.GraphInfo
	head    graph.Head
	ids     uint64
	objects map[graph.ObjectID]*graph.Object
	edges   map[graph.EdgeID]*graph.Edge
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func newWorld(t failer) *world { return worldIn(t, memstore.New(), graph.MainGraph) }

func worldIn(t failer, store graph.Store, name string) *world {
	t.Helper()
	info, _, err := store.EnsureGraph(context.Background(), name)
	if err != nil {
		t.Fatalf("make graph: %v", err)
	}
	return &world{store: store, info: info, head: info.Head, objects: map[graph.ObjectID]*graph.Object{}, edges: map[graph.EdgeID]*graph.Edge{}}
}

// open gives a running Set over the world's store, and the world's replica.
func (w *world) open(t *testing.T, cfg replica.Config) (*replica.Set, *replica.Replica) {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = w.store
	}
	set := replica.New(cfg)
	if err := set.Start(t.Context()); err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() {
		if err := set.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	r, err := set.Open(t.Context(), w.info.Name)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return set, r
}

func (w *world) newID() (id [16]byte) {
	w.ids++
	// Spread over all bytes, so that ids do not come in the order of creation.
	binary.BigEndian.PutUint64(id[:8], w.ids*0x9E3779B97F4A7C15)
	binary.BigEndian.PutUint64(id[8:], w.ids)
	return id
}

// acls are shared by equal content, as those that access.Parse gives.
var acls = map[string]*graph.ACL{"": open(""), "ann": open("ann"), "bob": open("bob"), "a": inherit("a"), "b": inherit("b")}

// acl gives the right to read to one user, to all ("") or, for "a" and "b", to
// whoever may read the far end of the edge of that label.
func acl(holder string) *graph.ACL { return acls[holder] }

func inherit(label string) *graph.ACL {
	return &graph.ACL{
		Raw:    json.RawMessage(fmt.Sprintf(`{"read":{"users":{},"teams":{},"orgs":{},"public":false,"inherit":{%q:true}}}`, label)),
		Rights: map[string]*graph.Holders{"read": {Inherit: []string{label}}},
	}
}

func open(holder string) *graph.ACL {
	raw := `{"read":{"users":{},"teams":{},"orgs":{},"public":true}}`
	holders := &graph.Holders{Public: true}
	if holder != "" {
		raw = fmt.Sprintf(`{"read":{"users":{%q:true},"teams":{},"orgs":{},"public":false}}`, holder)
		holders = &graph.Holders{Users: map[string]bool{holder: true}}
	}
	return &graph.ACL{Raw: json.RawMessage(raw), Rights: map[string]*graph.Holders{"read": holders}}
}

// tx gathers the changes of one commit.
type tx struct {
	w       *world
	changes []graph.Change
}

// commit makes one commit and appends it; it gives the writer's own copy, with
// no before-images but those of deletions.
func (w *world) commit(t failer, build func(*tx)) *graph.Commit {
	t.Helper()
	x := &tx{w: w}
	build(x)
	version := w.head.Version + 1
	at := start.Add(time.Duration(version) * time.Second)
	for i := range x.changes {
		ch := &x.changes[i]
		meta := graph.Meta{Version: version, CreatedVersion: version, CreatedAt: at, CreatedBy: []string{"ann", "bob"}[version%2], UpdatedAt: at, UpdatedBy: "ann"}
		if old := w.objects[graph.ObjectID(ch.Ref.ID)]; old != nil && ch.Ref.Kind == graph.KindObject {
			meta.CreatedVersion, meta.CreatedAt, meta.CreatedBy = old.Meta.CreatedVersion, old.Meta.CreatedAt, old.Meta.CreatedBy
		}
		if old := w.edges[graph.EdgeID(ch.Ref.ID)]; old != nil && ch.Ref.Kind == graph.KindEdge {
			meta.CreatedVersion, meta.CreatedAt, meta.CreatedBy = old.Meta.CreatedVersion, old.Meta.CreatedAt, old.Meta.CreatedBy
		}
		if ch.ObjAfter != nil {
			ch.ObjAfter.Meta = meta
		}
		if ch.EdgeAfter != nil {
			ch.EdgeAfter.Meta = meta
		}
	}
	c := &graph.Commit{
		Version: version, Epoch: w.head.Epoch, At: at, Author: graph.Principal{User: "ann"}, SchemaVer: w.head.SchemaVer,
		Mutation: fmt.Sprintf("m%d", version), Hash: []byte{byte(version)}, Done: json.RawMessage(`[]`), Changes: x.changes,
	}
	for i := range x.changes {
		ch := &x.changes[i]
		switch {
		case ch.Ref.Kind == graph.KindObject && ch.Event == graph.Deleted:
			delete(w.objects, graph.ObjectID(ch.Ref.ID))
		case ch.Ref.Kind == graph.KindObject:
			w.objects[ch.ObjAfter.ID] = ch.ObjAfter
		case ch.Event == graph.Deleted:
			delete(w.edges, graph.EdgeID(ch.Ref.ID))
		default:
			w.edges[ch.EdgeAfter.ID] = ch.EdgeAfter
		}
	}
	kept := *c
	kept.Changes = slices.Clone(c.Changes)
	res, err := w.store.Append(context.Background(), &graph.Batch{Graph: w.info.Key, Expect: w.head, Commits: []*graph.Commit{c}})
	if err != nil || res.Moved || len(res.Hits) > 0 {
		t.Fatalf("append version %d: %+v, %v", version, res, err)
	}
	w.head.Version, w.head.At = version, at
	return &kept
}

func (x *tx) create(typ, body string, access *graph.ACL) *graph.Object {
	o := &graph.Object{ID: x.w.newID(), Type: typ, Body: json.RawMessage(body), Access: access}
	x.changes = append(x.changes, graph.Change{Ref: graph.ObjectRef(o.ID), Event: graph.Created, ObjAfter: o})
	return o
}

func (x *tx) modify(o *graph.Object, body string, access *graph.ACL) {
	after := *o
	after.Body, after.Access = json.RawMessage(body), access
	x.changes = append(x.changes, graph.Change{Ref: graph.ObjectRef(o.ID), Event: graph.Modified, ObjAfter: &after, Patch: json.RawMessage(`[]`)})
}

// remove deletes an object and its edges.
func (x *tx) remove(id graph.ObjectID) {
	x.changes = append(x.changes, graph.Change{Ref: graph.ObjectRef(id), Event: graph.Deleted, ObjBefore: x.w.objects[id]})
	for _, e := range x.w.sortedEdges() {
		if e.From == id || e.To == id {
			x.unlink(e)
		}
	}
}

func (x *tx) link(label string, from, to graph.ObjectID, body string) *graph.Edge {
	e := &graph.Edge{ID: x.w.newID(), Label: label, From: from, To: to, Body: json.RawMessage(body)}
	x.changes = append(x.changes, graph.Change{Ref: graph.EdgeRef(e.ID), Event: graph.Created, EdgeAfter: e})
	return e
}

func (x *tx) modifyEdge(e *graph.Edge, body string) {
	after := *e
	after.Body = json.RawMessage(body)
	x.changes = append(x.changes, graph.Change{Ref: graph.EdgeRef(e.ID), Event: graph.Modified, EdgeAfter: &after, Patch: json.RawMessage(`[]`)})
}

func (x *tx) unlink(e *graph.Edge) {
	x.changes = append(x.changes, graph.Change{Ref: graph.EdgeRef(e.ID), Event: graph.Deleted, EdgeBefore: e})
}

func (w *world) sortedObjects() []*graph.Object {
	out := make([]*graph.Object, 0, len(w.objects))
	for _, o := range w.objects {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b *graph.Object) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return out
}

func (w *world) sortedEdges() []*graph.Edge {
	out := make([]*graph.Edge, 0, len(w.edges))
	for _, e := range w.edges {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *graph.Edge) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return out
}

func (w *world) between(label string, from, to graph.ObjectID) *graph.Edge {
	for _, e := range w.edges {
		if e.Label == label && e.From == from && e.To == to {
			return e
		}
	}
	return nil
}

var (
	labels  = []string{"a", "b"}
	types   = []string{"Thing", "Part"}
	holders = []string{"", "ann", "bob", "a", "a", "b"}
	values  = []string{
		`1`, `1.0`, `-2`, `0.1`, `10`, `1e1`, `12345678901234567890`, `12345678901234567891`,
		`"x"`, `"xy"`, `"\u0078y"`, `"é"`, `""`, `"😀"`, `"\uffee"`, `true`, `false`, `null`, `[1]`, `{}`,
	}
)

func drawBody(t *rapid.T, name string) string {
	body := ""
	for _, key := range []string{"p", "q"} {
		if i := rapid.IntRange(-3, len(values)-1).Draw(t, name+" "+key); i >= 0 {
			if body != "" {
				body += ","
			}
			body += fmt.Sprintf("%q:%s", key, values[i])
		}
	}
	return "{" + body + "}"
}

// step makes one random commit.
func (w *world) step(t *rapid.T) *graph.Commit {
	objects, edges := w.sortedObjects(), w.sortedEdges()
	pick := func(name string) *graph.Object { return rapid.SampledFrom(objects).Draw(t, name) }
	holder := func() *graph.ACL { return acl(rapid.SampledFrom(holders).Draw(t, "holder")) }
	return w.commit(t, func(x *tx) {
		kind := rapid.IntRange(0, 8).Draw(t, "kind")
		switch {
		case kind >= 3 && kind <= 5 && len(objects) > 0:
			from, to, label := pick("from"), pick("to"), rapid.SampledFrom(labels).Draw(t, "label")
			body := drawBody(t, "edge")
			switch old := w.between(label, from.ID, to.ID); {
			case old == nil:
				x.link(label, from.ID, to.ID, body)
			case kind == 3: // another edge in its place, named first
				x.link(label, from.ID, to.ID, body)
				x.unlink(old)
			default:
				x.modifyEdge(old, body)
			}
		case kind == 6 && len(edges) > 0:
			x.unlink(rapid.SampledFrom(edges).Draw(t, "edge"))
		case kind == 7 && len(objects) > 1:
			x.remove(pick("victim").ID)
		case kind == 8 && len(objects) > 0:
			x.modify(pick("changed"), drawBody(t, "object"), holder())
		case kind == 0 && len(objects) > 0: // linked before it is created
			o := x.create(rapid.SampledFrom(types).Draw(t, "type"), drawBody(t, "object"), holder())
			x.link(labels[0], o.ID, pick("to").ID, `{}`)
			slices.Reverse(x.changes)
		default:
			x.create(rapid.SampledFrom(types).Draw(t, "type"), drawBody(t, "object"), holder())
		}
	})
}

// agrees compares everything that a state tells with the world's plain maps.
func (w *world) agrees(t failer, st *replica.State) {
	t.Helper()
	if objects, edges := st.Len(); objects != len(w.objects) || edges != len(w.edges) {
		t.Fatalf("%d objects and %d edges, want %d and %d", objects, edges, len(w.objects), len(w.edges))
	}
	for id, o := range w.objects {
		if got := st.Object(id); got == nil || got.Meta.Version != o.Meta.Version || string(got.Body) != string(o.Body) {
			t.Fatalf("object %s is %+v, want %+v", id, got, o)
		}
		for _, label := range append([]string{"", "none"}, labels...) {
			w.agreesAt(t, st, id, label)
		}
	}
	for id, e := range w.edges {
		if got := st.Edge(id); got == nil || got.Meta.Version != e.Meta.Version {
			t.Fatalf("edge %s is %+v, want %+v", id, got, e)
		}
		if got := st.Between(e.Label, e.From, e.To); got == nil || got.ID != id {
			t.Fatalf("between the ends of %s stands %+v", id, got)
		}
	}
	for _, typ := range types {
		seen := map[graph.ObjectID]bool{}
		st.OfType(typ, func(o *graph.Object) bool {
			if seen[o.ID] || w.objects[o.ID] == nil || w.objects[o.ID].Type != typ {
				t.Fatalf("type %s holds %s", typ, o.ID)
			}
			seen[o.ID] = true
			return true
		})
		want := 0
		for _, o := range w.objects {
			if o.Type == typ {
				want++
			}
		}
		if len(seen) != want || st.CountOfType(typ) != want {
			t.Fatalf("type %s has %d objects, want %d", typ, len(seen), want)
		}
	}
}

func (w *world) agreesAt(t failer, st *replica.State, id graph.ObjectID, label string) {
	t.Helper()
	out, in := map[graph.EdgeID]bool{}, map[graph.EdgeID]bool{}
	for _, e := range w.edges {
		if label == "" || e.Label == label {
			if e.From == id {
				out[e.ID] = true
			}
			if e.To == id {
				in[e.ID] = true
			}
		}
	}
	if st.CountOut(id, label) != len(out) || st.CountIn(id, label) != len(in) {
		t.Fatalf("%s has %d out and %d in under %q, want %d and %d", id, st.CountOut(id, label), st.CountIn(id, label), label, len(out), len(in))
	}
	st.Out(id, label, func(e *graph.Edge) bool {
		if !out[e.ID] {
			t.Fatalf("edge %s leaves %s under %q twice, or not at all", e.ID, id, label)
		}
		delete(out, e.ID)
		return true
	})
	st.In(id, label, func(e *graph.Edge) bool {
		if !in[e.ID] {
			t.Fatalf("edge %s reaches %s under %q twice, or not at all", e.ID, id, label)
		}
		delete(in, e.ID)
		return true
	})
	if len(out)+len(in) > 0 {
		t.Fatalf("%s lacks edges %v %v under %q", id, out, in, label)
	}
}
