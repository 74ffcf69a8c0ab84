package graph

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of one projection. They keep the work of reading it, and of asking for
// each entity whether it belongs, in proportion.
const (
	MaxProjectionRoots     = 10000
	MaxProjectionSteps     = 500  // in all
	MaxProjectionDepth     = 128  // of steps within steps
	MaxProjectionConds     = 1000 // in all, And, Or and Not counted
	MaxProjectionCondDepth = 32   // of conditions within conditions
	// MaxProjectionValues bounds what all `in` lists have together.
	MaxProjectionValues = 10000
	MaxOrderKeys        = 16 // of one list
	// MaxProjectionNesting bounds its text, arrays and objects within each other:
	// two for each level of steps and conditions, and the values of conditions.
	MaxProjectionNesting = 2*MaxProjectionDepth + 2*MaxProjectionCondDepth + 80
)

// ProjectionLimits are the bounds of one projection. No option changes them: a
// projection that one server takes is taken by all.
type ProjectionLimits struct {
	Roots     int `json:"projectionRoots"`
	Steps     int `json:"projectionSteps"`
	Depth     int `json:"projectionDepth"`
	Conds     int `json:"projectionConditions"`
	CondDepth int `json:"projectionConditionDepth"`
	Values    int `json:"projectionValues"`
	OrderKeys int `json:"projectionOrderKeys"`
	Nesting   int `json:"projectionNesting"`
}

// ProjectionBounds gives the bounds of one projection, by the names that a
// refusal has as its limit.
func ProjectionBounds() ProjectionLimits {
	return ProjectionLimits{
		Roots: MaxProjectionRoots, Steps: MaxProjectionSteps, Depth: MaxProjectionDepth, Conds: MaxProjectionConds,
		CondDepth: MaxProjectionCondDepth, Values: MaxProjectionValues, OrderKeys: MaxOrderKeys, Nesting: MaxProjectionNesting,
	}
}

// ParseProjection reads the JSON of a projection, strictly; a fault is
// CodeInvalidProjection (CodeInvalidID for a root that is no UUID, CodeTooLarge
// over one of its bounds) with the path inside the projection. text must be
// checked JSON.
//
// Conditions come out in one form, whatever way they were written in: a bare
// property name is a path into the body, members side by side are an And, and
// what an And or an Or holds is sorted. So AppendJSON gives one text for all
// ways of writing.
func ParseProjection(text []byte) (*Projection, *Error) {
	var p projectionParser
	if !json.Valid(text) {
		return nil, badProjection("", "must be an object")
	}
	m, e := members("", text)
	if e != nil {
		return nil, e
	}
	if e := m.only("root", "out", "in"); e != nil {
		return nil, e
	}
	out := &Projection{}
	root, ok := m.get("root")
	if !ok {
		return nil, badProjection("", "root is missing; name an object, a list of objects or a type")
	}
	if e := p.root(out, root); e != nil {
		return nil, e
	}
	if out.Node, e = p.node(m, 0); e != nil {
		return nil, e
	}
	return out, nil
}

func badProjection(path, format string, args ...any) *Error {
	return Errf(CodeInvalidProjection, format, args...).At(path)
}

// overBound refuses what is over one of ProjectionBounds.
func overBound(path, limit string, most int, unit string) *Error {
	return TooLarge(limit, int64(most), unit).At(path)
}

type projectionParser struct {
	steps, conds, values int
}

// root reads the three forms of root into out.
func (p *projectionParser) root(out *Projection, raw json.RawMessage) *Error {
	const path = "/root"
	switch raw[0] {
	case '"':
		id, e := rootID(path, raw)
		out.Roots = []ObjectID{id}
		return e
	case '[':
		list, e := list(path, raw)
		if e != nil {
			return e
		}
		if len(list) == 0 {
			return badProjection(path, "root names no object; name one at least")
		}
		if len(list) > MaxProjectionRoots {
			return overBound(path, "projectionRoots", MaxProjectionRoots, "roots; split the projection")
		}
		seen := make(map[ObjectID]bool, len(list))
		for i, item := range list {
			id, e := rootID(path+"/"+strconv.Itoa(i), item)
			if e != nil {
				return e
			}
			if !seen[id] {
				seen[id] = true
				out.Roots = append(out.Roots, id)
			}
		}
		return nil
	case '{':
		m, e := members(path, raw)
		if e != nil {
			return e
		}
		if e := m.only("type", "where", "order", "limit", "after"); e != nil {
			return e
		}
		name, ok := m.get("type")
		if !ok {
			return badProjection(path, "type is missing; a root that is an object names a type")
		}
		out.Type = &TypeRoot{}
		if out.Type.Type, ok = str(name); !ok || out.Type.Type == "" {
			return badProjection(path+"/type", "type is the name of a type")
		}
		out.Type.List, e = p.list(m, false)
		return e
	}
	return badProjection(path, `root is an object's id, a list of ids, or {"type": …}`)
}

func rootID(path string, raw json.RawMessage) (ObjectID, *Error) {
	s, ok := str(raw)
	if !ok {
		return ObjectID{}, badProjection(path, "an object's id is a string")
	}
	id, ok := ParseObjectID(s)
	if !ok {
		return id, InvalidID(s).At(path)
	}
	return id, nil
}

// node reads out and in of m; level is how many steps lead here.
func (p *projectionParser) node(m object, level int) (Node, *Error) {
	var n Node
	for _, direction := range []string{"out", "in"} {
		raw, ok := m.get(direction)
		if !ok {
			continue
		}
		path := m.path + "/" + direction
		labels, e := members(path, raw)
		if e != nil {
			return n, e
		}
		for _, label := range labels.names() {
			if label == "" {
				return n, badProjection(path+"/", "a label is not empty")
			}
			raw, _ := labels.get(label)
			step, e := p.step(path+"/"+escapeToken(label), raw, level+1)
			if e != nil {
				return n, e
			}
			step.Label, step.In = label, direction == "in"
			n.Steps = append(n.Steps, step)
		}
	}
	return n, nil
}

func (p *projectionParser) step(path string, raw json.RawMessage, level int) (*Step, *Error) {
	if p.steps++; p.steps > MaxProjectionSteps {
		return nil, overBound(path, "projectionSteps", MaxProjectionSteps, "steps; split the projection")
	}
	if level > MaxProjectionDepth {
		return nil, overBound(path, "projectionDepth", MaxProjectionDepth, "levels of steps; use repeat to follow one label on")
	}
	m, e := members(path, raw)
	if e != nil {
		return nil, e
	}
	if e := m.only("where", "order", "limit", "after", "out", "in", "repeat"); e != nil {
		return nil, e
	}
	s := &Step{}
	if s.List, e = p.list(m, true); e != nil {
		return nil, e
	}
	if raw, ok := m.get("repeat"); ok {
		if s.Repeat, ok = integer(raw); string(raw) == "true" {
			s.Repeat = -1
		} else if !ok {
			return nil, badProjection(path+"/repeat", "repeat is how many levels more, from 0 to %d, or true", math.MaxInt32)
		}
	}
	if s.Node, e = p.node(m, level); e != nil {
		return nil, e
	}
	return s, nil
}

// list reads where, order, limit and after of m. Only a step has an edge that
// its order may point into.
func (p *projectionParser) list(m object, hasEdge bool) (List, *Error) {
	var l List
	var e *Error
	if raw, ok := m.get("where"); ok {
		if l.Where, e = p.condition(m.path+"/where", raw); e != nil {
			return l, e
		}
	}
	if raw, ok := m.get("order"); ok {
		if l.Order, e = parseOrder(m.path+"/order", raw, hasEdge); e != nil {
			return l, e
		}
	}
	if raw, ok := m.get("limit"); ok {
		if l.Limit, ok = integer(raw); !ok || l.Limit == 0 {
			return l, badProjection(m.path+"/limit", "limit is a whole number from 1 to %d; leave it out for no limit", math.MaxInt32)
		}
	}
	if raw, ok := m.get("after"); ok {
		if l.After, e = parseAfter(m.path+"/after", raw, len(l.Order)); e != nil {
			return l, e
		}
	}
	return l, nil
}

func parseOrder(path string, raw json.RawMessage, hasEdge bool) ([]OrderKey, *Error) {
	items, e := list(path, raw)
	if e != nil {
		return nil, e
	}
	if len(items) > MaxOrderKeys {
		return nil, overBound(path, "projectionOrderKeys", MaxOrderKeys, "keys of an order; the id breaks ties")
	}
	var out []OrderKey
	for i, item := range items {
		at := path + "/" + strconv.Itoa(i)
		s, ok := str(item)
		if !ok {
			return nil, badProjection(at, `a key of an order is a pointer such as "/body/rank", with - in front for descending`)
		}
		var k OrderKey
		s, k.Desc = strings.CutPrefix(s, "-")
		pointer, edge := strings.CutPrefix(s, "edge:")
		if edge && strings.HasPrefix(pointer, "/") {
			s, k.Path.Edge = pointer, true
		}
		if k.Path.Edge && !hasEdge {
			return nil, badProjection(at, "a root is not reached over an edge; order it by what is in the object")
		}
		if k.Path.Tokens, e = parsePath(at, s, k.Path.Edge); e != nil {
			return nil, e
		}
		out = append(out, k)
	}
	return out, nil
}

func parseAfter(path string, raw json.RawMessage, keys int) (*After, *Error) {
	m, e := members(path, raw)
	if e != nil {
		return nil, e
	}
	if e := m.only("values", "id"); e != nil {
		return nil, e
	}
	a := &After{}
	rawID, ok := m.get("id")
	if !ok {
		return nil, badProjection(path, "id is missing; a position is the order's values and an object's id")
	}
	if a.ID, e = rootID(path+"/id", rawID); e != nil {
		return nil, e
	}
	var values []json.RawMessage
	if raw, ok := m.get("values"); ok {
		if values, e = list(path+"/values", raw); e != nil {
			return nil, e
		}
	}
	if len(values) != keys {
		return nil, badProjection(path+"/values", "%d values for an order of %d keys; give one for each key", len(values), keys)
	}
	for _, v := range values {
		if isMissing(v) {
			v = nil
		}
		a.Values = append(a.Values, compactJSON(v))
	}
	return a, nil
}

// missingValue stands in `after` for the value of an entity that has none at
// the order's path: JSON itself has no way to say it, and null is another value.
// It takes no place away: all objects are equal in the order, so that {} stands
// for one that really is this.
const missingValue = `{"missing":true}`

func isMissing(raw json.RawMessage) bool { return string(compactJSON(raw)) == missingValue }

var entityMembers = map[bool]string{false: "type, body and meta", true: "label, from, to, body and meta"}

var metaMembers = []string{"version", "createdVersion", "createdAt", "createdBy", "updatedAt", "updatedBy"}

// parsePath reads a property name of the body, or a pointer from the entity.
// What the entity does not show cannot be asked for: its access, above all.
func parsePath(at, s string, edge bool) ([]string, *Error) {
	if s == "" {
		return nil, badProjection(at, `a path is the name of a property, or a pointer such as "/body/rank"`)
	}
	if s[0] != '/' {
		return []string{"body", s}, nil
	}
	var tokens []string
	for part := range strings.SplitSeq(s[1:], "/") {
		token, ok := unescapeToken(part)
		if !ok {
			return nil, badProjection(at, "%q is no JSON Pointer: a ~ in it is written ~0", s)
		}
		tokens = append(tokens, token)
	}
	ok := false
	switch tokens[0] {
	case "body":
		ok = true
	case "meta":
		ok = len(tokens) == 2 && slices.Contains(metaMembers, tokens[1])
		if !ok {
			return nil, badProjection(at, "%q leads nowhere; meta has %s", s, strings.Join(metaMembers, ", "))
		}
	case "type":
		ok = !edge && len(tokens) == 1
	case "label", "from", "to":
		ok = edge && len(tokens) == 1
	}
	if !ok {
		return nil, badProjection(at, "%q leads nowhere; a pointer begins with one of %s", s, entityMembers[edge])
	}
	return tokens, nil
}

func unescapeToken(s string) (string, bool) {
	for i := 0; i < len(s); i++ {
		if s[i] == '~' && (i+1 == len(s) || s[i+1] != '0' && s[i+1] != '1') {
			return "", false
		}
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~"), true
}

func escapeToken(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}

// object is a JSON object with its place in the projection.
type object struct {
	path string
	m    map[string]json.RawMessage
}

func members(path string, raw json.RawMessage) (object, *Error) {
	o := object{path: path}
	raw = bytes.TrimLeft(raw, jsonSpace)
	if raw[0] != '{' {
		return o, badProjection(path, "must be an object")
	}
	o.m = map[string]json.RawMessage{}
	for raw = nextItem(raw[1:]); raw[0] != '}'; raw = nextItem(raw) {
		end := valueEnd(raw)
		name, ok := str(raw[:end])
		if !ok {
			return o, badProjection(path, "must be an object")
		}
		raw = bytes.TrimLeft(raw[end:], jsonSpace+":")
		end = valueEnd(raw)
		o.m[name], raw = raw[:end], raw[end:]
	}
	return o, nil
}

func (o object) get(name string) (json.RawMessage, bool) {
	raw, ok := o.m[name]
	return raw, ok
}

// names gives the members' names, sorted.
func (o object) names() []string { return slices.Sorted(maps.Keys(o.m)) }

// only refuses any other member.
func (o object) only(known ...string) *Error {
	for _, name := range o.names() {
		if !slices.Contains(known, name) {
			return badProjection(o.path+"/"+escapeToken(name), "%s is unknown here; there may be %s", quoteShort(name), strings.Join(known, ", "))
		}
	}
	return nil
}

func quoteShort(s string) string {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return fmt.Sprintf("%q", s)
}

func list(path string, raw json.RawMessage) ([]json.RawMessage, *Error) {
	if raw[0] != '[' {
		return nil, badProjection(path, "must be an array")
	}
	var out []json.RawMessage
	for raw = nextItem(raw[1:]); raw[0] != ']'; raw = nextItem(raw) {
		end := valueEnd(raw)
		out = append(out, raw[:end])
		raw = raw[end:]
	}
	return out, nil
}

func str(raw json.RawMessage) (string, bool) {
	if raw[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return string(raw[1 : len(raw)-1]), true
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// integer reads a whole number from 0 to MaxInt32, in any notation.
func integer(raw json.RawMessage) (int, bool) {
	f, err := strconv.ParseFloat(string(raw), 64)
	return int(f), err == nil && 0 <= f && f <= math.MaxInt32 && f == math.Trunc(f)
}

func compactJSON(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return nil
	}
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}
