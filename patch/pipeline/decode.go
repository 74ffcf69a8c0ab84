package pipeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// request is a mutation that has been decoded: what does not depend on any
// state.
type request struct {
	m    *graph.Mutation
	ops  []op
	hash []byte
}

// op is one patch operation with its target.
type op struct {
	patch.Op
	index int
	ref   graph.Ref
	area  area
	path  string // as asked, for errors
	// misuse is what is wrong with the path or the op at this place. It is told
	// only to those who may read the target.
	misuse *graph.Error
	// lost is why the operation cannot be read at all. Only a dry run has such
	// ones: it tells of them, leaves them out and goes on.
	lost *graph.Error
	// unseen: the target is absent or hidden, or not known. A dry run, which goes
	// on, leaves the operation out: what it would do must not tell the one from
	// the other.
	unseen bool
	// shut: the author may not see the part of the target that the operation is
	// about. A dry run leaves it out: a test must not tell what is there.
	shut bool
	// refused: the author lacks a right. A dry run goes on as though he had it,
	// but tells nothing of this operation that only the right would show him.
	refused bool
	made    bool       // an operation before it makes the target
	object  *newObject // of an add of an object
	edge    *newEdge   // of an add of an edge
}

// area is the part of an entity that an operation is about. Within body, access
// and the others, Op.Path and Op.From are relative to that part.
type area uint8

const (
	areaEntity area = iota
	areaBody
	areaAccess
	areaFixed // type, meta, and an edge's label, from and to: only test
)

type newObject struct {
	typ    string
	body   json.RawMessage
	access json.RawMessage // nil: the default
}

type newEdge struct {
	label    string
	from, to graph.ObjectID
	body     json.RawMessage // nil: {}
}

// decode reads the patch text: limits, strict JSON, the grammar of RFC 6902,
// and what each path is about. An operation that cannot be read is a refusal; with
// every, for a dry run, it is marked as lost and those behind it are read too.
func decode(m *graph.Mutation, lim graph.Limits, every bool) (*request, *graph.Error) {
	if m.Revert != nil {
		lim.Operations, lim.TransactionBytes = math.MaxInt, math.MaxInt // Touched still bounds the commit
	}
	if len(m.Patch) > lim.TransactionBytes {
		return nil, graph.TooLarge("transactionBytes", int64(lim.TransactionBytes), "bytes in a transaction; split it")
	}
	// The text holds bodies inside values inside operations: three levels more.
	if err := patch.Check(m.Patch, patch.JSONLimits{Depth: lim.BodyDepth + 8}); err != nil {
		return nil, patchError(err, "")
	}
	ops, faults, perr := patch.ParseEach(m.Patch, lim.Operations)
	if perr != nil {
		return nil, patchError(perr, "")
	}
	req := &request{m: m, ops: make([]op, len(ops))}
	var prefix patch.Pointer
	if m.Prefix != "" {
		prefix, _ = patch.ParsePointer(m.Prefix)
	}
	told := false // of an operation that is sure to be refused
	for i := range ops {
		var fault *patch.Error
		if len(faults) > 0 && faults[0].Op == i {
			fault, faults = faults[0], faults[1:]
		}
		if err := req.ops[i].decode(ops[i], fault, i, prefix, lim); err != nil {
			if every {
				req.ops[i].lost = err.AtOp(i)
				continue
			}
			if told {
				req.ops = req.ops[:i]
				break
			}
			return nil, err.AtOp(i)
		}
		told = told || fault != nil
	}
	req.hash = hashOf(ops, prefix)
	return req, nil
}

// decode reads one operation. fault is what the grammar finds wrong with it; where
// it says what it is about, it is judged first whether that may be read.
func (o *op) decode(raw patch.Op, fault *patch.Error, index int, prefix patch.Pointer, lim graph.Limits) *graph.Error {
	o.index = index
	o.Kind, o.Value = raw.Kind, raw.Value
	path := join(prefix, raw.Path)
	o.path = path.String()
	if len(path) < 2 || path[0] != "objects" && path[0] != "edges" {
		if fault != nil {
			return patchError(fault, "")
		}
		return graph.Errf(graph.CodeInvalidPatch, "a path begins with /objects/<id> or /edges/<id>").At(o.path)
	}
	ref, err := parseRef(path)
	if err != nil {
		return err.At(o.path)
	}
	o.ref = ref
	o.area, o.misuse = areaOf(ref.Kind, path)
	if fault != nil {
		o.misuse = patchError(fault, "")
		if o.area == areaEntity && o.Kind == patch.Add { // of what is not there yet
			return o.misuse
		}
		return nil
	}
	if len(path) == 2 {
		return o.decodeEntity(lim)
	}
	o.Path = path[3:]
	if o.area == areaFixed {
		o.Path = path[2:]
		if raw.Kind != patch.Test {
			o.misuse = immutable(ref.Kind, path[2]).At(o.path)
		}
		return nil
	}
	if raw.Kind == patch.Move || raw.Kind == patch.Copy {
		from := join(prefix, raw.From)
		fromRef := ref
		if len(from) >= 2 && from[0] == path[0] {
			if fromRef, err = parseRef(from); err != nil {
				o.misuse = err.At(o.path)
				return nil
			}
		}
		if len(from) < 3 || from[0] != path[0] || fromRef != ref || from[2] != path[2] {
			o.misuse = graph.Errf(graph.CodeInvalidPatch, "`from` of move and copy must be in the same %s of the same entity", path[2]).At(from.String())
			return nil
		}
		o.From = from[3:]
	}
	return nil
}

// decodeEntity reads an operation on a whole entity.
func (o *op) decodeEntity(lim graph.Limits) *graph.Error {
	switch {
	case o.Kind == patch.Remove:
		return nil
	case o.Kind != patch.Add:
		o.misuse = graph.Errf(graph.CodeInvalidPatch, "an entity as a whole can be added or removed; change its parts below /body or /access").At(o.path)
		return nil
	case o.ref.ID == [16]byte{}:
		return graph.Errf(graph.CodeInvalidID, "the nil UUID names nothing (RFC 9562, 5.9); take another id").At(o.path)
	case o.ref.Kind == graph.KindObject:
		return o.decodeObject()
	default:
		return o.decodeEdge()
	}
}

func (o *op) decodeObject() *graph.Error {
	var v struct{ Type, Body, Access json.RawMessage }
	err := members(o.Value, o.path, "an object needs `type` and `body`, and may have `access`", map[string]*json.RawMessage{
		"type": &v.Type, "body": &v.Body, "access": &v.Access})
	if err != nil {
		return err
	}
	n := &newObject{body: v.Body, access: v.Access}
	if v.Type == nil || json.Unmarshal(v.Type, &n.typ) != nil {
		return graph.Errf(graph.CodeInvalidPatch, "`type` must name a type").At(o.path + "/type")
	}
	if v.Body == nil {
		return graph.Errf(graph.CodeInvalidPatch, "`body` is missing; an empty one is {}").At(o.path + "/body")
	}
	o.object = n
	return nil
}

func (o *op) decodeEdge() *graph.Error {
	var v struct{ Label, From, To, Body json.RawMessage }
	err := members(o.Value, o.path, "an edge needs `label`, `from` and `to`, and may have `body`", map[string]*json.RawMessage{
		"label": &v.Label, "from": &v.From, "to": &v.To, "body": &v.Body})
	if err != nil {
		return err
	}
	n := &newEdge{body: v.Body}
	if v.Label == nil || json.Unmarshal(v.Label, &n.label) != nil || n.label == "" {
		return graph.Errf(graph.CodeInvalidPatch, "`label` must be the edge's label").At(o.path + "/label")
	}
	for _, end := range []struct {
		name string
		raw  json.RawMessage
		id   *graph.ObjectID
	}{{"from", v.From, &n.from}, {"to", v.To, &n.to}} {
		var s string
		if end.raw == nil || json.Unmarshal(end.raw, &s) != nil {
			return graph.Errf(graph.CodeInvalidPatch, "`%s` must be the id of an object", end.name).At(o.path + "/" + end.name)
		}
		id, ok := graph.ParseObjectID(s)
		if !ok {
			return graph.InvalidID(s).At(o.path + "/" + end.name)
		}
		*end.id = id
	}
	o.edge = n
	return nil
}

// adds reports whether the operation is the add of an entity of the kind, be it
// lost, as long as it says of which one.
func (o *op) adds(kind graph.EntityKind) bool {
	return o.Kind == patch.Add && o.area == areaEntity && o.ref != graph.Ref{} && o.ref.Kind == kind
}

// mayLink reports whether a lost operation may have been the add of an edge with
// this label from the object, as far as can be read.
func (o *op) mayLink(from graph.ObjectID, label string) bool {
	if o.Kind != patch.Add || !strings.HasPrefix(o.path, "/edges/") {
		return false
	}
	var v struct{ Label, From any }
	_ = json.Unmarshal(o.Value, &v) // what cannot be read may be anything
	if l, ok := v.Label.(string); ok && l != label {
		return false
	}
	if s, ok := v.From.(string); ok {
		if id, ok := graph.ParseObjectID(s); ok && id != from {
			return false
		}
	}
	return true
}

// members splits a JSON object into the members known by name; another one is
// unknown-field.
func members(text json.RawMessage, path, remedy string, known map[string]*json.RawMessage) *graph.Error {
	if len(text) == 0 || text[0] != '{' {
		return graph.Errf(graph.CodeInvalidPatch, "`value` must be a JSON object: %s", remedy).At(path)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if _, err := dec.Token(); err != nil {
		return graph.Errf(graph.CodeInvalidJSON, "the value cannot be read").At(path)
	}
	for dec.More() {
		tok, err := dec.Token()
		key, ok := tok.(string)
		if err != nil || !ok {
			return graph.Errf(graph.CodeInvalidJSON, "the value cannot be read").At(path)
		}
		start := dec.InputOffset()
		var skip json.RawMessage
		if err := dec.Decode(&skip); err != nil {
			return graph.Errf(graph.CodeInvalidJSON, "the value cannot be read").At(path)
		}
		dst, ok := known[key]
		if !ok {
			return graph.Errf(graph.CodeUnknownField, "%q is not a member of this entity: %s", key, remedy).At(path + patch.Pointer{key}.String())
		}
		// The decoder's copy is compact already; the text's own bytes save it.
		raw := bytes.TrimLeft(text[start:dec.InputOffset()], ": \t\r\n")
		*dst = json.RawMessage(raw)
	}
	return nil
}

func parseRef(path patch.Pointer) (graph.Ref, *graph.Error) {
	if path[0] == "objects" {
		id, ok := graph.ParseObjectID(path[1])
		if !ok {
			return graph.Ref{}, graph.InvalidID(path[1])
		}
		return graph.ObjectRef(id), nil
	}
	id, ok := graph.ParseEdgeID(path[1])
	if !ok {
		return graph.Ref{}, graph.InvalidID(path[1])
	}
	return graph.EdgeRef(id), nil
}

func areaOf(kind graph.EntityKind, path patch.Pointer) (area, *graph.Error) {
	if len(path) == 2 {
		return areaEntity, nil
	}
	switch name := path[2]; {
	case name == "body":
		return areaBody, nil
	case name == "access" && kind == graph.KindObject:
		return areaAccess, nil
	case len(path) > 3 && (name == "type" || name == "label" || name == "from" || name == "to"):
		return areaFixed, graph.Errf(graph.CodeInvalidPatch, "/%s is a text and has no parts", name).At(path.String())
	case name == "meta", name == "type" && kind == graph.KindObject,
		kind == graph.KindEdge && (name == "label" || name == "from" || name == "to"):
		return areaFixed, nil
	default:
		return areaFixed, graph.Errf(graph.CodeInvalidPatch, "an %s has no part %q", kind, name).At(path.String())
	}
}

// immutable is the refusal of a write to a part that only the server sets.
func immutable(kind graph.EntityKind, name string) *graph.Error {
	switch {
	case name == "meta":
		return graph.Errf(graph.CodeMetaImmutable, "`meta` is the server's; it can only be tested")
	case name == "type" && kind == graph.KindObject:
		return graph.Errf(graph.CodeTypeImmutable, "an object keeps its type; make a new object instead")
	case kind == graph.KindEdge && (name == "label" || name == "from" || name == "to"):
		return graph.Errf(graph.CodeInvalidPatch, "an edge keeps its label and its ends; remove it and add another")
	default:
		return graph.Errf(graph.CodeInvalidPatch, "an %s has no part %q", kind, name)
	}
}

func join(prefix, p patch.Pointer) patch.Pointer {
	if len(prefix) == 0 {
		return p
	}
	return append(append(make(patch.Pointer, 0, len(prefix)+len(p)), prefix...), p...)
}

// patchError turns a fault of the patch package into the caller's words. path
// is put before the fault's own.
func patchError(e *patch.Error, path string) *graph.Error {
	out := &graph.Error{Message: e.Message, Path: path + e.Path, HasPath: true}
	if e.Op >= 0 {
		out.AtOp(e.Op)
	}
	switch e.Reason {
	case patch.InvalidJSON:
		out.Code = graph.CodeInvalidJSON
	case patch.InvalidPatch:
		out.Code = graph.CodeInvalidPatch
	case patch.PathMissing:
		out.Code = graph.CodePathMissing
	case patch.TestFailed:
		out.Code, out.Actual = graph.CodeTestFailed, e.Actual
	case patch.TooLarge:
		out.Code, out.Limit = graph.CodeTooLarge, limitName(e.Limit)
	default:
		return &graph.Error{Code: graph.CodeInternal, Err: fmt.Errorf("patch: unknown reason %d: %w", e.Reason, e)}
	}
	return out
}

// limitName gives the option's name for a bound of the patch package.
func limitName(s string) string {
	switch s {
	case "bytes":
		return "bodyBytes"
	case "depth":
		return "bodyDepth"
	}
	return s
}
