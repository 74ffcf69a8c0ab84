package systest

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/internal/testdb"
)

const shelfSchema = `graphtide: 1
types:
  Shelf: {open: true, access: {read: [public], write: [public]}, edges: {in: {on: {from: Book, as: books}}}}
  Book: {open: true, access: {inherit: on}, edges: {out: {on: {to: Shelf, max: 1, required: true, onDelete: cascade}}}}
`

const (
	shelves     = 10
	booksAtOnce = 200 // in one commit
)

// booksOnShelf makes 2,000 objects unless told otherwise: `make restart` has 100,000.
var booksOnShelf = flag.Int("books", 200, "books on each of ten shelves in the tests of restarts, a multiple of 200")

// library is a graph of many objects under live views of ten sessions, on a
// database and a Redis of its own, whose server starts again and again. The test
// knows what is in it.
type library struct {
	*world
	db     string
	redis  *redisServer
	images string
	conn   *pgx.Conn // to the statistics
	node   *node.Node
	books  [shelves][]string
	shelf  [shelves]string
	n      map[string]int // the number in each book
	live   []*socket
}

func newLibrary(t *testing.T) *library {
	t.Helper()
	l := &library{world: &world{t: t, graph: "main"}, db: testdb.OwnURL(t), redis: startRedis(t), images: t.TempDir(), n: map[string]int{}}
	conn, err := pgx.Connect(t.Context(), l.db)
	if err != nil {
		t.Fatal(err)
	}
	l.conn = conn
	t.Cleanup(func() { conn.Close(context.Background()) })
	t.Cleanup(l.stop)
	l.start("", l.redis.url())
	l.root().put("/v1/schema", "application/yaml", shelfSchema).want(200)
	ann := l.as("ann")
	for i := range shelves {
		l.shelf[i] = newID()
		ops := []string{f(`{"op":"add","path":"/objects/%s","value":{"type":"Shelf","body":{}}}`, l.shelf[i])}
		for len(l.books[i]) < *booksOnShelf {
			for range booksAtOnce {
				id := newID()
				l.books[i] = append(l.books[i], id)
				l.n[id] = 0
				ops = append(ops, f(`{"op":"add","path":"/objects/%s","value":{"type":"Book","body":{"n":0}}}`, id),
					f(`{"op":"add","path":"/edges/%s","value":{"label":"on","from":%q,"to":%q}}`, newID(), id, l.shelf[i]))
			}
			ann.commit("[" + strings.Join(ops, ",") + "]")
			ops = nil
		}
	}
	return l
}

// start starts the server; of a graph it reads what is asked for. What Redis has
// is waited for, however slow the machine, and no rules look at the log, whose end they
// match again after a restart: what is
// counted is what the views need.
func (l *library) start(images, redis string) {
	l.t.Helper()
	n, err := startNode(l.db, redis, func(c *node.Config) {
		c.ImageDir, c.ReplicaEager, c.RedisPatience, c.NoWorker = images, -1, time.Minute, true
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.node, l.url = n, n.URL()
}

func (l *library) stop() {
	if l.node == nil {
		return
	}
	stopNode(l.node)
	l.node, l.live = nil, nil
}

// watch has a session subscribe to each shelf, all at once, and checks what they
// are sent.
func (l *library) watch() {
	l.t.Helper()
	l.live = nil
	for i := range shelves {
		s := l.dial(l.t, "ann")
		s.send(f(`{"t":"sub","sub":"s1","projection":{"root":%q,"in":{"on":{}}}}`, l.shelf[i]))
		l.live = append(l.live, s)
	}
	for _, s := range l.live {
		s.loaded("s1")
	}
	l.check()
}

// check holds what the sessions have against what is known.
func (l *library) check() {
	l.t.Helper()
	for i, s := range l.live {
		v := s.view("s1")
		if len(v.objects) != *booksOnShelf+1 || len(v.edges) != *booksOnShelf {
			l.t.Fatalf("shelf %d shows %d objects and %d edges", i, len(v.objects), len(v.edges))
		}
		for _, id := range l.books[i] {
			if got := v.body(l.t, id).int("n"); got != l.n[id] {
				l.t.Fatalf("book %s of shelf %d has n = %d, want %d", id, i, got, l.n[id])
			}
		}
	}
}

// change changes every step-th book of each shelf, a shelf at a time and no more of it
// in a commit than one may hold, and gives how many that were.
func (l *library) change(step int) (count, version int) {
	l.t.Helper()
	ann := l.as("ann")
	for i := range shelves {
		var ops []string
		for k := 0; k < *booksOnShelf; k += step {
			id := l.books[i][k]
			l.n[id]++
			ops = append(ops, f(`{"op":"replace","path":"/objects/%s/body/n","value":%d}`, id, l.n[id]))
		}
		count += len(ops)
		for part := range slices.Chunk(ops, booksAtOnce) {
			version = ann.commit("[" + strings.Join(part, ",") + "]")
		}
	}
	return count, version
}

// elsewhere changes books through a server that neither shares the Redis nor
// writes images: what these hold is old afterwards.
func (l *library) elsewhere(step int) int {
	l.t.Helper()
	l.start("", "")
	count, _ := l.change(step)
	l.stop()
	return count
}

// fetched gives how many rows of objects and edges Postgres has looked up in this
// database so far. The server must have stopped: its connections tell at their
// ends.
func (l *library) fetched() (rows int) {
	l.t.Helper()
	ctx := l.t.Context()
	eventually(l.t, "the end of the server's connections", func() bool {
		var n int
		err := l.conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`).Scan(&n)
		if err != nil {
			l.t.Fatal(err)
		}
		return n == 0
	})
	const sql = `SELECT coalesce(sum(coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0)), 0) FROM pg_stat_user_tables WHERE relname IN ('objects', 'edges')`
	if err := l.conn.QueryRow(ctx, sql).Scan(&rows); err != nil {
		l.t.Fatal(err)
	}
	return rows
}

// reads gives how often the server has asked Postgres for parts of the graph.
func (l *library) reads() (n float64) {
	l.t.Helper()
	families, err := l.node.Metrics.Gather()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "graphtide_replica_queries_total" {
			return family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	l.t.Fatal("the server does not count its queries")
	return 0
}

// again starts the server, has all views loaded, and gives what that took of
// Postgres.
func (l *library) again(images, redis string) (reads float64, rows int) {
	l.t.Helper()
	before := l.fetched()
	began := time.Now()
	l.start(images, redis)
	up := time.Since(began)
	l.watch()
	took := time.Since(began)
	reads = l.reads()
	l.stop()
	rows = l.fetched() - before
	l.t.Logf("up in %s, all views of %d objects loaded and checked in %s: %d rows in %v reads", up, shelves**booksOnShelf, took, rows, reads)
	return reads, rows
}

// TestARestartUnderLiveViewsReadsWhatItMust restarts a server under the views of
// all objects: with nothing at hand, with Redis, and with an image, each as it
// was left and with changes since that it knows nothing of.
func TestARestartUnderLiveViewsReadsWhatItMust(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	objects := shelves * (*booksOnShelf + 1)
	l.stop()
	l.redis.do("FLUSHALL")

	reads, rows := l.again("", l.redis.url())
	if reads == 0 || rows < objects {
		t.Errorf("cold: %d rows in %v reads; they are not counted", rows, reads)
	}
	// The sessions' views come in a few batches each, not object by object.
	if reads > 4*shelves {
		t.Errorf("cold: %v reads", reads)
	}

	for _, start := range []struct{ name, images, redis string }{{"Redis", "", l.redis.url()}, {"image", l.images, ""}} {
		t.Run(start.name, func(t *testing.T) {
			l.t = t
			if start.images != "" {
				l.again(start.images, start.redis) // which leaves one
			}
			if reads, rows := l.again(start.images, start.redis); reads != 0 || rows != 0 {
				t.Errorf("as it was left: %d rows in %v reads", rows, reads)
			}
			changed := l.elsewhere(50)
			// Each is looked up once at most, with its edge: from the log, or from
			// the database.
			if reads, rows := l.again(start.images, start.redis); rows > 4*changed {
				t.Errorf("after %d changes: %d rows in %v reads", changed, rows, reads)
			}
			if reads, rows := l.again(start.images, start.redis); reads != 0 || rows != 0 {
				t.Errorf("once more: %d rows in %v reads", rows, reads)
			}
		})
	}
}

// TestARestartOutlivesItsRedis kills Redis under live views, and while a server
// starts with what is in it.
func TestARestartOutlivesItsRedis(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	l.stop()
	l.start(l.images, l.redis.url())
	l.watch()
	l.redis.kill()
	for range 3 {
		_, version := l.change(20)
		for _, s := range l.live {
			s.reach(version)
		}
		l.check()
	}
	l.stop() // what it would write to Redis is lost

	l.again("", l.redis.url()) // dead: from the database
	l.again(l.images, l.redis.url())

	l.redis.start() // empty
	l.again("", l.redis.url())
	l.elsewhere(7)
	l.start("", l.redis.url()) // full, and dies while it is being read
	var sessions []*socket
	for i := range shelves {
		s := l.dial(t, "ann")
		s.send(fmt.Sprintf(`{"t":"sub","sub":"s1","projection":{"root":%q,"in":{"on":{}}}}`, l.shelf[i]))
		if sessions = append(sessions, s); i == shelves/2 {
			l.redis.kill()
		}
	}
	for _, s := range sessions {
		s.loaded("s1")
	}
	l.live = sessions
	l.check()
	_, version := l.change(11)
	for _, s := range l.live {
		s.reach(version)
	}
	l.check()
}
