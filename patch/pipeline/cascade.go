package pipeline

import (
	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/schema"
)

// cascade follows what the removal of objects brings with it: their edges go,
// and the object at the other end stays, goes too, or forbids it, as its own
// type says of the edge. It asks no right on the far objects. Restrictions are
// judged on the final state: an object that goes itself restricts nothing. They
// are told of what the author asked to remove: what goes along with it may be
// hidden from him.
func (d *Draft) cascade() *graph.Error {
	type restriction struct {
		by graph.ObjectID
		t  *touch
	}
	var restricted []restriction
	var gone []*touch
	for _, t := range d.touched {
		if t.removed && t.ref.Kind == graph.KindObject {
			gone = append(gone, t)
		}
	}
	for i := 0; i < len(gone); i++ { // grows on the way
		t := gone[i]
		if t.created && d.in.ops[t.op].ref == t.ref { // it never was: nobody lost it
			d.dropEdgesOf(t, nil)
			continue
		}
		d.dropEdgesOf(t, func(far graph.ObjectID, decl *schema.EdgeDecl) {
			switch decl.OnDelete {
			case schema.Cascade:
				// It may have been touched long before: its place among what is
				// touched does not say whether its edges have been looked at.
				if d.state.Object(far) != nil {
					c := d.touch(graph.ObjectRef(far), t.op)
					d.drop(c, t.op)
					gone = append(gone, c)
				}
			case schema.Restrict:
				restricted = append(restricted, restriction{far, t})
			}
		})
		if err := d.checkTouched(); err != nil {
			return err
		}
	}
	for _, r := range restricted {
		if d.state.Object(r.by) == nil || d.refused(r.t) {
			continue
		}
		if err := d.fail(graph.Errf(graph.CodeRestricted, "another object holds on to this one; remove that first, or the edge between them").
			At(d.in.ops[r.t.op].path).AtOp(r.t.op)); err != nil {
			return err
		}
	}
	return d.checkTouched()
}

// dropEdgesOf removes the edges of a removed object and reports, for each, the
// object at the other end and what that side declares.
func (d *Draft) dropEdgesOf(t *touch, far func(graph.ObjectID, *schema.EdgeDecl)) {
	var edges []*graph.Edge
	collect := func(e *graph.Edge) bool { edges = append(edges, e); return true }
	d.state.Out(t.ref.ID, "", collect)
	d.state.In(t.ref.ID, "", collect)
	for _, e := range edges {
		if d.state.Edge(e.ID) == nil { // a loop is in both lists
			continue
		}
		et := d.touch(graph.EdgeRef(e.ID), t.op)
		d.drop(et, t.op)
		if far == nil || e.From == e.To {
			continue
		}
		out, in := et.out, et.in // of an edge that was made now: its ends may never have been
		if out == nil {
			var err *graph.Error
			if out, in, err = d.edgeDecls(e.Label, e.From, e.To); err != nil {
				continue // the schema no longer knows the edge: it just goes
			}
		}
		if e.From == graph.ObjectID(t.ref.ID) {
			far(e.To, in)
		} else {
			far(e.From, out)
		}
	}
}

func (d *Draft) checkTouched() *graph.Error {
	if len(d.touched) > d.lim.Touched {
		return graph.TooLarge("touched", int64(d.lim.Touched), "entities in one commit, with what goes along with them; remove in steps")
	}
	return nil
}
