package pipeline

import (
	"sort"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/schema"
)

// checkEdges judges cardinality and required edges on the state after the last
// operation.
func (d *Draft) checkEdges() *graph.Error {
	d.replaceOwn()
	for i := 0; i < len(d.touched); i++ { // whenFull: replace adds to the list
		t := d.touched[i]
		if !t.linked() || d.refused(t) {
			continue
		}
		for _, p := range t.places() {
			if err := d.checkMax(t, p); err != nil {
				if err := d.fail(err.AtOp(t.op)); err != nil {
					return err
				}
			}
		}
	}
	for _, t := range d.touched {
		if err := d.checkRequired(t); err != nil {
			if t.op >= 0 {
				err.AtOp(t.op)
			}
			if err := d.fail(err); err != nil {
				return err
			}
		}
	}
	return nil
}

// linked reports whether the transaction makes the edge, and keeps it.
func (t *touch) linked() bool { return t.ref.Kind == graph.KindEdge && t.created && !t.removed }

// place is one end of a new edge, and how many edges may be there.
type place struct {
	side
	decl *schema.EdgeDecl
}

// places gives the ends of a new edge that are bounded.
func (t *touch) places() []place {
	out := make([]place, 0, 2)
	for _, p := range []place{{side{t.edgeNow.From, false}, t.out}, {side{t.edgeNow.To, true}, t.in}} {
		if p.decl != nil && p.decl.Max > 0 {
			out = append(out, p)
		}
	}
	return out
}

// edgesAt gives the edges at a place, in the draft's state.
func (d *Draft) edgesAt(p place) (edges []*graph.Edge) {
	walk := d.state.Out
	if p.in {
		walk = d.state.In
	}
	walk(p.id, p.decl.Label, func(e *graph.Edge) bool {
		edges = append(edges, e)
		return true
	})
	return edges
}

// over gives by how many edges a place is too full.
func (d *Draft) over(p place) int {
	count := d.state.CountOut
	if p.in {
		count = d.state.CountIn
	}
	return count(p.id, p.decl.Label) - p.decl.Max
}

// replaceOwn has the later of the transaction's own edges take the place of the
// earlier, with whenFull: replace. It comes before what was there is asked to
// make room: an edge that does not stay needs none.
func (d *Draft) replaceOwn() {
	for _, t := range d.touched {
		if !t.linked() {
			continue
		}
		for _, p := range t.places() {
			if !d.makesRoom(p) || d.over(p) <= 0 {
				continue
			}
			var own []*touch
			for _, e := range d.edgesAt(p) {
				if d.makes(graph.EdgeRef(e.ID)) {
					own = append(own, d.byRef[graph.EdgeRef(e.ID)])
				}
			}
			if len(own) <= p.decl.Max {
				continue
			}
			sort.SliceStable(own, func(i, j int) bool { return own[i].op < own[j].op })
			for _, early := range own[:len(own)-p.decl.Max] {
				d.drop(early, early.op)
			}
			if t.removed {
				break
			}
		}
	}
}

// makesRoom reports whether older edges of a place give way to a new one. An edge
// that an undo brings back is not new: it would take away what others chose since.
func (d *Draft) makesRoom(p place) bool { return p.decl.Replace && d.in.m.Revert == nil }

// checkMax holds one end to its bound; with whenFull: replace the oldest edges
// that were there before make room, where the author may remove them.
func (d *Draft) checkMax(t *touch, p place) *graph.Error {
	over := d.over(p)
	if over <= 0 {
		return nil
	}
	var old []*graph.Edge
	if d.makesRoom(p) {
		for _, e := range d.edgesAt(p) {
			if !d.makes(graph.EdgeRef(e.ID)) {
				old = append(old, e)
			}
		}
	}
	if len(old) < over {
		return d.full(t, p)
	}
	sort.Slice(old, func(i, j int) bool {
		a, b := old[i], old[j]
		if a.Meta.CreatedVersion != b.Meta.CreatedVersion {
			return a.Meta.CreatedVersion < b.Meta.CreatedVersion
		}
		return string(a.ID[:]) < string(b.ID[:])
	})
	for _, e := range old[:over] {
		if right := d.missingToRemove(e); right != "" {
			if d.visible(graph.EdgeRef(e.ID)) != nil {
				return d.full(t, p)
			}
			return forbidden(right).At(t.ref.Pointer())
		}
		d.drop(d.touch(graph.EdgeRef(e.ID), t.op), t.op)
	}
	return d.checkTouched()
}

// full is the refusal of one edge more than there may be.
func (d *Draft) full(t *touch, p place) *graph.Error {
	end, way := "leave", "from"
	if p.in {
		end, way = "arrive at", "to"
	}
	e := graph.Errf(graph.CodeCardinality, "at most %d edge(s) %q may %s this object; remove one in the same transaction", p.decl.Max, p.decl.Label, end)
	e.Side = way
	return e.At(t.ref.Pointer())
}

// missingToRemove gives the right that the author lacks, on the state before the
// transaction, to remove a stored edge; "" for none.
func (d *Draft) missingToRemove(e *graph.Edge) string {
	if d.trusted() {
		return ""
	}
	needFrom, needTo := access.Write, access.Write
	if out, in, err := d.edgeDecls(e.Label, e.From, e.To); err == nil {
		needFrom, needTo = out.Needs, in.Needs
	}
	switch {
	case !d.before.Holds(e.From, needFrom):
		return needFrom
	case !d.before.Holds(e.To, needTo):
		return needTo
	}
	return ""
}

// checkRequired judges the required edges of an object that is new, or that
// lost an edge.
func (d *Draft) checkRequired(t *touch) *graph.Error {
	var id graph.ObjectID
	switch {
	case t.ref.Kind == graph.KindObject && t.created && !t.removed:
		id = t.ref.ID
	case t.ref.Kind == graph.KindEdge && t.removed && t.edge != nil:
		if d.collect && d.state.Object(t.edge.To) == nil && d.in.ops[t.op].ref != t.ref {
			return nil // it went along with the object, which onDelete has judged
		}
		id = t.edge.From
	default:
		return nil
	}
	o := d.state.Object(id)
	if o == nil {
		return nil
	}
	typ := d.reg.TypeOf(o.Type)
	if typ == nil {
		return nil
	}
	for _, decl := range typ.Required {
		if t.edge != nil && decl.Label != t.edge.Label {
			continue
		}
		if d.state.CountOut(id, decl.Label) == 0 && !d.inVain(id, decl.Label) {
			return graph.Errf(graph.CodeEdgeRequired, "an object of type %s needs an edge %q; add one in the same transaction", o.Type, decl.Label).
				At(graph.ObjectRef(id).Pointer())
		}
	}
	return nil
}
