package fanout

import (
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

// What follows is the relay's to call: how a session is given views, and what it is
// sent of them while it moves. attach and refuse are called with feedMu held for writing.

// attach gives a subscription its view as of the item, and queues the item;
// false where the session has ended the subscription.
func (s *session) attach(sub *subscription, v *view, it item) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !slices.Contains(s.subs, sub) {
		return false
	}
	sub.view, sub.cursor = v, it.at
	s.push(it)
	s.arrived(sub)
	s.wakeUp()
	return true
}

// refuse ends a subscription and tells why.
func (s *session) refuse(sub *subscription, err *graph.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.subs, sub)
	if s.closed || i < 0 {
		return
	}
	s.subs = slices.Delete(s.subs, i, i+1)
	sub.view = nil
	s.arrived(sub)
	s.push(item{text: protocol.AppendError(nil, sub.name, err)})
	s.wakeUp()
}

// freeze keeps the writer from taking anything out until thaw.
func (s *session) freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen++
}

// cursorOf gives the subscription's cursor, which stays where it is while the
// session is frozen.
func (s *session) cursorOf(sub *subscription) graph.Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sub.cursor
}

// advance moves the cursor of a subscription that is sent through another one.
func (s *session) advance(sub *subscription, to graph.Version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.cursor = to
}

// hasLoad reports whether a load waits for the subscription.
func (s *session) hasLoad(sub *subscription) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.items, func(it item) bool { return it.sub == sub })
}

// takeLoad takes a load that waits for the subscription out of the queue.
func (s *session) takeLoad(sub *subscription) (item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.items, func(it item) bool { return it.sub == sub })
	if i < 0 {
		return item{}, false
	}
	it := s.items[i]
	s.drop(func(it *item) bool { return it.sub == sub })
	return it, true
}

func (s *session) thaw() {
	s.mu.Lock()
	s.frozen--
	s.mu.Unlock()
	s.wakeUp()
}

func (s *session) caughtUp() {
	s.mu.Lock()
	s.catching = false
	s.mu.Unlock()
	s.wakeUp()
}
