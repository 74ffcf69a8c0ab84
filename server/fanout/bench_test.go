package fanout

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/graphtide/graphtide/graph"
)

// BenchmarkDeliveries sends changes of one object to 1,000 sessions of one view
// over loopback TCP, as fast as commits come; the clients count lines.
func BenchmarkDeliveries(b *testing.B) {
	const sessions = 1000
	w := newWorld(b, nil)
	w.commit("ann", w.object(oid(1), "Node", `{"n":0}`, everybody))
	srv := httptest.NewServer(w.handler())
	var got atomic.Int64
	var peers sync.WaitGroup
	var conns []net.Conn
	ready := make(chan struct{}, sessions)
	for range sessions {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		conns = append(conns, c)
		fmt.Fprintf(c, "GET /v1/graphs/main/sync HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: graphtide.v1\r\n\r\n")
		c.Write(masked(hello(bob, "")))
		c.Write(masked(`{"t":"sub","sub":"s","projection":` + childrenOf1 + `}`))
		peers.Add(1)
		go func() {
			defer peers.Done()
			count(c, ready, &got)
		}()
	}
	for range sessions {
		<-ready
	}
	b.ResetTimer()
	for i := range b.N {
		w.commit("ann", set(graph.ObjectRef(oid(1)), "n", fmt.Sprint(i)))
	}
	w.hub.open()[0].settle()
	want := valueOf(w.hub.metrics.deltas) * sessions
	for float64(got.Load()) < want {
		w.hub.open()[0].settle()
	}
	b.StopTimer()
	b.ReportMetric(want/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(valueOf(w.hub.metrics.sent)/float64(b.N), "writes/commit")
	for _, c := range conns {
		c.Close()
	}
	w.hub.Stop()
	srv.Close()
	peers.Wait()
}

// count reads deltas, which begin with {"t":"delta", until the connection ends.
func count(c net.Conn, ready chan<- struct{}, got *atomic.Int64) {
	r := bufio.NewReaderSize(c, 16<<10)
	for { // the head of the answer
		line, err := r.ReadString('\n')
		if err != nil || line == "\r\n" {
			break
		}
	}
	var buf []byte
	for {
		var h [10]byte
		if _, err := io.ReadFull(r, h[:2]); err != nil {
			return
		}
		n := int(h[1] & 0x7f)
		switch n {
		case 126:
			io.ReadFull(r, h[:2])
			n = int(h[0])<<8 | int(h[1])
		case 127:
			io.ReadFull(r, h[:8])
			n = int(h[4])<<24 | int(h[5])<<16 | int(h[6])<<8 | int(h[7])
		}
		if cap(buf) < n {
			buf = make([]byte, n)
		}
		if _, err := io.ReadFull(r, buf[:n]); err != nil {
			return
		}
		text := string(buf[:n])
		if strings.HasPrefix(text, `{"t":"load"`) || strings.Contains(text, "\n{\"t\":\"load\"") {
			ready <- struct{}{}
		}
		got.Add(int64(strings.Count(text, `{"t":"delta"`)))
	}
}

// masked is a client's text frame with the mask 0.
func masked(text string) []byte {
	out := []byte{0x81}
	if len(text) < 126 {
		out = append(out, 0x80|byte(len(text)))
	} else {
		out = append(out, 0x80|126, byte(len(text)>>8), byte(len(text)))
	}
	return append(append(out, 0, 0, 0, 0), text...)
}

// crowd makes one parent with n children that inherit from it.
func (w *world) crowd(n int) {
	w.commit("ann", w.object(oid(1), "Node", `{"n":0}`, `{"read":{"orgs":{"acme":true}}}`))
	edits := make([]edit, 0, 2*n)
	for i := 2; i < n+2; i++ {
		body := fmt.Sprintf(`{"n":%d,"tag":"a","text":%q}`, i, strings.Repeat("x", 200))
		edits = append(edits, w.object(oid(i), "Leaf", body, `{"read":{"inherit":{"child":true}},"manage":{"users":{"ann":true},"inherit":{"child":true}}}`), edge(eid(i), "child", oid(i), oid(1)))
	}
	w.commit("ann", edits...)
}

// BenchmarkLoad computes, judges and encodes a view of 10,000 records.
func BenchmarkLoad(b *testing.B) {
	w := newWorld(b, nil)
	w.crowd(10000)
	proj, perr := graph.ParseProjection([]byte(childrenOf1))
	if perr != nil {
		b.Fatal(perr)
	}
	r, err := w.hub.relay(context.Background(), graph.MainGraph)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		done := make(chan *view)
		r.ask(context.Background(), command{run: func(x *step) {
			v, err := x.view(newQuery(proj), bob)
			if err != nil {
				b.Error(err)
			}
			x.later(func() { x.drop(v); done <- v })
		}})
		(<-done).whole(&r.kept).encoded()
	}
}

// BenchmarkEnter adds one record to a view of 10,000.
func BenchmarkEnter(b *testing.B) {
	w := newWorld(b, nil)
	w.crowd(10000)
	c := w.connect(bob)
	c.sub("s1", childrenOf1)
	c.s.relay.settle()
	n := 20000
	for b.Loop() {
		n++
		w.commit("ann", w.object(oid(n), "Leaf", `{"n":1}`, `{"read":{"inherit":{"child":true}}}`), edge(eid(n), "child", oid(n), oid(1)))
		c.s.relay.settle()
	}
}

// BenchmarkResumeUnchanged resumes a live view of 10,000 records.
func BenchmarkResumeUnchanged(b *testing.B) {
	w := newWorld(b, nil)
	w.crowd(10000)
	c := w.connect(bob)
	c.sub("s1", childrenOf1)
	if err := c.drain(); err != nil {
		b.Fatal(err)
	}
	h := c.subs["s1"]
	text := fmt.Sprintf(`{"t":"sub","sub":"s1","projection":%s,"since":%d,"epoch":%q,"key":%q}`, childrenOf1, h.version, c.s.relay.at().Epoch, h.key)
	for b.Loop() {
		next := w.connect(bob)
		next.s.line([]byte(text))
		c.s.relay.settle()
		if out := next.s.collect(); len(out.parts) == 0 {
			b.Fatal("nothing came")
		} else {
			for _, p := range out.parts {
				if p.item != nil && len(p.item.body.encoded()[0]) > 1000 {
					b.Fatal("more than an empty difference")
				}
			}
		}
		next.leave()
	}
}

// BenchmarkCompression is the way of one delta of three records to one session,
// with and without permessage-deflate: CPU, and bytes on the wire.
func BenchmarkCompression(b *testing.B) {
	for _, compress := range []bool{false, true} {
		b.Run(fmt.Sprintf("compress=%v", compress), func(b *testing.B) {
			var sent atomic.Int64
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				cfg := Config{Compress: compress}
				c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: cfg.compression()})
				if err != nil {
					return
				}
				defer c.CloseNow()
				text := deltaOf3()
				b.ResetTimer()
				for range b.N {
					if c.Write(context.Background(), websocket.MessageText, text) != nil {
						return
					}
				}
				b.StopTimer()
			}))
			srv.Start()
			defer srv.Close()
			c, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
				"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n\r\n")
			n, _ := io.Copy(io.Discard, c)
			sent.Add(n)
			b.ReportMetric(float64(sent.Load())/float64(b.N), "bytes/delivery")
			b.ReportMetric(float64(len(deltaOf3())), "bytes/text")
		})
	}
}

// deltaOf3 is a delta that changes one field of each of three records.
func deltaOf3() []byte {
	text := `{"t":"delta","view":"v1","version":12,"at":"2026-01-01T00:00:00.000Z","by":"ann","objects":{`
	for i := range 3 {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(`"%s":{"version":12,"was":%d,"patch":[{"op":"replace","path":"/body/cells/%d","value":"some text %d"}],"meta":{"version":12,"createdVersion":%d,`+
			`"createdAt":"2026-01-01T00:00:00.000Z","createdBy":"ann","updatedAt":"2026-01-01T00:00:00.000Z","updatedBy":"bob"}}`, oid(i), i+3, i, i*7919, i+1)
	}
	return []byte(text + `},"edges":{},"mutations":["0192f0c1-2a4b-7c3d-8e5f-00000000000a"],"done":true}`)
}

// BenchmarkIdleSession tells the memory of one idle session more of a view, in
// the data structures of this package alone: there is no connection.
func BenchmarkIdleSession(b *testing.B) {
	w := newWorld(b, nil)
	w.crowd(100)
	stays := w.connect(bob)
	stays.sub("s1", childrenOf1)
	if err := stays.drain(); err != nil {
		b.Fatal(err)
	}
	const many = 2000
	kept := make([]*session, 0, many*b.N)
	before := heap()
	for b.Loop() {
		for range many {
			c := w.connect(bob)
			c.sub("s1", childrenOf1)
			c.s.relay.settle()
			for c.s.collect().more {
			}
			kept = append(kept, c.s)
		}
	}
	b.ReportMetric(float64(heap()-before)/float64(len(kept)), "heap-B/session")
	runtime.KeepAlive(kept)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
