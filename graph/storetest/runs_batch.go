package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
)

// claims asks for attempts of several runs; each token is the run's id.
func (w *runWorld) claims(node string, runs ...*graph.Run) map[string]*graph.Run {
	w.t.Helper()
	c := graph.RunClaims{Graph: w.Info.Key, Node: node, Lease: lease}
	for _, r := range runs {
		c.Runs = append(c.Runs, graph.RunClaim{Run: r.ID, TokenHash: []byte(r.ID)})
	}
	got, err := w.runs.Claim(w.t.Context(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]*graph.Run{}
	for _, r := range got {
		out[r.ID] = r
	}
	return out
}

// Each of many claims is judged as if it came alone, and gets its own token.
func manyBeginInOneClaim(w *runWorld) {
	a, b, c := NewObjectID(), NewObjectID(), NewObjectID()
	first, second, other := w.newRun("r", a, 1), w.newRun("r", a, 2), w.newRun("r", b, 2)
	paused, stopped := w.newRun("p", c, 3), w.newRun("r", c, 3)
	stopped.State, stopped.Error = graph.RunStopped, &graph.RunError{Code: "loop"}
	w.dispatch(3, first, second, other, paused, stopped)
	if err := w.runs.Pause(w.t.Context(), w.Info.Key, "p", "ann"); err != nil {
		w.t.Fatal(err)
	}
	absent := w.newRun("r", c, 3)
	got := w.claims("n2", second, stopped, other, absent, first, paused)
	if len(got) != 2 || got[first.ID] == nil || got[other.ID] == nil {
		w.t.Fatalf("begun: %v", got)
	}
	for _, r := range got {
		if string(r.TokenHash) != r.ID || r.Attempt != 1 || r.Node != "n2" || r.State != graph.RunRunning {
			w.t.Errorf("began as %+v", r)
		}
		w.wantHops(r, graph.HopMatched, graph.HopStarted)
	}
	// Two of one lane that are both due: replays may be of the same version.
	x, y := w.newRun("r", NewObjectID(), 3), (*graph.Run)(nil)
	y = w.newRun("r", graph.ObjectID(x.Entity.ID), 3)
	for _, r := range []*graph.Run{x, y} {
		r.Replay = uuid.NewString()
		if _, _, err := w.runs.Make(w.t.Context(), w.Info.Key, "n1", []*graph.Run{r}); err != nil {
			w.t.Fatal(err)
		}
	}
	if got := w.claims("n1", x, y); len(got) != 1 {
		w.t.Fatalf("%d of one lane began together", len(got))
	}
}

// A dispatch begins what it is asked to of what it makes, as a claim would.
func dispatchBegins(w *runWorld) {
	a, b := NewObjectID(), NewObjectID()
	first, second, other, left := w.newRun("r", a, 1), w.newRun("r", a, 2), w.newRun("r", b, 2), w.newRun("s", b, 2)
	paused := w.newRun("p", b, 2)
	if err := w.runs.Pause(w.t.Context(), w.Info.Key, "p", "ann"); err != nil {
		w.t.Fatal(err)
	}
	d := &graph.Dispatch{
		Graph: w.Info.Key, Node: "n1", Lease: lease, From: w.at, To: 2, Epoch: w.Head.Epoch,
		Runs: []*graph.Run{first, second, other, left, paused},
	}
	for _, r := range []*graph.Run{first, second, other, paused} {
		d.Claims = append(d.Claims, graph.RunClaim{Run: r.ID, TokenHash: []byte(r.ID)})
	}
	got, err := w.runs.Dispatch(w.t.Context(), d)
	if err != nil || !got.Moved || len(got.Begun) != 2 {
		w.t.Fatalf("%+v, %v", got, err)
	}
	for _, r := range got.Begun {
		if r.ID != first.ID && r.ID != other.ID || string(r.TokenHash) != r.ID || r.Attempt != 1 || r.Node != "n1" || r.State != graph.RunRunning {
			w.t.Errorf("began as %+v", r)
		}
		w.wantHops(r, graph.HopMatched, graph.HopStarted)
	}
	ready := map[string]bool{}
	for _, ref := range got.Ready {
		ready[ref.Run] = true
	}
	if len(got.Ready) != 2 || !ready[left.ID] || !ready[paused.ID] {
		w.t.Errorf("ready besides: %+v", got.Ready)
	}
	// One that comes too late begins nothing anew.
	if late, err := w.runs.Dispatch(w.t.Context(), d); err != nil || late.Moved || len(late.Begun) != 0 {
		w.t.Errorf("once more: %+v, %v", late, err)
	}
	if next := w.end(first, 1, graph.RunSucceeded, 0); len(next) != 1 || next[0].Run != second.ID {
		w.t.Errorf("behind the first: %+v", next)
	}
}

// Each of many ends is judged as if it came alone, and wakes the next of its
// lane.
func manyEndTogether(w *runWorld) {
	var first, second []*graph.Run
	for i := range 4 {
		entity := NewObjectID()
		first = append(first, w.newRun("r", entity, graph.Version(2*i+1)))
		second = append(second, w.newRun("r", entity, graph.Version(2*i+2)))
	}
	w.dispatch(8, slices.Concat(first, second)...)
	w.claims("n1", first...)
	hops := func(kind graph.HopKind) []graph.Hop {
		return []graph.Hop{{Hop: graph.HopAnswered, Answer: []byte(`{"a":1}`)}, {Hop: kind, Node: "n1"}}
	}
	ends := []graph.RunEnd{
		{Run: first[3].ID, Attempt: 1, State: graph.RunSucceeded, Hops: hops(graph.HopSucceeded)},
		{Run: first[2].ID, Attempt: 2, State: graph.RunSucceeded, Hops: hops(graph.HopSucceeded)}, // of nobody
		{Run: first[1].ID, Attempt: 1, State: graph.RunRetrying, Delay: time.Hour, Error: &graph.RunError{Code: "c", Message: "m"}, Hops: []graph.Hop{{Hop: graph.HopFailed}}},
		{Run: first[0].ID, Attempt: 1, State: graph.RunDead, Hops: hops(graph.HopDead)},
		{Run: first[0].ID, Attempt: 1, State: graph.RunSucceeded, Hops: hops(graph.HopSucceeded)}, // ended by the one before
		{Run: uuid.NewString(), Attempt: 1, State: graph.RunSucceeded},
	}
	ended, next, err := w.runs.Finish(w.t.Context(), w.Info.Key, ends)
	if err != nil || fmt.Sprint(ended) != "[true false true true false false]" {
		w.t.Fatalf("ended %v, %v", ended, err)
	}
	got, want := ids(next), []string{second[0].ID, second[3].ID}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Errorf("may start: %v, want %v", got, want)
	}
	w.wantHops(first[3], graph.HopMatched, graph.HopStarted, graph.HopAnswered, graph.HopSucceeded)
	w.wantHops(first[0], graph.HopMatched, graph.HopStarted, graph.HopAnswered, graph.HopDead)
	w.wantHops(first[2], graph.HopMatched, graph.HopStarted)
	r, _ := w.get(first[1])
	if r.State != graph.RunRetrying || r.RetriesLeft != 1 || r.Error.Code != "c" || time.Until(r.WakeAt) < 50*time.Minute || !r.EndedAt.IsZero() {
		w.t.Errorf("the one to retry is %+v", r)
	}
	if r, _ := w.get(first[0]); r.State != graph.RunDead || r.EndedAt.IsZero() || len(r.TokenHash) > 0 {
		w.t.Errorf("the dead one is %+v", r)
	}
	if got := w.claims("n1", second...); len(got) != 2 {
		w.t.Errorf("%d of the next began", len(got))
	}
}

// Many nodes that claim and end the same runs in batches of any mixture, while
// more are made, do each once and in the order of its lane, and do not wait for
// each other for ever.
func crowdsOfClaimsAndEndsAgree(w *runWorld) {
	const lanes, each, nodes = 12, 8, 4
	entities := make([]graph.ObjectID, lanes)
	for i := range entities {
		entities[i] = NewObjectID()
	}
	var mu sync.Mutex
	var all []*graph.Run
	begun, done := map[string]int{}, map[graph.Ref][]graph.Version{}
	made := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(made)
		for v := graph.Version(1); v <= each; v++ {
			var runs []*graph.Run
			for _, e := range entities {
				runs = append(runs, w.newRun("r", e, v))
			}
			w.dispatch(v, runs...)
			mu.Lock()
			all = append(all, runs...)
			mu.Unlock()
		}
	})
	for n := range nodes {
		wg.Go(func() {
			node := fmt.Sprint("n", n)
			for end := time.Now().Add(time.Minute); time.Now().Before(end); {
				mu.Lock()
				asked := slices.Clone(all)
				finished := len(begun) == lanes*each
				mu.Unlock()
				if finished {
					return
				}
				if n%2 == 1 {
					slices.Reverse(asked)
				}
				var ends []graph.RunEnd
				for _, r := range w.claims(node, asked...) {
					mu.Lock()
					begun[r.ID]++
					done[r.Entity] = append(done[r.Entity], r.Version)
					mu.Unlock()
					ends = append(ends, graph.RunEnd{Run: r.ID, Attempt: r.Attempt, State: graph.RunSucceeded})
				}
				if len(ends) == 0 {
					continue
				}
				ended, _, err := w.runs.Finish(w.t.Context(), w.Info.Key, ends)
				if err != nil || slices.Contains(ended, false) {
					w.t.Errorf("ended %v, %v", ended, err)
					return
				}
			}
			w.t.Error("it takes too long")
		})
	}
	wg.Wait()
	<-made
	var wrong []string
	for _, r := range all {
		if begun[r.ID] != 1 {
			wrong = append(wrong, fmt.Sprintf("%s began %d times", r.ID, begun[r.ID]))
		}
	}
	for e, versions := range done {
		if !slices.IsSorted(versions) {
			wrong = append(wrong, fmt.Sprintf("%s went in the order %v", e.IDString(), versions))
		}
	}
	if len(wrong) > 0 {
		w.t.Fatal(strings.Join(wrong, "\n"))
	}
}

// A node that ends lets another one go on at once.
func aReleasedCursorIsFree(w *runWorld) {
	w.Commit(func(d *Draft) { d.Create(`{}`) })
	w.Commit(func(d *Draft) { d.Create(`{}`) })
	w.dispatch(1)
	move := func(node string) bool {
		got, err := w.runs.Dispatch(w.t.Context(), &graph.Dispatch{Graph: w.Info.Key, Node: node, Lease: lease, From: w.at, To: 2, Epoch: w.Head.Epoch})
		if err != nil {
			w.t.Fatal(err)
		}
		return got.Moved
	}
	behind := func(node string) bool {
		list, err := w.runs.Behind(w.t.Context(), node, 100000)
		if err != nil {
			w.t.Fatal(err)
		}
		// Other tests' graphs are in the list as well.
		return slices.ContainsFunc(list, func(b graph.RunBacklog) bool { return b.Graph == w.Info.Key })
	}
	release := func(node string) {
		if err := w.runs.Release(w.t.Context(), w.Info.Key, node); err != nil {
			w.t.Fatal(err)
		}
	}
	if behind("n2") || move("n2") {
		w.t.Fatal("the cursor of n1 was free")
	}
	release("n2") // which does not hold it
	if behind("n2") || move("n2") {
		w.t.Fatal("n2 freed the cursor of n1")
	}
	release("n1")
	if !behind("n2") || !move("n2") {
		w.t.Fatal("the cursor is not free")
	}
}
