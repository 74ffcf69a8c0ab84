package fanout

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
)

// Peers carries short messages between the hubs of one deployment. A message may
// be lost: what matters is said again.
type Peers interface {
	// Publish sends a message to all hubs, this one included. It never blocks.
	Publish(message []byte)
	// Listen calls fn for every message until ctx ends, and subscribed whenever
	// the others are heard anew.
	Listen(ctx context.Context, subscribed func(), fn func(message []byte))
}

// How often a hub says again who is present in its graphs, and how long the
// others believe it: a node that dies takes back nothing.
const (
	presenceAgain = 10 * time.Second
	presenceAge   = 3 * presenceAgain
)

// The kinds of message between hubs.
const (
	peerClaim    = "claim"    // a session has connected here
	peerPresence = "presence" // what a session does on an object; null: it has left
	peerWho      = "who"      // tell me who is present
)

// peerMessage is what one hub tells the others.
type peerMessage struct {
	Node    string          `json:"node"`
	Kind    string          `json:"kind"`
	Graph   string          `json:"graph,omitempty"`
	Session string          `json:"session,omitempty"`
	User    string          `json:"user,omitempty"`
	On      string          `json:"on,omitempty"`
	State   json.RawMessage `json:"state,omitempty"`
}

// peers is a hub's end of the line. A hub that is alone has none: nil works.
type peers struct {
	hub  *Hub
	node string
	link Peers
}

func newPeers(h *Hub, link Peers) *peers {
	if link == nil {
		return nil
	}
	return &peers{hub: h, node: uuid.NewString(), link: link}
}

// listen takes what other hubs say until ctx ends.
func (p *peers) listen(ctx context.Context) {
	p.link.Listen(ctx, func() {
		p.say(peerMessage{Kind: peerWho})
		for _, r := range p.hub.open() {
			r.sayPresence()
		}
	}, p.take)
}

func (p *peers) say(m peerMessage) {
	if p == nil {
		return
	}
	m.Node = p.node
	text, err := json.Marshal(m)
	if err != nil {
		return // a state is JSON that has been checked
	}
	p.link.Publish(text)
}

// take acts on a message. Whoever may write to the channel is one of us; what
// cannot be read is passed over.
func (p *peers) take(text []byte) {
	var m peerMessage
	if json.Unmarshal(text, &m) != nil || m.Node == p.node {
		return
	}
	switch m.Kind {
	case peerClaim:
		p.hub.claimedElsewhere(sessionKey{m.Graph, m.Session}, m.User)
	case peerPresence:
		on, ok := graph.ParseObjectID(m.On)
		if r := p.hub.relayOf(m.Graph); ok && r != nil {
			r.ask(p.hub.ctx, command{run: func(s *step) { s.presence.hear(s, m, on, time.Now()) }})
		}
	case peerWho:
		for _, r := range p.hub.open() {
			if m.Graph == "" || m.Graph == r.name {
				r.sayPresence()
			}
		}
	}
}

// sayPresence has the relay say who is present through it.
func (r *relay) sayPresence() {
	r.ask(r.hub.ctx, command{run: func(s *step) { s.presence.sayAll() }})
}
