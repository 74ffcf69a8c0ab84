package fanout

import "time"

// ownership is how long a session's id stays its user's after it has gone.
const ownership = time.Hour

// maxOwners bounds how many ids of gone sessions are remembered: clients make
// ids up, and may make up many. The oldest are forgotten first.
const maxOwners = 100_000

// owners remembers whose the ids of gone sessions are. Its owner locks it.
type owners struct {
	of    map[sessionKey]owner
	queue []departure // oldest first; one that is not in of is out of date
}

type owner struct {
	user string
	gone time.Time
}

type departure struct {
	key  sessionKey
	gone time.Time
}

func newOwners() owners { return owners{of: map[sessionKey]owner{}} }

// find gives the user that an id belongs to.
func (o *owners) find(k sessionKey, now time.Time) (user string, known bool) {
	o.forget(now)
	found, known := o.of[k]
	return found.user, known
}

// depart notes that the user's session has gone.
func (o *owners) depart(k sessionKey, user string, now time.Time) {
	o.of[k] = owner{user, now}
	o.queue = append(o.queue, departure{k, now})
	o.forget(now)
}

// forget drops what is too old or too much.
func (o *owners) forget(now time.Time) {
	n := 0
	for n < len(o.queue) && (len(o.queue)-n > maxOwners || now.Sub(o.queue[n].gone) >= ownership) {
		if d := o.queue[n]; o.of[d.key].gone.Equal(d.gone) {
			delete(o.of, d.key)
		}
		n++
	}
	if o.queue = o.queue[n:]; len(o.queue) == 0 {
		o.queue = nil
	}
}
