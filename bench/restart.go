package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/pgstore"
)

// The row of a server that starts again under live views: cold, with the second
// level in Redis warm, and with an image of what it held. Sessions of as many
// views as there are wait for it and subscribe at once, as clients do that have
// lost their server. The time runs from the start of the process to the last
// view's load.
func init() {
	rows = append(rows, row{name: "restart: ready again", run: restartRow, only: "node", rounds: 1, limit: longLimit})
}

// restart is what the row works with.
type restart struct {
	t     *target
	store *pgstore.Store
	graph string
	views []string // projections
	each  int      // objects in a view, its root included
}

func restartRow(ctx context.Context, t *target, o options) (_ []figure, err error) {
	r := &restart{t: t, graph: "restart-" + uuid.NewString(), each: o.pick(5000, 1000, 20)}
	if r.store, err = pgstore.Open(ctx, pgstore.Config{URL: t.pg.URL(), Log: slog.New(slog.DiscardHandler)}); err != nil {
		return nil, err
	}
	const views = 20
	err = r.fill(ctx, views)
	r.store.Close()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.restart()) }()
	var out []figure
	for _, start := range []struct{ name, images string }{
		// Each stop leaves behind what the next start finds; the cold one finds
		// nothing. The image is asked for last, so that it does not hide Redis.
		{"cold", ""}, {"Redis warm", filepath.Join(t.dir, "images")}, {"image", filepath.Join(t.dir, "images")},
	} {
		t.images = start.images
		t.hangUp()
		t.end()
		if start.name == "cold" {
			if err := r.forget(ctx); err != nil {
				return nil, err
			}
		}
		figures, err := r.serve(ctx, start.name, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", start.name, err)
		}
		out = append(out, figures...)
	}
	t.images = ""
	return out, nil
}

// fill makes the graph: for each view a root, and objects with an edge to it.
func (r *restart) fill(ctx context.Context, views int) error {
	info, _, err := r.store.EnsureGraph(ctx, r.graph)
	if err != nil {
		return err
	}
	acl, violations := access.Parse([]byte(`{"read":{"public":true,"users":{}}}`))
	if len(violations) > 0 {
		return fmt.Errorf("access: %v", violations)
	}
	head := info.Head
	body := []byte(fmt.Sprintf(`{"text":%q}`, fmt.Sprintf("%0*d", itemBytes, 0)))
	for range views {
		at := time.Now().UTC().Truncate(time.Millisecond)
		v := head.Version + 1
		meta := graph.Meta{Version: v, CreatedVersion: v, CreatedAt: at, CreatedBy: "ann", UpdatedAt: at, UpdatedBy: "ann"}
		c := &graph.Commit{Version: v, Epoch: head.Epoch, At: at, SchemaVer: head.SchemaVer, Mutation: uuid.NewString(), Hash: []byte{1},
			Author: graph.Principal{User: "ann"}, Cause: graph.Cause{Kind: graph.CauseClient}, Asked: []byte(`[]`), Done: []byte(`[]`)}
		root := graph.ObjectID(uuid.New())
		for i := range r.each {
			o := &graph.Object{ID: graph.ObjectID(uuid.New()), Type: "Item", Body: body, Access: acl, Meta: meta}
			if i == 0 {
				o.ID, o.Type, o.Body = root, "Book", []byte(`{"name":"b"}`)
			}
			c.Changes = append(c.Changes, graph.Change{Ref: graph.ObjectRef(o.ID), Event: graph.Created, ObjAfter: o})
			if i > 0 {
				e := &graph.Edge{ID: graph.EdgeID(uuid.New()), Label: "book", From: o.ID, To: root, Body: []byte(`{}`), Meta: meta}
				c.Changes = append(c.Changes, graph.Change{Ref: graph.EdgeRef(e.ID), Event: graph.Created, EdgeAfter: e})
			}
		}
		res, err := r.store.Append(ctx, &graph.Batch{Graph: info.Key, Expect: head, Commits: []*graph.Commit{c}})
		if err != nil || res.Moved || len(res.Hits) > 0 {
			return fmt.Errorf("append: %+v, %w", res, err)
		}
		head.Version, head.At = v, at
		r.views = append(r.views, fmt.Sprintf(`{"root":%q,"in":{"book":{}}}`, root.String()))
	}
	return nil
}

// itemBytes makes an object of about 300 bytes.
const itemBytes = 200

// serve starts the server anew and has every view loaded by a session of its own.
func (r *restart) serve(ctx context.Context, name string, o options) ([]figure, error) {
	began := time.Now()
	if err := r.t.launch(); err != nil {
		return nil, err
	}
	up := time.Since(began)
	if o.profile != "" {
		if err := r.t.profile(ctx, filepath.Join(o.profile, "restart."+name+".pprof")); err != nil {
			return nil, err
		}
	}
	var group errgroup.Group
	for _, projection := range r.views {
		group.Go(func() error {
			c, err := r.t.sessionIn(r.graph, r.t.token)
			if err != nil {
				return err
			}
			return c.loads(projection, r.each-1)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	took := time.Since(began)
	if o.profile != "" {
		if err := r.t.profile(ctx, ""); err != nil {
			return nil, err
		}
	}
	text, err := r.t.request(ctx, "GET", "/metrics", "", "", r.t.admin)
	if err != nil {
		return nil, err
	}
	return []figure{
		{name + ", process to readiness", ms(up), "ms", true, ""},
		{name + ", process to the last of all loads", ms(took), "ms", true, ""},
		{name + ", reads of parts from Postgres", metricIn(text, `graphtide_replica_queries_total`), "", true, ""},
		{name + ", entities read from Postgres", metricIn(text, `graphtide_replica_entities_total{level="postgres"}`), "", true, ""},
	}, nil
}

// forget empties Redis: the server that followed the graph while it was made has
// left there what it held of it.
func (r *restart) forget(ctx context.Context) error {
	opts, err := redis.ParseURL(r.t.redis.URL())
	if err != nil {
		return err
	}
	client := redis.NewClient(opts)
	defer client.Close()
	return client.FlushAll(ctx).Err()
}

// loads subscribes, and reads a load in which there must be so many items.
func (c *wsClient) loads(projection string, items int) error {
	if err := c.send(fmt.Appendf(nil, `{"t":"sub","sub":"s1","projection":%s}`, projection)); err != nil {
		return err
	}
	for n := 0; ; {
		msg, err := c.read()
		switch {
		case err != nil:
			return err
		case bytes.Contains(msg, []byte(`"t":"error"`)):
			return errors.New(string(msg))
		}
		n += bytes.Count(msg, []byte(`"type":"Item"`))
		if bytes.Contains(msg, []byte(`"done":true`)) {
			if n != items {
				return fmt.Errorf("a view has %d items, want %d", n, items)
			}
			return nil
		}
	}
}

// metricIn gives a sample of a page of metrics, 0 where it is not there.
func metricIn(page []byte, sample string) float64 {
	for line := range strings.Lines(string(page)) {
		if value, ok := strings.CutPrefix(line, sample+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err == nil {
				return n
			}
		}
	}
	return 0
}
