package systest

import (
	"context"
	"testing"

	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/internal/testdb"
)

func TestANodeServesAFreshGraph(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.as("ann").get(w.path("")).want(200).json().is("version", `0`)
}

// A node that has told that it is ready does not end because the database goes away
// in that moment.
func TestANodeWhoseDatabaseGoesWhileItStartsServesOnceItIsBack(t *testing.T) {
	t.Parallel()
	database := testdb.OwnURL(t)
	l, through := newLink(t, database)
	n, err := startNode(through, "", func(c *node.Config) {
		c.Prepare = func(context.Context, *node.Node) error { // the last that happens before anybody is served
			l.lead(t, "postgres://nobody@127.0.0.1:1/nothing")
			return nil
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopNode(n) })
	w := &world{t: t, url: n.URL(), graph: "main"}
	root := w.root()
	root.get("/healthz").want(200)
	root.get(w.path("")).problem("unavailable")
	l.lead(t, database)
	eventually(t, "an answer", func() bool { return root.get(w.path("")).status == 200 })
	root.put("/v1/schema", "application/yaml", openDoc).want(200)
	root.create("Doc", `{}`)
}
