package schema_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/graphtide/graphtide/graph"
)

const someID = "0190a0a0-0000-7000-8000-000000000001"

func TestNamedProjectionsTakeArguments(t *testing.T) {
	t.Parallel()
	p := workbook(t).Projections["Workbook"]
	got, err := p.Instantiate([]byte(`{"id":"` + someID + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	want, fault := graph.ParseProjection([]byte(`{"root":"` + someID + `","in":{"dataStore":{"order":["/body/rank"]}}}`))
	if fault != nil {
		t.Fatal(fault)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for args, code := range map[string]graph.Code{
		``: graph.CodeInvalidProjection, `null`: graph.CodeInvalidProjection, `[]`: graph.CodeInvalidProjection, `{}`: graph.CodeInvalidProjection,
		`{"id":5}`: graph.CodeInvalidProjection, `{"id":"` + someID + `","x":1}`: graph.CodeInvalidProjection, `{"id":"no uuid"}`: graph.CodeInvalidID,
	} {
		if _, err := p.Instantiate([]byte(args)); err == nil || err.Code != code {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestArgumentsStandAnywhere(t *testing.T) {
	t.Parallel()
	r := compile(t, `
types: {T: {open: true, edges: {out: {x: {to: T}}, in: {x: {from: T, as: xs}}}}}
projections:
  P:
    description: finds things
    args: {status: {enum: [open, "do\"ne"]}, states: {type: array}, n: {type: integer, default: 10}, after: true, where: {type: object, default: {}}}
    root: {type: T, where: {status: {$arg: status}, state: {in: {$arg: states}}}, limit: {$arg: n}}
    in: {x: {where: {$arg: where}, order: [/body/rank], after: {$arg: after}}}
`)
	got, err := r.Projections["P"].Instantiate([]byte(`{"status":"do\"ne","states":["a"],"after":{"values":[1],"id":"` + someID + `"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want, fault := graph.ParseProjection([]byte(`{"root":{"type":"T","where":{"status":"do\"ne","state":{"in":["a"]}},"limit":10},
		"in":{"x":{"where":{},"order":["/body/rank"],"after":{"values":[1],"id":"` + someID + `"}}}}`))
	if fault != nil {
		t.Fatal(fault)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := r.Projections["P"].Instantiate([]byte(`{"status":"gone","states":[],"after":null}`)); err == nil || err.Path != "/args/status" {
		t.Errorf("got %v", err)
	}
}

func TestParametersAreJudged(t *testing.T) {
	t.Parallel()
	r := compile(t, `
types:
  T:
    properties: {name: {type: string}}
    methods:
      rename: {params: {name: {type: string, minLength: 1}}, required: [name], patch: [{op: replace, path: /body/name, value: {$param: name}}]}
  U: {extends: T}
operations:
  o: {handler: {go: x}, params: {project: {type: string}, depth: {type: integer, default: 3}}, required: [project]}
`)
	o, m := r.Operations["o"], r.TypeOf("U").Methods["rename"]
	for params, want := range map[string]int{``: 1, `{}`: 1, `{"project":"x"}`: 0, `{"project":1}`: 1, `{"project":"x","other":1}`: 1, `[]`: 1} {
		if got := o.CheckParams([]byte(params)); len(got) != want {
			t.Errorf("%s: %v", params, got)
		}
	}
	if got := string(o.FillParams([]byte(`{"project":"x"}`))); got != `{"project":"x","depth":3}` {
		t.Errorf("got %s", got)
	}
	if got := m.CheckParams([]byte(`{"name":""}`)); len(got) != 1 || got[0].Path != "/name" {
		t.Errorf("got %v", got)
	}
	if got := m.CheckParams([]byte(`{"name":"x"}`)); got != nil {
		t.Errorf("got %v", got)
	}
}
