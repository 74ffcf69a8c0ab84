package fanout

import (
	"bytes"
	"slices"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/server/protocol"
)

// view is a projection as seen with one set of rights, kept at the relay's
// version. All of it but feed belongs to the relay's goroutine.
type view struct {
	id    string
	name  string // canonical projection: views of one name differ in rights
	proj  *graph.Projection
	sens  *sensitivity
	lead  graph.Principal // whose rights it is computed with; all who share it see the same
	why   *grounds
	deps  *deps
	trace *replica.Trace
	floor graph.Version // older states cannot be found again: the schema changed
	last  graph.Version // when it last changed, or where it began
	// grounded is when why last changed, or where the view began.
	grounded graph.Version

	objects map[graph.ObjectID]*graph.Object
	edges   map[graph.EdgeID]*graph.Edge
	roots   []graph.ObjectID
	digest  uint32

	loaded time.Time // when load was last asked for
	load   *body     // the whole view, encoded at most once while it stays as it is
	subs   map[*subscription]struct{}
	idle   time.Time  // since when nobody subscribes
	feed   feed       // guarded by relay.feedMu
	diffs  []*resumed // as load: kept while the view stays as it is
}

// computed is an evaluation with all that was found out on the way.
type computed struct {
	*replica.Result
	trace *replica.Trace
	deps  *deps
	why   *grounds
}

// lens is what a view is computed with beside the state.
type lens struct {
	types   replica.Types
	limits  graph.Limits
	metrics *metrics
	// refused tells of an entity that the two checks of rights judge differently.
	refused func(graph.ObjectID)
}

// compute evaluates a projection over a state, judges every object again, and
// notes what the answer rests on.
func (l *lens) compute(src replica.Source, p *graph.Principal, proj *graph.Projection, room int) (*computed, *graph.Error) {
	l.metrics.computed.Inc()
	j := newJudge(src, p, room)
	res, trace, err := replica.EvaluateTrace(&recorder{src, j.deps}, j.mayRead, l.types, proj, l.limits)
	if err != nil {
		return nil, err
	}
	l.recheck(src, p, res)
	return &computed{res, trace, j.deps, j.survey()}, nil
}

func newView(id, name string, proj *graph.Projection, p graph.Principal, c *computed, at graph.Version) *view {
	v := &view{
		id: id, name: name, proj: proj, sens: sensitivityOf(proj), lead: p, why: c.why, deps: c.deps, trace: c.trace,
		objects: make(map[graph.ObjectID]*graph.Object, len(c.Objects)), edges: make(map[graph.EdgeID]*graph.Edge, len(c.Edges)),
		roots: c.Roots, subs: map[*subscription]struct{}{}, grounded: at, last: at,
	}
	for _, o := range c.Objects {
		v.putObject(o)
	}
	for _, e := range c.Edges {
		v.putEdge(e)
	}
	v.feed.last, v.feed.dropped, v.feed.digest = at, at, v.digest
	v.load, v.loaded = wholeBody(c.Objects, c.Edges, c.Roots, v.digest), time.Now()
	return v
}

func (v *view) size() int { return len(v.objects) + len(v.edges) }

func (v *view) shows(ref graph.Ref) bool {
	if ref.Kind == graph.KindEdge {
		return v.edges[graph.EdgeID(ref.ID)] != nil
	}
	return v.objects[graph.ObjectID(ref.ID)] != nil
}

// putObject makes o the object that the view shows; was is the version of the
// one that it showed before, 0 for none.
func (v *view) putObject(o *graph.Object) (was graph.Version) {
	if old := v.objects[o.ID]; old != nil {
		was = old.Meta.Version
		v.digest -= protocol.DigestOf(o.ID, was)
	}
	v.objects[o.ID] = o
	v.digest += protocol.DigestOf(o.ID, o.Meta.Version)
	return was
}

func (v *view) putEdge(e *graph.Edge) (was graph.Version) {
	if old := v.edges[e.ID]; old != nil {
		was = old.Meta.Version
		v.digest -= protocol.DigestOf(e.ID, was)
	}
	v.edges[e.ID] = e
	v.digest += protocol.DigestOf(e.ID, e.Meta.Version)
	return was
}

func (v *view) dropObject(o *graph.Object) {
	delete(v.objects, o.ID)
	v.digest -= protocol.DigestOf(o.ID, o.Meta.Version)
}

func (v *view) dropEdge(e *graph.Edge) {
	delete(v.edges, e.ID)
	v.digest -= protocol.DigestOf(e.ID, e.Meta.Version)
}

// touch is a change that concerns a view.
type touch struct {
	change *graph.Change
	commit *graph.Commit
}

// follow brings the view up to date with changes that touched only the content
// of entities, none of which decides what the view shows. Each commit is a
// difference of its own.
func (v *view) follow(l *lens, r graph.Reader, touches []touch) []*difference {
	var out []*difference
	var d *difference
	var last *graph.Commit
	for _, t := range touches {
		if !v.shows(t.change.Ref) {
			continue
		}
		if t.commit != last {
			d, last = &difference{version: t.commit.Version}, t.commit
			d.commit(t.commit)
			out = append(out, d)
		}
		d.entries = append(d.entries, v.take(l, r, t.change))
	}
	return out
}

// take makes the view show an entity as a change left it. Rights are judged by
// the present state: they did not change meanwhile.
func (v *view) take(l *lens, r graph.Reader, ch *graph.Change) entry {
	if e := ch.EdgeAfter; e != nil {
		if !l.readable(r, &v.lead, e.From) || !l.readable(r, &v.lead, e.To) {
			v.dropEdge(v.edges[e.ID])
			return entry{ref: ch.Ref, why: protocol.Forbidden}
		}
		return entry{ref: ch.Ref, edge: e, was: v.putEdge(e)}
	}
	o := ch.ObjAfter
	if !l.readable(r, &v.lead, o.ID) {
		v.dropObject(v.objects[o.ID])
		return entry{ref: ch.Ref, why: protocol.Forbidden}
	}
	return entry{ref: ch.Ref, obj: o, was: v.putObject(o)}
}

// become makes the view show what was computed and gives the difference.
func (v *view) become(c *computed, why func(graph.Ref, *graph.Edge) protocol.Reason) *difference {
	d := &difference{}
	for _, o := range c.Objects {
		if old := v.objects[o.ID]; old == nil || old.Meta.Version != o.Meta.Version {
			d.entries = append(d.entries, entry{ref: graph.ObjectRef(o.ID), obj: o, was: v.putObject(o)})
		}
	}
	if len(v.objects) > len(c.Objects) {
		for id, o := range v.objects {
			if !hasID(c.Objects, id, func(o *graph.Object) [16]byte { return o.ID }) {
				v.dropObject(o)
				d.entries = append(d.entries, entry{ref: graph.ObjectRef(id), why: why(graph.ObjectRef(id), nil)})
			}
		}
	}
	for _, e := range c.Edges {
		if old := v.edges[e.ID]; old == nil || old.Meta.Version != e.Meta.Version {
			d.entries = append(d.entries, entry{ref: graph.EdgeRef(e.ID), edge: e, was: v.putEdge(e)})
		}
	}
	if len(v.edges) > len(c.Edges) {
		for id, e := range v.edges {
			if !hasID(c.Edges, id, func(e *graph.Edge) [16]byte { return e.ID }) {
				v.dropEdge(e)
				d.entries = append(d.entries, entry{ref: graph.EdgeRef(id), why: why(graph.EdgeRef(id), e)})
			}
		}
	}
	if !slices.Equal(v.roots, c.Roots) {
		v.roots, d.roots, d.rerooted = c.Roots, c.Roots, true
	}
	v.why, v.trace = c.why, c.trace
	return d
}

// hasID looks an id up in a list sorted by id.
func hasID[T any](list []T, id [16]byte, of func(T) [16]byte) bool {
	_, ok := slices.BinarySearchFunc(list, id, func(item T, id [16]byte) int {
		have := of(item)
		return bytes.Compare(have[:], id[:])
	})
	return ok
}

// whole gives the view as a load holds it, encoded when first asked for and by
// whom, and shared until the view changes.
func (v *view) whole() *body {
	if v.load == nil {
		objects := make([]*graph.Object, 0, len(v.objects))
		for _, o := range v.objects {
			objects = append(objects, o)
		}
		edges := make([]*graph.Edge, 0, len(v.edges))
		for _, e := range v.edges {
			edges = append(edges, e)
		}
		v.load = wholeBody(objects, edges, v.roots, v.digest)
	}
	v.loaded = time.Now()
	return v.load
}

// loadAge is how long an encoded load is kept for others to share.
const loadAge = 10 * time.Second

// changed forgets what was encoded of the view as it was.
func (v *view) changed() { v.load, v.diffs = nil, nil }
