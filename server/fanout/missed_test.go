package fanout

import (
	"context"
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// partial gives a relay over a replica that holds nothing yet. The caller calls stop.
func (w *world) partial() (r *relay, stop func()) {
	end := w.forget()
	r = makeRelay(w.hub, w.replica)
	return r, func() {
		r.end()
		end()
	}
}

// What was found out of a state that did not hold all that was asked for is not
// remembered for those who ask again.
func TestAStretchRemembersNothingThatWasNotHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody), w.object(oid(2), "Node", `{}`, `{"read":{"inherit":{"up":true}}}`))
	of := &stretch{commits: []*graph.Commit{w.commit("ann", edge(eid(1), "up", oid(2), oid(1)))}, known: true}
	r, stop := w.partial()
	defer stop()
	var told []bool
	r.step([]command{{run: func(s *step) { told = append(told, s.farewell(&bob, nil, of).sways(s.st)) }}})
	if len(told) < 2 || !told[len(told)-1] {
		t.Errorf("whether the commit changes rights: %v, want more than one try, and yes in the end", told)
	}
}

// Who may have to be told another reason for a leaving is not taken for one who need
// not be, because something that tells is not held yet.
func TestWhoMayHaveToBeToldOtherwiseIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody), w.object(oid(2), "Node", `{}`, `{"read":{"inherit":{"up":true}}}`), edge(eid(1), "up", oid(2), oid(1)))
	r, stop := w.partial()
	defer stop()
	proj, gerr := graph.ParseProjection([]byte(childrenOf1))
	if gerr != nil {
		t.Fatal(gerr)
	}
	sess := &session{hub: w.hub, relay: r, conn: &connection{socket: &silent{}}, wake: make(chan struct{}, 1)}
	sess.ctx, sess.cancel = context.WithCancel(context.Background())
	defer sess.cancel()
	var sub *subscription
	r.step([]command{{run: func(s *step) {
		if v, _ := s.view(newQuery(proj), bob); v != nil && sub == nil {
			sub = &subscription{session: sess, name: "s1", query: newQuery(proj), principal: &bob, view: v}
			sess.subs = []*subscription{sub}
			v.subs[sub] = struct{}{}
		}
	}}})
	if sub == nil {
		t.Fatal("there is no view")
	}
	moved, done := false, false
	r.step([]command{{run: func(s *step) {
		if done {
			return
		}
		done = true
		// Bob may read the object, over an edge that is not held yet.
		s.parted = []partedView{{sub.view, []parting{{ref: graph.ObjectRef(oid(2)), why: "forbidden"}}}}
		s.partAll()
		moved = len(s.again) > 0 || s.moved[sub]
	}}})
	if !moved {
		t.Error("bob was not looked at again")
	}
}

// An object that lives again, by an undo, has the edges that it has; and of one that
// was deleted twice its last edges count.
func TestAGraveIsThatOfTheLastDeath(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	made := w.commit("ann", w.object(oid(1), "Node", `{}`, everybody), w.object(oid(2), "Node", `{}`, everybody), edge(eid(2), "up", oid(2), oid(1)))
	commits := []*graph.Commit{
		w.commit("ann", remove(graph.EdgeRef(eid(2))), remove(graph.ObjectRef(oid(2)))),
		w.commit("ann", revive(made.Changes[1].ObjAfter, nil), edge(eid(3), "up", oid(2), oid(1))),
	}
	is := func(when string) {
		t.Helper()
		r := makeRelay(w.hub, w.replica)
		defer r.end()
		r.step([]command{{run: func(s *step) {
			buried := graves{}.with(commits).over(s.st)
			var out []graph.EdgeID
			buried.Out(oid(2), "up", func(e *graph.Edge) bool {
				out = append(out, e.ID)
				return true
			})
			if len(out) != 1 || out[0] != eid(3) || buried.CountOut(oid(2), "up") != 1 {
				t.Errorf("%s it has %v, and %d are counted", when, out, buried.CountOut(oid(2), "up"))
			}
		}}})
	}
	is("alive again")
	commits = append(commits, w.commit("ann", remove(graph.EdgeRef(eid(3))), remove(graph.ObjectRef(oid(2)))))
	is("dead again")
}
