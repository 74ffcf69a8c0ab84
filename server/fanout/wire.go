package fanout

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// wirePiece is how much is written at once: what a slow peer takes of it counts
// as a sign of life.
const wirePiece = 16 << 10

// wire is the connection under a websocket. It knows since when the peer has
// taken nothing of what is being written, and it writes pings and pongs aside:
// the library gives those five seconds and then cuts the connection, before a
// peer that does not read can be told so.
type wire struct {
	net.Conn
	aside sync.WaitGroup // the ping or pong that is being written
	since atomic.Int64   // the moment when the write under way last got on; 0 for none
}

// Write writes all of p, or all but a ping that follows later. The library writes one
// frame after another, so that only a ping can be under way.
func (w *wire) Write(p []byte) (int, error) {
	w.aside.Wait() // Close ends it
	if isPing(p) {
		frame := append([]byte(nil), p...)
		w.aside.Go(func() { w.write(frame) }) // whoever writes next meets the same fault
		return len(p), nil
	}
	return w.write(p)
}

func (w *wire) write(p []byte) (n int, err error) {
	defer w.since.Store(0)
	for err == nil && n < len(p) {
		w.since.Store(int64(thisMoment()))
		var more int
		more, err = w.Conn.Write(p[n:min(n+wirePiece, len(p))])
		n += more
	}
	return n, err
}

// stuck tells for how long the peer has taken nothing of what is being written.
func (w *wire) stuck(now time.Time) time.Duration {
	since := moment(w.since.Load())
	if since == 0 {
		return 0
	}
	return momentOf(now).since(since)
}

// finish waits for what is written aside. The wire is closed.
func (w *wire) finish() { w.aside.Wait() }

// isPing tells a whole ping or pong frame. A piece of a text may look like one:
// it goes out in its place all the same.
func isPing(p []byte) bool {
	return len(p) >= 2 && len(p) <= 127 && (p[0] == 0x89 || p[0] == 0x8a) && int(p[1]) == len(p)-2
}

// hijacker hands the websocket library a wire in the place of the connection.
type hijacker struct {
	http.ResponseWriter
	wire *wire // is given the connection
	// refused is the status with which the library refuses the handshake. Its text
	// is kept back: refusals are problems here.
	refused int
}

// WriteHeader keeps a refusal back.
func (h *hijacker) WriteHeader(status int) {
	if status == http.StatusSwitchingProtocols {
		h.ResponseWriter.WriteHeader(status)
		return
	}
	h.refused = status
}

// Write keeps the text of a refusal back.
func (h *hijacker) Write(p []byte) (int, error) {
	if h.refused != 0 {
		return len(p), nil
	}
	return h.ResponseWriter.Write(p)
}

// Hijack takes the connection over.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.wire.Conn = conn
	rw.Writer.Reset(h.wire)
	return h.wire, rw, nil
}
