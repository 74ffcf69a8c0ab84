package schema_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
	"github.com/graphtide/graphtide/schema"
)

const matchDoc = `
types:
  P: {properties: {a: {type: object}, n: {type: number}, t: {type: string}, l: {type: array}}, edges: {out: {x: {to: P}}, in: {x: {from: P, as: xs}}}}
  C: {extends: P}
  D: {}
rules:
  any: {on: {object: P}, handler: {go: x}}
  created: {on: {object: P, events: [create]}, handler: {go: x}}
  child: {on: {object: C}, handler: {go: x}}
  deep: {on: {object: P, events: [modify], paths: [/body/a/b]}, handler: {go: x}}
  rights: {on: {object: P, events: [modify], paths: [/access/read]}, handler: {go: x}}
  when: {on: {object: P}, when: 'after.body.n > 5', handler: {go: x}}
  linked: {on: {edge: x, from: C, events: [create, delete]}, handler: {go: x}}
  edited: {on: {edge: x, to: P, paths: [/body/r]}, handler: {go: x}}
`

func object(typ, body string) *graph.Object {
	return &graph.Object{Type: typ, Body: json.RawMessage(body), Access: &graph.ACL{Raw: json.RawMessage(`{"read":{}}`)}}
}

func names(matches []schema.Match) string {
	var out []string
	for _, m := range matches {
		name := m.Rule.Name
		if m.Err != nil {
			name += "!"
		}
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

func TestRulesMatchByTypeEventPathAndCondition(t *testing.T) {
	t.Parallel()
	r := compile(t, matchDoc)
	modify := func(typ, before, after, ops string) *graph.Change {
		return &graph.Change{Event: graph.Modified, ObjBefore: object(typ, before), ObjAfter: object(typ, after), Patch: json.RawMessage(ops)}
	}
	for _, c := range []struct {
		name   string
		change *graph.Change
		want   string
	}{
		{"created", &graph.Change{Event: graph.Created, ObjAfter: object("P", `{"n":1}`)}, "any created"},
		{"child created", &graph.Change{Event: graph.Created, ObjAfter: object("C", `{"n":6}`)}, "any child created when"},
		{"another type", &graph.Change{Event: graph.Created, ObjAfter: object("D", `{}`)}, ""},
		{"deleted: after is null", &graph.Change{Event: graph.Deleted, ObjBefore: object("P", `{"n":6}`)}, "any when!"},
		{"missing property", &graph.Change{Event: graph.Created, ObjAfter: object("P", `{}`)}, "any created when!"},
		{"number of another kind", modify("P", `{}`, `{"n":5.5}`, `[{"op":"add","path":"/body/n","value":5.5}]`), "any when"},
		{"at the path", modify("P", `{"n":1}`, `{"n":1}`, `[{"op":"add","path":"/body/a/b","value":1}]`), "any deep"},
		{"below the path", modify("P", `{"n":1}`, `{"n":1}`, `[{"op":"add","path":"/body/a/b/c/0","value":1}]`), "any deep"},
		{"beside the path", modify("P", `{"n":1}`, `{"n":1}`, `[{"op":"add","path":"/body/a/bb","value":1}]`), "any"},
		{"above, the value differs", modify("P", `{"n":1,"a":{"b":1}}`, `{"n":1,"a":{"b":2}}`, `[{"op":"replace","path":"/body","value":{}}]`), "any deep"},
		{"above, the value is the same", modify("P", `{"n":1,"a":{"b":1}}`, `{"n":1,"a":{"b":1.0},"t":""}`, `[{"op":"replace","path":"/body/a","value":{}}]`), "any"},
		{"above, the value goes", modify("P", `{"n":1,"a":{"b":1}}`, `{"n":1}`, `[{"op":"remove","path":"/body/a"}]`), "any deep"},
		{"moved away", modify("P", `{"n":1,"a":{"b":1}}`, `{"n":1,"a":{}}`, `[{"op":"move","from":"/body/a/b","path":"/body/t"}]`), "any deep"},
		{"copied from there", modify("P", `{"n":1,"a":{"b":1}}`, `{"n":1}`, `[{"op":"copy","from":"/body/a/b","path":"/body/t"}]`), "any"},
		{"access", modify("P", `{"n":1}`, `{"n":1}`, `[{"op":"add","path":"/access/read/public","value":true}]`), "any rights"},
	} {
		if got := names(r.Match(&graph.Commit{}, c.change, nil)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// However many rules there are, each matches as it would alone.
func TestManyRulesMatchAsEachWouldAlone(t *testing.T) {
	t.Parallel()
	const seed = 7
	rng := rand.New(rand.NewPCG(seed, 0))
	place := func() string { // 1 to 3 deep, of two names
		p := "/body"
		for range 1 + rng.IntN(3) {
			p += "/" + string("ab"[rng.IntN(2)])
		}
		return p
	}
	var doc strings.Builder
	doc.WriteString("types:\n  T: {open: true}\nrules:\n")
	on := map[string][]string{}
	for i := range 60 {
		name := fmt.Sprintf("r%02d", i)
		for range rng.IntN(3) {
			on[name] = append(on[name], place())
		}
		list := ""
		if len(on[name]) > 0 {
			list = ", paths: [" + strings.Join(on[name], ", ") + "]"
		}
		fmt.Fprintf(&doc, "  %s: {on: {object: T, events: [modify]%s}, handler: {go: x}}\n", name, list)
	}
	r := compile(t, doc.String())
	var value func(depth int) string
	value = func(depth int) string {
		if depth == 0 || rng.IntN(4) == 0 {
			return fmt.Sprint(rng.IntN(2))
		}
		return fmt.Sprintf(`{"a":%s,"b":%s}`, value(depth-1), value(depth-1))
	}
	for range 500 {
		before, after, at := value(3), value(3), place()
		if rng.IntN(4) == 0 {
			at = "/body"
		}
		ch := &graph.Change{Event: graph.Modified, ObjBefore: object("T", before), ObjAfter: object("T", after), Patch: json.RawMessage(`[{"op":"replace","path":"` + at + `","value":0}]`)}
		var want []string
		for i := range 60 {
			name := fmt.Sprintf("r%02d", i)
			fires := len(on[name]) == 0
			for _, p := range on[name] {
				pointer, _ := patch.ParsePointer(strings.TrimPrefix(p, "/body"))
				a, inA := patch.Get(json.RawMessage(before), pointer)
				b, inB := patch.Get(json.RawMessage(after), pointer)
				differs := inA != inB || inA && !patch.Equal(a, b)
				fires = fires || at == p || strings.HasPrefix(at, p+"/") || strings.HasPrefix(p, at+"/") && differs
			}
			if fires {
				want = append(want, name)
			}
		}
		if got := names(r.Match(&graph.Commit{}, ch, nil)); got != strings.Join(want, " ") {
			t.Fatalf("a write at %s, from %s to %s: got %s, want %v", at, before, after, got, want)
		}
	}
}

func TestEdgeRulesMatchByTheTypesOfTheEnds(t *testing.T) {
	t.Parallel()
	r := compile(t, matchDoc)
	p, c := graph.ObjectID{1}, graph.ObjectID{2}
	typeOf := func(id graph.ObjectID) string { return map[graph.ObjectID]string{p: "P", c: "C"}[id] }
	edge := func(from, to graph.ObjectID) *graph.Edge {
		return &graph.Edge{Label: "x", From: from, To: to, Body: json.RawMessage(`{}`)}
	}
	for _, tc := range []struct {
		name   string
		change *graph.Change
		want   string
	}{
		{"from the child", &graph.Change{Event: graph.Created, EdgeAfter: edge(c, p)}, "edited linked"},
		{"from the parent", &graph.Change{Event: graph.Created, EdgeAfter: edge(p, c)}, "edited"},
		{"deleted", &graph.Change{Event: graph.Deleted, EdgeBefore: edge(c, p)}, "edited linked"},
		{"an end is unknown", &graph.Change{Event: graph.Deleted, EdgeBefore: edge(c, graph.ObjectID{9})}, "linked"},
		{"modified at the path", &graph.Change{Event: graph.Modified, EdgeBefore: edge(c, p), EdgeAfter: edge(c, p), Patch: json.RawMessage(`[{"op":"add","path":"/body/r","value":1}]`)}, "edited"},
		{"modified elsewhere", &graph.Change{Event: graph.Modified, EdgeBefore: edge(c, p), EdgeAfter: edge(c, p), Patch: json.RawMessage(`[{"op":"add","path":"/body/q","value":1}]`)}, ""},
	} {
		if got := names(r.Match(&graph.Commit{}, tc.change, typeOf)); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestConditionsSeeEntityEventAuthorAndVersion(t *testing.T) {
	t.Parallel()
	id := graph.ObjectID{0xab}
	for when, want := range map[string]bool{
		`event == "modify" && by == "ann" && version == 7`:               true,
		`before.body.n == 1 && after.body.n == 2`:                        true,
		`after.body.n + 1 == 3`:                                          true,
		`after.type == "T" && after.id == "` + id.String() + `"`:         true,
		`after.meta.createdBy == "bob" && after.meta.version == 7`:       true,
		`size(before.body.l) > size(after.body.l)`:                       true,
		`after.body.l.exists(x, x == "a")`:                               true,
		`has(after.body.missing)`:                                        false,
		`has(after.access)`:                                              false,
		`after.body.t.matches("^h")`:                                     true,
		`after.body.n == 2.0 && after.body.f > 1 && after.body.f == 1.5`: true,
		`before == null`:                                                 false,
		`after.body.o == {"k": [1, 2]}`:                                  true,
	} {
		r := compile(t, "types:\n  T: {open: true}\nrules:\n  r: {on: {object: T}, handler: {go: x}, when: '"+strings.ReplaceAll(when, "'", "''")+"'}\n")
		after := object("T", `{"n":2,"f":1.5,"l":["a"],"t":"hello","o":{"k":[1,2]}}`)
		after.Meta = graph.Meta{Version: 7, CreatedBy: "bob"}
		ch := &graph.Change{Ref: graph.ObjectRef(id), Event: graph.Modified, ObjBefore: object("T", `{"n":1,"l":["a","b"]}`), ObjAfter: after}
		m := r.Match(&graph.Commit{Version: 7, Author: graph.Principal{User: "ann"}}, ch, nil)
		if (names(m) == "r") != want || strings.Contains(names(m), "!") {
			t.Errorf("%s: got %v, want %t", when, m, want)
		}
	}
}

func TestARunawayConditionIsStoppedAndTold(t *testing.T) {
	t.Parallel()
	r := compile(t, "types:\n  T: {open: true}\nrules:\n  r: {on: {object: T}, handler: {go: x}, when: 'after.body.l.all(a, after.body.l.all(b, after.body.l.all(c, a + b + c >= 0)))'}\n")
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", 5000), ",") + "]"
	start := time.Now()
	m := r.Match(&graph.Commit{}, &graph.Change{Event: graph.Created, ObjAfter: object("T", `{"l":`+list+`}`)}, nil)
	if len(m) != 1 || m[0].Err == nil || !strings.Contains(m[0].Err.Error(), "cost") {
		t.Fatalf("got %v", m)
	}
	if took := time.Since(start); took > 30*time.Second { // unbounded: 125 thousand million steps
		t.Errorf("it took %s", took)
	}
}

func TestRulesHaveTheirSettings(t *testing.T) {
	t.Parallel()
	r := workbook(t)
	if len(r.Rules) != 2 || r.Rules[0].Name != "column-removed" || r.Rules[1].Name != "record-linked" {
		t.Fatalf("got %v", r.Rules)
	}
	a, b := r.Rules[0], r.Rules[1]
	if a.Handler.Script != "handlers/column-removed.js" || a.Timeout != schema.DefaultRuleTimeout || a.Retries != 5 || a.AsUser || a.WhenSrc == "" || a.When == nil || fmt.Sprint(a.Paths) != "[/body/columns]" {
		t.Errorf("got %+v", a)
	}
	if b.Edge != "dataStore" || b.From != "Record" || b.To != "DataStore" || b.Handler.Secret != "${env:HOOK_SECRET}" || b.Timeout != 30*time.Second || b.Retries != 5 || len(b.Events) != 2 {
		t.Errorf("got %+v", b)
	}
	o := r.Operations["jira-sync"]
	if o.Target != "DataStore" || o.Needs != "write" || o.Handler.Go != "jira-sync" || o.Timeout != 10*time.Minute || o.Retries != 3 {
		t.Errorf("got %+v", o)
	}
	r = compile(t, "operations:\n  o: {handler: {go: x}, as: user, target: Object}\n  p: {handler: {go: x}}\n")
	if o := r.Operations["o"]; !o.AsUser || o.Needs != "write" || o.Timeout != schema.DefaultOperationTimeout || o.Retries != 5 || r.Operations["p"].Needs != "" {
		t.Errorf("got %+v", o)
	}
}

func TestTheExamplesConditionHoldsWhereAColumnWent(t *testing.T) {
	t.Parallel()
	r := workbook(t)
	ch := &graph.Change{Event: graph.Modified, ObjBefore: object("Schema", `{"columns":[{"key":"a"},{"key":"b"}]}`), ObjAfter: object("Schema", `{"columns":[{"key":"a"}]}`),
		Patch: json.RawMessage(`[{"op":"remove","path":"/body/columns/1"}]`)}
	if got := names(r.Match(&graph.Commit{}, ch, nil)); got != "column-removed" {
		t.Errorf("got %q", got)
	}
	ch.ObjBefore, ch.ObjAfter = ch.ObjAfter, ch.ObjBefore
	if got := names(r.Match(&graph.Commit{}, ch, nil)); got != "" {
		t.Errorf("got %q", got)
	}
}

// Whatever the operation, and wherever it shifts the elements of a list: a rule
// fires if the value at one of its paths is another one than before.
func TestNoChangeOfAValueAtAPathIsMissed(t *testing.T) {
	t.Parallel()
	paths := []string{"/body", "/body/l", "/body/l/0", "/body/l/1", "/body/l/3", "/body/l/1/n", "/body/m/l/2/0", "/body/m/0", "/body/n"}
	doc := "types:\n  T: {open: true}\nrules:\n"
	for i, p := range paths {
		doc += fmt.Sprintf("  r%d: {on: {object: T, events: [modify], paths: [%s]}, handler: {go: x}}\n", i, p)
	}
	r := compile(t, doc)
	for _, tc := range []struct{ before, ops string }{
		{`{"l":[1,2,3]}`, `[{"op":"remove","path":"/l/0"}]`},
		{`{"l":[1,2,3]}`, `[{"op":"add","path":"/l/0","value":7}]`},
		{`{"l":[1,2,3]}`, `[{"op":"move","from":"/l/0","path":"/l/2"}]`},
		{`{"l":[1,2,3]}`, `[{"op":"move","from":"/l/2","path":"/l/0"}]`},
		{`{"l":[1,2,3]}`, `[{"op":"copy","from":"/l/2","path":"/l/0"}]`},
		{`{"l":[1,2,3]}`, `[{"op":"move","from":"/l/0","path":"/n"}]`},
		{`{"l":[1,2,3]}`, `[{"op":"add","path":"/l/-","value":4}]`},
		{`{"l":[1,1,1]}`, `[{"op":"remove","path":"/l/0"}]`},
		{`{"l":[{"n":1},{"n":1},{"n":2}]}`, `[{"op":"remove","path":"/l/0"}]`},
		{`{"l":[{"n":1},{"n":1}]}`, `[{"op":"add","path":"/l/1","value":{}},{"op":"replace","path":"/l/2/n","value":3}]`},
		{`{"m":{"l":[[1],[2],[3],[4]]}}`, `[{"op":"remove","path":"/m/l/0"}]`},
		{`{"m":{"l":[[1],[2],[3],[4]]}}`, `[{"op":"add","path":"/m/l/2/0","value":9}]`},
		{`{"m":{"0":1,"1":2}}`, `[{"op":"remove","path":"/m/1"}]`},
		{`{"l":[1,2,3]}`, `[{"op":"replace","path":"/l/2","value":4}]`},
	} {
		ops, fault := patch.Parse([]byte(tc.ops), 10)
		if fault != nil {
			t.Fatal(fault)
		}
		after, fault := patch.Apply([]byte(tc.before), ops, patch.JSONLimits{})
		if fault != nil {
			t.Fatal(fault)
		}
		ch := &graph.Change{Event: graph.Modified, ObjBefore: object("T", tc.before), ObjAfter: object("T", string(after)),
			Patch: json.RawMessage(strings.NewReplacer(`"path":"`, `"path":"/body`, `"from":"`, `"from":"/body`).Replace(tc.ops))}
		got := " " + names(r.Match(&graph.Commit{}, ch, nil)) + " "
		for i, p := range paths {
			pointer, _ := patch.ParsePointer(strings.TrimPrefix(p, "/body"))
			a, inA := patch.Get(json.RawMessage(tc.before), pointer)
			b, inB := patch.Get(after, pointer)
			if differs := inA != inB || inA && !patch.Equal(a, b); differs && !strings.Contains(got, fmt.Sprintf(" r%d ", i)) {
				t.Errorf("%s on %s: the rule on %s does not fire", tc.ops, tc.before, p)
			}
		}
		if strings.Contains(tc.ops, `"replace","path":"/l/2","value"`) && strings.Contains(got, "r2") {
			t.Errorf("%s on %s: the rule on another element fires", tc.ops, tc.before)
		}
	}
}
