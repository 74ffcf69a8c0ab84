package schema

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// schemaWalk looks over the JSON Schemas in a document keyword by keyword, so
// that a fault has its own line, and collects the references for later.
type schemaWalk struct {
	refs []cursor
}

// What a keyword takes.
var (
	countKeywords  = []string{"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains"}
	numberKeywords = []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
	boolKeywords   = []string{"uniqueItems", "deprecated", "readOnly", "writeOnly"}
	textKeywords   = []string{"title", "description", "$comment", "format", "contentEncoding", "contentMediaType"}
)

// refused keywords, with the remedy.
var refusedKeywords = map[string]string{
	"$id": "schemas have no addresses here", "$schema": "it is always draft 2020-12", "$anchor": "refer with `$ref: '#/$defs/…'`",
	"$dynamicRef": "refer with `$ref: '#/$defs/…'`", "$dynamicAnchor": "refer with `$ref: '#/$defs/…'`",
	"$recursiveRef": "refer with `$ref: '#/$defs/…'`", "$recursiveAnchor": "refer with `$ref: '#/$defs/…'`", "$vocabulary": "it is always draft 2020-12",
	"definitions": "draft 2020-12 calls it `$defs`", "dependencies": "draft 2020-12 calls it `dependentRequired` or `dependentSchemas`",
	"additionalItems": "draft 2020-12 calls it `items`, beside `prefixItems`", "id": "schemas have no addresses here",
}

var knownKeywords = func() []string {
	known := slices.Concat(countKeywords, numberKeywords, boolKeywords, textKeywords, schemaKeywords, schemaListKeywords, schemaMapKeywords)
	return append(known, "type", "enum", "const", "default", "examples", "pattern", "required", "dependentRequired", "$ref", "$defs", "contentSchema")
}()

// schema looks over one schema.
func (w *schemaWalk) schema(c cursor) {
	switch c.n.kind {
	case boolKind:
		return
	case mapKind:
	default:
		c.fault("must be a JSON Schema (a map such as {type: string}), here it is %s", c.n.kind)
		return
	}
	for _, k := range c.fields() {
		w.keyword(k)
	}
	w.ranges(c)
}

func (w *schemaWalk) keyword(c cursor) {
	switch name := c.name(); {
	case slices.Contains(countKeywords, name):
		c.int(0, 1<<31-1)
	case slices.Contains(numberKeywords, name):
		if c.n.kind != numberKind {
			c.fault("must be a number, here it is %s", c.n.kind)
		} else if r := ratOf(c.n); name == "multipleOf" && r.Sign() <= 0 {
			c.fault("must be more than 0, here it is %s", c.n.text)
		}
	case slices.Contains(boolKeywords, name):
		c.bool()
	case slices.Contains(textKeywords, name):
		if c.n.kind != stringKind {
			c.fault("must be text, here it is %s", c.n.kind)
		}
	case slices.Contains(schemaKeywords, name), name == "contentSchema":
		w.schema(c)
	case slices.Contains(schemaListKeywords, name):
		items := c.list()
		if c.n.kind == listKind && len(items) == 0 {
			c.fault("must not be empty")
		}
		for _, item := range items {
			w.schema(item)
		}
	case slices.Contains(schemaMapKeywords, name), name == "$defs":
		if name == "patternProperties" && c.n.kind == mapKind {
			for _, p := range c.fields() {
				if _, _, err := compilePattern(p.name()); err != nil {
					p.fault("%v", err)
				}
			}
		}
		for _, p := range c.fields() {
			w.schema(p)
		}
	case name == "type":
		w.types(c)
	case name == "enum":
		if items := c.list(); c.n.kind == listKind && len(items) == 0 {
			c.fault("must not be empty: nothing would be valid")
		}
	case name == "examples":
		c.list()
	case name == "const", name == "default":
	case name == "pattern":
		if s, ok := c.text(); ok {
			if _, _, err := compilePattern(s); err != nil {
				c.fault("%v", err)
			}
		}
	case name == "required":
		c.list()
		c.texts()
	case name == "x-conflict":
		c.oneOf("last-writer", "unchanged")
	case name == "dependentRequired":
		for _, p := range c.fields() {
			p.list()
			p.texts()
		}
	case name == "$ref":
		if s, ok := c.text(); ok {
			if s != "#" && !strings.HasPrefix(s, "#/") {
				c.fault("only references within the type are followed (#, #/$defs/…, #/properties/…), not %s", quoteShort(s))
			} else {
				w.refs = append(w.refs, c)
			}
		}
	case refusedKeywords[name] != "":
		c.fault("the keyword %s is not taken: %s", name, refusedKeywords[name])
	case !isAnnotation(name):
		c.fault("unknown keyword %s%s; keywords of your own begin with x-", quoteShort(name), didYouMean(name, knownKeywords))
	}
}

func (w *schemaWalk) types(c cursor) {
	names := sortedKeys(typeNames)
	if c.n.kind == listKind && len(c.n.items) == 0 {
		c.fault("must not be empty")
	}
	for _, item := range c.items() {
		item.oneOf(names...)
	}
	if c.n.kind == listKind {
		c.texts()
	}
}

// ranges refuses bounds that leave nothing.
func (w *schemaWalk) ranges(c cursor) {
	for _, pair := range [][2]string{{"minLength", "maxLength"}, {"minItems", "maxItems"}, {"minProperties", "maxProperties"}, {"minContains", "maxContains"}, {"minimum", "maximum"}} {
		low, ok1 := c.field(pair[0])
		high, ok2 := c.field(pair[1])
		if !ok1 || !ok2 || low.n.kind != numberKind || high.n.kind != numberKind {
			continue
		}
		if ratOf(low.n).Cmp(ratOf(high.n)) > 0 {
			low.fault("is more than %s (%s): nothing would be valid", pair[1], high.n.text)
		}
	}
}

func ratOf(n *node) *big.Rat {
	r, ok := new(big.Rat).SetString(n.text)
	if !ok {
		return new(big.Rat)
	}
	return r
}

// bodyKeywords looks over what stands under `schema:` of a type.
func (w *schemaWalk) bodyKeywords(c cursor, open bool) map[string]any {
	if !c.isMap() {
		return nil
	}
	before := len(c.f.list)
	for _, k := range c.fields() {
		switch name := k.name(); name {
		case "properties", "required":
			k.fault("belongs on the type itself, outside of `schema`")
		case "type":
			if s, ok := k.text(); ok && s != "object" {
				k.fault("a body is always an object")
			}
		case "additionalProperties":
			if !open {
				k.fault("bodies are closed; say `open: true` on the type as well")
			}
			w.schema(k)
		case "unevaluatedProperties", "unevaluatedItems", "$ref", "default":
			k.fault("is not taken at the level of the body")
		default:
			w.keyword(k)
		}
	}
	w.ranges(c)
	if len(c.f.list) > before || c.n.kind != mapKind {
		return nil
	}
	m := c.n.plain().(map[string]any)
	delete(m, "type")
	return m
}

// checkRefs refuses references that lead nowhere in the document of a shape.
func (w *schemaWalk) checkRefs(doc any) {
	for _, c := range w.refs {
		target, ok := resolveRef(doc, c.n.text)
		switch target.(type) {
		case map[string]any, bool:
			if ok {
				continue
			}
		}
		if !ok {
			c.fault("there is nothing at %s; shared schemas stand under `schema: {$defs: …}` of the type", quoteShort(c.n.text))
		} else {
			c.fault("%s is not a schema", quoteShort(c.n.text))
		}
	}
}

// reserved names would shadow what every JavaScript object has.
var reservedNames = []string{"__proto__", "constructor", "prototype"}

// maxName bounds names of types, properties, labels and the rest.
const maxName = 100

// checkOpenName judges a property that an open body has and the schema does not
// know: any key of JSON, the empty one too, that does not hide what objects have
// of their own.
func checkOpenName(name string) error {
	switch {
	case strings.HasPrefix(name, "$"):
		return fmt.Errorf("the name %s begins with $, as the client's own names do", quoteShort(name))
	case slices.Contains(reservedNames, name):
		return fmt.Errorf("the name %q is JavaScript's own", name)
	}
	return nil
}

// checkName judges a property, an edge label or an `as` name.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a name must not be empty")
	case len(name) > maxName:
		return fmt.Errorf("a name has at most %d bytes", maxName)
	case name[0] == '$':
		return fmt.Errorf("the name %q begins with $, as the client's own names do", name)
	case slices.Contains(reservedNames, name):
		return fmt.Errorf("the name %q is JavaScript's own", name)
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f {
			return fmt.Errorf("a name has no control characters")
		}
	}
	return nil
}
