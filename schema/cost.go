package schema

import (
	"strconv"
	"strings"
)

// cost is what one schema asks of a validator, in evaluations of a keyword
// group per value, worked out before any value is seen.
type cost struct {
	size      int  // of the schema with every $ref and applicator written out
	patterns  int  // instructions of all patterns, as often as they would run
	recursive bool // a $ref leads back: size is only that of one turn
}

// maxExpanded bounds a schema written out. Nested allOf of $ref doubles with
// each line of the document; 10,000 is a thousand times an ordinary property.
const maxExpanded = 10_000

// Keywords that hold schemas.
var (
	schemaKeywords     = []string{"not", "if", "then", "else", "contains", "items", "additionalProperties", "propertyNames", "unevaluatedItems", "unevaluatedProperties"}
	schemaListKeywords = []string{"allOf", "anyOf", "oneOf", "prefixItems"}
	schemaMapKeywords  = []string{"properties", "patternProperties", "dependentSchemas"}
)

// costs works out the cost of one schema, each reference once.
type costs struct {
	doc  any
	memo map[string]cost // by reference
	open map[string]bool // being worked out
}

// costOf gives the cost of a schema whose references point into doc. One that
// leads nowhere costs nothing: compiling reports it.
func costOf(doc any, schema any) cost {
	c := &costs{doc: doc, memo: map[string]cost{}, open: map[string]bool{}}
	return c.of(schema, 0)
}

func (c *costs) of(schema any, depth int) cost {
	m, ok := schema.(map[string]any)
	if !ok || depth > 4*maxDocumentDepth {
		return cost{size: 1}
	}
	sum := cost{size: 1}
	add := func(x cost) {
		sum.size = min(sum.size+x.size, maxExpanded+1)
		sum.patterns = min(sum.patterns+x.patterns, maxPatternWork)
		sum.recursive = sum.recursive || x.recursive
	}
	for _, k := range schemaKeywords {
		if s, ok := m[k]; ok {
			add(c.of(s, depth+1))
		}
	}
	for _, k := range schemaListKeywords {
		l, _ := m[k].([]any)
		for _, s := range l {
			add(c.of(s, depth+1))
		}
	}
	for _, k := range schemaMapKeywords {
		sub, _ := m[k].(map[string]any)
		for name, s := range sub {
			x := c.of(s, depth+1)
			if k == "patternProperties" {
				_, size, _ := compilePattern(name)
				x.patterns += size
			}
			add(x)
		}
	}
	if s, ok := m["pattern"].(string); ok {
		_, size, _ := compilePattern(s)
		add(cost{patterns: size})
	}
	for _, k := range []string{"enum", "required"} {
		l, _ := m[k].([]any)
		add(cost{size: len(l)})
	}
	if ref, ok := m["$ref"].(string); ok {
		add(c.ref(ref, depth))
	}
	return sum
}

func (c *costs) ref(ref string, depth int) cost {
	if x, ok := c.memo[ref]; ok {
		return x
	}
	if c.open[ref] {
		return cost{recursive: true}
	}
	target, ok := resolveRef(c.doc, ref)
	if !ok {
		return cost{}
	}
	c.open[ref] = true
	x := c.of(target, depth+1)
	delete(c.open, ref)
	c.memo[ref] = x
	return x
}

// resolveRef follows a local reference: # and a JSON Pointer.
func resolveRef(doc any, ref string) (any, bool) {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok || pointer != "" && pointer[0] != '/' {
		return nil, false
	}
	if pointer == "" {
		return doc, true
	}
	for _, token := range strings.Split(pointer[1:], "/") {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		switch v := doc.(type) {
		case map[string]any:
			if doc, ok = v[token]; !ok {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return nil, false
			}
			doc = v[i]
		default:
			return nil, false
		}
	}
	return doc, true
}
