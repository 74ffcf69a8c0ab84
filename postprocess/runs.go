package postprocess

import (
	"context"
	"errors"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// listAtMost bounds a page of runs; listDefault is a page's length where the
// asker names none.
const (
	listAtMost  = 1000
	listDefault = 100
)

// listPages bounds the pages that are read for a viewer who may see few of the
// runs in them.
const listPages = 10

// List gives runs, newest first. What the viewer may not see does not shorten the
// page: more is read in its place, within bounds.
func (s *Service) List(ctx context.Context, name string, by *graph.Principal, f graph.RunFilter) (*graph.RunList, error) {
	v, err := s.viewer(ctx, name, by)
	if err != nil {
		return nil, err
	}
	if f.State != "" && !f.State.Valid() {
		return nil, graph.Errf(graph.CodeInvalidQuery, "state: %q is no state of a run", string(f.State))
	}
	if f.Limit <= 0 {
		f.Limit = listDefault
	}
	want := min(f.Limit, listAtMost)
	if f.Limit = want; !v.admin {
		f.Limit = listAtMost
	}
	out := &graph.RunList{Runs: []graph.RunSummary{}}
	for range listPages {
		runs, err := s.deps.Runs.ListRuns(ctx, v.key(), f)
		if err != nil || len(runs) == 0 {
			return out, err
		}
		refs, since := make([]graph.Ref, len(runs)), graph.Version(0)
		for i, r := range runs {
			refs[i], since = r.Entity, r.Version-1 // the last is the oldest
		}
		seen, err := v.may(ctx, refs, since)
		if err != nil {
			return nil, err
		}
		for i, r := range runs {
			if seen[r.Entity] {
				out.Runs = append(out.Runs, v.summary(r))
			}
			if len(out.Runs) == want {
				if i+1 < len(runs) || len(runs) == f.Limit { // r is visible
					out.Next = r.ID
				}
				return out, nil
			}
			f.Before = r.ID
		}
		if len(runs) < f.Limit {
			return out, nil
		}
	}
	// The place that was reached may be a run that is hidden: it is not named.
	if n := len(out.Runs); n > 0 {
		out.Next = out.Runs[n-1].ID
	}
	return out, nil
}

// summary gives a run in short. What an error says is for admins: it may quote
// what the viewer may not read.
func (v *viewer) summary(r *graph.Run) graph.RunSummary {
	out := graph.RunSummary{
		ID: r.ID, Kind: r.Kind, Rule: r.Rule, State: r.State, Version: r.Version, Event: r.Event.String(),
		Entity: r.Entity.IDString(), Attempts: r.Attempt, CreatedAt: wireTime(r.CreatedAt),
	}
	if v.admin {
		out.Error = r.Error
	}
	return out
}

func wireTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(graph.TimeFormat)
}

// detail gives a run in full; to others than admins the times of its attempts.
func (v *viewer) detail(r *graph.Run, hops []graph.Hop) *graph.RunDetail {
	out := &graph.RunDetail{RunSummary: v.summary(r), Attempts: attemptsOf(hops, v.admin), Hops: []graph.Hop{}, Replay: r.Replay}
	if r.State == graph.RunRetrying || r.State == graph.RunPending {
		out.NextAt = wireTime(r.WakeAt)
	}
	if v.admin {
		out.Chain, out.Hops = r.Chain, hops
	}
	return out
}

// attemptsOf gathers the attempts from the steps of a run.
func attemptsOf(hops []graph.Hop, admin bool) []graph.RunAttempt {
	out := []graph.RunAttempt{}
	at := map[int]int{} // attempt → index in out
	for _, h := range hops {
		if h.Hop == graph.HopStarted {
			at[h.Attempt] = len(out)
			out = append(out, graph.RunAttempt{Attempt: h.Attempt, Node: h.Node, StartedAt: wireTime(h.At)})
			continue
		}
		i, ok := at[h.Attempt]
		if !ok {
			continue
		}
		a := &out[i]
		switch h.Hop {
		case graph.HopFailed, graph.HopReleased, graph.HopSucceeded, graph.HopDead, graph.HopCancelled:
			a.EndedAt = wireTime(h.At)
		case graph.HopCommitted:
			a.Versions = append(a.Versions, h.Version)
		}
		if !admin {
			continue
		}
		if h.Request != nil {
			a.Request = h.Request
		}
		if h.Answer != nil {
			a.Answer = h.Answer
		}
		if h.Error != nil {
			a.Error = h.Error
		}
	}
	return out
}

// Get gives one run.
func (s *Service) Get(ctx context.Context, name string, by *graph.Principal, id string) (*graph.RunDetail, error) {
	v, err := s.viewer(ctx, name, by)
	if err != nil {
		return nil, err
	}
	run, hops, err := v.run(ctx, id)
	if err != nil {
		return nil, err
	}
	out := v.detail(run, hops)
	if run.Kind == graph.RunOperation && !run.State.Final() && !run.StartedAt.IsZero() {
		took, err := s.deps.Runs.Took(ctx, v.key(), run.Rule)
		if err != nil {
			return nil, err
		}
		if took > 0 {
			out.ExpectedEnd = wireTime(run.StartedAt.Add(took))
		}
	}
	return out, nil
}

// admin opens a run for an admin.
func (s *Service) admin(ctx context.Context, name string, by *graph.Principal, id string) (*viewer, *graph.Run, error) {
	v, err := s.viewer(ctx, name, by)
	if err != nil {
		return nil, nil, err
	}
	run, _, err := v.run(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	return v, run, v.mustAdmin()
}

// wrongState refuses what the state of a run does not allow.
func wrongState(state graph.RunState, message string) error {
	e := graph.Errf(graph.CodeTestFailed, "%s", message).At("/state")
	e.Actual = graph.AppendString(nil, string(state))
	return e
}

// Retry makes a run due again that has ended without success.
func (s *Service) Retry(ctx context.Context, name string, by *graph.Principal, id string) (*graph.RunDetail, error) {
	v, run, err := s.admin(ctx, name, by, id)
	if err != nil {
		return nil, err
	}
	if run.Kind == graph.RunOperation {
		b, ok, err := newOperation(s.handleOf(run, v.replica, s.deps.Schema.Current(), false)).body(ctx)
		if err != nil {
			return nil, err
		}
		if !ok || b.Done {
			return nil, wrongState(run.State, "an operation ends once; ask for a new one")
		}
	}
	ok, err := s.deps.Runs.Retry(ctx, v.key(), id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, wrongState(run.State, "only a run that is dead, cancelled or stopped can be retried")
	}
	s.ready([]graph.RunRef{{Graph: run.Graph, Run: run.ID, Rule: run.Rule, Attempt: run.Attempt}})
	return s.Get(ctx, name, by, id)
}

// Cancel ends a run that has not ended.
func (s *Service) Cancel(ctx context.Context, name string, by *graph.Principal, id string) (*graph.RunDetail, error) {
	v, run, err := s.admin(ctx, name, by, id)
	if err != nil {
		return nil, err
	}
	if run.State.Final() {
		return nil, wrongState(run.State, "the run has ended")
	}
	if run.Kind == graph.RunOperation {
		// The object first: a death in between leaves a run that finds its
		// object final.
		h := s.handleOf(run, v.replica, s.deps.Schema.Current(), false)
		h.fence = nil // we are no attempt
		op := newOperation(h)
		close(op.begun)
		if err := op.end(ctx, opCancelled, nil, nil, nil); err != nil && !errors.Is(err, errEnded) {
			return nil, err
		}
	}
	ok, next, err := s.deps.Runs.Cancel(ctx, v.key(), id)
	if err != nil {
		return nil, err
	}
	if !ok {
		now, _, err := v.run(ctx, id)
		if err != nil {
			return nil, err
		}
		if run.Kind != graph.RunOperation || now.State != graph.RunCancelled {
			return nil, wrongState(now.State, "the run has ended")
		}
	}
	s.ready(next)
	return s.Get(ctx, name, by, id)
}

// Authenticate knows the tokens of attempts.
func (s *Service) Authenticate(ctx context.Context, name, token string) (*graph.RunIdentity, error) {
	refused := graph.Errf(graph.CodeUnauthenticated, "the token of the run is not valid, or its attempt is over")
	id, hash, ok := tokenRun(token)
	if !ok {
		return nil, refused
	}
	r, err := s.deps.Replicas.Open(ctx, name)
	if graph.CodeOf(err) == graph.CodeNotFound {
		return nil, refused
	}
	if err != nil {
		return nil, err
	}
	runs, err := s.deps.Runs.Runs(ctx, r.Key(), []string{id})
	if err != nil {
		return nil, err
	}
	run := runs[id]
	if run == nil || run.State != graph.RunRunning || !sameHash(run.TokenHash, hash) {
		return nil, refused
	}
	a := &attempt{svc: s, run: run}
	asUser, err := a.declared(ctx)
	if err != nil {
		return nil, err
	}
	kind := graph.CauseRun
	if run.Kind == graph.RunOperation {
		kind = graph.CauseOperation
	}
	author := authorOf(run, asUser)
	if !asUser {
		author.Graphs = []string{name}
	}
	return &graph.RunIdentity{
		Author: author, Cause: graph.Cause{Kind: kind, Version: run.Version, Run: run.ID},
		Fence: graph.FenceOf(run), Depth: run.Depth + 1,
	}, nil
}
