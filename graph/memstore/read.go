package memstore

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"sort"

	"github.com/graphtide/graphtide/graph"
)

// chunk is how many entities a StateFunc gets at once.
const chunk = 1000

// Log gives up to limit commits after since, oldest first. The commits are the
// caller's own.
func (s *Store) Log(_ context.Context, key graph.GraphKey, since graph.Version, limit int) ([]*graph.Commit, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, err := s.graphOf(key)
	if err != nil {
		return nil, err
	}
	since = max(since, 0)
	if since < g.floor {
		return nil, graph.Errf(graph.CodeGone, "the log begins after version %d", g.floor)
	}
	var out []*graph.Commit
	for v := since; v < g.head.Version && len(out) < limit; v++ {
		c := *g.log[v]
		c.Changes = slices.Clone(c.Changes)
		out = append(out, &c)
	}
	return out, nil
}

// State streams the present state and returns the head it belongs to.
func (s *Store) State(ctx context.Context, key graph.GraphKey, fn graph.StateFunc) (graph.Head, error) {
	s.mu.RLock()
	g, err := s.graphOf(key)
	if err != nil {
		s.mu.RUnlock()
		return graph.Head{}, err
	}
	head := g.head
	rows := make([]row, 0, g.objects+g.edges)
	for _, r := range g.rows {
		rows = append(rows, r)
	}
	s.mu.RUnlock()
	return head, stream(ctx, rows, fn)
}

// StateAt streams the state at a version.
func (s *Store) StateAt(ctx context.Context, key graph.GraphKey, at graph.Version, fn graph.StateFunc) (graph.Head, error) {
	s.mu.RLock()
	g, err := s.graphOf(key)
	if err == nil {
		err = g.within(at)
		if err == nil && at < g.floor {
			err = graph.Errf(graph.CodeGone, "history is kept from version %d on", g.floor)
		}
	}
	if err != nil {
		s.mu.RUnlock()
		return graph.Head{}, err
	}
	head := graph.Head{Epoch: g.head.Epoch}
	if at > 0 {
		c := g.log[at-1]
		head.Version, head.At, head.SchemaVer = c.Version, c.At, c.SchemaVer
	}
	rows := make([]row, 0, len(g.history))
	for ref := range g.history {
		if p, ok := g.pastOf(ref, at); ok {
			rows = append(rows, p)
		}
	}
	s.mu.RUnlock()
	return head, stream(ctx, rows, fn)
}

// stream hands over the live rows in pieces, objects first.
func stream(ctx context.Context, rows []row, fn graph.StateFunc) error {
	var objects []*graph.Object
	var edges []*graph.Edge
	for _, r := range rows {
		switch {
		case r.deleted:
		case r.obj != nil:
			objects = append(objects, r.obj)
		default:
			edges = append(edges, r.edge)
		}
	}
	slices.SortFunc(objects, func(a, b *graph.Object) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	slices.SortFunc(edges, func(a, b *graph.Edge) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for piece := range slices.Chunk(objects, chunk) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(piece, nil); err != nil {
			return err
		}
	}
	for piece := range slices.Chunk(edges, chunk) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(nil, piece); err != nil {
			return err
		}
	}
	return nil
}

// EntityAt gives an entity as of a version.
func (s *Store) EntityAt(_ context.Context, key graph.GraphKey, ref graph.Ref, at graph.Version) (graph.Snapshot, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, err := s.graphOf(key)
	if err != nil {
		return graph.Snapshot{}, err
	}
	if err := g.within(at); err != nil {
		return graph.Snapshot{}, err
	}
	p, ok := g.pastOf(ref, at)
	if !ok {
		return graph.Snapshot{}, g.lost(ref, at)
	}
	return p.snapshot(), nil
}

// History gives versions of an entity below before, newest first.
func (s *Store) History(_ context.Context, key graph.GraphKey, ref graph.Ref, before graph.Version, limit int) ([]*graph.HistoryEntry, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, err := s.graphOf(key)
	if err != nil {
		return nil, err
	}
	var out []*graph.HistoryEntry
	for _, p := range slices.Backward(g.history[ref]) {
		if len(out) >= limit {
			break
		}
		if before > 0 && p.version >= before {
			continue
		}
		c := *g.log[p.version-1]
		out = append(out, &graph.HistoryEntry{Snapshot: p.snapshot(), Patch: patchOf(&c, ref)})
		c.Changes, c.Asked, c.Done = nil, nil, nil
		out[len(out)-1].Commit = &c
	}
	return out, nil
}

func patchOf(c *graph.Commit, ref graph.Ref) json.RawMessage {
	for i := range c.Changes {
		if c.Changes[i].Ref == ref {
			return c.Changes[i].Patch
		}
	}
	return nil
}

// within refuses versions that the log has not reached.
func (g *graphState) within(at graph.Version) error {
	if at < 0 || at > g.head.Version {
		return graph.Errf(graph.CodeInvalidVersion, "there is no version %d yet; the last is %d", at, g.head.Version)
	}
	return nil
}

// lost reports an entity that was there by a version and has no state from then
// left: a compaction took it. One that was deleted by then is just not there.
func (g *graphState) lost(ref graph.Ref, at graph.Version) error {
	r, ok := g.rows[ref]
	if !ok || r.created() > at || r.deleted && r.version <= at {
		return nil
	}
	return graph.Errf(graph.CodeGone, "the history of %s %s does not reach back to version %d", ref.Kind, ref.IDString(), at)
}

func (r row) created() graph.Version {
	if r.obj != nil {
		return r.obj.Meta.CreatedVersion
	}
	return r.edge.Meta.CreatedVersion
}

// pastOf gives the last state of an entity at or before a version.
func (g *graphState) pastOf(ref graph.Ref, at graph.Version) (row, bool) {
	h := g.history[ref]
	i := sort.Search(len(h), func(i int) bool { return h[i].version > at })
	if i == 0 {
		return row{}, false
	}
	return h[i-1], true
}

func (p row) snapshot() graph.Snapshot {
	return graph.Snapshot{Object: p.obj, Edge: p.edge, Deleted: p.deleted, At: p.version}
}
