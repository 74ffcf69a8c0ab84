package fanout

import (
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

// subscribe gives a new subscription its view, from what its client holds on
// where that can be, else whole.
func (s *step) subscribe(sub *subscription) {
	if s.await(sub) {
		return
	}
	v, err := s.view(sub.query, *sub.principal)
	var held *resumed
	far := false
	if v != nil && sub.held != nil {
		held, far = s.resumable(sub, v)
	}
	if s.short() {
		return
	}
	if err != nil {
		s.refuse(sub, err)
		return
	}
	it := s.load(sub, v)
	if sub.held == nil {
		s.bring(&it, v, sub.replaces)
		s.attach(sub, v, it)
		return
	}
	switch {
	case held != nil:
		it.body = held.load
	case far && s.seek(sub):
		return
	default:
		s.reset(&it, v)
	}
	s.attach(sub, v, it)
}

// load begins an item that loads a view for a subscription.
func (s *step) load(sub *subscription, v *view) item {
	return item{at: s.head.Version, sub: sub, head: &protocol.LoadHead{
		Sub: sub.name, View: v.id, Key: sub.key(s.reg, sub.principal), Version: s.head.Version,
	}}
}

// bring makes an item a load of the whole view; reset tells the client to drop what it
// holds.
func (s *step) bring(it *item, v *view, reset bool) {
	it.body, it.whole, it.head.Reset = v.whole(&s.relay.kept), true, reset
}

// reset is bring for who holds something that cannot be built on.
func (s *step) reset(it *item, v *view) {
	s.bring(it, v, true)
	s.hub.metrics.resets.Inc()
}

// move takes a subscription to the view of p: the rights of its user changed, or
// those of others who shared the view until now. The client is sent what differs.
// False, with nothing done, where the step is short of something.
func (s *step) move(sub *subscription, p *graph.Principal) bool {
	if sub.view == nil || s.moved[sub] {
		return true
	}
	old, held := sub.view, sub.principal
	sub.session.freeze()
	cursor := sub.session.cursorOf(sub)
	v, err := s.view(sub.query, *p)
	var r *resumed
	if v != nil {
		r = s.heldFrom(old, v, held, p, cursor)
	}
	if s.short() {
		sub.session.thaw()
		return false
	}
	s.later(sub.session.thaw)
	delete(old.subs, sub)
	old.idle = time.Now()
	sub.principal = p
	if err != nil {
		s.refuse(sub, err)
		return true
	}
	it := s.load(sub, v)
	it.held = cursor
	if r != nil {
		it.body = r.load
	} else {
		s.reset(&it, v)
	}
	s.attach(sub, v, it)
	return true
}

// reload takes a subscription to its view from the start; false, with nothing
// done, where the step is short of something.
func (s *step) reload(sub *subscription) bool {
	v, err := s.view(sub.query, *sub.principal)
	if s.short() {
		return false
	}
	sub.session.freeze()
	s.later(sub.session.thaw)
	if err != nil {
		s.refuse(sub, err)
		return true
	}
	it := s.load(sub, v)
	it.held = sub.session.cursorOf(sub)
	s.bring(&it, v, true)
	s.attach(sub, v, it)
	return true
}

// attach makes sub a subscription of v once the step is published, unless it
// was ended meanwhile.
func (s *step) attach(sub *subscription, v *view, it item) {
	s.mark(sub)
	v.subs[sub] = struct{}{}
	// One for all, and nothing that is needed no more.
	sub.query, sub.held = v.query, nil
	s.later(func() {
		if !sub.session.attach(sub, v, it) {
			s.detach(sub, v)
			return
		}
		s.presence.forget(s, sub.session)
		s.presence.greet(sub.session, v)
	})
}

func (s *step) mark(sub *subscription) {
	if s.moved == nil {
		s.moved = map[*subscription]bool{}
	}
	s.moved[sub] = true
}

func (s *step) detach(sub *subscription, v *view) {
	delete(v.subs, sub)
	if len(v.subs) == 0 {
		v.idle = time.Now()
	}
}

// refuse ends a subscription with an error.
func (s *step) refuse(sub *subscription, err *graph.Error) {
	s.mark(sub)
	s.later(func() { sub.session.refuse(sub, err) })
}

// unsubscribe ends a subscription that its session has forgotten.
func (s *step) unsubscribe(sub *subscription) {
	if sub.view != nil {
		s.detach(sub, sub.view)
		s.later(func() { s.presence.forget(s, sub.session) })
	}
}

// renewRights makes a session's subscriptions those of p.
func (s *step) renewRights(sess *session, p *graph.Principal) {
	intruders := s.presence.renewed(s, sess, p)
	if s.short() {
		return
	}
	s.presence.expel(s, intruders)
	early := false
	for _, sub := range sess.subscriptions() {
		if samePrincipals(sub.principal, p) {
			continue
		}
		if s.moved[sub] {
			// On the way to a view with the rights until now: from there it goes on.
			early = true
			continue
		}
		if sub.view == nil {
			// It waits to begin, for something to be looked up or loaded: with
			// these rights.
			sub.principal = p
			continue
		}
		s.away(sub, func(s *step) bool { return s.move(sub, p) })
	}
	if early {
		s.again = append(s.again, command{run: func(s *step) { s.renewRights(sess, p) }})
	}
}

// leave forgets a session.
func (s *step) leave(sess *session) {
	for _, sub := range sess.subscriptions() {
		s.unsubscribe(sub)
	}
	s.presence.leave(s, sess)
}
