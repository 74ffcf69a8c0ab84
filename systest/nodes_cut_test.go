package systest

import (
	"context"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/internal/testdb"
	"github.com/graphtide/graphtide/migrations"
)

// link is a stretch of network between a node and the database that can go dead:
// nothing comes through any more, and nobody is told.
type link struct {
	listener net.Listener

	mu      sync.Mutex // guards the fields below
	network string     // where the database is
	target  string
	dead    chan struct{} // closed while all is well
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
				l.mu.Lock()
				dead := l.dead
				l.mu.Unlock()
				<-dead
				return way[1].Write(b)
			}), way[0])
			way[1].(interface{ CloseWrite() error }).CloseWrite()
		})
	}
	both.Wait()
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

// holds reports whether a process of that name sits in an open transaction, with
// a graph's lock.
func holds(t testing.TB, conn *pgx.Conn, name string) bool {
	t.Helper()
	var n int
	err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND state = 'idle in transaction' AND state_change < clock_timestamp() - interval '200 ms'`, name).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// free is how long a graph's lock may be held by a node that is gone, with half
// a second for a busy machine.
const free = 3*time.Second + 500*time.Millisecond

// TestANodeCutOffInItsTurnFreesTheGraph cuts the way between a node and the
// database while both nodes of a graph take turns: the one cut off holds the
// lock then, or is the next to get it.
func TestANodeCutOffInItsTurnFreesTheGraph(t *testing.T) {
	t.Parallel()
	database := testdb.EmptyURL(t)
	l, through := newLink(t, database)
	name := "cut-" + newID()
	a, err := startNode(database, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopNode(a) })
	b, err := startNode(through+"&application_name="+name, "", func(c *node.Config) { c.Migrate = false })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopNode(b) })
	w := &world{t: t, url: a.URL(), other: b.URL(), graph: "main"}
	w.root().put("/v1/schema", "application/yaml", openDoc).want(200)
	loseTurns(t, w, database, name, l.cut, l.mend)
}

// TestAStoppedNodeFreesTheGraph stops a node's process as it stands.
func TestAStoppedNodeFreesTheGraph(t *testing.T) {
	t.Parallel()
	database := testdb.EmptyURL(t)
	addrA, addrB := address(t), address(t)
	name := "stopped-" + newID()
	if err := migrations.Up(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	a := serve(t, addrA, database, "")
	b := serve(t, addrB, database+"&application_name="+name, "")
	w := &world{t: t, url: a.url, other: b.url, graph: "main"}
	w.root().put("/v1/schema", "application/yaml", openDoc).want(200)
	signal := func(s syscall.Signal) func() {
		return func() {
			if err := b.cmd.Process.Signal(s); err != nil {
				t.Error(err)
			}
		}
	}
	loseTurns(t, w, database, name, signal(syscall.SIGSTOP), signal(syscall.SIGCONT))
}

const openDoc = "graphtide: 1\ntypes:\n  Doc: {open: true, access: {read: [public], write: [public]}}\n"

func address(t testing.TB) string {
	t.Helper()
	addr, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// loseTurns has both nodes write one graph, takes the second away with the lock in
// its hands, brings it back, and checks what everybody was told.
func loseTurns(t *testing.T, w *world, database, name string, away, back func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	ann := w.as("ann")
	l := begin(t, ann)
	for i := range 4 {
		l.write(ann, f("a%d", i), w.url)
		l.write(ann, f("b%d", i), w.other)
	}
	caught := 0
	for round := 0; caught < 2 && round < 20; round++ {
		l.await(w.url, 30)
		l.await(w.other, 30)
		l.longest(w.url)
		away()
		// It may have been between two turns: then it comes back and is tried again.
		held := false
		for deadline := time.Now().Add(time.Second); !held && time.Now().Before(deadline); {
			held = holds(t, conn, name)
		}
		if held {
			caught++
			l.await(w.url, 30)
			if gap := l.longest(w.url); gap > free {
				t.Errorf("the other node's writers waited %s", gap)
			}
		}
		back()
		l.await(w.other, 10) // what was unknown is known, and more goes through
	}
	if caught == 0 {
		t.Error("the node never had the lock when it went: the test shows nothing")
	}
	l.check(ann)
}
