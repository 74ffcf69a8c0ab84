package fanout

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

// farewells are ways for the objects 2 to 8, which everybody may read, to leave
// the view of the children of 1, and what bob and dan are to be told of each and of
// its edge. Whoever may not read an object any longer is not told what became of
// it, though he shares the view with somebody who is.
var farewells = map[int]struct {
	access string // first; "" for none
	gone   bool   // then the object is removed, else its edge alone
	bob    [2]protocol.Reason
	dan    [2]protocol.Reason
}{
	2: {`{"read":{"users":{"dan":true}}}`, true, [2]protocol.Reason{"forbidden", "forbidden"}, [2]protocol.Reason{"deleted", "deleted"}},
	3: {`{"read":{"users":{"dan":true}}}`, false, [2]protocol.Reason{"forbidden", "forbidden"}, [2]protocol.Reason{"unlinked", "deleted"}},
	4: {`{"read":{"users":{"bob":true}}}`, true, [2]protocol.Reason{"deleted", "deleted"}, [2]protocol.Reason{"forbidden", "forbidden"}},
	5: {`{"read":{"users":{"bob":true}}}`, false, [2]protocol.Reason{"unlinked", "deleted"}, [2]protocol.Reason{"forbidden", "forbidden"}},
	6: {`{}`, true, [2]protocol.Reason{"forbidden", "forbidden"}, [2]protocol.Reason{"forbidden", "forbidden"}},
	7: {"", true, [2]protocol.Reason{"deleted", "deleted"}, [2]protocol.Reason{"deleted", "deleted"}},
	8: {`{"read":{"users":{"bob":true,"dan":true}}}`, false, [2]protocol.Reason{"unlinked", "deleted"}, [2]protocol.Reason{"unlinked", "deleted"}},
}

// part has all of them leave.
func (w *world) part(some ...int) {
	for _, i := range some {
		f := farewells[i]
		if f.access != "" {
			w.commit("ann", grant(oid(i), f.access))
		}
		if f.gone {
			w.commit("ann", remove(graph.EdgeRef(eid(i))), remove(graph.ObjectRef(oid(i))))
		} else {
			w.commit("ann", remove(graph.EdgeRef(eid(i))))
		}
	}
}

// heard checks what bob and dan were told.
func heard(t *testing.T, bob, dan *held, some ...int) {
	t.Helper()
	for who, c := range map[string]struct {
		h    *held
		want func(int) [2]protocol.Reason
	}{
		"bob": {bob, func(i int) [2]protocol.Reason { return farewells[i].bob }},
		"dan": {dan, func(i int) [2]protocol.Reason { return farewells[i].dan }},
	} {
		want := map[string]protocol.Reason{}
		for _, i := range some {
			want[oid(i).String()], want[eid(i).String()] = c.want(i)[0], c.want(i)[1]
		}
		if diff := cmp.Diff(want, c.h.left); diff != "" {
			t.Errorf("%s: %s", who, diff)
		}
	}
}

func TestEverybodyWhoSharesAViewIsToldWhatIsTrueForHim(t *testing.T) {
	t.Parallel()
	all := []int{2, 3, 4, 5, 6, 7, 8}
	sets := [][]int{all}
	for _, i := range all {
		sets = append(sets, []int{i})
	}
	for _, some := range sets {
		for _, first := range []graph.Principal{bob, dan} { // the view is computed with whose rights
			t.Run(fmt.Sprint(first.User, some), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, nil)
				w.commit("ann", w.object(oid(1), "Node", `{}`, everybody))
				for i := 2; i <= 9; i++ {
					w.commit("ann", w.object(oid(i), "Node", `{}`, everybody), edge(eid(i), "child", oid(i), oid(1)))
				}
				clients := map[string]*client{}
				for _, p := range []graph.Principal{first, bob, dan} {
					if clients[p.User] == nil {
						c := w.connect(p)
						c.sub("s1", childrenOf1)
						if err := c.drain(); err != nil {
							t.Fatal(err)
						}
						clients[p.User] = c
					}
				}
				b, d := clients["bob"], clients["dan"]
				if b.subs["s1"].view != d.subs["s1"].view {
					t.Fatal("they do not share the view")
				}
				before := map[string]*held{}
				for _, p := range []graph.Principal{bob, dan} {
					before[p.User] = w.sight(t, p, childrenOf1)
				}
				release := b.s.relay.hold()
				w.part(some...)
				release()
				for _, c := range []*client{b, d} {
					if err := c.drain(); err != nil {
						t.Fatal(err)
					}
				}
				heard(t, b.subs["s1"], d.subs["s1"], some...)
				w.commit("ann", set(graph.ObjectRef(oid(1)), "n", "1"))
				for _, c := range []*client{b, d} { // and it goes on
					if err := c.drain(); err != nil {
						t.Fatal(err)
					}
					w.compare(t, c, childrenOf1)
				}
				// Who comes back, now or to a node that has just started, is told the same.
				back := map[string]*held{}
				for _, who := range []graph.Principal{first, bob, dan} {
					back[who.User] = w.comeBack(t, who, childrenOf1, before[who.User]).subs["s1"]
				}
				heard(t, back["bob"], back["dan"], some...)
				for _, refill := range []graph.Version{refillCommits, 1} {
					next := w.restarted(t, nil)
					next.hub.refill = refill
					for _, who := range []graph.Principal{first, bob, dan} {
						back[who.User] = next.comeBack(t, who, childrenOf1, before[who.User]).subs["s1"]
					}
					heard(t, back["bob"], back["dan"], some...)
				}
			})
		}
	}
}

// Whether somebody could read an object until it was deleted is judged by what its
// rights hung on then, not by what these have become since.
func TestADeletionIsJudgedByTheRightsOfItsTime(t *testing.T) {
	t.Parallel()
	const inheriting, bobs = `{"read":{"inherit":{"up":true}}}`, `{"read":{"users":{"bob":true}}}`
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody))
	for _, i := range []int{2, 3} { // under 12 and 13
		w.commit("ann", w.object(oid(10+i), "Node", `{}`, everybody), w.object(oid(i), "Node", `{}`, inheriting),
			edge(eid(10+i), "up", oid(i), oid(10+i)), edge(eid(i), "child", oid(i), oid(1)))
	}
	c := w.connect(bob)
	c.sub("s1", childrenOf1)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	release := c.s.relay.hold()
	w.commit("ann", grant(oid(12), `{}`))
	w.commit("ann", grant(oid(13), bobs))
	for _, i := range []int{2, 3} {
		w.commit("ann", remove(graph.EdgeRef(eid(i))), remove(graph.EdgeRef(eid(10+i))), remove(graph.ObjectRef(oid(i))))
	}
	w.commit("ann", grant(oid(12), everybody))
	w.commit("ann", grant(oid(13), `{}`))
	release()
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	want := map[string]protocol.Reason{
		oid(2).String(): protocol.Forbidden, eid(2).String(): protocol.Forbidden,
		oid(3).String(): protocol.Deleted, eid(3).String(): protocol.Deleted,
	}
	if diff := cmp.Diff(want, c.subs["s1"].left); diff != "" {
		t.Error(diff)
	}
}

// Who shares a view by an org, a team or for everybody is told of what left it from
// the view's own deltas: nobody has to be judged alone.
func TestWhatLeftForAllIsToldFromTheDeltas(t *testing.T) {
	t.Parallel()
	for what, access := range map[string]string{"everybody": everybody, "an org": `{"read":{"orgs":{"acme":true}}}`, "a team": `{"read":{"teams":{"blue":true}}}`, "a user": `{"read":{"users":{"bob":true}}}`} {
		w := newWorld(t, nil)
		w.commit("ann", w.object(oid(1), "Node", `{}`, access))
		for i := 2; i <= 9; i++ {
			w.commit("ann", w.object(oid(i), "Node", `{}`, access), edge(eid(i), "child", oid(i), oid(1)))
		}
		stays := w.connect(bob)
		stays.sub("s1", childrenOf1)
		if err := stays.drain(); err != nil {
			t.Fatal(err)
		}
		h := w.sight(t, bob, childrenOf1)
		w.commit("ann", remove(graph.EdgeRef(eid(2))))
		w.commit("ann", remove(graph.EdgeRef(eid(3))), remove(graph.ObjectRef(oid(3))))
		stays.s.relay.settle()
		before := valueOf(w.hub.metrics.computed)
		c := w.comeBack(t, bob, childrenOf1, h)
		if n := valueOf(w.hub.metrics.computed) - before; n != 0 || c.resets != 0 {
			t.Errorf("%s: %v views were computed, %d resets", what, n, c.resets)
		}
		want := map[string]protocol.Reason{oid(2).String(): "unlinked", eid(2).String(): "deleted", oid(3).String(): "deleted", eid(3).String(): "deleted"}
		if diff := cmp.Diff(want, c.subs["s1"].left); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
}
