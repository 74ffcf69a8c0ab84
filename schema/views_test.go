package schema_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (go test -update writes it anew):\n%s", name, diff)
	}
}

func TestTheClientViewIsWhatTheGoldenFileSays(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := json.Indent(&b, workbook(t).ClientView(), "", "  "); err != nil {
		t.Fatal(err)
	}
	b.WriteByte('\n')
	golden(t, "workbook.client.json", b.Bytes())
}

func TestTheClientViewTellsNothingOfHandlersAndAccess(t *testing.T) {
	t.Parallel()
	r := compile(t, `
types: {T: {access: {read: [{users: [secret-user]}]}, create: {teams: [secret-team]}}}
rules: {secret-rule: {on: {object: T}, when: by == "secret-condition", handler: {webhook: "https://secret.example/", secret: "whsec_secret"}}}
operations: {o: {handler: {lambda: secret-lambda}}}
scripts: {secret.js: secret}
`)
	if view := string(r.ClientView()); strings.Contains(view, "secret") {
		t.Errorf("got %s", view)
	}
}

func TestTypeScriptIsWhatTheGoldenFileSays(t *testing.T) {
	t.Parallel()
	golden(t, "workbook.ts", workbook(t).TypeScript())
}

func TestTypeScriptSaysWhatABodyMayHold(t *testing.T) {
	t.Parallel()
	for schema, want := range map[string]string{
		`{type: array, prefixItems: [{type: number}, {type: string}]}`:                                         "[number?, string?, ...Json[]]",
		`{type: array, prefixItems: [{type: number}, {type: string}], items: {type: boolean}, minItems: 1}`:    "[number, string?, ...boolean[]]",
		`{type: array, prefixItems: [{type: number}, {type: string}], items: false, minItems: 2}`:              "[number, string]",
		`{type: array, prefixItems: [{type: [number, "null"]}], items: {type: [string, "null"]}, minItems: 1}`: "[number | null, ...(string | null)[]]",
		`{type: array, prefixItems: [{type: number}, {type: string}], maxItems: 2}`:                            "[number?, string?]",
		`{type: array, prefixItems: [{type: number}, {type: string}], maxItems: 1}`:                            "[number?]",
		`{type: array, items: false}`: "never[]",
		`{type: array, items: {type: [object, "null"], properties: {a: {type: string}}}}`:                                    "({ a?: string } | null)[]",
		`{type: array, items: {enum: ["{", "a | b"]}}`:                                                                       `('{' | 'a | b')[]`,
		`{type: array, items: {const: "a | b"}}`:                                                                             `'a | b'[]`,
		`{type: object, properties: {a: {type: number}}, additionalProperties: false}`:                                       "{ a?: number }",
		`{type: object, properties: {a: {type: number}}, additionalProperties: true}`:                                        "{ a?: number; [key: string]: unknown }",
		`{type: object, properties: {a: {type: number}}, required: [a], additionalProperties: {type: string}}`:               "{ a: number; [key: string]: string | number }",
		`{type: object, properties: {a: {type: string}, b: {type: number}}, additionalProperties: {type: [string, "null"]}}`: "{ a?: string; b?: number; [key: string]: string | null | number | undefined }",
		`{type: object, additionalProperties: {type: string}}`:                                                               "{ [key: string]: string }",
		`{type: object, additionalProperties: false}`:                                                                        "{ [key: string]: never }",
		`{type: object, additionalProperties: true}`:                                                                         "{ [key: string]: Json }",
	} {
		source := string(compile(t, "types: {T: {properties: {p: "+schema+"}}}").TypeScript())
		if !strings.Contains(source, "\n  p?: "+want+"\n") {
			_, after, _ := strings.Cut(source, "\n  p?: ")
			got, _, _ := strings.Cut(after, "\n")
			t.Errorf("%s: got %s, want %s", schema, got, want)
		}
		if result := api.Transform(source, api.TransformOptions{Loader: api.LoaderTS}); len(result.Errors) > 0 {
			t.Errorf("%s: %s", schema, result.Errors[0].Text)
		}
	}
}

func TestTypeScriptParsesWhateverTheNamesAre(t *testing.T) {
	t.Parallel()
	r := compile(t, `
types:
  Promise: {}
  string: {}
  Meta: {}
  class: {}
  T:
    description: "ends */ here"
    open: true
    properties:
      "it's": {enum: [a'b, 1, null, true, "x\\y\n"]}
      "a-b": {anyOf: [{type: string}, {type: array, items: {type: [string, "null"]}}], description: "line\nbreak */"}
      class: {const: x}
      tree: {$ref: '#/$defs/n'}
      o: {type: object, additionalProperties: {type: integer}}
      never: false
      any: true
    schema: {$defs: {n: {type: object, properties: {kids: {type: array, items: {$ref: '#/$defs/n'}}}}}}
    edges: {out: {"to-many": {to: [Promise, string, T]}}, in: {"to-many": {from: T, as: "from-many"}}}
    methods: {go: {patch: []}}
operations: {"a'b": {params: {"c-d": {type: string}}, handler: {go: x}}}
projections: {"p q": {args: {n: {default: 1}, id: {type: string}}, root: {$arg: id}, in: {to-many: {limit: {$arg: n}}}}}
`)
	source := string(r.TypeScript())
	result := api.Transform(source, api.TransformOptions{Loader: api.LoaderTS})
	for _, m := range result.Errors {
		t.Errorf("line %d: %s\n%s", m.Location.Line, m.Text, m.Location.LineText)
	}
	for _, want := range []string{
		"export interface Promise_ extends", "get 'to-many'(): LiveArray<Promise_ | string_ | T>", "set 'to-many'(objects: readonly (Promise_ | string_ | T)[] | null)",
		`'it\'s'?: 'a\'b' | 1 | null | true`, "never?: never", "o?: { [key: string]: number }", "'p q': { n?: Json; id: string }", "go(): void",
	} {
		if !strings.Contains(source, want) {
			t.Errorf("%q is missing in\n%s", want, source)
		}
	}
}
