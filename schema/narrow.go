package schema

import (
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"slices"

	"github.com/graphtide/graphtide/patch"
)

// widening is a place where a child's schema allows more than its parent's.
type widening struct {
	keyword string // "" for the schema as a whole
	message string
}

// narrow joins a parent's schema of a property with a child's: what is valid
// under the result is valid under both. Keywords whose comparison is plain are
// compared, and a child that says more than its parent is reported; the others
// are held to both by allOf, which cannot widen.
//
// The comparison is conservative: it reports what is wider for certain (another
// type, a larger maximum, a new enum value, a property that the parent's closed
// object does not have), not everything that might be.
func narrow(parent, child any) (any, []widening) {
	if reflect.DeepEqual(parent, child) {
		return child, nil
	}
	if p, ok := parent.(bool); ok {
		if c, isBool := child.(bool); isBool && c && !p {
			return parent, []widening{{"", "the parent allows no value at all"}}
		}
		if p {
			return child, nil
		}
		return parent, nil
	}
	p, _ := parent.(map[string]any)
	c, ok := child.(map[string]any)
	if !ok {
		if child == true {
			return parent, nil
		}
		return child, nil
	}
	n := &narrowing{parent: p, child: c, merged: map[string]any{}}
	for k, v := range p {
		n.merged[k] = v
	}
	for _, k := range sortedKeys(c) {
		n.keyword(k, c[k])
	}
	n.contradictions()
	if n.both {
		m := map[string]any{"allOf": []any{parent, child}}
		for k, v := range n.merged { // what describes, and what clients and defaults read
			if isAnnotation(k) || k == "type" || k == "properties" {
				m[k] = v
			}
		}
		return m, n.found
	}
	return n.merged, n.found
}

type narrowing struct {
	parent, child, merged map[string]any
	both                  bool // some keyword cannot be merged: allOf
	found                 []widening
}

func (n *narrowing) report(keyword, format string, args ...any) {
	n.found = append(n.found, widening{keyword, fmt.Sprintf(format, args...)})
}

func (n *narrowing) keyword(k string, c any) {
	p, has := n.parent[k]
	if !has {
		if k == "properties" || k == "additionalProperties" {
			n.object()
			return
		}
		n.merged[k] = c
		n.listed(k, c)
		return
	}
	switch k {
	case "type":
		for _, t := range listOf(c) {
			if !allowsType(p, t) {
				n.report(k, "%s is wider than the parent's %s", encode(c), encode(p))
				return
			}
		}
		n.merged[k] = c
	case "minLength", "minItems", "minProperties", "minContains", "minimum", "exclusiveMinimum":
		if number(c).Cmp(number(p)) < 0 {
			n.report(k, "%s is smaller than the parent's %s", c, p)
			return
		}
		n.merged[k] = c
	case "maxLength", "maxItems", "maxProperties", "maxContains", "maximum", "exclusiveMaximum":
		if number(c).Cmp(number(p)) > 0 {
			n.report(k, "%s is larger than the parent's %s", c, p)
			return
		}
		n.merged[k] = c
	case "enum", "const":
		n.listed(k, c)
		n.merged[k] = c
	case "uniqueItems":
		if p == true && c == false {
			n.report(k, "the parent wants unique items")
			return
		}
		n.merged[k] = c
	case "required":
		l, _ := c.([]any)
		all, _ := p.([]any)
		all = slices.Clone(all)
		for _, x := range listOf(p) {
			if !slices.Contains(l, x) {
				n.report(k, "%s is required by the parent", encode(x))
			}
		}
		for _, x := range l {
			if !slices.Contains(all, x) {
				all = append(all, x)
			}
		}
		n.merged[k] = all
	case "properties", "additionalProperties":
		n.object()
	case "items":
		merged, found := narrow(p, c)
		n.merged[k] = merged
		for _, w := range found {
			n.found = append(n.found, widening{k, w.message})
		}
	case "$defs":
		n.merged[k] = c
	default:
		if isAnnotation(k) {
			n.merged[k] = c
		} else if !reflect.DeepEqual(p, c) {
			n.both = true
		}
	}
}

// listed holds enum and const to the parent's enum and const, whichever of them
// either side uses.
func (n *narrowing) listed(k string, c any) {
	if k != "enum" && k != "const" {
		return
	}
	var allowed []any
	if v, ok := n.parent["const"]; ok {
		allowed = []any{v}
	} else if l, ok := n.parent["enum"].([]any); ok {
		allowed = l
	} else {
		return
	}
	values := []any{c}
	if k == "enum" {
		values, _ = c.([]any)
	}
	for _, v := range values {
		if !slices.ContainsFunc(allowed, func(a any) bool { return patch.Equal(encode(a), encode(v)) }) {
			n.report(k, "%s is not among the parent's values", encode(v))
		}
	}
}

// object merges properties and additionalProperties, which belong together.
func (n *narrowing) object() {
	pp, _ := n.parent["properties"].(map[string]any)
	cp, _ := n.child["properties"].(map[string]any)
	merged := make(map[string]any, len(pp)+len(cp))
	for name, s := range pp {
		merged[name] = s
	}
	closed := n.parent["additionalProperties"] == false
	for _, name := range sortedKeys(cp) {
		p, has := pp[name]
		if !has {
			if _, patterns := n.parent["patternProperties"]; closed && !patterns {
				n.report("properties", "the parent's object is closed and has no property %q", name)
			}
			merged[name] = cp[name]
			continue
		}
		m, found := narrow(p, cp[name])
		merged[name] = m
		for _, w := range found {
			n.found = append(n.found, widening{"properties", fmt.Sprintf("%s: %s", name, w.message)})
		}
	}
	if len(merged) > 0 {
		n.merged["properties"] = merged
	}
	ca, has := n.child["additionalProperties"]
	if !has {
		return
	}
	if closed && ca != false {
		n.report("additionalProperties", "the parent's object is closed")
		return
	}
	if pa, ok := n.parent["additionalProperties"]; ok && ca != false && pa != true && !reflect.DeepEqual(pa, ca) {
		n.merged["additionalProperties"], _ = narrow(pa, ca)
		return
	}
	n.merged["additionalProperties"] = ca
}

// contradictions reports bounds that the two together cannot meet.
func (n *narrowing) contradictions() {
	for _, pair := range [][2]string{{"minLength", "maxLength"}, {"minItems", "maxItems"}, {"minProperties", "maxProperties"}, {"minimum", "maximum"}} {
		low, ok1 := n.merged[pair[0]]
		high, ok2 := n.merged[pair[1]]
		if !ok1 || !ok2 || number(low).Cmp(number(high)) <= 0 {
			continue
		}
		k := pair[0]
		if _, own := n.child[k]; !own {
			k = pair[1]
		}
		n.report(k, "together with the parent's bounds nothing would be valid (%s %s, %s %s)", pair[0], low, pair[1], high)
	}
}

func number(v any) *big.Rat {
	num, _ := v.(json.Number)
	r, ok := new(big.Rat).SetString(string(num))
	if !ok {
		return new(big.Rat)
	}
	return r
}

// allowsType reports whether the parent's type keyword has the type.
func allowsType(parent, t any) bool {
	for _, p := range listOf(parent) {
		if p == t || p == "number" && t == "integer" {
			return true
		}
	}
	return false
}
