package schema

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// typeWith compiles a document with one type T.
func typeWith(t testing.TB, body string) *Type {
	t.Helper()
	r, err := Compile("test.yaml", []byte("graphtide: 1\ntypes:\n  T:\n"+indent(body, "    ")), 1)
	if err != nil {
		t.Fatalf("%v", err.Errors)
	}
	return r.TypeOf("T")
}

func indent(s, by string) string {
	return by + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+by) + "\n"
}

// soon fails a test whose work is not bounded. The bound is far above what any
// of the cases takes, and far below what they would take unbounded (for ever).
func soon(t *testing.T, what string, fn func()) {
	t.Helper()
	start := time.Now()
	fn()
	if took := time.Since(start); took > time.Minute {
		t.Errorf("%s took %s", what, took)
	}
}

func TestExponentialSchemasAreRefusedOrBounded(t *testing.T) {
	t.Parallel()
	var doubling strings.Builder
	doubling.WriteString("properties: {x: {$ref: '#/$defs/d0'}}\nschema:\n  $defs:\n")
	for i := range 40 {
		fmt.Fprintf(&doubling, "    d%d: {allOf: [{$ref: '#/$defs/d%d'}, {$ref: '#/$defs/d%d'}]}\n", i, i+1, i+1)
	}
	doubling.WriteString("    d40: {type: string}\n")
	soon(t, "compiling", func() {
		_, err := Compile("test.yaml", []byte("graphtide: 1\ntypes:\n  T:\n"+indent(doubling.String(), "    ")), 1)
		if err == nil || !strings.Contains(err.Errors[0].Message, "references are written out") {
			t.Errorf("a schema that doubles 40 times compiles: %v", err)
		}
	})

	// A recursive schema whose branches all descend into the same property
	// doubles with the depth of the value.
	recursive := typeWith(t, "properties: {x: {$ref: '#/$defs/e'}}\nschema:\n  $defs:\n    e: {anyOf: [{properties: {l: {$ref: '#/$defs/e'}, op: {const: a}}}, {properties: {l: {$ref: '#/$defs/e'}, op: {const: b}}}]}\n")
	deep := strings.Repeat(`{"op":"c","l":`, 60) + "1" + strings.Repeat("}", 60)
	soon(t, "a recursive schema", func() {
		got := recursive.Validate([]byte(`{"x":`+deep+`}`), nil)
		if len(got) != 1 || !strings.Contains(got[0].Message, "too much work") {
			t.Errorf("got %v", got)
		}
	})
	if got := recursive.Validate([]byte(`{"x":{"op":"a","l":{"op":"b","l":1}}}`), nil); got != nil {
		t.Errorf("an ordinary value is refused: %v", got)
	}
	if got := recursive.Validate([]byte(`{"x":{"op":"c"}}`), nil); len(got) != 1 || got[0].Path != "/x" || !strings.Contains(got[0].Message, "anyOf") {
		t.Errorf("got %v", got)
	}
}

func TestRecursiveSchemasJudgeOrdinaryTrees(t *testing.T) {
	t.Parallel()
	tree := typeWith(t, "properties: {root: {$ref: '#/$defs/node'}}\nschema: {$defs: {node: {type: object, required: [v], additionalProperties: false, properties: {v: {type: integer}, kids: {type: array, items: {$ref: '#/$defs/node'}}}}}}\n")
	if got := tree.Validate([]byte(`{"root":{"v":1,"kids":[{"v":2},{"v":3,"kids":[{"v":4}]}]}}`), nil); got != nil {
		t.Errorf("got %v", got)
	}
	got := tree.Validate([]byte(`{"root":{"v":1,"kids":[{"v":2},{"v":3,"kids":[{"w":4,"v":1.5}]}]}}`), nil)
	paths := map[string]bool{}
	for _, v := range got {
		paths[v.Path] = true
	}
	if len(got) != 2 || !paths["/root/kids/1/kids/0/v"] || !paths["/root/kids/1/kids/0/w"] {
		t.Errorf("got %v", got)
	}
}

func TestSchemasThatReferToThemselvesAtOncePassNobody(t *testing.T) {
	t.Parallel()
	_, err := Compile("test.yaml", []byte("graphtide: 1\ntypes:\n  T:\n    properties: {x: {$ref: '#/properties/y'}, y: {$ref: '#/properties/x'}}\n"), 1)
	if err == nil {
		t.Fatal("a reference that leads back without descending compiles")
	}
}

func TestLargeValuesAreJudgedWithBoundedWork(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for i := range 400 {
		fmt.Fprintf(&all, "{required: [k%d]},", i)
	}
	wide := typeWith(t, "properties: {x: {type: array, items: {anyOf: ["+strings.TrimSuffix(all.String(), ",")+"]}}}")
	items := strings.TrimSuffix(strings.Repeat("{},", 40_000), ",")
	soon(t, "400 alternatives for 40,000 items", func() {
		got := wide.Validate([]byte(`{"x":[`+items+`]}`), nil)
		if len(got) == 0 || !strings.Contains(got[0].Message, "too much work") {
			t.Errorf("got %v", got)
		}
	})

	unique := typeWith(t, "properties: {x: {type: array, uniqueItems: true}}")
	var objects strings.Builder
	for i := range 5_000 {
		fmt.Fprintf(&objects, `{"a":%d,"b":"x"},`, i)
	}
	soon(t, "uniqueItems", func() {
		if got := unique.Validate([]byte(`{"x":[`+strings.TrimSuffix(objects.String(), ",")+`]}`), nil); got != nil {
			t.Errorf("got %v", got)
		}
	})

	multiple := typeWith(t, "properties: {x: {type: array, items: {multipleOf: 1e-300}}}")
	numbers := strings.TrimSuffix(strings.Repeat("1.7976931348623157e308,", 5_000), ",")
	soon(t, "multipleOf", func() { multiple.Validate([]byte(`{"x":[`+numbers+`]}`), nil) })

	pattern := typeWith(t, "properties: {x: {type: string, pattern: '^(a?){400}b$'}, y: {type: array, items: {pattern: '^(a?){400}b$'}}}")
	text := strings.Repeat("a", 400_000)
	soon(t, "a pattern", func() {
		for _, body := range []string{`{"x":"` + text + `"}`, `{"y":["` + text + `"]}`} {
			if got := pattern.Validate([]byte(body), nil); len(got) != 1 || !strings.Contains(got[0].Message, "pattern") {
				t.Errorf("got %d violations", len(got))
			}
		}
	})
}

func TestNumbersBeyondDoublesAreNotComputed(t *testing.T) {
	t.Parallel()
	typ := typeWith(t, "properties: {x: {type: integer}, y: {type: array, items: {multipleOf: 2}}}")
	for _, body := range []string{`{"x":1e999999999}`, `{"x":1e-999999999}`, `{"y":[1e999999999]}`, `{"y":[1e-999999999]}`} {
		soon(t, body, func() {
			if got := typ.Validate([]byte(body), nil); len(got) != 1 || !strings.Contains(got[0].Message, "too large or too small") {
				t.Errorf("%s: got %v", body, got)
			}
		})
	}
}

func TestManyViolationsAreCutShort(t *testing.T) {
	t.Parallel()
	typ := typeWith(t, "properties: {x: {type: array, items: {type: object, required: [k]}}}")
	got := typ.Validate([]byte(`{"x":[`+strings.TrimSuffix(strings.Repeat("{},", 1000), ",")+`]}`), nil)
	if len(got) != maxViolations {
		t.Errorf("%d violations", len(got))
	}
}

func TestTheLibrarysMessagesBecomePointers(t *testing.T) {
	t.Parallel()
	typ := typeWith(t, `properties: {x: {type: object, additionalProperties: false, required: ["a'b"], properties: {"a'b": true, "c/d~e é": {type: array, items: {type: string}}}}}`)
	got := typ.Validate([]byte(`{"x":{"c/d~e é":["ok",1],"f\"g":1}}`), nil)
	want := map[string]bool{"/x/c~1d~0e é/1": true, "/x/f\"g": true, "/x/a'b": true}
	for _, v := range got {
		if !want[v.Path] {
			t.Errorf("unexpected %v", v)
		}
		delete(want, v.Path)
	}
	if len(want) > 0 {
		t.Errorf("missing %v in %v", want, got)
	}
}

// A length is told in the same words, whoever has judged it: the first property is judged by native.go, the second by the library.
func TestLengthsAreToldInTheSameWords(t *testing.T) {
	t.Parallel()
	typ := typeWith(t, "properties: {near: {type: string, minLength: 2, maxLength: 3}, far: {type: object, additionalProperties: {type: [string, number], minLength: 2, maxLength: 3}}}")
	for text, want := range map[string]string{"four": "must have at most 3 characters, here it has 4", "1": "must have at least 2 characters, here it has 1"} {
		body, _ := json.Marshal(map[string]any{"near": text, "far": map[string]string{"x": text}})
		got := typ.Validate(body, nil)
		if len(got) != 2 || got[0].Message != want || got[1].Message != want {
			t.Errorf("%s: got %v, want twice %q", body, got, want)
		}
	}
}

func TestOneSchemaServesManyGoroutines(t *testing.T) {
	t.Parallel()
	typ := typeWith(t, "properties: {x: {$ref: '#/$defs/n'}}\nschema: {$defs: {n: {properties: {k: {$ref: '#/$defs/n'}, v: {type: string}}}}}")
	done := make(chan []graph.Violation)
	for range 8 {
		go func() { done <- typ.Validate([]byte(`{"x":{"k":{"k":{"v":1}}}}`), nil) }()
	}
	for range 8 {
		if got := <-done; len(got) != 1 || got[0].Path != "/x/k/k/v" {
			t.Errorf("got %v", got)
		}
	}
}
