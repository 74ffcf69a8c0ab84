package torture

import (
	"math/rand/v2"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// wire is a stretch of network, in front of a node or between a node and the
// database: it may be slow, or dead, so that nothing comes through and nobody is
// told. What was under way when it died arrives once it is well again.
type wire struct {
	listener        net.Listener
	network, target string
	conns           sync.WaitGroup

	mu            sync.Mutex // guards the fields below
	delay, jitter time.Duration
	well          chan struct{} // closed unless the wire is dead
	open          map[net.Conn]bool
	closed        bool
}

func newWire(network, target string) (*wire, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wire{listener: l, network: network, target: target, well: make(chan struct{}), open: map[net.Conn]bool{}}
	close(w.well)
	w.conns.Go(w.accept)
	return w, nil
}

// newDatabaseWire gives a wire to a database, and the address by which it is used.
func newDatabaseWire(address string) (*wire, string, error) {
	cfg, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, "", err
	}
	network, target := pgNetwork(cfg.Host, cfg.Port)
	w, err := newWire(network, target)
	if err != nil {
		return nil, "", err
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(cfg.User, cfg.Password), Host: w.listener.Addr().String(), Path: "/" + cfg.Database,
		RawQuery: "sslmode=disable"}
	return w, u.String(), nil
}

func (w *wire) accept() {
	for {
		c, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.conns.Go(func() { w.carry(c) })
	}
}

func (w *wire) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial(w.network, w.target)
	if err != nil {
		return
	}
	defer far.Close()
	if !w.keep(near, far) {
		return
	}
	defer w.forget(near, far)
	var both sync.WaitGroup
	both.Go(func() { w.pass(near, far) })
	both.Go(func() { w.pass(far, near) })
	both.Wait()
}

func (w *wire) keep(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		w.open[c] = true
	}
	return !w.closed
}

func (w *wire) forget(conns ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		delete(w.open, c)
	}
}

// parcel is what was read at once, and when it arrives.
type parcel struct {
	data []byte
	due  time.Time
}

// pass carries what comes from one end to the other, in order. What is on its way
// is bounded: more than that waits in front of the wire.
func (w *wire) pass(from, to net.Conn) {
	way := make(chan parcel, 64)
	go func() {
		defer close(way)
		for {
			buf := make([]byte, 32<<10)
			n, err := from.Read(buf)
			if n > 0 {
				way <- parcel{buf[:n], time.Now().Add(w.latency())}
			}
			if err != nil {
				return
			}
		}
	}()
	broken := false
	for p := range way { // to its end, or the reader would wait for ever
		if broken {
			continue
		}
		if d := time.Until(p.due); d > 0 {
			<-time.After(d)
		}
		<-w.state()
		if _, err := to.Write(p.data); err != nil {
			broken = true
			from.Close()
		}
	}
	<-w.state()
	if c, ok := to.(interface{ CloseWrite() error }); ok && !broken {
		_ = c.CloseWrite() // the other end may be gone
	}
}

func (w *wire) latency() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.delay == 0 {
		return 0
	}
	return w.delay + time.Duration(rand.Int64N(int64(w.jitter)+1))
}

func (w *wire) state() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.well
}

// slow makes everything take so long.
func (w *wire) slow(delay, jitter time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay, w.jitter = delay, jitter
}

// cut makes the wire dead.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.well = make(chan struct{})
}

// mend makes it well again.
func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay, w.jitter = 0, 0
	select {
	case <-w.well:
	default:
		close(w.well)
	}
}

// close ends the wire and all connections over it.
func (w *wire) close() {
	w.mend()
	w.listener.Close()
	w.mu.Lock()
	w.closed = true
	for c := range w.open {
		c.Close()
	}
	w.mu.Unlock()
	w.conns.Wait()
}

// pgNetwork gives the network and the address of a database.
func pgNetwork(host string, port uint16) (network, address string) {
	p := strconv.Itoa(int(port))
	if strings.HasPrefix(host, "/") {
		return "unix", host + "/.s.PGSQL." + p
	}
	return "tcp", net.JoinHostPort(host, p)
}
