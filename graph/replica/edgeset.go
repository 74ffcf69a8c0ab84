package replica

import "github.com/graphtide/graphtide/graph"

// smallSet is the number of edges up to which a set is searched from end to
// end: a scan of that many pointers costs less than a map look-up, and most
// objects have one or two edges under a label.
const smallSet = 16

// link is an edge with the object at its far end, so that walking along edges
// does not look every object up.
type link struct {
	edge *graph.Edge
	far  *node
}

// edgeSet holds the edges of one object under one label in one direction.
// At most one edge exists per (label, from, to), so the far end names an edge
// within its set.
type edgeSet struct {
	label string
	links []link
	at    map[graph.ObjectID]int32 // position by far end; nil while the set is small
	in    bool                     // the edges arrive at the object
	known bool                     // these edges are all, whatever else is known of the object
}

// far gives the end of e that is not the owner's.
func (s *edgeSet) far(e *graph.Edge) graph.ObjectID {
	if s.in {
		return e.From
	}
	return e.To
}

// find gives the position of the edge to or from the far end, or -1.
func (s *edgeSet) find(far graph.ObjectID) int {
	if s.at != nil {
		if i, ok := s.at[far]; ok {
			return int(i)
		}
		return -1
	}
	for i := range s.links {
		if s.far(s.links[i].edge) == far {
			return i
		}
	}
	return -1
}

// put adds an edge, or puts it in the place of the one with the same ends.
func (s *edgeSet) put(l link) (added bool) {
	far := s.far(l.edge)
	if i := s.find(far); i >= 0 {
		s.links[i] = l
		return false
	}
	s.links = append(s.links, l)
	switch {
	case s.at != nil:
		s.at[far] = int32(len(s.links) - 1)
	case len(s.links) > smallSet:
		s.at = make(map[graph.ObjectID]int32, 2*len(s.links))
		for i := range s.links {
			s.at[s.far(s.links[i].edge)] = int32(i)
		}
	}
	return true
}

// remove takes e out, if it is in; the last edge moves into its place.
func (s *edgeSet) remove(e *graph.Edge) (removed bool) {
	far := s.far(e)
	i := s.find(far)
	if i < 0 || s.links[i].edge.ID != e.ID {
		return false
	}
	last := len(s.links) - 1
	s.links[i] = s.links[last]
	s.links[last] = link{}
	s.links = s.links[:last]
	if s.at == nil {
		return true
	}
	delete(s.at, far)
	if i < last {
		s.at[s.far(s.links[i].edge)] = int32(i)
	}
	// Half of smallSet, so that a set at the border does not build its map again
	// and again.
	if last <= smallSet/2 {
		s.at = nil
	}
	return true
}
