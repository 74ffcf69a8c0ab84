package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// problems gives what a dry run of these operations tells, as "op code", and
// holds it to the order of the operations.
func (s *system) problems(who graph.Principal, ops ...string) []string {
	s.t.Helper()
	res, err := s.DryRun(s.t.Context(), s.graph, &graph.Mutation{Author: who, Patch: []byte("[" + strings.Join(ops, ",") + "]")})
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, p := range res.Problems {
		if p.Op == nil {
			s.t.Fatalf("%v names no operation", p)
		}
		out = append(out, fmt.Sprintf("%02d %s", *p.Op, p.Code))
	}
	if !slices.IsSortedFunc(res.Problems, func(a, b *graph.Error) int { return *a.Op - *b.Op }) {
		s.t.Errorf("out of order: %v", out)
	}
	slices.Sort(out)
	return out
}

const troubles = `  Hub: {open: true, access: {read: [public], write: [public]}, edges: {in: {held: {from: Holder, as: holders}, need: {from: Needy, as: needies}, sole: {from: Holder, as: soles}}}}
  Holder:
    open: true
    access: {read: [user], write: [user]}
    edges: {out: {held: {to: Hub, onDelete: restrict}, sole: {to: Hub, max: 1}}}
  Needy: {open: true, access: {read: [public], write: [public]}, edges: {out: {need: {to: Hub, required: true, onDelete: restrict}}}}
  Formal: {properties: {n: {type: integer}}, access: {read: [public], write: [public]}}
`

func newEdge(label, from, to string) string {
	text, _ := link(label, from, to)
	return text[1 : len(text)-1]
}

func newObject(typ, body string) (o, text string) {
	o = id()
	return o, fmt.Sprintf(`{"op":"add","path":"/objects/%s","value":{"type":%q,"body":%s}}`, o, typ, body)
}

func TestADryRunTellsOfEveryOperationWhatIsWrongOnce(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.put(troubles)
	hub, full, spare, free := s.create(ann, "Hub", "{}"), s.create(ann, "Hub", "{}"), s.create(ann, "Hub", "{}"), s.create(ann, "Formal", "{}")
	holder, others := s.create(ann, "Holder", "{}"), s.create(bob, "Formal", "{}")
	s.join("held", holder, hub)
	s.join("sole", holder, full)
	s.do(bob, `[{"op":"replace","path":"/objects/`+others+`/access","value":{"read":{"public":true},"write":{"users":{"bob":true}},"manage":{"users":{"bob":true}}}}]`)
	_, badBody := newObject("Formal", `{"n":"x"}`)
	_, lonely := newObject("Needy", "{}")
	_, alien := newObject("Nothing", "{}")
	wrong := []struct{ op, code string }{
		{badBody, "schema"},
		{lonely, "edge-required"},
		{newEdge("sole", holder, spare), "cardinality"},
		{`{"op":"remove","path":"/objects/` + hub + `"}`, "restricted"},
		{newEdge("nolabel", free, free), "edge-not-allowed"},
		{`{"op":"test","path":"/objects/` + free + `/body","value":{"z":1}}`, "test-failed"},
		{`{"op":"add","path":"/objects/` + others + `/body/n","value":1}`, "forbidden"},
		{`{"op":"remove","path":"/objects/` + id() + `"}`, "not-found"},
		{alien, "unknown-type"},
		{`{"op":"remove","path":"/objects/` + free + `/body/none"}`, "path-missing"},
	}
	var ops, want []string
	for i, w := range wrong {
		if got := s.problems(ann, w.op); !slices.Equal(got, []string{"00 " + w.code}) {
			t.Errorf("%s alone: %v", w.code, got)
		}
		ops, want = append(ops, w.op), append(want, fmt.Sprintf("%02d %s", i, w.code))
	}
	if got := s.problems(ann, ops...); !slices.Equal(got, want) {
		t.Errorf("together:\n got %v\nwant %v", got, want)
	}
	for i, a := range wrong {
		for j, b := range wrong {
			if i == j {
				continue
			}
			if got := s.problems(ann, a.op, b.op); !slices.Equal(got, []string{"00 " + a.code, "01 " + b.code}) {
				t.Errorf("%s, then %s: %v", a.code, b.code, got)
			}
		}
	}
}

// What fails only because something else has been refused is no problem of its
// own.
func TestADryRunTellsNothingThatAProblemBringsAlong(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.put(troubles)
	needy, add := newObject("Needy", "{}")
	change := `{"op":"add","path":"/objects/` + needy + `/body/n","value":1}`
	if got, want := s.problems(ann, add, newEdge("need", needy, id()), change), []string{"01 not-found"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	alien, add := newObject("Nothing", "{}")
	if got, want := s.problems(ann, add, `{"op":"add","path":"/objects/`+alien+`/body/n","value":1}`, `{"op":"remove","path":"/objects/`+alien+`"}`), []string{"00 unknown-type"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	hub := s.create(ann, "Hub", "{}")
	needy, add = newObject("Needy", "{}")
	s.do(ann, "["+add+","+newEdge("need", needy, hub)+"]")
	if got, want := s.problems(ann, `{"op":"remove","path":"/objects/`+hub+`"}`), []string{"00 restricted"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// An id that is taken by something hidden does not open it to tests, nor tell
// who may do what with it.
func TestADryRunThatTakesAHiddenIdTellsNothingOfIt(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.put(troubles)
	hidden := id()
	s.do(bob, `[{"op":"add","path":"/objects/`+hidden+`","value":{"type":"Formal","body":{"n":7},"access":{}}}]`)
	for _, guess := range []string{"7", "8"} {
		got := s.problems(ann, `{"op":"add","path":"/objects/`+hidden+`","value":{"type":"Formal","body":{}}}`,
			`{"op":"test","path":"/objects/`+hidden+`/body/n","value":`+guess+`}`,
			`{"op":"add","path":"/objects/`+hidden+`/body/n","value":`+guess+`}`)
		if want := []string{"00 exists"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", guess, got, want)
		}
	}
}

// That an object is held on to, or that a place is taken, is told only to those
// who may remove and link.
func TestADryRunTellsThoseWhoMayNotWriteNothingOfHiddenEdges(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.put(strings.ReplaceAll(troubles, "sole: {from: Holder, as: soles}", "sole: {from: Holder, as: soles, max: 1}"))
	hub, holder := id(), id()
	s.do(ann, `[{"op":"add","path":"/objects/`+hub+`","value":{"type":"Hub","body":{},"access":{"read":{"public":true}}}}]`)
	s.do(ann, `[{"op":"add","path":"/objects/`+holder+`","value":{"type":"Holder","body":{}}}]`)
	mine := s.create(bob, "Holder", "{}")
	remove, join := `{"op":"remove","path":"/objects/`+hub+`"}`, newEdge("sole", mine, hub)
	before := append(s.problems(bob, remove), s.problems(bob, join)...)
	s.join("held", holder, hub)
	s.join("sole", holder, hub)
	after := append(s.problems(bob, remove), s.problems(bob, join)...)
	if want := []string{"00 forbidden", "00 forbidden"}; !slices.Equal(before, want) || !slices.Equal(after, want) {
		t.Errorf("before %v, after %v", before, after)
	}
}

// An operation that cannot be read keeps no other from being judged.
func TestADryRunGoesOnBehindWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.put(troubles)
	free := s.create(ann, "Formal", "{}")
	missing := `{"op":"remove","path":"/objects/` + free + `/body/nope"}`
	fixed := `{"op":"replace","path":"/objects/` + free + `/type","value":"Hub"}`
	for name, c := range map[string]struct{ op, code string }{
		"an id that is none":        {`{"op":"add","path":"/objects/x","value":{}}`, "invalid-id"},
		"an edge's id that is none": {`{"op":"remove","path":"/edges/x"}`, "invalid-id"},
		"a path to nowhere":         {`{"op":"add","path":"/nowhere","value":1}`, "invalid-patch"},
		"no operation":              {`7`, "invalid-patch"},
		"an op without a path":      {`{"op":"remove"}`, "invalid-patch"},
		"an object without a type":  {`{"op":"add","path":"/objects/` + id() + `","value":{"body":{}}}`, "invalid-patch"},
		"an object with too much":   {`{"op":"add","path":"/objects/` + id() + `","value":{"type":"Formal","body":{},"x":1}}`, "unknown-field"},
		"an object without a value": {`{"op":"add","path":"/objects/` + id() + `"}`, "invalid-patch"},
		"an edge to what is no id":  {newEdge("need", free, "x"), "invalid-id"},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			if got, want := s.problems(ann, missing, c.op, fixed), []string{"00 path-missing", "01 " + c.code, "02 type-immutable"}; !slices.Equal(got, want) {
				t.Errorf("in between: got %v, want %v", got, want)
			}
			if got, want := s.problems(ann, c.op, c.op, missing), []string{"00 " + c.code, "01 " + c.code, "02 path-missing"}; !slices.Equal(got, want) {
				t.Errorf("twice: got %v, want %v", got, want)
			}
			s.refused(ann, c.code, "["+missing+","+c.op+","+fixed+"]") // to be read comes first in a write
		})
	}
}

// Nor is what hangs on such an operation a problem of its own.
func TestADryRunTellsNothingThatAnUnreadableOperationBringsAlong(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.put(troubles)
	hub, full := s.create(ann, "Hub", "{}"), s.create(ann, "Formal", `{"n":1}`)
	lost, made, edge := id(), id(), id()
	add := `{"op":"add","path":"/objects/` + lost + `","value":{"typ":"Needy"}}`
	needy := `{"op":"add","path":"/objects/` + made + `","value":{"type":"Needy","body":{}}}`
	for name, c := range map[string]struct {
		ops  []string
		want []string
	}{
		"a change of an object":  {[]string{add, `{"op":"add","path":"/objects/` + lost + `/body/n","value":1}`}, []string{"00 unknown-field"}},
		"its removal":            {[]string{add, `{"op":"remove","path":"/objects/` + lost + `"}`}, []string{"00 unknown-field"}},
		"an edge from it":        {[]string{add, newEdge("need", lost, hub)}, []string{"00 unknown-field"}},
		"an edge to it":          {[]string{add, needy, newEdge("need", made, lost)}, []string{"00 unknown-field"}},
		"an edge to what is not": {[]string{needy, newEdge("need", made, "x")}, []string{"01 invalid-id"}},
		"an edge that has more":  {[]string{needy, `{"op":"add","path":"/edges/` + edge + `","value":{"x":1,"label":"need","from":"` + made + `","to":"` + hub + `"}}`}, []string{"01 unknown-field"}},
		"a change of the edge":   {[]string{`{"op":"add","path":"/edges/` + edge + `","value":{"label":7}}`, `{"op":"add","path":"/edges/` + edge + `/body/n","value":1}`}, []string{"00 invalid-patch"}},
		"what does not hang on it": {[]string{add, `{"op":"add","path":"/objects/` + full + `/body/n","value":"x"}`, newEdge("need", lost, id())},
			[]string{"00 unknown-field", "01 schema", "02 not-found"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			if got := s.problems(ann, c.ops...); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// Whatever breaks the form of a body or of an access, who hears of it learns
// all of it, and by which schema it was judged.
func TestAFaultOfFormNamesEachViolationAndTheSchema(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.put(troubles + "  Team: {access: {read: [team]}}\n")
	o := s.create(ann, "Formal", "{}")
	several := graph.Principal{User: "eve", Teams: []string{"red", "blue"}}
	for name, c := range map[string]struct {
		who   graph.Principal
		patch string
	}{
		"body at creation":            {ann, `[{"op":"add","path":"/objects/` + id() + `","value":{"type":"Formal","body":{"n":"x"}}}]`},
		"body":                        {ann, `[{"op":"add","path":"/objects/` + o + `/body/n","value":"x"}]`},
		"no body":                     {ann, `[{"op":"remove","path":"/objects/` + o + `/body"}]`},
		"access at creation":          {ann, `[{"op":"add","path":"/objects/` + id() + `","value":{"type":"Formal","body":{},"access":{"reed":{}}}}]`},
		"access at creation, no form": {ann, `[{"op":"add","path":"/objects/` + id() + `","value":{"type":"Formal","body":{},"access":null}}]`},
		"default of several teams":    {several, `[{"op":"add","path":"/objects/` + id() + `","value":{"type":"Team","body":{}}}]`},
		"access":                      {ann, `[{"op":"add","path":"/objects/` + o + `/access/reed","value":{}}]`},
		"no access":                   {ann, `[{"op":"remove","path":"/objects/` + o + `/access"}]`},
	} {
		err := s.refused(c.who, "schema", c.patch)
		if len(err.Errors) == 0 || err.SchemaVer != s.live.Current().Version {
			t.Errorf("%s: %v of schema %d", name, err.Errors, err.SchemaVer)
		}
	}
}
