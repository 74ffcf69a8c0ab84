package pipeline

import (
	"encoding/json"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/patch"
	"github.com/graphtide/graphtide/schema"
)

var emptyBody = json.RawMessage("{}")

// apply does the operations on the draft's own state. Those on one part of one
// entity are done together, wherever they stand in the patch: parts do not see
// each other, so the outcome is that of the order asked, and a body is opened
// once. Of several faults the first in the patch is told.
func (d *Draft) apply() *graph.Error {
	var first *graph.Error
	done := make([]bool, len(d.in.ops))
	for i, end := 0, len(d.in.ops); i < end; i++ {
		if done[i] {
			continue
		}
		err := d.applyFrom(i, done)
		if err == nil {
			continue
		}
		if err.Op == nil {
			err.AtOp(d.in.ops[i].index)
		}
		if !err.HasPath {
			err.At(d.in.ops[i].path)
		}
		if d.collect {
			d.tell(err)
			if t := d.byRef[d.in.ops[i].ref]; t != nil {
				t.broken = true
			}
			continue
		}
		// One before it may fail too; none after it matters.
		first, end = err, *err.Op
	}
	if first != nil {
		return first
	}
	return d.checkAway()
}

// checkAway refuses what has lost its body or its access in the end.
func (d *Draft) checkAway() *graph.Error {
	for _, t := range d.touched {
		for _, a := range []area{areaBody, areaAccess} {
			o := t.away[a]
			if o == nil || t.removed || t.broken {
				continue
			}
			message := map[area]string{areaBody: "a body", areaAccess: "an object's access"}[a] + " is a JSON object; add another where you remove it"
			e := graph.Errf(graph.CodeSchema, "%s", message).At(o.path).AtOp(o.index)
			e.Errors, e.SchemaVer = []graph.Violation{{Path: o.path, Message: message}}, d.reg.Version
			t.broken = true
			if err := d.fail(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// applyFrom applies the operation at i, with those after it on the same part of
// the same entity, and marks what it did.
func (d *Draft) applyFrom(i int, done []bool) *graph.Error {
	o := &d.in.ops[i]
	switch {
	case d.forgiven[o.ref]: // what it would write must not be lost without a word
		return graph.Errf(graph.CodeNotFound, "another transaction has added an edge between the two since your base, so this one was not made; "+
			"load that one and change it").At(o.path).AtOp(o.index)
	case o.unseen || o.shut || o.made && !d.makes(o.ref):
		return nil
	case o.object != nil:
		return d.createObject(o)
	case o.edge != nil:
		return d.createEdge(o)
	case o.area == areaEntity:
		return d.remove(o)
	case o.area == areaFixed:
		return d.testFixed(o)
	case d.collect || d.in.m.Base != nil:
		return d.change(d.in.ops[i : i+1])
	}
	together := d.in.ops[i : i+1 : i+1]
	for j := i + 1; j < len(d.in.ops); j++ {
		next := &d.in.ops[j]
		if next.ref != o.ref {
			continue
		}
		if next.area == areaEntity {
			break // what follows finds it gone
		}
		if next.area == o.area {
			together = append(together, *next)
			done[j] = true
		}
	}
	return d.change(together)
}

func (d *Draft) createObject(o *op) *graph.Error {
	id := graph.ObjectID(o.ref.ID)
	if d.state.Object(id) != nil || d.byRef[o.ref] != nil || d.read.Object(id) != nil {
		return graph.Errf(graph.CodeExists, "the id is taken; ids are never used again")
	}
	typ := d.reg.TypeOf(o.object.typ)
	if typ == nil { // told by authorize; a dry run goes on
		return nil
	}
	obj := &graph.Object{ID: id, Type: o.object.typ, Body: o.object.body}
	if d.revives(o.ref) {
		last := d.in.m.Revert.Revived[o.ref].Object
		obj.Access, obj.Meta = last.Access, last.Meta
		if err := d.accessFault(typ, last.Access, o.ref); err != nil {
			return err
		}
		d.add(&touch{ref: o.ref, op: o.index, created: true, revived: true, objNow: obj})
		d.state.putObject(id, obj)
		return nil
	}
	acl, err := typ.Access(o.object.access, &d.in.m.Author)
	if err != nil {
		err.SchemaVer = d.reg.Version
		return prefixPaths(err, o.ref.Pointer())
	}
	obj.Access = acl
	obj.Meta.CreatedBy = d.in.m.Author.User
	d.add(&touch{ref: o.ref, op: o.index, created: true, objNow: obj, explicit: o.object.access})
	d.state.putObject(id, obj)
	return nil
}

func (d *Draft) createEdge(o *op) *graph.Error {
	id, n := graph.EdgeID(o.ref.ID), o.edge
	if d.byRef[o.ref] != nil || d.read.Edge(id) != nil {
		return graph.Errf(graph.CodeExists, "the id is taken; ids are never used again")
	}
	for _, end := range []struct {
		name string
		id   graph.ObjectID
	}{{"from", n.from}, {"to", n.to}} {
		if d.state.Object(end.id) == nil {
			return graph.NotFound("object").At(o.path + "/" + end.name)
		}
	}
	if there := d.state.Between(n.label, n.from, n.to); there != nil {
		if d.in.m.Base != nil && there.Meta.CreatedVersion > *d.in.m.Base && d.byRef[graph.EdgeRef(there.ID)] == nil {
			if d.forgiven == nil {
				d.forgiven = map[graph.Ref]bool{}
			}
			d.forgiven[o.ref] = true
			return nil // another transaction has added it since: done
		}
		return graph.Errf(graph.CodeEdgeExists, "there is an edge %q between the two already", n.label)
	}
	out, in, err := d.edgeDecls(n.label, n.from, n.to)
	if err != nil {
		return err
	}
	e := &graph.Edge{ID: id, Label: n.label, From: n.from, To: n.to, Body: n.body}
	if e.Body == nil {
		e.Body = emptyBody
	}
	e.Meta.CreatedBy = d.in.m.Author.User
	revived := d.revives(o.ref)
	if revived {
		e.Meta = d.in.m.Revert.Revived[o.ref].Edge.Meta
	}
	d.add(&touch{ref: o.ref, op: o.index, created: true, revived: revived, edgeNow: e, out: out, in: in})
	d.state.addEdge(e)
	return nil
}

// remove takes an entity away. The edges of an object, and what its removal
// cascades to, follow after the last operation.
func (d *Draft) remove(o *op) *graph.Error {
	if o.ref.Kind == graph.KindObject && d.state.Object(o.ref.ID) == nil ||
		o.ref.Kind == graph.KindEdge && d.state.Edge(o.ref.ID) == nil {
		if d.removedSince(o) {
			return nil
		}
		return graph.NotFound(o.ref.Kind.String())
	}
	d.drop(d.touch(o.ref, o.index), o.index)
	return nil
}

// drop marks an entity as removed.
func (d *Draft) drop(t *touch, op int) {
	t.removed, t.op = true, op
	if t.ref.Kind == graph.KindObject {
		t.objNow = nil
		d.state.putObject(t.ref.ID, nil)
		return
	}
	d.state.removeEdge(t.edgeNow)
	t.edgeNow = nil
}

// testFixed judges a test on type, meta, label, from or to.
func (d *Draft) testFixed(o *op) *graph.Error {
	if o.ref.Kind == graph.KindObject && d.state.Object(o.ref.ID) == nil || o.ref.Kind == graph.KindEdge && d.state.Edge(o.ref.ID) == nil {
		return graph.NotFound(o.ref.Kind.String())
	}
	t := d.touch(o.ref, o.index)
	if t.created && o.Path[0] == "meta" {
		return graph.Errf(graph.CodePathMissing, "what this transaction makes has no `meta` yet")
	}
	var doc []byte // without the body, which may be large and is not asked for
	if t.objNow != nil {
		o := *t.objNow
		o.Body = emptyBody
		doc = o.AppendJSON(nil, false)
	} else {
		e := *t.edgeNow
		e.Body = emptyBody
		doc = e.AppendJSON(nil)
	}
	_, err := patch.Apply(doc, []patch.Op{o.Op}, patch.JSONLimits{})
	return d.opError(err, d.in.ops[o.index:o.index+1], "")
}

// change applies operations on one part of one entity.
func (d *Draft) change(ops []op) *graph.Error {
	o := &ops[0]
	if o.ref.Kind == graph.KindObject && d.state.Object(o.ref.ID) == nil ||
		o.ref.Kind == graph.KindEdge && d.state.Edge(o.ref.ID) == nil {
		if d.removedSince(o) {
			return nil
		}
		return graph.NotFound(o.ref.Kind.String())
	}
	t := d.touch(o.ref, o.index)
	if d.in.m.Base != nil {
		if done, err := d.rebase(t, o); done || err != nil {
			return err
		}
	}
	if o.area == areaAccess {
		return d.changeAccess(t, ops)
	}
	after, err := d.changePart(t, ops, t.body(), "/body")
	if err != nil {
		return err
	}
	t.note(ops, "/body")
	for i := range ops {
		if ops[i].Kind == patch.Test {
			continue
		}
		t.changed = append(t.changed, ops[i].Path)
		if ops[i].Kind == patch.Move {
			t.changed = append(t.changed, ops[i].From)
		}
	}
	if t.away[areaBody] != nil {
		return nil
	}
	if len(after) == 0 || after[0] != '{' {
		e := graph.Errf(graph.CodeSchema, "a body is a JSON object").At(o.ref.Pointer() + "/body").AtOp(ops[len(ops)-1].index)
		e.Errors = []graph.Violation{{Path: e.Path, Message: "a body is a JSON object"}}
		e.SchemaVer = d.reg.Version
		return e
	}
	t.setBody(d, after)
	return nil
}

// changePart applies operations to a part of an entity as a document of its own,
// which may be away between two of them.
func (d *Draft) changePart(t *touch, ops []op, part json.RawMessage, name string) (json.RawMessage, *graph.Error) {
	lim := patch.JSONLimits{Bytes: d.lim.BodyBytes, Depth: d.lim.BodyDepth}
	a := ops[0].area
	raw := make([]patch.Op, 0, len(ops))
	for from := 0; from < len(ops); {
		if t.away[a] != nil {
			o := &ops[from]
			if o.Kind != patch.Add || len(o.Path) > 0 {
				return nil, graph.Errf(graph.CodePathMissing, "an operation before this one has removed it").At(o.path).AtOp(o.index)
			}
			delete(t.away, a)
		}
		raw = raw[:0]
		to := from
		for ; to < len(ops) && !ops[to].removesPart(); to++ {
			raw = append(raw, ops[to].Op)
		}
		after, err := patch.Apply(part, raw, lim)
		if err != nil {
			return nil, d.opError(err, ops[from:to], name)
		}
		part = after
		if to < len(ops) {
			if t.away == nil {
				t.away = make(map[area]*op, 1)
			}
			t.away[a] = &ops[to]
			to++
		}
		from = to
	}
	return part, nil
}

// removesPart reports whether the operation removes a body or an access whole.
func (o *op) removesPart() bool { return o.Kind == patch.Remove && len(o.Path) == 0 }

// note keeps what was done, tests left out: they have no effect. Nor has the
// removal of a whole part, for which the `add` that follows makes up.
func (t *touch) note(ops []op, area string) {
	for i := range ops {
		if ops[i].Kind != patch.Test && !ops[i].removesPart() {
			t.done = append(t.done, doneOp{ops[i].index, area, ops[i].Op})
		}
	}
}

func (t *touch) body() json.RawMessage {
	if t.objNow != nil {
		return t.objNow.Body
	}
	return t.edgeNow.Body
}

// setBody puts a new body in, in an entity of the draft's own.
func (t *touch) setBody(d *Draft, body json.RawMessage) {
	if t.ref.Kind == graph.KindObject {
		o := *t.objNow
		o.Body = body
		t.objNow = &o
		d.state.putObject(o.ID, &o)
		return
	}
	e := *t.edgeNow
	e.Body = body
	t.edgeNow = &e
	d.state.changeEdge(&e)
}

func (d *Draft) changeAccess(t *touch, ops []op) *graph.Error {
	after, err := d.changePart(t, ops, t.objNow.Access.Raw, "/access")
	if err != nil {
		return err
	}
	if t.away[areaAccess] != nil {
		t.note(ops, "/access")
		return nil
	}
	last := ops[len(ops)-1].index
	acl, violations := access.Parse(after)
	if len(violations) > 0 {
		return d.accessViolations(violations, t.ref).AtOp(last)
	}
	if typ := d.reg.TypeOf(t.objNow.Type); typ != nil {
		if err := d.accessFault(typ, acl, t.ref); err != nil {
			return err.AtOp(last)
		}
	}
	o := *t.objNow
	o.Access = acl
	t.objNow = &o
	t.access = true
	d.state.putObject(o.ID, &o)
	t.note(ops, "/access")
	return nil
}

// accessFault judges an access by what the type knows, nil where it is valid.
func (d *Draft) accessFault(typ *schema.Type, acl *graph.ACL, ref graph.Ref) *graph.Error {
	if v := typ.CheckAccess(acl); len(v) > 0 {
		return d.accessViolations(v, ref)
	}
	return nil
}

func (d *Draft) accessViolations(v []graph.Violation, ref graph.Ref) *graph.Error {
	e := graph.Errf(graph.CodeSchema, "the access is not valid: %s", v[0].Message).At(v[0].Path)
	e.Errors, e.SchemaVer = v, d.reg.Version
	return prefixPaths(e, ref.Pointer()+"/access")
}

// rebase judges an operation by what its author saw: done is true where
// another transaction has done it since.
func (d *Draft) rebase(t *touch, o *op) (done bool, err *graph.Error) {
	if o.area != areaBody {
		return false, nil
	}
	if t.since == nil {
		t.since = &since{was: d.bodyAtBase(t)}
	}
	was := t.since.was
	if was == nil {
		return false, nil
	}
	now := t.obj0Body()
	for _, p := range []patch.Pointer{o.Path, o.From} {
		if array, moved := d.movedIndex(t, p); moved {
			e := graph.Errf(graph.CodeTestFailed, "others have moved elements of this array since version %d; look again which element you mean", *d.in.m.Base)
			e.Actual, _ = patch.Get(now, array)
			e.Version = &d.at.Version
			return false, e.At(t.ref.Pointer() + "/body" + array.String())
		}
	}
	if o.Kind == patch.Remove {
		_, is := patch.Get(t.body(), o.Path)
		_, had := patch.Get(was, o.Path)
		_, atStart := patch.Get(now, o.Path)
		return !is && !atStart && had, nil
	}
	return false, nil
}

// obj0Body gives the body before the transaction.
func (t *touch) obj0Body() json.RawMessage {
	if t.obj != nil {
		return t.obj.Body
	}
	if t.edge != nil {
		return t.edge.Body
	}
	return nil
}

// opError turns a fault of patch.Apply over ops into the caller's.
func (d *Draft) opError(err *patch.Error, ops []op, area string) *graph.Error {
	if err == nil {
		return nil
	}
	at := 0
	if err.Op >= 0 && err.Op < len(ops) {
		at = err.Op
	}
	local := *err
	local.Op = -1
	e := patchError(&local, ops[at].ref.Pointer()+area)
	e.AtOp(ops[at].index)
	if e.Code == graph.CodeTestFailed {
		v := d.at.Version
		e.Version = &v
	}
	return e
}

// prefixPaths puts an entity's pointer before the paths of an error.
func prefixPaths(e *graph.Error, pointer string) *graph.Error {
	e.Path, e.HasPath = pointer+e.Path, true
	for i := range e.Errors {
		e.Errors[i].Path = pointer + e.Errors[i].Path
	}
	return e
}
