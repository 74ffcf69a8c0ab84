package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
)

// Suite tells how to come to the stores under test.
type Suite struct {
	// Open gives a node of data that all tests share: each has its own graph.
	// Called twice, it gives two nodes, where the store knows such.
	Open func(t testing.TB) graph.Store
	// Fresh gives data of the test's own, as a function that opens nodes of it.
	Fresh func(t testing.TB) (open func() graph.Store)
	// Runs gives the runs beside a store, which judge its fences.
	Runs func(t testing.TB, s graph.Store) graph.RunStore
}

// Run runs the suite.
func (s Suite) Run(t *testing.T) {
	for _, test := range []struct {
		name string
		fn   func(*testing.T, Suite)
	}{
		{"AppendedCommitsAreThereWhole", appendedCommitsAreThereWhole},
		{"LoneAndBatchedCommitsAreTheSame", loneAndBatchedCommitsAreTheSame},
		{"TextsComeBackAsTheyWere", textsComeBackAsTheyWere},
		{"EveryFieldOfACommitIsKept", everyFieldOfACommitIsKept},
		{"MovedHeadWritesNothing", movedHeadWritesNothing},
		{"EachObstacleIsToldAndNothingWritten", eachObstacleIsToldAndNothingWritten},
		{"AllObstaclesOfABatchAreTold", allObstaclesOfABatchAreTold},
		{"BatchSeesItsOwnEarlierCommits", batchSeesItsOwnEarlierCommits},
		{"ChangesAppendedTogether", changesAppendedTogether},
		{"EdgeMayTakeThePlaceOfOneRemoved", edgeMayTakeThePlaceOfOneRemoved},
		{"RepeatedMutationIsFound", repeatedMutationIsFound},
		{"KeysWithoutEffectStandInTheWay", keysWithoutEffectStandInTheWay},
		{"KeyIsUsedOnceByAppendOrWithoutEffect", keyIsUsedOnceByAppendOrWithoutEffect},
		{"KeyOfAnAttemptThatIsOverIsNotKept", keyOfAnAttemptThatIsOverIsNotKept},
		{"RevivedEntitiesLiveAgain", revivedEntitiesLiveAgain},
		{"OnlyDeletedEntitiesAreRevived", onlyDeletedEntitiesAreRevived},
		{"CommitsAreFoundByNameGroupAndCause", commitsAreFoundByNameGroupAndCause},
		{"FenceHoldsWhileTheAttemptRuns", fenceHoldsWhileTheAttemptRuns},
		{"MalformedBatchIsAnErrorAndWritesNothing", malformedBatchIsAnErrorAndWritesNothing},
		{"RandomHistoriesReplay", randomHistoriesReplay},
		{"NodesAppendWithoutGapOrLoss", nodesAppendWithoutGapOrLoss},
		{"TurnAppendsAtItsHead", turnAppendsAtItsHead},
		{"TurnEndsWithItsAppendOrRelease", turnEndsWithItsAppendOrRelease},
		{"TurnIsOfNoGraphThatIsGone", turnIsOfNoGraphThatIsGone},
		{"TurnMakesOthersWait", turnMakesOthersWait},
		{"SilentHolderLosesItsTurn", silentHolderLosesItsTurn},
		{"LargeCommitsWork", largeCommitsWork},
		{"CancelledCallerDoesNotCutTheCommit", cancelledCallerDoesNotCutTheCommit},
		{"GraphsComeAndGo", graphsComeAndGo},
		{"GoneGraphIsNotFound", goneGraphIsNotFound},
		{"VersionsBeyondTheHeadAreRefused", versionsBeyondTheHeadAreRefused},
		{"NewEpochKeepsTheLog", newEpochKeepsTheLog},
		{"CompactKeepsSoManyVersions", compactKeepsSoManyVersions},
		{"CompactKeepsStatesWithinAnAge", compactKeepsStatesWithinAnAge},
		{"CompactLeavesWhatIsYoungOrNotYetSeen", compactLeavesWhatIsYoungOrNotYetSeen},
		{"CompactForgetsNothingWithoutAPolicy", compactForgetsNothingWithoutAPolicy},
		{"CompactTakesLongHistoriesInSteps", compactTakesLongHistoriesInSteps},
		{"PreparedGraphIsOutOfSightUntilPublished", preparedGraphIsOutOfSightUntilPublished},
		{"GraphsThatAreNotEmptyAreNotReplaced", graphsThatAreNotEmptyAreNotReplaced},
		{"LaterPreparationTakesThePlaceOfAnEarlier", laterPreparationTakesThePlaceOfAnEarlier},
		{"GroundCarriesALogWithAFloor", groundCarriesALogWithAFloor},
		{"ThinnedHistoryReadsAndMovesWhole", thinnedHistoryReadsAndMovesWhole},
		{"PieceHasWhatWasAskedFor", pieceHasWhatWasAskedFor},
		{"BeforesAreTheStatesRightBefore", beforesAreTheStatesRightBefore},
		{"TypesOutliveTheirObjects", typesOutliveTheirObjects},
		{"TrailHasEverythingTouched", trailHasEverythingTouched},
		{"StateStopsWhereItsReaderFails", stateStopsWhereItsReaderFails},
		{"TouchedLeadsBackToTheStateBefore", touchedLeadsBackToTheStateBefore},
		{"TouchedKnowsWhatCameBack", touchedKnowsWhatCameBack},
		{"TouchedIsBounded", touchedIsBounded},
		{"TouchedIsGoneWhereHistoryIs", touchedIsGoneWhereHistoryIs},
		{"SchemaBecomesActiveForEveryGraphAtOnce", schemaBecomesActiveForEveryGraphAtOnce},
		{"RefusedSchemaChangesNothing", refusedSchemaChangesNothing},
		{"SchemaMigratesData", schemaMigratesData},
		{"NoCommitFallsBetweenCheckAndActivation", noCommitFallsBetweenCheckAndActivation},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.fn(t, s)
		})
	}
}

func (s Suite) world(t *testing.T) *World {
	t.Helper()
	return NewWorld(t, s.Open(t))
}

func appendedCommitsAreThereWhole(t *testing.T, s Suite) {
	w := s.world(t)
	w.CheckAll()
	var a, b graph.ObjectID
	var e graph.EdgeID
	w.Commit(func(d *Draft) { a = d.Create(`{"n":1}`) })
	w.CheckAll()
	w.Commit(func(d *Draft) {
		b = d.Create(`{"n":2}`)
		e = d.Link("l", a, b, `{}`)
	})
	w.Commit(func(d *Draft) { d.Set(a, `{"n":3}`); d.Share(a, `{"read":{"users":{"bob":true}}}`) })
	w.Commit(func(d *Draft) { d.SetEdge(e, `{"w":1}`) })
	w.Commit(func(d *Draft) { d.Share(b, `{"read":{"inherit":{"l":true}}}`) })
	w.CheckAll()
	w.Commit(func(d *Draft) { d.Delete(a) })
	w.CheckAll()
}

func loneAndBatchedCommitsAreTheSame(t *testing.T, s Suite) {
	w := s.world(t)
	var ids []graph.ObjectID
	for range 5 {
		w.Build(func(d *Draft) { ids = append(ids, d.Create(`{}`)) })
	}
	w.Append()
	for i := range ids {
		w.Commit(func(d *Draft) { d.Set(ids[i], fmt.Sprintf(`{"i":%d}`, i)) })
		w.Commit(func(d *Draft) { d.Link("l", ids[i], ids[0], `{}`) })
	}
	for _, e := range sortedEdges(w.Now()) {
		w.Commit(func(d *Draft) { d.SetEdge(e.ID, `{"x":0}`) })
		w.Commit(func(d *Draft) { d.Unlink(e.ID) })
	}
	for i := range ids {
		w.Build(func(d *Draft) { d.Delete(ids[i]) })
	}
	w.Append()
	w.CheckAll()
}

func textsComeBackAsTheyWere(t *testing.T, s Suite) {
	w := s.world(t)
	for _, body := range []string{
		`{"n":[1,1.0,1.10,1E2,-0,0.1,12345678901234567890,1e-300,123456789012345678901234567890.123456789]}`,
		`{"b":1,"aa":2,"a":3,"":4}`,
		`{"s":"\u00e9 é 😀 \ud83d\ude00 \\ \" \/ \b\f\n\r\t <&>"}`,
		`{"deep":[[[[[[[[[[{}]]]]]]]]]],"null":null,"t":true,"f":false}`,
		`{"~0~1/":{"a/b":"~"}}`,
	} {
		var id graph.ObjectID
		w.Commit(func(d *Draft) { id = d.Create(body) })
		w.Commit(func(d *Draft) { d.Set(id, body); d.Link("größe/~", id, id, body) })
	}
	w.CheckAll()
}

func everyFieldOfACommitIsKept(t *testing.T, s Suite) {
	w := s.world(t)
	w.Commit(func(d *Draft) {
		d.Create(`{}`)
		d.Session = uuid.NewString()
		d.Group, d.Note = uuid.NewString(), "Ünï ✓ code"
		d.Cause = graph.Cause{Kind: graph.CauseRun, Version: 1, Run: uuid.NewString()}
		d.Depth = 3
		d.Author = graph.Principal{User: "run:" + d.Cause.Run, Admin: true, Graphs: []string{}}
		d.Changes[0].ObjAfter.Meta.UpdatedBy, d.Changes[0].ObjAfter.Meta.CreatedBy = d.Author.User, d.Author.User
		d.Asked = []byte(`[ {"op" : "add"} ]`)
	})
	w.Commit(func(d *Draft) {
		d.Author = graph.Principal{Anonymous: true}
		d.Create(`{}`)
		d.Hash = make([]byte, 32)
	})
	w.Commit(func(d *Draft) {
		id := d.Create(`{}`)
		d.Asked = fmt.Appendf(nil, `[{"op":"add","path":"/objects/%s","value":{"type":"T","body":{},"access":%s}}]`, id, DefaultACL)
	})
	w.CheckAll()
}

// refused appends what was built, gives the answer, and checks that nothing was
// written.
func refused(w *World) graph.AppendResult {
	w.T.Helper()
	res, err := w.Store.Append(w.T.Context(), w.Batch())
	if err != nil {
		w.T.Fatal(err)
	}
	w.Forget()
	w.CheckAll()
	return res
}

func movedHeadWritesNothing(t *testing.T, s Suite) {
	w := s.world(t)
	w.Commit(func(d *Draft) { d.Create(`{}`) })
	for name, move := range map[string]func(*graph.Head){
		"version": func(h *graph.Head) { h.Version-- },
		"epoch":   func(h *graph.Head) { h.Epoch = "another" },
		"schema":  func(h *graph.Head) { h.SchemaVer++ },
	} {
		c := w.Build(func(d *Draft) { d.Create(`{}`) })
		b := w.Batch()
		move(&b.Expect)
		if name == "version" {
			b.Commits = []*graph.Commit{shifted(c, -1)}
		}
		res, err := w.Store.Append(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		w.Forget()
		if d := cmp.Diff(graph.AppendResult{Moved: true, Head: w.Head}, res, comparing); d != "" {
			t.Errorf("another %s (-want +got):\n%s", name, d)
		}
	}
	w.CheckAll()
}

// shifted gives a commit of one created object with another version.
func shifted(c *graph.Commit, by graph.Version) *graph.Commit {
	out := *c
	out.Version += by
	out.Changes = slices.Clone(c.Changes)
	o := *out.Changes[0].ObjAfter
	o.Meta.Version, o.Meta.CreatedVersion = out.Version, out.Version
	out.Changes[0].ObjAfter = &o
	return &out
}

func eachObstacleIsToldAndNothingWritten(t *testing.T, s Suite) {
	w := s.world(t)
	var a, b, gone graph.ObjectID
	var e, lost graph.EdgeID
	w.Commit(func(d *Draft) { a, b, gone = d.Create(`{}`), d.Create(`{}`), d.Create(`{}`) })
	first := w.Commit(func(d *Draft) { e = d.Link("l", a, b, `{}`); lost = d.Link("m", a, b, `{}`) })
	old := w.Now().Objects[a]
	w.Commit(func(d *Draft) { d.Set(a, `{"v":2}`) })
	goneBody := w.Now().Objects[gone]
	w.Commit(func(d *Draft) { d.Delete(gone); d.Unlink(lost) })

	for _, test := range []struct {
		name  string
		build func(*Draft)
		want  graph.Hit
	}{
		{"mutation", func(d *Draft) { d.Create(`{}`); d.Mutation = first.Mutation },
			graph.Hit{Kind: graph.HitMutation, Version: first.Version, Hash: first.Hash}},
		{"object lives", func(d *Draft) { d.CreateAs(a, `{}`) }, graph.Hit{Kind: graph.HitObject, Ref: graph.ObjectRef(a)}},
		{"object once was", func(d *Draft) { d.CreateAs(gone, `{}`) }, graph.Hit{Kind: graph.HitObject, Ref: graph.ObjectRef(gone)}},
		{"edge lives", func(d *Draft) { d.LinkAs(e, "x", a, b, `{}`) }, graph.Hit{Kind: graph.HitEdge, Ref: graph.EdgeRef(e)}},
		{"edge once was", func(d *Draft) { d.LinkAs(lost, "x", a, b, `{}`) }, graph.Hit{Kind: graph.HitEdge, Ref: graph.EdgeRef(lost)}},
		{"older state", func(d *Draft) { d.Set(a, `{"v":3}`); d.Changes[0].ObjBefore = old }, graph.Hit{Kind: graph.HitConflict, Ref: graph.ObjectRef(a)}},
		{"deleted object", func(d *Draft) {
			d.w.now.Objects[gone] = goneBody
			d.Set(gone, `{}`)
		}, graph.Hit{Kind: graph.HitConflict, Ref: graph.ObjectRef(gone)}},
	} {
		w.Build(test.build)
		if d := cmp.Diff(graph.AppendResult{Hits: []graph.Hit{test.want}}, refused(w)); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, d)
		}
	}

	var twin graph.EdgeID
	w.Build(func(d *Draft) { twin = d.Link("l", a, b, `{}`) })
	if d := cmp.Diff(graph.AppendResult{Hits: []graph.Hit{{Kind: graph.HitBetween, Ref: graph.EdgeRef(twin)}}}, refused(w)); d != "" {
		t.Errorf("edge between (-want +got):\n%s", d)
	}
	unknown := NewObjectID()
	w.Build(func(d *Draft) {
		o := *old
		o.ID = unknown
		d.w.now.Objects[unknown] = &o
		d.Set(unknown, `{}`)
	})
	if d := cmp.Diff(graph.AppendResult{Hits: []graph.Hit{{Kind: graph.HitConflict, Ref: graph.ObjectRef(unknown)}}}, refused(w)); d != "" {
		t.Errorf("unknown object (-want +got):\n%s", d)
	}
	// What stood in the way is told, not remembered.
	w.Commit(func(d *Draft) { d.Link("m", a, b, `{}`) })
	w.CheckAll()
}

func allObstaclesOfABatchAreTold(t *testing.T, s Suite) {
	w := s.world(t)
	var a graph.ObjectID
	first := w.Commit(func(d *Draft) { a = d.Create(`{}`) })
	w.Commit(func(d *Draft) { d.Link("l", a, a, `{}`) })
	w.Build(func(d *Draft) { d.Create(`{}`) })
	w.Build(func(d *Draft) { d.Create(`{}`); d.Mutation = first.Mutation })
	var twin graph.EdgeID
	w.Build(func(d *Draft) { d.Create(`{}`); twin = d.Link("l", a, a, `{}`) })
	w.Build(func(d *Draft) { d.CreateAs(a, `{}`); d.Create(`{}`) })
	want := []graph.Hit{
		{Commit: 1, Kind: graph.HitMutation, Version: first.Version, Hash: first.Hash},
		{Commit: 2, Kind: graph.HitBetween, Ref: graph.EdgeRef(twin)},
		{Commit: 3, Kind: graph.HitObject, Ref: graph.ObjectRef(a)},
	}
	if d := cmp.Diff(graph.AppendResult{Hits: want}, refused(w)); d != "" {
		t.Errorf("hits (-want +got):\n%s", d)
	}
}

func batchSeesItsOwnEarlierCommits(t *testing.T, s Suite) {
	w := s.world(t)
	var kept, gone graph.ObjectID
	w.Build(func(d *Draft) { kept, gone = d.Create(`{"v":1}`), d.Create(`{"v":1}`) })
	w.Build(func(d *Draft) { d.Set(kept, `{"v":2}`); d.Set(gone, `{"v":2}`) })
	w.Build(func(d *Draft) { d.Link("l", kept, gone, `{}`) })
	w.Build(func(d *Draft) { d.Set(kept, `{"v":3}`) })
	w.Build(func(d *Draft) { d.Delete(gone) })
	w.Append()
	w.CheckAll()

	// The same faults as against the log, within one batch.
	w.Build(func(d *Draft) { d.Create(`{}`) })
	dup := w.Build(func(d *Draft) { d.Create(`{}`) })
	w.Build(func(d *Draft) { d.CreateAs(dup.Changes[0].ObjAfter.ID, `{}`); d.Mutation = dup.Mutation })
	res := refused(w)
	want := []graph.Hit{
		{Commit: 2, Kind: graph.HitMutation, Hash: dup.Hash},
		{Commit: 2, Kind: graph.HitObject, Ref: dup.Changes[0].Ref},
	}
	if d := cmp.Diff(graph.AppendResult{Hits: want}, res); d != "" {
		t.Errorf("hits within a batch (-want +got):\n%s", d)
	}

	old := w.Now().Objects[kept]
	w.Build(func(d *Draft) { d.Set(kept, `{"v":4}`) })
	w.Build(func(d *Draft) { d.Set(kept, `{"v":5}`); d.Changes[0].ObjBefore = old })
	if d := cmp.Diff(graph.AppendResult{Hits: []graph.Hit{{Commit: 1, Kind: graph.HitConflict, Ref: graph.ObjectRef(kept)}}}, refused(w)); d != "" {
		t.Errorf("conflict within a batch (-want +got):\n%s", d)
	}
	var twin graph.EdgeID
	w.Build(func(d *Draft) { d.Link("l", kept, kept, `{}`) })
	w.Build(func(d *Draft) { twin = d.Link("l", kept, kept, `{}`) })
	if d := cmp.Diff(graph.AppendResult{Hits: []graph.Hit{{Commit: 1, Kind: graph.HitBetween, Ref: graph.EdgeRef(twin)}}}, refused(w)); d != "" {
		t.Errorf("edge between within a batch (-want +got):\n%s", d)
	}
}

func edgeMayTakeThePlaceOfOneRemoved(t *testing.T, s Suite) {
	w := s.world(t)
	var a graph.ObjectID
	var e graph.EdgeID
	w.Commit(func(d *Draft) { a = d.Create(`{}`); e = d.Link("l", a, a, `{}`) })
	w.Commit(func(d *Draft) { old := e; e = d.Link("l", a, a, `{}`); d.Unlink(old) })
	w.Commit(func(d *Draft) { d.Unlink(e); e = d.Link("l", a, a, `{}`) })
	for range 3 {
		w.Build(func(d *Draft) { d.Unlink(e) })
		w.Build(func(d *Draft) { e = d.Link("l", a, a, `{}`) })
	}
	w.Append()
	w.CheckAll()
}

func repeatedMutationIsFound(t *testing.T, s Suite) {
	w := s.world(t)
	c := w.Commit(func(d *Draft) { d.Create(`{}`) })
	// The same key of another author is another mutation.
	other := w.Commit(func(d *Draft) {
		d.Author = graph.Principal{User: "bob"}
		d.Create(`{}`)
		d.Mutation, d.Hash = c.Mutation, []byte{9}
	})
	keys := []graph.MutationKey{{Author: "ann", Key: c.Mutation}, {Author: "bob", Key: c.Mutation}, {Author: "ann", Key: "never"}, {Author: "eve", Key: c.Mutation}}
	got, err := w.Store.Recorded(t.Context(), w.Info.Key, keys)
	if err != nil {
		t.Fatal(err)
	}
	want := map[graph.MutationKey]graph.Recorded{
		keys[0]: {Version: c.Version, Hash: c.Hash, Cause: c.Cause.Kind},
		keys[1]: {Version: other.Version, Hash: other.Hash, Cause: other.Cause.Kind},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("recorded (-want +got):\n%s", d)
	}
	if got, err := w.Store.Recorded(t.Context(), w.Info.Key, nil); err != nil || len(got) != 0 {
		t.Errorf("no keys: %v, %v", got, err)
	}
}

func fenceHoldsWhileTheAttemptRuns(t *testing.T, s Suite) {
	w := s.world(t)
	runs := s.Runs(t, w.Store)
	cause := w.Commit(func(d *Draft) { d.Create(`{}`) })
	run := &graph.Run{
		Graph: w.Info.Key, GraphName: w.Info.Name, ID: uuid.NewString(), Kind: graph.RunRule, Rule: "r", Event: graph.Created,
		Entity: cause.Changes[0].Ref, Version: cause.Version, State: graph.RunPending, Retries: 1, RetriesLeft: 1,
		Timeout: 60e9, By: cause.Author,
	}
	fenced := func(attempt int) graph.AppendResult {
		w.Build(func(d *Draft) { d.Create(`{}`) })
		w.Build(func(d *Draft) {
			d.Create(`{}`)
			d.Fence = &graph.Fence{Run: run.ID, Attempt: attempt}
			d.Cause = graph.Cause{Kind: graph.CauseRun, Version: cause.Version, Run: run.ID}
		})
		res, err := w.Store.Append(t.Context(), w.Batch())
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Hits) > 0 {
			w.Forget()
		} else {
			w.Settled()
		}
		w.CheckAll()
		return res
	}
	hit := graph.AppendResult{Hits: []graph.Hit{{Commit: 1, Kind: graph.HitFence}}}
	expect := func(when string, attempt int, want graph.AppendResult) {
		t.Helper()
		if d := cmp.Diff(want, fenced(attempt)); d != "" {
			t.Errorf("%s (-want +got):\n%s", when, d)
		}
	}
	expect("no such run", 1, hit)
	if _, err := runs.Dispatch(t.Context(), &graph.Dispatch{Graph: w.Info.Key, Node: "n", Lease: 60e9, From: 0, To: 1, Epoch: w.Head.Epoch, Runs: []*graph.Run{run}}); err != nil {
		t.Fatal(err)
	}
	expect("not begun", 1, hit)
	begun, err := runs.Claim(t.Context(), graph.RunClaims{Graph: w.Info.Key, Node: "n", Lease: 60e9, Runs: []graph.RunClaim{{Run: run.ID, TokenHash: []byte{1}}}})
	if err != nil || len(begun) != 1 {
		t.Fatalf("claim: %v, %v", begun, err)
	}
	claimed := begun[0]
	expect("running", claimed.Attempt, graph.AppendResult{})
	expect("another attempt", claimed.Attempt+1, hit)
	end := graph.RunEnd{Run: run.ID, Attempt: claimed.Attempt, State: graph.RunSucceeded}
	if ended, _, err := runs.Finish(t.Context(), w.Info.Key, []graph.RunEnd{end}); err != nil || !ended[0] {
		t.Fatalf("finish: %v, %v", ended, err)
	}
	expect("ended", claimed.Attempt, hit)
}

func malformedBatchIsAnErrorAndWritesNothing(t *testing.T, s Suite) {
	w := s.world(t)
	w.Commit(func(d *Draft) { d.Create(`{}`) })
	for name, spoil := range map[string]func(*graph.Batch){
		"empty":             func(b *graph.Batch) { b.Commits = nil },
		"gap":               func(b *graph.Batch) { b.Commits[0].Version++ },
		"time runs back":    func(b *graph.Batch) { b.Commits[0].At = b.Expect.At.Add(-1) },
		"no key":            func(b *graph.Batch) { b.Commits[0].Mutation = "" },
		"no change":         func(b *graph.Batch) { b.Commits[0].Changes = nil },
		"event and state":   func(b *graph.Batch) { b.Commits[0].Changes[0].Event = graph.Deleted },
		"another's version": func(b *graph.Batch) { b.Commits[0].Changes[0].ObjAfter.Meta.Version = 1 },
		"edge for object":   func(b *graph.Batch) { b.Commits[0].Changes[0].Ref.Kind = graph.KindEdge },
	} {
		w.Build(func(d *Draft) { d.Create(`{}`) })
		b := w.Batch()
		spoil(b)
		if res, err := w.Store.Append(t.Context(), b); err == nil {
			t.Errorf("%s: %+v", name, res)
		}
		w.Forget()
	}
	w.CheckAll()
}

// randomHistoriesReplay appends random commits in random batches; everything
// that the store tells must be what replaying them gives.
func randomHistoriesReplay(t *testing.T, s Suite) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 1))
			w := s.world(t)
			for range 12 {
				for range 1 + rng.IntN(5) {
					w.Build(func(d *Draft) { RandomChanges(rng, d) })
				}
				w.Append()
			}
			w.CheckAll()
		})
	}
}

// RandomChanges puts a few random changes into a commit.
func RandomChanges(rng *rand.Rand, d *Draft) {
	for len(d.Changes) == 0 || rng.IntN(3) > 0 {
		objects, edges := sortedObjects(d.w.now), sortedEdges(d.w.now)
		objects = slices.DeleteFunc(objects, func(o *graph.Object) bool { return o.Meta.Version == d.Version })
		edges = slices.DeleteFunc(edges, func(e *graph.Edge) bool { return e.Meta.Version == d.Version })
		body := fmt.Sprintf(`{"r":%d}`, rng.IntN(1000))
		switch k := rng.IntN(10); {
		case k < 3 || len(objects) < 2:
			d.Create(body)
		case k < 5:
			d.Set(objects[rng.IntN(len(objects))].ID, body)
		case k < 7:
			from, to := objects[rng.IntN(len(objects))].ID, objects[rng.IntN(len(objects))].ID
			if !slices.ContainsFunc(sortedEdges(d.w.now), func(e *graph.Edge) bool { return e.From == from && e.To == to }) {
				d.Link("l", from, to, body)
			}
		case k < 8 && len(edges) > 0:
			d.SetEdge(edges[rng.IntN(len(edges))].ID, body)
		case k < 9 && len(edges) > 0:
			d.Unlink(edges[rng.IntN(len(edges))].ID)
		case k == 9:
			id := objects[rng.IntN(len(objects))].ID
			fresh := func(e *graph.Edge) bool { return e.Meta.Version == d.Version && (e.From == id || e.To == id) }
			if !slices.ContainsFunc(sortedEdges(d.w.now), fresh) {
				d.Delete(id)
			}
		}
	}
}

// nodesAppendWithoutGapOrLoss lets two nodes write one graph, each following the
// other's commits only through Moved. Every commit that a node was told is in
// must be there once, at its version.
func nodesAppendWithoutGapOrLoss(t *testing.T, s Suite) {
	nodes := []graph.Store{s.Open(t), s.Open(t)}
	info := NewWorld(t, nodes[0]).Info
	const perNode = 40
	told := make([]map[string]graph.Version, len(nodes))
	var running sync.WaitGroup
	for n, store := range nodes {
		told[n] = map[string]graph.Version{}
		running.Go(func() {
			head := info.Head
			for len(told[n]) < perNode {
				w := &World{T: t, Store: store, Info: info, Head: head, now: State{map[graph.ObjectID]*graph.Object{}, map[graph.EdgeID]*graph.Edge{}}}
				w.Log = make([]*graph.Commit, head.Version)
				w.states = make([]State, head.Version+1)
				if head.Version > 0 {
					w.Log[head.Version-1] = &graph.Commit{At: head.At}
				}
				for range 1 + len(told[n])%3 {
					w.Build(func(d *Draft) { d.Create(`{}`) })
				}
				res, err := store.Append(t.Context(), w.Batch())
				switch {
				case err != nil:
					t.Error(err)
					return
				case len(res.Hits) > 0:
					t.Errorf("hits %v", res.Hits)
					return
				case res.Moved:
					head = res.Head
				default:
					for _, c := range w.Batch().Commits {
						told[n][c.Mutation] = c.Version
					}
					w.Settled()
					head = w.Head
				}
			}
		})
	}
	running.Wait()
	log, err := nodes[0].Log(t.Context(), info.Key, 0, 10*perNode)
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]graph.Version{}
	for i, c := range log {
		if c.Version != graph.Version(i+1) {
			t.Errorf("commit %d has version %d", i, c.Version)
		}
		if i > 0 && c.At.Before(log[i-1].At) {
			t.Errorf("version %d is earlier than the one before it", c.Version)
		}
		at[c.Mutation] = c.Version
	}
	if len(at) != len(log) || len(log) != len(told[0])+len(told[1]) {
		t.Errorf("%d commits of %d mutations; told %d and %d", len(log), len(at), len(told[0]), len(told[1]))
	}
	for _, all := range told {
		for key, v := range all {
			if at[key] != v {
				t.Errorf("told %d for a commit at %d", v, at[key])
			}
		}
	}
}

// largeCommitsWork appends commits of as many entities as one may touch.
func largeCommitsWork(t *testing.T, s Suite) {
	const touched = 20000
	w := s.world(t)
	var hub graph.ObjectID
	w.Commit(func(d *Draft) {
		hub = d.Create(`{}`)
		for len(d.Changes) < touched-1 {
			d.Link("l", d.Create(`{"x":1}`), hub, `{}`)
		}
	})
	w.checkSize()
	edges := sortedEdges(w.Now())
	w.Commit(func(d *Draft) {
		for _, e := range edges {
			d.Unlink(e.ID)
		}
		d.Delete(hub)
		for _, e := range edges {
			d.Delete(e.From)
		}
	})
	w.checkSize()
	log, err := w.Store.Log(t.Context(), w.Info.Key, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range log {
		want := w.Log[i].Changes
		if len(c.Changes) != len(want) {
			t.Fatalf("version %d: %d changes, want %d", c.Version, len(c.Changes), len(want))
		}
		for j := range want {
			if c.Changes[j].Ref != want[j].Ref || c.Changes[j].Event != want[j].Event {
				t.Fatalf("version %d, change %d: %+v, want %+v", c.Version, j, c.Changes[j], want[j])
			}
		}
	}
}

// checkSize compares the head and the number of entities.
func (w *World) checkSize() {
	w.T.Helper()
	w.CheckHead()
	objects, edges := 0, 0
	if _, err := w.Store.State(w.T.Context(), w.Info.Key, func(o []*graph.Object, e []*graph.Edge) error {
		objects, edges = objects+len(o), edges+len(e)
		return nil
	}); err != nil {
		w.T.Fatal(err)
	}
	if objects != len(w.now.Objects) || edges != len(w.now.Edges) {
		w.T.Errorf("%d objects, %d edges; want %d, %d", objects, edges, len(w.now.Objects), len(w.now.Edges))
	}
}

func cancelledCallerDoesNotCutTheCommit(t *testing.T, s Suite) {
	w := s.world(t)
	var id graph.ObjectID
	w.Commit(func(d *Draft) { id = d.Create(`{}`) })
	for i := range 30 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		w.Build(func(d *Draft) { d.Set(id, fmt.Sprintf(`{"i":%d}`, i)) })
		res, err := w.Store.Append(ctx, w.Batch())
		switch {
		case err == nil && !res.Moved && len(res.Hits) == 0:
			w.Settled()
		case errors.Is(err, context.Canceled):
			w.Forget() // it never came to a connection
		default:
			t.Fatalf("%+v, %v", res, err)
		}
		w.CheckHead()
	}
	w.CheckAll()
}
