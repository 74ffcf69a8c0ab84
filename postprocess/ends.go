package postprocess

import (
	"context"
	"fmt"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// endTypes knows the types of the objects at the ends of the edges that a stretch
// of the log touched, whether these objects are still there or not: who matches
// late finds what who matches at once does. A type never changes, so it does not
// matter as of when it is read. It is read when the first one is asked for, and
// for all ends together.
type endTypes struct {
	m       *matcher
	ctx     context.Context // of the matching, whose part this is
	commits []*graph.Commit
	types   map[graph.ObjectID]string // nil until one was asked for
	fault   error                     // of the looking up: every answer is "" then
}

func (m *matcher) typesIn(ctx context.Context, commits ...*graph.Commit) *endTypes {
	return &endTypes{m: m, ctx: ctx, commits: commits}
}

// of gives the type of an object at an end.
func (t *endTypes) of(id graph.ObjectID) string {
	if t.types == nil {
		t.types = map[graph.ObjectID]string{}
		if err := t.read(); err != nil {
			t.fault = fmt.Errorf("look up the types of objects: %w", err)
		}
	}
	return t.types[id]
}

// read fills in the types: of what the commits touch from these, of the rest
// from where they are kept.
func (t *endTypes) read() error {
	ends := map[graph.ObjectID]bool{}
	for _, c := range t.commits {
		for i := range c.Changes {
			ch := &c.Changes[i]
			for _, o := range []*graph.Object{ch.ObjBefore, ch.ObjAfter} {
				if o != nil {
					t.types[o.ID] = o.Type
				}
			}
			for _, e := range []*graph.Edge{ch.EdgeBefore, ch.EdgeAfter} {
				if e != nil {
					ends[e.From], ends[e.To] = true, true
				}
			}
		}
	}
	var unknown []graph.ObjectID
	for id := range ends {
		if _, known := t.types[id]; !known {
			unknown = append(unknown, id)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	found, err := t.m.typesOf(t.ctx, unknown)
	for id, typ := range found {
		t.types[id] = typ
	}
	return err
}

// typesOf gives the types of objects: of those that are there as the replica
// knows them, of others as the store does.
func typesOf(store graph.Store, r *replica.Replica) func(context.Context, []graph.ObjectID) (map[graph.ObjectID]string, error) {
	return func(ctx context.Context, ids []graph.ObjectID) (map[graph.ObjectID]string, error) {
		var types map[graph.ObjectID]string
		var gone []graph.ObjectID
		err := r.Read(ctx, func(s *replica.State) { // each answer is made anew
			types, gone = make(map[graph.ObjectID]string, len(ids)), nil
			for _, id := range ids {
				if o := s.Object(id); o != nil {
					types[id] = o.Type
				} else {
					gone = append(gone, id)
				}
			}
		})
		if err != nil || len(gone) == 0 {
			return types, err
		}
		last, err := store.Types(ctx, r.Key(), gone)
		for id, typ := range last {
			types[id] = typ
		}
		return types, err
	}
}
