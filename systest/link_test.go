package systest

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// link is a stretch of network between a node and the database that can go dead:
// nothing comes through any more, and nobody is told.
type link struct {
	listener net.Listener

	mu      sync.Mutex // guards the fields below
	network string     // where the database is
	target  string
	dead    chan struct{} // closed while all is well
	awaited chan struct{} // not nil: see cutInTransaction
	open    map[net.Conn]bool
}

// newLink gives a link to the database at address, and the address to use it by.
func newLink(t testing.TB, address string) (*link, string) {
	t.Helper()
	cfg, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	l := &link{dead: make(chan struct{}), open: map[net.Conn]bool{}}
	l.network, l.target = pgNetwork(cfg.Host, cfg.Port)
	close(l.dead)
	if l.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { l.carry(c) })
		}
	})
	t.Cleanup(func() {
		l.mend()
		l.listener.Close()
		conns.Wait()
	})
	u := url.URL{Scheme: "postgres", User: url.UserPassword(cfg.User, cfg.Password), Host: l.listener.Addr().String(), Path: "/" + cfg.Database, RawQuery: "sslmode=disable"}
	return l, u.String()
}

func pgNetwork(host string, port uint16) (network, address string) {
	if strings.HasPrefix(host, "/") {
		return "unix", f("%s/.s.PGSQL.%d", host, port)
	}
	return "tcp", net.JoinHostPort(host, f("%d", port))
}

func (l *link) carry(client net.Conn) {
	defer client.Close()
	l.mu.Lock()
	network, target := l.network, l.target
	l.open[client] = true
	l.mu.Unlock()
	defer func() { l.mu.Lock(); delete(l.open, client); l.mu.Unlock() }()
	server, err := net.Dial(network, target)
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			// What is read while the link is dead comes through when it is mended.
			io.Copy(writer(func(b []byte) (int, error) {
				<-l.passes(b, way[0] == server)
				return way[1].Write(b)
			}), way[0])
			way[1].(interface{ CloseWrite() error }).CloseWrite()
		})
	}
	both.Wait()
}

// inTransaction is what the database says at the end of an answer, when it waits
// for more in the same transaction.
var inTransaction = []byte{'Z', 0, 0, 0, 5, 'T'}

// passes gives what is closed once what was read may go on.
func (l *link) passes(b []byte, answer bool) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.awaited != nil && answer && bytes.HasSuffix(b, inTransaction) {
		l.dead = make(chan struct{})
		close(l.awaited)
		l.awaited = nil
	}
	return l.dead
}

// cutInTransaction cuts the link in the moment in which a node has begun a
// transaction and is to go on with it: the answer that says so does not reach it. It
// returns once that has happened.
func (l *link) cutInTransaction(t testing.TB) {
	t.Helper()
	awaited := make(chan struct{})
	l.mu.Lock()
	l.awaited = awaited
	l.mu.Unlock()
	select {
	case <-awaited:
	case <-time.After(patience):
		t.Fatal("the node begins no transaction")
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = make(chan struct{})
}

func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.dead:
	default:
		close(l.dead)
	}
}

// lead has the link end at another database from now on. Who uses it loses his
// connection.
func (l *link) lead(t testing.TB, address string) {
	t.Helper()
	cfg, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.network, l.target = pgNetwork(cfg.Host, cfg.Port)
	for c := range l.open {
		c.Close()
	}
}
