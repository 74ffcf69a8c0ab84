package protocol_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

// However a load is cut, its frames hold every entity once, keep to their size
// unless one entity alone is larger, and only the last is done.
func TestAWholeViewIsTheSameHoweverItIsCut(t *testing.T) {
	t.Parallel()
	var v protocol.Whole
	for i := range 40 {
		id := graph.ObjectID{1, byte(i)}
		v.Objects = append(v.Objects, &graph.Object{ID: id, Type: "T", Body: json.RawMessage(`{"x":"` + strings.Repeat("x", i*i) + `"}`)})
		v.Edges = append(v.Edges, &graph.Edge{ID: graph.EdgeID{2, byte(i)}, Label: "l", From: id, To: graph.ObjectID{1}, Body: json.RawMessage(`{}`)})
	}
	v.Roots, v.Digest = []graph.ObjectID{{1}}, 77
	head := (&protocol.LoadHead{Sub: "s", View: "v", Key: "k", Version: 3}).Append(nil)
	for _, max := range []int{1, 1000, 1500, 2500, 5000, 20_000, protocol.MaxMessage} {
		frames := v.Bodies(max)
		objects, edges := map[string]json.RawMessage{}, map[string]json.RawMessage{}
		for i, f := range frames {
			text := append(append([]byte(nil), head...), f...)
			var m struct {
				Total          int
				Objects, Edges map[string]json.RawMessage
				Roots          []string
				Done           bool
				Digest         uint32
			}
			if err := json.Unmarshal(text, &m); err != nil {
				t.Fatalf("max %d, frame %d: %v\n%s", max, i, err, text)
			}
			for id, e := range m.Objects {
				objects[id] = e
			}
			for id, e := range m.Edges {
				edges[id] = e
			}
			if n := len(m.Objects) + len(m.Edges); len(text) > max && n > 1 {
				t.Errorf("max %d: frame %d has %d bytes for %d entities", max, i, len(text), n)
			}
			last := i == len(frames)-1
			if m.Done != last || (m.Total == 80) != (i == 0) || last && (m.Digest != 77 || len(m.Roots) != 1) {
				t.Errorf("max %d: frame %d of %d: %+v", max, i, len(frames), m)
			}
		}
		if len(objects) != 40 || len(edges) != 40 {
			t.Errorf("max %d: %d objects and %d edges", max, len(objects), len(edges))
		}
		for _, o := range v.Objects {
			if got, want := string(objects[o.ID.String()]), string(o.AppendJSON(nil, false)); got != want {
				t.Fatalf("max %d:\n%s\n%s", max, got, want)
			}
		}
	}
}
