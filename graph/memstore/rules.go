package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// tookOf is how many past runs an estimate looks at.
const tookOf = 20

type ruleKey struct {
	graph graph.GraphKey
	rule  string
}

// Pause keeps the runs of a rule from starting.
func (r *Runs) Pause(_ context.Context, g graph.GraphKey, rule, by string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := ruleKey{g, rule}
	if _, ok := r.pauses[k]; !ok {
		r.pauses[k] = graph.RulePause{By: by, At: time.Now()}
	}
	return nil
}

// Resume lets them start.
func (r *Runs) Resume(_ context.Context, g graph.GraphKey, rule string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pauses, ruleKey{g, rule})
	return nil
}

// Paused gives the paused rules of a graph.
func (r *Runs) Paused(_ context.Context, g graph.GraphKey) (map[string]graph.RulePause, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]graph.RulePause{}
	for k, p := range r.pauses {
		if k.graph == g {
			out[k.rule] = p
		}
	}
	return out, nil
}

// waits reports whether a run's rule is paused; the caller holds mu.
func (r *Runs) waits(run *runState) bool {
	_, paused := r.pauses[ruleKey{run.Graph, run.Rule}]
	return paused && run.Kind == graph.RunRule
}

// RuleRecords gives of each rule its last runs.
func (r *Runs) RuleRecords(_ context.Context, g graph.GraphKey, rules []string, n int) (map[string]*graph.RuleRecord, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]*graph.RuleRecord, len(rules))
	for _, name := range rules {
		rec := &graph.RuleRecord{Open: map[graph.RunState]int64{}}
		for _, run := range r.runs {
			if run.Graph != g || run.Rule != name || run.Kind != graph.RunRule {
				continue
			}
			if !run.State.Final() || run.State == graph.RunDead {
				rec.Open[run.State]++
			}
			rec.Matches = append(rec.Matches, run.copy())
			if run.State == graph.RunDead || run.State == graph.RunStopped || run.State == graph.RunRetrying {
				rec.Failures = append(rec.Failures, run.copy())
			}
		}
		for _, list := range []*[]*graph.Run{&rec.Matches, &rec.Failures} {
			slices.SortFunc(*list, newest)
			*list = (*list)[:min(n, len(*list))]
		}
		for _, f := range slices.Backward(r.faults[g]) {
			if f.Rule == name && len(rec.Faults) < n {
				rec.Faults = append(rec.Faults, f.RuleFault)
			}
		}
		out[name] = rec
	}
	return out, nil
}

// Make makes runs beside the cursor.
func (r *Runs) Make(_ context.Context, g graph.GraphKey, node string, runs []*graph.Run) (int, []graph.RunRef, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	made, ready := r.add(g, node, runs)
	return made, ready, nil
}

// RetryAll makes runs due again, oldest first.
func (r *Runs) RetryAll(_ context.Context, g graph.GraphKey, f graph.RunRetries) ([]graph.RunRef, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*runState
	for _, run := range r.runs {
		if run.Graph == g && run.Kind == graph.RunRule && run.State == f.State && (f.Rule == "" || run.Rule == f.Rule) {
			found = append(found, run)
		}
	}
	slices.SortFunc(found, func(a, b *runState) int { return newest(&b.Run, &a.Run) })
	var out []graph.RunRef
	for _, run := range found {
		if len(out) == f.Limit {
			break
		}
		if r.again(run) {
			out = append(out, run.ref())
		}
	}
	return out, nil
}

// AskToStop tells the runs of operations to end.
func (r *Runs) AskToStop(_ context.Context, g graph.GraphKey, operations []graph.ObjectID, grace time.Duration) ([]graph.RunRef, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	var out []graph.RunRef
	for _, run := range r.runs {
		if run.Graph != g || run.Kind != graph.RunOperation || !slices.Contains(operations, graph.ObjectID(run.Entity.ID)) {
			continue
		}
		if end := now.Add(grace); run.stopBy.IsZero() || run.stopBy.After(end) {
			run.stopBy = end
		}
		switch {
		case run.State == graph.RunRetrying:
			if run.WakeAt.After(now) {
				run.WakeAt = now
			}
			out = append(out, run.ref())
		case run.State == graph.RunRunning && run.Open:
			run.giveUp()
			if grace <= 0 {
				out = append(out, run.ref())
			}
		}
	}
	return out, nil
}

// Took gives how long the last successful runs of an operation took.
func (r *Runs) Took(_ context.Context, g graph.GraphKey, operation string) (time.Duration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var runs []*graph.Run
	for _, run := range r.runs {
		if run.Graph == g && run.Kind == graph.RunOperation && run.Rule == operation && run.State == graph.RunSucceeded && !run.StartedAt.IsZero() {
			runs = append(runs, &run.Run)
		}
	}
	if len(runs) == 0 {
		return 0, nil
	}
	slices.SortFunc(runs, newest)
	runs = runs[:min(tookOf, len(runs))]
	slices.SortFunc(runs, func(a, b *graph.Run) int {
		return cmp.Compare(a.EndedAt.Sub(a.StartedAt), b.EndedAt.Sub(b.StartedAt))
	})
	mid := runs[(len(runs)-1)/2]
	return mid.EndedAt.Sub(mid.StartedAt), nil
}

// Prune removes runs that ended long ago.
func (r *Runs) Prune(_ context.Context, keep time.Duration, limit int) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := time.Now().Add(-keep)
	gone := 0
	for k, run := range r.runs {
		if gone == limit {
			break
		}
		if run.State.Final() && run.EndedAt.Before(before) {
			delete(r.runs, k)
			ln := run.lane()
			if r.order[ln] = slices.DeleteFunc(r.order[ln], func(o *runState) bool { return o == run }); len(r.order[ln]) == 0 {
				delete(r.order, ln)
			}
			gone++
		}
	}
	for g, list := range r.faults {
		r.faults[g] = slices.DeleteFunc(list, func(f fault) bool { return f.at.Before(before) })
	}
	return gone, nil
}
