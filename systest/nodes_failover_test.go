package systest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/internal/embedded"
	"github.com/graphtide/graphtide/internal/node"
)

// dataFolder gives a folder that Postgres, run as another user, can get into.
func dataFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gt-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "data")
}

// postgres starts a server on a data folder, one that can be copied while it runs.
func postgres(t testing.TB, dir string) *embedded.Postgres {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{DataDir: dir, NoSync: true,
		Settings: map[string]string{"wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on", "max_connections": "60", "shared_buffers": "16MB"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop() })
	return p
}

// crash ends a server as a machine's end would.
func crash(t testing.TB, p *embedded.Postgres) {
	t.Helper()
	if err := syscall.Kill(p.PID(), syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
}

func ask[T any](t testing.TB, database, sql string) (answer T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// deployment is two nodes whose database can be exchanged under them.
type deployment struct {
	*world
	link  *link
	ann   *client
	doc   string
	epoch string
	views [2]*socket // one on each node
}

func deploy(t *testing.T, database string) *deployment {
	t.Helper()
	l, through := newLink(t, database)
	d := &deployment{world: &world{t: t, graph: "main"}, link: l}
	for i, url := range []*string{&d.url, &d.other} {
		n, err := startNode(through, "", func(c *node.Config) { c.Migrate = i == 0 })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stopNode(n) })
		*url = n.URL()
	}
	d.root().put("/v1/schema", "application/yaml", openDoc).want(200)
	d.root().put("/v1/graphs/asleep", "", "").want(201) // nobody opens it
	d.ann = d.as("ann")
	d.doc = d.ann.create("Doc", `{"l":[]}`)
	d.epoch = d.ann.get(d.path("")).want(200).json().str("epoch")
	for i := range d.views {
		d.views[i] = d.at(i).dial(t, "ann")
		d.views[i].sub("s1", d.projection())
	}
	return d
}

// at gives the world as one of the nodes has it.
func (d *deployment) at(node int) *world {
	w := *d.world
	if node == 1 {
		w.url = d.other
	}
	return &w
}

func (d *deployment) projection() string { return f(`"projection":{"root":%q}`, d.doc) }

// write commits n changes, each node in its turn, and gives the version after.
func (d *deployment) write(word string, n int) (version int) {
	d.t.Helper()
	for i := range n {
		c := d.ann.on([]string{d.url, d.other}[i%2])
		version = c.commit(f(`[{"op":"add","path":"/objects/%s/body/l/-","value":"%s-%d"}]`, d.doc, word, i))
	}
	return version
}

// resyncs checks what must be so once the nodes have met a database that lacks
// commits that they, and their clients, had seen. version is the newest seen.
func (d *deployment) resyncs(version int) {
	t := d.t
	t.Helper()
	key := newID()
	ops := f(`[{"op":"add","path":"/objects/%s/body/l/-","value":"after"}]`, d.doc)
	eventually(t, "writes go on", func() bool {
		a, err := d.ann.on(d.other).with("Idempotency-Key: "+key).send("PATCH", d.path(""), patchType, ops)
		if err == nil && a.status != 200 && a.status != 503 {
			t.Fatalf("%v", a)
		}
		return err == nil && a.status == 200
	})
	d.write("again", 6)
	// Both nodes are in the new epoch, at one version, with one state: the log's.
	head := d.ann.get(d.path("")).want(200).json()
	if head.str("epoch") == d.epoch {
		t.Error("the epoch is the old one")
	}
	if head.int("version") >= version {
		t.Errorf("version %d, was %d: nothing was lost, the test shows nothing", head.int("version"), version)
	}
	log := d.ann.log()
	for i, c := range log {
		if c.int("version") != i+1 {
			t.Fatalf("version %d at place %d", c.int("version"), i+1)
		}
	}
	var list []string
	for node := range 2 {
		on := d.at(node).as("ann").with(f("Graphtide-Min-Version: %d", head.int("version")))
		on.get(d.path("")).want(200).json().is("epoch", f("%q", head.str("epoch"))).is("version", f("%d", head.int("version")))
		body := on.object(d.doc).want(200).json()
		list = append(list, body.at("body.l").String())
		if n := len(body.list("body.l")); n != len(log)-1 {
			t.Errorf("node %d shows %d elements of %d commits", node, n, len(log)-1)
		}
	}
	if list[0] != list[1] {
		t.Errorf("the nodes differ: %s, %s", list[0], list[1])
	}
	// Every client is sent away, and starts over with what it holds.
	for node, s := range d.views {
		if code := s.closeCode(); code != 4503 {
			t.Errorf("closed with %d", code)
		}
		held := s.view("s1")
		back := d.at(node).dial(t, "ann")
		back.send(f(`{"t":"sub","sub":"s1",%s,"since":%d,"epoch":%q,"key":%q}`, d.projection(), held.version, d.epoch, held.key))
		m := back.next("load")
		m.is("reset", "true").is("version", f("%d", head.int("version")))
		if got := m.at("objects." + d.doc + ".body.l").String(); got != list[0] {
			t.Errorf("a client has %s, the log %s", got, list[0])
		}
	}
}

// TestAFailoverThatLostCommitsIsANewEpoch: a standby that lacks the last commits
// takes over.
func TestAFailoverThatLostCommitsIsANewEpoch(t *testing.T) {
	t.Parallel()
	primary := postgres(t, dataFolder(t))
	d := deploy(t, primary.URL())
	stream, address := newLink(t, primary.URL())
	folder := dataFolder(t)
	host := strings.TrimPrefix(address[strings.Index(address, "@"):strings.LastIndex(address, "/")], "@")
	if err := embedded.Backup(t.Context(), primary, embedded.BackupConfig{DataDir: folder, From: host, Standby: true}); err != nil {
		t.Fatal(err)
	}
	standby := postgres(t, folder)
	const version = `SELECT version FROM graphs WHERE name = 'main'`
	kept := d.write("kept", 10)
	eventually(t, "the standby has all", func() bool { return ask[int](t, standby.URL(), version) == kept })
	stream.cut()
	lost := d.write("lost", 15)
	for _, s := range d.views {
		s.reach(lost)
	}
	asleep := ask[string](t, primary.URL(), `SELECT epoch FROM graphs WHERE name = 'asleep'`)
	crash(t, primary)
	d.link.lead(t, standby.URL())
	// While it is a standby it is nothing to the nodes, and they say so.
	eventually(t, "not ready", func() bool { return d.ann.get("/readyz").status == 503 })
	if got := ask[int](t, standby.URL(), version); got != kept {
		t.Fatalf("the standby is at %d, want %d", got, kept)
	}
	if !ask[bool](t, standby.URL(), `SELECT pg_promote(true)`) {
		t.Fatal("the standby was not promoted")
	}
	d.resyncs(lost)
	eventually(t, "ready", func() bool { return d.ann.get("/readyz").status == 200 })
	eventually(t, "a new epoch for a graph that nobody had open", func() bool {
		return ask[string](t, standby.URL(), `SELECT epoch FROM graphs WHERE name = 'asleep'`) != asleep
	})
}

// TestAnOldBackupPutBackIsANewEpoch: the database is stopped, and an earlier copy
// of its files started in its place. Identifier and timeline are the same.
func TestAnOldBackupPutBackIsANewEpoch(t *testing.T) {
	t.Parallel()
	first := postgres(t, dataFolder(t))
	d := deploy(t, first.URL())
	d.write("kept", 10)
	folder := dataFolder(t)
	if err := embedded.Backup(t.Context(), first, embedded.BackupConfig{DataDir: folder}); err != nil {
		t.Fatal(err)
	}
	lost := d.write("lost", 15)
	for _, s := range d.views {
		s.reach(lost)
	}
	asleep := ask[string](t, first.URL(), `SELECT epoch FROM graphs WHERE name = 'asleep'`)
	crash(t, first)
	again := postgres(t, folder)
	d.link.lead(t, again.URL())
	d.resyncs(lost)
	eventually(t, "a new epoch for a graph that nobody had open", func() bool {
		return ask[string](t, again.URL(), `SELECT epoch FROM graphs WHERE name = 'asleep'`) != asleep
	})
}
