package fanout

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// shelved is a list under test, beside the plain way to keep one.
type shelved struct {
	*window
	places map[graph.ObjectID]replica.Position
	shown  map[graph.ObjectID]bool
}

// want gives what the window shows, by sorting everything.
func (s *shelved) want() (ids []graph.ObjectID) {
	var all []replica.Position
	for _, p := range s.places {
		if s.after == nil || replica.ComparePositions(s.list.Order, p, *s.after) > 0 {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b replica.Position) int { return replica.ComparePositions(s.list.Order, a, b) })
	if n := s.list.Limit; n > 0 && n < len(all) {
		all = all[:n]
	}
	for _, p := range all {
		ids = append(ids, p.ID)
	}
	return ids
}

func placeOf(order []graph.OrderKey, id graph.ObjectID, n int) replica.Position {
	return replica.PositionOf(order, &graph.Object{ID: id, Body: fmt.Appendf(nil, `{"n":%d}`, n)}, nil)
}

func TestAWindowShowsWhatSortingEverythingWouldShow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		order := []graph.OrderKey{{Path: graph.Path{Tokens: []string{"body", "n"}}, Desc: rapid.Bool().Draw(t, "desc")}}
		list := &graph.List{Order: order, Limit: rapid.SampledFrom([]int{0, 1, 10, 300, 1000}).Draw(t, "limit")}
		if rapid.Bool().Draw(t, "after") {
			list.After = &graph.After{Values: []json.RawMessage{json.RawMessage("50")}, ID: oid(1)}
		}
		s := &shelved{newWindow(list), map[graph.ObjectID]replica.Position{}, map[graph.ObjectID]bool{}}
		size := rapid.SampledFrom([]int{0, 5, 2000}).Draw(t, "size")
		var first []*place
		for i := range size {
			p := placeOf(order, oid(i), i*7919%1000)
			s.places[oid(i)] = p
			first = append(first, &place{at: p})
		}
		s.fill(first)
		s.each(func(at seat) bool { s.shown[at.id] = true; return true })
		for range rapid.IntRange(1, 30).Draw(t, "rounds") {
			for range rapid.IntRange(0, 40).Draw(t, "changes") {
				id := oid(rapid.IntRange(0, size+20).Draw(t, "id"))
				if rapid.IntRange(0, 2).Draw(t, "drop") == 0 {
					s.drop(id)
					delete(s.places, id)
					continue
				}
				p := placeOf(order, id, rapid.IntRange(0, 1000).Draw(t, "n"))
				s.put(p, graph.EdgeID{})
				s.places[id] = p
			}
			count := map[graph.ObjectID]int{}
			s.settle(func(at seat) { count[at.id]++ }, func(at seat) { count[at.id]-- })
			for id, n := range count {
				if was := s.shown[id]; n > 1 || n < -1 || n == 1 && was || n == -1 && !was {
					t.Fatalf("%s came or went %d times, shown before: %v", id, n, was)
				}
				if n != 0 {
					s.shown[id] = n > 0
				}
			}
			var got []graph.ObjectID
			s.each(func(at seat) bool { got = append(got, at.id); return true })
			want := s.want()
			if !slices.Equal(got, want) {
				t.Fatalf("shown are %v, not %v", got, want)
			}
			n := 0
			for _, shown := range s.shown {
				if shown {
					n++
				}
			}
			if n != len(want) {
				t.Fatalf("%d were said to be shown, where %d are", n, len(want))
			}
			for _, id := range want {
				if !s.shown[id] || !s.items[id].shown {
					t.Fatalf("%s is shown, and was not said to be", id)
				}
			}
		}
	})
}

func TestARosterFindsWhatIsInIt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r roster
		want := map[graph.ObjectID]graph.EdgeID{}
		for i := range rapid.IntRange(0, 200).Draw(t, "changes") {
			id := oid(rapid.IntRange(0, 60).Draw(t, "id"))
			if at := r.find(id); at >= 0 {
				r.remove(at)
				delete(want, id)
			} else {
				r.add(seat{id, eid(i)})
				want[id] = eid(i)
			}
			if len(r.seats) != len(want) {
				t.Fatalf("%d seats, not %d", len(r.seats), len(want))
			}
			for id, edge := range want {
				if at := r.find(id); at < 0 || r.seats[at] != (seat{id, edge}) {
					t.Fatalf("%s is not found", id)
				}
			}
		}
	})
}

func TestASetOfViewsHoldsEachOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		views := make([]*view, 30)
		for i := range views {
			views[i] = &view{}
		}
		sets := viewSets[string]{}
		want := map[*view]bool{}
		for range rapid.IntRange(1, 200).Draw(t, "changes") {
			v := rapid.SampledFrom(views).Draw(t, "view")
			if rapid.IntRange(0, 2).Draw(t, "add") > 0 {
				if first := sets.add("k", v); first != (len(want) == 0) {
					t.Fatalf("first: %v, with %d in it", first, len(want))
				}
				want[v] = true
			} else {
				had := want[v]
				delete(want, v)
				if last := sets.remove("k", v); last != (had && len(want) == 0) {
					t.Fatalf("last: %v, with %d left", last, len(want))
				}
			}
			n := 0
			sets.each("k", func(v *view) {
				if n++; !want[v] {
					t.Fatal("a view that is not in the set")
				}
			})
			if n != len(want) {
				t.Fatalf("%d views, not %d", n, len(want))
			}
		}
	})
}
