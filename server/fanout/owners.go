package fanout

import (
	"context"
	"time"

	"github.com/graphtide/graphtide/server/protocol"
)

// Owners remembers, for all hubs of a deployment, which user the id of a session
// belongs to. It may forget; both methods take a short and bounded time.
type Owners interface {
	// Claim gives the user that a session belongs to from now on, for an hour at
	// least: the one given, where it is nobody's yet or that cannot be found out.
	Claim(ctx context.Context, session, user string) (owner string)
	// Keep makes sessions their users' for another hour. These are alive.
	Keep(ctx context.Context, users map[string]string)
}

// keepOwners is between two times that a hub says whose its sessions are.
const keepOwners = ownership / 3

// shared gives what the session and its user are called among hubs. A user's
// name may be anything; who has none is nobody's namesake.
func (s *session) shared() (session, user string) {
	user = "anonymous"
	if s.user() != "" {
		user = "user " + s.user()
	}
	return s.relay.name + ":" + s.id, user
}

// admit is claim, where other hubs have not let another user have the id.
func (h *Hub) admit(ctx context.Context, s *session) (replaced *session, refusal error) {
	h.mu.Lock()
	owner, known := h.ownerOf(sessionKey{s.relay.name, s.id})
	h.mu.Unlock()
	if h.cfg.Owners != nil && (!known || owner == s.user()) {
		id, user := s.shared()
		if h.cfg.Owners.Claim(ctx, id, user) != user {
			return nil, refused(protocol.CloseForbidden)
		}
	}
	return h.claim(s)
}

// keepSessions says now and then whose the sessions here are, until ctx ends.
func (h *Hub) keepSessions(ctx context.Context) {
	ticker := time.NewTicker(keepOwners)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		users := map[string]string{}
		h.mu.Lock()
		for s := range h.sessions.all() {
			id, user := s.shared()
			users[id] = user
		}
		h.mu.Unlock()
		h.cfg.Owners.Keep(ctx, users)
	}
}

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
