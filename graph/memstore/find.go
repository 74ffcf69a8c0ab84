package memstore

import (
	"context"
	"slices"

	"github.com/graphtide/graphtide/graph"
)

// Named gives the versions of the commits of a mutation.
func (s *Store) Named(_ context.Context, key graph.GraphKey, mutation string) ([]graph.Version, error) {
	return s.find(key, func(c *graph.Commit) bool { return c.Mutation == mutation })
}

// Grouped gives the versions of the commits of a group.
func (s *Store) Grouped(_ context.Context, key graph.GraphKey, group string) ([]graph.Version, error) {
	return s.find(key, func(c *graph.Commit) bool { return group != "" && c.Group == group })
}

// Caused gives the versions of the commits that runs and operations made
// because of the causes.
func (s *Store) Caused(_ context.Context, key graph.GraphKey, causes []graph.Version) ([]graph.Version, error) {
	return s.find(key, func(c *graph.Commit) bool {
		byRun := c.Cause.Kind == graph.CauseRun || c.Cause.Kind == graph.CauseOperation
		return byRun && slices.Contains(causes, c.Cause.Version)
	})
}

func (s *Store) find(key graph.GraphKey, match func(*graph.Commit) bool) ([]graph.Version, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, err := s.graphOf(key)
	if err != nil {
		return nil, err
	}
	var out []graph.Version
	for _, c := range g.log {
		if match(c) {
			out = append(out, c.Version)
		}
	}
	return out, nil
}
