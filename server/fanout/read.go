package fanout

import (
	"encoding/json"
	"errors"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/patch"
	"github.com/graphtide/graphtide/server/protocol"
)

// run serves a session until it ends. rest are lines that came with the hello.
func (s *session) run(rest [][]byte) {
	s.hub.metrics.sessions.Inc()
	s.helpers.Go(s.writeLoop)
	defer s.depart() // also where the work on a message panics
	s.readLoop(rest)
}

// depart lets go of all that the session has.
func (s *session) depart() {
	s.abandon()
	s.relay.leave(s)
	s.hub.release(s)
	s.helpers.Wait()
	s.conn.wire.finish()
	s.hub.metrics.sessions.Dec()
}

// readLoop works on the client's messages, one after another. It ends with the
// connection.
func (s *session) readLoop(rest [][]byte) {
	for _, line := range rest {
		if !s.hasRoom() || !s.line(line) {
			return
		}
	}
	for s.hasRoom() {
		s.reading.Store(int64(thisMoment()))
		msg, err := s.hub.read(s.conn)
		s.reading.Store(0)
		var code refused
		switch {
		case errors.As(err, &code):
			s.close(protocol.CloseCode(code))
			return
		case err != nil:
			return
		}
		for line, err := range protocol.Split(msg) {
			if err != nil {
				s.close(protocol.CloseBadMessage)
				return
			}
			if !s.hasRoom() || !s.line(line) {
				return
			}
		}
	}
}

// hasRoom waits while too much waits to be written or to be committed; false
// once the session ends.
func (s *session) hasRoom() bool {
	for {
		s.mu.Lock()
		full := s.waiting > maxWaiting || s.flying > maxFlying || len(s.answers) >= s.hub.cfg.InFlight
		closed := s.closed
		if full && s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		if closed {
			return false
		}
		if !full {
			return true
		}
		select {
		case <-room:
		case <-s.ctx.Done():
			return false
		}
	}
}

// line works on one object; false ends the session.
func (s *session) line(text []byte) bool {
	m, err := protocol.Decode(text)
	if _, mutation := m.(*protocol.Mutate); !mutation && !s.pace.takes(thisMoment(), s.hub.cfg.Rate) {
		s.close(protocol.CloseTooMany)
		return false
	}
	s.handling.Lock()
	defer s.handling.Unlock()
	if s.ended() {
		return false // replaced, perhaps: nothing more may come of this one
	}
	var refusal *protocol.Refusal
	switch {
	case err == nil:
		return s.message(m)
	case !errors.As(err, &refusal):
		s.close(protocol.CloseBadMessage)
		return false
	case refusal.Mutation != "":
		s.answered(s.expect(refusal.Mutation, 0), graph.Receipt{}, refusal.Problem)
	default:
		s.queue(item{text: protocol.AppendError(nil, refusal.Sub, refusal.Problem)})
	}
	return true
}

func (s *session) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *session) message(m protocol.Message) bool {
	switch m := m.(type) {
	case *protocol.Hello:
		s.close(protocol.CloseBadMessage) // one is enough
		return false
	case *protocol.Token:
		return s.renew(m)
	case *protocol.Sub:
		if err := s.subscribe(m); err != nil {
			s.queue(item{text: protocol.AppendError(nil, m.Sub, s.hub.problem(err))})
		}
	case *protocol.Unsub:
		s.end(s.remove(m.Sub))
	case *protocol.Mutate:
		s.mutate(m)
	case *protocol.Can:
		s.can(m)
	case *protocol.Presence:
		s.presence(m)
	case *protocol.Ping:
		s.mu.Lock()
		s.wantAts, s.lastAt = s.wantAts+1, thisMoment()
		s.mu.Unlock()
		s.wakeUp()
	}
	return true
}

// renew takes a new token. It must be the same user's.
func (s *session) renew(m *protocol.Token) bool {
	p, expires, err := s.hub.authenticate(s.ctx, s.relay.name, m.Token)
	var code refused
	switch {
	case errors.As(err, &code):
		s.close(protocol.CloseCode(code))
		return false
	case p.User != s.user():
		s.close(protocol.CloseForbidden)
		return false
	}
	s.mu.Lock()
	s.principal.Store(&p)
	s.expires = expiry(expires)
	s.mu.Unlock()
	s.relay.ask(s.ctx, command{alone: true, run: func(x *step) { x.renewRights(s, &p) }})
	return true
}

// subscribe begins a subscription, or loads a past state.
func (s *session) subscribe(m *protocol.Sub) error {
	proj, err := s.projection(m)
	if err != nil {
		return err
	}
	if m.At != nil {
		return s.loadPast(m, proj)
	}
	p := s.rights()
	sub := &subscription{session: s, name: m.Sub, query: newQuery(proj), principal: p}
	if m.Since != nil {
		sub.held = &claim{since: *m.Since, epoch: m.Epoch, key: m.Key}
	}
	old, ok := s.add(sub)
	if !ok {
		return graph.TooLarge("subscriptions", int64(s.hub.cfg.Limits.Subscriptions), "subscriptions in one session")
	}
	s.end(old)
	s.relay.ask(s.ctx, command{aside: replica.OneRequest(s.ctx), run: func(x *step) { x.subscribe(sub) }})
	return nil
}

// end has the relay forget a subscription that the session has forgotten; nil is none.
func (s *session) end(sub *subscription) {
	if sub != nil {
		s.relay.ask(s.ctx, command{run: func(x *step) { x.unsubscribe(sub) }})
	}
}

// projection gives the projection that a sub names or holds.
func (s *session) projection(m *protocol.Sub) (*graph.Projection, error) {
	lim := patch.JSONLimits{Depth: graph.MaxProjectionNesting}
	text := m.Projection
	if m.Name != "" {
		text = m.Args
	}
	if len(text) > 0 {
		if fault := patch.Check(text, lim); fault != nil {
			err := graph.Errf(graph.CodeInvalidJSON, "%s", fault.Message).At(fault.Path)
			if fault.Reason == patch.TooLarge {
				err.Code, err.Limit = graph.CodeTooLarge, "projectionNesting"
			}
			return nil, err
		}
	}
	if m.Name == "" {
		proj, err := graph.ParseProjection(text)
		if err != nil {
			return nil, err
		}
		return proj, nil
	}
	named := s.hub.cfg.Live.Current().Projections[m.Name]
	if named == nil {
		return nil, graph.Errf(graph.CodeInvalidProjection, "the schema has no projection %q", m.Name)
	}
	proj, err := named.Instantiate(text)
	if err != nil {
		return nil, err
	}
	return proj, nil
}

// loadPast answers with the state at a version, judged by today's rights. It takes the
// place of a subscription of the same name.
func (s *session) loadPast(m *protocol.Sub, proj *graph.Projection) error {
	snapshot, err := s.hub.cfg.Replicas.At(s.ctx, s.relay.name, *m.At)
	if err != nil {
		return err
	}
	// Rights are judged on a state that has seen all that is shown.
	if err := s.relay.reach(s.ctx, *m.At); err != nil {
		return err
	}
	gone, err := s.relay.replica.Past(s.ctx, *m.At)
	if err != nil {
		return err
	}
	p := s.rights()
	reg := s.hub.cfg.Live.Current()
	var res *replica.Result
	var fault *graph.Error
	err = s.relay.replica.Read(s.ctx, func(st *replica.State) {
		judge := gone.Over(st)
		walker := access.NewWalker(judge, p, nil)
		mayRead := func(id graph.ObjectID) bool { return walker.Holds(id, access.Read) }
		if res, fault = replica.EvaluateAs(snapshot, mayRead, snapshot.Types(reg), proj, s.hub.cfg.Limits); fault == nil && st.Missed() == 0 {
			s.hub.lens(s.relay).recheck(judge, p, res)
		}
	})
	if err != nil {
		return err
	}
	if fault != nil {
		return fault
	}
	var digest uint32
	for _, o := range res.Objects {
		digest += protocol.DigestOf(o.ID, o.Meta.Version)
	}
	for _, e := range res.Edges {
		digest += protocol.DigestOf(e.ID, e.Meta.Version)
	}
	old := s.remove(m.Sub)
	s.end(old)
	again := s.fix(m.Sub) || old != nil
	s.queue(item{body: wholeBody(res.Objects, res.Edges, res.Roots, digest), head: &protocol.LoadHead{
		Sub: m.Sub, View: "at" + m.Sub, Key: newQuery(proj).key(reg, p), Reset: again, Version: *m.At,
	}})
	return nil
}

// expect takes a place in the order of answers, for a mutation of a size.
func (s *session) expect(mutation string, size int) *answer {
	a := &answer{mutation: mutation, size: size}
	s.mu.Lock()
	s.answers = append(s.answers, a)
	s.waiting += answerWeight
	s.flying += size
	s.mu.Unlock()
	return a
}

// mutate hands a transaction to the write path, which outlives the connection.
func (s *session) mutate(m *protocol.Mutate) {
	a := s.expect(m.Mutation, len(m.Patch))
	s.hub.cfg.Submitter.Enqueue(s.hub.ctx, s.relay.name, &graph.Mutation{
		Key: m.Mutation, Patch: m.Patch, Author: *s.rights(), Session: s.id,
		Base: m.Base, Group: m.Group, Note: m.Note,
	}, func(receipt graph.Receipt, err error) { s.answered(a, receipt, err) })
}

// can answers which rights the user holds.
func (s *session) can(m *protocol.Can) {
	p := s.rights()
	reg := s.hub.cfg.Live.Current()
	list := make([]protocol.Rights, 0, len(m.Objects))
	seen := make(map[graph.ObjectID]bool, len(m.Objects))
	err := s.relay.replica.Read(s.ctx, func(st *replica.State) {
		list = list[:0]
		clear(seen)
		walker := access.NewWalker(st, p, nil)
		for _, id := range m.Objects {
			o := st.Object(id)
			if o == nil || seen[id] || !walker.Holds(id, access.Read) || !access.Direct(st, p, id, access.Read) {
				continue
			}
			seen[id] = true
			among := []string{access.Manage, access.Read, access.Write}
			if t := reg.TypeOf(o.Type); t != nil {
				among = t.Rights
			}
			list = append(list, protocol.Rights{ID: id, Rights: walker.Rights(id, among)})
		}
	})
	if err != nil {
		s.queue(item{text: protocol.AppendError(nil, "", s.hub.problem(err))})
		return
	}
	s.queue(item{text: protocol.AppendCan(nil, list)})
}

// presence says what the session does on an object.
func (s *session) presence(m *protocol.Presence) {
	var state json.RawMessage
	if m.State != nil {
		if len(m.State) > s.hub.cfg.Limits.PresenceBytes {
			s.queue(item{text: protocol.AppendError(nil, "", graph.TooLarge("presenceBytes", int64(s.hub.cfg.Limits.PresenceBytes), "bytes of presence"))})
			return
		}
		if fault := patch.Check(m.State, patch.JSONLimits{Depth: s.hub.cfg.Limits.BodyDepth}); fault != nil {
			s.queue(item{text: protocol.AppendError(nil, "", graph.Errf(graph.CodeInvalidJSON, "%s", fault.Message).At(fault.Path))})
			return
		}
		state = append(json.RawMessage(nil), patch.Compact(m.State)...)
	}
	p := s.rights()
	s.relay.ask(s.ctx, command{run: func(x *step) { x.presence.set(x, s, *p, m.On, state) }})
}
