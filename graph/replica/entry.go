package replica

import (
	"encoding/binary"
	"fmt"

	"github.com/graphtide/graphtide/graph"
)

// entryFormat begins every entry of the second level: another one is a miss.
const entryFormat = 1

// cached is a unit as the second level keeps it, right at a version.
type cached struct {
	unit  unit
	stamp graph.Version
	// What the unit holds: of an object itself (nil: there is none) and the edges
	// that leave it, of arriving edges these, of a type the ids of its objects.
	object *graph.Object
	edges  []*graph.Edge
	ids    []graph.ObjectID
}

// cacheable reports whether the second level keeps units of the kind. Edges are
// asked for by id by who changes one, and all arriving edges by who removes an
// object: both are rare.
func cacheable(u unit) bool {
	return u.kind == unitObject || u.kind == unitType || u.kind == unitIn && u.label != ""
}

// entryKey names a unit in the second level. The epoch is random, so that graphs
// of two deployments never meet in it.
func entryKey(g graph.GraphKey, epoch string, u unit) string {
	return fmt.Sprintf("graphtide:%d:%s:%d:%s%s", g, epoch, u.kind, u.id[:], u.label)
}

// appendEntry appends a unit that the core holds, as of its version.
func (c *core) appendEntry(dst []byte, g graph.GraphKey, u unit) []byte {
	dst = append(dst, entryFormat, byte(u.kind))
	dst = binary.AppendVarint(dst, int64(g))
	dst = appendText(dst, c.head.Epoch)
	dst = append(dst, u.id[:]...)
	dst = appendText(dst, u.label)
	dst = binary.AppendVarint(dst, int64(c.head.Version))
	n := c.nodes[u.id]
	switch u.kind {
	case unitObject:
		if n == nil || n.obj == nil {
			dst = append(dst, 0)
			break
		}
		dst = append(dst, 1)
		dst = appendObject(dst, n.obj)
		dst = binary.AppendUvarint(dst, uint64(n.leaves()))
		for i := range n.sets {
			if set := &n.sets[i]; !set.in {
				for _, l := range set.links {
					dst = appendEdge(dst, l.edge)
				}
			}
		}
	case unitIn:
		var set *edgeSet
		if n != nil {
			set = n.set(u.label, true)
		}
		if set == nil {
			dst = append(dst, 0)
			break
		}
		dst = binary.AppendUvarint(dst, uint64(len(set.links)))
		for _, l := range set.links {
			dst = appendEdge(dst, l.edge)
		}
	case unitType:
		var list []*node
		if t := c.types[u.label]; t != nil {
			list = t.nodes
		}
		dst = binary.AppendUvarint(dst, uint64(len(list)))
		for _, m := range list {
			dst = append(dst, m.id[:]...)
		}
	}
	return seal(dst)
}

// parseEntry reads an entry, which may be anything. It must be that of the unit,
// in the graph and epoch.
func parseEntry(b []byte, g graph.GraphKey, epoch string, u unit) (*cached, error) {
	b, err := unseal(b)
	if err != nil {
		return nil, err
	}
	s := &scanner{b: b}
	if s.byte() != entryFormat || unitKind(s.byte()) != u.kind || graph.GraphKey(s.int()) != g ||
		string(s.bytes()) != epoch || s.id() != u.id || string(s.bytes()) != u.label {
		return nil, errFormat
	}
	e := &cached{unit: u, stamp: graph.Version(s.int())}
	if e.stamp < 0 {
		return nil, errFormat
	}
	switch u.kind {
	case unitObject:
		if s.byte() == 1 {
			e.object, e.edges = s.object(), s.edges()
			if e.object != nil && e.object.ID != u.id {
				s.fail()
			}
		}
		for _, edge := range e.edges {
			if edge.From != u.id {
				s.fail()
			}
		}
	case unitIn:
		e.edges = s.edges()
		for _, edge := range e.edges {
			if edge.To != u.id || edge.Label != u.label {
				s.fail()
			}
		}
	case unitType:
		e.ids = make([]graph.ObjectID, s.count(16))
		for i := range e.ids {
			e.ids[i] = s.id()
		}
	default:
		s.fail()
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	return e, nil
}
