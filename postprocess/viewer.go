package postprocess

import (
	"context"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
)

// viewer is somebody who looks at the runs of a graph.
type viewer struct {
	svc     *Service
	replica *replica.Replica
	by      *graph.Principal
	admin   bool
}

// viewer opens a graph for somebody; CodeNotFound where there is none, or where
// the token does not open it.
func (s *Service) viewer(ctx context.Context, name string, by *graph.Principal) (*viewer, error) {
	if by == nil || !access.OpensGraph(by, name) {
		return nil, graph.NotFound("graph")
	}
	r, err := s.deps.Replicas.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return &viewer{svc: s, replica: r, by: by, admin: by.Admin}, nil
}

// key gives the graph's number.
func (v *viewer) key() graph.GraphKey { return v.replica.Key() }

// may tells which of the entities the viewer may read: those that exist by their
// present rights, deleted ones by their last. since is a version before which
// none of them was deleted.
func (v *viewer) may(ctx context.Context, refs []graph.Ref, since graph.Version) (map[graph.Ref]bool, error) {
	out := make(map[graph.Ref]bool, len(refs))
	if v.admin {
		for _, ref := range refs {
			out[ref] = true
		}
		return out, nil
	}
	past, err := v.replica.Past(ctx, max(0, since))
	if err != nil {
		return nil, err
	}
	gone := map[graph.Ref]*graph.Edge{}
	head := v.replica.Head().Version
	for _, ref := range refs {
		if ref.Kind != graph.KindEdge {
			continue
		}
		last, err := v.svc.deps.Store.EntityAt(ctx, v.key(), ref, head)
		if err != nil {
			return nil, err
		}
		gone[ref] = last.Edge
	}
	err = v.replica.Read(ctx, func(s *replica.State) { // each answer is made anew
		today := past.Over(s)
		for _, ref := range refs {
			if ref.Kind == graph.KindObject {
				out[ref] = access.Direct(today, v.by, graph.ObjectID(ref.ID), access.Read)
				continue
			}
			e := gone[ref]
			out[ref] = e != nil && access.Direct(today, v.by, e.From, access.Read) && access.Direct(today, v.by, e.To, access.Read)
		}
	})
	return out, err
}

// run gives a run that the viewer may see with its hops; CodeNotFound for
// one that is absent or hidden.
func (v *viewer) run(ctx context.Context, id string) (*graph.Run, []graph.Hop, error) {
	if _, ok := graph.ParseObjectID(id); !ok {
		return nil, nil, graph.InvalidID(id)
	}
	run, hops, err := v.svc.deps.Runs.Run(ctx, v.key(), id)
	if err != nil {
		return nil, nil, err
	}
	seen, err := v.may(ctx, []graph.Ref{run.Entity}, run.Version-1)
	if err != nil {
		return nil, nil, err
	}
	if !seen[run.Entity] {
		return nil, nil, graph.NotFound("run")
	}
	return run, hops, nil
}

// mustAdmin refuses everybody else.
func (v *viewer) mustAdmin() error {
	if v.admin {
		return nil
	}
	e := graph.Errf(graph.CodeForbidden, "only an admin of the graph may do this")
	e.Right = "admin"
	return e
}
