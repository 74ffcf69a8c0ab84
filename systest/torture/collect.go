package torture

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/pgstore"
)

// collector reads the log as an administrator, and keeps what the judge has not
// yet looked at.
type collector struct {
	w *world

	mu      sync.Mutex // guards the fields below
	store   *pgstore.Store
	commits []*commit
	laws    map[int]int // generations by schema version
	read    int         // the version read up to
	sums    []uint64    // of all commits read, by version - 1
	synced  time.Time
}

// page is how many commits are asked for at a time.
const page = 500

// sync reads the log to its end.
func (c *collector) sync(ctx context.Context, node int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	tok := token(principalOf("root", nil))
	for {
		a, err := c.w.request(ctx, node, "GET", c.w.path(fmt.Sprintf("/log?since=%d&limit=%d", c.read, page)), tok, "")
		if err != nil {
			return err
		}
		if a.status == 410 {
			c.w.violate("H5 pruning", "the log after %d is gone, though it is younger than the grace of the compaction", c.read)
		}
		if a.status != 200 {
			return fmt.Errorf("the log is answered with %d %s", a.status, a.body)
		}
		list, _ := a.doc["commits"].([]any)
		recorded, err := c.authors(ctx, list)
		if err != nil {
			return err
		}
		for i, raw := range list {
			m, _ := raw.(map[string]any)
			x := &commit{version: toInt(m["version"])}
			x.at, _ = m["at"].(string)
			if x.time, err = time.Parse(time.RFC3339Nano, x.at); err != nil {
				c.w.violate("H2 who and when", "version %d is of %q", x.version, x.at)
			}
			x.by, _ = m["by"].(string)
			x.mutation, _ = m["mutation"].(string)
			x.patch, _ = m["patch"].([]any)
			x.author, x.session, x.law = recorded[i].who, recorded[i].session, recorded[i].law
			if x.generation, err = c.generation(ctx, x.law); err != nil {
				return err
			}
			cause, _ := m["cause"].(map[string]any)
			x.cause, x.causedBy = text(cause["kind"]), toInt(cause["version"])
			if x.version != c.read+1 {
				c.w.violate("W5 dense", "version %d follows %d in the log", x.version, c.read)
				return fmt.Errorf("the log has a gap")
			}
			c.read, c.sums = x.version, append(c.sums, sumOf("commit", map[string]any{"body": m}))
			c.commits = append(c.commits, x)
		}
		if len(list) == 0 {
			c.synced = time.Now()
			c.w.saw(c.read)
			return nil
		}
	}
}

// author is whom the database has a commit's author stand for, by which session
// it came, and under which schema.
type author struct {
	who     principal
	session string
	law     int
}

// authors looks in the database for what the log does not tell: with which teams
// and org each of these commits was made.
func (c *collector) authors(ctx context.Context, list []any) ([]author, error) {
	if len(list) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, clientPatience)
	defer cancel()
	if c.store == nil {
		store, err := pgstore.Open(ctx, pgstore.Config{URL: c.w.pg.url(), MaxConns: 1, Name: "judge", Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return nil, err
		}
		c.store = store
	}
	info, err := c.store.Graph(ctx, c.w.graph)
	if err != nil {
		return nil, err
	}
	commits, err := c.store.Log(ctx, info.Key, graph.Version(c.read), len(list))
	if err != nil {
		return nil, err
	}
	if len(commits) != len(list) {
		return nil, fmt.Errorf("a node tells of %d commits after %d, the database has %d", len(list), c.read, len(commits))
	}
	out := make([]author, len(commits))
	for i, x := range commits {
		a := x.Author
		out[i] = author{principal{user: a.User, org: a.Org, teams: a.Teams, admin: a.Admin}, x.Session, int(x.SchemaVer)}
	}
	return out, nil
}

// generation gives that of a schema's sheets.
func (c *collector) generation(ctx context.Context, law int) (int, error) {
	if g, ok := c.laws[law]; ok {
		return g, nil
	}
	doc, err := c.store.SchemaAt(ctx, int64(law))
	if err != nil {
		return 0, err
	}
	g, err := generationOf(doc)
	if err == nil {
		if c.laws == nil {
			c.laws = map[int]int{}
		}
		c.laws[law] = g
	}
	return g, err
}

// close ends the look into the database.
func (c *collector) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.store != nil {
		c.store.Close()
		c.store = nil
	}
}

// fresh reports whether the log was read to its end a moment ago, so that what
// is older may be forgotten.
func (c *collector) fresh() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.synced) < 3*time.Second
}

// follow reads on until ctx ends.
func (c *collector) follow(ctx context.Context) {
	tick := time.NewTicker(400 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = c.sync(ctx, i%len(c.w.urls)) // the next one may find a node that answers
		}
	}
}

// take gives what was read and begins anew.
func (c *collector) take() []*commit {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.commits
	c.commits = nil
	return out
}
