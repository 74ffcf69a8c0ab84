package postprocess

import (
	"context"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/schema"
)

// Bounds of what is done with a rule as a whole.
const (
	ruleRecords     = 5      // last matches, failures and faults that a rule is listed with
	replayAtMost    = 10_000 // commits of one replay
	retryAtMost     = 1000   // runs retried in one request
	traceOfDefault  = 50     // commits of an entity's trace
	traceEntityMost = 200
)

// Rules lists the rules of the schema with what became of them in the graph.
func (s *Service) Rules(ctx context.Context, name string, by *graph.Principal) ([]graph.RuleInfo, error) {
	v, err := s.viewer(ctx, name, by)
	if err != nil {
		return nil, err
	}
	if err := v.mustAdmin(); err != nil {
		return nil, err
	}
	reg := s.deps.Schema.Current()
	names := make([]string, len(reg.Rules))
	for i, r := range reg.Rules {
		names[i] = r.Name
	}
	return v.ruleInfos(ctx, reg, names)
}

func (v *viewer) ruleInfos(ctx context.Context, reg *schema.Registry, names []string) ([]graph.RuleInfo, error) {
	runs := v.svc.deps.Runs
	records, err := runs.RuleRecords(ctx, v.key(), names, ruleRecords)
	if err != nil {
		return nil, err
	}
	paused, err := runs.Paused(ctx, v.key())
	if err != nil {
		return nil, err
	}
	out := make([]graph.RuleInfo, 0, len(names))
	for _, name := range names {
		rule, rec := reg.Rule(name), records[name]
		info := graph.RuleInfo{
			Name: name, On: reg.OnJSON(name), When: rule.WhenSrc, Handler: rule.Handler.Kind(), Open: map[string]int64{},
			Matches: v.summaries(rec.Matches), Failures: v.summaries(rec.Failures), Faults: rec.Faults, Fires: reg.Fires(rule.Writes),
			Declared: rule.WritesDeclared,
		}
		if info.Faults == nil {
			info.Faults = []graph.RuleFault{}
		}
		for state, n := range rec.Open {
			info.Open[string(state)] = n
		}
		if p, ok := paused[name]; ok {
			info.Paused = &graph.RulePauseInfo{At: wireTime(p.At), By: p.By}
		}
		if rule.WritesKnown {
			info.Writes = make([]string, len(rule.Writes))
			for i, w := range rule.Writes {
				info.Writes[i] = w.String()
			}
		}
		out = append(out, info)
	}
	return out, nil
}

func (v *viewer) summaries(runs []*graph.Run) []graph.RunSummary {
	out := make([]graph.RunSummary, len(runs))
	for i, r := range runs {
		out[i] = v.summary(r)
	}
	return out
}

// rule opens a graph for an admin who means a rule of the schema.
func (s *Service) rule(ctx context.Context, name string, by *graph.Principal, rule string) (*viewer, *schema.Registry, error) {
	v, err := s.viewer(ctx, name, by)
	if err != nil {
		return nil, nil, err
	}
	if err := v.mustAdmin(); err != nil {
		return nil, nil, err
	}
	reg := s.deps.Schema.Current()
	if reg.Rule(rule) == nil {
		return nil, nil, graph.NotFound("rule")
	}
	return v, reg, nil
}

// PauseRule keeps the runs of a rule from starting, or lets them start again.
func (s *Service) PauseRule(ctx context.Context, name string, by *graph.Principal, rule string, paused bool) (*graph.RuleInfo, error) {
	v, reg, err := s.rule(ctx, name, by, rule)
	if err != nil {
		return nil, err
	}
	if paused {
		err = s.deps.Runs.Pause(ctx, v.key(), rule, by.User)
	} else {
		err = s.deps.Runs.Resume(ctx, v.key(), rule)
	}
	if err != nil {
		return nil, err
	}
	if !paused && s.working() {
		s.sweeper.wake()
	}
	infos, err := v.ruleInfos(ctx, reg, []string{rule})
	if err != nil {
		return nil, err
	}
	return &infos[0], nil
}

// TestRule says for each change of a past commit whether a rule would fire, and
// why not. Nothing runs.
func (s *Service) TestRule(ctx context.Context, name string, by *graph.Principal, rule string, t graph.RuleTest) (*graph.RuleVerdict, error) {
	v, err := s.viewer(ctx, name, by)
	if err != nil {
		return nil, err
	}
	if err := v.mustAdmin(); err != nil {
		return nil, err
	}
	reg := s.deps.Schema.Current()
	if t.Rule != nil {
		with, fault := reg.WithRule(rule, t.Rule)
		if fault != nil {
			return nil, fault
		}
		reg = with
	}
	r := reg.Rule(rule)
	if r == nil {
		return nil, graph.NotFound("rule")
	}
	c, err := commitToShow(ctx, s.deps.Store, v.replica, t.Version)
	if err != nil {
		return nil, err
	}
	m := s.matcherOf(v.replica)
	types := m.typesIn(ctx, only(reg), c)
	out := &graph.RuleVerdict{Rule: rule, Version: t.Version, Changes: []graph.RuleChangeVerdict{}}
	for i := range c.Changes {
		ch := &c.Changes[i]
		verdict := graph.RuleChangeVerdict{Entity: ch.Ref.IDString(), Type: typeName(ch), Event: ch.Event.String()}
		verdict.Why = reg.Explain(r, c, ch, types.of)
		if verdict.Why == "" && c.Cause.Kind == graph.CauseImport {
			verdict.Why = "commits of an import fire no rules"
		}
		if verdict.Why == "" {
			run := m.run(c, ch, graph.RunRule, rule)
			if err := m.link(ctx, c, []*graph.Run{run}); err != nil {
				return nil, err
			}
			if run.State == graph.RunStopped {
				verdict.Why = "it matches, but its run would be stopped: " + run.Error.Message
			}
		}
		verdict.Fires = verdict.Why == ""
		out.Fires = out.Fires || verdict.Fires
		out.Changes = append(out.Changes, verdict)
	}
	return out, types.fault
}

// typeName gives the type of the changed object, or the label of the edge.
func typeName(ch *graph.Change) string {
	switch {
	case ch.ObjAfter != nil:
		return ch.ObjAfter.Type
	case ch.ObjBefore != nil:
		return ch.ObjBefore.Type
	case ch.EdgeAfter != nil:
		return ch.EdgeAfter.Label
	case ch.EdgeBefore != nil:
		return ch.EdgeBefore.Label
	}
	return ""
}

func (s *Service) matcherOf(r *replica.Replica) *matcher {
	return &matcher{key: r.Key(), name: r.Name(), schema: s.deps.Schema, runs: s.deps.Runs,
		typesOf: typesOf(s.deps.Store, r)}
}

// ReplayRule makes runs of a rule for past commits, as if they were made now:
// each writes anew, for its keys are made from the run's id.
func (s *Service) ReplayRule(ctx context.Context, name string, by *graph.Principal, rule string, in graph.RuleReplay) (*graph.RuleReplayed, error) {
	v, reg, err := s.rule(ctx, name, by, rule)
	if err != nil {
		return nil, err
	}
	if err := v.replica.CatchUp(ctx); err != nil {
		return nil, err
	}
	head := v.replica.Head().Version
	if in.To == 0 {
		in.To = head
	}
	switch {
	case in.From < 0 || in.From > in.To:
		return nil, graph.Errf(graph.CodeInvalidVersion, "a replay is of the commits after `from`, up to `to`").At("/from")
	case in.To > head:
		return nil, graph.Errf(graph.CodeInvalidVersion, "there is no version %d yet; the last is %d", in.To, head).At("/to")
	case in.To-in.From > replayAtMost:
		e := graph.Errf(graph.CodeTooLarge, "a replay is of up to %d commits; ask for the rest in another one", replayAtMost).At("/to")
		e.Limit = "replayCommits"
		return nil, e
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	if in.ID != "" {
		if id, err = uuid.Parse(in.ID); err != nil {
			return nil, graph.InvalidID(in.ID)
		}
	}
	out := &graph.RuleReplayed{ID: id.String(), From: in.From, To: in.To}
	m := s.matcherOf(v.replica)
	for at := in.From; at < in.To; {
		commits, err := commitsSince(ctx, s.deps.Store, v.replica, at)
		if err != nil {
			return nil, err
		}
		if len(commits) == 0 {
			break
		}
		var runs []*graph.Run
		types := m.typesIn(ctx, only(reg), commits...)
		for _, c := range commits {
			if at = c.Version; at > in.To {
				break
			}
			found, err := m.replay(ctx, reg, rule, c, types, id)
			if err != nil {
				return nil, err
			}
			runs = append(runs, found...)
		}
		made, ready, err := s.deps.Runs.Make(ctx, v.key(), s.cfg.Node, runs)
		if err != nil {
			return nil, err
		}
		out.Matched += len(runs)
		out.Made += made
		s.ready(ready)
	}
	return out, nil
}

// replay gives the runs of one rule, as it is now, for a commit.
func (m *matcher) replay(ctx context.Context, reg *schema.Registry, rule string, c *graph.Commit, types *endTypes, id uuid.UUID) ([]*graph.Run, error) {
	var runs []*graph.Run
	if c.Cause.Kind == graph.CauseImport {
		return nil, nil
	}
	for i := range c.Changes {
		ch := &c.Changes[i]
		for _, hit := range reg.Match(c, ch, types.of) {
			if hit.Rule.Name != rule || hit.Err != nil {
				continue
			}
			r := m.run(c, ch, graph.RunRule, rule)
			r.ID, r.Replay = uuid.NewSHA1(id, []byte(r.ID)).String(), id.String()
			r.Timeout, r.Retries = orElse(hit.Rule.Timeout, DefaultRuleTimeout), hit.Rule.Retries
			runs = append(runs, r)
		}
	}
	if types.fault != nil {
		return nil, types.fault
	}
	return runs, m.link(ctx, c, runs)
}

// RetryAll retries what ended without success.
func (s *Service) RetryAll(ctx context.Context, name string, by *graph.Principal, f graph.RunRetries) (int, error) {
	v, err := s.viewer(ctx, name, by)
	if err != nil {
		return 0, err
	}
	if err := v.mustAdmin(); err != nil {
		return 0, err
	}
	if f.State == "" {
		f.State = graph.RunDead
	}
	if !f.State.Final() || f.State == graph.RunSucceeded {
		return 0, graph.Errf(graph.CodeInvalidQuery, "state is one of dead, cancelled and stopped")
	}
	if f.Limit <= 0 || f.Limit > retryAtMost {
		f.Limit = retryAtMost
	}
	refs, err := s.deps.Runs.RetryAll(ctx, v.key(), f)
	if err != nil {
		return 0, err
	}
	s.ready(refs)
	return len(refs), nil
}

// TraceOf gives the trace of a run, or of an entity: the commits that touched
// it, newest first, but for those that follow from another one of them, which
// are found below it.
func (s *Service) TraceOf(ctx context.Context, name string, by *graph.Principal, id string, limit int) (*graph.EntityTrace, error) {
	v, err := s.viewer(ctx, name, by)
	if err != nil {
		return nil, err
	}
	t := &tracer{viewer: v, left: traceAtMost}
	run, _, err := v.run(ctx, id)
	if err == nil {
		n, err := t.node(ctx, run.Version)
		if err != nil {
			return nil, err
		}
		mine := n.Rules[:0]
		for _, r := range n.Rules {
			if r.Run != nil && r.Run.ID == run.ID {
				mine = append(mine, r)
			}
		}
		n.Rules = mine
		return &graph.EntityTrace{Graph: name, Run: id, Commits: []*graph.TraceNode{n}}, nil
	}
	if graph.CodeOf(err) != graph.CodeNotFound {
		return nil, err
	}
	if limit <= 0 {
		limit = traceOfDefault
	}
	entity, _ := graph.ParseObjectID(id)
	for _, ref := range []graph.Ref{graph.ObjectRef(entity), graph.EdgeRef(graph.EdgeID(entity))} {
		history, err := s.deps.Store.History(ctx, v.key(), ref, 0, min(limit, traceEntityMost))
		if err != nil {
			return nil, err
		}
		if len(history) == 0 {
			continue
		}
		seen, err := v.may(ctx, []graph.Ref{ref}, history[0].Commit.Version-1)
		if err != nil {
			return nil, err
		}
		if !seen[ref] {
			break
		}
		listed := map[graph.Version]bool{}
		for _, e := range history {
			listed[e.Commit.Version] = true
		}
		out := &graph.EntityTrace{Graph: name, Entity: id, Commits: []*graph.TraceNode{}}
		for _, e := range history {
			if e.Commit.Cause.Run != "" && listed[e.Commit.Cause.Version] || t.left <= 0 {
				continue
			}
			n, err := t.node(ctx, e.Commit.Version)
			if graph.CodeOf(err) == graph.CodeGone {
				break
			}
			if err != nil {
				return nil, err
			}
			out.Commits = append(out.Commits, n)
		}
		return out, nil
	}
	return nil, graph.NotFound("run, object or edge")
}
