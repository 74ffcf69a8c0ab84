package fanout

import (
	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

// fallBehind asks for merged deltas; what was found before goes out first. The caller
// holds mu.
func (s *session) fallBehind(c collected) collected {
	if len(c.parts) > 0 {
		c.more = true
	} else {
		s.catching, c.lagging = true, true
	}
	return c
}

// catchingUp gives the command that brings a session its merged deltas. Who falls
// behind often does so with others: what they are sent is found once for all who stand
// at the same version, before the next commit.
func (s *session) catchingUp() command {
	return command{together: true, run: func(x *step) { x.catchUp(s) }}
}

// lost reports whether a delta that is to go out before what begins at a version is no
// longer here. The caller holds feedMu.
func (sub *subscription) lost(before graph.Version) bool {
	return sub.cursor < sub.view.feed.dropped && sub.cursor < before
}

// behind reports whether a subscription is better served by one merged delta: what it
// has not read is no longer here, or is a lot. The caller holds feedMu.
func (s *session) behind(sub *subscription) bool {
	if sub.lost(sub.view.feed.last) {
		return true
	}
	n, bytes := sub.view.feed.unread(sub.cursor)
	return n >= behindDeltas && bytes > s.hub.behind
}

// Who has not read so many deltas, of so many bytes, has fallen behind: more than one
// write takes, so that a burst alone does not count, and few enough that a page which
// comes back to life is not fed minutes of history first.
const (
	behindDeltas = 16
	behindBytes  = 2 * protocol.MaxMessage
)

// catchUp sends a session that has fallen behind one merged delta for each view,
// from where it stands to now. Loads that still wait are made anew, behind the
// deltas: those in the queue are older than what these lead to.
func (s *step) catchUp(sess *session) {
	sess.freeze()
	for _, sub := range sess.subscriptions() {
		// Asked for here, so that nothing is done where it cannot be told; what
		// is found is remembered.
		if v := sub.view; v != nil && !s.moved[sub] && !sess.hasLoad(sub) {
			if cursor := sess.cursorOf(sub); cursor < v.feed.last {
				s.heldAt(v, sub.principal, sub.principal, cursor)
			}
		}
	}
	if s.short() {
		sess.thaw()
		return
	}
	s.hub.metrics.lagged.Inc()
	s.later(sess.thaw)
	var loads []func()
	sent := map[*view]bool{}
	for _, sub := range sess.subscriptions() {
		v := sub.view
		if v == nil || s.moved[sub] {
			continue
		}
		if waiting, ok := sess.takeLoad(sub); ok {
			it := s.load(sub, v)
			it.held = waiting.held
			s.bring(&it, v, waiting.head.Reset || !waiting.whole)
			loads = append(loads, func() { sess.attach(sub, v, it) })
			continue
		}
		cursor := sess.cursorOf(sub)
		if cursor >= v.feed.last {
			continue
		}
		// Subscriptions that share a view have been sent the same of it.
		it := item{at: s.head.Version}
		switch r, _ := s.heldAt(v, sub.principal, sub.principal, cursor); {
		case r == nil:
			it = s.load(sub, v)
			s.reset(&it, v)
		case sent[v]:
			s.later(func() { sess.advance(sub, s.head.Version) })
			continue
		default:
			sent[v] = true
			it.body = r.deltaOf(v, s.head.Version)
		}
		it.held = cursor
		s.later(func() { sess.attach(sub, v, it) })
	}
	s.then = append(s.then, loads...)
	s.later(sess.caughtUp)
}
