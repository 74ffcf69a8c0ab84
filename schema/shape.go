package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// shape judges a JSON object with named properties: a body of an object or of
// an edge, or the arguments of something that has parameters.
type shape struct {
	props    map[string]*property
	order    []string // as declared, inherited ones first
	required []string
	open     bool
	patterns []patternCheck
	rest     check           // of properties that no name and no pattern fits; nil: any
	taken    map[string]bool // names that an open body must not use: the client's
	whole    check           // the keywords that see the body as one; nil: none
	fill     *filler
	doc      map[string]any // the JSON Schema of the whole
}

// property is one named property.
type property struct {
	name   string
	path   string // "/" and the name, escaped
	schema any
	check  check
}

type patternCheck struct {
	re    *regexp.Regexp
	size  int
	check check
}

// noShape allows {} alone.
var noShape = &shape{}

// validate judges a body. changed, if not nil, names what differs from a body
// that was valid: properties that it does not touch are not judged again.
func (s *shape) validate(body []byte, changed []patch.Pointer) []graph.Violation {
	all := changed == nil
	for _, p := range changed {
		all = all || len(p) == 0
	}
	var out []graph.Violation
	var missing uint64 = 1<<min(len(s.required), 64) - 1
	var extra map[string]bool // required beyond the 64th
	isObject := eachMember(body, func(key, value []byte) bool {
		p := s.props[string(key)]
		var name string
		if p == nil {
			name = unquote(key)
			p = s.props[name]
		} else {
			name = p.name
		}
		for i, r := range s.required {
			if r == name {
				if i < 64 {
					missing &^= 1 << i
				} else {
					if extra == nil {
						extra = map[string]bool{}
					}
					extra[r] = true
				}
				break
			}
		}
		touched := all || touches(changed, name)
		if p != nil {
			if touched {
				p.check.check(value, p.path, &out)
			}
			if s.patterns == nil {
				return true
			}
		}
		s.checkOther(p, name, value, touched, &out)
		return true
	})
	if !isObject {
		return []graph.Violation{{Path: "", Message: "must be an object"}}
	}
	if missing != 0 || len(s.required) > 64 {
		for i, r := range s.required {
			if i < 64 && missing&(1<<i) != 0 || i >= 64 && !extra[r] {
				out = append(out, graph.Violation{Path: "/" + escapeToken(r), Message: fmt.Sprintf("the property %q is required", r)})
			}
		}
	}
	if s.whole != nil {
		s.whole.check(body, "", &out)
	}
	return out
}

// touches reports whether one of the pointers begins with the name.
func touches(changed []patch.Pointer, name string) bool {
	for _, p := range changed {
		if p[0] == name {
			return true
		}
	}
	return false
}

// checkOther judges a property that is not, or not only, known by name.
func (s *shape) checkOther(p *property, name string, value []byte, touched bool, out *[]graph.Violation) {
	known := p != nil
	path := "/" + escapeToken(name)
	for _, pattern := range s.patterns {
		if len(name)*pattern.size > maxPatternWork || !pattern.re.MatchString(name) {
			continue
		}
		known = true
		if touched {
			pattern.check.check(value, path, out)
		}
	}
	switch {
	case known:
	case !s.open:
		*out = append(*out, graph.Violation{Path: path, Message: fmt.Sprintf("there is no property %s here%s", quoteShort(name), didYouMean(name, s.order))})
	case !touched:
	case s.taken[name]:
		*out = append(*out, graph.Violation{Path: path, Message: fmt.Sprintf("%q is the name of an edge or a method of this type", name)})
	default:
		if err := checkOpenName(name); err != nil {
			*out = append(*out, graph.Violation{Path: path, Message: err.Error()})
		} else if s.rest != nil {
			s.rest.check(value, path, out)
		}
	}
}

// shapeSource is what a shape is made from: decoded JSON Schemas that have been
// looked over keyword by keyword.
type shapeSource struct {
	order    []string
	props    map[string]any
	required []string
	open     bool
	keywords []map[string]any // body-level, from the root of the inheritance down
}

// hoisted are body-level keywords that see the properties beside them.
var hoisted = []string{"$defs", "patternProperties", "additionalProperties"}

// build compiles. The error tells where in the document that the source makes:
// a JSON Pointer and a text.
func (src *shapeSource) build() (*shape, *shapeError) {
	s := &shape{props: make(map[string]*property, len(src.props)), order: src.order, required: src.required, open: src.open}
	s.doc = src.document()
	e := newEngine(s.doc)
	compile := func(fragment string, schema any) (check, *shapeError) {
		if n, ok := nativeOf(schema); ok {
			return n, nil
		}
		g, err := newGuarded(e, fragment, schema)
		if err != nil {
			return nil, &shapeError{fragment, err.Error()}
		}
		return g, nil
	}
	for _, name := range src.order {
		c, err := compile("#/properties/"+fragmentToken(name), src.props[name])
		if err != nil {
			err.property = name
			return nil, err
		}
		s.props[name] = &property{name: name, path: "/" + escapeToken(name), schema: src.props[name], check: c}
	}
	if m, ok := s.doc["patternProperties"].(map[string]any); ok {
		for _, text := range sortedKeys(m) {
			re, size, err := compilePattern(text)
			if err != nil {
				return nil, &shapeError{message: err.Error()}
			}
			c, fault := compile("#/patternProperties/"+fragmentToken(text), m[text])
			if fault != nil {
				return nil, fault
			}
			s.patterns = append(s.patterns, patternCheck{re, size, c})
		}
	}
	if rest, ok := s.doc["additionalProperties"]; ok && src.open {
		c, err := compile("#/additionalProperties", rest)
		if err != nil {
			return nil, err
		}
		s.rest = c
	}
	if whole, ok := s.doc["allOf"]; ok {
		g, err := newGuarded(e, "#/$defs/"+fragmentToken(wholeName), map[string]any{"allOf": whole})
		if err != nil {
			return nil, &shapeError{message: err.Error()}
		}
		s.whole = g
	}
	s.fill = newFiller(src.order, src.props)
	return s, src.checkNested(e)
}

// checkNested judges the defaults of nested properties by their own schemas.
func (src *shapeSource) checkNested(e *engine) *shapeError {
	var walk func(fragment string, schema any, nested bool) *shapeError
	walk = func(fragment string, schema any, nested bool) *shapeError {
		m, ok := schema.(map[string]any)
		if !ok {
			return nil
		}
		if v, ok := m["default"]; ok && nested {
			var c check
			if n, ok := nativeOf(schema); ok {
				c = n
			} else if g, err := newGuarded(e, fragment, schema); err == nil {
				c = g
			} else {
				return &shapeError{message: err.Error()}
			}
			var out []graph.Violation
			if c.check(encode(v), "", &out); len(out) > 0 {
				return &shapeError{message: fmt.Sprintf("the default at %s is not valid: %s%s", fragment, atPath(out[0].Path), out[0].Message)}
			}
		}
		props, _ := m["properties"].(map[string]any)
		for _, name := range sortedKeys(props) {
			if err := walk(fragment+"/properties/"+fragmentToken(name), props[name], true); err != nil {
				return err
			}
		}
		return nil
	}
	for _, name := range src.order {
		if err := walk("#/properties/"+fragmentToken(name), src.props[name], false); err != nil {
			err.property = name
			return err
		}
	}
	return nil
}

// shapeError is a fault that only the whole shape shows.
type shapeError struct {
	property string
	message  string
}

// wholeName is where the body-level keywords stand among the $defs, so that
// they can be judged without the properties.
const wholeName = "body-level keywords"

// document gives the JSON Schema of the whole body.
func (src *shapeSource) document() map[string]any {
	props := make(map[string]any, len(src.props))
	for name, s := range src.props {
		props[name] = s
	}
	doc := map[string]any{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": props}
	if len(src.required) > 0 {
		l := make([]any, len(src.required))
		for i, r := range src.required {
			l[i] = r
		}
		doc["required"] = l
	}
	if !src.open {
		doc["additionalProperties"] = false
	}
	var whole []any
	defs := map[string]any{}
	patterns := map[string]any{}
	for _, keywords := range src.keywords {
		own := map[string]any{}
		for k, v := range keywords {
			if !slices.Contains(hoisted, k) && !isAnnotation(k) {
				own[k] = v
			}
		}
		if len(own) > 0 {
			whole = append(whole, own)
		}
		if m, ok := keywords["$defs"].(map[string]any); ok {
			for name, s := range m {
				defs[name] = s
			}
		}
		if m, ok := keywords["patternProperties"].(map[string]any); ok {
			for name, s := range m {
				patterns[name] = bothOf(patterns[name], s)
			}
		}
		if s, ok := keywords["additionalProperties"]; ok && src.open {
			doc["additionalProperties"] = bothOf(doc["additionalProperties"], s)
		}
	}
	if len(whole) > 0 {
		doc["allOf"] = whole
		defs[wholeName] = map[string]any{"allOf": whole}
	}
	if len(defs) > 0 {
		doc["$defs"] = defs
	}
	if len(patterns) > 0 {
		doc["patternProperties"] = patterns
	}
	return doc
}

// bothOf gives a schema that asks for a and b; a may be nil.
func bothOf(a, b any) any {
	if a == nil {
		return b
	}
	return map[string]any{"allOf": []any{a, b}}
}

// fragmentToken escapes a name for a pointer within a URL fragment.
func fragmentToken(s string) string {
	var b strings.Builder
	for _, c := range []byte(escapeToken(s)) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.', c == '~':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
