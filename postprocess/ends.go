package postprocess

import (
	"context"
	"fmt"
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/schema"
)

// typesAtOnce is how many types one question is for.
const typesAtOnce = 1000

// registryOf gives the schema under which a commit is matched; nil where it is not.
type registryOf func(context.Context, *graph.Commit) (*schema.Registry, error)

// only is one schema for all commits.
func only(reg *schema.Registry) registryOf {
	return func(context.Context, *graph.Commit) (*schema.Registry, error) { return reg, nil }
}

// endTypes knows the types of the objects at the ends of the edges that a stretch
// of the log touched, whether these objects are still there or not: who matches
// late finds what who matches at once does. A type never changes, so it does not
// matter as of when it is read. With the first one that is asked for, all are read
// that a rule may ask for.
type endTypes struct {
	m       *matcher
	ctx     context.Context // of the matching, whose part this is
	under   registryOf
	commits []*graph.Commit
	types   map[graph.ObjectID]string // nil until one was asked for; "" for none
	fault   error                     // of the looking up: every answer is "" then
}

func (m *matcher) typesIn(ctx context.Context, under registryOf, commits ...*graph.Commit) *endTypes {
	return &endTypes{m: m, ctx: ctx, under: under, commits: commits}
}

// of gives the type of an object at an end.
func (t *endTypes) of(id graph.ObjectID) string {
	if t.fault != nil {
		return ""
	}
	var unknown []graph.ObjectID
	if t.types == nil {
		t.types = map[graph.ObjectID]string{}
		if unknown, t.fault = t.forecast(); t.fault != nil {
			return ""
		}
	}
	if _, known := t.types[id]; !known && !slices.Contains(unknown, id) {
		unknown = append(unknown, id)
	}
	for some := range slices.Chunk(unknown, typesAtOnce) {
		if err := t.read(some); err != nil {
			t.fault = fmt.Errorf("look up the types of objects: %w", err)
			return ""
		}
	}
	return t.types[id]
}

// forecast fills in what the commits themselves tell, and gives the other ends
// whose types a rule may ask for.
func (t *endTypes) forecast() (unknown []graph.ObjectID, err error) {
	ends := map[graph.ObjectID]bool{}
	for _, c := range t.commits {
		reg, err := t.under(t.ctx, c)
		if err != nil {
			return nil, err
		}
		for i := range c.Changes {
			ch := &c.Changes[i]
			for _, o := range []*graph.Object{ch.ObjBefore, ch.ObjAfter} {
				if o != nil {
					t.types[o.ID] = o.Type
				}
			}
			if reg == nil || !reg.AsksForEnds(ch) {
				continue
			}
			for _, e := range []*graph.Edge{ch.EdgeBefore, ch.EdgeAfter} {
				if e != nil {
					ends[e.From], ends[e.To] = true, true
				}
			}
		}
	}
	for id := range ends {
		if _, known := t.types[id]; !known {
			unknown = append(unknown, id)
		}
	}
	return unknown, nil
}

// read fills in the types of some objects.
func (t *endTypes) read(ids []graph.ObjectID) error {
	found, err := t.m.typesOf(t.ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		t.types[id] = found[id]
	}
	return nil
}

// typesOf gives the types of objects: of those that the replica holds as it knows
// them, of others as the store does. Nothing is loaded for it: a type is little,
// and its object may be large and of no use to anybody else.
func typesOf(store graph.Store, r *replica.Replica) func(context.Context, []graph.ObjectID) (map[graph.ObjectID]string, error) {
	return func(ctx context.Context, ids []graph.ObjectID) (map[graph.ObjectID]string, error) {
		var types map[graph.ObjectID]string
		var others []graph.ObjectID
		look := func(s *replica.State) {
			types, others = make(map[graph.ObjectID]string, len(ids)), nil
			s.Apart(func() {
				for _, id := range ids {
					if o := s.Object(id); o != nil {
						types[id] = o.Type
					} else {
						others = append(others, id)
					}
				}
			})
		}
		if err := r.Read(ctx, look); err != nil || len(others) == 0 {
			return types, err
		}
		kept, err := store.Types(ctx, r.Key(), others)
		for id, typ := range kept {
			types[id] = typ
		}
		return types, err
	}
}
