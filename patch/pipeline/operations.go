package pipeline

import (
	"encoding/json"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/patch"
	"github.com/graphtide/graphtide/schema"
)

// OperationRequest is the built-in type of long-running jobs.
const OperationRequest = "OperationRequest"

// TargetLabel is the edge from an operation to the object concerned,
// StartedByLabel the one to the operation that started it.
const (
	TargetLabel    = "target"
	StartedByLabel = "startedBy"
)

// guardOperations keeps the executor's fields of OperationRequest objects from
// everybody else. It comes before validate: who may not write a field hears
// nothing of its form.
func (d *Draft) guardOperations() *graph.Error {
	return d.eachOperation(func(t *touch) *graph.Error {
		switch {
		case t.removed, t.ref.Kind == graph.KindEdge, t.objNow.Type != OperationRequest:
			return nil
		case t.created:
			return d.guardOperationMade(t)
		default:
			return d.guardOperationChanged(t)
		}
	})
}

// checkOperations judges what an operation asks for when it is made, and that
// it keeps its target.
func (d *Draft) checkOperations() *graph.Error {
	return d.eachOperation(func(t *touch) *graph.Error {
		switch {
		case t.removed:
			return d.checkTargetKept(t)
		case t.ref.Kind == graph.KindEdge:
			return d.checkTargetMade(t)
		case t.objNow.Type == OperationRequest && t.created:
			return d.checkOperationMade(t)
		}
		return nil
	})
}

// eachOperation judges all that is touched, unless the author is the executor.
func (d *Draft) eachOperation(judge func(*touch) *graph.Error) *graph.Error {
	if d.in.m.Executor {
		return nil
	}
	for _, t := range d.touched {
		if t.revived { // an undo brings it back as it was
			continue
		}
		err := judge(t)
		if err != nil {
			if t.op >= 0 && err.Op == nil {
				err.AtOp(t.op)
			}
			if err := d.fail(err); err != nil {
				return err
			}
		}
	}
	return nil
}

func executorOnly(t *touch, message string) *graph.Error {
	e := graph.Errf(graph.CodeForbidden, "%s", message).At(t.ref.Pointer() + "/body")
	e.Right = "executor"
	return e
}

// guardOperationMade lets a new operation name `operation` and `params` alone.
func (d *Draft) guardOperationMade(t *touch) *graph.Error {
	o := d.opAsked(t)
	var asked map[string]json.RawMessage
	if o == nil || json.Unmarshal(o.object.body, &asked) != nil {
		return nil // told by validate
	}
	for name := range asked {
		if name != "operation" && name != "params" {
			return executorOnly(t, "a new operation names `operation` and `params`; the server fills in the rest")
		}
	}
	if len(t.done) > 0 {
		return executorOnly(t, "give `operation` and `params` with the object itself")
	}
	return nil
}

// checkOperationMade judges both by the schema, and fills in the params'
// defaults.
func (d *Draft) checkOperationMade(t *touch) *graph.Error {
	var name string
	if raw, ok := patch.Get(t.objNow.Body, patch.Pointer{"operation"}); !ok || json.Unmarshal(raw, &name) != nil {
		return nil
	}
	decl := d.reg.Operations[name]
	if decl == nil {
		return d.violations(t, []graph.Violation{{Path: "/operation", Message: "the schema has no operation " + name}})
	}
	params, ok := patch.Get(t.objNow.Body, patch.Pointer{"params"})
	if !ok {
		params = emptyBody
	}
	if v := decl.CheckParams(params); len(v) > 0 {
		for i := range v {
			v[i].Path = "/params" + v[i].Path
		}
		return d.violations(t, v)
	}
	if err := d.fillParams(t, decl.FillParams(params)); err != nil {
		return err
	}
	return d.checkTarget(t, decl)
}

// fillParams gives a new operation its params with their defaults. The handler
// reads them from the object: there they are as they were on the day it was
// asked for, whatever the schema says later.
func (d *Draft) fillParams(t *touch, filled json.RawMessage) *graph.Error {
	if now, ok := patch.Get(t.objNow.Body, patch.Pointer{"params"}); ok && len(now) == len(filled) {
		return nil // what is filled in only adds
	}
	body, err := patch.Apply(t.objNow.Body, []patch.Op{{Kind: patch.Add, Path: patch.Pointer{"params"}, Value: filled}}, patch.JSONLimits{Bytes: d.lim.BodyBytes, Depth: d.lim.BodyDepth})
	if err != nil {
		return patchError(err, t.ref.Pointer()+"/body")
	}
	t.setBody(d, body)
	return nil
}

// checkTarget holds a new operation to its declaration's target.
func (d *Draft) checkTarget(t *touch, decl *schema.Operation) *graph.Error {
	var target *graph.Object
	d.state.Out(t.ref.ID, TargetLabel, func(e *graph.Edge) bool {
		target = d.state.Object(e.To)
		return false
	})
	switch {
	case decl.Target == "" && target == nil:
		return nil
	case target == nil && d.inVain(t.ref.ID, TargetLabel):
		return nil
	case target == nil:
		return graph.Errf(graph.CodeEdgeRequired, "operation %s needs an edge %q to a %s in the same transaction", decl.Name, TargetLabel, decl.Target).At(t.ref.Pointer())
	case decl.Target != "" && !d.reg.IsA(target.Type, decl.Target):
		e := graph.Errf(graph.CodeEdgeNotAllowed, "operation %s is for a %s, not for a %s", decl.Name, decl.Target, target.Type).At(t.ref.Pointer())
		e.Side = "to"
		return e
	}
	if decl.Needs == "" || d.trusted() {
		return nil
	}
	if d.read.Object(target.ID) != nil {
		if !d.before.Holds(target.ID, decl.Needs) {
			return forbidden(decl.Needs).At(t.ref.Pointer())
		}
		return nil
	}
	if !access.Direct(d.state, &d.in.m.Author, target.ID, decl.Needs) {
		return forbidden(decl.Needs).At(t.ref.Pointer())
	}
	return nil
}

// guardOperationChanged lets users set `cancel` and nothing else.
func (d *Draft) guardOperationChanged(t *touch) *graph.Error {
	if len(t.changed) == 0 {
		return nil
	}
	var before, after map[string]json.RawMessage
	if json.Unmarshal(t.obj.Body, &before) != nil || json.Unmarshal(t.objNow.Body, &after) != nil {
		return executorOnly(t, "users may only set `cancel` of an operation")
	}
	delete(before, "cancel")
	delete(after, "cancel")
	same := len(before) == len(after)
	for name, was := range before {
		now, ok := after[name]
		same = same && ok && patch.Equal(was, now)
	}
	if !same {
		return executorOnly(t, "users may only set `cancel` of an operation")
	}
	return nil
}

// checkTargetMade refuses a target that is added to an operation later, and a
// parent that somebody names.
func (d *Draft) checkTargetMade(t *touch) *graph.Error {
	if !t.created {
		return nil
	}
	if t.edgeNow.Label == StartedByLabel && !t.adopted && d.typeOf(t.edgeNow.From) == OperationRequest {
		return executorOnly(t, "the server joins an operation to the one that started it").At(t.ref.Pointer())
	}
	if t.edgeNow.Label != TargetLabel {
		return nil
	}
	if from := d.byRef[graph.ObjectRef(t.edgeNow.From)]; from != nil && from.created {
		return nil
	}
	if d.typeOf(t.edgeNow.From) != OperationRequest {
		return nil
	}
	return executorOnly(t, "the target of an operation is named in the transaction that makes it").At(t.ref.Pointer())
}

// checkTargetKept refuses the removal of a target, or of a parent, from an
// operation that stays, unless the other end itself goes.
func (d *Draft) checkTargetKept(t *touch) *graph.Error {
	if t.edge == nil || t.edge.Label != TargetLabel && t.edge.Label != StartedByLabel || d.typeOf(t.edge.From) != OperationRequest {
		return nil
	}
	if d.state.Object(t.edge.From) == nil || d.state.Object(t.edge.To) == nil {
		return nil
	}
	if t.edge.Label == StartedByLabel {
		return executorOnly(t, "an operation stays joined to the one that started it").At(t.ref.Pointer())
	}
	return executorOnly(t, "an operation keeps its target").At(t.ref.Pointer())
}

// opAsked gives the operation that makes an object.
func (d *Draft) opAsked(t *touch) *op {
	if t.op >= 0 && t.op < len(d.in.ops) && d.in.ops[t.op].object != nil {
		return &d.in.ops[t.op]
	}
	return nil
}
