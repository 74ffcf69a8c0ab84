package schema

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/graphtide/graphtide/graph"
)

// simpleSchema draws a schema of simple keywords.
func simpleSchema(t *rapid.T) map[string]any {
	m := map[string]any{}
	number := rapid.SampledFrom([]string{"0", "1", "-1", "1.0", "2.5", "100", "1e2", "0.1", "12345678901234567890", "0.30000000000000004", "1e300", "-1e-300"})
	if rapid.Bool().Draw(t, "typed") {
		names := []string{"string", "number", "integer", "boolean", "null", "array", "object"}
		picked := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 3, rapid.ID[string]).Draw(t, "types")
		if len(picked) == 1 {
			m["type"] = picked[0]
		} else {
			l := make([]any, len(picked))
			for i, p := range picked {
				l[i] = p
			}
			m["type"] = l
		}
	}
	for _, k := range []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"} {
		if rapid.IntRange(0, 3).Draw(t, k+"?") == 0 {
			m[k] = json.Number(number.Draw(t, k))
		}
	}
	for _, k := range []string{"minLength", "maxLength"} {
		if rapid.IntRange(0, 2).Draw(t, k+"?") == 0 {
			m[k] = json.Number(fmt.Sprint(rapid.IntRange(0, 4).Draw(t, k)))
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "pattern?") == 0 {
		m["pattern"] = rapid.SampledFrom([]string{"^a", "b$", "é", "^$", "[0-9]{2}", "."}).Draw(t, "pattern")
	}
	switch rapid.IntRange(0, 4).Draw(t, "enum?") {
	case 0:
		var l []any
		for range rapid.IntRange(1, 4).Draw(t, "values") {
			l = append(l, mustDecode(someValue().Draw(t, "value")))
		}
		m["enum"] = l
	case 1:
		m["const"] = mustDecode(someValue().Draw(t, "const"))
	}
	return m
}

// someValue draws JSON text, with several spellings of equal values.
func someValue() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{
		`null`, `true`, `false`, `0`, `-0`, `1`, `1.0`, `10e-1`, `-1`, `2.5`, `100`, `1e2`, `1E+2`, `99.99999999999999999`, `0.1`, `0.10`,
		`12345678901234567890`, `12345678901234567891`, `0.3`, `0.30000000000000004`, `1e300`, `1e-300`, `-1e-300`, `-1e300`,
		`""`, `"a"`, `"\u0061"`, `"ab"`, `"é"`, `"\u00e9"`, `"e\u0301"`, `"😀"`, `"\ud83d\ude00"`, `"12"`, `"a\"b"`, `"a\\"`, `"abcd"`, `"abcde"`, `"\n"`,
		`[]`, `[1]`, `[1.0]`, `["a"]`, `{}`, `{"a":1}`, `{"a":1.0}`, `{"b":2,"a":1}`,
	})
}

func mustDecode(raw string) any {
	v, err := decode([]byte(raw))
	if err != nil {
		panic(err)
	}
	return v
}

// TestNativeChecksAgreeWithTheLibrary: what a simple schema says of a value does
// not depend on which of the two judges it.
func TestNativeChecksAgreeWithTheLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		schema := simpleSchema(t)
		n, ok := nativeOf(schema)
		if !ok {
			return // enum beside const
		}
		e := newEngine(map[string]any{"properties": map[string]any{"x": schema}})
		g, err := newGuarded(e, "#/properties/x", schema)
		if err != nil {
			t.Fatalf("%s does not compile: %v", encode(schema), err)
		}
		for range 20 {
			raw := json.RawMessage(someValue().Draw(t, "instance"))
			var fast, slow []graph.Violation
			n.check(raw, "/x", &fast)
			g.check(raw, "/x", &slow)
			if (len(fast) == 0) != (len(slow) == 0) {
				t.Fatalf("%s under %s:\nnative %v\nlibrary %v", raw, encode(schema), fast, slow)
			}
		}
	})
}

func TestSchemasBeyondSimpleKeywordsAreLeftToTheLibrary(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"multipleOf":2}`, `{"items":{}}`, `{"properties":{}}`, `{"minItems":1}`, `{"uniqueItems":true}`, `{"allOf":[true]}`,
		`{"$ref":"#"}`, `{"not":{}}`, `{"required":["a"]}`, `{"enum":[1],"const":1}`, `{"minProperties":1}`,
	} {
		if _, ok := nativeOf(mustDecode(text)); ok {
			t.Errorf("%s is judged natively", text)
		}
	}
	for _, text := range []string{`true`, `false`, `{}`, `{"type":"string","title":"t","x-own":1,"format":"email","default":1}`} {
		if _, ok := nativeOf(mustDecode(text)); !ok {
			t.Errorf("%s is not judged natively", text)
		}
	}
}

func TestScanningNeverPanics(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `{`, `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":"`, `{"a":"\`, `{"a":{`, `{"a":1,`, `{"a":1}x`, `{,}`, `{"a":}`, `[`, `"`, `}`, strings.Repeat("{", 100)} {
		eachMember([]byte(text), func(_, _ []byte) bool { return true })
		skipValue([]byte(text), 0)
	}
}
