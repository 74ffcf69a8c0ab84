package fanout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/server/protocol"
)

// catchUpWait bounds how long a session waits for the node to see what its
// client has seen before.
const catchUpWait = 5 * time.Second

// connection is a websocket, before and after its hello.
type connection struct {
	socket
	wire    wire // under the socket
	address string
	place   int32 // in Hub.conns; guarded, as is silent, by Hub.mu
	silent  bool  // its hello is waited for
}

// refused closes a connection with a code.
type refused protocol.CloseCode

func (r refused) Error() string { return protocol.CloseCode(r).Reason() }

// ServeSync takes over the connection and returns once it has; Stop waits for the
// connection's end. The request's stack and memory would be a third of what an
// idle session costs, were they kept for as long as it lives. A foreign
// Origin is refused before the upgrade; everything else is told after it, by a
// close code: browsers hide the status of an upgrade that fails.
func (h *Hub) ServeSync(w http.ResponseWriter, r *http.Request, graphName string) {
	if !h.originAllowed(r) {
		writeProblem(w, graph.Errf(graph.CodeForbidden, "pages of this origin may not connect; see --allowed-origins"))
		return
	}
	conn := &connection{address: addressOf(r)}
	taken := &hijacker{ResponseWriter: w, wire: &conn.wire}
	c, err := websocket.Accept(taken, r, &websocket.AcceptOptions{
		Subprotocols:       append([]string{protocol.Subprotocol}, offered(r)...),
		InsecureSkipVerify: true, // the Origin is judged above, with its scheme
		CompressionMode:    h.cfg.compression(),
		// A peer that takes nothing gets no pong either: it would wait behind the
		// rest, and hold up the reading.
		OnPingReceived: func(context.Context, []byte) bool { return conn.wire.stuck(time.Now()) < time.Second },
	})
	if err != nil {
		refuseHandshake(w, taken.refused, err)
		return
	}
	conn.socket = c
	var code refused
	if errors.As(h.enter(conn), &code) {
		c.Write(r.Context(), websocket.MessageText, protocol.AppendBye(nil, spreadFirst))
		h.shut(conn, protocol.CloseCode(code))
		return
	}
	inURL := tokenInURL(r.URL)
	go func() {
		defer h.exit(conn)
		defer c.CloseNow()
		defer h.survive()
		// One byte more than the limit tells a message that is too large, and leaves
		// the close code to us.
		c.SetReadLimit(int64(h.cfg.Limits.MessageBytes) + 1)
		switch {
		case inURL:
			h.shut(conn, protocol.CloseUnauthenticated)
		case c.Subprotocol() != protocol.Subprotocol:
			h.shut(conn, protocol.CloseTooOld)
		default:
			h.serve(conn, graphName)
		}
	}()
}

// offered gives the subprotocols that a client offers. Where ours is not among them,
// one of its own is agreed to: a browser opens no connection that agrees to none, and
// its page would not be told why (CloseTooOld).
func offered(r *http.Request) (list []string) {
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(line, ",") {
			list = append(list, strings.TrimSpace(name))
		}
	}
	return list
}

// survive keeps a fault in the reading of one connection from ending all others,
// as the server does for a request.
func (h *Hub) survive() {
	if v := recover(); v != nil {
		h.cfg.Log.Error("panic in a session", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	}
}

// refuseHandshake answers a request that did not become a websocket.
func refuseHandshake(w http.ResponseWriter, status int, err error) {
	if status >= http.StatusInternalServerError {
		writeProblem(w, &graph.Error{Code: graph.CodeInternal, Err: err})
		return
	}
	writeProblem(w, graph.Errf(graph.CodeUpgradeRequired, "this address speaks websocket (RFC 6455, version 13, subprotocol %s); "+
		"connect with a websocket client, and over HTTP read with POST …/load or follow GET …/log", protocol.Subprotocol))
}

func writeProblem(w http.ResponseWriter, e *graph.Error) {
	body, err := json.Marshal(e)
	if err != nil {
		body = []byte(`{}`)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(e.Code.Status())
	w.Write(body)
}

func (h *Hub) shut(c *connection, code protocol.CloseCode) {
	h.metrics.close(code)
	c.Close(websocket.StatusCode(code), code.Reason())
}

// serve takes a connection from its hello to its end.
func (h *Hub) serve(c *connection, graphName string) {
	if !h.listen(c) {
		h.dismiss(c, spreadFirst)
		return
	}
	late := time.AfterFunc(h.cfg.HelloTimeout, func() {
		if h.heard(c) {
			h.shut(c, protocol.CloseNoHello)
		}
	})
	hello, rest, err := h.hello(c)
	if late.Stop(); !h.heard(c) {
		return // being closed; the handler's CloseNow waits for that
	}
	var s *session
	if err == nil {
		s, err = h.begin(h.ctx, c, hello, graphName)
	}
	if err != nil {
		var code refused
		if errors.As(err, &code) {
			h.shut(c, protocol.CloseCode(code))
		}
		return
	}
	s.run(rest)
}

// hello reads the first message. Lines behind the hello are given back.
func (h *Hub) hello(c *connection) (*protocol.Hello, [][]byte, error) {
	for {
		msg, err := h.read(c)
		if err != nil {
			return nil, nil, err
		}
		var lines [][]byte
		for line, err := range protocol.Split(msg) {
			if err != nil {
				return nil, nil, refused(protocol.CloseBadMessage)
			}
			lines = append(lines, line)
		}
		for i, line := range lines {
			m, err := protocol.Decode(line)
			switch m := m.(type) {
			case *protocol.Hello:
				return m, lines[i+1:], nil
			case *protocol.Unknown:
				continue
			}
			_ = err // whatever it is, it is not a hello
			return nil, nil, refused(protocol.CloseBadMessage)
		}
	}
}

// read gives the next message of a client.
func (h *Hub) read(c socket) ([]byte, error) {
	typ, r, err := c.Reader(context.Background())
	if err != nil {
		return nil, err
	}
	if typ != websocket.MessageText {
		return nil, refused(protocol.CloseBadMessage)
	}
	limit := h.cfg.Limits.MessageBytes
	msg, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if len(msg) > limit {
		return nil, refused(protocol.CloseTooLarge)
	}
	return msg, err
}

// begin judges a hello, makes it a session and welcomes it.
func (h *Hub) begin(ctx context.Context, c *connection, hello *protocol.Hello, graphName string) (*session, error) {
	p, expires, err := h.authenticate(ctx, graphName, hello.Token)
	if err != nil {
		return nil, err
	}
	if hello.Session == "" {
		hello.Session = uuid.NewString()
	}
	now := thisMoment()
	s := &session{
		hub: h, conn: c, id: hello.Session, wake: make(chan struct{}, 1),
		expires: expiry(expires), lastAt: now, lastPing: now,
	}
	s.principal.Store(&p)
	s.ctx, s.cancel = context.WithCancel(context.Background()) // it ends with its connection
	if s.relay, err = h.relay(ctx, graphName); err != nil {
		return nil, closeFor(err, protocol.CloseNoGraph)
	}
	replaced, err := h.admit(ctx, s)
	if err != nil {
		return nil, err
	}
	if replaced != nil {
		replaced.close(protocol.CloseReplaced)
		// What it was working on comes before what this one sends.
		replaced.handling.Lock()
		replaced.handling.Unlock() //nolint:staticcheck // only waited for
	}
	applied, err := h.applied(ctx, s, hello.Pending)
	if err != nil {
		h.release(s)
		return nil, closeFor(err, protocol.CloseDraining)
	}
	for !s.relay.join(s) { // it ended just now: there is another one, or soon
		<-s.relay.stopped
		if s.relay, err = h.relay(ctx, graphName); err != nil {
			h.release(s)
			return nil, closeFor(err, protocol.CloseNoGraph)
		}
	}
	head := s.relay.at()
	welcome := protocol.Welcome{
		Graph: graphName, Session: s.id, Epoch: head.Epoch, Version: head.Version,
		User:   protocol.User{ID: p.User, Teams: p.Teams, Org: p.Org, Admin: p.Admin},
		Schema: h.cfg.Live.Current().Version, Limits: h.cfg.Limits, Bounds: h.cfg.bounds(), Applied: applied, ExpiresAt: expires,
	}
	s.lead(item{text: welcome.Append(nil)})
	if h.isDraining() { // too late for Drain to see it
		s.bye(spreadFirst, protocol.CloseDraining)
	}
	return s, nil
}

// authenticate judges a token for a graph.
func (h *Hub) authenticate(ctx context.Context, graphName, token string) (graph.Principal, time.Time, error) {
	p, expires, err := h.cfg.Authenticate(ctx, graphName, token)
	if err != nil {
		return p, expires, closeFor(err, protocol.CloseUnauthenticated)
	}
	if !expires.IsZero() && !time.Now().Before(expires) {
		return p, expires, refused(protocol.CloseUnauthenticated)
	}
	if !access.OpensGraph(&p, graphName) {
		return p, expires, refused(protocol.CloseNoGraph)
	}
	p.Teams = slices.Clone(p.Teams)
	return p, expires, nil
}

// closeFor gives the code that tells of an error: come back later for what is
// not to be had now, else the refusal given.
func closeFor(err error, refusal protocol.CloseCode) error {
	switch graph.CodeOf(err) {
	case graph.CodeUnavailable, graph.CodeInternal, graph.CodeRateLimited:
		return refused(protocol.CloseDraining)
	}
	return refused(refusal)
}

// applied looks up which pending mutations are in the log, and waits for the
// node to have seen them.
func (h *Hub) applied(ctx context.Context, s *session, pending []string) (map[string]graph.Version, error) {
	if len(pending) == 0 {
		return nil, nil
	}
	keys := make([]graph.MutationKey, len(pending))
	for i, p := range pending {
		keys[i] = graph.MutationKey{Author: s.user(), Key: p}
	}
	found, err := h.cfg.Store.Recorded(ctx, s.relay.replica.Key(), keys)
	if err != nil {
		return nil, err
	}
	applied := make(map[string]graph.Version, len(found))
	var newest graph.Version
	for k, r := range found {
		applied[k.Key] = r.Version
		newest = max(newest, r.Version)
	}
	return applied, s.relay.reach(ctx, newest)
}

// reach waits until the replica is at v, for a while.
func (r *relay) reach(ctx context.Context, v graph.Version) error {
	if r.replica.Head().Version >= v {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpWait)
	defer cancel()
	if err := r.replica.Wait(ctx, v); err != nil {
		if ctx.Err() != nil {
			return graph.Errf(graph.CodeUnavailable, "this node has not seen version %d yet", v)
		}
		return err
	}
	return nil
}
