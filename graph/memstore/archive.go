package memstore

import (
	"context"
	"fmt"

	"github.com/graphtide/graphtide/graph"
)

var _ graph.Archive = (*Store)(nil)

// Floor gives the version from which log and states are kept.
func (s *Store) Floor(_ context.Context, key graph.GraphKey) (graph.Version, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, err := s.graphOf(key)
	if err != nil {
		return 0, err
	}
	return g.floor, nil
}

// Floors gives the versions from which logs and states are kept.
func (s *Store) Floors(_ context.Context, keys []graph.GraphKey) (map[graph.GraphKey]graph.Version, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make(map[graph.GraphKey]graph.Version, len(keys))
	for _, k := range keys {
		if g, ok := s.keys[k]; ok {
			out[k] = g.floor
		}
	}
	return out, nil
}

// Marks gives commits without what they did, however old.
func (s *Store) Marks(_ context.Context, key graph.GraphKey, since graph.Version, limit int) ([]*graph.Commit, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, err := s.graphOf(key)
	if err != nil {
		return nil, err
	}
	var out []*graph.Commit
	for v := max(since, 0); v < g.head.Version && len(out) < limit; v++ {
		bare := *g.log[v]
		bare.Asked, bare.Done, bare.Changes = nil, nil, nil
		out = append(out, &bare)
	}
	return out, nil
}

// occupied refuses a name whose graph is not empty; the caller holds mu.
func (s *Store) occupied(name string) error {
	if g, ok := s.names[name]; ok && g.head.Version > 0 {
		return graph.Occupied(name, g.head.Version)
	}
	return nil
}

// drop removes the graph of a name, if there is one; the caller holds mu.
func (s *Store) drop(name string) {
	if g, ok := s.names[name]; ok {
		delete(s.names, name)
		delete(s.keys, g.key)
	}
}

// Prepare makes an empty graph out of sight.
func (s *Store) Prepare(_ context.Context, name string) (graph.GraphInfo, error) {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.occupied(name); err != nil {
		return graph.GraphInfo{}, err
	}
	hidden := graph.PreparedName(name)
	s.drop(hidden)
	return s.add(hidden).info(), nil
}

// Ground lays what a log with a floor begins with.
func (s *Store) Ground(_ context.Context, key graph.GraphKey, marks []*graph.Commit, objects []*graph.Object, edges []*graph.Edge) error {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.graphOf(key)
	if err != nil {
		return err
	}
	if g.name[0] != '.' || g.head.Version != g.floor {
		return graph.NotFound("graph that is being prepared")
	}
	for _, c := range marks {
		kept := *c
		g.head.Version++
		kept.Version, kept.Epoch, kept.SchemaVer = g.head.Version, g.head.Epoch, g.head.SchemaVer
		g.head.At, g.floor = c.At, g.head.Version
		k := graph.MutationKey{Author: c.Author.User, Key: c.Mutation}
		if _, ok := g.mutations[k]; ok {
			return fmt.Errorf("lay the ground of a log: the key %s of %s comes twice", k.Key, k.Author)
		}
		g.log = append(g.log, &kept)
		g.mutations[k] = graph.Recorded{Version: kept.Version, Hash: c.Hash, Cause: c.Cause.Kind}
	}
	lay := func(ref graph.Ref, r row) {
		g.rows[ref] = r
		g.history[ref] = append(g.history[ref], r)
		g.count(ref.Kind, 1)
	}
	for _, o := range objects {
		lay(graph.ObjectRef(o.ID), row{obj: o, version: o.Meta.Version})
	}
	for _, e := range edges {
		lay(graph.EdgeRef(e.ID), row{edge: e, version: e.Meta.Version})
		g.between[tripleOf(e)] = e.ID
	}
	return nil
}

// Publish gives a prepared graph its name.
func (s *Store) Publish(_ context.Context, key graph.GraphKey, name string) error {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.occupied(name); err != nil {
		return err
	}
	g, ok := s.keys[key]
	if !ok || g.name != graph.PreparedName(name) {
		return graph.NotFound("graph that is being prepared")
	}
	s.drop(name)
	delete(s.names, g.name)
	g.name, s.names[name] = name, g
	if s.skip != nil {
		s.skip(key, g.head)
	}
	return nil
}
