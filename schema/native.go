package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// check judges one value; violations are added to out with their path.
type check interface {
	check(raw []byte, path string, out *[]graph.Violation)
}

// typeSet is a set of JSON Schema's types.
type typeSet uint8

const (
	nullType typeSet = 1 << iota
	boolType
	objectType
	arrayType
	numberType
	stringType
	integerType
)

var typeNames = map[string]typeSet{
	"null": nullType, "boolean": boolType, "object": objectType, "array": arrayType,
	"number": numberType, "string": stringType, "integer": integerType,
}

// typeOf gives the type of a value by its first byte; integer counts as number.
func typeOf(raw []byte) typeSet {
	if len(raw) == 0 {
		return 0
	}
	switch raw[0] {
	case '{':
		return objectType
	case '[':
		return arrayType
	case '"':
		return stringType
	case 't', 'f':
		return boolType
	case 'n':
		return nullType
	}
	return numberType
}

func (t typeSet) String() string {
	var names []string
	for name, bit := range typeNames {
		if t&bit != 0 {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return strings.Join(names, " or ")
}

// Bounds of patterns: a program of that many instructions over a text of that
// many bytes takes about 0.1 s at worst (Go's engine is linear in their product).
const (
	maxPattern        = 256
	maxPatternProgram = 2000
	maxPatternWork    = 20_000_000
)

// native judges values by the simple keywords on their raw text, without
// decoding: what most properties need.
type native struct {
	never       bool
	types       typeSet // 0: any
	minLength   int     // -1: none
	maxLength   int
	pattern     *regexp.Regexp
	patternSize int
	min, max    *bound
	exMin       *bound
	exMax       *bound
	enum        []json.RawMessage // nil: any
	enumTexts   map[string]bool   // the texts of enum
	constant    bool              // enum came from const
}

// annotations judge nothing.
var annotations = map[string]bool{
	"title": true, "description": true, "default": true, "examples": true, "$comment": true, "deprecated": true,
	"readOnly": true, "writeOnly": true, "format": true, "contentEncoding": true, "contentMediaType": true, "$defs": true,
}

func isAnnotation(keyword string) bool {
	return annotations[keyword] || strings.HasPrefix(keyword, "x-")
}

// nativeOf compiles a schema that consists of simple keywords alone; ok is
// false for others.
func nativeOf(schema any) (n *native, ok bool) {
	n = &native{minLength: -1, maxLength: -1}
	if b, isBool := schema.(bool); isBool {
		n.never = !b
		return n, true
	}
	m, isMap := schema.(map[string]any)
	if !isMap {
		return nil, false
	}
	for keyword, v := range m {
		switch keyword {
		case "type":
			for _, name := range listOf(v) {
				s, _ := name.(string)
				n.types |= typeNames[s]
			}
			if n.types == 0 {
				return nil, false
			}
		case "minLength", "maxLength":
			i, err := asInt(v)
			if err != nil {
				return nil, false
			}
			if keyword == "minLength" {
				n.minLength = i
			} else {
				n.maxLength = i
			}
		case "pattern":
			s, _ := v.(string)
			re, size, err := compilePattern(s)
			if err != nil {
				return nil, false
			}
			n.pattern, n.patternSize = re, size
		case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
			num, _ := v.(json.Number)
			b := newBound(string(num))
			if b == nil {
				return nil, false
			}
			switch keyword {
			case "minimum":
				n.min = b
			case "maximum":
				n.max = b
			case "exclusiveMinimum":
				n.exMin = b
			default:
				n.exMax = b
			}
		case "const", "enum":
			if n.enum != nil {
				return nil, false
			}
			values := []any{v}
			if keyword == "enum" {
				if values, isMap = v.([]any); !isMap || len(values) == 0 {
					return nil, false
				}
			}
			n.constant = keyword == "const"
			n.enumTexts = map[string]bool{}
			for _, x := range values {
				if s, isText := x.(string); isText {
					n.enumTexts[s] = true
				}
				n.enum = append(n.enum, encode(x))
			}
		default:
			if !isAnnotation(keyword) {
				return nil, false
			}
		}
	}
	return n, true
}

func listOf(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

func asInt(v any) (int, error) {
	num, _ := v.(json.Number)
	i, err := num.Int64()
	if err == nil && i < 0 {
		return 0, fmt.Errorf("%d is negative", i)
	}
	return int(i), err
}

func (n *native) check(raw []byte, path string, out *[]graph.Violation) {
	fail := func(format string, args ...any) {
		*out = append(*out, graph.Violation{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	if n.never {
		fail("no value is allowed here")
		return
	}
	is := typeOf(raw)
	if is == numberType && !saneExponent(raw) {
		fail("the number is too large or too small to be judged")
		return
	}
	if n.types != 0 && n.types&is == 0 && (is != numberType || n.types&integerType == 0 || !whole(raw)) {
		if is == numberType && n.types&integerType != 0 {
			fail("must be %s, not a number with a fraction", n.types)
		} else {
			fail("must be %s, not %s", n.types, is)
		}
		return
	}
	if n.enum != nil && !n.listed(raw, is) {
		fail("%s", n.enumMessage())
	}
	switch is {
	case stringType:
		n.checkText(raw, fail)
	case numberType:
		n.checkNumber(raw, fail)
	}
}

func (n *native) listed(raw []byte, is typeSet) bool {
	if is == stringType {
		if len(n.enumTexts) == 0 {
			return false
		}
		return len(raw) >= 2 && n.enumTexts[unquote(raw[1:len(raw)-1])]
	}
	for _, v := range n.enum {
		if typeOf(v) == is && patch.Equal(v, raw) {
			return true
		}
	}
	return false
}

func (n *native) enumMessage() string {
	var b strings.Builder
	if n.constant {
		b.WriteString("must be ")
	} else {
		b.WriteString("must be one of ")
	}
	for i, v := range n.enum {
		if b.Len() > 300 {
			b.WriteString(", …")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.Write(v)
	}
	return b.String()
}

func (n *native) checkText(raw []byte, fail func(string, ...any)) {
	if n.minLength < 0 && n.maxLength < 0 && n.pattern == nil || len(raw) < 2 {
		return
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') >= 0 {
		inner = []byte(unquote(inner))
	}
	if n.maxLength >= 0 && len(inner) > n.maxLength || n.minLength > 0 {
		switch length := utf8.RuneCount(inner); {
		case n.maxLength >= 0 && length > n.maxLength:
			fail("must have at most %d characters, here it has %d", n.maxLength, length)
		case length < n.minLength:
			fail("must have at least %d characters, here it has %d", n.minLength, length)
		}
	}
	if n.pattern == nil {
		return
	}
	if len(inner)*n.patternSize > maxPatternWork {
		fail("is too long (%d bytes) to be compared with the pattern %s", len(inner), n.pattern)
	} else if !n.pattern.Match(inner) {
		fail("must match the pattern %s", n.pattern)
	}
}

func (n *native) checkNumber(raw []byte, fail func(string, ...any)) {
	if n.min != nil && n.min.compare(raw) < 0 {
		fail("must be at least %s", n.min.text)
	}
	if n.exMin != nil && n.exMin.compare(raw) <= 0 {
		fail("must be more than %s", n.exMin.text)
	}
	if n.max != nil && n.max.compare(raw) > 0 {
		fail("must be at most %s", n.max.text)
	}
	if n.exMax != nil && n.exMax.compare(raw) >= 0 {
		fail("must be less than %s", n.exMax.text)
	}
}
