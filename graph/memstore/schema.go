package memstore

import (
	"context"
	"fmt"

	"github.com/graphtide/graphtide/graph"
)

// Schema gives the active schema's version and document.
func (s *Store) Schema(context.Context) (int64, []byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := len(s.schemas)
	if n == 0 {
		return 0, nil, nil
	}
	return int64(n), s.schemas[n-1], nil
}

// SchemaAt gives the document of a version.
func (s *Store) SchemaAt(_ context.Context, version int64) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if version < 1 || version > int64(len(s.schemas)) {
		return nil, graph.NotFound("schema version")
	}
	return s.schemas[version-1], nil
}

// ActivateSchema makes doc the schema after version from. Nothing is written
// while check runs, and reads go on.
func (s *Store) ActivateSchema(ctx context.Context, from int64, doc []byte, check func(context.Context, []graph.GraphInfo) ([]*graph.Batch, error)) (int64, error) {
	s.write.Lock()
	defer s.write.Unlock()

	s.mu.RLock()
	active, graphs := int64(len(s.schemas)), s.list()
	s.mu.RUnlock()
	if active != from {
		e := graph.Errf(graph.CodeVersionMismatch, "the active schema has version %d", active)
		e.SchemaVer = active
		return 0, e
	}
	batches, err := check(ctx, graphs)
	if err != nil {
		return 0, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	changed := map[graph.GraphKey]*graphState{}
	for _, b := range batches {
		if err := b.Check(); err != nil {
			return 0, err
		}
		g := changed[b.Graph]
		if g == nil {
			old, err := s.graphOf(b.Graph)
			if err != nil {
				return 0, err
			}
			g = old.clone()
			changed[b.Graph] = g
		}
		if res := s.appendTo(g, b); res.Moved || len(res.Hits) > 0 {
			return 0, fmt.Errorf("activate schema %d: the migration of graph %s does not fit it (moved %v, hits %v)", from+1, g.name, res.Moved, res.Hits)
		}
	}
	for key, g := range changed {
		s.keys[key], s.names[g.name] = g, g
	}
	s.schemas = append(s.schemas, append([]byte(nil), doc...))
	for _, g := range s.keys {
		g.head.SchemaVer = from + 1
	}
	return from + 1, nil
}
