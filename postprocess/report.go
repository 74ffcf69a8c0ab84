package postprocess

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// Report goes on with an attempt that is under way.
//
// For an operation, status and warn append to its object, fail and complete end
// it. For a rule, status and warn are noted with the run; fail ends the attempt
// as a failed answer would, complete as a successful one.
func (s *Service) Report(ctx context.Context, name string, by *graph.Principal, ident *graph.RunIdentity, id string, body []byte) (*graph.RunDetail, error) {
	rep, err := readReport(body)
	if err != nil {
		return nil, err
	}
	r, err := s.deps.Replicas.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	if ident == nil {
		if _, _, err := s.admin(ctx, name, by, id); err != nil {
			return nil, err
		}
	} else if ident.Fence.Run != id {
		return nil, graph.NotFound("run")
	}
	runs, err := s.deps.Runs.Runs(ctx, r.Key(), []string{id})
	if err != nil {
		return nil, err
	}
	run := runs[id]
	switch {
	case run == nil:
		return nil, graph.NotFound("run")
	case run.State != graph.RunRunning || ident != nil && run.Attempt != ident.Fence.Attempt:
		return nil, wrongState(run.State, "no attempt of the run is under way")
	}
	a := &attempt{svc: s, run: run}
	asUser, err := a.declared(ctx)
	if err != nil {
		return nil, err
	}
	a.graph = s.handleOf(run, r, a.registry, asUser)
	a.graph.committed = func(_ context.Context, v graph.Version) { a.noteCommit(v) }
	a.request = storable(body)
	if run.Kind == graph.RunOperation {
		err = a.reportOperation(ctx, rep)
	} else {
		err = a.reportRule(ctx, rep)
	}
	if errors.Is(err, errLeaseLost) {
		return nil, wrongState(run.State, "the attempt is over")
	}
	if err != nil {
		return nil, err
	}
	out, err := s.afterReport(ctx, r.Key(), id)
	if err == nil && run.Kind == graph.RunOperation {
		if b, ok, err := newOperation(a.graph).body(ctx); err == nil {
			out.Cancel = !ok || b.Cancel
		}
	}
	return out, err
}

// afterReport shows the reporter where its run stands.
func (s *Service) afterReport(ctx context.Context, g graph.GraphKey, id string) (*graph.RunDetail, error) {
	run, hops, err := s.deps.Runs.Run(ctx, g, id)
	if err != nil {
		return nil, err
	}
	v := &viewer{svc: s, admin: true}
	return v.detail(run, hops), nil
}

func (a *attempt) reportOperation(ctx context.Context, rep *graph.RunReport) error {
	op := newOperation(a.graph)
	close(op.begun)
	switch {
	case rep.Status != nil:
		return op.Status(ctx, rep.Status.Message, rep.Status.Progress)
	case rep.Warn != nil:
		return op.Warn(ctx, rep.Warn.Message)
	case rep.Fail != nil:
		why := &graph.RunError{Code: "handler-failed", Message: clip(rep.Fail.Message)}
		if err := op.Fail(ctx, rep.Fail.Message); err != nil {
			return err
		}
		return a.finish(ctx, graph.RunDead, why, a.reported(why))
	}
	if err := op.Complete(ctx, rep.Complete.Result, rep.Complete.Patch); err != nil {
		return err
	}
	return a.finish(ctx, graph.RunSucceeded, nil, a.reported(nil))
}

func (a *attempt) reportRule(ctx context.Context, rep *graph.RunReport) error {
	switch {
	case rep.Status != nil || rep.Warn != nil:
		return a.svc.deps.Runs.Note(ctx, a.run.Graph, []string{a.run.ID}, a.reported(nil))
	case rep.Fail != nil:
		return a.fail(ctx, failed("%s", clip(rep.Fail.Message)))
	}
	if p := rep.Complete.Patch; len(p) > 0 && string(p) != "null" {
		if _, err := a.graph.submit(ctx, a.run.ID, p, false); err != nil {
			return err
		}
	}
	return a.finish(ctx, graph.RunSucceeded, nil, a.reported(nil))
}

func (a *attempt) reported(why *graph.RunError) graph.Hop {
	return graph.Hop{Hop: graph.HopReported, Attempt: a.run.Attempt, Node: a.svc.cfg.Node, Answer: a.request, Error: why}
}

// readReport reads {"status": …}, {"warn": …}, {"fail": …} or {"complete": …}.
func readReport(body []byte) (*graph.RunReport, error) {
	if err := patch.Check(body, patch.JSONLimits{}); err != nil {
		e := graph.Errf(graph.CodeInvalidJSON, "%s", err.Message)
		return nil, e.At(err.Path)
	}
	var rep graph.RunReport
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&rep); err != nil {
		return nil, graph.Errf(graph.CodeUnknownField, "a report is {\"status\": {message, progress}}, {\"warn\": {message}}, {\"fail\": {message}} or {\"complete\": {result, patch}}")
	}
	n := 0
	for _, is := range []bool{rep.Status != nil, rep.Warn != nil, rep.Fail != nil, rep.Complete != nil} {
		if is {
			n++
		}
	}
	if n != 1 {
		return nil, graph.Errf(graph.CodeUnknownField, "a report says exactly one of status, warn, fail and complete")
	}
	return &rep, nil
}
