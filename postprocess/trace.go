package postprocess

import (
	"context"

	"github.com/graphtide/graphtide/graph"
)

// traceAtMost bounds the commits of a trace.
const traceAtMost = 500

// Trace gives the cause tree around a commit.
func (s *Service) Trace(ctx context.Context, name string, by *graph.Principal, at graph.Version) (*graph.Trace, error) {
	v, err := s.viewer(ctx, name, by)
	if err != nil {
		return nil, err
	}
	if at < 1 || at > v.replica.Head().Version {
		if err := v.replica.CatchUp(ctx); err != nil {
			return nil, err
		}
		if at < 1 || at > v.replica.Head().Version {
			return nil, graph.Errf(graph.CodeInvalidVersion, "the graph has no version %d", at)
		}
	}
	t := &tracer{viewer: v, left: traceAtMost}
	root, err := t.node(ctx, at)
	if err != nil {
		return nil, err
	}
	out := &graph.Trace{Graph: name, Commit: root, Causes: []graph.TraceCause{}}
	for c := root.Cause; c.Version > 0 && c.Version < at && len(out.Causes) < traceAtMost; {
		out.Causes = append(out.Causes, c)
		before, err := commitToShow(ctx, s.deps.Store, v.replica, c.Version)
		if graph.CodeOf(err) == graph.CodeGone {
			break
		}
		if err != nil {
			return nil, err
		}
		refs := make([]graph.Ref, len(before.Changes))
		for i := range before.Changes {
			refs[i] = before.Changes[i].Ref
		}
		seen, err := v.may(ctx, refs, before.Version-1)
		if err != nil {
			return nil, err
		}
		if !all(seen) {
			break // why it was made is not for this viewer
		}
		at, c = c.Version, causeOf(before.Cause)
	}
	return out, nil
}

// all reports whether everything may be read.
func all(seen map[graph.Ref]bool) bool {
	for _, may := range seen {
		if !may {
			return false
		}
	}
	return true
}

// tracer walks from a commit to all that followed from it.
type tracer struct {
	*viewer
	left int // commits that may still be shown
}

func causeOf(c graph.Cause) graph.TraceCause {
	kind := c.Kind
	if kind == "" {
		kind = graph.CauseClient
	}
	return graph.TraceCause{Kind: kind, Version: c.Version, Run: c.Run}
}

// node gives a commit with the rules it fired. Who may not read all that the
// commit touched does not learn who made it, nor why.
func (t *tracer) node(ctx context.Context, at graph.Version) (*graph.TraceNode, error) {
	t.left--
	c, err := commitToShow(ctx, t.svc.deps.Store, t.replica, at)
	if err != nil {
		return nil, err
	}
	runs, faults, err := t.svc.deps.Runs.Fired(ctx, t.key(), at)
	if err != nil {
		return nil, err
	}
	refs := make([]graph.Ref, 0, len(c.Changes))
	byID := map[string]graph.Ref{}
	for i := range c.Changes {
		refs = append(refs, c.Changes[i].Ref)
		byID[c.Changes[i].Ref.IDString()] = c.Changes[i].Ref
	}
	seen, err := t.may(ctx, refs, at-1)
	if err != nil {
		return nil, err
	}
	n := &graph.TraceNode{Version: c.Version, At: wireTime(c.At), Rules: []graph.TraceRule{}}
	if all(seen) {
		n.By, n.Mutation, n.Cause = c.Author.User, c.Mutation, causeOf(c.Cause)
	}
	for _, run := range runs {
		if !seen[run.Entity] {
			continue
		}
		rule, err := t.rule(ctx, run)
		if err != nil {
			return nil, err
		}
		n.Rules = append(n.Rules, *rule)
	}
	for _, f := range faults {
		if ref, ok := byID[f.Entity]; ok && seen[ref] {
			fault := graph.TraceRule{Rule: f.Rule, Entity: f.Entity, Error: "the condition could not be evaluated"}
			if t.admin {
				fault.Error = f.Error
			}
			n.Rules = append(n.Rules, fault)
		}
	}
	return n, nil
}

// rule gives a run with the commits that it made. A run of a loop was stopped,
// so the walk ends.
func (t *tracer) rule(ctx context.Context, run *graph.Run) (*graph.TraceRule, error) {
	full, hops, err := t.svc.deps.Runs.Run(ctx, t.key(), run.ID)
	if err != nil {
		return nil, err
	}
	made, err := t.svc.deps.Runs.Made(ctx, t.key(), []string{run.ID})
	if err != nil {
		return nil, err
	}
	out := &graph.TraceRule{
		Rule: run.Rule, Entity: run.Entity.IDString(), Event: run.Event.String(), Run: t.detail(full, hops), Commits: []*graph.TraceNode{},
	}
	for _, at := range made[run.ID] {
		if t.left <= 0 {
			break
		}
		n, err := t.node(ctx, at)
		if err != nil {
			return nil, err
		}
		out.Commits = append(out.Commits, n)
	}
	return out, nil
}
