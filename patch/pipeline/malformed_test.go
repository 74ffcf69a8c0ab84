package pipeline_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
)

// malformed are operations that are wrong whatever the state; AT stands for the
// entity's path.
var malformed = map[string]string{
	"an unknown op":        `{"op":"frobnicate","path":"AT/body/a"}`,
	"no op":                `{"path":"AT/body/a"}`,
	"an unknown op on all": `{"op":"frobnicate","path":"AT"}`,
	"no value":             `{"op":"add","path":"AT/body/a"}`,
	"no value to test":     `{"op":"test","path":"AT/meta/version"}`,
	"no value of access":   `{"op":"replace","path":"AT/access/read"}`,
	"no from":              `{"op":"move","path":"AT/body/a"}`,
	"from is no pointer":   `{"op":"copy","from":"a","path":"AT/body/a"}`,
	"from is elsewhere":    `{"op":"copy","from":"/objects/0192d3a0-0000-7000-8000-000000000001/body/b","path":"AT/body/a"}`,
	"from has no id":       `{"op":"copy","from":"/objects/nobody/body/b","path":"AT/body/a"}`,
	"replaced as a whole":  `{"op":"replace","path":"AT","value":{}}`,
}

// What is absent and what is hidden cannot be told apart by asking wrongly.
func TestAMalformedOperationOnWhatMayNotBeReadIsNotFound(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.put("  Formal: {open: true, access: {read: [public], write: [public]}}\n")
	seen, hidden, absent := s.create(ann, "Formal", "{}"), id(), id()
	s.do(bob, `[{"op":"add","path":"/objects/`+hidden+`","value":{"type":"Formal","body":{"a":1,"b":1},"access":{}}}]`)
	for name, text := range malformed {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			on := func(o string) string { return strings.ReplaceAll(text, "AT", "/objects/"+o) }
			place, _, _ := strings.Cut(strings.SplitAfter(text, `"path":"AT`)[1], `"`)
			first := `{"op":"test","path":"/objects/` + seen + `/type","value":"Formal"}`
			for _, o := range []string{hidden, absent} {
				want := "not-found /objects/" + o + place
				if e := s.refused(ann, want, "["+first+","+on(o)+"]"); e.Op == nil || *e.Op != 1 {
					t.Errorf("%v: operation %v", e, e.Op)
				}
				s.refused(ann, want, "["+strings.ReplaceAll(text, "AT", "")+"]", func(m *graph.Mutation) { m.Prefix = "/objects/" + o })
				if got := s.problems(ann, first, on(o)); !slices.Equal(got, []string{"01 not-found"}) {
					t.Errorf("a dry run: %v", got)
				}
			}
			// Who may read it hears what is wrong, and so does who makes it.
			want := "invalid-patch"
			if name == "from has no id" {
				want = "invalid-id"
			}
			if e := s.refused(ann, want, "["+first+","+on(seen)+"]"); e.Op == nil || *e.Op != 1 {
				t.Errorf("%v: operation %v", e, e.Op)
			}
			fresh, add := newObject("Formal", "{}")
			s.refused(ann, want, "["+add+","+on(fresh)+"]")
		})
	}
	t.Run("a path that cannot be read, on the object's own route", func(t *testing.T) {
		s := *s
		s.t = t
		for o, want := range map[string]string{seen: "invalid-patch", hidden: "not-found", absent: "not-found"} {
			for _, op := range []string{`{"op":"remove","path":"x"}`, `{"op":"add","path":"~","value":1}`, `{"op":"add","value":1}`, `7`} {
				saw := s.head()
				s.refused(ann, want, "["+op+"]", func(m *graph.Mutation) { m.Prefix = "/objects/" + o }, base(saw))
			}
		}
	})
}

// A malformed operation does not count as done because its target is gone.
func TestAMalformedRemovalOfWhatIsGoneIsNotDone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	saw := s.head()
	s.do(ann, `[{"op":"remove","path":"/objects/`+ds+`"}]`)
	onIt := func(m *graph.Mutation) { m.Prefix = "/objects/" + ds }
	s.do(ann, `[{"op":"remove","path":""}]`, onIt, base(saw))
	s.refused(ann, "not-found", `[{"op":"remove","path":"x"}]`, onIt, base(saw))
}

// A refusal of a malformed patch keeps nothing of its key.
func TestAKeyIsFreeAfterAMalformedPatch(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	k := uuid.NewString()
	s.refused(ann, "invalid-patch", `[{"op":"add","path":"/objects/`+ds+`/body/name"}]`, key(k))
	if _, err := s.Submit(context.Background(), s.graph, &graph.Mutation{Key: k, Author: ann, Patch: []byte(`[{"op":"add","path":"/objects/` + ds + `/body/name","value":"m"}]`)}); err != nil {
		t.Fatal(err)
	}
}

func TestATextOfAnEntityHasNoParts(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	s.refused(ann, "invalid-patch /objects/"+ds+"/type/x", `[{"op":"test","path":"/objects/`+ds+`/type/x","value":1}]`)
	s.refused(ann, "not-found", `[{"op":"test","path":"/objects/`+id()+`/type/x","value":1}]`)
}
