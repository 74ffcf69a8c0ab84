package schema_test

import (
	"testing"

	"github.com/graphtide/graphtide/patch"
)

func TestStoredBodiesAreMapped(t *testing.T) {
	t.Parallel()
	r := compile(t, `
types:
  P: {properties: {title: {type: string}, rank: {type: number}}, migrate: {rename: {name: title}, drop: [legacy]}}
  C: {extends: P, properties: {own: {type: string}}, required: [own], migrate: {default: {own: none, rank: 5}}}
  D: {}
`)
	for _, c := range []struct{ typ, body, want string }{
		{"P", `{"name":"x","legacy":1,"rank":2}`, `{"title":"x","rank":2}`},
		{"P", `{"title":"x"}`, ""},
		{"P", `{}`, ""},
		{"P", `{"name":"x","title":"y"}`, ""}, // stays invalid, and is reported
		{"C", `{"name":"x"}`, `{"title":"x","own":"none","rank":5}`},
		{"C", `{"own":"mine","rank":1}`, ""},
		{"D", `{"name":"x"}`, ""},
		{"X", `{"name":"x"}`, ""},
		{"P", `[]`, ""},
	} {
		got, ops, ok := r.MigrateObject(c.typ, []byte(c.body))
		if ok != (c.want != "") || ok && !patch.Equal(got, []byte(c.want)) {
			t.Errorf("%s %s: got %s, %t", c.typ, c.body, got, ok)
			continue
		}
		if !ok {
			continue
		}
		applied, err := patch.Apply([]byte(c.body), ops, patch.JSONLimits{})
		if err != nil || string(applied) != string(got) {
			t.Errorf("%s %s: the operations give %s, %v", c.typ, c.body, applied, err)
		}
		if again, _, ok := r.MigrateObject(c.typ, got); ok {
			t.Errorf("%s %s: mapped twice, to %s", c.typ, c.body, again)
		}
		if v := r.TypeOf(c.typ).Validate(got, nil); v != nil {
			t.Errorf("%s %s: the mapped body is not valid: %v", c.typ, c.body, v)
		}
	}
}
