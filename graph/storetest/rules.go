package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
)

// ruleTests are those of graph.RuleStore.
var ruleTests = []struct {
	name string
	fn   func(*runWorld)
}{
	{"RunsOfAPausedRuleWait", runsOfAPausedRuleWait},
	{"AnOldRunAndANewOneAreNeverUnderWayTogether", anOldRunAndANewOneAreNeverUnderWayTogether},
	{"RunsMadeBesideTheCursorKeepTheirLane", runsMadeBesideTheCursorKeepTheirLane},
	{"RuleRecordsTellTheLastOfEach", ruleRecordsTellTheLastOfEach},
	{"RetryAllMakesDeadRunsDue", retryAllMakesDeadRunsDue},
	{"AFloodOfOneRuleHidesNoOther", aFloodOfOneRuleHidesNoOther},
	{"OperationsAskedToStopAreLookedAt", operationsAskedToStopAreLookedAt},
	{"TookIsTheMedianOfTheSuccessful", tookIsTheMedianOfTheSuccessful},
	{"PrunedRunsAreGone", prunedRunsAreGone},
}

func runsOfAPausedRuleWait(w *runWorld) {
	ctx := w.t.Context()
	rule := "paused " + w.Info.Name
	run, other := w.newRun(rule, NewObjectID(), 1), w.newRun("other", NewObjectID(), 1)
	for range 2 {
		if err := w.runs.Pause(ctx, w.Info.Key, rule, "ann"); err != nil {
			w.t.Fatal(err)
		}
	}
	paused, err := w.runs.Paused(ctx, w.Info.Key)
	if err != nil || len(paused) != 1 || paused[rule].By != "ann" || time.Since(paused[rule].At).Abs() > time.Minute {
		w.t.Fatalf("paused are %v, %v", paused, err)
	}
	w.dispatch(1, run, other)
	if got := w.claim(run, lease); got != nil {
		w.t.Fatal("a run of a paused rule began")
	}
	w.mustClaim(other, lease)
	due := func() []string {
		list, err := w.runs.Overdue(ctx, 0, 100000, 100000)
		if err != nil {
			w.t.Fatal(err)
		}
		return ids(list)
	}
	if slices.Contains(due(), run.ID) {
		w.t.Error("a run of a paused rule is offered")
	}
	// An operation of the same name is another thing.
	op := w.newRun(rule, NewObjectID(), 2)
	op.Kind = graph.RunOperation
	w.dispatch(2, op)
	w.mustClaim(op, lease)
	for range 2 {
		if err := w.runs.Resume(ctx, w.Info.Key, rule); err != nil {
			w.t.Fatal(err)
		}
	}
	if !slices.Contains(due(), run.ID) {
		w.t.Error("a resumed run is not offered")
	}
	w.mustClaim(run, lease)
}

func anOldRunAndANewOneAreNeverUnderWayTogether(w *runWorld) {
	entity := NewObjectID()
	first, second := w.newRun("r", entity, 1), w.newRun("r", entity, 2)
	w.dispatch(2, first, second)
	w.mustClaim(first, lease)
	w.end(first, 1, graph.RunDead, 0)
	w.mustClaim(second, lease)
	// The first one comes again while the second is under way.
	if ok, err := w.runs.Retry(w.t.Context(), w.Info.Key, first.ID); err != nil || !ok {
		w.t.Fatal(ok, err)
	}
	if w.claim(first, lease) != nil {
		w.t.Fatal("two runs of one rule and entity are under way")
	}
	w.end(second, 1, graph.RunSucceeded, 0)
	w.mustClaim(first, lease)

	// A lost lease keeps nobody.
	third, fourth := w.newRun("r", NewObjectID(), 3), w.newRun("r", NewObjectID(), 4)
	fourth.Entity = third.Entity
	w.dispatch(4, third, fourth)
	w.mustClaim(third, lease)
	w.end(third, 1, graph.RunDead, 0)
	w.mustClaim(fourth, time.Millisecond)
	if ok, err := w.runs.Retry(w.t.Context(), w.Info.Key, third.ID); err != nil || !ok {
		w.t.Fatal(ok, err)
	}
	w.mustClaim(third, lease)
	if w.claim(fourth, lease) != nil {
		w.t.Fatal("a later run was taken over while an earlier one is under way")
	}
	w.end(third, 2, graph.RunSucceeded, 0)
	w.mustClaim(fourth, lease)
}

func runsMadeBesideTheCursorKeepTheirLane(w *runWorld) {
	ctx := w.t.Context()
	entity := NewObjectID()
	now := w.newRun("r", entity, 5)
	w.dispatch(5, now)
	replay := uuid.NewString()
	old := []*graph.Run{w.newRun("r", entity, 2), w.newRun("r", entity, 3)}
	for _, r := range old {
		r.Replay = replay
	}
	made, ready, err := w.runs.Make(ctx, w.Info.Key, "n1", old)
	if err != nil || made != 2 || !slices.Equal(ids(ready), []string{old[0].ID}) {
		w.t.Fatalf("%d made, ready %v, %v", made, ids(ready), err)
	}
	if made, ready, err := w.runs.Make(ctx, w.Info.Key, "n1", old); err != nil || made != 0 || len(ready) != 0 {
		w.t.Fatalf("again: %d made, ready %v, %v", made, ids(ready), err)
	}
	if c, err := w.runs.Cursor(ctx, w.Info.Key); err != nil || c.Version != 5 {
		w.t.Fatalf("the cursor is %+v, %v", c, err)
	}
	if got, _ := w.get(old[0]); got.Replay != replay {
		w.t.Errorf("the replay is %q", got.Replay)
	}
	if got, _ := w.get(now); got.Replay != "" {
		w.t.Errorf("a run of a commit is of replay %q", got.Replay)
	}
	w.wantHops(old[0], graph.HopMatched)
	for i, r := range []*graph.Run{old[0], old[1], now} {
		for _, later := range []*graph.Run{old[0], old[1], now}[i+1:] {
			if w.claim(later, lease) != nil {
				w.t.Fatalf("version %d began before version %d", later.Version, r.Version)
			}
		}
		w.mustClaim(r, lease)
		w.end(r, 1, graph.RunSucceeded, 0)
	}
	if made, _, err := w.runs.Make(ctx, w.Info.Key, "n1", nil); err != nil || made != 0 {
		w.t.Fatal(made, err)
	}
}

func ruleRecordsTellTheLastOfEach(w *runWorld) {
	ctx := w.t.Context()
	var all []*graph.Run
	for i := range 6 {
		all = append(all, w.newRun("r", NewObjectID(), graph.Version(i+1)))
	}
	stopped := w.newRun("r", NewObjectID(), 7)
	stopped.State, stopped.Error = graph.RunStopped, &graph.RunError{Code: "loop", Message: "x"}
	op := w.newRun("r", NewObjectID(), 8)
	op.Kind = graph.RunOperation
	all = append(all, stopped, op)
	fault := graph.RuleFault{Version: 3, Rule: "r", Entity: uuid.NewString(), Error: "no such key"}
	got, err := w.runs.Dispatch(ctx, &graph.Dispatch{Graph: w.Info.Key, Node: "n1", Lease: lease, To: 8, Epoch: w.Head.Epoch, Runs: all, Faults: []graph.RuleFault{fault}})
	if err != nil || !got.Moved {
		w.t.Fatal(got, err)
	}
	for i, state := range []graph.RunState{graph.RunSucceeded, graph.RunDead, graph.RunRetrying} {
		w.mustClaim(all[i], lease)
		w.end(all[i], 1, state, time.Hour)
	}
	recs, err := w.runs.RuleRecords(ctx, w.Info.Key, []string{"r", "none"}, 3)
	if err != nil {
		w.t.Fatal(err)
	}
	r := recs["r"]
	versions := func(list []*graph.Run) (v []graph.Version) {
		for _, r := range list {
			v = append(v, r.Version)
		}
		return v
	}
	if got := versions(r.Matches); !slices.Equal(got, []graph.Version{7, 6, 5}) {
		w.t.Errorf("matches are %v", got)
	}
	if got := versions(r.Failures); !slices.Equal(got, []graph.Version{7, 3, 2}) {
		w.t.Errorf("failures are %v", got)
	}
	if len(r.Faults) != 1 || r.Faults[0] != fault {
		w.t.Errorf("faults are %v", r.Faults)
	}
	if r.Open[graph.RunPending] != 3 || r.Open[graph.RunDead] != 1 || r.Open[graph.RunRetrying] != 1 || r.Open[graph.RunRunning] != 0 {
		w.t.Errorf("open are %v", r.Open)
	}
	if n := recs["none"]; n == nil || len(n.Matches)+len(n.Failures)+len(n.Faults)+len(n.Open) != 0 {
		w.t.Errorf("a rule without runs has %+v", n)
	}
}

func retryAllMakesDeadRunsDue(w *runWorld) {
	ctx := w.t.Context()
	dead := []*graph.Run{w.newRun("r", NewObjectID(), 1), w.newRun("r", NewObjectID(), 2), w.newRun("other", NewObjectID(), 3)}
	op := w.newRun("r", NewObjectID(), 4)
	op.Kind = graph.RunOperation
	fine := w.newRun("r", NewObjectID(), 5)
	w.dispatch(5, append(slices.Clone(dead), op, fine)...)
	for _, r := range append(slices.Clone(dead), op) {
		w.mustClaim(r, lease)
		w.end(r, 1, graph.RunDead, 0)
	}
	w.mustClaim(fine, lease)
	w.end(fine, 1, graph.RunSucceeded, 0)
	retry := func(f graph.RunRetries) []string {
		w.t.Helper()
		refs, err := w.runs.RetryAll(ctx, w.Info.Key, f)
		if err != nil {
			w.t.Fatal(err)
		}
		return ids(refs)
	}
	if got := retry(graph.RunRetries{State: graph.RunSucceeded, Limit: 10}); len(got) != 0 {
		w.t.Errorf("successful runs were retried: %v", got)
	}
	if got := retry(graph.RunRetries{State: graph.RunDead, Rule: "r", Limit: 1}); !slices.Equal(got, []string{dead[0].ID}) {
		w.t.Errorf("retried %v", got)
	}
	if got := retry(graph.RunRetries{State: graph.RunDead, Limit: 10}); !slices.Equal(got, []string{dead[1].ID, dead[2].ID}) {
		w.t.Errorf("retried %v", got)
	}
	w.wantHops(dead[0], graph.HopMatched, graph.HopStarted, graph.HopRetried)
	if got := w.mustClaim(dead[2], lease); got.RetriesLeft != 2 || got.Attempt != 2 {
		w.t.Errorf("the retried run is %+v", got)
	}
}

func aFloodOfOneRuleHidesNoOther(w *runWorld) {
	var runs []*graph.Run
	for range 50 {
		runs = append(runs, w.newRun("flood", NewObjectID(), 1))
	}
	w.dispatch(1, runs...)
	late := w.newRun("late", NewObjectID(), 2)
	w.dispatch(2, late)
	// Others may use the same database: they are counted out.
	list, err := w.runs.Overdue(w.t.Context(), 0, 100000, 5)
	if err != nil {
		w.t.Fatal(err)
	}
	var mine []string
	flood := 0
	for _, r := range list {
		if r.Graph != w.Info.Key {
			continue
		}
		mine = append(mine, r.Run)
		if r.Rule == "flood" {
			flood++
		}
	}
	if flood != 5 || !slices.Contains(mine, late.ID) {
		w.t.Errorf("%d of the flood, the late one: %v", flood, slices.Contains(mine, late.ID))
	}
	// The first of each come before the second of any.
	if i := slices.Index(mine, late.ID); i > 1 {
		w.t.Errorf("the late one is number %d", i)
	}
}

func operationsAskedToStopAreLookedAt(w *runWorld) {
	ctx := w.t.Context()
	var runs []*graph.Run
	for i := range 4 {
		r := w.newRun("op", NewObjectID(), graph.Version(i+1))
		r.Kind = graph.RunOperation
		runs = append(runs, r)
	}
	retrying, parked, running, other := runs[0], runs[1], runs[2], runs[3]
	w.dispatch(4, runs...)
	w.mustClaim(retrying, lease)
	w.end(retrying, 1, graph.RunRetrying, time.Hour)
	for _, r := range []*graph.Run{parked, other} {
		w.mustClaim(r, lease)
		if ok, err := w.runs.Park(ctx, w.Info.Key, r.ID, 1, nil); err != nil || !ok {
			w.t.Fatal(ok, err)
		}
	}
	w.mustClaim(running, lease)
	var asked []graph.ObjectID
	for _, r := range []*graph.Run{retrying, parked, running} {
		asked = append(asked, graph.ObjectID(r.Entity.ID))
	}
	ready, err := w.runs.AskToStop(ctx, w.Info.Key, asked, time.Millisecond)
	if err != nil || !slices.Equal(ids(ready), []string{retrying.ID}) {
		w.t.Fatalf("ready are %v, %v", ids(ready), err)
	}
	w.mustClaim(retrying, lease)
	if got := w.mustClaim(parked, lease); got.Attempt != 2 {
		w.t.Errorf("the parked run is at attempt %d", got.Attempt)
	}
	for _, r := range []*graph.Run{running, other} {
		if got, _ := w.get(r); got.State != graph.RunRunning || got.Attempt != 1 || time.Until(got.WakeAt) < 30*time.Second {
			w.t.Errorf("%s is %s until %v", r.ID, got.State, got.WakeAt)
		}
	}
	// Asked before it was parked, it is given up all the same.
	if ok, err := w.runs.Park(ctx, w.Info.Key, running.ID, 1, nil); err != nil || !ok {
		w.t.Fatal(ok, err)
	}
	if got := w.mustClaim(running, lease); got.Attempt != 2 {
		w.t.Errorf("the run asked before it was parked is at attempt %d", got.Attempt)
	}
	// Without grace it may be taken up at once.
	if ready, err = w.runs.AskToStop(ctx, w.Info.Key, []graph.ObjectID{graph.ObjectID(other.Entity.ID)}, 0); err != nil || !slices.Equal(ids(ready), []string{other.ID}) {
		w.t.Fatalf("ready are %v, %v", ids(ready), err)
	}
	w.mustClaim(other, lease)
}

func tookIsTheMedianOfTheSuccessful(w *runWorld) {
	ctx := w.t.Context()
	if d, err := w.runs.Took(ctx, w.Info.Key, "op"); err != nil || d != 0 {
		w.t.Fatalf("without runs: %v, %v", d, err)
	}
	var runs []*graph.Run
	for i := range 3 {
		r := w.newRun("op", NewObjectID(), graph.Version(i+1))
		r.Kind = graph.RunOperation
		runs = append(runs, r)
	}
	w.dispatch(3, runs...)
	for i, r := range runs {
		w.mustClaim(r, lease)
		if i == 2 {
			w.end(r, 1, graph.RunDead, 0)
			continue
		}
		w.end(r, 1, graph.RunSucceeded, 0)
	}
	got, _ := w.get(runs[0])
	if got.StartedAt.IsZero() || got.EndedAt.Before(got.StartedAt) {
		w.t.Errorf("it began at %v and ended at %v", got.StartedAt, got.EndedAt)
	}
	if d, err := w.runs.Took(ctx, w.Info.Key, "op"); err != nil || d <= 0 || d > time.Minute {
		w.t.Errorf("it takes %v, %v", d, err)
	}
}

func prunedRunsAreGone(w *runWorld) {
	ctx := w.t.Context()
	done, open := w.newRun("r", NewObjectID(), 1), w.newRun("r", NewObjectID(), 2)
	w.dispatch(2, done, open)
	w.mustClaim(done, lease)
	w.end(done, 1, graph.RunSucceeded, 0)
	if _, err := w.runs.Prune(ctx, time.Hour, 100); err != nil {
		w.t.Fatal(err)
	}
	w.get(done) // it is young
}

// PruneTakesWhatHasEnded is for a store of its own: it takes the runs of all
// graphs.
func (s Suite) PruneTakesWhatHasEnded(t *testing.T) {
	store := s.Open(t)
	w := &runWorld{World: NewWorld(t, store), runs: s.Runs(t, store), t: t}
	ctx := t.Context()
	var runs []*graph.Run
	for i := range 5 {
		runs = append(runs, w.newRun("r", NewObjectID(), graph.Version(i+1)))
	}
	w.dispatch(5, runs...)
	for _, r := range runs[:3] {
		w.mustClaim(r, lease)
		w.end(r, 1, graph.RunDead, 0)
	}
	gone := 0
	for end := time.Now().Add(10 * time.Second); gone < 3 && time.Now().Before(end); {
		n, err := w.runs.Prune(ctx, time.Microsecond, 2)
		if err != nil || n > 2 {
			t.Fatalf("%d pruned, %v", n, err)
		}
		gone += n
	}
	list, err := w.runs.ListRuns(ctx, w.Info.Key, graph.RunFilter{})
	if err != nil || len(list) != 2 {
		t.Fatalf("%d are left, %v", len(list), err)
	}
	if _, _, err := w.runs.Run(ctx, w.Info.Key, runs[0].ID); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("a pruned run: %v", err)
	}
	w.mustClaim(runs[4], lease)
}
