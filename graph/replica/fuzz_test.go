package replica

import (
	"slices"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
)

// fuzzCore holds a little of everything that entries and images can hold.
func fuzzCore(t testing.TB) (*core, graph.ObjectID) {
	acl, violations := access.Parse([]byte(`{"read":{"public":true,"users":{}}}`))
	if len(violations) > 0 {
		t.Fatal(violations)
	}
	meta := graph.Meta{Version: 3, CreatedVersion: 1, CreatedAt: time.UnixMicro(5).UTC(), UpdatedAt: time.UnixMicro(6).UTC(), CreatedBy: "ann", UpdatedBy: "bob"}
	a := &graph.Object{ID: graph.ObjectID{1}, Type: "T", Body: []byte(`{"n":1}`), Access: acl, Meta: meta}
	b := &graph.Object{ID: graph.ObjectID{2}, Type: "T", Body: []byte(`{}`), Access: acl, Meta: meta}
	e := &graph.Edge{ID: graph.EdgeID{3}, Label: "l", From: a.ID, To: b.ID, Body: []byte(`{}`), Meta: meta}
	c := newCore(false)
	c.head = graph.Head{Version: 9, Epoch: "e"}
	c.absorb(&piece{units: []unit{inUnit(b.ID, "l"), typeUnit("T"), objectUnit(graph.ObjectID{7}), edgeUnit(graph.EdgeID{8})},
		Piece: graph.Piece{Objects: []*graph.Object{a, b}, Edges: []*graph.Edge{e}}})
	return c, b.ID
}

func FuzzEntry(f *testing.F) {
	c, id := fuzzCore(f)
	asked := []unit{objectUnit(graph.ObjectID{1}), objectUnit(graph.ObjectID{7}), inUnit(id, "l"), typeUnit("T")}
	for i, u := range asked {
		b := c.appendEntry(nil, 4, u)
		if _, err := parseEntry(b, 4, "e", u); err != nil {
			f.Fatalf("%+v: %v", u, err)
		}
		if _, err := parseEntry(b, 5, "e", u); err == nil {
			f.Fatal("an entry of another graph is taken")
		}
		f.Add(i, b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, which int, b []byte) {
		u := asked[uint(which)%uint(len(asked))]
		got, err := parseEntry(seal(slices.Clone(b)), 4, "e", u)
		if err != nil {
			return
		}
		// What is taken can be held and written again.
		p := &piece{}
		p.add(got)
		held := newCore(false)
		held.head = graph.Head{Version: got.stamp, Epoch: "e"}
		held.absorb(p)
		if _, err := parseEntry(held.appendEntry(nil, 4, u), 4, "e", u); err != nil {
			t.Fatalf("what was taken cannot be written: %v", err)
		}
	})
}

func FuzzImage(f *testing.F) {
	c, _ := fuzzCore(f)
	var b []byte
	if err := c.image(4).write(func(p []byte) error { b = append(b, p...); return nil }); err != nil {
		f.Fatal(err)
	}
	if _, err := parseImage(b); err != nil {
		f.Fatal(err)
	}
	f.Add(b[:len(b)-4])
	f.Fuzz(func(t *testing.T, b []byte) {
		img, err := parseImage(seal(slices.Clone(b)))
		if err != nil {
			return
		}
		_, _ = img.core() // a fault is one way to answer; to panic is none
	})
}
