package replica

import "github.com/graphtide/graphtide/graph"

// A unit is what a replica holds or does not hold as a whole.
type unit struct {
	kind  unitKind
	id    [16]byte // of the object or edge
	label string   // of the edges, or the type's name
}

type unitKind uint8

const (
	unitObject unitKind = iota + 1 // an object, or its absence, with all edges that leave it
	unitIn                         // the edges that arrive at an object under a label ("" for all)
	unitType                       // which objects are of a type
	unitEdge                       // an edge, or its absence
)

func objectUnit(id graph.ObjectID) unit           { return unit{kind: unitObject, id: id} }
func inUnit(id graph.ObjectID, label string) unit { return unit{kind: unitIn, id: id, label: label} }
func typeUnit(typ string) unit                    { return unit{kind: unitType, label: typ} }
func edgeUnit(id graph.EdgeID) unit               { return unit{kind: unitEdge, id: id} }

// units is a set of units in the order in which they were noted.
type units struct {
	has   map[unit]struct{}
	list  []unit
	times int // that something was noted, repeats included
}

func (u *units) add(x unit) {
	u.times++
	if _, ok := u.has[x]; ok {
		return
	}
	if u.has == nil {
		u.has = make(map[unit]struct{})
	}
	u.has[x] = struct{}{}
	u.list = append(u.list, x)
}

func (u *units) knows(x unit) bool {
	_, ok := u.has[x]
	return ok
}

// take removes the first n.
func (u *units) take(n int) []unit {
	list := u.list[:min(n, len(u.list))]
	if len(list) == len(u.list) {
		*u = units{}
		return list
	}
	u.list = u.list[len(list):]
	for _, x := range list {
		delete(u.has, x)
	}
	return list
}

// want puts units into the words of the store.
func want(list []unit) *graph.Want {
	w := &graph.Want{}
	for _, u := range list {
		switch u.kind {
		case unitObject:
			w.Objects = append(w.Objects, u.id)
		case unitIn:
			w.In = append(w.In, graph.Arriving{To: u.id, Label: u.label})
		case unitType:
			w.Types = append(w.Types, u.label)
		case unitEdge:
			w.Edges = append(w.Edges, u.id)
		}
	}
	return w
}

// touchedUnits calls yield for the units that a change touches.
func touchedUnits(f *graph.Foot, yield func(unit)) {
	if f.Ref.Kind == graph.KindObject {
		yield(objectUnit(f.Ref.ID))
		if f.Event != graph.Modified {
			yield(typeUnit(f.Type))
		}
		return
	}
	yield(objectUnit(f.From))
	yield(inUnit(f.To, f.Type))
	yield(inUnit(f.To, ""))
}
