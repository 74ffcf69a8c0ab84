package fanout

import (
	"encoding/json"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/server/protocol"
)

// maxPresent bounds the objects on which one session can be present.
const maxPresent = 100

// presence says who is on which object, doing what. It lives in memory alone,
// in the relay's goroutine.
type presence struct {
	on       map[graph.ObjectID]map[*session]json.RawMessage
	sessions map[*session]map[graph.ObjectID]struct{}
}

func newPresence() *presence {
	return &presence{on: map[graph.ObjectID]map[*session]json.RawMessage{}, sessions: map[*session]map[graph.ObjectID]struct{}{}}
}

// set notes what a session does on an object, nil that it left, and tells those
// who have the object in a view. What the session may not read is passed over
// in silence, as if it were not there.
func (p *presence) set(s *step, sess *session, user graph.Principal, on graph.ObjectID, state json.RawMessage) {
	if state == nil {
		if _, here := p.on[on][sess]; here {
			p.clear(sess, on)
			p.tell(s, on, protocol.PresenceState{Session: sess.id, User: user.User})
		}
		return
	}
	if s.st.Object(on) == nil || !access.Direct(s.st, &user, on, access.Read) {
		return
	}
	if _, here := p.on[on][sess]; !here && len(p.sessions[sess]) >= maxPresent {
		return
	}
	if p.on[on] == nil {
		p.on[on] = map[*session]json.RawMessage{}
	}
	p.on[on][sess] = state
	if p.sessions[sess] == nil {
		p.sessions[sess] = map[graph.ObjectID]struct{}{}
	}
	p.sessions[sess][on] = struct{}{}
	p.tell(s, on, protocol.PresenceState{Session: sess.id, User: user.User, State: state})
}

func (p *presence) clear(sess *session, on graph.ObjectID) {
	if delete(p.on[on], sess); len(p.on[on]) == 0 {
		delete(p.on, on)
	}
	if delete(p.sessions[sess], on); len(p.sessions[sess]) == 0 {
		delete(p.sessions, sess)
	}
}

// leave takes a session off every object.
func (p *presence) leave(s *step, sess *session) {
	for on := range p.sessions[sess] {
		p.clear(sess, on)
		p.tell(s, on, protocol.PresenceState{Session: sess.id, User: sess.user})
	}
}

// tell sends a state to every session that has the object in a view.
func (p *presence) tell(s *step, on graph.ObjectID, state protocol.PresenceState) {
	told := map[*session]bool{}
	for _, v := range s.index.objects[on] {
		if v.objects[on] == nil {
			continue
		}
		for sub := range v.subs {
			if told[sub.session] {
				continue
			}
			told[sub.session] = true
			s.later(func() { sub.session.tell(on, state) })
		}
	}
}

// greet tells a session that has just got a view who is on its objects. It is
// called when a step is published.
func (p *presence) greet(sess *session, v *view) {
	for on := range p.on {
		if v.objects[on] != nil {
			sess.tell(on, p.states(on)...)
		}
	}
}

// entered tells the sessions of a view who is on the objects that came into it.
func (p *presence) entered(s *step, v *view, d *difference) {
	if len(p.on) == 0 {
		return
	}
	for i := range d.entries {
		e := &d.entries[i]
		if e.obj == nil || e.was != 0 || p.on[e.obj.ID] == nil {
			continue
		}
		on, states := e.obj.ID, p.states(e.obj.ID)
		for sub := range v.subs {
			s.later(func() { sub.session.tell(on, states...) })
		}
	}
}

func (p *presence) states(on graph.ObjectID) []protocol.PresenceState {
	states := make([]protocol.PresenceState, 0, len(p.on[on]))
	for sess, state := range p.on[on] {
		states = append(states, protocol.PresenceState{Session: sess.id, User: sess.user, State: state})
	}
	return states
}
