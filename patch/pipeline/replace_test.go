package pipeline_test

import (
	"fmt"
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// places has objects with one place each at both ends of an edge: `out` is
// bounded where it leaves, `in` where it arrives, `both` on both sides.
const places = `  Spot:
    open: true
    access: {read: [user], write: [user], visit: [user]}
    edges:
      out:
        out: {to: Spot, max: 1, whenFull: replace}
        in: {to: Spot}
        both: {to: Spot, max: 1, whenFull: replace}
        kind: {to: Spot, max: 1, whenFull: replace}
      in:
        out: {from: Spot, as: outs}
        in: {from: Spot, as: ins, max: 1, whenFull: replace}
        both: {from: Spot, as: boths, max: 1, whenFull: replace}
        kind: {from: Spot, as: kinds, needs: visit}
`

func (s *system) spot(access string) string {
	s.t.Helper()
	o := id()
	s.do(admin, fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":"Spot","body":{},"access":%s}}]`, o, access))
	return o
}

func link(label, from, to string) (text, edge string) {
	edge = id()
	return fmt.Sprintf(`[{"op":"add","path":"/edges/%s","value":{"label":%q,"from":%q,"to":%q}}]`, edge, label, from, to), edge
}

const (
	bobs       = `{"read":{"users":{"bob":true}},"write":{"users":{"bob":true}},"visit":{"users":{"bob":true}}}`
	bobReads   = `{"read":{"users":{"bob":true}}}`
	bobVisits  = `{"read":{"users":{"bob":true}},"visit":{"users":{"bob":true}}}`
	notForBob  = `{"read":{"users":{"ann":true}},"write":{"users":{"ann":true}}}`
	annManages = `{"read":{"users":{"bob":true}},"write":{"users":{"bob":true}},"manage":{"users":{"ann":true}}}`
)

// Who takes the place of an edge removes it, and may only do what he may do in
// so many words.
func TestOnlyWhoMayRemoveAnEdgeMayTakeItsPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, label, far string
		in               bool // the place is where the edge arrives
		want, right      string
	}{
		{"he may", "out", bobs, false, "", ""},
		{"he may not write the old far end", "out", bobReads, false, "forbidden", "write"},
		{"he may not know of the old far end", "out", notForBob, false, "cardinality", ""},
		{"he may, by what the edge needs", "kind", bobVisits, false, "", ""},
		{"he lacks what the edge needs", "kind", bobReads, false, "forbidden", "visit"},
		{"inbound, he may", "in", bobs, true, "", ""},
		{"inbound, he may not write the old near end", "in", bobReads, true, "forbidden", "write"},
		{"inbound, he may not know of the old near end", "in", notForBob, true, "cardinality", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.put(places)
			mine, far, other := s.spot(bobs), s.spot(c.far), s.spot(bobs)
			from, to, newFrom, newTo := mine, far, mine, other
			if c.in {
				from, to, newFrom, newTo = far, mine, other, mine
			}
			old := s.join(c.label, from, to)
			text, edge := link(c.label, newFrom, newTo)
			if c.want == "" {
				s.do(bob, text)
				if s.edge(old) != nil || s.edge(edge) == nil {
					t.Error("the new edge has not taken the place of the old one")
				}
				s.replays()
				return
			}
			if err := s.refused(bob, c.want+" /edges/"+edge, text); err.Right != c.right {
				t.Errorf("right %q, want %q", err.Right, c.right)
			}
			if s.edge(old) == nil {
				t.Error("the old edge is gone")
			}
			s.do(admin, text)
		})
	}
}

// A right that goes before the transaction settles counts, though nothing else
// of what the transaction is about has changed.
func TestRightsOnAReplacedEdgeAreThoseOfTheStateItSettlesOn(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.put(places)
	far := s.spot(annManages)
	for range 20 {
		mine, other := s.spot(bobs), s.spot(bobs)
		old := s.join("out", mine, far)
		text, edge := link("out", mine, other)
		revoked, taken := make(chan struct{}), make(chan *graph.Error, 1)
		go func() {
			defer close(revoked)
			s.try(ann, `[{"op":"replace","path":"/objects/`+far+`/access/write","value":{}}]`)
		}()
		go func() {
			_, err := s.try(bob, text)
			taken <- err
		}()
		err := <-taken
		<-revoked
		var revokedAt, replacedAt graph.Version
		for _, c := range s.commits(s.object(mine).Meta.Version) {
			for i := range c.Changes {
				switch ch := &c.Changes[i]; {
				case ch.AccessChanged:
					revokedAt = c.Version
				case ch.Event == graph.Deleted && ch.EdgeBefore != nil && ch.EdgeBefore.ID.String() == old:
					replacedAt = c.Version
				}
			}
		}
		switch {
		case err != nil && (err.Code != graph.CodeForbidden || err.Right != "write"):
			t.Fatalf("got %v", err)
		case err == nil && (s.edge(edge) == nil || replacedAt > revokedAt):
			t.Fatalf("replaced at %d, though the right had gone at %d", replacedAt, revokedAt)
		}
		s.do(ann, `[{"op":"replace","path":"/objects/`+far+`/access/write","value":{"users":{"bob":true}}}]`)
	}
}

// Of edges added in one transaction the later takes the place of the earlier,
// and what the earlier does not need in the end stays.
func TestTheLaterOfTwoEdgesTakesThePlaceOfTheEarlier(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.put(places)
	a, b, c, d := s.spot(bobs), s.spot(bobs), s.spot(bobs), s.spot(bobs)
	kept, stored := s.join("both", c, b), s.join("both", a, d)
	first, e1 := link("both", a, b)  // would take the places of both
	second, e2 := link("both", a, c) // takes the place of first
	s.do(bob, first[:len(first)-1]+","+second[1:])
	for e, want := range map[string]bool{kept: true, stored: false, e1: false, e2: true} {
		if got := s.edge(e) != nil; got != want {
			t.Errorf("%s is there: %v, want %v", e, got, want)
		}
	}
	s.replays()
}
