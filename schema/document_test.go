package schema_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/graphtide/graphtide/schema"
)

func TestYAMLIsReadAsVersion12(t *testing.T) {
	t.Parallel()
	r := compile(t, `
types:
  T:
    properties:
      a: {enum: [on, off, yes, no, y, n, 0777, 0o17, 0x1F, 1_000, 2020-01-01, .5, 1., +1, 1e3, -0, ~, null, Null, true, "true", '1', -, a-b, =, 0.1e-2, 12345678901234567890]}
      b: {const: "é\t\"\u00e9\U0001F600"}
      c:
        title: 'it''s'
        description: |
          first
          second
`)
	want := `["on","off","yes","no","y","n",777,15,31,"1_000","2020-01-01",0.5,1,1,1e3,-0,null,null,null,true,"true","1","-","a-b","=",0.1e-2,12345678901234567890]`
	var doc struct {
		Types struct {
			T struct {
				Properties map[string]map[string]json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(r.Doc, &doc); err != nil {
		t.Fatal(err)
	}
	if got := string(doc.Types.T.Properties["a"]["enum"]); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(doc.Types.T.Properties["c"]["title"]) + string(doc.Types.T.Properties["c"]["description"]); got != `"it's""first\nsecond\n"` {
		t.Errorf("got %s", got)
	}
	if got := string(doc.Types.T.Properties["b"]["const"]); got != `"é\t\"é😀"` {
		t.Errorf("got %s", got)
	}
}

// A colon parts key and value only before a space, or after a quoted key: in lists
// within braces as anywhere else.
func TestAColonInAPlainScalarIsText(t *testing.T) {
	t.Parallel()
	r := compile(t, `
types:
  T: {properties: {a: {enum: [09:00, 17:30, a:b , https://a.b:8443/x, 'q:r', x:y:z, a :b, "k":1, a:"b", {c: d:e}, {f: [g:h]}]}}, access: {read: {teams: [acme:sales], users: [github:1,gh:2]}}}
`)
	var doc struct {
		Types struct {
			T struct {
				Properties map[string]map[string]json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(r.Doc, &doc); err != nil {
		t.Fatal(err)
	}
	want := `["09:00","17:30","a:b","https://a.b:8443/x","q:r","x:y:z","a :b",{"k":1},"a:\"b\"",{"c":"d:e"},{"f":["g:h"]}]`
	if got := string(doc.Types.T.Properties["a"]["enum"]); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTheDocumentIsGivenBackAsItWasPut(t *testing.T) {
	t.Parallel()
	r := workbook(t)
	again, err := schema.Compile("again.json", r.Doc, 1)
	if err != nil {
		t.Fatal(err)
	}
	if string(again.Doc) != string(r.Doc) || string(again.ClientView()) != string(r.ClientView()) || string(again.TypeScript()) != string(r.TypeScript()) {
		t.Error("the JSON compiles to another registry than the YAML")
	}
	if !strings.HasPrefix(string(r.Doc), `{"graphtide":1,"types":{"Entity":{"abstract":true,"properties":{"name":`) {
		t.Errorf("the order of the keys is lost: %.100s", r.Doc)
	}
}

func TestJSONWithTabsAndEscapesIsTaken(t *testing.T) {
	t.Parallel()
	r, err := schema.Compile("x.json", []byte("{\n\t\"graphtide\": 1,\n\t\"types\": {\"T\": {\"properties\": {\"\\u0061\": {\"const\": \"\\ud83d\\ude00\\/\"}}}}\n}\n"), 1)
	if err != nil {
		t.Fatal(err.Errors)
	}
	if v := r.TypeOf("T").Validate([]byte(`{"a":"😀/"}`), nil); v != nil {
		t.Errorf("got %v", v)
	}
}

func TestDocumentsAreBounded(t *testing.T) {
	t.Parallel()
	for name, doc := range map[string]string{
		"bytes":             "graphtide: 1\n#" + strings.Repeat("x", 5<<20),
		"flow depth":        strings.Repeat("[", 210_000),
		"flow map depth":    strings.Repeat("{a: ", 70_000),
		"sequence depth":    strings.Repeat("- ", 210_000),
		"question depth":    strings.Repeat("? ", 210_000),
		"JSON depth":        `{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}",
		"tokens":            "graphtide: 1\ntypes: [" + strings.Repeat("a,", 110_000) + "]",
		"aliases":           "a: &a [x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n",
		"NUL":               "graphtide: 1\ntypes: {T: {description: \"a\\0b\"}}",
		"NUL in JSON":       `{"graphtide":1,"types":{"T":{"description":"a\u0000b"}}}`,
		"surrogate in JSON": `{"graphtide":1,"types":{"T":{"description":"a\ud800b"}}}`,
		"surrogate as key":  `{"graphtide":1,"types":{"T":{"properties":{"\udc00":{}}}}}`,
		"surrogate":         "graphtide: 1\ntypes: {T: {description: \"a\\U0000d800b\"}}",
		"beyond Unicode":    "graphtide: 1\ntypes: {T: {description: \"a\\U00110000b\"}}",
		"beyond as key":     "graphtide: 1\ntypes: {T: {properties: {\"\\U00110000\": {}}}}",
		"invalid UTF-8":     "graphtide: 1\ntypes: {T: {description: \xff}}",
		"empty":             "",
		"only a comment":    "# nothing",
		"many types":        "{\"graphtide\":1,\"types\":{" + manyTypes(3000) + "}}",
		"long chain":        "{\"graphtide\":1,\"types\":{" + chain(100) + "}}",
		"inherited bloat":   bloat(),
		"exponent":          "graphtide: 1\ntypes: {T: {properties: {a: {default: 1e-999999999}}}}",
		"endless template":  "graphtide: 1\nrules: {r: {on: {object: Object}, handler: {go: x}, when: '" + strings.Repeat("(", 5000) + "'}}",
		"long condition":    "graphtide: 1\nrules: {r: {on: {object: Object}, handler: {go: x}, when: '" + strings.Repeat("!", 100_000) + "true'}}",
	} {
		start := time.Now()
		if _, err := schema.Compile("x.yaml", []byte(doc), 1); err == nil {
			t.Errorf("%s: it compiles", name)
		} else if len(err.Errors) == 0 || len(err.Errors) > 100 {
			t.Errorf("%s: %d violations", name, len(err.Errors))
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("%s: took %s", name, took)
		}
	}
}

// The character U+FFFD, which stands for what cannot be read, can be meant.
func TestAReplacementCharacterIsACharacter(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{
		`{"graphtide":1,"types":{"T":{"description":"a\ufffdb\ud83d\ude00"}}}`,
		`{"graphtide":1,"types":{"T":{"description":"a�b\uFFFD"}}}`,
		"graphtide: 1\ntypes: {T: {description: \"a\\ufffdb\\U0000FFFD\"}}",
		"graphtide: 1\ntypes: {T: {description: a�b}}",
		"graphtide: 1\ntypes:\n  T:\n    description: |\n      a�b\n      c\n",
	} {
		if _, err := schema.Compile("x.yaml", []byte(doc), 1); err != nil {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

func manyTypes(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"T` + letters(i) + `":{}`)
	}
	return b.String()
}

func letters(i int) string {
	return strings.NewReplacer("0", "a", "1", "b", "2", "c").Replace(string(rune('A'+i%26))) + strings.Repeat("x", i/26)
}

func chain(n int) string {
	b := `"T0":{}`
	for i := 1; i < n; i++ {
		b += `,"T` + itoa(i) + `":{"extends":"T` + itoa(i-1) + `"}`
	}
	return b
}

func itoa(i int) string { s, _ := json.Marshal(i); return string(s) }

// bloat is a document in which every one of many types inherits many properties.
func bloat() string {
	var props []string
	for i := range 2000 {
		props = append(props, `"p`+itoa(i)+`":true`)
	}
	types := []string{`"P":{"properties":{` + strings.Join(props, ",") + `}}`}
	for i := range 1000 {
		types = append(types, `"T`+itoa(i)+`":{"extends":"P"}`)
	}
	return `{"graphtide":1,"types":{` + strings.Join(types, ",") + `}}`
}

// FuzzCompile: whatever the document is, Compile gives a registry or faults, and
// what it compiled can be used.
func FuzzCompile(f *testing.F) {
	example, err := os.ReadFile("testdata/workbook.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example, []byte(`{"name":"x","columns":[{"key":1}]}`))
	for _, c := range badSchemas {
		if len(c.doc) < 2000 {
			f.Add([]byte(c.doc), []byte(`{"x":1}`))
		}
	}
	f.Add([]byte(`{"graphtide":1,"types":{"T":{"properties":{"x":{"$ref":"#"}}}}}`), []byte(`{"x":{"x":{}}}`))
	f.Add([]byte("graphtide: 1\ntypes:\n  T:\n    open: true\n    schema: {not: {required: [x]}, patternProperties: {a: false}}\n"), []byte(`{"x":1}`))
	f.Fuzz(func(t *testing.T, doc, body []byte) {
		r, err := schema.Compile("fuzz.yaml", doc, 1)
		if err != nil {
			if len(err.Errors) == 0 || r != nil {
				t.Fatalf("an error without violations, or a registry beside it: %v", err)
			}
			return
		}
		if again, err := schema.Compile("again.json", r.Doc, 1); err != nil || string(again.Doc) != string(r.Doc) {
			t.Fatalf("the document given back does not compile to itself: %v\n%s", err, r.Doc)
		}
		if !json.Valid(r.ClientView()) {
			t.Fatal("the client view is not JSON")
		}
		r.TypeScript()
		for _, typ := range r.Types {
			filled, _, _ := typ.FillDefaults(body)
			if json.Valid(body) && !json.Valid(filled) {
				t.Fatalf("%s became %s", body, filled)
			}
			typ.Validate(filled, nil)
			r.MigrateObject(typ.Name, body)
			if _, err := typ.Access(nil, ann); err != nil {
				t.Fatalf("the default access of %s: %v", typ.Name, err)
			}
		}
		for _, p := range r.Projections {
			p.Instantiate(body)
		}
	})
}
