package pipeline

import (
	"sort"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/schema"
)

// checkEdges judges cardinality and required edges on the state after the last
// operation.
func (d *Draft) checkEdges() *graph.Error {
	for i := 0; i < len(d.touched); i++ { // whenFull: replace adds to the list
		t := d.touched[i]
		if t.ref.Kind != graph.KindEdge || !t.created || t.removed {
			continue
		}
		for _, end := range []struct {
			decl *schema.EdgeDecl
			s    side
		}{{t.out, side{t.edgeNow.From, false}}, {t.in, side{t.edgeNow.To, true}}} {
			if err := d.checkMax(t, end.decl, end.s); err != nil {
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

// checkMax holds one end to its bound; with whenFull: replace the oldest edges
// that were there before make room.
func (d *Draft) checkMax(t *touch, decl *schema.EdgeDecl, s side) *graph.Error {
	if decl == nil || decl.Max == 0 {
		return nil
	}
	count, walk := d.state.CountOut, d.state.Out
	if s.in {
		count, walk = d.state.CountIn, d.state.In
	}
	over := count(s.id, decl.Label) - decl.Max
	if over <= 0 {
		return nil
	}
	var old []*graph.Edge
	if decl.Replace {
		walk(s.id, decl.Label, func(e *graph.Edge) bool {
			if known := d.byRef[graph.EdgeRef(e.ID)]; known == nil || !known.created {
				old = append(old, e)
			}
			return true
		})
	}
	if len(old) < over {
		end, name := "leave", "out"
		if s.in {
			end, name = "arrive at", "in"
		}
		e := graph.Errf(graph.CodeCardinality, "at most %d edge(s) %q may %s this object; remove one in the same transaction", decl.Max, decl.Label, end)
		e.Side = map[string]string{"out": "from", "in": "to"}[name]
		return e.At(t.ref.Pointer())
	}
	sort.Slice(old, func(i, j int) bool {
		a, b := old[i], old[j]
		if a.Meta.CreatedVersion != b.Meta.CreatedVersion {
			return a.Meta.CreatedVersion < b.Meta.CreatedVersion
		}
		return string(a.ID[:]) < string(b.ID[:])
	})
	for _, e := range old[:over] {
		d.drop(d.touch(graph.EdgeRef(e.ID), t.op), t.op)
	}
	return d.checkTouched()
}

// checkRequired judges the required edges of an object that is new, or that
// lost an edge.
func (d *Draft) checkRequired(t *touch) *graph.Error {
	var id graph.ObjectID
	switch {
	case t.ref.Kind == graph.KindObject && t.created && !t.removed:
		id = t.ref.ID
	case t.ref.Kind == graph.KindEdge && t.removed && t.edge != nil:
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
		if d.state.CountOut(id, decl.Label) == 0 {
			if !t.created && d.visible(graph.ObjectRef(id)) != nil {
				// whenFull: replace has taken the edge of an object that the author
				// may not know of.
				return graph.Errf(graph.CodeEdgeRequired, "the place is taken, and what has it cannot do without it").At(d.in.ops[t.op].path)
			}
			return graph.Errf(graph.CodeEdgeRequired, "an object of type %s needs an edge %q; add one in the same transaction", o.Type, decl.Label).
				At(graph.ObjectRef(id).Pointer())
		}
	}
	return nil
}
