package postprocess

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/sabotage"
	"github.com/graphtide/graphtide/schema"
)

// operationType is the built-in type whose creation starts an operation.
const operationType = "OperationRequest"

// matcher turns the commits of one graph into runs.
type matcher struct {
	key    graph.GraphKey
	name   string
	schema *schema.Live
	runs   graph.RunStore
	// typesOf gives the types of objects that are there or were once.
	typesOf func(context.Context, []graph.ObjectID) (map[graph.ObjectID]string, error)
}

// matched is what a piece of the log fires.
type matched struct {
	runs   []*graph.Run
	faults []graph.RuleFault
	asked  []askedToStop
	ended  []graph.ObjectID // operations that got to their final state
}

// askedToStop is an operation that a commit asks to stop.
type askedToStop struct {
	id graph.ObjectID
	at graph.Version
}

// match gives the runs that commits fire, in version order. It is a function of
// the commits alone, but for the chain of the runs that made them.
func (m *matcher) match(ctx context.Context, commits []*graph.Commit) (matched, error) {
	var out matched
	types := m.typesIn(ctx, m.registry, commits...)
	for _, c := range commits {
		reg, err := m.registry(ctx, c)
		if err != nil {
			return matched{}, err
		}
		if reg == nil {
			continue
		}
		first := len(out.runs)
		if err := m.commit(reg, c, types, &out); err != nil {
			return matched{}, err
		}
		if len(out.runs) > first && sabotage.Nth(sabotage.LoseRun, 10) {
			out.runs = out.runs[:first]
		}
		if err := m.link(ctx, c, out.runs[first:]); err != nil {
			return matched{}, err
		}
	}
	return out, nil
}

// registry gives the schema under which a commit is matched; nil where it is not:
// what was imported has been processed where it came from.
func (m *matcher) registry(ctx context.Context, c *graph.Commit) (*schema.Registry, error) {
	if c.Cause.Kind == graph.CauseImport {
		return nil, nil
	}
	reg, err := m.schema.At(ctx, c.SchemaVer)
	if err != nil {
		return nil, fmt.Errorf("read schema version %d: %w", c.SchemaVer, err)
	}
	return reg, nil
}

// commit gives the runs that one commit fires. An error is that of looking up
// the types of an edge's ends; out is of no use then.
func (m *matcher) commit(reg *schema.Registry, c *graph.Commit, types *endTypes, out *matched) error {
	for i := range c.Changes {
		ch := &c.Changes[i]
		for _, hit := range reg.Match(c, ch, types.of) {
			if hit.Err != nil {
				out.faults = append(out.faults, graph.RuleFault{
					Version: c.Version, Rule: hit.Rule.Name, Entity: ch.Ref.IDString(), Error: clip(hit.Err.Error()),
				})
				continue
			}
			r := m.run(c, ch, graph.RunRule, hit.Rule.Name)
			r.Timeout, r.Retries = orElse(hit.Rule.Timeout, DefaultRuleTimeout), hit.Rule.Retries
			out.runs = append(out.runs, r)
		}
		if ch.Event == graph.Created && ch.ObjAfter != nil && reg.IsA(ch.ObjAfter.Type, operationType) {
			name := operationName(ch.ObjAfter.Body)
			r := m.run(c, ch, graph.RunOperation, name)
			r.Timeout = DefaultOperationTimeout
			// An operation that is not there makes a run all the same: its
			// attempt ends the object.
			if op := reg.Operations[name]; op != nil {
				r.Timeout, r.Retries = orElse(op.Timeout, DefaultOperationTimeout), op.Retries
			}
			out.runs = append(out.runs, r)
		}
		if ch.Event == graph.Modified && ch.ObjAfter != nil && ch.ObjAfter.Type == operationType {
			if asksToStop(ch) {
				out.asked = append(out.asked, askedToStop{ch.ObjAfter.ID, c.Version})
			}
			if bytes.Contains(ch.Patch, []byte(`/body/done"`)) {
				out.ended = append(out.ended, ch.ObjAfter.ID)
			}
		}
	}
	return types.fault
}

// asksToStop reports whether a change of an operation's object asks it to stop.
func asksToStop(ch *graph.Change) bool {
	return bytes.Contains(ch.Patch, []byte(`/body/cancel"`)) && cancelOf(ch.ObjAfter.Body)
}

func cancelOf(body json.RawMessage) bool {
	var b operationBody
	return json.Unmarshal(body, &b) == nil && b.Cancel && !b.Done
}

func (m *matcher) run(c *graph.Commit, ch *graph.Change, kind graph.RunKind, rule string) *graph.Run {
	return &graph.Run{
		Graph: m.key, GraphName: m.name, ID: runID(m.key, c.Epoch, c.Version, kind, rule, ch.Ref), Kind: kind, Rule: rule,
		Event: ch.Event, Entity: ch.Ref, Version: c.Version, SchemaVer: c.SchemaVer, State: graph.RunPending,
		Depth: c.Depth, By: c.Author,
	}
}

// link puts the runs of a commit into the chain of the run that made it, and
// stops those that would go on for ever.
func (m *matcher) link(ctx context.Context, c *graph.Commit, runs []*graph.Run) error {
	if c.Cause.Run == "" || len(runs) == 0 {
		return nil
	}
	parents, err := m.runs.Runs(ctx, m.key, []string{c.Cause.Run})
	if err != nil {
		return err
	}
	parent := parents[c.Cause.Run]
	if parent == nil {
		return nil // a log that was brought here without its runs
	}
	chain := append(parent.Chain[:len(parent.Chain):len(parent.Chain)], linkOf(parent))
	for _, r := range runs {
		r.Chain = chain
		if why := loop(r); why != nil {
			r.State, r.Error = graph.RunStopped, why
		}
	}
	return nil
}

func linkOf(r *graph.Run) graph.RunLink {
	return graph.RunLink{Run: r.ID, Kind: r.Kind, Rule: r.Rule, Entity: r.Entity.IDString(), Version: r.Version}
}

// loop says why a run must not start, or nil.
func loop(r *graph.Run) *graph.RunError {
	self := linkOf(r)
	for _, l := range r.Chain {
		if l.Kind == self.Kind && l.Rule == self.Rule && l.Entity == self.Entity {
			return &graph.RunError{Code: "loop", Chain: append(r.Chain[:len(r.Chain):len(r.Chain)], self),
				Message: fmt.Sprintf("rule %s would run for %s a second time in one chain: it causes itself", r.Rule, self.Entity)}
		}
	}
	if r.Depth >= MaxDepth {
		return &graph.RunError{Code: "too-deep", Chain: append(r.Chain[:len(r.Chain):len(r.Chain)], self),
			Message: fmt.Sprintf("the chain is %d runs long already", MaxDepth)}
	}
	return nil
}

// operationName reads the operation of an OperationRequest's body.
func operationName(body json.RawMessage) string {
	var b struct {
		Operation string `json:"operation"`
	}
	if json.Unmarshal(body, &b) != nil {
		return ""
	}
	return b.Operation
}

func orElse(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

// clip keeps messages to a size that can be shown and stored.
func clip(s string) string {
	const most = 2048
	clean := make([]rune, 0, min(len(s), most))
	for _, r := range s {
		if len(clean) == most {
			return string(clean) + "…"
		}
		if r == 0 { // Postgres stores none
			r = '\uFFFD'
		}
		clean = append(clean, r)
	}
	return string(clean)
}
