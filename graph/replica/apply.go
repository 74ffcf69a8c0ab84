package replica

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/graphtide/graphtide/graph"
)

// The errors of Apply. After errDiverged and errEpoch only a new load helps;
// the follower does it.
var (
	errGap      = errors.New("the commits do not follow the replica's version")
	errEpoch    = errors.New("the commit belongs to another epoch")
	errDiverged = errors.New("the commit does not fit the replica's state")
	// errBefore: what a change was before is neither held nor in the commit. The
	// follower asks the store for it.
	errBefore = errors.New("what the entity was before is not known")
)

// unknown gives the commits that come after v; errGap where one is missing.
func unknown(commits []*graph.Commit, v graph.Version) ([]*graph.Commit, error) {
	for len(commits) > 0 && commits[0].Version <= v {
		commits = commits[1:]
	}
	for i, c := range commits {
		if want := v + 1 + graph.Version(i); c.Version != want {
			return nil, fmt.Errorf("version %d where %d was due: %w", c.Version, want, errGap)
		}
	}
	return commits, nil
}

// apply brings the state from one version to the next and fills in the
// before-images of c: what is held changes, what is not held stays unknown, what
// is made is held. An error changed nothing.
func (s *core) apply(c *graph.Commit) error {
	if c.Epoch != "" && c.Epoch != s.head.Epoch {
		return fmt.Errorf("version %d: %w", c.Version, errEpoch)
	}
	for i := range c.Changes {
		if err := s.fillBefore(&c.Changes[i]); err != nil {
			return fmt.Errorf("version %d, %s of %s: %w", c.Version, c.Changes[i].Event, c.Changes[i].Ref.Pointer(), err)
		}
	}
	if !s.endsExist(c) {
		return fmt.Errorf("version %d, an edge without its ends: %w", c.Version, errDiverged)
	}
	s.change(c)
	return nil
}

// change does what c did to what is held.
func (s *core) change(c *graph.Commit) {
	// In this order every edge has its ends while it is in, and a new edge never
	// meets an old one of the same triple that the commit removes.
	for i := range c.Changes {
		if ch := &c.Changes[i]; ch.Event == graph.Deleted && ch.Ref.Kind == graph.KindEdge {
			s.removeEdge(ch.EdgeBefore)
		}
	}
	for i := range c.Changes {
		if ch := &c.Changes[i]; ch.Ref.Kind == graph.KindObject {
			if ch.Event == graph.Deleted {
				s.removeObject(graph.ObjectID(ch.Ref.ID))
			} else if ch.Event == graph.Created {
				s.makeObject(ch.ObjAfter)
			} else if n := s.nodes[ch.ObjAfter.ID]; n != nil && n.has&knows != 0 {
				s.setObject(n, ch.ObjAfter)
			}
		}
	}
	for i := range c.Changes {
		if ch := &c.Changes[i]; ch.Event != graph.Deleted && ch.Ref.Kind == graph.KindEdge {
			s.putEdge(ch.EdgeAfter)
		}
	}
	s.head.Version, s.head.At = c.Version, c.At
	s.head.SchemaVer = max(s.head.SchemaVer, c.SchemaVer)
}

// makeObject takes in an object that has just been made: no edge is at it yet.
func (s *core) makeObject(o *graph.Object) {
	n := s.node(o.ID)
	s.setObject(n, o)
	s.learn(n, knows|knowsIn)
}

// fillBefore sets what the entity was, and which parts of it differ now.
// errDiverged where the change does not fit what is held, errBefore where
// neither the core nor the change itself knows.
func (s *core) fillBefore(ch *graph.Change) error {
	if ch.Ref.Kind == graph.KindEdge {
		before, known := s.edgeNow(graph.EdgeID(ch.Ref.ID))
		if known {
			ch.EdgeBefore = before
		}
		if !fits(ch.Event, ch.EdgeBefore != nil, ch.EdgeAfter != nil) {
			return s.unfit(known, ch.EdgeBefore == nil)
		}
		if ch.Event == graph.Modified {
			ch.BodyChanged = !bytes.Equal(ch.EdgeBefore.Body, ch.EdgeAfter.Body)
		}
		return nil
	}
	before, known := s.objectNow(graph.ObjectID(ch.Ref.ID))
	if known {
		ch.ObjBefore = before
	}
	if !fits(ch.Event, ch.ObjBefore != nil, ch.ObjAfter != nil) {
		return s.unfit(known, ch.ObjBefore == nil)
	}
	if ch.Event == graph.Modified {
		b, a := ch.ObjBefore, ch.ObjAfter
		ch.BodyChanged = !bytes.Equal(b.Body, a.Body)
		ch.AccessChanged = b.Access != a.Access && !bytes.Equal(b.Access.Raw, a.Access.Raw)
	}
	return nil
}

func (s *core) unfit(known, without bool) error {
	if !known && without {
		return errBefore
	}
	return errDiverged
}

// objectNow gives an object, nil where it does not exist; known is false where
// that is not known.
func (s *core) objectNow(id graph.ObjectID) (o *graph.Object, known bool) {
	n := s.nodes[id]
	if n == nil || n.has&knows == 0 {
		return nil, s.complete
	}
	return n.obj, true
}

func (s *core) edgeNow(id graph.EdgeID) (e *graph.Edge, known bool) {
	if e := s.edges[id]; e != nil {
		return e, true
	}
	n := s.nodes[graph.ObjectID(id)]
	return nil, s.complete || n != nil && n.has&noEdge != 0
}

func fits(e graph.Event, before, after bool) bool {
	switch e {
	case graph.Created:
		return !before && after
	case graph.Modified:
		return before && after
	case graph.Deleted:
		return before
	}
	return false
}

// endsExist reports whether, after c and as far as is known, each of its new
// edges has both ends, and each object that it removes has lost all of its
// edges.
func (s *core) endsExist(c *graph.Commit) bool {
	var created, deleted map[graph.ObjectID]bool // made only where they are asked
	var lost map[graph.ObjectID]int              // edges that c takes from an object
	collect := func() {
		if created != nil {
			return
		}
		created, deleted, lost = map[graph.ObjectID]bool{}, map[graph.ObjectID]bool{}, map[graph.ObjectID]int{}
		for i := range c.Changes {
			switch ch := &c.Changes[i]; {
			case ch.Ref.Kind == graph.KindObject && ch.Event == graph.Created:
				created[graph.ObjectID(ch.Ref.ID)] = true
			case ch.Ref.Kind == graph.KindObject && ch.Event == graph.Deleted:
				deleted[graph.ObjectID(ch.Ref.ID)] = true
			case ch.Ref.Kind == graph.KindEdge && ch.Event == graph.Deleted:
				lost[ch.EdgeBefore.From]++
				lost[ch.EdgeBefore.To]++
			}
		}
	}
	exists := func(id graph.ObjectID) bool {
		if created[id] || deleted[id] {
			return created[id]
		}
		o, known := s.objectNow(id)
		return !known || o != nil
	}
	for i := range c.Changes {
		switch ch := &c.Changes[i]; {
		case ch.Ref.Kind == graph.KindEdge && ch.Event == graph.Created:
			collect()
			if !exists(ch.EdgeAfter.From) || !exists(ch.EdgeAfter.To) {
				return false
			}
		case ch.Ref.Kind == graph.KindObject && ch.Event == graph.Deleted:
			collect()
			id := graph.ObjectID(ch.Ref.ID)
			n := s.nodes[id]
			if n != nil && n.holds("", false) && n.holds("", true) && n.count("", false)+n.count("", true) != lost[id] {
				return false
			}
		}
	}
	return true
}
