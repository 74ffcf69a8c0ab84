package schema

import (
	"fmt"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

const benchType = `
properties:
  title: {type: string, maxLength: 200}
  description: {type: string, maxLength: 10000}
  status: {enum: [open, doing, done]}
  rank: {type: number, minimum: 0}
  estimate: {type: integer, minimum: 0, maximum: 1000}
  assignee: {type: string}
  tags: {type: array, maxItems: 20, items: {type: string}}
  values: {type: object}
required: [title]
`

const benchBody = `{"title":"Pay the invoice of the ferry company before the end of the month","description":"The invoice came by post, it is in the second drawer; the amount differs from the offer, ask Ann","status":"open","rank":17.25,"estimate":3,"assignee":"ann@example.org","tags":["money","ferry"],"values":{"a":1,"b":"two"}}`

// One scalar property of a 300-byte body has changed: the commonest write.
func BenchmarkValidateOneChangedScalar(b *testing.B) {
	t := typeWith(b, benchType)
	changed := []patch.Pointer{{"rank"}}
	body := []byte(benchBody)
	b.ReportAllocs()
	for b.Loop() {
		if v := t.Validate(body, changed); v != nil {
			b.Fatal(v)
		}
	}
}

func BenchmarkValidateWholeBody(b *testing.B) {
	t := typeWith(b, benchType)
	b.ReportAllocs()
	for b.Loop() {
		if v := t.Validate([]byte(benchBody), nil); v != nil {
			b.Fatal(v)
		}
	}
}

// One field of a 100 KB object has changed.
func BenchmarkValidateOneChangedScalarOf100KB(b *testing.B) {
	t := typeWith(b, benchType)
	body := []byte(strings.Replace(benchBody, `{"a":1,"b":"two"}`, `{"a":"`+strings.Repeat("x", 100_000)+`"}`, 1))
	changed := []patch.Pointer{{"rank"}}
	for b.Loop() {
		if v := t.Validate(body, changed); v != nil {
			b.Fatal(v)
		}
	}
}

func BenchmarkFillDefaultsWithNothingToDo(b *testing.B) {
	t := typeWith(b, benchType+"schema: {}\n")
	for b.Loop() {
		t.FillDefaults([]byte(benchBody))
	}
}

func BenchmarkEdgeBetween(b *testing.B) {
	r, err := Compile("b.yaml", []byte("graphtide: 1\ntypes:\n  A: {edges: {out: {x: {to: B}}}}\n  B: {edges: {in: {x: {from: A}}}}\n"), 1)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := r.EdgeBetween("x", "A", "B"); err != nil {
			b.Fatal(err)
		}
	}
}

// 1,000 rules on other types cost nothing, and as many on other places of the
// type what it takes to read where the change was.
func BenchmarkMatchAmong1000Rules(b *testing.B) {
	for name, on := range map[string]string{"another type": "{object: U}", "another path": "{object: T, paths: [/body/y]}", "another event": "{object: T, events: [delete]}"} {
		b.Run(name, func(b *testing.B) {
			var doc strings.Builder
			doc.WriteString("graphtide: 1\ntypes:\n  T: {open: true}\n  U: {open: true}\nrules:\n")
			for i := range 1000 {
				fmt.Fprintf(&doc, "  r%d: {on: %s, when: 'after.body.x == 1', handler: {go: x}}\n", i, on)
			}
			r, err := Compile("b.yaml", []byte(doc.String()), 1)
			if err != nil {
				b.Fatal(err)
			}
			o := &graph.Object{Type: "T", Body: []byte(`{"x":1}`)}
			ch := &graph.Change{Event: graph.Modified, ObjBefore: o, ObjAfter: o, Patch: []byte(`[{"op":"replace","path":"/body/x","value":1}]`)}
			commit := &graph.Commit{}
			for b.Loop() {
				if m := r.Match(commit, ch, nil); m != nil {
					b.Fatal(m)
				}
			}
		})
	}
}

// 500 types, each with ten properties of which five need the library.
func BenchmarkCompileALargeSchema(b *testing.B) {
	var doc strings.Builder
	doc.WriteString("graphtide: 1\ntypes:\n")
	for i := range 500 {
		fmt.Fprintf(&doc, "  T%d:\n    properties:\n", i)
		for j := range 5 {
			fmt.Fprintf(&doc, "      a%d: {type: string, maxLength: 100}\n      b%d: {type: array, items: {type: string}}\n", j, j)
		}
	}
	b.ReportMetric(float64(doc.Len()), "bytes")
	for b.Loop() {
		if _, err := Compile("b.yaml", []byte(doc.String()), 1); err != nil {
			b.Fatal(err)
		}
	}
}
