package storetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
)

// NewObjectID and NewEdgeID give ids that nobody has.
func NewObjectID() graph.ObjectID { return graph.ObjectID(uuid.New()) }

// NewEdgeID gives an id that no edge has.
func NewEdgeID() graph.EdgeID { return graph.EdgeID(uuid.New()) }

// World is a graph as it must be: the commits that were appended, and the state
// after each of them. It is used by one goroutine.
type World struct {
	T     testing.TB
	Store graph.Store
	Info  graph.GraphInfo
	Head  graph.Head
	Log   []*graph.Commit

	now    State
	states []State // after version 0, 1, …
}

// State is what lives at a version.
type State struct {
	Objects map[graph.ObjectID]*graph.Object
	Edges   map[graph.EdgeID]*graph.Edge
}

func (s State) clone() State { return State{maps.Clone(s.Objects), maps.Clone(s.Edges)} }

// NewWorld makes a graph in s.
func NewWorld(t testing.TB, s graph.Store) *World {
	t.Helper()
	info, created, err := s.EnsureGraph(t.Context(), "t-"+uuid.NewString())
	if err != nil || !created {
		t.Fatalf("make a graph: created %v, %v", created, err)
	}
	w := &World{T: t, Store: s, Info: info, Head: info.Head, now: State{map[graph.ObjectID]*graph.Object{}, map[graph.EdgeID]*graph.Edge{}}}
	w.states = append(w.states, w.now.clone())
	return w
}

// Now gives the state after the last commit that was built, At that after a
// version.
func (w *World) Now() State { return w.now }

// At gives the state after a version.
func (w *World) At(v graph.Version) State { return w.states[v] }

// Build makes the next commit; fn says what it does. The world goes on from it,
// whether or not it is appended.
func (w *World) Build(fn func(*Draft)) *graph.Commit {
	w.T.Helper()
	at := time.Now().UTC().Truncate(time.Millisecond)
	if last := w.lastTime(); at.Before(last) {
		at = last
	}
	d := &Draft{w: w, Commit: &graph.Commit{
		Version: w.lastVersion() + 1, Epoch: w.Head.Epoch, At: at, SchemaVer: w.Head.SchemaVer,
		Author:   graph.Principal{User: "ann", Teams: []string{"blue", "red"}, Org: "acme", Graphs: []string{"*"}},
		Mutation: uuid.NewString(), Hash: []byte{1, 2, 3, 0xff},
		Cause: graph.Cause{Kind: graph.CauseClient},
		Asked: json.RawMessage(`[]`),
	}, ops: []byte("[")}
	fn(d)
	c := d.Commit
	for i := range c.Changes {
		if c.Changes[i].Event == graph.Modified {
			c.Changes[i].Patch = append(c.Changes[i].Patch, ']')
		}
	}
	c.Done = append(d.ops, ']')
	w.Log = append(w.Log, c)
	w.states = append(w.states, w.now.clone())
	return c
}

func (w *World) lastVersion() graph.Version { return graph.Version(len(w.Log)) }

func (w *World) lastTime() time.Time {
	if len(w.Log) == 0 {
		return w.Head.At
	}
	return w.Log[len(w.Log)-1].At
}

// Batch gives the batch of commits that were built since the last Append.
func (w *World) Batch() *graph.Batch {
	return &graph.Batch{Graph: w.Info.Key, Expect: w.Head, Commits: w.Log[w.Head.Version:]}
}

// Append appends what was built; it must succeed.
func (w *World) Append() {
	w.T.Helper()
	b := w.Batch()
	res, err := w.Store.Append(w.T.Context(), b)
	if err != nil || res.Moved || len(res.Hits) > 0 {
		w.T.Fatalf("append to %d: %+v, %v", w.Head.Version, res, err)
	}
	w.Settled()
}

// Settled notes that what was built is in the log.
func (w *World) Settled() {
	last := w.Log[len(w.Log)-1]
	w.Head.Version, w.Head.At = last.Version, last.At
}

// Forget takes back what was built and not appended.
func (w *World) Forget() {
	w.Log = w.Log[:w.Head.Version]
	w.states = w.states[:w.Head.Version+1]
	w.now = w.states[w.Head.Version].clone()
}

// Commit builds and appends one commit.
func (w *World) Commit(fn func(*Draft)) *graph.Commit {
	w.T.Helper()
	c := w.Build(fn)
	w.Append()
	return c
}

// Draft is a commit being built.
type Draft struct {
	*graph.Commit
	w   *World
	ops []byte
}

func (d *Draft) op(text string) {
	if len(d.ops) > 1 {
		d.ops = append(d.ops, ',')
	}
	d.ops = append(d.ops, text...)
}

func (d *Draft) meta(created *graph.Meta) graph.Meta {
	m := graph.Meta{Version: d.Version, UpdatedAt: d.At, UpdatedBy: d.Author.User}
	if created == nil {
		m.CreatedVersion, m.CreatedAt, m.CreatedBy = d.Version, d.At, d.Author.User
	} else {
		m.CreatedVersion, m.CreatedAt, m.CreatedBy = created.CreatedVersion, created.CreatedAt, created.CreatedBy
	}
	return m
}

// ACL parses an access document; it must be one.
func ACL(t testing.TB, text string) *graph.ACL {
	t.Helper()
	acl, violations := access.Parse(json.RawMessage(text))
	if len(violations) > 0 {
		t.Fatalf("access %s: %v", text, violations)
	}
	return acl
}

// DefaultACL is the access of the objects that Create makes.
const DefaultACL = `{"read":{"public":true,"users":{}},"manage":{"users":{"ann":true}}}`

// Create makes an object of type T with a body.
func (d *Draft) Create(body string) graph.ObjectID {
	id := NewObjectID()
	d.CreateAs(id, body)
	return id
}

// CreateAs makes an object with an id.
func (d *Draft) CreateAs(id graph.ObjectID, body string) {
	o := &graph.Object{ID: id, Type: "T", Body: json.RawMessage(body), Access: ACL(d.w.T, DefaultACL), Meta: d.meta(nil)}
	d.w.now.Objects[id] = o
	d.Changes = append(d.Changes, graph.Change{Ref: graph.ObjectRef(id), Event: graph.Created, ObjAfter: o, BodyChanged: true, AccessChanged: true})
	d.op(fmt.Sprintf(`{"op":"add","path":"/objects/%s","value":{"type":"T","body":%s,"access":%s}}`, id, body, o.Access.Raw))
}

// Set replaces an object's whole body.
func (d *Draft) Set(id graph.ObjectID, body string) {
	before := d.w.now.Objects[id]
	after := &graph.Object{ID: id, Type: before.Type, Body: json.RawMessage(body), Access: before.Access, Meta: d.meta(&before.Meta)}
	d.modifyObject(before, after, "/body", body)
}

// Share replaces an object's whole access.
func (d *Draft) Share(id graph.ObjectID, acl string) {
	before := d.w.now.Objects[id]
	after := &graph.Object{ID: id, Type: before.Type, Body: before.Body, Access: ACL(d.w.T, acl), Meta: d.meta(&before.Meta)}
	d.modifyObject(before, after, "/access", acl)
}

func (d *Draft) modifyObject(before, after *graph.Object, path, value string) {
	d.w.now.Objects[before.ID] = after
	ref := graph.ObjectRef(before.ID)
	ch := d.touched(ref)
	if ch == nil {
		d.Changes = append(d.Changes, graph.Change{Ref: ref, Event: graph.Modified, ObjBefore: before})
		ch = &d.Changes[len(d.Changes)-1]
	}
	ch.ObjAfter = after
	ch.BodyChanged = ch.BodyChanged || path == "/body"
	ch.AccessChanged = ch.AccessChanged || path == "/access"
	d.replaced(ch, path, value)
}

// replaced adds a replace operation to the commit's patch and to the entity's.
func (d *Draft) replaced(ch *graph.Change, path, value string) {
	ch.Patch = append(ch.Patch, "[,"[min(len(ch.Patch), 1)])
	ch.Patch = fmt.Appendf(ch.Patch, `{"op":"replace","path":%q,"value":%s}`, path, value)
	d.op(fmt.Sprintf(`{"op":"replace","path":%q,"value":%s}`, ch.Ref.Pointer()+path, value))
}

func (d *Draft) touched(ref graph.Ref) *graph.Change {
	i := slices.IndexFunc(d.Changes, func(ch graph.Change) bool { return ch.Ref == ref })
	if i < 0 {
		return nil
	}
	return &d.Changes[i]
}

// Delete removes an object, and its edges with it.
func (d *Draft) Delete(id graph.ObjectID) {
	before := d.w.now.Objects[id]
	delete(d.w.now.Objects, id)
	d.Changes = append(d.Changes, graph.Change{Ref: graph.ObjectRef(id), Event: graph.Deleted, ObjBefore: before})
	d.op(fmt.Sprintf(`{"op":"remove","path":"/objects/%s"}`, id))
	var ends []*graph.Edge
	for _, e := range d.w.now.Edges {
		if e.From == id || e.To == id {
			ends = append(ends, e)
		}
	}
	slices.SortFunc(ends, func(a, b *graph.Edge) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for _, e := range ends {
		d.Unlink(e.ID)
	}
}

// Link makes an edge.
func (d *Draft) Link(label string, from, to graph.ObjectID, body string) graph.EdgeID {
	id := NewEdgeID()
	d.LinkAs(id, label, from, to, body)
	return id
}

// LinkAs makes an edge with an id.
func (d *Draft) LinkAs(id graph.EdgeID, label string, from, to graph.ObjectID, body string) {
	e := &graph.Edge{ID: id, Label: label, From: from, To: to, Body: json.RawMessage(body), Meta: d.meta(nil)}
	d.w.now.Edges[id] = e
	d.Changes = append(d.Changes, graph.Change{Ref: graph.EdgeRef(id), Event: graph.Created, EdgeAfter: e, BodyChanged: true})
	d.op(fmt.Sprintf(`{"op":"add","path":"/edges/%s","value":{"label":%q,"from":"%s","to":"%s","body":%s}}`, id, label, from, to, body))
}

// SetEdge replaces an edge's whole body.
func (d *Draft) SetEdge(id graph.EdgeID, body string) {
	before := d.w.now.Edges[id]
	after := &graph.Edge{ID: id, Label: before.Label, From: before.From, To: before.To, Body: json.RawMessage(body), Meta: d.meta(&before.Meta)}
	d.w.now.Edges[id] = after
	d.Changes = append(d.Changes, graph.Change{Ref: graph.EdgeRef(id), Event: graph.Modified, EdgeBefore: before, EdgeAfter: after, BodyChanged: true})
	d.replaced(&d.Changes[len(d.Changes)-1], "/body", body)
}

// Unlink removes an edge.
func (d *Draft) Unlink(id graph.EdgeID) {
	before := d.w.now.Edges[id]
	delete(d.w.now.Edges, id)
	d.Changes = append(d.Changes, graph.Change{Ref: graph.EdgeRef(id), Event: graph.Deleted, EdgeBefore: before})
	d.op(fmt.Sprintf(`{"op":"remove","path":"/edges/%s"}`, id))
}

func sortedObjects(s State) []*graph.Object {
	return slices.SortedFunc(maps.Values(s.Objects), func(a, b *graph.Object) int { return bytes.Compare(a.ID[:], b.ID[:]) })
}

func sortedEdges(s State) []*graph.Edge {
	return slices.SortedFunc(maps.Values(s.Edges), func(a, b *graph.Edge) int { return bytes.Compare(a.ID[:], b.ID[:]) })
}
