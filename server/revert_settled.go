package server

import (
	"context"
	"errors"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// errUnsettled says that a plan was refused for what is not so any more.
var errUnsettled = errors.New("what is to be undone was changed while it was read")

// final judges whether a refusal stands. What it rests on was read piece by piece,
// from the database and from the replica, which may lag behind: where any of it has
// changed meanwhile, one half may be in the way of the other, and the undo has to be
// planned anew.
func (p *revertPlan) final(ctx context.Context, refusal error) error {
	if err := p.c.rep.CatchUp(ctx); err != nil {
		return err
	}
	settled := true
	err := p.c.rep.Read(ctx, func(st *replica.State) {
		settled = true
		for _, ref := range p.refs {
			steps := p.steps[ref]
			if last := steps[len(steps)-1]; versionIn(st, ref) != last.now() {
				settled = false
			}
		}
	})
	switch {
	case err != nil:
		return err
	case !settled:
		return errUnsettled
	}
	return refusal
}

// overtaken answers an undo that did not settle however often it was planned. What
// later changes of one entity forbid was read in one go: it holds whatever became of the
// others.
func (p *revertPlan) overtaken() error {
	if len(p.others) > 0 {
		return conflicting(p.others)
	}
	return changedMeanwhile()
}

// now is the version of what stands after a step; 0: nothing does.
func (s step) now() graph.Version {
	if !s.alive {
		return 0
	}
	return s.version
}

// versionIn gives the version that an entity is at; 0: it is not there.
func versionIn(st *replica.State, ref graph.Ref) graph.Version {
	if ref.Kind == graph.KindEdge {
		if e := st.Edge(graph.EdgeID(ref.ID)); e != nil {
			return e.Meta.Version
		}
		return 0
	}
	if o := st.Object(graph.ObjectID(ref.ID)); o != nil {
		return o.Meta.Version
	}
	return 0
}
