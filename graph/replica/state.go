package replica

import "github.com/graphtide/graphtide/graph"

// State is a graph.Reader over a graph's state at one version, with what
// projections need beyond it. A State that Read gave is used inside Read alone;
// one inside a Snapshot never changes.
type State struct {
	head  graph.Head
	nodes map[graph.ObjectID]*node
	edges map[graph.EdgeID]*graph.Edge
	types map[string][]*node // by exact type, in no order
}

// node is an object with its adjacency. One slice holds the few edge sets of
// both directions: a map per object would cost more than the object.
type node struct {
	obj     *graph.Object
	sets    []edgeSet
	typePos int // position in State.types[obj.Type]
}

// set gives the edge set of a label and direction, or nil.
func (n *node) set(label string, in bool) *edgeSet {
	for i := range n.sets {
		if s := &n.sets[i]; s.in == in && s.label == label {
			return s
		}
	}
	return nil
}

// leaves counts the edges that leave the object.
func (n *node) leaves() int {
	count := 0
	for i := range n.sets {
		if !n.sets[i].in {
			count += len(n.sets[i].links)
		}
	}
	return count
}

func newState() *State {
	return &State{
		nodes: make(map[graph.ObjectID]*node),
		edges: make(map[graph.EdgeID]*graph.Edge),
		types: make(map[string][]*node),
	}
}

// Head gives the state's version.
func (s *State) Head() graph.Head { return s.head }

// Len gives the numbers of objects and edges.
func (s *State) Len() (objects, edges int) { return len(s.nodes), len(s.edges) }

// Object gives the object, or nil where there is none.
func (s *State) Object(id graph.ObjectID) *graph.Object {
	if n := s.nodes[id]; n != nil {
		return n.obj
	}
	return nil
}

// Edge gives the edge, or nil.
func (s *State) Edge(id graph.EdgeID) *graph.Edge { return s.edges[id] }

// Between gives the edge of a triple, or nil. It searches the smaller of the
// two ends' sets.
func (s *State) Between(label string, from, to graph.ObjectID) *graph.Edge {
	out, in := s.set(from, label, false), s.set(to, label, true)
	if out == nil || in == nil {
		return nil
	}
	set, far := out, to
	if len(in.links) < len(out.links) {
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
	s.walk(id, label, in, func(l link) bool { return yield(l.edge, l.far.obj, in && l.far.leaves() == 1) })
}

// CountOut gives the number of edges that Out would give.
func (s *State) CountOut(id graph.ObjectID, label string) int { return s.count(id, label, false) }

// CountIn gives the number of edges that In would give.
func (s *State) CountIn(id graph.ObjectID, label string) int { return s.count(id, label, true) }

// OfType calls yield for every object of exactly this type, in no order, until
// yield returns false.
func (s *State) OfType(typ string, yield func(*graph.Object) bool) {
	for _, n := range s.types[typ] {
		if !yield(n.obj) {
			return
		}
	}
}

// CountOfType gives the number of objects of exactly this type.
func (s *State) CountOfType(typ string) int { return len(s.types[typ]) }

func (s *State) set(id graph.ObjectID, label string, in bool) *edgeSet {
	if n := s.nodes[id]; n != nil {
		return n.set(label, in)
	}
	return nil
}

func (s *State) walk(id graph.ObjectID, label string, in bool, yield func(link) bool) {
	n := s.nodes[id]
	if n == nil {
		return
	}
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

func (s *State) count(id graph.ObjectID, label string, in bool) int {
	n := s.nodes[id]
	if n == nil {
		return 0
	}
	count := 0
	for i := range n.sets {
		if set := &n.sets[i]; set.in == in && (label == "" || set.label == label) {
			count += len(set.links)
		}
	}
	return count
}

// putObject adds an object, or puts it in the place of the one with its id.
func (s *State) putObject(o *graph.Object) {
	n := s.nodes[o.ID]
	switch {
	case n == nil:
		n = &node{}
		s.nodes[o.ID] = n
	case n.obj.Type == o.Type:
		n.obj = o
		return
	default:
		s.dropFromType(n)
	}
	n.obj = o
	n.typePos = len(s.types[o.Type])
	s.types[o.Type] = append(s.types[o.Type], n)
}

// removeObject takes an object out, whose edges are out already.
func (s *State) removeObject(id graph.ObjectID) {
	n := s.nodes[id]
	if n == nil {
		return
	}
	delete(s.nodes, id)
	s.dropFromType(n)
}

func (s *State) dropFromType(n *node) {
	list := s.types[n.obj.Type]
	last := len(list) - 1
	list[n.typePos] = list[last]
	list[n.typePos].typePos = n.typePos
	list[last] = nil
	if last == 0 {
		delete(s.types, n.obj.Type)
		return
	}
	s.types[n.obj.Type] = list[:last]
}

// putEdge adds an edge between objects that exist, or puts it in the place of
// the one with its id.
func (s *State) putEdge(e *graph.Edge) {
	s.edges[e.ID] = e
	from, to := s.nodes[e.From], s.nodes[e.To]
	from.link(link{e, to}, false)
	to.link(link{e, from}, true)
}

func (s *State) removeEdge(e *graph.Edge) {
	delete(s.edges, e.ID)
	s.nodes[e.From].unlink(e, false)
	s.nodes[e.To].unlink(e, true)
}

func (n *node) link(l link, in bool) {
	set := n.set(l.edge.Label, in)
	if set == nil {
		n.sets = append(n.sets, edgeSet{label: l.edge.Label, in: in})
		set = &n.sets[len(n.sets)-1]
	}
	set.put(l)
}

func (n *node) unlink(e *graph.Edge, in bool) {
	for i := range n.sets {
		set := &n.sets[i]
		if set.in != in || set.label != e.Label {
			continue
		}
		set.remove(e)
		if len(set.links) == 0 {
			last := len(n.sets) - 1
			n.sets[i] = n.sets[last]
			n.sets[last] = edgeSet{}
			n.sets = n.sets[:last]
		}
		return
	}
}
