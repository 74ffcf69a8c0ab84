package fanout

import (
	"fmt"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// engine is a relay over a crowd, stepped by hand: what a step costs is measured
// without the commit and the sessions.
type engine struct {
	*world
	relay *relay
	b     *testing.B
}

func newEngine(b *testing.B, crowd int) *engine {
	b.Helper()
	w := newWorld(b, nil)
	if crowd > 0 {
		w.crowd(crowd)
	}
	e := &engine{w, makeRelay(w.hub, w.replica), b}
	b.Cleanup(e.relay.end)
	return e
}

// watch makes a view for bob.
func (e *engine) watch(format string, args ...any) *view { return e.watchAs(bob, format, args...) }

func (e *engine) watchAs(p graph.Principal, format string, args ...any) *view {
	text := fmt.Sprintf(format, args...)
	proj, err := graph.ParseProjection([]byte(text))
	if err != nil {
		e.b.Fatal(err)
	}
	var v *view
	e.relay.step([]command{{run: func(s *step) {
		if v, err = s.view(newQuery(proj), p); err != nil {
			e.b.Fatal(err)
		}
	}}})
	return v
}

// measure times the steps that follow commits. Each must bring as many deltas.
func (e *engine) measure(deltas int, commit func(i int)) {
	before := valueOf(e.hub.metrics.deltas)
	evaluated := valueOf(e.hub.metrics.computed)
	e.b.ReportAllocs()
	e.b.ResetTimer()
	for i := range e.b.N {
		e.b.StopTimer()
		commit(i)
		e.b.StartTimer()
		e.relay.step(nil)
	}
	e.b.StopTimer()
	if got := valueOf(e.hub.metrics.deltas) - before; got != float64(deltas*e.b.N) {
		e.b.Fatalf("%v deltas for %d commits", got, e.b.N)
	}
	if got := valueOf(e.hub.metrics.computed); got != evaluated {
		e.b.Fatalf("%v evaluations", got-evaluated)
	}
}

const under1 = `{"root":"01000000-0000-7000-8000-000000000001","in":{"child":%s}}`

// come and goes make and remove the record n of the crowd.
func (e *engine) comes(n int, body string) {
	e.commit("ann", e.object(oid(n), "Leaf", body, `{"read":{"inherit":{"child":true}}}`), edge(eid(n), "child", oid(n), oid(1)))
}

func (e *engine) goes(n int) {
	e.commit("ann", remove(graph.EdgeRef(eid(n))), remove(graph.ObjectRef(oid(n))))
}

// BenchmarkStep is what one commit costs the views, and the encoding of what
// they bring to their sessions.
func BenchmarkStep(b *testing.B) {
	b.Run("moveInWindow", func(b *testing.B) { // of 100 in a list of 10,000
		e := newEngine(b, 10000)
		e.watch(under1, `{"order":["/body/n"],"limit":100}`)
		e.measure(1, func(i int) { // from the front to the back, or back
			n := 1
			if i%2 == 0 {
				n = 100000
			}
			e.commit("ann", set(graph.ObjectRef(oid(2)), "n", fmt.Sprint(n)))
		})
	})
	b.Run("editInPlain", func(b *testing.B) {
		e := newEngine(b, 10000)
		e.watch(under1, `{}`)
		e.measure(1, func(i int) { e.commit("ann", set(graph.ObjectRef(oid(2+i%10000)), "n", fmt.Sprint(i))) })
	})
	b.Run("createInPlain", func(b *testing.B) {
		e := newEngine(b, 10000)
		e.watch(under1, `{}`)
		e.measure(1, func(i int) { e.comes(20000+i, `{"n":1}`) })
	})
	b.Run("deleteInPlain", func(b *testing.B) {
		e := newEngine(b, 10000)
		e.watch(under1, `{}`)
		e.measure(2, func(i int) {
			e.comes(20000+i, `{"n":1}`)
			e.relay.step(nil)
			e.goes(20000 + i)
		})
	})
	for _, views := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("oneOfWhere/%d", views), func(b *testing.B) {
			e := newEngine(b, 10000)
			for i := range views {
				e.watch(under1, fmt.Sprintf(`{"where":{"tag":"t%d"}}`, i))
			}
			e.commit("ann", set(graph.ObjectRef(oid(2)), "tag", `"t0"`))
			e.relay.step(nil)
			e.measure(1, func(i int) { e.commit("ann", set(graph.ObjectRef(oid(2)), "n", fmt.Sprint(i))) })
		})
	}
	for _, views := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("all/%d", views), func(b *testing.B) { // a change that all views show, each of a user's own
			e := newEngine(b, 1000)
			for i := range views {
				id := oid(5000 + i)
				e.commit("ann", e.object(id, "Node", `{}`, fmt.Sprintf(`{"read":{"users":{"u%d":true}}}`, i)), edge(eid(5000+i), "child", id, oid(1)))
			}
			for i := range views {
				e.watchAs(graph.Principal{User: fmt.Sprint("u", i), Org: "acme"}, under1, `{}`)
			}
			e.measure(views, func(i int) { e.commit("ann", set(graph.ObjectRef(oid(2)), "n", fmt.Sprint(i))) })
		})
	}
	for _, views := range []int{0, 10, 100, 1000} {
		b.Run(fmt.Sprintf("besideUntouched/%d", views), func(b *testing.B) {
			e := newEngine(b, 1000)
			e.watch(under1, `{}`)
			for i := range views {
				e.commit("ann", e.object(oid(5000+i), "Node", `{}`, everybody))
				e.watch(`{"root":%q,"in":{"child":{"where":{"n":{"gt":1}},"order":["/body/n"],"limit":10}}}`, oid(5000+i))
			}
			e.measure(1, func(i int) { e.commit("ann", set(graph.ObjectRef(oid(2)), "n", fmt.Sprint(i))) })
		})
	}
	b.Run("moveInTree", func(b *testing.B) { // a branch of 1,000 in an endless repeat of 10,000
		e := newEngine(b, 0)
		e.commit("ann", e.object(oid(1), "Node", `{}`, everybody))
		tree(e.world, 10, 10, 100)
		e.watch(under1, `{"repeat":true}`)
		from, at := oid(2), 900000
		e.commit("ann", edge(eid(at), "child", oid(1000), from))
		e.relay.step(nil)
		e.measure(1, func(i int) {
			to := oid(3)
			if i%2 == 1 {
				to = oid(2)
			}
			e.commit("ann", remove(graph.EdgeRef(eid(at+i))), edge(eid(at+i+1), "child", oid(1000), to))
		})
	})
}

// tree makes a tree below the crowd's first object, so many branches a level.
func tree(w *world, branches ...int) {
	n := 1
	level := []graph.ObjectID{oid(1)}
	for _, width := range branches {
		var next []graph.ObjectID
		for _, parent := range level {
			var edits []edit
			for range width {
				n++
				edits = append(edits, w.object(oid(n), "Node", `{}`, everybody), edge(eid(n), "child", oid(n), parent))
				next = append(next, oid(n))
			}
			w.commit("ann", edits...)
		}
		level = next
	}
}

// BenchmarkPrivateNotes computes the view of one of a thousand users who have a note
// each in a shared book: all of them are judged, and one may be read.
func BenchmarkPrivateNotes(b *testing.B) {
	w := newWorld(b, nil)
	edits := []edit{w.object(oid(1), "Node", `{}`, everybody)}
	for i := 2; i < 1002; i++ {
		edits = append(edits, w.object(oid(i), "Node", `{}`, fmt.Sprintf(`{"read":{"users":{"u%d":true}},"manage":{"users":{"u%d":true}}}`, i, i)), edge(eid(i), "child", oid(i), oid(1)))
	}
	w.commit("ann", edits...)
	proj, perr := graph.ParseProjection([]byte(childrenOf1))
	if perr != nil {
		b.Fatal(perr)
	}
	r, err := w.hub.relay(b.Context(), graph.MainGraph)
	if err != nil {
		b.Fatal(err)
	}
	l := w.hub.lens(r)
	for b.Loop() {
		err := w.replica.Read(b.Context(), func(st *replica.State) {
			if c, fault := l.compute(st, &graph.Principal{User: "u7"}, proj, 0); fault != nil || len(c.Objects) != 2 {
				b.Fatal(fault, c)
			}
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
