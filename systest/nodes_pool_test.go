package systest

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/internal/testdb"
)

// TestFewConnectionsServeManyWriters has five hundred writers in fifty graphs on
// a node that has four connections, while somebody holds the locks of sixteen
// graphs: every connection then waits for one of them, and more would. Who cannot
// be served is told when to come back, the probe says that the node is not ready,
// and once the locks are free everything goes through. (The node's log, which is not
// shown, tells of appends that failed: eight seconds are all that it has patience for.)
func TestFewConnectionsServeManyWriters(t *testing.T) {
	t.Parallel()
	database := testdb.OwnURL(t)
	n, err := startNode(database, "", func(c *node.Config) {
		c.MaxConns = 4
		c.Log = slog.New(slog.DiscardHandler)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopNode(n) })
	w := &world{t: t, url: n.URL(), graph: "main"}
	root := w.root()
	root.put("/v1/schema", "application/yaml", openDoc).want(200)

	const graphs, each = 50, 10
	var names [graphs]string
	for i := range names {
		names[i] = f("g%d", i)
		root.put("/v1/graphs/"+names[i], "", "").want(201)
	}
	// write has a writer commit until it is in, and gives how often it was refused.
	write := func(graph string, writer, round int) (refused int) {
		ops := f(`[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{}}}]`, newID())
		c := root.with(f("Idempotency-Key: w%d-%d", writer, round))
		for {
			a, err := c.send("PATCH", "/v1/graphs/"+graph, patchType, ops)
			switch {
			case err != nil:
				t.Error(err)
				return refused
			case a.status == 200:
				return refused
			case a.status != 503:
				t.Errorf("%v", a)
				return refused
			}
			refused++
			after, err := strconv.Atoi(a.header.Get("Retry-After"))
			if err != nil || after < 1 || after > 2 {
				t.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
				return refused
			}
			<-time.After(time.Duration(after) * time.Second) // as it was told
		}
	}
	crowd := func(round int) {
		var wg sync.WaitGroup
		for i := range graphs * each {
			wg.Go(func() { write(names[i%graphs], i, round) })
		}
		wg.Wait()
	}
	crowd(0)

	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), `SELECT FROM graphs WHERE name ~ '^g([0-9]|1[0-5])$' FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	writers.Go(func() { crowd(1) })
	still := stillness(t, database)
	asked, sick := 0, false
	eventually(t, "a probe that tells of a node without a connection to give", func() bool {
		asked++ // between two waits for a lock it may get a connection
		began, stood := time.Now(), still()
		sick = root.get("/readyz").status == 503 || sick
		if took, stood := time.Since(began), still()-stood; took > 2*time.Second+2*time.Second+hops*stood {
			t.Errorf("/readyz took %s, while the machine stood still for %s", took, stood)
		}
		root.get("/healthz").want(200)
		return sick && asked >= 4
	})
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	writers.Wait()
	eventually(t, "ready", func() bool { return root.get("/readyz").status == 200 })
	for _, name := range names {
		root.get("/v1/graphs/"+name).want(200).json().is("version", f("%d", 2*each))
	}
}
