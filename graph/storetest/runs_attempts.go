package storetest

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// The tests of this file follow runs from their claim to their end.

func oneClaimWins(w *runWorld) {
	run := w.newRun("r", NewObjectID(), 1)
	w.dispatch(1, run)
	var mu sync.Mutex
	won := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			got, err := claim(w, run, "n", lease)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				w.t.Error(err)
			}
			if got != nil {
				won++
			}
		})
	}
	wg.Wait()
	if won != 1 {
		w.t.Fatalf("%d claims won", won)
	}
	if got, _ := w.get(run); got.Attempt != 1 || got.Node != "n" || got.Deadline.Before(time.Now().Add(50*time.Minute)) {
		w.t.Fatalf("the run is %+v", got)
	}
	if w.claim(w.newRun("r", NewObjectID(), 1), lease) != nil {
		w.t.Fatal("a run that does not exist was claimed")
	}
}

func runsOfALaneGoOneAfterTheOther(w *runWorld) {
	x, y := NewObjectID(), NewObjectID()
	first, second, third := w.newRun("r", x, 1), w.newRun("r", x, 2), w.newRun("r", x, 3)
	beside, other := w.newRun("r", y, 3), w.newRun("q", x, 3)
	if got := w.dispatch(2, first, second); !slices.Equal(ids(got.Ready), []string{first.ID}) {
		w.t.Fatalf("ready are %v", got.Ready)
	}
	got := ids(w.dispatch(3, third, beside, other).Ready)
	slices.Sort(got)
	want := []string{beside.ID, other.ID}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Fatalf("ready are %v, want %v", got, want)
	}
	a := w.mustClaim(first, lease)
	if w.claim(second, lease) != nil {
		w.t.Fatal("the second run began beside the first")
	}
	if next := w.end(first, a.Attempt, graph.RunRetrying, time.Hour); len(next) > 0 || w.claim(second, lease) != nil {
		w.t.Fatalf("the second run began before the first was tried again: %v", next)
	}
	if ok, next, err := w.runs.Cancel(w.t.Context(), w.Info.Key, first.ID); err != nil || !ok || !slices.Equal(ids(next), []string{second.ID}) {
		w.t.Fatalf("cancel gave %v, %v, %v", ok, next, err)
	}
	b := w.mustClaim(second, lease)
	if next := w.end(second, b.Attempt, graph.RunDead, 0); !slices.Equal(ids(next), []string{third.ID}) {
		w.t.Fatalf("after a dead run comes %v", next)
	}
	c := w.mustClaim(third, lease)
	if next := w.end(third, c.Attempt, graph.RunSucceeded, 0); len(next) > 0 {
		w.t.Fatalf("after the last run comes %v", next)
	}
}

// noRunOfALaneIsForgotten ends and makes runs of one lane at the same time:
// every one is woken, by the one that made it or by the end of the one before.
func noRunOfALaneIsForgotten(w *runWorld) {
	const n = 60
	x := NewObjectID()
	due := make(chan graph.RunRef, 2*n)
	var wg sync.WaitGroup
	wg.Go(func() {
		for v := graph.Version(1); v <= n; v++ {
			got, err := w.runs.Dispatch(w.t.Context(), &graph.Dispatch{Graph: w.Info.Key, Node: "n1", Lease: lease, From: v - 1, To: v, Runs: []*graph.Run{w.newRun("r", x, v)}})
			if err != nil {
				w.t.Error(err)
				return
			}
			for _, r := range got.Ready {
				due <- r
			}
		}
	})
	timeout := time.After(time.Minute)
	for done := 0; done < n; done++ {
		var ref graph.RunRef
		select {
		case ref = <-due:
		case <-timeout:
			w.t.Fatalf("only %d of %d runs were woken", done, n)
		}
		a := w.mustClaim(&graph.Run{ID: ref.Run, Rule: ref.Rule}, lease)
		if a.Version != graph.Version(done+1) {
			w.t.Fatalf("run %d is of version %d", done+1, a.Version)
		}
		for _, r := range w.end(a, a.Attempt, graph.RunSucceeded, 0) {
			due <- r
		}
	}
	wg.Wait()
}

func lostLeaseIsTakenOver(w *runWorld) {
	run := w.newRun("r", NewObjectID(), 1)
	w.dispatch(1, run)
	for attempt, left := 1, 2; attempt <= 4; attempt, left = attempt+1, left-1 {
		got := w.mustClaim(run, 0)
		if got.Attempt != attempt || got.RetriesLeft != left {
			w.t.Fatalf("attempt %d with %d retries left, want %d with %d", got.Attempt, got.RetriesLeft, attempt, left)
		}
	}
	_, hops := w.get(run)
	if hops[2].Hop != graph.HopFailed || hops[2].Attempt != 1 || hops[2].Error == nil || hops[2].Error.Code != "lease-lost" {
		w.t.Fatalf("hops %+v", hops)
	}
}

func extendedLeaseIsKept(w *runWorld) {
	held, lost, parked := w.newRun("r", NewObjectID(), 1), w.newRun("r", NewObjectID(), 1), w.newRun("r", NewObjectID(), 1)
	w.dispatch(1, held, lost, parked)
	h, l, p := w.mustClaim(held, 0), w.mustClaim(lost, 0), w.mustClaim(parked, lease)
	w.mustClaim(lost, lease) // taken over
	if ok, err := w.runs.Park(w.t.Context(), w.Info.Key, p.ID, p.Attempt, nil); err != nil || !ok {
		w.t.Fatal(ok, err)
	}
	refs := []graph.RunRef{}
	for _, r := range []*graph.Run{h, l, p} {
		refs = append(refs, graph.RunRef{Graph: w.Info.Key, Run: r.ID, Rule: r.Rule, Attempt: r.Attempt})
	}
	alive, err := w.runs.Extend(w.t.Context(), lease, refs)
	if err != nil || len(alive) != 1 || alive[0] != refs[0] {
		w.t.Fatalf("still held are %v, %v", alive, err)
	}
	if w.claim(held, lease) != nil {
		w.t.Fatal("an extended attempt was taken over")
	}
}

func retryComesAfterItsDelay(w *runWorld) {
	run := w.newRun("r", NewObjectID(), 1)
	w.dispatch(1, run)
	a := w.mustClaim(run, lease)
	w.end(run, a.Attempt, graph.RunRetrying, time.Hour)
	if got, _ := w.get(run); got.State != graph.RunRetrying || got.RetriesLeft != 1 || got.WakeAt.Before(time.Now().Add(50*time.Minute)) {
		w.t.Fatalf("the run is %+v", got)
	}
	if w.claim(run, lease) != nil {
		w.t.Fatal("the retry came too early")
	}
	other := w.newRun("r", NewObjectID(), 2)
	w.dispatch(2, other)
	b := w.mustClaim(other, lease)
	ok, _, err := w.finish(graph.RunEnd{Run: other.ID, Attempt: b.Attempt, State: graph.RunRetrying, Refund: true})
	if err != nil || !ok {
		w.t.Fatal(ok, err)
	}
	if got := w.mustClaim(other, lease); got.Attempt != 2 || got.RetriesLeft != 2 {
		w.t.Fatalf("after a refund the run is %+v", got)
	}
}

func parkedRunWaitsForItsDeadline(w *runWorld) {
	run := w.newRun("r", NewObjectID(), 1)
	run.Timeout = 300 * time.Millisecond
	w.dispatch(1, run)
	a := w.mustClaim(run, 0)
	ok, err := w.runs.Park(w.t.Context(), w.Info.Key, run.ID, a.Attempt, []graph.Hop{{Hop: graph.HopAnswered, Answer: json.RawMessage(`"ok"`)}})
	if err != nil || !ok {
		w.t.Fatal(ok, err)
	}
	if got, _ := w.get(run); !got.Open || got.State != graph.RunRunning || !got.WakeAt.Equal(got.Deadline) {
		w.t.Fatalf("the run is %+v", got)
	}
	// A rule's comes back as it is, for a pause is due before the next attempt.
	b := w.mustClaim(run, lease)
	if !b.Open || b.Attempt != 1 || b.State != graph.RunRunning {
		w.t.Fatalf("claimed as %+v", b)
	}
	if _, hops := w.get(run); len(hops) != 3 {
		w.t.Fatalf("hops %+v", hops)
	}
	w.end(run, b.Attempt, graph.RunRetrying, 0)
	if c := w.mustClaim(run, lease); c.Open || c.Attempt != 2 {
		w.t.Fatalf("the next attempt is %+v", c)
	}
	if ok, err := w.runs.Park(w.t.Context(), w.Info.Key, run.ID, a.Attempt, nil); err != nil || ok {
		w.t.Fatalf("an old attempt was parked: %v", err)
	}

	// An operation's is taken over: its deadline is that of all attempts.
	op := w.newRun("o", NewObjectID(), 2)
	op.Kind, op.Timeout = graph.RunOperation, 300*time.Millisecond
	w.dispatch(2, op)
	a = w.mustClaim(op, 0)
	if ok, err := w.runs.Park(w.t.Context(), w.Info.Key, op.ID, a.Attempt, nil); err != nil || !ok {
		w.t.Fatal(ok, err)
	}
	if b := w.mustClaim(op, lease); b.Open || b.Attempt != 2 {
		w.t.Fatalf("taken over as %+v", b)
	}
	_, hops := w.get(op)
	if h := hops[2]; h.Hop != graph.HopFailed || h.Error == nil || h.Error.Code != "timed-out" {
		w.t.Fatalf("hops %+v", hops)
	}
}

func onlyTheHolderEndsAnAttempt(w *runWorld) {
	run := w.newRun("r", NewObjectID(), 1)
	w.dispatch(1, run)
	old := w.mustClaim(run, 0)
	now := w.mustClaim(run, lease)
	e := graph.RunEnd{Run: run.ID, Attempt: old.Attempt, State: graph.RunSucceeded, Hops: []graph.Hop{{Hop: graph.HopSucceeded}}}
	if ok, _, err := w.finish(e); err != nil || ok {
		w.t.Fatalf("an old attempt ended the run: %v", err)
	}
	e.Attempt = now.Attempt
	e.Error = &graph.RunError{Code: "x", Message: "y"}
	e.Hops = []graph.Hop{{Hop: graph.HopAnswered, Node: "n1", Request: json.RawMessage(`{"a": 1}`), Answer: json.RawMessage(`[2]`)}, {Hop: graph.HopCommitted, Version: 9}, {Hop: graph.HopSucceeded}}
	if ok, _, err := w.finish(e); err != nil || !ok {
		w.t.Fatal(ok, err)
	}
	if ok, _, err := w.finish(e); err != nil || ok {
		w.t.Fatalf("a run ended twice: %v", err)
	}
	got, hops := w.get(run)
	if got.State != graph.RunSucceeded || got.EndedAt.IsZero() || !got.WakeAt.IsZero() || got.TokenHash != nil || got.Error == nil || got.Error.Code != "x" {
		w.t.Fatalf("the run is %+v", got)
	}
	last := hops[len(hops)-3:]
	if string(last[0].Answer) != `[2]` || string(last[0].Request) == "" || last[0].Node != "n1" || last[0].Attempt != now.Attempt || last[1].Version != 9 || last[2].Hop != graph.HopSucceeded {
		w.t.Fatalf("hops %+v", last)
	}
}

func cancelEndsWhateverIsOpen(w *runWorld) {
	pending, running := w.newRun("r", NewObjectID(), 1), w.newRun("r", NewObjectID(), 1)
	w.dispatch(1, pending, running)
	a := w.mustClaim(running, lease)
	for _, run := range []*graph.Run{pending, running} {
		if ok, _, err := w.runs.Cancel(w.t.Context(), w.Info.Key, run.ID); err != nil || !ok {
			w.t.Fatal(ok, err)
		}
		if ok, _, err := w.runs.Cancel(w.t.Context(), w.Info.Key, run.ID); err != nil || ok {
			w.t.Fatalf("cancelled twice: %v", err)
		}
		if got, _ := w.get(run); got.State != graph.RunCancelled || w.claim(run, lease) != nil {
			w.t.Fatalf("the run is %+v", got)
		}
	}
	if ok, _, err := w.finish(graph.RunEnd{Run: running.ID, Attempt: a.Attempt, State: graph.RunSucceeded}); err != nil || ok {
		w.t.Fatalf("a cancelled attempt succeeded: %v", err)
	}
}

func retryByHandStartsAnew(w *runWorld) {
	run := w.newRun("r", NewObjectID(), 1)
	w.dispatch(1, run)
	if ok, err := w.runs.Retry(w.t.Context(), w.Info.Key, run.ID); err != nil || ok {
		w.t.Fatalf("a pending run was retried: %v", err)
	}
	a := w.mustClaim(run, lease)
	w.end(run, a.Attempt, graph.RunDead, 0)
	if ok, err := w.runs.Retry(w.t.Context(), w.Info.Key, run.ID); err != nil || !ok {
		w.t.Fatal(ok, err)
	}
	b := w.mustClaim(run, lease)
	if b.Attempt != 2 || b.RetriesLeft != 2 || !b.EndedAt.IsZero() {
		w.t.Fatalf("retried as %+v", b)
	}
	w.end(run, b.Attempt, graph.RunSucceeded, 0)
	if ok, err := w.runs.Retry(w.t.Context(), w.Info.Key, run.ID); err != nil || ok {
		w.t.Fatalf("a run that succeeded was retried: %v", err)
	}
}
