package pipeline

import "github.com/graphtide/graphtide/graph"

// overlay is a state of the graph on top of another one: the base with some
// entities put in, changed or taken away. A draft keeps one for its own
// effects; the sequencer keeps one for the effects of a batch that is not yet
// in the log. Not safe for concurrent use.
type overlay struct {
	base    graph.Reader
	objects map[graph.ObjectID]*graph.Object // nil: removed
	edges   map[graph.EdgeID]*graph.Edge     // nil: removed
	between map[triple]*graph.Edge           // nil: removed
	added   map[side][]*graph.Edge           // edges that the base does not have, per end
	counts  map[adjacency]int                // difference to the base's count
}

type triple struct {
	label    string
	from, to graph.ObjectID
}

type side struct {
	id graph.ObjectID
	in bool
}

type adjacency struct {
	side
	label string // "" for every label
}

func newOverlay(base graph.Reader) *overlay { return &overlay{base: base} }

func (o *overlay) Object(id graph.ObjectID) *graph.Object {
	if obj, ok := o.objects[id]; ok {
		return obj
	}
	return o.base.Object(id)
}

func (o *overlay) Edge(id graph.EdgeID) *graph.Edge {
	if e, ok := o.edges[id]; ok {
		return e
	}
	return o.base.Edge(id)
}

func (o *overlay) Between(label string, from, to graph.ObjectID) *graph.Edge {
	if e, ok := o.between[triple{label, from, to}]; ok {
		if e == nil {
			return nil
		}
		return o.edges[e.ID]
	}
	e := o.base.Between(label, from, to)
	if e != nil {
		if now, ok := o.edges[e.ID]; ok {
			return now
		}
	}
	return e
}

func (o *overlay) Out(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	o.walk(side{id, false}, label, o.base.Out, yield)
}

func (o *overlay) In(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	o.walk(side{id, true}, label, o.base.In, yield)
}

func (o *overlay) walk(s side, label string, base func(graph.ObjectID, string, func(*graph.Edge) bool), yield func(*graph.Edge) bool) {
	more := true
	base(s.id, label, func(e *graph.Edge) bool {
		if now, ok := o.edges[e.ID]; ok {
			if now == nil {
				return true
			}
			e = now
		}
		more = yield(e)
		return more
	})
	if !more {
		return
	}
	for _, e := range o.added[s] {
		now := o.edges[e.ID]
		if now == nil || label != "" && now.Label != label {
			continue
		}
		if !yield(now) {
			return
		}
	}
}

func (o *overlay) CountOut(id graph.ObjectID, label string) int {
	return o.base.CountOut(id, label) + o.counts[adjacency{side{id, false}, label}]
}

func (o *overlay) CountIn(id graph.ObjectID, label string) int {
	return o.base.CountIn(id, label) + o.counts[adjacency{side{id, true}, label}]
}

// putObject puts an object in, or takes it away (nil).
func (o *overlay) putObject(id graph.ObjectID, obj *graph.Object) {
	if o.objects == nil {
		o.objects = make(map[graph.ObjectID]*graph.Object, 4)
	}
	o.objects[id] = obj
}

// addEdge puts a new edge in.
func (o *overlay) addEdge(e *graph.Edge) {
	o.setEdge(e.ID, e)
	if o.between == nil {
		o.between = make(map[triple]*graph.Edge, 2)
		o.added = make(map[side][]*graph.Edge, 4)
	}
	o.between[triple{e.Label, e.From, e.To}] = e
	from, to := side{e.From, false}, side{e.To, true}
	o.added[from] = append(o.added[from], e)
	o.added[to] = append(o.added[to], e)
	o.count(e, +1)
}

// changeEdge replaces an edge by one with the same id, label and ends.
func (o *overlay) changeEdge(e *graph.Edge) { o.setEdge(e.ID, e) }

// removeEdge takes an edge away.
func (o *overlay) removeEdge(e *graph.Edge) {
	o.setEdge(e.ID, nil)
	if o.between == nil {
		o.between = make(map[triple]*graph.Edge, 2)
		o.added = make(map[side][]*graph.Edge, 4)
	}
	o.between[triple{e.Label, e.From, e.To}] = nil
	o.count(e, -1)
}

func (o *overlay) setEdge(id graph.EdgeID, e *graph.Edge) {
	if o.edges == nil {
		o.edges = make(map[graph.EdgeID]*graph.Edge, 4)
	}
	o.edges[id] = e
}

func (o *overlay) count(e *graph.Edge, by int) {
	if o.counts == nil {
		o.counts = make(map[adjacency]int, 8)
	}
	from, to := side{e.From, false}, side{e.To, true}
	o.counts[adjacency{from, e.Label}] += by
	o.counts[adjacency{from, ""}] += by
	o.counts[adjacency{to, e.Label}] += by
	o.counts[adjacency{to, ""}] += by
}

// apply puts a commit's effects in.
func (o *overlay) apply(changes []graph.Change) {
	for i := range changes {
		c := &changes[i]
		switch {
		case c.Ref.Kind == graph.KindObject:
			o.putObject(c.Ref.ID, c.ObjAfter)
		case c.Event == graph.Created:
			o.addEdge(c.EdgeAfter)
		case c.Event == graph.Modified:
			o.changeEdge(c.EdgeAfter)
		default:
			o.removeEdge(c.EdgeBefore)
		}
	}
}
