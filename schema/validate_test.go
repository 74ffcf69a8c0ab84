package schema

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

const taskType = `
properties:
  title: {type: string, minLength: 1}
  rank: {type: number}
  due: {type: object, required: [on], additionalProperties: false, properties: {on: {type: string}, at: {type: string, default: noon}}}
  state: {enum: [open, done], default: open}
  a/b~c: {type: integer}
required: [title]
`

func paths(violations []graph.Violation) string {
	var out []string
	for _, v := range violations {
		out = append(out, v.Path)
	}
	return strings.Join(out, " ")
}

func TestBodiesAreJudgedByTheirType(t *testing.T) {
	t.Parallel()
	typ := typeWith(t, taskType)
	for body, want := range map[string]string{
		`{"title":"x"}`: "",
		`{"title":"x","rank":1e2,"due":{"on":"monday"}}`: "",
		`{}`:                                    "/title",
		`{"title":""}`:                          "/title",
		`{"title":"x","rank":"1"}`:              "/rank",
		`{"title":"x","due":{}}`:                "/due/on",
		`{"title":"x","due":{"on":"m","x":1}}`:  "/due/x",
		`{"title":"x","state":"opn"}`:           "/state",
		`{"title":"x","a/b~c":1.5}`:             "/a~1b~0c",
		`{"title":"x","tittle":1}`:              "/tittle",
		`{"\u0074itle":"x"}`:                    "",
		`{"title":"x","ra\u006ek":true}`:        "/rank",
		`[]`:                                    "",
		` { "title" : "x" , "rank" : "y" } `:    "/rank",
		`{"rank":"a","state":5,"__proto__":{}}`: "/rank /state /__proto__ /title",
	} {
		got := typ.Validate([]byte(body), nil)
		if body == `[]` {
			if len(got) != 1 {
				t.Errorf("%s: %v", body, got)
			}
			continue
		}
		if paths(got) != want {
			t.Errorf("%s: got %v, want %q", body, got, want)
		}
	}
}

func TestOnlyWhatChangedIsJudgedAgain(t *testing.T) {
	t.Parallel()
	typ := typeWith(t, taskType)
	body := []byte(`{"title":"x","rank":"no number","state":"no state"}`)
	if got := paths(typ.Validate(body, []patch.Pointer{{"rank"}})); got != "/rank" {
		t.Errorf("got %q", got)
	}
	if got := paths(typ.Validate(body, []patch.Pointer{})); got != "" {
		t.Errorf("nothing changed, got %q", got)
	}
	if got := paths(typ.Validate(body, []patch.Pointer{{}})); got != "/rank /state" {
		t.Errorf("the whole body was replaced, got %q", got)
	}
	if got := paths(typ.Validate([]byte(`{"x":1}`), []patch.Pointer{{"title"}})); got != "/x /title" {
		t.Errorf("what is required and what is unknown is always judged, got %q", got)
	}
}

func TestBodyLevelKeywordsSeeTheWholeBody(t *testing.T) {
	t.Parallel()
	typ := typeWith(t, `
properties: {a: {type: integer}, b: {type: integer}, kind: {type: string}}
schema:
  minProperties: 1
  dependentRequired: {a: [b]}
  if: {properties: {kind: {const: x}}, required: [kind]}
  then: {required: [b]}
`)
	for body, ok := range map[string]bool{`{"b":1}`: true, `{"a":1,"b":1}`: true, `{"a":1}`: false, `{}`: false, `{"kind":"x"}`: false, `{"kind":"y"}`: true} {
		if got := typ.Validate([]byte(body), []patch.Pointer{{"b"}}); (got == nil) != ok {
			t.Errorf("%s: %v", body, got)
		}
	}
}

func TestOpenBodiesTakeOtherPropertiesButNoReservedNames(t *testing.T) {
	t.Parallel()
	typ := typeWith(t, `
open: true
properties: {a: {type: integer}}
schema: {additionalProperties: {type: string}}
edges: {out: {next: {to: T}}, in: {next: {from: T, as: previous}}}
`)
	for body, want := range map[string]string{
		`{"a":1,"b":"x"}`: "", `{"a":"x"}`: "/a", `{"b":1}`: "/b", `{"$x":"y"}`: "/$x", `{"__proto__":"y"}`: "/__proto__",
		`{"":"x"}`: "", `{"a/b~c":"x"}`: "", `{"\u0001":"x"}`: "", `{"` + strings.Repeat("k", 10_000) + `":"x"}`: "",
		`{"next":"y"}`: "/next", `{"previous":"y"}`: "/previous", `{"operations":"y"}`: "/operations",
	} {
		if got := paths(typ.Validate([]byte(body), nil)); got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}

func TestPatternPropertiesOpenABodyForTheirNames(t *testing.T) {
	t.Parallel()
	typ := typeWith(t, "properties: {a: {type: integer}}\nschema: {patternProperties: {'^x-': {type: string}}}")
	for body, want := range map[string]string{`{"a":1,"x-b":"y"}`: "", `{"x-b":1}`: "/x-b", `{"y":1}`: "/y"} {
		if got := paths(typ.Validate([]byte(body), nil)); got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}

func TestDefaultsFillWhatIsAbsent(t *testing.T) {
	t.Parallel()
	typ := typeWith(t, taskType)
	for body, want := range map[string]string{
		`{"title":"x"}`:                     `{"title":"x","state":"open"} [/state]`,
		`{}`:                                `{"state":"open"} [/state]`,
		` { } `:                             ` { "state":"open"}  [/state]`,
		`{"due":{}}`:                        `{"due":{"at":"noon"},"state":"open"} [/due/at /state]`,
		`{"due":{"on":"m"},"state":"done"}`: `{"due":{"on":"m","at":"noon"},"state":"done"} [/due/at]`,
		`{"state":null}`:                    `{"state":null} []`,
		`{"st\u0061te":"done"}`:             `{"st\u0061te":"done"} []`,
		`{"due":5,"state":"done"}`:          `{"due":5,"state":"done"} []`,
		`[1]`:                               `[1] []`,
		`{"due":{"at":"x"},"title":"}","state":"done"}`: `{"due":{"at":"x"},"title":"}","state":"done"} []`,
	} {
		filled, ops, err := typ.FillDefaults([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		var at []string
		for _, op := range ops {
			at = append(at, op.Path.String())
		}
		if got := string(filled) + " [" + strings.Join(at, " ") + "]"; got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", body, got, want)
		}
		applied, fault := patch.Apply([]byte(body), ops, patch.JSONLimits{})
		if fault != nil || !patch.Equal(applied, filled) {
			t.Errorf("%s: the operations give %s (%v), the filled body is %s", body, applied, fault, filled)
		}
	}
}

func TestDefaultsOfDefaultsAreFilledIn(t *testing.T) {
	t.Parallel()
	typ := typeWith(t, "properties: {o: {type: object, default: {}, properties: {p: {type: object, default: {}, properties: {q: {default: 1}}}}}}")
	filled, ops, _ := typ.FillDefaults([]byte(`{}`))
	if string(filled) != `{"o":{"p":{"q":1}}}` || len(ops) != 1 {
		t.Errorf("got %s by %d operations", filled, len(ops))
	}
}

// What the partial judgement finds in a body that was valid before a change is
// what the whole judgement finds.
func TestPartialValidationEqualsWholeValidation(t *testing.T) {
	t.Parallel()
	typ := typeWith(t, taskType)
	values := map[string][]string{
		"title": {`"x"`, `""`, `5`, ""}, "rank": {`1`, `"1"`, ""}, "due": {`{"on":"m"}`, `{}`, `{"on":1}`, ""},
		"state": {`"open"`, `"x"`, ""}, "other": {`1`, "", "", ""},
	}
	rapid.Check(t, func(t *rapid.T) {
		before := map[string]string{"title": `"x"`, "rank": `1`, "due": `{"on":"m"}`, "state": `"open"`}
		var changed []patch.Pointer
		for _, name := range sortedKeys(values) {
			if rapid.Bool().Draw(t, name+" changes") {
				v := rapid.SampledFrom(values[name]).Draw(t, name)
				if v == "" {
					delete(before, name)
				} else {
					before[name] = v
				}
				changed = append(changed, patch.Pointer{name})
			}
		}
		raw := map[string]json.RawMessage{}
		for k, v := range before {
			raw[k] = json.RawMessage(v)
		}
		body := encode(raw)
		if changed == nil {
			changed = []patch.Pointer{}
		}
		whole, part := typ.Validate(body, nil), typ.Validate(body, changed)
		if paths(whole) != paths(part) {
			t.Fatalf("%s after a change of %v: whole %v, part %v", body, changed, whole, part)
		}
	})
}

func TestFormatIsAnAnnotation(t *testing.T) {
	t.Parallel()
	typ := typeWith(t, "properties: {mail: {type: string, format: email}, list: {type: array, items: {format: date}}}")
	if got := typ.Validate([]byte(`{"mail":"no address","list":["no date"]}`), nil); got != nil {
		t.Errorf("got %v", got)
	}
}

func TestChildrenNarrow(t *testing.T) {
	t.Parallel()
	r, err := Compile("t.yaml", []byte(`
graphtide: 1
types:
  P:
    properties:
      n: {type: number, maximum: 10, description: of the parent}
      s: {type: [string, "null"], pattern: ^a}
      o: {type: object, properties: {x: {type: string}}}
      e: {enum: [a, b, c]}
    required: [n]
  C:
    extends: P
    properties:
      n: {type: integer, minimum: 1}
      s: {type: string, pattern: b$}
      o: {properties: {y: {type: string}}, required: [x], additionalProperties: false}
      e: {enum: [b]}
      own: {type: boolean}
    required: [own]
`), 1)
	if err != nil {
		t.Fatal(err.Errors)
	}
	if !r.IsA("C", "P") || !r.IsA("C", "Object") || r.IsA("P", "C") || r.IsA("X", "P") {
		t.Error("the lineage is wrong")
	}
	if got := strings.Join(r.Subtypes("P"), " "); got != "C P" || r.Subtypes("X") != nil {
		t.Errorf("subtypes of P: %s", got)
	}
	c, p := r.TypeOf("C"), r.TypeOf("P")
	for body, want := range map[string]string{
		`{"n":5,"own":true,"s":"ab","o":{"x":"1","y":"2"},"e":"b"}`: "",
		`{"own":true}`:                           "/n",
		`{"n":5}`:                                "/own",
		`{"n":11,"own":true}`:                    "/n",
		`{"n":0,"own":true}`:                     "/n",
		`{"n":1.5,"own":true}`:                   "/n",
		`{"n":1,"own":true,"s":null}`:            "/s",
		`{"n":1,"own":true,"s":"b"}`:             "/s",
		`{"n":1,"own":true,"s":"a"}`:             "/s",
		`{"n":1,"own":true,"o":{"y":"1"}}`:       "/o/x",
		`{"n":1,"own":true,"o":{"x":"1","z":1}}`: "/o/z",
		`{"n":1,"own":true,"e":"a"}`:             "/e",
	} {
		if got := paths(c.Validate([]byte(body), nil)); got != want {
			t.Errorf("C %s: got %q, want %q", body, got, want)
		}
	}
	if got := p.Validate([]byte(`{"n":0.5,"s":null,"o":{"z":1},"e":"a"}`), nil); got != nil {
		t.Errorf("the parent became narrower: %v", got)
	}
}

// What a child accepts of an inherited property, its parent accepts too.
func TestChildrenNeverWiden(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		parent, child := simpleSchema(t), simpleSchema(t)
		merged, found := narrow(parent, child)
		if len(found) > 0 {
			return
		}
		judge := func(schema any) check {
			g, err := newGuarded(newEngine(map[string]any{"properties": map[string]any{"x": schema}}), "#/properties/x", schema)
			if err != nil {
				t.Fatalf("%s: %v", encode(schema), err)
			}
			return g
		}
		p, c, m := judge(parent), judge(child), judge(merged)
		for range 20 {
			raw := []byte(someValue().Draw(t, "value"))
			var byP, byC, byM []graph.Violation
			p.check(raw, "", &byP)
			c.check(raw, "", &byC)
			m.check(raw, "", &byM)
			if (len(byM) == 0) != (len(byP) == 0 && len(byC) == 0) {
				t.Fatalf("%s under %s extended by %s: merged %s says %v, parent %v, child %v", raw, encode(parent), encode(child), encode(merged), byM, byP, byC)
			}
		}
	})
}
