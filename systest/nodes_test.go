package systest

import "testing"

func TestPresenceReachesOtherNodes(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.as("ann").create("Doc", `{}`)
	o := *w
	o.url = w.other
	a, b := w.dial(t, "ann"), o.dial(t, "bob")
	p := f(`"projection":{"root":%q}`, id)
	a.sub("s1", p)
	b.sub("s1", p)
	a.send(f(`{"t":"presence","on":%q,"state":{"k":1}}`, id))
	b.next("presence").is("sessions."+a.id+".state", `{"k":1}`)
	a.conn.CloseNow()
	b.next("presence").is("sessions", f(`{%q:null}`, a.id))
}

func TestASessionIsReplacedFromAnotherNode(t *testing.T) {
	t.Parallel()
	w := setup(t)
	a := w.dial(t, "ann")
	o := *w
	o.url = w.other
	o.dialSession(t, "ann", a.id).settle()
	if got := a.closeCode(); got != 4409 {
		t.Errorf("closed with %d", got)
	}
}

// A graph that is deleted and made again under the same name has nothing of the
// old one, on no node and for no session.
func TestAGraphMadeAgainHasNothingOfTheOldOneOnAnyNode(t *testing.T) {
	t.Parallel()
	w := setup(t)
	o := *w
	o.url = w.other
	const all = `{"root":{"type":"Doc"}}`
	w.as("ann").create("Doc", `{"is":"old"}`)
	var sessions [2]*socket
	for i, at := range []*world{w, &o} {
		sessions[i] = at.dial(t, "ann")
		sessions[i].sub("s0", f(`"projection":%s`, all))
		sessions[i].reach(1)
	}
	epoch := w.as("ann").get(w.path("")).want(200).str("epoch")
	w.root().delete(w.path("")).want(204)
	for i, s := range sessions {
		if got := s.closeCode(); got != 4404 {
			t.Errorf("node %d closed with %d", i, got)
		}
	}
	o.root().put(w.path(""), "", "").want(201)
	id := o.as("bob").create("Doc", `{"is":"new"}`) // at the version that the old one had
	for i, at := range []*world{w, &o} {
		ann := at.as("ann").with("Graphtide-Min-Version: 1")
		// A node that has not heard of it yet answers as of the old one, which is gone.
		eventually(t, f("the new graph at node %d", i), func() bool { return ann.get(w.path("")).status == 200 })
		if got := ann.get(w.path("")).want(200).str("epoch"); got == epoch {
			t.Errorf("node %d tells of the old epoch", i)
		}
		if got := ann.load(all).want(200).json().members("objects"); len(got) != 1 || got[id] == nil {
			t.Errorf("node %d loads %v", i, got)
		}
		// With what it held of the old one, at a version that the new one has too.
		s := sessions[i].resumed(at, "ann", []string{all})
		if v := s.view("s0"); len(v.objects) != 1 || v.objects[id] == nil {
			t.Errorf("node %d resumes with %v", i, v.objects)
		}
	}
}
