package pipeline

import (
	"bytes"
	"sort"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// snapshot turns what was touched into the changes of a commit and the patch
// that was really done. Entities that end as they began are left out.
func (d *Draft) snapshot() *graph.Error {
	type piece struct {
		at, seq int
		prefix  string
		op      patch.Op
	}
	var pieces []piece
	d.changes = make([]graph.Change, 0, len(d.touched))
	for _, t := range d.touched {
		c, ok := t.change()
		if !ok {
			continue
		}
		pointer := t.ref.Pointer()
		switch c.Event {
		case graph.Created:
			pieces = append(pieces, piece{t.op, len(pieces), "", patch.Op{Kind: patch.Add, Path: refPath(t.ref), Value: t.addValue()}})
		case graph.Deleted:
			at := t.op
			if at < 0 || at < len(d.in.ops) && d.in.ops[at].ref != t.ref {
				at = 1 << 30 // a cascade acts after the last operation
			}
			pieces = append(pieces, piece{at, len(pieces), "", patch.Op{Kind: patch.Remove, Path: refPath(t.ref)}})
		default:
			rel := []byte{'['}
			for i, done := range t.done {
				pieces = append(pieces, piece{done.at, len(pieces), pointer + done.area, done.op})
				if i > 0 {
					rel = append(rel, ',')
				}
				rel = patch.AppendOp(rel, done.area, done.op)
			}
			c.Patch = append(rel, ']')
		}
		d.changes = append(d.changes, c)
	}
	if len(d.changes) == 0 {
		return nil
	}
	sort.SliceStable(pieces, func(i, j int) bool { return pieces[i].at < pieces[j].at })
	out := make([]byte, 0, 64+len(d.in.m.Patch))
	out = append(out, '[')
	for i := range pieces {
		if i > 0 {
			out = append(out, ',')
		}
		out = patch.AppendOp(out, pieces[i].prefix, pieces[i].op)
	}
	d.done = append(out, ']')
	return nil
}

func refPath(r graph.Ref) patch.Pointer {
	return patch.Pointer{r.Kind.Collection(), r.IDString()}
}

// addValue gives the value of the `add` that makes the entity as it is in the
// end.
func (t *touch) addValue() []byte {
	if o := t.objNow; o != nil {
		b := append([]byte(`{"type":`), graph.AppendString(nil, o.Type)...)
		b = append(b, `,"body":`...)
		b = append(b, o.Body...)
		b = append(b, `,"access":`...)
		b = append(b, o.Access.Raw...)
		return append(b, '}')
	}
	e := t.edgeNow
	b := append([]byte(`{"label":`), graph.AppendString(nil, e.Label)...)
	b = append(b, `,"from":"`...)
	b = e.From.AppendTo(b)
	b = append(b, `","to":"`...)
	b = e.To.AppendTo(b)
	b = append(b, `","body":`...)
	b = append(b, e.Body...)
	return append(b, '}')
}

// change gives the net effect on the entity; ok is false where there is none.
func (t *touch) change() (c graph.Change, ok bool) {
	c = graph.Change{Ref: t.ref, ObjBefore: t.obj, EdgeBefore: t.edge}
	switch {
	case t.created && t.removed:
		return c, false
	case t.created:
		c.Event, c.ObjAfter, c.EdgeAfter, c.Revived = graph.Created, t.objNow, t.edgeNow, t.revived
		return c, true
	case t.removed:
		c.Event = graph.Deleted
		return c, true
	case len(t.done) == 0:
		return c, false
	}
	c.Event = graph.Modified
	before := t.obj0Body()
	c.BodyChanged = !same(before, t.body())
	if t.obj != nil {
		c.AccessChanged = t.access && !same(t.obj.Access.Raw, t.objNow.Access.Raw)
		c.ObjAfter = t.objNow
	} else {
		c.EdgeAfter = t.edgeNow
	}
	return c, c.BodyChanged || c.AccessChanged
}

func same(a, b []byte) bool { return bytes.Equal(a, b) || patch.Equal(a, b) }

// stamp gives the changes their version and time. It works on entities of the
// draft's own, which nobody has seen yet.
func (d *Draft) stamp(v graph.Version, at time.Time) {
	by := d.in.m.Author.User
	for i := range d.changes {
		c := &d.changes[i]
		var m *graph.Meta
		switch {
		case c.ObjAfter != nil:
			m = &c.ObjAfter.Meta
		case c.EdgeAfter != nil:
			m = &c.EdgeAfter.Meta
		default:
			continue
		}
		m.Version, m.UpdatedAt, m.UpdatedBy = v, at, by
		if c.Event == graph.Created && !c.Revived {
			m.CreatedVersion, m.CreatedAt, m.CreatedBy = v, at, by
		}
	}
}
