package memstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/graphtide/graphtide/graph"
)

// RememberIdle keeps the keys of transactions without effect.
func (s *Store) RememberIdle(_ context.Context, key graph.GraphKey, at graph.Version, keys []graph.IdleKey) (map[graph.MutationKey]graph.Recorded, error) {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.graphOf(key)
	if err != nil {
		return nil, err
	}
	used := map[graph.MutationKey]graph.Recorded{}
	for _, k := range keys {
		if r, ok := g.mutations[k.MutationKey]; ok {
			used[k.MutationKey] = r
			continue
		}
		if k.Fence == nil || s.fence != nil && s.fence(key, *k.Fence) {
			g.mutations[k.MutationKey] = graph.Recorded{Version: at, Hash: k.Hash, Cause: k.Cause, Idle: true}
		}
	}
	return used, nil
}

// IdleKeys gives keys of transactions without effect.
func (s *Store) IdleKeys(_ context.Context, key graph.GraphKey, after graph.MutationKey, limit int) ([]graph.KeptKey, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, err := s.graphOf(key)
	if err != nil {
		return nil, err
	}
	order := func(a, b graph.MutationKey) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Author, b.Author))
	}
	var out []graph.KeptKey
	for k, r := range g.mutations {
		if r.Idle && order(k, after) > 0 {
			out = append(out, graph.KeptKey{IdleKey: graph.IdleKey{MutationKey: k, Hash: r.Hash, Cause: r.Cause}, Version: r.Version})
		}
	}
	slices.SortFunc(out, func(a, b graph.KeptKey) int { return order(a.MutationKey, b.MutationKey) })
	return out[:min(limit, len(out))], nil
}
