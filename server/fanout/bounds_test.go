package fanout

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

// only gives the one session that the world has.
func (w *world) only() *session {
	w.t.Helper()
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	for s := range w.hub.sessions.all() {
		return s
	}
	w.t.Fatal("there is no session")
	return nil
}

func TestAPeerThatPagesThePastAndReadsNothingIsNotReadFromEither(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, dial func() *peer) {
		w.crowd(1000)
		p := dial()
		p.greet(bob, sessionA)
		const asked = 60
		var sent atomic.Int32
		go func() {
			for i := range asked {
				text := fmt.Sprintf(`{"t":"sub","sub":"p%d","at":2,"projection":%s}`, i, childrenOf1)
				if p.conn.Write(context.Background(), websocket.MessageText, []byte(text)) != nil {
					return
				}
				sent.Add(1)
			}
		}()
		synctest.Wait()
		s := w.only()
		s.mu.Lock()
		waiting := s.waiting
		s.mu.Unlock()
		const load = 2001 * entityWeight
		if waiting < maxWaiting || waiting > maxWaiting+load+itemWeight {
			t.Errorf("%d bytes wait", waiting)
		}
		if n := sent.Load(); n > maxWaiting/load+4 {
			t.Errorf("%d messages were read", n)
		}
		for loads := 0; loads < asked; {
			_, text, err := p.conn.Read(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			loads += strings.Count(string(text), `"done":true,"digest"`)
		}
	})
}

func TestMutationsOfManyBytesAreTakenOneAfterAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.submit = func(m *graph.Mutation) (graph.Receipt, error) { return graph.Receipt{}, graph.NotFound("object") }
	c := w.connect(ann)
	a := c.s.expect("m1", maxFlying+1)
	full := make(chan bool, 1)
	go func() { full <- c.s.hasRoom() }()
	select {
	case <-full:
		t.Fatal("more is read")
	default:
	}
	c.s.answered(a, graph.Receipt{}, nil)
	if !<-full {
		t.Error("the session ended")
	}
	if err := c.drain(); err != nil || len(c.acks) != 1 {
		t.Errorf("%v, %v", c.acks, err)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.waiting != 0 || c.s.flying != 0 {
		t.Errorf("%d and %d bytes are still counted", c.s.waiting, c.s.flying)
	}
}

func TestWhatWaitsWeighsNothingOnceItIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.submit = func(m *graph.Mutation) (graph.Receipt, error) { return graph.Receipt{}, graph.NotFound("object") }
	w.crowd(10)
	c := w.connect(bob)
	c.sub("s1", childrenOf1)
	c.sub("s1", childrenOf1) // takes the place of the first
	c.sub("bad", `{"root":{"type":"Node","limit":"x"}}`)
	c.say(`{"t":"can","objects":[%q]}`, oid(1))
	c.say(`{"t":"mutate","mutation":"0192f0c1-2a4b-7c3d-8e5f-000000000001","patch":[]}`)
	c.sub("s2", childrenOf1)
	c.say(`{"t":"unsub","sub":"s2"}`)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.waiting != 0 || c.s.flying != 0 {
		t.Errorf("%d and %d bytes are still counted", c.s.waiting, c.s.flying)
	}
}

func TestAPeerThatTakesNothingIsKeptForThirtySeconds(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, dial func() *peer) {
		p := dial()
		p.greet(ann, sessionA)
		start := time.Now() // from here on it does not read: the first ping is stuck
		for valueOf(w.hub.metrics.sessions) > 0 {
			time.Sleep(time.Second) // fake time
		}
		if took := time.Since(start); took < DefaultPing+DefaultStall || took > DefaultPing+DefaultStall+3*tick {
			t.Errorf("let go after %s", took)
		}
		if n := valueOf(w.hub.metrics.closed.WithLabelValues("4510")); n != 1 {
			t.Errorf("%v counted as stalled", n)
		}
	})
}

func TestAPeerThatDoesNotAnswerIsToldThatItIsStalled(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, dial func() *peer) {
		c := dialRaw(t, w)
		start := time.Now()
		code := c.closed() // reads, and answers nothing
		if code != protocol.CloseStalled {
			t.Errorf("closed with %d", code)
		}
		if took := time.Since(start); took < DefaultStall || took > DefaultPing+DefaultStall+3*tick {
			t.Errorf("let go after %s", took)
		}
	})
}

func TestAPeerThatReadsSlowlyIsNotLetGo(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, dial func() *peer) {
		w.crowd(500)
		c := dialRaw(t, w)
		c.send(`{"t":"sub","sub":"s1","projection":` + childrenOf1 + `}`)
		start := time.Now()
		slow := &slowly{c.r}
		for {
			op, text := readFrame(t, slow)
			if op == 1 && strings.Contains(string(text), `"done":true`) {
				break
			}
			if op == 8 {
				t.Fatalf("closed after %s", time.Since(start))
			}
			c.answer(op, text)
		}
		if took := time.Since(start); took < 2*DefaultStall {
			t.Errorf("it took only %s", took)
		}
	})
}

// slowly reads a kilobyte a second.
type slowly struct{ r io.Reader }

func (s *slowly) Read(p []byte) (int, error) {
	time.Sleep(time.Second) // fake time
	return s.r.Read(p[:min(len(p), 1<<10)])
}

// raw is a peer that does nothing of itself: it answers no pings.
type raw struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

// dialRaw makes bob's session.
func dialRaw(t *testing.T, w *world) *raw {
	t.Helper()
	here, there := net.Pipe()
	w.pipes.conns <- there
	c := &raw{t, here, bufio.NewReaderSize(here, 512)}
	t.Cleanup(func() { here.Close() })
	fmt.Fprintf(here, "GET /v1/graphs/main/sync HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: graphtide.v1\r\n\r\n")
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			break
		}
	}
	c.send(hello(bob, sessionA))
	if op, text := readFrame(t, c.r); op != 1 || !strings.Contains(string(text), `"welcome"`) {
		t.Fatalf("%d %s", op, text)
	}
	return c
}

func (c *raw) send(text string) {
	if _, err := c.c.Write(masked(text)); err != nil {
		c.t.Fatal(err)
	}
}

// answer answers a ping.
func (c *raw) answer(op byte, text []byte) {
	if op == 9 {
		pong := masked(string(text))
		pong[0] = 0x8a
		c.c.Write(pong)
	}
}

// closed reads frames until the one that closes and gives its code.
func (c *raw) closed() protocol.CloseCode {
	for {
		if op, text := readFrame(c.t, c.r); op == 8 {
			return protocol.CloseCode(binary.BigEndian.Uint16(text))
		}
	}
}

func readFrame(t *testing.T, r io.Reader) (op byte, text []byte) {
	t.Helper()
	var h [8]byte
	read := func(b []byte) {
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatal(err)
		}
	}
	read(h[:2])
	op = h[0] & 0x0f
	n := int(h[1])
	switch n {
	case 126:
		read(h[:2])
		n = int(binary.BigEndian.Uint16(h[:2]))
	case 127:
		read(h[:8])
		n = int(binary.BigEndian.Uint64(h[:8]))
	}
	text = make([]byte, n)
	read(text)
	return op, text
}
