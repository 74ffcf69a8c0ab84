package fanout

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/schema"
	"github.com/graphtide/graphtide/server/protocol"
)

// Hub serves the websockets of a node. It runs from New until Stop.
type Hub struct {
	cfg      Config
	metrics  *metrics
	ctx      context.Context // of everything that outlives a connection
	cancel   context.CancelFunc
	unlisten func()
	serving  sync.WaitGroup // connections
	peers    *peers         // nil where the hub is alone
	hearing  sync.WaitGroup // of peers and owners
	relaying sync.WaitGroup // relays
	lookups  chan struct{}  // a place for each relay that reads the log
	refill   graph.Version  // how many commits a relay reads back
	behind   int64          // behindBytes, but for tests

	mu       sync.Mutex // guards the fields below
	relays   map[string]*relay
	sessions sessionsByID
	owners   owners
	crowd    crowd
	conns    []*connection // in no order
	draining bool
}

type sessionKey struct{ graph, id string }

// sessionsByID are the newest sessions of their ids, by graph and id.
type sessionsByID map[string]map[string]*session

func (m sessionsByID) of(k sessionKey) *session { return m[k.graph][k.id] }

func (m sessionsByID) put(k sessionKey, s *session) {
	if m[k.graph] == nil {
		m[k.graph] = map[string]*session{}
	}
	m[k.graph][k.id] = s
}

func (m sessionsByID) remove(k sessionKey) {
	if delete(m[k.graph], k.id); len(m[k.graph]) == 0 {
		delete(m, k.graph)
	}
}

// all gives them in no order.
func (m sessionsByID) all() iter.Seq[*session] {
	return func(yield func(*session) bool) {
		for _, sessions := range m {
			for _, s := range sessions {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// New makes a Hub.
func New(cfg Config) *Hub {
	cfg = cfg.WithDefaults()
	h := &Hub{
		cfg: cfg, metrics: newMetrics(cfg.Metrics),
		relays: map[string]*relay{}, sessions: sessionsByID{}, owners: newOwners(), crowd: newCrowd(),
		lookups: make(chan struct{}, maxLookups), refill: refillCommits, behind: behindBytes,
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if h.peers = newPeers(h, cfg.Peers); h.peers != nil {
		h.hearing.Go(func() { h.peers.listen(h.ctx) })
	}
	if cfg.Owners != nil {
		h.hearing.Go(func() { h.keepSessions(h.ctx) })
	}
	h.unlisten = cfg.Live.OnChange(func(*schema.Registry) { h.schemaChanged() })
	return h
}

// schemaChanged makes every relay take a step, which sees the new schema.
func (h *Hub) schemaChanged() {
	for _, r := range h.open() {
		r.wakeUp()
	}
}

func (h *Hub) open() []*relay {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]*relay, 0, len(h.relays))
	for _, r := range h.relays {
		out = append(out, r)
	}
	return out
}

// relay gives the one that follows a graph, starting it where there is none.
func (h *Hub) relay(ctx context.Context, name string) (*relay, error) {
	rep, err := h.cfg.Replicas.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return nil, graph.Errf(graph.CodeUnavailable, "this node is stopping; ask another one")
	}
	if r := h.relays[name]; r != nil && r.replica == rep {
		return r, nil
	}
	r := newRelay(h, rep)
	h.relays[name] = r
	h.peers.say(peerMessage{Kind: peerWho, Graph: name})
	return r, nil
}

// relayOf gives the relay of a graph, nil where there is none.
func (h *Hub) relayOf(name string) *relay {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.relays[name]
}

// retire forgets a relay that has ended.
func (h *Hub) retire(r *relay) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.relays[r.name] == r {
		delete(h.relays, r.name)
	}
}

// lens gives what views of a relay are computed with.
func (h *Hub) lens(r *relay) *lens {
	return &lens{types: r.reg, limits: h.cfg.Limits, metrics: h.metrics, refused: func(id graph.ObjectID) {
		h.cfg.Log.Error("the two checks of rights disagree; the object is held back", "graph", r.name, "object", id.String())
	}}
}

// claim makes the session's id its user's, and lets the session in: a code of
// refusal where the id is another's, or the user has too many. It gives the
// session that had the id until now.
func (h *Hub) claim(s *session) (replaced *session, refusal error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := sessionKey{s.relay.name, s.id}
	replaced = h.sessions.of(k)
	if user, known := h.ownerOf(k); known && user != s.user() {
		return nil, refused(protocol.CloseForbidden)
	}
	if !h.crowd.join(s.user(), replaced != nil, &h.cfg) {
		return nil, refused(protocol.CloseTooMany)
	}
	h.sessions.put(k, s)
	h.peers.say(peerMessage{Kind: peerClaim, Graph: k.graph, Session: k.id, User: s.user()})
	return replaced, nil
}

// ownerOf gives the user that an id belongs to. The caller holds mu.
func (h *Hub) ownerOf(k sessionKey) (user string, known bool) {
	if s := h.sessions.of(k); s != nil {
		return s.user(), true
	}
	return h.owners.find(k, time.Now())
}

// claimedElsewhere lets a session go that has connected to another node. A
// claim by another user does not count: the id is its user's on each node that
// knows it.
func (h *Hub) claimedElsewhere(k sessionKey, user string) {
	h.mu.Lock()
	if owner, known := h.ownerOf(k); known && owner != user {
		h.mu.Unlock()
		return
	}
	s := h.sessions.of(k)
	if s == nil {
		h.owners.depart(k, user, time.Now())
	}
	h.mu.Unlock()
	if s != nil {
		s.close(protocol.CloseReplaced)
	}
}

// release gives up a session's place. The id stays its user's for a while.
func (h *Hub) release(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.crowd.leave(s.user())
	k := sessionKey{s.relay.name, s.id}
	if h.sessions.of(k) == s {
		h.sessions.remove(k)
		h.owners.depart(k, s.user(), time.Now())
	}
}

// Drain lets every session go, `bye` first, and takes no new ones. It returns
// when all are gone, or with ctx's error.
func (h *Hub) Drain(ctx context.Context) error {
	h.mu.Lock()
	h.draining = true
	var silent []*connection
	for _, c := range h.conns { // those that have said hello are their relays'
		if c.silent {
			c.silent = false
			silent = append(silent, c) // serving counts it until it is closed
		}
	}
	h.mu.Unlock()
	var sessions []*session
	for _, r := range h.open() {
		sessions = append(sessions, r.list()...)
	}
	back := spreadOver(len(silent) + len(sessions))
	for _, c := range silent {
		go h.dismiss(c, back.next())
	}
	for _, s := range sessions {
		s.bye(back.next(), protocol.CloseDraining)
	}
	gone := make(chan struct{})
	go func() {
		h.serving.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		h.cut()
		<-gone
		return ctx.Err()
	}
}

// Stop closes what Drain has left, and returns when nothing of the Hub runs any
// more. It may be called twice.
func (h *Hub) Stop() {
	h.mu.Lock()
	h.draining = true
	h.mu.Unlock()
	h.cut()
	h.serving.Wait()
	for _, r := range h.open() {
		r.stop()
		h.retire(r)
	}
	h.unlisten()
	h.cancel()
	h.hearing.Wait()
	h.relaying.Wait()
}

// cut closes all connections at once.
func (h *Hub) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		go c.CloseNow()
	}
}

// enter notes a connection; a code of refusal where it is not taken.
func (h *Hub) enter(c *connection) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.draining:
		return refused(protocol.CloseDraining)
	case !h.crowd.enter(c.address, &h.cfg):
		return refused(protocol.CloseTooMany)
	}
	h.serving.Add(1)
	c.place = int32(len(h.conns))
	h.conns = append(h.conns, c)
	return nil
}

// listen notes that the hello of a connection is waited for; false where the node
// drains.
func (h *Hub) listen(c *connection) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.silent = !h.draining
	return c.silent
}

// heard ends the wait for a hello: true for the one who ends it, who goes on with
// the connection or closes it.
func (h *Hub) heard(c *connection) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := c.silent
	c.silent = false
	return was
}

// dismiss lets a connection go that has not said hello.
func (h *Hub) dismiss(c *connection, after time.Duration) {
	c.Write(h.ctx, websocket.MessageText, protocol.AppendBye(nil, after))
	h.shut(c, protocol.CloseDraining)
}

func (h *Hub) isDraining() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.draining
}

func (h *Hub) exit(c *connection) {
	h.mu.Lock()
	last := len(h.conns) - 1
	h.conns[c.place], h.conns[last].place = h.conns[last], c.place
	h.conns[last] = nil
	h.conns = h.conns[:last]
	h.crowd.exit(c.address)
	h.mu.Unlock()
	h.serving.Done()
}

// problem gives what a client may see of an error, and logs what is ours.
func (h *Hub) problem(err error) *graph.Error {
	var e *graph.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		e = &graph.Error{Code: graph.CodeUnavailable, Message: "this took too long; try again", Err: err}
	default:
		e = graph.AsError(err)
	}
	if e.Code == graph.CodeInternal {
		h.cfg.Log.Error("a request over the websocket failed", "err", err)
	}
	if (e.Code == graph.CodeUnavailable || e.Code == graph.CodeRateLimited) && e.RetryAfter <= 0 {
		later := *e
		later.RetryAfter = time.Second
		return &later
	}
	return e
}
