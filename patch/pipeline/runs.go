package pipeline

import (
	"encoding/json"
	"slices"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
	"github.com/graphtide/graphtide/schema"
)

// adopt joins operations that an operation starts to it. One that has ended
// starts no more: nobody would end them. What is asked for in the very
// transaction that ends an operation is not its child but what comes after it.
func (d *Draft) adopt() *graph.Error {
	if d.in.m.Fence == nil || d.in.m.Fence.Operation == (graph.ObjectID{}) {
		return nil
	}
	parent := d.in.m.Fence.Operation
	for i, n := 0, len(d.touched); i < n; i++ { // grows on the way
		t := d.touched[i]
		if !t.created || t.removed || t.revived || t.ref.Kind != graph.KindObject || t.objNow.Type != OperationRequest || t.ref.ID == parent {
			continue
		}
		d.read.body(parent)
		before, after := d.read.Object(parent), d.state.Object(parent)
		switch {
		case before == nil || isDone(before.Body):
			e := graph.Errf(graph.CodeForbidden, "the operation has ended, and starts no others").At(t.ref.Pointer()).AtOp(t.op)
			e.Right = "operation"
			if err := d.fail(e); err != nil {
				return err
			}
			continue
		case after == nil || isDone(after.Body):
			continue
		}
		if err := d.join(t, parent); err != nil {
			return err
		}
	}
	return nil
}

// join adds the edge from a new operation to the one that started it.
func (d *Draft) join(child *touch, parent graph.ObjectID) *graph.Error {
	if d.state.Between(StartedByLabel, child.ref.ID, parent) != nil {
		return nil // asked for; checkOperations judges it
	}
	out, in, err := d.edgeDecls(StartedByLabel, child.ref.ID, parent)
	if err != nil {
		return err
	}
	// Made from the child's id, so that a draft that is prepared again makes the
	// same one.
	id := graph.EdgeID(uuid.NewSHA1(uuid.UUID(child.ref.ID), []byte(StartedByLabel)))
	e := &graph.Edge{ID: id, Label: StartedByLabel, From: child.ref.ID, To: parent, Body: emptyBody}
	e.Meta.CreatedBy = d.in.m.Author.User
	d.add(&touch{ref: graph.EdgeRef(id), op: child.op, created: true, adopted: true, edgeNow: e, out: out, in: in})
	d.state.addEdge(e)
	return nil
}

func isDone(body json.RawMessage) bool {
	done, ok := patch.Get(body, patch.Pointer{"done"})
	return ok && string(done) == "true"
}

// declaredWrites holds a run to what its rule or operation declares that it
// writes, so that the map of what may fire what can be believed. What goes along
// with a removal is the schema's doing, and an operation's own object the
// executor's.
func (d *Draft) declaredWrites() *graph.Error {
	f := d.in.m.Fence
	if f == nil || f.Rule == "" {
		return nil
	}
	writes, declared := d.reg.WritesOf(f.Kind, f.Rule)
	if !declared {
		return nil
	}
	for i := range d.in.ops {
		o := &d.in.ops[i]
		if o.Kind == patch.Test || o.unseen || o.shut || d.in.m.Executor && o.ref == graph.ObjectRef(f.Operation) {
			continue
		}
		asked := d.placeOf(o, o.Path)
		held := d.declared(writes, asked)
		if held && o.Kind == patch.Move {
			asked = d.placeOf(o, o.From)
			held = d.declared(writes, asked)
		}
		if held {
			continue
		}
		e := graph.Errf(graph.CodeForbidden, "%s %s does not declare that it writes %s; add it to `writes` in the schema", f.Kind, f.Rule, asked).At(o.path).AtOp(o.index)
		e.Right = "writes"
		if err := d.fail(e); err != nil {
			return err
		}
	}
	return nil
}

func (d *Draft) declared(writes []schema.Write, asked schema.Write) bool {
	return slices.ContainsFunc(writes, func(w schema.Write) bool { return d.covers(w, asked) })
}

// placeOf gives what an operation writes at a path.
func (d *Draft) placeOf(o *op, path patch.Pointer) schema.Write {
	var w schema.Write
	t := d.byRef[o.ref]
	switch {
	case o.ref.Kind == graph.KindObject:
		w.Object = d.typeOf(o.ref.ID)
	case o.edge != nil:
		w.Edge = o.edge.label
	case t != nil && t.edge != nil:
		w.Edge = t.edge.Label
	case t != nil && t.edgeNow != nil:
		w.Edge = t.edgeNow.Label
	}
	if o.object != nil {
		w.Object = o.object.typ
	}
	if o.area == areaBody || o.area == areaAccess {
		name := map[area]string{areaBody: "body", areaAccess: "access"}[o.area]
		w.Path = join(patch.Pointer{name}, path)
	}
	return w
}

// covers reports whether a declared write holds one that is asked for.
func (d *Draft) covers(w, asked schema.Write) bool {
	switch {
	case w.Edge != asked.Edge:
		return false
	case w.Edge == "" && !d.reg.IsA(asked.Object, w.Object):
		return false
	case w.Path == nil:
		return true
	}
	return len(asked.Path) >= len(w.Path) && slices.Equal(asked.Path[:len(w.Path)], w.Path)
}
