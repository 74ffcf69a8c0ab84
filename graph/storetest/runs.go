package storetest

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
)

// RunRuns runs the suite of graph.RunStore. Of the Suite it needs Open and Runs.
func (s Suite) RunRuns(t *testing.T) {
	for _, test := range append([]struct {
		name string
		fn   func(*runWorld)
	}{
		{"CursorMovesByCompareAndSet", cursorMovesByCompareAndSet},
		{"CursorIsHeldByOneNodeAtATime", cursorIsHeldByOneNodeAtATime},
		{"GraphsBehindTheirLogAreFound", graphsBehindTheirLogAreFound},
		{"RunsMadeTwiceAreMadeOnce", runsMadeTwiceAreMadeOnce},
		{"EveryFieldOfARunIsKept", everyFieldOfARunIsKept},
		{"OneClaimWins", oneClaimWins},
		{"RunsOfALaneGoOneAfterTheOther", runsOfALaneGoOneAfterTheOther},
		{"NoRunOfALaneIsForgotten", noRunOfALaneIsForgotten},
		{"LostLeaseIsTakenOver", lostLeaseIsTakenOver},
		{"ExtendedLeaseIsKept", extendedLeaseIsKept},
		{"RetryComesAfterItsDelay", retryComesAfterItsDelay},
		{"ParkedRunWaitsForItsDeadline", parkedRunWaitsForItsDeadline},
		{"OnlyTheHolderEndsAnAttempt", onlyTheHolderEndsAnAttempt},
		{"ManyBeginInOneClaim", manyBeginInOneClaim},
		{"DispatchBegins", dispatchBegins},
		{"ManyEndTogether", manyEndTogether},
		{"CrowdsOfClaimsAndEndsAgree", crowdsOfClaimsAndEndsAgree},
		{"AReleasedCursorIsFree", aReleasedCursorIsFree},
		{"CancelEndsWhateverIsOpen", cancelEndsWhateverIsOpen},
		{"RetryByHandStartsAnew", retryByHandStartsAnew},
		{"OverdueIsFairToRules", overdueIsFairToRules},
		{"ListsAreFilteredAndPaged", listsAreFilteredAndPaged},
		{"FiredAndMadeLeadThroughTheTree", firedAndMadeLeadThroughTheTree},
		{"StatsCountWhatIsOpen", statsCountWhatIsOpen},
		{"OddTextsAreKept", oddTextsAreKept},
	}, ruleTests...) {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			store := s.Open(t)
			test.fn(&runWorld{World: NewWorld(t, store), runs: s.Runs(t, store), t: t})
		})
	}
}

// runWorld is a graph with its runs.
type runWorld struct {
	*World
	runs graph.RunStore
	t    *testing.T
	at   graph.Version // of the cursor
}

const lease = time.Minute

// newRun gives a run of a rule for an entity, fired by a version.
func (w *runWorld) newRun(rule string, entity graph.ObjectID, v graph.Version) *graph.Run {
	return &graph.Run{
		Graph: w.Info.Key, GraphName: w.Info.Name, ID: uuid.NewString(), Kind: graph.RunRule, Rule: rule, Event: graph.Modified,
		Entity: graph.ObjectRef(entity), Version: v, SchemaVer: 1, State: graph.RunPending, Retries: 2, RetriesLeft: 2,
		Timeout: time.Hour, By: graph.Principal{User: "ann"},
	}
}

// dispatch moves the cursor to `to` and makes the runs.
func (w *runWorld) dispatch(to graph.Version, runs ...*graph.Run) graph.Dispatched {
	w.t.Helper()
	got, err := w.runs.Dispatch(w.t.Context(), &graph.Dispatch{
		Graph: w.Info.Key, Node: "n1", Lease: lease, From: w.at, To: to, Epoch: w.Head.Epoch, Runs: runs,
	})
	if err != nil || !got.Moved {
		w.t.Fatalf("dispatch from %d to %d: %+v, %v", w.at, to, got, err)
	}
	w.at = to
	return got
}

func (w *runWorld) claim(run *graph.Run, d time.Duration) *graph.Run {
	w.t.Helper()
	got, err := claim(w, run, "n1", d)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// claim starts an attempt of one run; nil where it may not start.
func claim(w *runWorld, run *graph.Run, node string, d time.Duration) (*graph.Run, error) {
	got, err := w.runs.Claim(w.t.Context(), graph.RunClaims{
		Graph: w.Info.Key, Node: node, Lease: d, Runs: []graph.RunClaim{{Run: run.ID, TokenHash: []byte{1}}},
	})
	if err != nil || len(got) == 0 {
		return nil, err
	}
	return got[0], nil
}

// finish ends one attempt.
func (w *runWorld) finish(e graph.RunEnd) (ok bool, next []graph.RunRef, err error) {
	ended, next, err := w.runs.Finish(w.t.Context(), w.Info.Key, []graph.RunEnd{e})
	return err == nil && ended[0], next, err
}

// mustClaim claims a run that is due, or about to be.
func (w *runWorld) mustClaim(run *graph.Run, d time.Duration) *graph.Run {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if got := w.claim(run, d); got != nil {
			return got
		}
	}
	w.t.Fatalf("run %s of %s cannot be claimed", run.ID, run.Rule)
	return nil
}

func (w *runWorld) end(run *graph.Run, attempt int, state graph.RunState, delay time.Duration) []graph.RunRef {
	w.t.Helper()
	ok, next, err := w.finish(graph.RunEnd{Run: run.ID, Attempt: attempt, State: state, Delay: delay})
	if err != nil || !ok {
		w.t.Fatalf("end %s as %s: %v, %v", run.ID, state, ok, err)
	}
	return next
}

func (w *runWorld) get(run *graph.Run) (*graph.Run, []graph.Hop) {
	w.t.Helper()
	got, hops, err := w.runs.Run(w.t.Context(), w.Info.Key, run.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return got, hops
}

func ids(refs []graph.RunRef) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = r.Run
	}
	return out
}

func kinds(hops []graph.Hop) []graph.HopKind {
	out := make([]graph.HopKind, len(hops))
	for i, h := range hops {
		out[i] = h.Hop
	}
	return out
}

func (w *runWorld) wantHops(run *graph.Run, want ...graph.HopKind) {
	w.t.Helper()
	if _, hops := w.get(run); !slices.Equal(kinds(hops), want) {
		w.t.Errorf("hops are %v, want %v", kinds(hops), want)
	}
}

func cursorMovesByCompareAndSet(w *runWorld) {
	ctx := w.t.Context()
	if c, err := w.runs.Cursor(ctx, w.Info.Key); err != nil || c.Version != 0 {
		w.t.Fatalf("a new graph's cursor is %+v, %v", c, err)
	}
	late, err := w.runs.Dispatch(ctx, &graph.Dispatch{Graph: w.Info.Key, Node: "n1", Lease: lease, From: 5, To: 6})
	if err != nil || late.Moved {
		w.t.Fatalf("from a place where it never was: %+v, %v", late, err)
	}
	w.dispatch(3)
	stale, err := w.runs.Dispatch(ctx, &graph.Dispatch{Graph: w.Info.Key, Node: "n1", Lease: lease, From: 0, To: 9, Runs: []*graph.Run{w.newRun("r", NewObjectID(), 1)}})
	if err != nil || stale.Moved || stale.Cursor.Version != 3 || stale.Cursor.Epoch != w.Head.Epoch || len(stale.Ready) > 0 {
		w.t.Fatalf("a stale move gave %+v, %v", stale, err)
	}
	if runs, _, err := w.runs.Fired(ctx, w.Info.Key, 1); err != nil || len(runs) != 0 {
		w.t.Fatalf("a stale move made %d runs, %v", len(runs), err)
	}
}

func cursorIsHeldByOneNodeAtATime(w *runWorld) {
	ctx := w.t.Context()
	w.dispatch(1)
	other := &graph.Dispatch{Graph: w.Info.Key, Node: "n2", Lease: 0, From: 1, To: 2}
	got, err := w.runs.Dispatch(ctx, other)
	if err != nil || got.Moved || got.Cursor.Holder != "n1" {
		w.t.Fatalf("another node's move gave %+v, %v", got, err)
	}
	// The holder lets it go: its lease is over.
	if got, err := w.runs.Dispatch(ctx, &graph.Dispatch{Graph: w.Info.Key, Node: "n1", Lease: 0, From: 1, To: 1}); err != nil || !got.Moved {
		w.t.Fatalf("the holder's move gave %+v, %v", got, err)
	}
	if got, err := w.runs.Dispatch(ctx, other); err != nil || !got.Moved {
		w.t.Fatalf("a move after the lease gave %+v, %v", got, err)
	}
}

func graphsBehindTheirLogAreFound(w *runWorld) {
	behind := func(node string) bool {
		list, err := w.runs.Behind(w.t.Context(), node, 100000)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, b := range list {
			if b.Graph == w.Info.Key {
				if b.Name != w.Info.Name || b.Head != w.Head.Version || b.Cursor != w.at {
					w.t.Fatalf("found %+v", b)
				}
				return true
			}
		}
		return false
	}
	if behind("n1") {
		w.t.Fatal("an empty graph is behind")
	}
	w.Commit(func(d *Draft) { d.CreateAs(NewObjectID(), `{}`) })
	w.Commit(func(d *Draft) { d.CreateAs(NewObjectID(), `{}`) })
	if !behind("n1") || !behind("n2") {
		w.t.Fatal("a graph that was never matched is not found")
	}
	w.dispatch(1)
	if !behind("n1") || behind("n2") {
		w.t.Fatal("a held cursor is for its holder alone")
	}
	w.dispatch(2)
	if behind("n1") {
		w.t.Fatal("a graph that has been matched is behind")
	}
}

func runsMadeTwiceAreMadeOnce(w *runWorld) {
	run := w.newRun("r", NewObjectID(), 1)
	if got := w.dispatch(1, run); !slices.Equal(ids(got.Ready), []string{run.ID}) {
		w.t.Fatalf("ready are %v", got.Ready)
	}
	w.mustClaim(run, lease)
	if got := w.dispatch(2, run); len(got.Ready) > 0 {
		w.t.Fatalf("a run that exists is ready again: %v", got.Ready)
	}
	if got, _ := w.get(run); got.State != graph.RunRunning || got.Attempt != 1 {
		w.t.Fatalf("the run is %+v", got)
	}
	w.wantHops(run, graph.HopMatched, graph.HopStarted)
}

func everyFieldOfARunIsKept(w *runWorld) {
	edge := NewEdgeID()
	run := &graph.Run{
		ID: uuid.NewString(), Kind: graph.RunOperation, Rule: "über \"rule\"", Event: graph.Deleted, Entity: graph.EdgeRef(edge),
		Version: 7, SchemaVer: 3, State: graph.RunStopped, Retries: 4, RetriesLeft: 4, Timeout: 1500 * time.Millisecond, Depth: 5,
		GraphName: w.Info.Name, By: graph.Principal{User: "ann", Teams: []string{"a", "b"}, Org: "o", Graphs: []string{"*"}, Admin: true},
		Chain: []graph.RunLink{{Run: uuid.NewString(), Kind: graph.RunRule, Rule: "x", Entity: NewObjectID().String(), Version: 2}},
		Error: &graph.RunError{Code: "loop", Message: "again"},
	}
	w.dispatch(7, run)
	got, hops := w.get(run)
	if got.ID != run.ID || got.Kind != run.Kind || got.Rule != run.Rule || got.Event != run.Event || got.Entity != run.Entity ||
		got.Version != 7 || got.SchemaVer != 3 || got.State != graph.RunStopped || got.Retries != 4 || got.RetriesLeft != 4 ||
		got.Timeout != run.Timeout || got.Depth != 5 || got.GraphName != w.Info.Name || got.By.User != "ann" || !got.By.Admin ||
		!slices.Equal(got.By.Teams, run.By.Teams) || !slices.Equal(got.Chain, run.Chain) || got.Error == nil || got.Error.Message != "again" ||
		got.CreatedAt.IsZero() || got.EndedAt.IsZero() || !got.WakeAt.IsZero() || got.Graph != w.Info.Key {
		w.t.Fatalf("kept %+v", got)
	}
	if len(hops) != 2 || hops[1].Hop != graph.HopStopped || hops[1].Error == nil || hops[1].Error.Code != "loop" {
		w.t.Fatalf("hops %+v", hops)
	}
	if w.claim(run, lease) != nil {
		w.t.Fatal("a stopped run was claimed")
	}
}

func overdueIsFairToRules(w *runWorld) {
	var flood []*graph.Run
	for range 20 {
		flood = append(flood, w.newRun("flood", NewObjectID(), 1))
	}
	one := w.newRun("one", NewObjectID(), 1)
	taken := w.newRun("taken", NewObjectID(), 1)
	w.dispatch(1, append(flood, one, taken)...)
	w.mustClaim(taken, lease)
	due, err := w.runs.Overdue(w.t.Context(), 0, 100000, 5)
	if err != nil {
		w.t.Fatal(err)
	}
	count := map[string]int{}
	for _, r := range due {
		if r.Graph == w.Info.Key {
			count[r.Rule]++
		}
	}
	if count["flood"] != 5 || count["one"] != 1 || count["taken"] != 0 {
		w.t.Fatalf("overdue are %v", count)
	}
	if due, err = w.runs.Overdue(w.t.Context(), time.Hour, 100000, 5); err != nil {
		w.t.Fatal(err)
	}
	for _, r := range due {
		if r.Graph == w.Info.Key {
			w.t.Fatalf("%s is overdue for less than the grace", r.Rule)
		}
	}
}

func listsAreFilteredAndPaged(w *runWorld) {
	x := NewObjectID()
	var made []*graph.Run
	for v := graph.Version(1); v <= 6; v++ {
		rule := "odd"
		if v%2 == 0 {
			rule = "even"
		}
		made = append(made, w.newRun(rule, NewObjectID(), v))
	}
	made[2].Entity = graph.ObjectRef(x)
	e := NewEdgeID()
	made[3].Entity = graph.EdgeRef(e)
	w.dispatch(6, made...)
	w.mustClaim(made[0], lease)
	list := func(f graph.RunFilter) []graph.Version {
		runs, err := w.runs.ListRuns(w.t.Context(), w.Info.Key, f)
		if err != nil {
			w.t.Fatal(err)
		}
		var out []graph.Version
		for _, r := range runs {
			out = append(out, r.Version)
		}
		return out
	}
	ref := graph.ObjectRef(x)
	for _, c := range []struct {
		f    graph.RunFilter
		want []graph.Version
	}{
		{graph.RunFilter{}, []graph.Version{6, 5, 4, 3, 2, 1}},
		{graph.RunFilter{Rule: "even"}, []graph.Version{6, 4, 2}},
		{graph.RunFilter{State: graph.RunRunning}, []graph.Version{1}},
		{graph.RunFilter{State: graph.RunPending, Rule: "odd"}, []graph.Version{5, 3}},
		{graph.RunFilter{Entity: &ref}, []graph.Version{3}},
		{graph.RunFilter{About: (*[16]byte)(&x)}, []graph.Version{3}},
		{graph.RunFilter{About: (*[16]byte)(&e)}, []graph.Version{4}},
		{graph.RunFilter{Limit: 2}, []graph.Version{6, 5}},
		{graph.RunFilter{Limit: 2, Before: made[4].ID}, []graph.Version{4, 3}},
		{graph.RunFilter{State: graph.RunDead}, nil},
	} {
		if got := list(c.f); !slices.Equal(got, c.want) {
			w.t.Errorf("%+v gives %v, want %v", c.f, got, c.want)
		}
	}
	if _, err := w.runs.ListRuns(w.t.Context(), w.Info.Key, graph.RunFilter{Before: uuid.NewString()}); !errors.Is(err, &graph.Error{Code: graph.CodeNotFound}) {
		w.t.Errorf("a page before nothing gives %v", err)
	}
	if _, _, err := w.runs.Run(w.t.Context(), w.Info.Key, uuid.NewString()); !errors.Is(err, &graph.Error{Code: graph.CodeNotFound}) {
		w.t.Errorf("an absent run gives %v", err)
	}
}

func firedAndMadeLeadThroughTheTree(w *runWorld) {
	x := NewObjectID()
	w.Commit(func(d *Draft) { d.CreateAs(x, `{}`) })
	run, idle := w.newRun("b", x, 1), w.newRun("a", x, 1)
	got, err := w.runs.Dispatch(w.t.Context(), &graph.Dispatch{
		Graph: w.Info.Key, Node: "n1", Lease: lease, To: 1, Runs: []*graph.Run{run, idle},
		Faults: []graph.RuleFault{{Version: 1, Rule: "c", Entity: x.String(), Error: "no such key"}},
	})
	if err != nil || !got.Moved {
		w.t.Fatal(got, err)
	}
	for range 2 {
		w.Commit(func(d *Draft) {
			d.Cause = graph.Cause{Kind: graph.CauseRun, Version: 1, Run: run.ID}
			d.CreateAs(NewObjectID(), `{}`)
		})
	}
	runs, faults, err := w.runs.Fired(w.t.Context(), w.Info.Key, 1)
	if err != nil || len(runs) != 2 || runs[0].ID != idle.ID || runs[1].ID != run.ID {
		w.t.Fatalf("fired %v, %v", runs, err)
	}
	if len(faults) != 1 || faults[0] != (graph.RuleFault{Version: 1, Rule: "c", Entity: x.String(), Error: "no such key"}) {
		w.t.Fatalf("faults %v", faults)
	}
	made, err := w.runs.Made(w.t.Context(), w.Info.Key, []string{run.ID, idle.ID})
	if err != nil || len(made) != 1 || !slices.Equal(made[run.ID], []graph.Version{2, 3}) {
		w.t.Fatalf("made %v, %v", made, err)
	}
	some, err := w.runs.Runs(w.t.Context(), w.Info.Key, []string{run.ID, uuid.NewString()})
	if err != nil || len(some) != 1 || some[run.ID] == nil {
		w.t.Fatalf("runs %v, %v", some, err)
	}
}

func statsCountWhatIsOpen(w *runWorld) {
	before, err := w.runs.Stats(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	dead, open := w.newRun("r", NewObjectID(), 1), w.newRun("r", NewObjectID(), 1)
	w.dispatch(1, dead, open)
	a := w.mustClaim(dead, lease)
	w.end(dead, a.Attempt, graph.RunDead, 0)
	// Others use the same database: the counts are at least ours.
	after, err := w.runs.Stats(w.t.Context())
	if err != nil || after.ByState[graph.RunDead] < 1 || after.ByState[graph.RunPending] < 1 || after.Oldest <= 0 {
		w.t.Fatalf("before %+v, after %+v, %v", before, after, err)
	}
}

func oddTextsAreKept(w *runWorld) {
	run := w.newRun("r", NewObjectID(), 1)
	w.dispatch(1, run)
	a := w.mustClaim(run, lease)
	text := json.RawMessage(`{"b":"\\u0000 <&> \u2028 𝄞","a":[1e2,12345678901234567890,null]}`)
	if err := w.runs.Note(w.t.Context(), w.Info.Key, []string{run.ID}, graph.Hop{Hop: graph.HopReported, Attempt: a.Attempt, Node: "n", Answer: text}); err != nil {
		w.t.Fatal(err)
	}
	_, hops := w.get(run)
	h := hops[len(hops)-1]
	var got, want any
	if json.Unmarshal(h.Answer, &got) != nil || json.Unmarshal(text, &want) != nil || h.Attempt != a.Attempt || h.At.IsZero() {
		w.t.Fatalf("the hop is %+v", h)
	}
	if a, b := mustJSON(got), mustJSON(want); a != b {
		w.t.Fatalf("kept %s, want %s", a, b)
	}
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
