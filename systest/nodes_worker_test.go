package systest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/internal/testdb"
)

func TestAWorkerServesItsProbesAndNothingElse(t *testing.T) {
	t.Parallel()
	database := testdb.OwnURL(t)
	l, through := newLink(t, database)
	still := stillness(t, database)
	worker := func(listen string) *node.Node {
		n, err := startNode(through, "", func(c *node.Config) { c.NoServer, c.Server.Listen = true, listen })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stopNode(n) })
		return n
	}
	if url := worker("").URL(); url != "" {
		t.Errorf("a worker without an address serves at %s", url)
	}
	n := worker("127.0.0.1:0")
	c := &client{t: t, url: n.URL(), token: mintToken("root", time.Hour, "admin", "graphs=*")}
	c.get("/healthz").want(200)
	c.get("/readyz").want(200)
	c.get("/version").want(200)
	if text := string(c.get("/metrics").want(200).body); !strings.Contains(text, "go_goroutines") || !strings.Contains(text, "graphtide_") {
		t.Errorf("metrics: %.300s", text)
	}
	for _, path := range []string{"/v1/graphs", "/v1/schema", "/v1/graphs/main", "/v1/graphs/main/sync", "/console/", "/"} {
		c.get(path).want(404)
	}
	// The probes tell the truth about the database, and are themselves soon done.
	l.cut()
	c.get("/healthz").want(200)
	began, stood := time.Now(), still()
	c.get("/readyz").want(503)
	if took, stood := time.Since(began), still()-stood; took > 4*time.Second+hops*stood {
		t.Errorf("/readyz took %s, while the machine stood still for %s", took, stood)
	}
	l.mend()
	eventually(t, "ready again", func() bool { return c.get("/readyz").status == 200 })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n.Stop(ctx)
	if _, err := c.send("GET", "/healthz", "", ""); err == nil {
		t.Error("a stopped worker answers")
	}
}
