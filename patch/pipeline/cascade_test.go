package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// shelves has boxes that go with their shelf, and notes that point at boxes and
// stay, or hold on to them.
const shelves = `
graphtide: 1
types:
  Shelf:
    open: true
    edges:
      out: {in: {to: Shelf, onDelete: cascade}}
      in: {on: {from: Box, as: boxes}, in: {from: Shelf, as: shelves}}
  Box:
    open: true
    edges:
      out: {on: {to: Shelf, onDelete: cascade}}
      in: {about: {from: Note, as: notes}, needs: {from: Note, as: needed}}
  Note:
    open: true
    edges: {out: {about: {to: Box, body: {open: true}}, needs: {to: Box, onDelete: restrict}}}
`

// What goes along with a removal takes its own edges with it, and is held on to,
// wherever the transaction had touched it before.
func TestWhatATransactionTouchedBeforeItWentAlongTakesItsEdgesWithIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, ops string // S a shelf, B a box on it, N a note; C, D, E and K are new
		want        string
	}{
		"its body":      {`about`, `{"op":"add","path":"/objects/B/body/x","value":1}`, ""},
		"its access":    {`about`, `{"op":"add","path":"/objects/B/access/read/users/ann","value":true}`, ""},
		"a test of it":  {`about`, `{"op":"test","path":"/objects/B/type","value":"Box"}`, ""},
		"held, changed": {`needs`, `{"op":"add","path":"/objects/B/body/x","value":1}`, "restricted"},
		"made now": {`about`, `{"op":"add","path":"/objects/C","value":{"type":"Box","body":{}}},
			{"op":"add","path":"/edges/D","value":{"label":"on","from":"C","to":"S"}},
			{"op":"add","path":"/edges/E","value":{"label":"about","from":"N","to":"C"}}`, ""},
		"made now, with what is in it": {`about`, `{"op":"add","path":"/objects/C","value":{"type":"Shelf","body":{}}},
			{"op":"add","path":"/edges/D","value":{"label":"in","from":"C","to":"S"}},
			{"op":"add","path":"/objects/K","value":{"type":"Box","body":{}}},
			{"op":"add","path":"/edges/E","value":{"label":"on","from":"K","to":"C"}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			if _, err := s.PutSchema(context.Background(), &admin, "app.yaml", []byte(shelves), false); err != nil {
				t.Fatal(err)
			}
			x := id()
			var pairs []string
			for _, n := range []string{"S", "B", "O", "N", "C", "D", "E", "K"} {
				i := id()
				pairs = append(pairs, "/"+n+"/", "/"+i+"/", "/"+n+`"`, "/"+i+`"`, `"`+n+`"`, `"`+i+`"`)
			}
			fill := strings.NewReplacer(pairs...)
			s.do(admin, fill.Replace(fmt.Sprintf(`[{"op":"add","path":"/objects/S","value":{"type":"Shelf","body":{}}},
				{"op":"add","path":"/objects/B","value":{"type":"Box","body":{}}},
				{"op":"add","path":"/edges/O","value":{"label":"on","from":"B","to":"S"}},
				{"op":"add","path":"/objects/N","value":{"type":"Note","body":{}}},
				{"op":"add","path":"/edges/%s","value":{"label":"%s","from":"N","to":"B"}}]`, x, c.before)))
			ops := fill.Replace("[" + c.ops + `,{"op":"remove","path":"/objects/S"}]`)
			if c.want != "" {
				s.refused(admin, c.want, ops)
				return
			}
			s.do(admin, ops)
			if s.edge(x) != nil {
				t.Error("an edge has lost its end")
			}
			info, err := s.store.Graph(context.Background(), s.graph)
			if err != nil || info.Objects != 1 || info.Edges != 0 {
				t.Errorf("left are %d objects and %d edges, want the note alone (%v)", info.Objects, info.Edges, err)
			}
			s.replays()
		})
	}
}
