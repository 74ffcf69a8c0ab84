package pipeline

import (
	"fmt"
	"strings"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/patch"
)

// resolve judges what the request says about the state as a whole: base,
// If-Match, and whether the entity that it is addressed to is there. It is the one stage that may ask for what is not in memory, through
// d.past.
func (d *Draft) resolve() *graph.Error {
	m := d.in.m
	if m.Base != nil && (*m.Base < 0 || *m.Base > d.at.Version) {
		d.ahead = true
		return graph.Errf(graph.CodeInvalidVersion, "base %d is beyond the graph's version %d", *m.Base, d.at.Version)
	}
	if m.Prefix == "" || m.IfMatch == nil && len(d.in.ops) > 0 {
		return nil
	}
	prefix, _ := patch.ParsePointer(m.Prefix)
	ref, err := parseRef(prefix)
	if err != nil {
		return err
	}
	if err := d.visible(ref); err != nil {
		return err.At(m.Prefix)
	}
	if m.IfMatch == nil {
		return nil
	}
	t := d.touch(ref, -1)
	if v := t.meta().Version; v != *m.IfMatch {
		e := graph.Errf(graph.CodeVersionMismatch, "If-Match names version %d, the %s is at %d; read it again", *m.IfMatch, ref.Kind, v).At(m.Prefix)
		if *m.IfMatch < 0 {
			e.Message = fmt.Sprintf("If-Match names none of its versions; the %s is at %d, and its tag is \"%d\"", ref.Kind, v, v)
		}
		e.Version = &v
		return d.fail(e)
	}
	return nil
}

// meta gives the meta data of an entity before the transaction.
func (t *touch) meta() *graph.Meta {
	switch {
	case t.obj != nil:
		return &t.obj.Meta
	case t.edge != nil:
		return &t.edge.Meta
	}
	return &graph.Meta{}
}

// visible judges whether an entity exists before the transaction and may be
// read; the refusal is the same for both.
func (d *Draft) visible(ref graph.Ref) *graph.Error {
	if ref.Kind == graph.KindObject {
		o := d.read.Object(ref.ID)
		if o == nil || !d.trusted() && !d.executes(o) && !d.before.Holds(ref.ID, access.Read) {
			return graph.NotFound("object")
		}
		return nil
	}
	e := d.read.Edge(ref.ID)
	if e == nil || !d.trusted() && !(d.before.Holds(e.From, access.Read) && d.before.Holds(e.To, access.Read)) {
		return graph.NotFound("edge")
	}
	return nil
}

// lifetimes follows which entities the patch itself makes and takes away, so
// that an operation is judged on what stands when its turn comes.
type lifetimes map[graph.Ref]bool // true: made by this patch; false: removed by it

// authorize judges every operation's rights on the state before the
// transaction, and puts off those on objects that the transaction makes.
func (d *Draft) authorize() *graph.Error {
	var life lifetimes
	for i := range d.in.ops {
		o := &d.in.ops[i]
		made, known := life[o.ref]
		o.unseen, o.shut, o.refused, o.made = false, false, false, made // not those of an earlier preparation
		if o.lost != nil {
			o.unseen = true
			if o.adds(o.ref.Kind) { // what is done to it is not to be told of as well
				if life == nil {
					life = make(lifetimes, 4)
				}
				life[o.ref] = true
			}
			continue
		}
		err := d.authorizeOp(o, life, made, known && !made)
		if o.area == areaEntity && (err == nil || o.object != nil) {
			if life == nil {
				life = make(lifetimes, 4)
			}
			life[o.ref] = o.Kind == patch.Add
		}
		if err != nil {
			if !err.HasPath {
				err.At(o.path)
			}
			o.unseen = d.collect && err.Code == graph.CodeNotFound
			o.refused = err.Code == graph.CodeForbidden
			o.shut = d.collect && (o.area == areaAccess || o.misuse != nil)
			if err := d.fail(err.AtOp(o.index)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Draft) authorizeOp(o *op, life lifetimes, made, gone bool) *graph.Error {
	if o.object != nil {
		return d.authorizeCreate(o)
	}
	if o.edge != nil {
		return d.authorizeLink(o, life)
	}
	if gone {
		return graph.NotFound(o.ref.Kind.String())
	}
	if made {
		if o.misuse != nil {
			return o.misuse
		}
		return d.authorizeMade(o, life)
	}
	if err := d.visible(o.ref); err != nil {
		if o.misuse == nil && d.removedSince(o) {
			return nil // apply passes it over
		}
		return err
	}
	if o.misuse != nil {
		return o.misuse
	}
	if d.trusted() {
		return nil
	}
	if o.ref.Kind == graph.KindObject {
		right := neededRight(o)
		if o.area == areaBody && d.executes(d.read.Object(o.ref.ID)) {
			return nil
		}
		if right == access.Read || d.before.Holds(o.ref.ID, right) {
			return nil
		}
		return forbidden(right)
	}
	if o.Kind == patch.Test {
		return nil
	}
	e := d.read.Edge(o.ref.ID)
	return d.authorizeEnds(o, e.Label, e.From, e.To, life)
}

// neededRight gives the right that an operation on an existing object asks.
func neededRight(o *op) string {
	switch {
	case o.area == areaAccess:
		return access.Manage // reading it too: access is shown only to those who manage
	case o.Kind == patch.Test:
		return access.Read
	default:
		return access.Write
	}
}

func forbidden(right string) *graph.Error {
	e := graph.Errf(graph.CodeForbidden, "you may read this, but need the right %q", right)
	e.Right = right
	return e
}

// authorizeCreate judges who may make objects of the type. Unknown and abstract
// types are told here too, since rights hang on the type.
func (d *Draft) authorizeCreate(o *op) *graph.Error {
	t := d.reg.TypeOf(o.object.typ)
	if t == nil {
		return graph.Errf(graph.CodeUnknownType, "the schema has no type %q", o.object.typ).At(o.path + "/type")
	}
	if t.Abstract {
		return graph.Errf(graph.CodeAbstractType, "%s is abstract; make an object of one of its subtypes: %s", t.Name,
			strings.Join(d.concrete(t.Name), ", ")).At(o.path + "/type")
	}
	if !d.trusted() && !d.revives(o.ref) && !t.MayCreate(&d.in.m.Author) {
		e := graph.Errf(graph.CodeForbidden, "you may not create objects of type %s", t.Name)
		e.Right = "create"
		return e
	}
	return nil
}

func (d *Draft) concrete(name string) []string {
	var out []string
	for _, s := range d.reg.Subtypes(name) {
		if t := d.reg.TypeOf(s); t != nil && !t.Abstract {
			out = append(out, s)
		}
	}
	return out
}

// authorizeLink judges a new edge: both ends must be readable, the schema must
// allow it on both sides, and each side asks its right.
func (d *Draft) authorizeLink(o *op, life lifetimes) *graph.Error {
	for _, end := range []struct {
		name string
		id   graph.ObjectID
	}{{"from", o.edge.from}, {"to", o.edge.to}} {
		ref := graph.ObjectRef(end.id)
		made, known := life[ref]
		if known && made {
			continue
		}
		if known || d.visible(ref) != nil {
			return graph.NotFound("object").At(o.path + "/" + end.name)
		}
	}
	if d.hollow(o.edge.from) || d.hollow(o.edge.to) {
		o.unseen = true
		return nil
	}
	return d.authorizeEnds(o, o.edge.label, o.edge.from, o.edge.to, life)
}

// authorizeEnds judges the `needs` of both ends of an edge, for creating,
// changing and removing it alike.
func (d *Draft) authorizeEnds(o *op, label string, from, to graph.ObjectID, life lifetimes) *graph.Error {
	out, in, err := d.reg.EdgeBetween(label, d.plannedType(from), d.plannedType(to))
	needFrom, needTo := access.Write, access.Write
	switch {
	case err == nil:
		needFrom, needTo = out.Needs, in.Needs
	case o.edge != nil:
		return err
	}
	// An edge that comes back with an object went with it: removing the object
	// asked nothing of the far end either.
	if d.trusted() || d.revives(graph.ObjectRef(from)) || d.revives(graph.ObjectRef(to)) {
		return nil
	}
	for _, end := range []struct {
		id    graph.ObjectID
		right string
	}{{from, needFrom}, {to, needTo}} {
		if life[graph.ObjectRef(end.id)] {
			d.later = append(d.later, pendingRight{o.index, end.id, end.right, o.path})
			continue
		}
		if !d.before.Holds(end.id, end.right) {
			return forbidden(end.right)
		}
	}
	return nil
}

// plannedType gives the type of an object that exists or that this patch makes.
func (d *Draft) plannedType(id graph.ObjectID) string {
	if o := d.read.Object(id); o != nil {
		return o.Type
	}
	for i := range d.in.ops {
		if o := &d.in.ops[i]; o.object != nil && o.ref == graph.ObjectRef(id) {
			return o.object.typ
		}
	}
	return ""
}

// authorizeMade puts off an operation on an entity that this patch makes: its
// rights are judged on the state after.
func (d *Draft) authorizeMade(o *op, life lifetimes) *graph.Error {
	if o.ref.Kind == graph.KindEdge {
		for i := range d.in.ops {
			if l := &d.in.ops[i]; l.edge != nil && l.ref == o.ref && !l.unseen {
				return d.authorizeEnds(o, l.edge.label, l.edge.from, l.edge.to, life)
			}
		}
		return nil
	}
	if right := neededRight(o); right != access.Read {
		d.later = append(d.later, pendingRight{o.index, o.ref.ID, right, o.path})
	}
	return nil
}

// authorizeNew judges what authorize put off, on the final state. An object
// that the transaction also removed asks nothing.
func (d *Draft) authorizeNew() *graph.Error {
	if d.trusted() || len(d.later) == 0 {
		return nil
	}
	after := access.NewWalker(d.state, &d.in.m.Author, nil)
	for _, p := range d.later {
		if !d.makes(graph.ObjectRef(p.id)) || d.state.Object(p.id) == nil || after.Holds(p.id, p.right) {
			continue
		}
		if err := d.fail(forbidden(p.right).At(p.path).AtOp(p.op)); err != nil {
			return err
		}
	}
	return nil
}
