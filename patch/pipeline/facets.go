package pipeline

import "github.com/graphtide/graphtide/graph"

// A facet is a part of the state that a draft read and that a commit can
// change. A draft is current while none of its facets has changed since the
// version it was prepared at; only then does what it found still hold.
type facet struct {
	kind  facetKind
	id    [16]byte // of the object or edge; the from end of a triple
	to    [16]byte // the other end of a triple
	label string
}

type facetKind uint8

const (
	objectShape facetKind = iota + 1 // exists, type, access
	objectBody
	edgeWhole
	edgeBetween
	edgesOut // the list, or its length, of one label ("" for all)
	edgesIn
)

// recorder is a Reader that notes the facets read through it. Bodies are noted
// apart (recorder.body): most reads of an object want only its type and access,
// and a hot body must not make them stale.
type recorder struct {
	base graph.Reader
	read []facet // the same one may stand in it more than once
}

func newRecorder(base graph.Reader) *recorder {
	return &recorder{base: base, read: make([]facet, 0, 8)}
}

// note adds a facet. Most repeats follow closely, so a look at the last few
// keeps the list short without the cost of a map.
func (r *recorder) note(f facet) {
	for i := len(r.read) - 1; i >= 0 && i >= len(r.read)-4; i-- {
		if r.read[i] == f {
			return
		}
	}
	r.read = append(r.read, f)
}

func (r *recorder) Object(id graph.ObjectID) *graph.Object {
	r.note(facet{kind: objectShape, id: id})
	return r.base.Object(id)
}

// body notes that the draft depends on the object's body and version.
func (r *recorder) body(id graph.ObjectID) {
	r.note(facet{kind: objectBody, id: id})
}

func (r *recorder) Edge(id graph.EdgeID) *graph.Edge {
	r.note(facet{kind: edgeWhole, id: id})
	return r.base.Edge(id)
}

func (r *recorder) Between(label string, from, to graph.ObjectID) *graph.Edge {
	r.note(facet{kind: edgeBetween, id: from, to: to, label: label})
	return r.base.Between(label, from, to)
}

func (r *recorder) Out(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	r.note(facet{kind: edgesOut, id: id, label: label})
	r.base.Out(id, label, yield)
}

func (r *recorder) In(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	r.note(facet{kind: edgesIn, id: id, label: label})
	r.base.In(id, label, yield)
}

func (r *recorder) CountOut(id graph.ObjectID, label string) int {
	r.note(facet{kind: edgesOut, id: id, label: label})
	return r.base.CountOut(id, label)
}

func (r *recorder) CountIn(id graph.ObjectID, label string) int {
	r.note(facet{kind: edgesIn, id: id, label: label})
	return r.base.CountIn(id, label)
}

// facetsOf calls yield for every facet that a change touches.
func facetsOf(c *graph.Change, yield func(facet)) {
	if c.Ref.Kind == graph.KindObject {
		if c.Event != graph.Modified || c.AccessChanged {
			yield(facet{kind: objectShape, id: c.Ref.ID})
		}
		yield(facet{kind: objectBody, id: c.Ref.ID})
		return
	}
	e := c.EdgeAfter
	if e == nil {
		e = c.EdgeBefore
	}
	yield(facet{kind: edgeWhole, id: e.ID})
	yield(facet{kind: edgeBetween, id: e.From, to: e.To, label: e.Label})
	yield(facet{kind: edgesOut, id: e.From, label: e.Label})
	yield(facet{kind: edgesOut, id: e.From})
	yield(facet{kind: edgesIn, id: e.To, label: e.Label})
	yield(facet{kind: edgesIn, id: e.To})
}

// changeIndex remembers at which version each facet changed last, for a bounded
// stretch of the log. It works in two generations: when the young one is full,
// the old one is forgotten, and drafts prepared before the young one began count
// as stale.
type changeIndex struct {
	young, old map[facet]graph.Version
	youngSince graph.Version
	floor      graph.Version // drafts prepared before this version are stale
	max        int
}

func newChangeIndex(at graph.Version, max int) *changeIndex {
	return &changeIndex{young: make(map[facet]graph.Version), floor: at, youngSince: at, max: max}
}

func (x *changeIndex) add(v graph.Version, changes []graph.Change) {
	x.room(v - 1)
	for i := range changes {
		facetsOf(&changes[i], func(f facet) { x.young[f] = v })
	}
}

// room begins a new generation where the young one is full; at is the version of
// the newest commit that is in.
func (x *changeIndex) room(at graph.Version) {
	if len(x.young) >= x.max {
		x.old, x.floor = x.young, x.youngSince
		x.young, x.youngSince = make(map[facet]graph.Version, x.max/4), at
	}
}

// merge adds what a batch changed, whose first version is the one after v.
func (x *changeIndex) merge(f fresh, v graph.Version) {
	x.room(v)
	for k, at := range f {
		x.young[k] = at
	}
}

// current reports whether nothing of what was read changed after version at.
func (x *changeIndex) current(at graph.Version, read []facet) bool {
	if at < x.floor {
		return false
	}
	if len(x.young) == 0 && len(x.old) == 0 {
		return true
	}
	for _, f := range read {
		if x.young[f] > at || x.old[f] > at {
			return false
		}
	}
	return true
}

// fresh has the versions at which a batch, not yet in the log, changes facets.
type fresh map[facet]graph.Version

func (x fresh) add(v graph.Version, changes []graph.Change) {
	for i := range changes {
		facetsOf(&changes[i], func(f facet) { x[f] = v })
	}
}

// current reports whether the batch changes nothing of what was read after
// version at.
func (x fresh) current(at graph.Version, read []facet) bool {
	if len(x) == 0 {
		return true
	}
	for _, f := range read {
		if x[f] > at {
			return false
		}
	}
	return true
}
