package replica

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/graphtide/graphtide/graph"
)

// maxGraves bounds the deletions remembered for one graph; over it they are
// read from the log again when somebody asks.
const maxGraves = 500_000

// Past knows what has been deleted since a version, so that the past can be
// judged by today's rights and a deleted object by its last.
type Past struct{ graves *graves }

// Past reads, from the log, what was deleted after since. The first call for a
// version reads all commits after it; later calls read what is new. It does I/O
// and must not be called inside Read.
func (r *Replica) Past(ctx context.Context, since graph.Version) (*Past, error) {
	if err := r.graves.reach(ctx, r, since); err != nil {
		return nil, fmt.Errorf("read what was deleted since %d: %w", since, err)
	}
	return &Past{&r.graves}, nil
}

// Over gives a reader of the present state in which deleted objects are still
// found, without their bodies, as they were when they were deleted, with the
// edges that left them. It lives as long as present.
func (p *Past) Over(present graph.Reader) graph.Reader { return &overPast{present, p.graves} }

type overPast struct {
	graph.Reader
	graves *graves
}

// Object gives the object as it is, or as it last was.
func (o *overPast) Object(id graph.ObjectID) *graph.Object {
	if obj := o.Reader.Object(id); obj != nil {
		return obj
	}
	return o.graves.object(id)
}

// Out walks the edges that leave the object, or that left it when it was deleted.
func (o *overPast) Out(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	if o.Reader.Object(id) != nil {
		o.Reader.Out(id, label, yield)
		return
	}
	for _, e := range o.graves.leaving(id) {
		if (label == "" || e.Label == label) && !yield(e) {
			return
		}
	}
}

// CountOut counts what Out walks.
func (o *overPast) CountOut(id graph.ObjectID, label string) int {
	n := 0
	o.Out(id, label, func(*graph.Edge) bool { n++; return true })
	return n
}

// graves remembers what the commits of a stretch of the log deleted. It may
// only know more than was asked for: no id comes back to life.
type graves struct {
	reading singleflight.Group // one reader at a time: a stretch grows from its two ends

	mu      sync.RWMutex // guards the fields below
	known   bool
	from    graph.Version // the commits after from, up to to, are in
	to      graph.Version
	era     int // counts clear, for who was reading meanwhile
	objects map[graph.ObjectID]*graph.Object
	edges   map[graph.ObjectID][]*graph.Edge // by the object that they left
}

func (g *graves) object(id graph.ObjectID) *graph.Object {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.objects[id]
}

func (g *graves) leaving(id graph.ObjectID) []*graph.Edge {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.edges[id]
}

func (g *graves) clear() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known, g.objects, g.edges = false, nil, nil
	g.era++
}

// covers reports whether all that was deleted after since, up to head, is known.
func (g *graves) covers(since, head graph.Version) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return since >= head || g.known && g.from <= since && g.to >= head
}

// reach reads on until everything after since up to the replica's head is known.
func (g *graves) reach(ctx context.Context, r *Replica, since graph.Version) error {
	head := r.Head().Version
	for !g.covers(since, head) {
		read := g.reading.DoChan("", r.set.held(func() (any, error) { return nil, g.read(r, since, head) }))
		select {
		case res := <-read:
			if res.Err != nil {
				return res.Err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// read takes the missing stretches from the log.
func (g *graves) read(r *Replica, since, head graph.Version) error {
	g.mu.Lock()
	if !g.known || len(g.objects) > maxGraves {
		g.known, g.from, g.to = true, since, since
		g.objects, g.edges = map[graph.ObjectID]*graph.Object{}, map[graph.ObjectID][]*graph.Edge{}
	}
	from, to, era := g.from, g.to, g.era
	g.mu.Unlock()
	if since < from {
		if err := g.stretch(r, since, from, era); err != nil {
			return err
		}
	}
	return g.stretch(r, to, head, era)
}

// stretch adds what the commits after from, up to to, deleted; the stretch ends
// or begins where the known one begins or ends.
func (g *graves) stretch(r *Replica, from, to graph.Version, era int) error {
	var found []*graph.Commit
	for at := from; at < to; {
		commits, err := r.set.cfg.Store.Log(r.set.ctx, r.key, at, logPage)
		if err != nil {
			return err
		}
		if len(commits) == 0 {
			return fmt.Errorf("the log ends at %d, before %d", at, to)
		}
		for _, c := range commits {
			if removes(c) {
				found = append(found, c)
			}
		}
		at = commits[len(commits)-1].Version
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.era != era {
		return nil // the caller looks again
	}
	for _, c := range found {
		g.bury(c)
	}
	g.from, g.to = min(g.from, from), max(g.to, to)
	return nil
}

func removes(c *graph.Commit) bool {
	for i := range c.Changes {
		if ch := &c.Changes[i]; ch.Event == graph.Deleted && ch.Ref.Kind == graph.KindObject {
			return true
		}
	}
	return false
}

// bury notes the objects that c deletes, with the edges that went with them.
// The caller holds mu.
func (g *graves) bury(c *graph.Commit) {
	for i := range c.Changes {
		if o := c.Changes[i].ObjBefore; o != nil && c.Changes[i].Event == graph.Deleted {
			bare := *o
			bare.Body = nil
			g.objects[o.ID] = &bare
			g.edges[o.ID] = nil // a commit may be read twice
		}
	}
	for i := range c.Changes {
		if e := c.Changes[i].EdgeBefore; e != nil && c.Changes[i].Event == graph.Deleted {
			if _, ok := g.edges[e.From]; ok {
				bare := *e
				bare.Body = nil
				g.edges[e.From] = append(g.edges[e.From], &bare)
			}
		}
	}
}
