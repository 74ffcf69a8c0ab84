package memstore

import (
	"context"

	"github.com/graphtide/graphtide/graph"
)

// Append writes all commits or none.
func (s *Store) Append(_ context.Context, b *graph.Batch) (graph.AppendResult, error) {
	if err := b.Check(); err != nil {
		return graph.AppendResult{}, err
	}
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.graphOf(b.Graph)
	if err != nil {
		return graph.AppendResult{}, err
	}
	return s.appendTo(g, b), nil
}

// appendTo writes the batch, or tells what stands in the way; the caller holds
// mu, or g is its own.
func (s *Store) appendTo(g *graphState, b *graph.Batch) graph.AppendResult {
	if h := g.head; h.Version != b.Expect.Version || h.Epoch != b.Expect.Epoch || h.SchemaVer != b.Expect.SchemaVer {
		return graph.AppendResult{Moved: true, Head: h}
	}
	if hits := s.obstacles(g, b); len(hits) > 0 {
		return graph.AppendResult{Hits: hits}
	}
	for _, c := range b.Commits {
		g.write(c)
	}
	return graph.AppendResult{}
}

// obstacles plays the batch over the present rows and collects what does not
// fit. What an earlier commit of the batch made is seen by the later ones.
func (s *Store) obstacles(g *graphState, b *graph.Batch) []graph.Hit {
	var hits []graph.Hit
	rows := map[graph.Ref]row{}
	between := map[triple]bool{}
	keys := map[graph.MutationKey]graph.Recorded{}
	rowOf := func(ref graph.Ref) (row, bool) {
		if r, ok := rows[ref]; ok {
			return r, true
		}
		r, ok := g.rows[ref]
		return r, ok
	}
	taken := func(t triple) bool {
		if v, ok := between[t]; ok {
			return v
		}
		_, ok := g.between[t]
		return ok
	}
	for i, c := range b.Commits {
		k := graph.MutationKey{Author: c.Author.User, Key: c.Mutation}
		if r, ok := g.mutations[k]; ok {
			hits = append(hits, graph.Hit{Commit: i, Kind: graph.HitMutation, Version: r.Version, Hash: r.Hash})
		} else if r, ok := keys[k]; ok {
			hits = append(hits, graph.Hit{Commit: i, Kind: graph.HitMutation, Hash: r.Hash})
		}
		keys[k] = graph.Recorded{Hash: c.Hash}
		if c.Fence != nil && (s.fence == nil || !s.fence(g.key, *c.Fence)) {
			hits = append(hits, graph.Hit{Commit: i, Kind: graph.HitFence})
		}
		for j := range c.Changes {
			ch := &c.Changes[j]
			r, known := rowOf(ch.Ref)
			switch {
			case ch.Event == graph.Created && known != ch.Revived, ch.Revived && !r.deleted:
				kind := graph.HitObject
				if ch.Ref.Kind == graph.KindEdge {
					kind = graph.HitEdge
				}
				hits = append(hits, graph.Hit{Commit: i, Kind: kind, Ref: ch.Ref})
			case ch.Event != graph.Created && (!known || r.deleted):
				hits = append(hits, graph.Hit{Commit: i, Kind: graph.HitConflict, Ref: ch.Ref})
			case ch.MetaBefore() != nil && ch.MetaBefore().Version != r.version:
				hits = append(hits, graph.Hit{Commit: i, Kind: graph.HitConflict, Ref: ch.Ref})
			}
			if ch.Event == graph.Deleted && r.edge != nil && !r.deleted {
				between[tripleOf(r.edge)] = false
			}
			rows[ch.Ref] = row{obj: ch.ObjAfter, edge: ch.EdgeAfter, version: c.Version, deleted: ch.Event == graph.Deleted}
		}
		// A commit is judged as a whole: it may put an edge in the place of one
		// that it removes, in whichever order it names them.
		for j := range c.Changes {
			ch := &c.Changes[j]
			if ch.Event != graph.Created || ch.EdgeAfter == nil {
				continue
			}
			if t := tripleOf(ch.EdgeAfter); taken(t) {
				hits = append(hits, graph.Hit{Commit: i, Kind: graph.HitBetween, Ref: ch.Ref})
			} else {
				between[t] = true
			}
		}
	}
	return hits
}

// write applies a commit that nothing stands in the way of.
func (g *graphState) write(c *graph.Commit) {
	kept := *c
	kept.Epoch = g.head.Epoch
	kept.Fence = nil
	kept.Changes = make([]graph.Change, len(c.Changes))
	for i := range c.Changes {
		ch := c.Changes[i]
		last := g.rows[ch.Ref]
		next := row{obj: ch.ObjAfter, edge: ch.EdgeAfter, version: c.Version, deleted: ch.Event == graph.Deleted}
		ch.ObjBefore, ch.EdgeBefore, ch.Revived = nil, nil, false
		switch ch.Event {
		case graph.Created:
			g.count(ch.Ref.Kind, 1)
		case graph.Deleted:
			g.count(ch.Ref.Kind, -1)
			ch.ObjBefore, ch.EdgeBefore = last.obj, last.edge
			next.obj, next.edge = last.obj, last.edge
			if last.edge != nil {
				delete(g.between, tripleOf(last.edge))
			}
		}
		g.rows[ch.Ref] = next
		g.history[ch.Ref] = append(g.history[ch.Ref], next)
		kept.Changes[i] = ch
	}
	for i := range c.Changes {
		if e := c.Changes[i].EdgeAfter; e != nil {
			g.between[tripleOf(e)] = e.ID
		}
	}
	g.log = append(g.log, &kept)
	g.mutations[graph.MutationKey{Author: c.Author.User, Key: c.Mutation}] = graph.Recorded{Version: c.Version, Hash: c.Hash, Cause: c.Cause.Kind}
	g.head.Version, g.head.At = c.Version, c.At
}

func (g *graphState) count(kind graph.EntityKind, by int64) {
	if kind == graph.KindObject {
		g.objects += by
	} else {
		g.edges += by
	}
}

func tripleOf(e *graph.Edge) triple { return triple{e.Label, e.From, e.To} }

// Recorded looks up mutations by author and key.
func (s *Store) Recorded(_ context.Context, key graph.GraphKey, keys []graph.MutationKey) (map[graph.MutationKey]graph.Recorded, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, err := s.graphOf(key)
	if err != nil {
		return nil, err
	}
	out := map[graph.MutationKey]graph.Recorded{}
	for _, k := range keys {
		if r, ok := g.mutations[k]; ok {
			out[k] = r
		}
	}
	return out, nil
}
