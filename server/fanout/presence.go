package fanout

import (
	"bytes"
	"encoding/json"
	"iter"
	"slices"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/server/protocol"
)

// maxPresent bounds the objects on which one session can be present.
const maxPresent = 100

// presence says who is on which object, doing what. It lives in memory alone,
// in the relay's goroutine; what other nodes' sessions do is heard from there.
type presence struct {
	graph    string
	peers    *peers
	on       map[graph.ObjectID]map[*session]json.RawMessage
	sessions map[*session]map[graph.ObjectID]struct{}
	far      map[graph.ObjectID]map[string]distant // by session
	said     time.Time
}

// distant is a session's state on another node.
type distant struct {
	node, user string
	state      json.RawMessage
	heard      time.Time
}

func newPresence(graphName string, p *peers) *presence {
	return &presence{
		graph: graphName, peers: p, said: time.Now(),
		on:       map[graph.ObjectID]map[*session]json.RawMessage{},
		sessions: map[*session]map[graph.ObjectID]struct{}{},
		far:      map[graph.ObjectID]map[string]distant{},
	}
}

// say tells the other nodes, who tell their sessions.
func (p *presence) say(on graph.ObjectID, sess *session, state json.RawMessage) {
	p.peers.say(peerMessage{Kind: peerPresence, Graph: p.graph, On: on.String(), Session: sess.public(), User: sess.user(), State: state})
}

// sayAll tells the other nodes of everybody here.
func (p *presence) sayAll() {
	for on, here := range p.on {
		for sess, state := range here {
			p.say(on, sess, state)
		}
	}
}

// hear notes what a session of another node does.
func (p *presence) hear(s *step, m peerMessage, on graph.ObjectID, now time.Time) {
	old, known := p.far[on][m.Session]
	if m.State == nil || string(m.State) == "null" {
		if known && old.node == m.Node { // else it has moved on
			p.gone(s, on, m.Session)
		}
		return
	}
	if p.far[on] == nil {
		p.far[on] = map[string]distant{}
	}
	p.far[on][m.Session] = distant{m.Node, m.User, m.State, now}
	if !known || string(old.state) != string(m.State) {
		p.tell(s, on, protocol.PresenceState{Session: m.Session, User: m.User, State: m.State})
	}
}

// gone forgets a session of another node, and says so where it is not here.
func (p *presence) gone(s *step, on graph.ObjectID, id string) {
	user := p.far[on][id].user
	s.off(on, id)
	if delete(p.far[on], id); len(p.far[on]) == 0 {
		delete(p.far, on)
	}
	for sess := range p.on[on] {
		if sess.public() == id {
			return
		}
	}
	p.tell(s, on, protocol.PresenceState{Session: id, User: user})
}

// due reports whether refresh has something to do.
func (p *presence) due(now time.Time) bool {
	return p.peers != nil && now.Sub(p.said) >= presenceAgain && len(p.on)+len(p.far) > 0
}

// refresh says again who is here, and forgets those elsewhere of whom nobody has
// spoken for long.
func (p *presence) refresh(s *step, now time.Time) {
	p.said = now
	p.sayAll()
	for on, there := range p.far {
		for id, d := range there {
			if now.Sub(d.heard) >= presenceAge {
				p.gone(s, on, id)
			}
		}
	}
}

// set notes what a session does on an object, nil that it left, and tells those
// who have the object in a view. What the session may not read is passed over
// in silence, as if it were not there.
func (p *presence) set(s *step, sess *session, user graph.Principal, on graph.ObjectID, state json.RawMessage) {
	if state == nil {
		if _, here := p.on[on][sess]; here {
			p.left(s, sess, on)
		}
		return
	}
	if !present(s.st, &user, on) || s.short() {
		return
	}
	if _, here := p.on[on][sess]; !here && len(p.sessions[sess]) >= maxPresent {
		return
	}
	for other := range p.on[on] {
		// The connection that this one replaced may go later: it is not to be
		// taken for the session's leaving.
		if other != sess && other.id == sess.id {
			p.clear(other, on)
		}
	}
	if p.on[on] == nil {
		p.on[on] = map[*session]json.RawMessage{}
	}
	p.on[on][sess] = state
	if p.sessions[sess] == nil {
		p.sessions[sess] = map[graph.ObjectID]struct{}{}
	}
	p.sessions[sess][on] = struct{}{}
	p.say(on, sess, state)
	p.tell(s, on, protocol.PresenceState{Session: sess.public(), User: user.User, State: state})
}

// left takes a session off an object and says so, unless another node has heard
// from it there since.
func (p *presence) left(s *step, sess *session, on graph.ObjectID) {
	p.clear(sess, on)
	s.off(on, sess.public())
	p.say(on, sess, nil)
	if _, elsewhere := p.far[on][sess.public()]; !elsewhere {
		p.tell(s, on, protocol.PresenceState{Session: sess.public(), User: sess.user()})
	}
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
		p.left(s, sess, on)
	}
}

// intruders gives those present on objects that they may no longer read, after
// the commits of the step.
func (p *presence) intruders(s *step) (list []attendance) {
	if len(p.on) == 0 {
		return nil
	}
	rights := s.batch.rights(s.st)
	if len(rights) == 0 && s.batch.known {
		return nil
	}
	for on, here := range p.on {
		if s.batch.known && !rests(s.st, on, rights) {
			continue
		}
		for sess := range here {
			if !present(s.st, sess.rights(), on) {
				list = append(list, attendance{sess, on})
			}
		}
	}
	return list
}

// attendance is a session on an object.
type attendance struct {
	sess *session
	on   graph.ObjectID
}

// present reports whether p may be on an object.
func present(r graph.Reader, p *graph.Principal, on graph.ObjectID) bool {
	return r.Object(on) != nil && access.Direct(r, p, on, access.Read)
}

// renewed gives where a session may no longer be, with the rights of user.
func (p *presence) renewed(s *step, sess *session, user *graph.Principal) (list []attendance) {
	for on := range p.sessions[sess] {
		if !present(s.st, user, on) {
			list = append(list, attendance{sess, on})
		}
	}
	return list
}

// expel takes those off.
func (p *presence) expel(s *step, list []attendance) {
	for _, a := range list {
		p.left(s, a.sess, a.on)
	}
}

// tell sends a state to every session that has the object in a view.
func (p *presence) tell(s *step, on graph.ObjectID, state protocol.PresenceState) {
	told := map[*session]bool{}
	s.index.objects.each(on, func(v *view) {
		if v.objects[on] == nil {
			return
		}
		for sub := range v.subs {
			if told[sub.session] {
				continue
			}
			told[sub.session] = true
			s.later(func() {
				if sub.view != nil && sub.view.objects[on] != nil { // it may have parted meanwhile
					sub.session.tell(on, state)
				}
			})
		}
	})
}

// forget takes those on objects that none of the session's views shows any more
// off its screen. It is called when a step is published.
func (p *presence) forget(s *step, sess *session) {
	sess.mu.Lock()
	lost := slices.DeleteFunc(sess.present.objects(), sess.sees)
	for _, on := range lost {
		sess.present.lose(on, slices.AppendSeq(slices.Clone(s.offs[on]), p.who(on)))
	}
	sess.mu.Unlock()
	if len(lost) > 0 {
		sess.wakeUp()
	}
}

// who gives the sessions that are on an object.
func (p *presence) who(on graph.ObjectID) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, state := range p.states(on) {
			if !yield(state.Session) {
				return
			}
		}
	}
}

// walk tells a session of those on its views' objects that there was no room
// for, until there is none again.
func (p *presence) walk(s *step, sess *session) {
	s.later(func() {
		sess.mu.Lock()
		defer sess.mu.Unlock()
		from := sess.present.walk()
		var list []graph.ObjectID
		for on := range p.on {
			list = append(list, on)
		}
		for on := range p.far {
			if p.on[on] == nil {
				list = append(list, on)
			}
		}
		list = slices.DeleteFunc(list, func(on graph.ObjectID) bool { return bytes.Compare(on[:], from[:]) < 0 || !sess.sees(on) })
		sortIDs(list)
		for _, on := range list {
			if sess.present.weight >= maxPresenceWaiting {
				sess.present.late(on)
				break
			}
			for _, state := range p.states(on) {
				sess.present.file(on, state)
			}
		}
		sess.wakeUp()
	})
}

// greet tells a session that has just got a view who is on its objects. It is
// called when a step is published.
func (p *presence) greet(sess *session, v *view) {
	for on := range p.on {
		if v.objects[on] != nil {
			sess.tell(on, p.states(on)...)
		}
	}
	for on := range p.far {
		if v.objects[on] != nil && p.on[on] == nil {
			sess.tell(on, p.states(on)...)
		}
	}
}

// entered tells the sessions of a view who is on the objects that came into it.
func (p *presence) entered(s *step, v *view, d *difference) {
	if len(p.on)+len(p.far) == 0 {
		return
	}
	for i := range d.entries {
		e := &d.entries[i]
		if e.obj == nil || e.was != 0 || len(p.on[e.obj.ID])+len(p.far[e.obj.ID]) == 0 {
			continue
		}
		on, states := e.obj.ID, p.states(e.obj.ID)
		s.later(func() { // to those who still have the view then: others may have parted
			if v.objects[on] == nil {
				return
			}
			for sub := range v.subs {
				sub.session.tell(on, states...)
			}
		})
	}
}

// leftView drops what the sessions of a view have not yet been told of objects that
// went out of it.
func (p *presence) leftView(s *step, v *view, d *difference) {
	for i := range d.entries {
		if e := &d.entries[i]; e.why != "" && e.ref.Kind == graph.KindObject {
			s.later(func() {
				for sub := range v.subs {
					p.forget(s, sub.session)
				}
			})
			return
		}
	}
}

func (p *presence) states(on graph.ObjectID) []protocol.PresenceState {
	states := make([]protocol.PresenceState, 0, len(p.on[on])+len(p.far[on]))
	for id, d := range p.far[on] {
		states = append(states, protocol.PresenceState{Session: id, User: d.user, State: d.state})
	}
	for sess, state := range p.on[on] {
		states = append(states, protocol.PresenceState{Session: sess.public(), User: sess.user(), State: state})
	}
	return states
}
