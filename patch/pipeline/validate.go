package pipeline

import (
	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// validate fills in defaults and judges bodies by the schema, on the state
// after the last operation.
func (d *Draft) validate() *graph.Error {
	for i := 0; i < len(d.touched); i++ {
		t := d.touched[i]
		if t.removed || t.broken || !t.created && len(t.done) == 0 {
			continue
		}
		var err *graph.Error
		if t.ref.Kind == graph.KindObject {
			err = d.validateObject(t)
		} else {
			err = d.validateEdge(t)
		}
		if err == nil && len(t.body()) > d.lim.BodyBytes {
			err = graph.TooLarge("bodyBytes", int64(d.lim.BodyBytes), "bytes in a body").At(t.ref.Pointer() + "/body")
		}
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

func (d *Draft) validateObject(t *touch) *graph.Error {
	typ := d.reg.TypeOf(t.objNow.Type)
	if typ == nil {
		return graph.Errf(graph.CodeUnknownType, "the schema no longer has the type %q", t.objNow.Type).At(t.ref.Pointer() + "/type")
	}
	if !t.created && len(t.changed) == 0 {
		return nil // its access alone was changed
	}
	if t.created {
		if err := checkBody(t.objNow.Body, d.lim); err != nil {
			return patchError(err, t.ref.Pointer()+"/body")
		}
		if t.objNow.Body[0] != '{' {
			return d.violations(t, []graph.Violation{{Message: "a body is a JSON object"}})
		}
	}
	filled, ops, err := typ.FillDefaults(t.objNow.Body)
	if err != nil {
		return prefixPaths(err, t.ref.Pointer()+"/body")
	}
	if len(ops) > 0 && t.bodyDiffers() {
		t.setBody(d, filled)
		t.noteDefaults(ops)
	}
	changed := t.changed
	if t.created {
		changed = nil
	}
	return d.violations(t, typ.Validate(t.objNow.Body, changed))
}

// bodyDiffers reports whether the transaction makes or changes the body: a
// default that a newer schema brought is no change of its own.
func (t *touch) bodyDiffers() bool { return t.created || !same(t.obj0Body(), t.body()) }

// noteDefaults adds what was filled in to what was done; of a new entity the
// `add` already has it.
func (t *touch) noteDefaults(ops []patch.Op) {
	if t.created {
		return
	}
	for _, o := range ops {
		t.done = append(t.done, doneOp{1 << 30, "/body", o})
		t.changed = append(t.changed, o.Path)
	}
}

func (d *Draft) validateEdge(t *touch) *graph.Error {
	e := t.edgeNow
	if t.created {
		if err := checkBody(e.Body, d.lim); err != nil {
			return patchError(err, t.ref.Pointer()+"/body")
		}
		if e.Body[0] != '{' {
			return d.violations(t, []graph.Violation{{Message: "a body is a JSON object"}})
		}
	}
	if t.out == nil {
		var err *graph.Error
		if t.out, t.in, err = d.edgeDecls(e.Label, e.From, e.To); err != nil {
			return err.At(t.ref.Pointer())
		}
	}
	filled, ops, violations := d.reg.EdgeBody(t.out, t.in, e.Body)
	if len(ops) > 0 && t.bodyDiffers() {
		t.setBody(d, filled)
		t.noteDefaults(ops)
	}
	return d.violations(t, violations)
}

// checkBody holds a body as a whole to its limits; the text as JSON has been
// checked with the transaction.
func checkBody(body []byte, lim graph.Limits) *patch.Error {
	return patch.Check(body, patch.JSONLimits{Bytes: lim.BodyBytes, Depth: lim.BodyDepth})
}

// violations makes the refusal of a body, nil where there are none.
func (d *Draft) violations(t *touch, v []graph.Violation) *graph.Error {
	if len(v) == 0 {
		return nil
	}
	e := graph.Errf(graph.CodeSchema, "%s", v[0].Message).At(v[0].Path)
	if len(v) > 1 {
		e.Message += " (`errors` has them all)"
	}
	e.Errors, e.SchemaVer = v, d.reg.Version
	if at, ok := d.opAt(t, v[0].Path); ok {
		e.AtOp(at)
	}
	return prefixPaths(e, t.ref.Pointer()+"/body")
}

// opAt gives the last operation on the entity's body that wrote at, above or
// below a path: the one at fault for what stands there.
func (d *Draft) opAt(t *touch, path string) (index int, ok bool) {
	at, _ := patch.ParsePointer(path)
	for i := len(d.in.ops) - 1; i >= 0; i-- {
		o := &d.in.ops[i]
		if o.ref != t.ref || o.Kind == patch.Test {
			continue
		}
		if o.object != nil || o.edge != nil {
			return o.index, true
		}
		if o.area != areaBody {
			continue
		}
		if overlaps(o.Path, at) || o.Kind == patch.Move && overlaps(o.From, at) {
			return o.index, true
		}
	}
	return 0, false
}

// overlaps reports whether one pointer is the other or above it; `-` stands for
// any index.
func overlaps(a, b patch.Pointer) bool {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] && a[i] != "-" {
			return false
		}
	}
	return true
}
