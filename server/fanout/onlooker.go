package fanout

import (
	"bytes"
	"maps"
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

// maxPresenceWaiting bounds the bytes of presence that wait for one session.
const maxPresenceWaiting = 1 << 20

// presenceWeight is what a state takes beside its text.
const presenceWeight = 150

// onlooker is what a session has yet to be told of presence: of each who came,
// changed or left, the newest. What is over the bound is not kept. It is told
// once the session has read the rest: from the object next on, by presence.walk.
// session.mu guards it. Nobody has been told of anything where there is none: nil works.
type onlooker struct {
	waiting map[graph.ObjectID]map[string]protocol.PresenceState
	weight  int
	told    map[graph.ObjectID]struct{} // on which the session was told of somebody
	behind  bool
	next    graph.ObjectID // while behind
	asked   bool           // for a walk that has not begun
}

func weightOf(p protocol.PresenceState) int { return presenceWeight + len(p.State) }

// put files a state; false where there is no room for it.
func (l *onlooker) put(on graph.ObjectID, p protocol.PresenceState) bool {
	_, told := l.told[on]
	old, waits := l.waiting[on][p.Session]
	switch {
	case p.State == nil && waits && old.State == nil:
		return true
	case p.State == nil && !told:
		l.take(on, p.Session) // of whom nothing was told, it need not be told that he left
		return true
	}
	l.take(on, p.Session)
	if p.State != nil && l.weight >= maxPresenceWaiting {
		return false
	}
	l.file(on, p)
	return true
}

func (l *onlooker) file(on graph.ObjectID, p protocol.PresenceState) {
	l.take(on, p.Session)
	if l.waiting == nil {
		l.waiting = map[graph.ObjectID]map[string]protocol.PresenceState{}
	}
	if l.waiting[on] == nil {
		l.waiting[on] = map[string]protocol.PresenceState{}
	}
	l.waiting[on][p.Session] = p
	l.weight += weightOf(p)
}

func (l *onlooker) take(on graph.ObjectID, session string) {
	old, ok := l.waiting[on][session]
	if !ok {
		return
	}
	l.weight -= weightOf(old)
	if delete(l.waiting[on], session); len(l.waiting[on]) == 0 {
		delete(l.waiting, on)
	}
}

// late notes that something on an object was not filed.
func (l *onlooker) late(on graph.ObjectID) {
	if !l.behind || bytes.Compare(on[:], l.next[:]) < 0 {
		l.next = on
	}
	l.behind = true
}

// ask reports whether presence.walk is to be asked for: something was not filed,
// there is room again, and it was not asked for since.
func (l *onlooker) ask() bool {
	if l == nil || !l.behind || l.asked {
		return false
	}
	l.asked = true
	return true
}

// walk gives where a walk that begins now has to begin; what it does not file is
// late again.
func (l *onlooker) walk() graph.ObjectID {
	l.behind, l.asked = false, false
	return l.next
}

// lose makes those on an object, which the session sees no longer, leave for it:
// those of whom it was told. Of others it hears no more.
func (l *onlooker) lose(on graph.ObjectID, sessions []string) {
	for id, p := range l.waiting[on] {
		if p.State != nil {
			l.take(on, id)
		}
	}
	for _, id := range sessions {
		l.put(on, protocol.PresenceState{Session: id})
	}
	delete(l.told, on)
}

// objects gives those of which something waits to be told, or was told.
func (l *onlooker) objects() []graph.ObjectID {
	if l == nil || len(l.waiting)+len(l.told) == 0 {
		return nil
	}
	return slices.AppendSeq(slices.Collect(maps.Keys(l.waiting)), maps.Keys(l.told))
}

// all hands out what waits for a session, as messages.
func (l *onlooker) all(of *session, yield func([]byte)) {
	if l == nil || len(l.waiting) == 0 {
		return
	}
	self := of.public()
	for on, states := range l.waiting {
		if own, ok := states[self]; ok {
			own.Session = of.id
			states[self] = own
		}
		for _, p := range states {
			if p.State != nil {
				if l.told == nil {
					l.told = map[graph.ObjectID]struct{}{}
				}
				l.told[on] = struct{}{}
				break
			}
		}
		yield(protocol.AppendPresence(nil, on, slices.Collect(maps.Values(states))))
	}
	l.waiting, l.weight = nil, 0
}

// tell files what sessions do on an object. The caller may hold feedMu.
func (s *session) tell(on graph.ObjectID, states ...protocol.PresenceState) {
	s.mu.Lock()
	if s.present == nil {
		s.present = &onlooker{}
	}
	for _, p := range states {
		if !s.present.put(on, p) {
			s.present.late(on)
		}
	}
	s.mu.Unlock()
	s.wakeUp()
}

// sees reports whether one of the session's views shows an object. The caller
// holds feedMu and mu.
func (s *session) sees(on graph.ObjectID) bool {
	return slices.ContainsFunc(s.subs, func(sub *subscription) bool { return sub.view != nil && sub.view.objects[on] != nil })
}
