package fanout

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/coder/websocket"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/patch"
	"github.com/graphtide/graphtide/server/protocol"
)

// model is a client that does what the contract tells clients to do, and finds
// fault with everything else.
type model struct {
	subs    map[string]*held // by subscription
	version graph.Version    // of the newest load, delta or at
	acks    []string
	rejects []string
	errors  map[string]graph.Code
	others  []map[string]json.RawMessage // messages of other kinds
	seen    int                          // deltas
	resets  int
}

// held is what a client holds of one view.
type held struct {
	view, key string
	version   graph.Version
	objects   map[string]json.RawMessage // entities as the server wrote them
	edges     map[string]json.RawMessage
	roots     []string
	based     bool                       // there is something that a difference can build on
	loading   bool                       // between the frames of a load, which …
	whole     bool                       // … is that of the whole view
	here      bool                       // loaded on this connection
	left      map[string]protocol.Reason // why what was held left
}

func newModel() *model { return &model{subs: map[string]*held{}, errors: map[string]graph.Code{}} }

// frame is a load or a delta.
type frameMessage struct {
	T, Sub, View, Key string
	Version           graph.Version
	Objects, Edges    map[string]json.RawMessage
	Roots             []string
	Done              *bool
	Reset             bool
	Digest            *uint32
	Total             *int
	Mutations         []string
}

// receive takes one websocket message.
func (m *model) receive(text []byte) error {
	for line, err := range protocol.Split(text) {
		if err != nil {
			return err
		}
		if err := m.line(line); err != nil {
			return fmt.Errorf("%w, in %.600s", err, line)
		}
	}
	return nil
}

func (m *model) line(line []byte) error {
	var f map[string]json.RawMessage
	if err := json.Unmarshal(line, &f); err != nil {
		return err
	}
	str := func(name string) (s string) { json.Unmarshal(f[name], &s); return s }
	switch str("t") {
	case "load", "delta":
		var fr frameMessage
		if err := json.Unmarshal(line, &fr); err != nil {
			return err
		}
		if fr.Done == nil || fr.Objects == nil || fr.Edges == nil {
			return fmt.Errorf("a member is missing")
		}
		if !strings.HasPrefix(fr.View, "at") {
			if fr.Version < m.version {
				return fmt.Errorf("version %d after %d", fr.Version, m.version)
			}
			m.version = fr.Version
		}
		if fr.T == "load" {
			return m.load(&fr)
		}
		return m.delta(&fr)
	case "at":
		var at struct {
			Version graph.Version
			Digests map[string]uint32
		}
		if err := json.Unmarshal(line, &at); err != nil {
			return err
		}
		if at.Version < m.version {
			return fmt.Errorf("at %d after %d", at.Version, m.version)
		}
		m.version = at.Version
		for _, h := range m.subs {
			if sum, ok := at.Digests[h.view]; ok && sum != h.digest() {
				return fmt.Errorf("the digest of %s is %d, the copy's is %d", h.view, sum, h.digest())
			}
		}
		m.others = append(m.others, f)
	case "ack":
		m.acks = append(m.acks, str("mutation"))
		var v graph.Version
		json.Unmarshal(f["version"], &v)
	case "reject":
		m.rejects = append(m.rejects, str("mutation"))
	case "error":
		var p struct{ Code graph.Code }
		json.Unmarshal(f["problem"], &p)
		m.errors[str("sub")] = p.Code
		delete(m.subs, str("sub"))
	default:
		m.others = append(m.others, f)
	}
	return nil
}

func (m *model) load(fr *frameMessage) error {
	h := m.subs[fr.Sub]
	if h == nil {
		return nil // unsubscribed meanwhile
	}
	if !h.loading {
		h.loading, h.whole = true, !h.based || fr.Reset
		if fr.Reset {
			m.resets++
		}
		if h.whole {
			h.objects, h.edges = map[string]json.RawMessage{}, map[string]json.RawMessage{}
		}
	}
	if h.whole {
		maps.Copy(h.objects, fr.Objects)
		maps.Copy(h.edges, fr.Edges)
	} else if err := h.merge(fr); err != nil {
		return err
	}
	h.view = fr.View
	if !*fr.Done {
		return nil
	}
	h.loading, h.based, h.here, h.key, h.version, h.roots = false, true, true, fr.Key, fr.Version, fr.Roots
	if fr.Digest == nil || *fr.Digest != h.digest() {
		return fmt.Errorf("the load's digest is not that of the copy: %d", h.digest())
	}
	return nil
}

func (m *model) delta(fr *frameMessage) error {
	m.seen++
	found := false
	for _, h := range m.subs {
		if h.view != fr.View {
			continue
		}
		found = true
		if fr.Version <= h.version {
			continue // another subscription shares the view
		}
		if err := h.merge(fr); err != nil {
			return err
		}
		if fr.Roots != nil {
			h.roots = fr.Roots
		}
		if *fr.Done {
			h.version = fr.Version
		}
	}
	if !found && len(m.subs) > 0 {
		return nil // ended meanwhile
	}
	return nil
}

// change is what a delta says about one entity.
type entityChange struct {
	Version, Was graph.Version
	Patch, Meta  json.RawMessage
	Enter        json.RawMessage
	Leave        protocol.Reason
}

func (h *held) merge(fr *frameMessage) error {
	for _, part := range []struct {
		copy    map[string]json.RawMessage
		changes map[string]json.RawMessage
	}{{h.objects, fr.Objects}, {h.edges, fr.Edges}} {
		for id, text := range part.changes {
			var c entityChange
			if err := json.Unmarshal(text, &c); err != nil {
				return err
			}
			have, there := part.copy[id]
			switch {
			case c.Leave != "":
				if !there {
					return fmt.Errorf("%s leaves and is not here", id)
				}
				delete(part.copy, id)
				if h.left == nil {
					h.left = map[string]protocol.Reason{}
				}
				h.left[id] = c.Leave
			case c.Enter != nil:
				if there {
					return fmt.Errorf("%s enters and is here", id)
				}
				part.copy[id] = c.Enter
			default:
				if !there {
					return fmt.Errorf("%s changes and is not here", id)
				}
				if v := versionIn(have); v != c.Was {
					return fmt.Errorf("%s is at %d, the delta builds on %d", id, v, c.Was)
				}
				if c.Version == c.Was {
					return fmt.Errorf("%s is at %d, and comes once more", id, c.Was)
				}
				next, err := applyTo(have, c.Patch, c.Meta)
				if err != nil {
					return fmt.Errorf("%s: %w", id, err)
				}
				if versionIn(next) != c.Version {
					return fmt.Errorf("%s: version %d and meta differ", id, c.Version)
				}
				part.copy[id] = next
			}
		}
	}
	return nil
}

func applyTo(entity, ops, meta json.RawMessage) (json.RawMessage, error) {
	list, err := patch.Parse(ops, 0)
	if err != nil {
		return nil, err
	}
	for _, op := range list {
		if op.Path[0] != "body" {
			return nil, fmt.Errorf("a patch of %v", op.Path)
		}
	}
	list = append(list, patch.Op{Kind: patch.Replace, Path: patch.Pointer{"meta"}, Value: meta})
	out, err := patch.Apply(entity, list, patch.JSONLimits{})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func versionIn(entity json.RawMessage) graph.Version {
	var e struct {
		Meta struct{ Version graph.Version }
	}
	json.Unmarshal(entity, &e)
	return e.Meta.Version
}

func (h *held) digest() (sum uint32) {
	for _, m := range []map[string]json.RawMessage{h.objects, h.edges} {
		for id, text := range m {
			n, _ := graph.ParseObjectID(id)
			sum += protocol.DigestOf(n, versionIn(text))
		}
	}
	return sum
}

// differs says how what is held differs from a result, "" for not at all.
func (h *held) differs(res *replica.Result) string {
	wantObjects, wantEdges := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	for _, o := range res.Objects {
		wantObjects[o.ID.String()] = o.AppendJSON(nil, false)
	}
	for _, e := range res.Edges {
		wantEdges[e.ID.String()] = e.AppendJSON(nil)
	}
	for _, c := range []struct {
		what       string
		want, have map[string]json.RawMessage
	}{{"object", wantObjects, h.objects}, {"edge", wantEdges, h.edges}} {
		for _, id := range slices.Sorted(maps.Keys(c.want)) {
			switch have, ok := c.have[id]; {
			case !ok:
				return fmt.Sprintf("%s %s is missing", c.what, id)
			case !bytes.Equal(have, c.want[id]):
				return fmt.Sprintf("%s %s is %s, not %s", c.what, id, have, c.want[id])
			}
		}
		for id := range c.have {
			if _, ok := c.want[id]; !ok {
				return fmt.Sprintf("%s %s is too many", c.what, id)
			}
		}
	}
	roots := make([]string, len(res.Roots))
	for i, id := range res.Roots {
		roots[i] = id.String()
	}
	if !slices.Equal(roots, h.roots) {
		return fmt.Sprintf("the roots are %v, not %v", h.roots, roots)
	}
	return ""
}

// silent is a socket that nobody is at the other end of.
type silent struct{}

func (s *silent) Reader(context.Context) (websocket.MessageType, io.Reader, error) {
	return 0, nil, io.EOF
}
func (s *silent) Write(context.Context, websocket.MessageType, []byte) error { return nil }
func (s *silent) Ping(context.Context) error                                 { return nil }
func (s *silent) CloseNow() error                                            { return nil }
func (s *silent) Close(code websocket.StatusCode, _ string) error {
	panic(fmt.Sprint("the session is closed with ", code))
}

// client drives a session without a connection: it takes out of the session
// what the writer would send.
type client struct {
	*model
	w *world
	s *session
	// between, if set, is called whenever an application would look: after
	// everything that is written at once.
	between func() error
}

// connect makes a session for p.
func (w *world) connect(p graph.Principal) *client {
	w.t.Helper()
	r, err := w.hub.relay(context.Background(), graph.MainGraph)
	if err != nil {
		w.t.Fatal(err)
	}
	s := &session{
		hub: w.hub, relay: r, conn: &connection{socket: &silent{}}, id: "s",
		wake: make(chan struct{}, 1),
	}
	s.principal.Store(&p)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if !r.join(s) {
		w.t.Fatal("the relay is closing")
	}
	return &client{model: newModel(), w: w, s: s}
}

// say gives the session a message of its client.
func (c *client) say(format string, args ...any) {
	c.s.line([]byte(fmt.Sprintf(format, args...)))
}

// sub subscribes anew.
func (c *client) sub(name, projection string) {
	c.subs[name] = &held{}
	c.say(`{"t":"sub","sub":%q,"projection":%s}`, name, projection)
}

// resume subscribes with what another client held.
func (c *client) resume(name, projection string, h *held) {
	c.subs[name] = &held{based: true, version: h.version, objects: maps.Clone(h.objects), edges: maps.Clone(h.edges)}
	c.say(`{"t":"sub","sub":%q,"projection":%s,"since":%d,"epoch":%q,"key":%q}`, name, projection, h.version, c.s.relay.at().Epoch, h.key)
}

// settle waits until the relay has published everything committed and asked
// for up to now.
func (r *relay) settle() {
	done := make(chan struct{})
	r.ask(context.Background(), command{alone: true, run: func(x *step) { x.later(func() { close(done) }) }})
	<-done
}

// found waits until the relay has looked up and loaded what it was asked for.
func (r *relay) found() {
	for searching := true; searching; {
		r.settle()
		done := make(chan int)
		r.ask(context.Background(), command{alone: true, run: func(x *step) {
			n := len(x.archive.searches) + x.asides
			x.later(func() { done <- n })
		}})
		searching = <-done > 0
	}
}

// hold keeps the relay from taking a step until release: what is committed
// meanwhile comes to it as one batch.
func (r *relay) hold() (release func()) {
	held, released := make(chan struct{}), make(chan struct{})
	r.ask(context.Background(), command{run: func(x *step) {
		x.later(func() {
			close(held)
			<-released
		})
	}})
	<-held
	return func() { close(released) }
}

// drain receives everything there is.
func (c *client) drain() error {
	c.s.relay.found()
	for {
		got := c.s.collect()
		if got.lagging {
			c.s.relay.ask(context.Background(), c.s.catchingUp())
			c.s.relay.settle()
			continue
		}
		for _, p := range got.parts {
			texts := p.texts
			var head []byte
			if p.item != nil {
				texts = p.item.body.encoded()
				if p.item.head != nil {
					head = p.item.head.Append(nil)
				}
			}
			for _, t := range texts {
				if err := c.receive(append(slices.Clone(head), t...)); err != nil {
					return err
				}
			}
		}
		if c.between != nil && len(got.parts) > 0 {
			if err := c.between(); err != nil {
				return err
			}
		}
		if got.unseen {
			c.s.relay.ask(context.Background(), command{run: func(x *step) { x.presence.walk(x, c.s) }})
			c.s.relay.settle()
			continue
		}
		if !got.more && len(got.parts) == 0 {
			return nil
		}
	}
}

// leave ends the session.
func (c *client) leave() {
	c.s.mu.Lock()
	c.s.closed = true
	c.s.mu.Unlock()
	c.s.cancel()
	c.s.relay.leave(c.s)
}
