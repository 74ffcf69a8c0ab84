package fanout

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

// handler serves /v1/graphs/{graph}/sync.
func (w *world) handler() http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/graphs/"), "/")
		w.hub.ServeSync(rw, r, name)
	})
}

// serve makes the world reachable and gives its URL.
func (w *world) serve(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(w.handler())
	t.Cleanup(func() {
		w.hub.Stop()
		srv.Close()
	})
	return srv.URL
}

// What asks for no websocket, or not as it should, is told so as by every route.
func TestAPlainRequestIsToldToComeAsAWebsocket(t *testing.T) {
	t.Parallel()
	url := newWorld(t, nil).serve(t) + "/v1/graphs/main/sync"
	for what, header := range map[string]http.Header{
		"plain":       {},
		"old version": {"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"8"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}},
		"no key":      {"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var p struct {
			Type, Detail string
			Code         graph.Code
			Status       int
		}
		err = json.NewDecoder(res.Body).Decode(&p)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusUpgradeRequired || p.Status != res.StatusCode || p.Code != graph.CodeUpgradeRequired ||
			!strings.Contains(p.Detail, "websocket") || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %q %+v, %v", what, res.StatusCode, res.Header, p, err)
		}
	}
}

// peer is a client at the far end of a websocket.
type peer struct {
	t    *testing.T
	conn *websocket.Conn
	*model
}

type dialing struct {
	path        string // "/v1/graphs/main/sync"
	subprotocol string // "graphtide.v1", "-" for none
	header      http.Header
	client      *http.Client
}

func dial(t *testing.T, url string, d dialing) *peer {
	t.Helper()
	if d.path == "" {
		d.path = "/v1/graphs/main/sync"
	}
	opts := &websocket.DialOptions{HTTPHeader: d.header, HTTPClient: d.client}
	switch d.subprotocol {
	case "":
		opts.Subprotocols = []string{protocol.Subprotocol}
	case "-":
	default:
		opts.Subprotocols = []string{d.subprotocol}
	}
	conn, _, err := websocket.Dial(context.Background(), url+d.path, opts)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(-1)
	t.Cleanup(func() { conn.CloseNow() })
	return &peer{t: t, conn: conn, model: newModel()}
}

func (p *peer) send(text string) {
	p.t.Helper()
	if err := p.conn.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// next gives the next object that the server sends, which the model has seen.
func (p *peer) message() []map[string]json.RawMessage {
	p.t.Helper()
	_, text, err := p.conn.Read(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.receive(text); err != nil {
		p.t.Fatal(err)
	}
	var out []map[string]json.RawMessage
	for line := range protocol.Split(text) {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(line, &m); err != nil {
			p.t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

// await reads until an object of a kind comes and gives it.
func (p *peer) await(kind string) map[string]json.RawMessage {
	p.t.Helper()
	for {
		for _, m := range p.message() {
			if string(m["t"]) == `"`+kind+`"` {
				return m
			}
		}
	}
}

// closed reads until the connection is closed and gives the code.
func (p *peer) closed() protocol.CloseCode {
	p.t.Helper()
	for {
		_, _, err := p.conn.Read(context.Background())
		if err != nil {
			return protocol.CloseCode(websocket.CloseStatus(err))
		}
	}
}

const sessionA, sessionB = "0192f0c1-2a4b-7c3d-8e5f-00000000000a", "0192f0c1-2a4b-7c3d-8e5f-00000000000b"

func hello(p graph.Principal, session string) string {
	b, _ := json.Marshal(map[string]any{"t": "hello", "token": token(p), "session": session})
	return string(b)
}

// greet says hello as p and waits for the welcome.
func (p *peer) greet(who graph.Principal, session string) map[string]json.RawMessage {
	p.t.Helper()
	p.send(hello(who, session))
	return p.await("welcome")
}

// subscribe waits for the load.
func (p *peer) subscribe(name, projection string) {
	p.t.Helper()
	p.subs[name] = &held{}
	p.send(`{"t":"sub","sub":"` + name + `","projection":` + projection + `}`)
	p.await("load")
}

// pipes is a network in memory: what a synctest bubble needs.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serveInMemory makes the world reachable over pipes. The caller calls stop.
func (w *world) serveInMemory() (client *http.Client, stop func()) {
	l := newPipes()
	w.pipes = l
	srv := &http.Server{Handler: w.handler()}
	go srv.Serve(l)
	transport := &http.Transport{DialContext: l.dial, DisableKeepAlives: true}
	return &http.Client{Transport: transport}, func() {
		w.close()
		srv.Close()
		l.Close()
		transport.CloseIdleConnections()
	}
}

const memoryURL = "http://node"

// soon fails the test if something takes far too long.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
