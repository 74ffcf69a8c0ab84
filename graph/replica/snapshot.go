package replica

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/graphtide/graphtide/graph"
)

// The bounds on the snapshots kept: a user who pages through the past asks for
// the same version again and again.
const (
	maxSnapshots        = 8
	maxSnapshotEntities = 1_000_000 // of all together; the newest is kept whatever its size
	// maxSnapshotLoads bounds the loads at once: each reads a whole graph over a
	// connection that the writers need as well. Others wait.
	maxSnapshotLoads = 2
)

// Snapshot is the state of a graph as of a version. It never changes and may be
// used by several goroutines.
type Snapshot struct{ *State }

// Types gives which types count as a type in the snapshot: as those given say,
// which are today's, and types that are gone since are themselves, and Objects, as
// every type is.
func (s *Snapshot) Types(today Types) Types {
	p := pastTypes{Types: today}
	for name, t := range s.types {
		if len(t.nodes) > 0 && today.Subtypes(name) == nil {
			p.gone = append(p.gone, name)
		}
	}
	slices.Sort(p.gone)
	return p
}

type pastTypes struct {
	Types
	gone []string // of which there are objects
}

func (t pastTypes) Subtypes(name string) []string {
	known := t.Types.Subtypes(name)
	switch {
	case name == "Object":
		return slices.Concat(known, t.gone)
	case known == nil && slices.Contains(t.gone, name):
		return []string{name}
	}
	return known
}

// LoadSnapshot reads the state at a version: CodeInvalidVersion beyond the
// head, CodeGone where history does not reach back.
func LoadSnapshot(ctx context.Context, store graph.Store, key graph.GraphKey, at graph.Version) (*Snapshot, error) {
	l := newLoader()
	head, err := store.StateAt(ctx, key, at, l.add)
	if err != nil {
		return nil, fmt.Errorf("load state at %d: %w", at, err)
	}
	l.core.head = head
	return &Snapshot{&State{core: l.core}}, nil
}

// snapshots is a small LRU of loads of the past.
type snapshots struct {
	loading singleflight.Group
	slots   chan struct{} // one token for each load under way

	mu   sync.Mutex // guards kept
	kept []keptSnapshot
}

type snapshotKey struct {
	graph graph.GraphKey
	epoch string
	at    graph.Version
}

type keptSnapshot struct {
	key      snapshotKey
	snapshot *Snapshot
}

func (p *snapshots) get(k snapshotKey) *Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.kept, func(s keptSnapshot) bool { return s.key == k })
	if i < 0 {
		return nil
	}
	hit := p.kept[i]
	p.kept = slices.Insert(slices.Delete(p.kept, i, i+1), 0, hit)
	return hit.snapshot
}

func (p *snapshots) put(k snapshotKey, s *Snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = slices.Insert(p.kept, 0, keptSnapshot{k, s})
	entities := 0
	for i, kept := range p.kept {
		objects, edges := kept.snapshot.Len()
		entities += objects + edges
		if i > 0 && (i >= maxSnapshots || entities > maxSnapshotEntities) {
			clear(p.kept[i:])
			p.kept = p.kept[:i]
			return
		}
	}
}

// At gives the state of a graph at a version, which is loaded once for all who
// wait and kept for a while: CodeInvalidVersion beyond the head, CodeGone where
// history does not reach back. Judge rights on it with Replica.Past.
func (s *Set) At(ctx context.Context, name string, at graph.Version) (*Snapshot, error) {
	r, err := s.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	if floor := r.Floor(); 0 <= at && at < floor { // also where a snapshot of before is kept
		return nil, graph.Errf(graph.CodeGone, "history is kept from version %d on", floor)
	}
	k := snapshotKey{r.key, r.Head().Epoch, at}
	if hit := s.snapshots.get(k); hit != nil {
		return hit, nil
	}
	loaded := s.snapshots.loading.DoChan(fmt.Sprint(k), s.held(func() (any, error) {
		if hit := s.snapshots.get(k); hit != nil {
			return hit, nil
		}
		select {
		case s.snapshots.slots <- struct{}{}:
			defer func() { <-s.snapshots.slots }()
		case <-s.ctx.Done():
			return nil, s.ctx.Err()
		}
		snapshot, err := LoadSnapshot(s.ctx, s.cfg.Store, k.graph, at)
		if err != nil {
			return nil, err
		}
		s.snapshots.put(k, snapshot)
		return snapshot, nil
	}))
	select {
	case res := <-loaded:
		if res.Err != nil {
			return nil, res.Err
		}
		return res.Val.(*Snapshot), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
