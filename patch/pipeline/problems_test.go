package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// problems gives what a dry run of these operations tells, as "op code", in the
// order of the operations.
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
