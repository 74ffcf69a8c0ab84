package graph

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// condOps are the operators on the value at a path.
var condOps = map[string]CondOp{
	"eq": CondEq, "ne": CondNe, "lt": CondLt, "lte": CondLte, "gt": CondGt, "gte": CondGte,
	"in": CondIn, "prefix": CondPrefix, "exists": CondExists,
}

const condOpNames = "eq, ne, lt, lte, gt, gte, in, prefix, exists"

// condition reads a where; nil for {}, which tests nothing. The bounds are those
// of the condition's one form, so that what AppendJSON gives is within them too.
func (p *projectionParser) condition(path string, raw json.RawMessage) (*Cond, *Error) {
	c, e := where(path, raw, 1)
	if e != nil {
		return nil, e
	}
	if c.Op == CondAnd && len(c.Sub) == 0 {
		return nil, nil
	}
	depth, count, values := c.extent()
	if depth > MaxProjectionCondDepth {
		return nil, overBound(path, "projectionConditionDepth", MaxProjectionCondDepth, "levels of conditions")
	}
	if p.conds += count; p.conds > MaxProjectionConds {
		return nil, overBound(path, "projectionConditions", MaxProjectionConds, "conditions; split the projection")
	}
	if p.values += values; p.values > MaxProjectionValues {
		return nil, overBound(path, "projectionValues", MaxProjectionValues, "values in the lists of conditions; split the projection")
	}
	return c, nil
}

// extent gives the levels of a condition, how many there are in all, and how
// many values their lists have.
func (c *Cond) extent() (depth, count, values int) {
	if c.Op == CondIn {
		values = len(c.Values)
	}
	for _, s := range c.Sub {
		d, n, v := s.extent()
		depth, count, values = max(depth, d), count+n, values+v
	}
	return depth + 1, count + 1, values
}

// where reads a condition: an object whose members all have to hold. It gives
// an And without Sub for {}.
func where(path string, raw json.RawMessage, level int) (*Cond, *Error) {
	if level > 3*MaxProjectionCondDepth { // guards the stack; the real bound is in condition
		return nil, overBound(path, "projectionConditionDepth", MaxProjectionCondDepth, "levels of conditions")
	}
	m, e := members(path, raw)
	if e != nil {
		return nil, e
	}
	and := &Cond{Op: CondAnd}
	for _, name := range m.names() {
		raw, _ := m.get(name)
		at := path + "/" + escapeToken(name)
		var c *Cond
		switch name {
		case "and", "or":
			c, e = combine(name, at, raw, level+1)
		case "not":
			if c, e = where(at, raw, level+1); e == nil {
				c = &Cond{Op: CondNot, Sub: []*Cond{c}}
			}
		default:
			c, e = test(name, at, raw)
		}
		if e != nil {
			return nil, e
		}
		and.Sub = append(and.Sub, c)
	}
	return and.simplify(), nil
}

// combine reads the list of an and or an or.
func combine(name, path string, raw json.RawMessage, level int) (*Cond, *Error) {
	items, e := list(path, raw)
	if e != nil {
		return nil, e
	}
	if len(items) == 0 {
		return nil, badProjection(path, "%s needs one condition at least", name)
	}
	c := &Cond{Op: CondAnd}
	if name == "or" {
		c.Op = CondOr
	}
	for i, item := range items {
		sub, e := where(path+"/"+strconv.Itoa(i), item, level)
		if e != nil {
			return nil, e
		}
		c.Sub = append(c.Sub, sub)
	}
	return c.simplify(), nil
}

// test reads what a path's value is tested for: a value that it equals, or an
// object of operators, which all have to hold.
func test(name, path string, raw json.RawMessage) (*Cond, *Error) {
	if strings.HasPrefix(name, "edge:/") {
		return nil, badProjection(path, "where tests the object reached; only order may point into the edge")
	}
	tokens, e := parsePath(path, name, false)
	if e != nil {
		return nil, e
	}
	to := Path{Tokens: tokens}
	if raw[0] != '{' {
		return &Cond{Op: CondEq, Path: to, Values: []json.RawMessage{compactJSON(raw)}}, nil
	}
	m, e := members(path, raw)
	if e != nil {
		return nil, e
	}
	if len(m.m) == 0 {
		return nil, badProjection(path, `an object holds operators: %s; to compare with an object write {"eq": {…}}`, condOpNames)
	}
	and := &Cond{Op: CondAnd}
	for _, op := range m.names() {
		raw, _ := m.get(op)
		at := path + "/" + escapeToken(op)
		kind, ok := condOps[op]
		if !ok {
			return nil, badProjection(at, `%s is no operator; there are %s; to compare with an object write {"eq": {…}}`, quoteShort(op), condOpNames)
		}
		c := &Cond{Op: kind, Path: to}
		if e := c.operand(at, raw); e != nil {
			return nil, e
		}
		and.Sub = append(and.Sub, c)
	}
	return and.simplify(), nil
}

// operand reads what the operator compares with.
func (c *Cond) operand(path string, raw json.RawMessage) *Error {
	switch c.Op {
	case CondExists:
		switch string(raw) {
		case "true":
			c.Bool = true
		case "false":
		default:
			return badProjection(path, "exists is true or false")
		}
		return nil
	case CondIn:
		items, e := list(path, raw)
		if e != nil {
			return e
		}
		c.Values = make([]json.RawMessage, len(items))
		for i, item := range items {
			c.Values[i] = compactJSON(item)
		}
		return nil
	case CondPrefix:
		if raw[0] != '"' {
			return badProjection(path, "prefix is a string")
		}
	case CondLt, CondLte, CondGt, CondGte:
		if raw[0] == '{' || raw[0] == '[' {
			return badProjection(path, "objects and arrays have no order; compare with a string, number, boolean or null")
		}
	}
	c.Values = []json.RawMessage{compactJSON(raw)}
	return nil
}

// simplify brings an And or an Or into one form: of its own kind nothing
// within, sorted, nothing twice, and no shell around a single one.
func (c *Cond) simplify() *Cond {
	type keyed struct {
		text []byte
		c    *Cond
	}
	var subs []keyed
	add := func(s *Cond) { subs = append(subs, keyed{s.appendJSON(nil), s}) }
	for _, s := range c.Sub {
		if s.Op == c.Op {
			for _, inner := range s.Sub {
				add(inner)
			}
			continue
		}
		add(s)
	}
	slices.SortFunc(subs, func(a, b keyed) int { return bytes.Compare(a.text, b.text) })
	subs = slices.CompactFunc(subs, func(a, b keyed) bool { return bytes.Equal(a.text, b.text) })
	if len(subs) == 1 {
		return subs[0].c
	}
	out := &Cond{Op: c.Op}
	for _, s := range subs {
		out.Sub = append(out.Sub, s.c)
	}
	return out
}
