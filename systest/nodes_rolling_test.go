package systest

import (
	"sync"
	"testing"

	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/internal/testdb"
)

// TestNodesAreReplacedOneByOne drains three nodes, one after the other, and
// starts another in the place of each, while writers write and sessions follow.
// Nothing that was acknowledged is lost, nothing is written twice, and a session
// that goes on at the next node with what it holds misses nothing.
func TestNodesAreReplacedOneByOne(t *testing.T) {
	t.Parallel()
	database, redis := testdb.OwnURL(t), testdb.Redis(t)
	const count = 3
	var nodes [count]*node.Node
	var urls [count]string
	start := func(i int) {
		t.Helper()
		n, err := startNode(database, redis, func(c *node.Config) {
			if urls[i] != "" {
				c.Server.Listen = urls[i][len("http://"):]
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		nodes[i], urls[i] = n, n.URL()
		t.Cleanup(func() { stopNode(n) })
	}
	for i := range nodes {
		start(i)
	}
	w := &world{t: t, url: urls[0], other: urls[1], graph: "main"}
	w.root().put("/v1/schema", "application/yaml", openDoc).want(200)
	ann := w.as("ann")
	l := begin(t, ann)
	projection := f(`{"root":%q}`, l.hot)
	on := func(i int) *world {
		there := *w
		there.url = urls[i%count]
		return &there
	}
	var sessions [count]*socket
	for i := range sessions {
		sessions[i] = on(i).dial(t, "ann")
		sessions[i].sub("s0", f(`"projection":%s`, projection))
		for j := range 2 {
			l.write(ann, f("w%d-%d", i, j), urls[i], urls[(i+1)%count], urls[(i+2)%count])
		}
	}
	for i := range nodes {
		for _, url := range urls {
			l.await(url, 15)
		}
		var stopping sync.WaitGroup
		stopping.Go(func() { stopNode(nodes[i]) })
		for j, s := range sessions {
			if s.w.url != urls[i] {
				continue
			}
			if code := s.closeCode(); code != 4503 && code != 1001 {
				t.Errorf("node %d closed a session with %d", i, code)
			}
			sessions[j] = s.resumed(on(i+1), "ann", []string{projection})
		}
		stopping.Wait()
		l.await(urls[i], 15) // its writers have gone elsewhere
		start(i)
	}
	l.check(ann)
	for _, s := range sessions {
		s.sameAs(ann.load(projection), "s0")
	}
}
