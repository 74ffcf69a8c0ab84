package replica

import "github.com/graphtide/graphtide/graph"

// State is a graph.Reader over a graph's state at one version, with what
// projections need beyond it. A State that Read gave is used inside Read alone;
// one inside a Snapshot never changes.
//
// What the replica does not hold is answered as if it did not exist, and noted:
// see Missed.
type State struct {
	*core
	missed *units // nil: nobody asks
}

// Head gives the state's version.
func (s *State) Head() graph.Head { return s.head }

// Len gives the numbers of objects and edges that are held.
func (s *State) Len() (objects, edges int) { return s.objects, len(s.edges) }

// Missed counts how often this State was asked, so far, for something that the
// replica does not hold: while it does not grow, what the State said is so.
func (s *State) Missed() int {
	if s.missed == nil {
		return 0
	}
	return s.missed.times
}

// Missing names things that a State was asked for and the replica does not hold.
// The zero value names nothing.
type Missing struct{ units units }

// Apart calls fn, and gives what the State was asked for meanwhile that the
// replica does not hold: that is kept from the Reading, which does not load it.
// Within fn Missed counts from 0. See Replica.Fetch.
func (s *State) Apart(fn func()) (m Missing) {
	if s.missed == nil {
		fn()
		return m
	}
	all := s.missed
	s.missed = &m.units
	defer func() { s.missed = all }()
	fn()
	return m
}

func (s *State) miss(u unit) {
	if !s.complete && s.missed != nil {
		s.missed.add(u)
	}
}

// Object gives the object, or nil where there is none.
func (s *State) Object(id graph.ObjectID) *graph.Object {
	n := s.nodes[id]
	if n == nil || n.has&knows == 0 {
		s.miss(objectUnit(id))
		return nil
	}
	n.use()
	return n.obj
}

// Edge gives the edge, or nil.
func (s *State) Edge(id graph.EdgeID) *graph.Edge {
	if e := s.edges[id]; e != nil {
		if n := s.nodes[e.From]; n != nil {
			n.use()
		}
		return e
	}
	if s.complete {
		return nil
	}
	if n := s.nodes[graph.ObjectID(id)]; n != nil && n.has&noEdge != 0 {
		n.use()
		return nil
	}
	s.miss(edgeUnit(id))
	return nil
}

// Between gives the edge of a triple, or nil. It searches the smaller of the
// two ends' sets.
func (s *State) Between(label string, from, to graph.ObjectID) *graph.Edge {
	out, outKnown := s.set(from, label, false)
	in, inKnown := s.set(to, label, true)
	if outKnown && out == nil || inKnown && in == nil {
		return nil
	}
	set, far := out, to
	switch {
	case !outKnown && !inKnown:
		s.miss(objectUnit(from))
		return nil
	case !outKnown || inKnown && len(in.links) < len(out.links):
		set, far = in, from
	}
	if i := set.find(far); i >= 0 {
		return set.links[i].edge
	}
	return nil
}

// Out calls yield for each edge that leaves id under label ("" for every
// label), in no order, until yield returns false.
func (s *State) Out(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	s.walk(id, label, false, func(l link) bool { return yield(l.edge) })
}

// In is Out for the edges that arrive.
func (s *State) In(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	s.walk(id, label, true, func(l link) bool { return yield(l.edge) })
}

// reach makes a State a reacher.
func (s *State) reach(id graph.ObjectID, label string, in bool, yield func(e *graph.Edge, far *graph.Object, only bool) bool) {
	s.walk(id, label, in, func(l link) bool {
		if l.far.has&knows == 0 {
			s.miss(objectUnit(l.far.id))
			return true
		}
		l.far.use()
		return yield(l.edge, l.far.obj, in && l.far.leaves() == 1)
	})
}

// CountOut gives the number of edges that Out would give.
func (s *State) CountOut(id graph.ObjectID, label string) int { return s.count(id, label, false) }

// CountIn gives the number of edges that In would give.
func (s *State) CountIn(id graph.ObjectID, label string) int { return s.count(id, label, true) }

// OfType calls yield for every object of exactly this type, in no order, until
// yield returns false.
func (s *State) OfType(typ string, yield func(*graph.Object) bool) {
	t := s.ofType(typ)
	if t == nil {
		return
	}
	for _, n := range t.nodes {
		if n.has&knows == 0 {
			s.miss(objectUnit(n.id))
			continue
		}
		n.use()
		if !yield(n.obj) {
			return
		}
	}
}

// CountOfType gives the number of objects of exactly this type.
func (s *State) CountOfType(typ string) int {
	if t := s.ofType(typ); t != nil {
		return len(t.nodes)
	}
	return 0
}

func (s *State) ofType(typ string) *members {
	t := s.types[typ]
	if t == nil || !t.known && !s.complete {
		s.miss(typeUnit(typ))
		return nil
	}
	t.used.Store(true)
	return t
}

// set gives the edge set of an object, nil where it is empty; known is false
// where the replica does not hold it.
func (s *State) set(id graph.ObjectID, label string, in bool) (_ *edgeSet, known bool) {
	n := s.nodes[id]
	if n == nil {
		return nil, s.complete
	}
	n.use()
	return n.set(label, in), n.holds(label, in)
}

func (s *State) walk(id graph.ObjectID, label string, in bool, yield func(link) bool) {
	n := s.nodes[id]
	if n == nil || !n.holds(label, in) {
		s.missSet(id, label, in)
		return
	}
	n.use()
	for i := range n.sets {
		set := &n.sets[i]
		if set.in != in || label != "" && set.label != label {
			continue
		}
		for _, l := range set.links {
			if !yield(l) {
				return
			}
		}
	}
}

func (s *State) missSet(id graph.ObjectID, label string, in bool) {
	if in {
		s.miss(inUnit(id, label))
	} else {
		s.miss(objectUnit(id))
	}
}

func (s *State) count(id graph.ObjectID, label string, in bool) int {
	n := s.nodes[id]
	if n == nil || !n.holds(label, in) {
		s.missSet(id, label, in)
		return 0
	}
	n.use()
	return n.count(label, in)
}
