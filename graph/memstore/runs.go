package memstore

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// Runs is a graph.RunStore in memory, beside a Store: it judges the fences of
// the Store's appends.
type Runs struct {
	store *Store

	mu      sync.Mutex // guards the fields below; taken after Store.mu
	cursors map[graph.GraphKey]graph.RunCursor
	runs    map[runKey]*runState
	order   map[lane][]*runState // by version, all states
	faults  map[graph.GraphKey][]fault
	pauses  map[ruleKey]graph.RulePause
}

type fault struct {
	graph.RuleFault
	at time.Time
}

var _ graph.RunStore = (*Runs)(nil)

type runKey struct {
	graph graph.GraphKey
	id    string
}

// lane is what runs one after the other.
type lane struct {
	graph  graph.GraphKey
	kind   graph.RunKind
	rule   string
	entity graph.Ref
}

type runState struct {
	graph.Run
	hops   []graph.Hop
	stopBy time.Time // an attempt that is open for reports is given up then; zero: nobody asked it to stop
}

// giveUp brings the end of an attempt that is open for reports forward, if it
// was asked to stop.
func (r *runState) giveUp() {
	if !r.stopBy.IsZero() && r.stopBy.Before(r.Deadline) {
		r.Deadline, r.WakeAt = r.stopBy, r.stopBy
	}
}

func (r *runState) lane() lane { return lane{r.Graph, r.Kind, r.Rule, r.Entity} }

func (r *runState) ref() graph.RunRef {
	return graph.RunRef{Graph: r.Graph, Run: r.ID, Rule: r.Rule, Attempt: r.Attempt}
}

func (r *runState) note(h graph.Hop) {
	h.At = time.Now()
	r.hops = append(r.hops, h)
}

// NewRuns gives the runs of a store.
func NewRuns(s *Store) *Runs {
	r := &Runs{
		store:   s,
		cursors: map[graph.GraphKey]graph.RunCursor{},
		runs:    map[runKey]*runState{},
		order:   map[lane][]*runState{},
		faults:  map[graph.GraphKey][]fault{},
		pauses:  map[ruleKey]graph.RulePause{},
	}
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fence = r.holds
	s.matched = func(g graph.GraphKey) graph.Version {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.cursors[g].Version
	}
	s.skip = func(g graph.GraphKey, head graph.Head) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.cursors[g] = graph.RunCursor{Epoch: head.Epoch, Version: head.Version}
	}
	return r
}

// holds judges a fence; the caller holds Store.mu.
func (r *Runs) holds(g graph.GraphKey, f graph.Fence) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held(g, f.Run, f.Attempt) != nil
}

// held gives the run if that attempt is under way; the caller holds mu.
func (r *Runs) held(g graph.GraphKey, id string, attempt int) *runState {
	run := r.runs[runKey{g, id}]
	if run == nil || run.State != graph.RunRunning || run.Attempt != attempt {
		return nil
	}
	return run
}

// Behind gives graphs whose log is ahead of their cursor.
func (r *Runs) Behind(ctx context.Context, node string, limit int) ([]graph.RunBacklog, error) {
	infos, err := r.store.Graphs(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []graph.RunBacklog
	for _, in := range infos {
		c := r.cursors[in.Key]
		if in.Head.Version <= c.Version || !mayMove(c, node, time.Now()) {
			continue
		}
		if out = append(out, graph.RunBacklog{Graph: in.Key, Name: in.Name, Head: in.Head.Version, Cursor: c.Version}); len(out) == limit {
			break
		}
	}
	return out, nil
}

func mayMove(c graph.RunCursor, node string, now time.Time) bool {
	return c.Holder == "" || c.Holder == node || !c.Until.After(now)
}

// Cursor gives a graph's cursor.
func (r *Runs) Cursor(_ context.Context, g graph.GraphKey) (graph.RunCursor, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cursors[g], nil
}

// Dispatch moves the cursor and makes the runs.
func (r *Runs) Dispatch(_ context.Context, d *graph.Dispatch) (graph.Dispatched, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	c := r.cursors[d.Graph]
	if c.Version != d.From || !mayMove(c, d.Node, now) {
		return graph.Dispatched{Cursor: c}, nil
	}
	c = graph.RunCursor{Epoch: d.Epoch, Version: d.To, Holder: d.Node, Until: now.Add(d.Lease)}
	r.cursors[d.Graph] = c
	out := graph.Dispatched{Moved: true, Cursor: c}
	_, out.Ready = r.add(d.Graph, d.Node, d.Runs)
	for _, f := range d.Faults {
		r.faults[d.Graph] = append(r.faults[d.Graph], fault{f, now})
	}
	out.Began(r.claimAll(graph.RunClaims{Graph: d.Graph, Node: d.Node, Lease: d.Lease, Runs: d.Claims}))
	return out, nil
}

// add makes those of the runs that are not there; the caller holds mu.
func (r *Runs) add(g graph.GraphKey, node string, runs []*graph.Run) (made int, ready []graph.RunRef) {
	now := time.Now()
	for _, in := range runs {
		key := runKey{g, in.ID}
		if r.runs[key] != nil {
			continue
		}
		made++
		run := &runState{Run: *in}
		run.Graph, run.CreatedAt, run.WakeAt, run.RetriesLeft = g, now, time.Time{}, in.Retries
		r.runs[key] = run
		run.note(graph.Hop{Hop: graph.HopMatched, Node: node})
		ln := run.lane()
		if run.State.Final() {
			run.EndedAt = now
			run.note(graph.Hop{Hop: graph.HopStopped, Node: node, Error: run.Error})
		} else if first := r.firstOpen(ln); first == nil || first.Version >= run.Version {
			run.WakeAt = now
			ready = append(ready, run.ref())
		}
		// A replay may be older than what is there.
		at := len(r.order[ln])
		for at > 0 && r.order[ln][at-1].Version > run.Version {
			at--
		}
		r.order[ln] = slices.Insert(r.order[ln], at, run)
	}
	return made, ready
}

// firstOpen gives the earliest run of a lane that has not ended; the caller
// holds mu.
func (r *Runs) firstOpen(ln lane) *runState {
	for _, run := range r.order[ln] {
		if !run.State.Final() {
			return run
		}
	}
	return nil
}

// Release lets another node move the cursor.
func (r *Runs) Release(_ context.Context, g graph.GraphKey, node string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.cursors[g]; c.Holder == node {
		c.Holder, c.Until = "", time.Now()
		r.cursors[g] = c
	}
	return nil
}

// Claim starts attempts.
func (r *Runs) Claim(_ context.Context, c graph.RunClaims) ([]*graph.Run, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.claimAll(c), nil
}

// claimAll starts attempts; the caller holds mu.
func (r *Runs) claimAll(c graph.RunClaims) (out []*graph.Run) {
	for _, asked := range c.Runs {
		if run := r.claim(c, asked); run != nil {
			out = append(out, run)
		}
	}
	return out
}

// claim starts the next attempt of a run; the caller holds mu.
func (r *Runs) claim(c graph.RunClaims, asked graph.RunClaim) *graph.Run {
	now := time.Now()
	run := r.runs[runKey{c.Graph, asked.Run}]
	if run == nil || run.WakeAt.IsZero() || run.WakeAt.After(now) || !r.mayBegin(run, now) {
		return nil
	}
	if run.Open && run.Kind == graph.RunRule {
		return run.copy()
	}
	if run.State == graph.RunRunning {
		run.note(graph.Hop{Hop: graph.HopFailed, Attempt: run.Attempt, Node: run.Node, Error: graph.LostAttempt(run.Open)})
		run.RetriesLeft--
	}
	run.State, run.Open, run.Node, run.TokenHash = graph.RunRunning, false, c.Node, asked.TokenHash
	run.Attempt++
	if run.StartedAt.IsZero() {
		run.StartedAt = now
	}
	run.WakeAt = now.Add(c.Lease)
	if run.Kind == graph.RunRule || run.Deadline.IsZero() {
		run.Deadline = now.Add(run.Timeout)
	}
	run.note(graph.Hop{Hop: graph.HopStarted, Attempt: run.Attempt, Node: c.Node})
	return run.copy()
}

// mayBegin reports whether a run that is due may start: no earlier one of its
// lane is open, no other one is under way, and its rule is not paused. The
// caller holds mu.
func (r *Runs) mayBegin(run *runState, now time.Time) bool {
	for _, o := range r.order[run.lane()] {
		if o != run && !o.State.Final() && (o.Version < run.Version || o.State == graph.RunRunning && o.WakeAt.After(now)) {
			return false
		}
	}
	return !r.waits(run)
}

// Extend prolongs leases.
func (r *Runs) Extend(_ context.Context, lease time.Duration, held []graph.RunRef) ([]graph.RunRef, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []graph.RunRef
	for _, h := range held {
		if run := r.held(h.Graph, h.Run, h.Attempt); run != nil && !run.Open {
			run.WakeAt = time.Now().Add(lease)
			out = append(out, h)
		}
	}
	return out, nil
}

// Park leaves an attempt open for reports.
func (r *Runs) Park(_ context.Context, g graph.GraphKey, id string, attempt int, hops []graph.Hop) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.held(g, id, attempt)
	if run == nil {
		return false, nil
	}
	run.Open, run.WakeAt = true, run.Deadline
	run.giveUp()
	for _, h := range hops {
		h.Attempt = run.Attempt
		run.note(h)
	}
	return true, nil
}

// Finish ends attempts.
func (r *Runs) Finish(_ context.Context, g graph.GraphKey, ends []graph.RunEnd) ([]bool, []graph.RunRef, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ended := make([]bool, len(ends))
	var next []graph.RunRef
	for i, e := range ends {
		var ready []graph.RunRef
		ended[i], ready = r.finish(g, e)
		next = append(next, ready...)
	}
	return ended, next, nil
}

// finish ends an attempt; the caller holds mu.
func (r *Runs) finish(g graph.GraphKey, e graph.RunEnd) (bool, []graph.RunRef) {
	run := r.held(g, e.Run, e.Attempt)
	if run == nil {
		return false, nil
	}
	for _, h := range e.Hops {
		h.Attempt = run.Attempt
		run.note(h)
	}
	run.State, run.Error, run.Open, run.TokenHash = e.State, e.Error, false, nil
	if e.State == graph.RunRetrying {
		run.WakeAt = time.Now().Add(e.Delay)
		if !e.Refund {
			run.RetriesLeft--
		}
		return true, nil
	}
	return true, r.end(run)
}

// end makes a run final and wakes the next of its lane; the caller holds mu.
func (r *Runs) end(run *runState) []graph.RunRef {
	now := time.Now()
	run.WakeAt, run.EndedAt = time.Time{}, now
	next := r.firstOpen(run.lane())
	if next == nil || next.State != graph.RunPending {
		return nil
	}
	next.WakeAt = now
	return []graph.RunRef{next.ref()}
}

// Note adds a hop to each of the runs.
func (r *Runs) Note(_ context.Context, g graph.GraphKey, ids []string, hop graph.Hop) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		if run := r.runs[runKey{g, id}]; run != nil {
			run.note(hop)
		}
	}
	return nil
}

// Cancel ends a run that is not final.
func (r *Runs) Cancel(_ context.Context, g graph.GraphKey, id string) (bool, []graph.RunRef, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.runs[runKey{g, id}]
	if run == nil || run.State.Final() {
		return false, nil, nil
	}
	run.State, run.Open, run.TokenHash = graph.RunCancelled, false, nil
	run.note(graph.Hop{Hop: graph.HopCancelled, Attempt: run.Attempt})
	return true, r.end(run), nil
}

// Retry makes an unsuccessful run due again.
func (r *Runs) Retry(_ context.Context, g graph.GraphKey, id string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.runs[runKey{g, id}]
	return run != nil && r.again(run), nil
}

// again makes a run due that ended without success; the caller holds mu.
func (r *Runs) again(run *runState) bool {
	if !run.State.Final() || run.State == graph.RunSucceeded {
		return false
	}
	run.State, run.RetriesLeft, run.WakeAt = graph.RunRetrying, run.Retries, time.Now()
	run.Deadline, run.EndedAt, run.Error = time.Time{}, time.Time{}, nil
	run.note(graph.Hop{Hop: graph.HopRetried, Attempt: run.Attempt})
	return true
}

// Overdue gives runs that somebody should have looked at.
func (r *Runs) Overdue(_ context.Context, grace time.Duration, limit, perRule int) ([]graph.RunRef, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := time.Now().Add(-grace)
	var due []*runState
	for _, run := range r.runs {
		if !run.WakeAt.IsZero() && !run.WakeAt.After(before) && !r.waits(run) {
			due = append(due, run)
		}
	}
	slices.SortFunc(due, func(a, b *runState) int { return a.WakeAt.Compare(b.WakeAt) })
	// The first of each rule, then the second of each, and so on.
	rank := map[*runState]int{}
	count := map[ruleKey]int{}
	for _, run := range due {
		k := ruleKey{run.Graph, run.Rule}
		rank[run] = count[k]
		count[k]++
	}
	slices.SortStableFunc(due, func(a, b *runState) int { return rank[a] - rank[b] })
	var out []graph.RunRef
	for _, run := range due {
		if rank[run] >= perRule || len(out) == limit {
			break
		}
		out = append(out, run.ref())
	}
	return out, nil
}

// Run gives one run with its hops.
func (r *Runs) Run(_ context.Context, g graph.GraphKey, id string) (*graph.Run, []graph.Hop, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.runs[runKey{g, id}]
	if run == nil {
		return nil, nil, graph.NotFound("run")
	}
	return run.copy(), slices.Clone(run.hops), nil
}

func (r *runState) copy() *graph.Run {
	c := r.Run
	return &c
}

// Runs gives those of the ids that exist.
func (r *Runs) Runs(_ context.Context, g graph.GraphKey, ids []string) (map[string]*graph.Run, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]*graph.Run{}
	for _, id := range ids {
		if run := r.runs[runKey{g, id}]; run != nil {
			out[id] = run.copy()
		}
	}
	return out, nil
}

// ListRuns gives runs, newest first.
func (r *Runs) ListRuns(_ context.Context, g graph.GraphKey, f graph.RunFilter) ([]*graph.Run, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var from *runState
	if f.Before != "" {
		if from = r.runs[runKey{g, f.Before}]; from == nil {
			return nil, graph.NotFound("run")
		}
	}
	var out []*graph.Run
	for _, run := range r.runs {
		if run.Graph == g && matches(run, f) && (from == nil || newest(&run.Run, &from.Run) > 0) {
			out = append(out, run.copy())
		}
	}
	slices.SortFunc(out, newest)
	if f.Limit > 0 && len(out) > f.Limit {
		out = out[:f.Limit]
	}
	return out, nil
}

func matches(r *runState, f graph.RunFilter) bool {
	return (f.State == "" || r.State == f.State) && (f.Rule == "" || r.Rule == f.Rule) &&
		(f.Entity == nil || r.Entity == *f.Entity) && (f.About == nil || r.Entity.ID == *f.About)
}

// newest orders runs by version, the last first, then by id.
func newest(a, b *graph.Run) int {
	if a.Version != b.Version {
		return int(b.Version - a.Version)
	}
	return strings.Compare(b.ID, a.ID)
}

// Fired gives the runs and the faults of a commit.
func (r *Runs) Fired(_ context.Context, g graph.GraphKey, v graph.Version) ([]*graph.Run, []graph.RuleFault, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var runs []*graph.Run
	for _, run := range r.runs {
		if run.Graph == g && run.Version == v {
			runs = append(runs, run.copy())
		}
	}
	slices.SortFunc(runs, func(a, b *graph.Run) int { return strings.Compare(a.Rule+a.ID, b.Rule+b.ID) })
	var faults []graph.RuleFault
	for _, f := range r.faults[g] {
		if f.Version == v {
			faults = append(faults, f.RuleFault)
		}
	}
	return runs, faults, nil
}

// Made gives the versions of the commits that runs caused.
func (r *Runs) Made(_ context.Context, g graph.GraphKey, ids []string) (map[string][]graph.Version, error) {
	r.store.mu.RLock()
	defer r.store.mu.RUnlock()
	st, err := r.store.graphOf(g)
	if err != nil {
		return nil, err
	}
	out := map[string][]graph.Version{}
	for _, c := range st.log {
		if c.Cause.Run != "" && slices.Contains(ids, c.Cause.Run) {
			out[c.Cause.Run] = append(out[c.Cause.Run], c.Version)
		}
	}
	return out, nil
}

// Stats counts.
func (r *Runs) Stats(ctx context.Context) (graph.RunStats, error) {
	infos, err := r.store.Graphs(ctx)
	if err != nil {
		return graph.RunStats{}, err
	}
	st := graph.RunStats{ByState: map[graph.RunState]int64{}, ByRule: map[string]int64{}}
	now := time.Now()
	for _, in := range infos {
		c, err := r.Cursor(ctx, in.Key)
		if err != nil {
			return graph.RunStats{}, err
		}
		st.Behind += int64(max(0, in.Head.Version-c.Version))
		if log, err := r.store.Log(ctx, in.Key, c.Version, 1); err == nil && len(log) > 0 {
			st.BehindFor = max(st.BehindFor, now.Sub(log[0].At))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for run := range maps.Values(r.runs) {
		if !run.State.Final() || run.State == graph.RunDead {
			st.ByState[run.State]++
		}
		if !run.WakeAt.IsZero() {
			st.ByRule[run.Rule]++
		}
		if (run.State == graph.RunPending || run.State == graph.RunRetrying) && !run.WakeAt.IsZero() && !r.waits(run) {
			st.Oldest = max(st.Oldest, now.Sub(run.WakeAt))
		}
	}
	return st, nil
}
