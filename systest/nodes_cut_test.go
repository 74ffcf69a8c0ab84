package systest

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/internal/testdb"
	"github.com/graphtide/graphtide/migrations"
)

// holds reports whether a process of that name sits in an open transaction, with
// a graph's lock.
func holds(t testing.TB, conn *pgx.Conn, name string) (yes bool) {
	t.Helper()
	err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity a JOIN pg_locks l USING (pid)
		WHERE a.application_name = $1 AND a.state = 'idle in transaction'
			AND l.relation = 'graphs'::regclass AND l.mode = 'RowShareLock' AND l.granted)`, name).Scan(&yes)
	if err != nil {
		t.Fatal(err)
	}
	return yes
}

// free is how long a graph's lock may be held by a node that is gone, with half
// a second for who waits to notice.
const free = 3*time.Second + 500*time.Millisecond

// TestANodeCutOffInItsTurnFreesTheGraph cuts the way between a node and the
// database while both nodes of a graph take turns, in the moment in which it has
// the lock.
func TestANodeCutOffInItsTurnFreesTheGraph(t *testing.T) {
	t.Parallel()
	database := testdb.OwnURL(t)
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
	loseTurns(t, w, database, name, func() { l.cutInTransaction(t) }, l.mend)
}

// TestAStoppedNodeFreesTheGraph stops a node's process as it stands.
func TestAStoppedNodeFreesTheGraph(t *testing.T) {
	t.Parallel()
	database := testdb.OwnURL(t)
	addrA, addrB := address(t), address(t)
	name := "stopped-" + newID()
	if err := migrations.Up(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	l, through := newLink(t, database)
	a := serve(t, addrA, database, "")
	b := serve(t, addrB, through+"&application_name="+name, "")
	w := &world{t: t, url: a.url, other: b.url, graph: "main"}
	w.root().put("/v1/schema", "application/yaml", openDoc).want(200)
	signal := func(s syscall.Signal) {
		if err := b.cmd.Process.Signal(s); err != nil {
			t.Error(err)
		}
	}
	loseTurns(t, w, database, name, func() {
		l.cutInTransaction(t) // so that it stands still at the right moment; the network is well
		signal(syscall.SIGSTOP)
		l.mend()
	}, func() { signal(syscall.SIGCONT) })
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
	still := stillness(t, database)
	for caught := 0; caught < 2; {
		l.await(w.url, 30)
		l.await(w.other, 30)
		l.longest(w.url)
		stood := still()
		away()
		if holds(t, conn, name) { // else it was another transaction
			caught++
			l.await(w.url, 30)
			stood = still() - stood
			if gap := l.longest(w.url); gap > free+hops*stood {
				t.Errorf("the other node's writers waited %s, while the machine stood still for %s", gap, stood)
			}
		}
		back()
		l.await(w.other, 10) // what was unknown is known, and more goes through
	}
	l.check(ann)
}

// hops is how many times as much as what stillness watches a request may have to do.
const hops = 3

// stillness watches how long a machine with too much to do keeps somebody waiting
// who does next to nothing, and gives a reading of all that so far. What is bounded
// in time is bounded beside it.
func stillness(t testing.TB, database string) (read func() time.Duration) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	var total atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	watch.Go(func() {
		defer conn.Close(context.Background())
		const pace = 5 * time.Millisecond
		for ctx.Err() == nil {
			began := time.Now()
			<-time.After(pace)
			if _, err := conn.Exec(ctx, `SELECT 1`); err != nil {
				return
			}
			if late := time.Since(began) - 2*pace; late > 0 {
				total.Add(int64(late))
			}
		}
	})
	t.Cleanup(func() { cancel(); watch.Wait() })
	return func() time.Duration { return time.Duration(total.Load()) }
}
