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
// before-images of c. An error changed nothing.
func (s *State) apply(c *graph.Commit) error {
	if c.Epoch != "" && c.Epoch != s.head.Epoch {
		return fmt.Errorf("version %d: %w", c.Version, errEpoch)
	}
	for i := range c.Changes {
		if !s.fillBefore(&c.Changes[i]) {
			return fmt.Errorf("version %d, %s of %s: %w", c.Version, c.Changes[i].Event, c.Changes[i].Ref.Pointer(), errDiverged)
		}
	}
	if !s.endsExist(c) {
		return fmt.Errorf("version %d, an edge without its ends: %w", c.Version, errDiverged)
	}
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
				s.removeObject(ch.ObjBefore.ID)
			} else {
				s.putObject(ch.ObjAfter)
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
	return nil
}

// fillBefore sets what the entity was, and which parts of it differ now. It
// reports whether the change fits the state.
func (s *State) fillBefore(ch *graph.Change) bool {
	if ch.Ref.Kind == graph.KindEdge {
		before := s.edges[graph.EdgeID(ch.Ref.ID)]
		if !fits(ch.Event, before != nil, ch.EdgeAfter != nil) {
			return false
		}
		ch.EdgeBefore = before
		if ch.Event == graph.Modified {
			ch.BodyChanged = !bytes.Equal(before.Body, ch.EdgeAfter.Body)
		}
		return true
	}
	before := s.Object(graph.ObjectID(ch.Ref.ID))
	if !fits(ch.Event, before != nil, ch.ObjAfter != nil) {
		return false
	}
	ch.ObjBefore = before
	if ch.Event == graph.Modified {
		ch.BodyChanged = !bytes.Equal(before.Body, ch.ObjAfter.Body)
		ch.AccessChanged = before.Access != ch.ObjAfter.Access && !bytes.Equal(before.Access.Raw, ch.ObjAfter.Access.Raw)
	}
	return true
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

// endsExist reports whether, after c, each of its new edges has both ends, and
// each object that it removes has lost all of its edges.
func (s *State) endsExist(c *graph.Commit) bool {
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
		return created[id] || s.nodes[id] != nil && !deleted[id]
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
			if s.count(id, "", false)+s.count(id, "", true) != lost[id] {
				return false
			}
		}
	}
	return true
}
