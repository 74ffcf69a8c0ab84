package fanout

import (
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/server/protocol"
)

// view is a projection as seen with one set of rights, kept at the relay's
// version. All of it but feed belongs to the relay's goroutine.
type view struct {
	id string
	*query
	lead  graph.Principal // whose rights it is computed with; all who share it see the same
	why   *grounds
	book  *book
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
	book *book
	why  *grounds
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
	var types []string
	if proj.Type != nil {
		types = l.types.Subtypes(proj.Type.Type)
	}
	j := newJudge(src, p, map[graph.ObjectID]struct{}{})
	b, err := newBook(proj, types, reading{src: src, judge: j, limits: l.limits}, room)
	if err != nil {
		return nil, err
	}
	res := b.answer()
	if n := len(res.Objects) + len(res.Edges); n > l.limits.ViewEntities {
		return nil, viewTooLarge(l.limits.ViewEntities)
	}
	l.recheck(src, p, res)
	return &computed{res, b, j.survey()}, nil
}

func newView(id string, q *query, p graph.Principal, c *computed, at graph.Version) *view {
	v := &view{
		id: id, query: q, lead: p, why: c.why, book: c.book,
		objects: make(map[graph.ObjectID]*graph.Object, len(c.Objects)), edges: make(map[graph.EdgeID]*graph.Edge, len(c.Edges)),
		roots: c.Roots, subs: map[*subscription]struct{}{}, grounded: at, last: at,
	}
	for _, o := range c.Objects {
		v.putObject(o)
	}
	for _, e := range c.Edges {
		v.putEdge(e)
	}
	v.feed.startsAt(at, v.digest)
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

// versionOf gives the version at which the view shows an entity, 0 where it
// does not.
func (v *view) versionOf(ref graph.Ref) graph.Version {
	if ref.Kind == graph.KindEdge {
		if e := v.edges[graph.EdgeID(ref.ID)]; e != nil {
			return e.Meta.Version
		}
	} else if o := v.objects[graph.ObjectID(ref.ID)]; o != nil {
		return o.Meta.Version
	}
	return 0
}

// putObject makes o the object that the view shows.
func (v *view) putObject(o *graph.Object) {
	if old := v.objects[o.ID]; old != nil {
		v.digest -= protocol.DigestOf(o.ID, old.Meta.Version)
	}
	v.objects[o.ID] = o
	v.digest += protocol.DigestOf(o.ID, o.Meta.Version)
}

func (v *view) putEdge(e *graph.Edge) {
	if old := v.edges[e.ID]; old != nil {
		v.digest -= protocol.DigestOf(e.ID, old.Meta.Version)
	}
	v.edges[e.ID] = e
	v.digest += protocol.DigestOf(e.ID, e.Meta.Version)
}

func (v *view) dropObject(o *graph.Object) {
	delete(v.objects, o.ID)
	v.digest -= protocol.DigestOf(o.ID, o.Meta.Version)
}

func (v *view) dropEdge(e *graph.Edge) {
	delete(v.edges, e.ID)
	v.digest -= protocol.DigestOf(e.ID, e.Meta.Version)
}

// whole gives the view as a load holds it, encoded when first asked for and by
// whom, and shared until the view changes or others are kept instead.
func (v *view) whole(kept *keptLoads) *body {
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
	if v.loaded = time.Now(); !v.load.kept {
		v.load.kept = true
		kept.keep(v, v.load)
	}
	return v.load
}

// loadAge is how long an encoded load is kept for others to share.
const loadAge = 10 * time.Second

// changed forgets what was encoded of the view as it was.
func (v *view) changed() { v.load, v.diffs = nil, nil }
