package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/graph/rediscache"
	"github.com/graphtide/graphtide/graph/replica"
)

// The row of a node that starts again under live views: cold, with the second
// level in Redis warm, and with an image of what it held. It measures the
// replicas, which is all of a start that grows with the graph.
func init() {
	rows = append(rows, row{name: "restart: ready again", run: restartRow, only: "node", rounds: 1, limit: longLimit})
}

// oneType says that there are no subtypes.
type oneType struct{}

func (oneType) Subtypes(name string) []string { return []string{name} }

// restart is what the row works with.
type restart struct {
	store  *pgstore.Store
	client *redis.Client
	name   string
	views  []*graph.Projection
	each   int // objects in a view, its root included
}

func restartRow(ctx context.Context, t *target, o options) (_ []figure, err error) {
	opts, err := redis.ParseURL(t.redis.URL())
	if err != nil {
		return nil, err
	}
	opts.ContextTimeoutEnabled = true
	r := &restart{client: redis.NewClient(opts), name: "restart-" + uuid.NewString(), each: o.pick(5000, 1000, 20)}
	defer r.client.Close()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if r.store, err = pgstore.Open(ctx, pgstore.Config{URL: t.pg.URL(), Log: log}); err != nil {
		return nil, err
	}
	defer r.store.Close()
	const views = 20
	if err := r.fill(ctx, views); err != nil {
		return nil, err
	}
	images, err := os.MkdirTemp("", "graphtide-bench-images-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(images)
	cache := rediscache.NewCache(rediscache.Config{Client: r.client, Log: log})
	var out []figure
	for _, start := range []struct {
		name  string
		cache replica.Cache
	}{{"cold", cache}, {"Redis warm", cache}, {"image", nil}} {
		// Each stop leaves behind what the next start finds; the cold one has found
		// nothing. The image is asked for last, so that it does not hide Redis.
		dir := ""
		if start.name != "cold" {
			dir = images
		}
		took, queries, err := r.serve(ctx, start.cache, dir, log)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", start.name, err)
		}
		out = append(out,
			figure{start.name + ", to ready", float64(took) / float64(time.Millisecond), "ms", true, ""},
			figure{start.name + ", reads of Postgres", queries, "", true, ""})
	}
	return out, nil
}

// fill makes the graph: for each view a root, and objects with an edge to it.
func (r *restart) fill(ctx context.Context, views int) error {
	info, _, err := r.store.EnsureGraph(ctx, r.name)
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
				o.ID = root
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
		proj, gerr := graph.ParseProjection(fmt.Appendf(nil, `{"root":%q,"in":{"book":{}}}`, root.String()))
		if gerr != nil {
			return gerr
		}
		r.views = append(r.views, proj)
	}
	return nil
}

// itemBytes makes an object of about 300 bytes.
const itemBytes = 200

// serve starts, computes every view, and stops. It gives the time until the last
// view was there, and how often Postgres was asked for parts of the graph.
func (r *restart) serve(ctx context.Context, cache replica.Cache, images string, log *slog.Logger) (time.Duration, float64, error) {
	reg := prometheus.NewRegistry()
	begun := time.Now()
	set := replica.New(replica.Config{Store: r.store, Cache: cache, ImageDir: images, Metrics: reg, Log: log})
	if err := set.Start(ctx); err != nil {
		return 0, 0, err
	}
	defer set.Stop(context.WithoutCancel(ctx))
	rep, err := set.Open(ctx, r.name)
	if err != nil {
		return 0, 0, err
	}
	for _, proj := range r.views {
		var res *replica.Result
		var refused *graph.Error
		err := rep.Read(ctx, func(st *replica.State) {
			res, refused = replica.Evaluate(st, st, oneType{}, &graph.Principal{User: "ann"}, proj, graph.Limits{})
		})
		switch {
		case err != nil:
			return 0, 0, err
		case refused != nil:
			return 0, 0, refused
		case len(res.Objects) != r.each:
			return 0, 0, fmt.Errorf("a view has %d objects, want %d", len(res.Objects), r.each)
		}
	}
	took := time.Since(begun)
	queries, err := metricOf(reg, "graphtide_replica_queries_total")
	return took, queries, err
}

func metricOf(reg *prometheus.Registry, name string) (float64, error) {
	families, err := reg.Gather()
	if err != nil {
		return 0, err
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue(), nil
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}
