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
