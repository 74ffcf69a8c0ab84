package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
)

func graphsComeAndGo(t *testing.T, s Suite) {
	store, other := s.Open(t), s.Open(t)
	ctx := t.Context()
	if info, created, err := store.EnsureGraph(ctx, graph.MainGraph); err != nil || created || info.Name != graph.MainGraph {
		t.Errorf("main: %+v, created %v, %v", info, created, err)
	}
	if err := store.DeleteGraph(ctx, graph.MainGraph); graph.CodeOf(err) != graph.CodeForbidden {
		t.Errorf("delete main: %v", err)
	}

	name := "t-" + uuid.NewString()
	if _, err := store.Graph(ctx, name); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("before it is made: %v", err)
	}
	var made sync.WaitGroup
	infos := make([]graph.GraphInfo, 6)
	created := make([]bool, len(infos))
	for i := range infos {
		made.Go(func() {
			var err error
			if infos[i], created[i], err = []graph.Store{store, other}[i%2].EnsureGraph(ctx, name); err != nil {
				t.Error(err)
			}
		})
	}
	made.Wait()
	first := infos[0]
	makers := 0
	for i := range infos {
		if d := cmp.Diff(first, infos[i]); d != "" {
			t.Errorf("made at once by many:\n%s", d)
		}
		if created[i] {
			makers++
		}
	}
	if makers != 1 || first.Name != name || first.Head.Version != 0 || first.Head.Epoch == "" || first.Key == 0 {
		t.Errorf("%d makers of %+v", makers, first)
	}
	list, err := other.Graphs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(list, func(g graph.GraphInfo) bool { return g.Key == first.Key }) {
		t.Error("the graph is not listed")
	}
	if !slices.IsSortedFunc(list, func(a, b graph.GraphInfo) int { return compareStrings(a.Name, b.Name) }) {
		t.Error("the list is not sorted by name")
	}

	if err := store.DeleteGraph(ctx, name); err != nil {
		t.Fatal(err)
	}
	if err := other.DeleteGraph(ctx, name); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("deleted twice: %v", err)
	}
	again, fresh, err := other.EnsureGraph(ctx, name)
	if err != nil || !fresh {
		t.Fatalf("made again: %v, %v", fresh, err)
	}
	if again.Key == first.Key || again.Head.Epoch == first.Head.Epoch || again.Head.Version != 0 {
		t.Errorf("made again: %+v, was %+v", again, first)
	}
}

func compareStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func goneGraphIsNotFound(t *testing.T, s Suite) {
	w := s.world(t)
	ctx := t.Context()
	c := w.Commit(func(d *Draft) { d.Create(`{}`) })
	ref := c.Changes[0].Ref
	if err := w.Store.DeleteGraph(ctx, w.Info.Name); err != nil {
		t.Fatal(err)
	}
	nothing := func([]*graph.Object, []*graph.Edge) error { t.Error("a state was streamed"); return nil }
	key := w.Info.Key
	w.Build(func(d *Draft) { d.Create(`{}`) })
	for name, call := range map[string]func() error{
		"Graph":    func() error { _, err := w.Store.Graph(ctx, w.Info.Name); return err },
		"NewEpoch": func() error { _, err := w.Store.NewEpoch(ctx, w.Info.Name); return err },
		"Append":   func() error { _, err := w.Store.Append(ctx, w.Batch()); return err },
		"Recorded": func() error {
			_, err := w.Store.Recorded(ctx, key, []graph.MutationKey{{Author: "ann", Key: c.Mutation}})
			return err
		},
		"Log":      func() error { _, err := w.Store.Log(ctx, key, 0, 10); return err },
		"State":    func() error { _, err := w.Store.State(ctx, key, nothing); return err },
		"StateAt":  func() error { _, err := w.Store.StateAt(ctx, key, 1, nothing); return err },
		"EntityAt": func() error { _, err := w.Store.EntityAt(ctx, key, ref, 1); return err },
		"History":  func() error { _, err := w.Store.History(ctx, key, ref, 0, 10); return err },
	} {
		if err := call(); graph.CodeOf(err) != graph.CodeNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	heads, err := w.Store.Heads(ctx, []graph.GraphKey{key})
	if err != nil || len(heads) != 0 {
		t.Errorf("Heads: %v, %v", heads, err)
	}
}

func versionsBeyondTheHeadAreRefused(t *testing.T, s Suite) {
	w := s.world(t)
	ctx := t.Context()
	c := w.Commit(func(d *Draft) { d.Create(`{}`) })
	nothing := func([]*graph.Object, []*graph.Edge) error { t.Error("a state was streamed"); return nil }
	for _, v := range []graph.Version{-1, 2, 1 << 62} {
		if _, err := w.Store.StateAt(ctx, w.Info.Key, v, nothing); graph.CodeOf(err) != graph.CodeInvalidVersion {
			t.Errorf("StateAt(%d): %v", v, err)
		}
		if _, err := w.Store.EntityAt(ctx, w.Info.Key, c.Changes[0].Ref, v); graph.CodeOf(err) != graph.CodeInvalidVersion {
			t.Errorf("EntityAt(%d): %v", v, err)
		}
	}
	if log, err := w.Store.Log(ctx, w.Info.Key, 5, 10); err != nil || len(log) != 0 {
		t.Errorf("Log beyond the head: %v, %v", log, err)
	}
	if snap, err := w.Store.EntityAt(ctx, w.Info.Key, graph.ObjectRef(NewObjectID()), 1); err != nil || snap != (graph.Snapshot{}) {
		t.Errorf("EntityAt of what never was: %+v, %v", snap, err)
	}
	if list, err := w.Store.History(ctx, w.Info.Key, graph.ObjectRef(NewObjectID()), 0, 10); err != nil || len(list) != 0 {
		t.Errorf("History of what never was: %v, %v", list, err)
	}
}

func newEpochKeepsTheLog(t *testing.T, s Suite) {
	w := s.world(t)
	w.Commit(func(d *Draft) { d.Create(`{}`) })
	epoch, err := w.Store.NewEpoch(t.Context(), w.Info.Name)
	if err != nil {
		t.Fatal(err)
	}
	if epoch == "" || epoch == w.Head.Epoch {
		t.Errorf("the new epoch is %q, the old one %q", epoch, w.Head.Epoch)
	}
	w.Build(func(d *Draft) { d.Create(`{}`) })
	res, err := w.Store.Append(t.Context(), w.Batch())
	if err != nil || !res.Moved || res.Head.Epoch != epoch {
		t.Errorf("append under the old epoch: %+v, %v", res, err)
	}
	w.Forget()
	w.Head.Epoch = epoch
	w.Commit(func(d *Draft) { d.Create(`{}`) })
	w.CheckAll() // the commits keep the epochs in which they were made
}

var errReader = errors.New("the reader has enough")

func stateStopsWhereItsReaderFails(t *testing.T, s Suite) {
	w := s.world(t)
	w.Commit(func(d *Draft) { d.Create(`{}`) })
	fail := func([]*graph.Object, []*graph.Edge) error { return errReader }
	if _, err := w.Store.State(t.Context(), w.Info.Key, fail); !errors.Is(err, errReader) {
		t.Errorf("State: %v", err)
	}
	if _, err := w.Store.StateAt(t.Context(), w.Info.Key, 1, fail); !errors.Is(err, errReader) {
		t.Errorf("StateAt: %v", err)
	}
	w.CheckAll()
}

func noBatches(context.Context, []graph.GraphInfo) ([]*graph.Batch, error) { return nil, nil }

func schemaBecomesActiveForEveryGraphAtOnce(t *testing.T, s Suite) {
	open := s.Fresh(t)
	store, other := open(), open()
	ctx := t.Context()
	if v, doc, err := store.Schema(ctx); v != 0 || len(doc) != 0 || err != nil {
		t.Errorf("at first: %d %q %v", v, doc, err)
	}
	w := NewWorld(t, store)
	w.Commit(func(d *Draft) { d.Create(`{}`) })
	doc := []byte("types: {}\n# été \x00 as it was put\n")
	v, err := store.ActivateSchema(ctx, 0, doc, func(_ context.Context, graphs []graph.GraphInfo) ([]*graph.Batch, error) {
		if !slices.ContainsFunc(graphs, func(g graph.GraphInfo) bool { return g.Key == w.Info.Key && g.Head.Version == 1 }) || len(graphs) != 2 {
			t.Errorf("check saw %+v", graphs)
		}
		return nil, nil
	})
	if v != 1 || err != nil {
		t.Fatalf("activate: %d, %v", v, err)
	}
	if v, got, err := other.Schema(ctx); v != 1 || string(got) != string(doc) || err != nil {
		t.Errorf("on another node: %d %q %v", v, got, err)
	}
	w.Build(func(d *Draft) { d.Create(`{}`) })
	if res, err := other.Append(ctx, w.Batch()); err != nil || !res.Moved || res.Head.SchemaVer != 1 {
		t.Errorf("append under the old schema: %+v, %v", res, err)
	}
	w.Forget()
	w.Head.SchemaVer = 1
	w.Commit(func(d *Draft) { d.Create(`{}`) })
	w.CheckAll()
	if later := NewWorld(t, other); later.Head.SchemaVer != 1 {
		t.Errorf("a graph made later has schema %d", later.Head.SchemaVer)
	}
	if v, err := other.ActivateSchema(ctx, 1, []byte("second"), noBatches); v != 2 || err != nil {
		t.Errorf("the second: %d, %v", v, err)
	}
	if got, err := store.SchemaAt(ctx, 1); string(got) != string(doc) || err != nil {
		t.Errorf("the first: %q, %v", got, err)
	}
	if _, err := store.SchemaAt(ctx, 3); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("one that never was: %v", err)
	}
}

func refusedSchemaChangesNothing(t *testing.T, s Suite) {
	store := s.Fresh(t)()
	ctx := t.Context()
	w := NewWorld(t, store)
	w.Commit(func(d *Draft) { d.Create(`{}`) })
	_, err := store.ActivateSchema(ctx, 3, []byte("x"), func(context.Context, []graph.GraphInfo) ([]*graph.Batch, error) {
		t.Error("check is asked about a schema that does not follow the active one")
		return nil, nil
	})
	if graph.CodeOf(err) != graph.CodeVersionMismatch {
		t.Errorf("after another version: %v", err)
	}
	refusal := graph.Errf(graph.CodeSchemaInUse, "in use")
	_, err = store.ActivateSchema(ctx, 0, []byte("x"), func(context.Context, []graph.GraphInfo) ([]*graph.Batch, error) { return nil, refusal })
	if !errors.Is(err, refusal) {
		t.Errorf("refused by check: %v", err)
	}
	w.Build(func(d *Draft) { d.Create(`{}`); d.SchemaVer = 1 })
	w.Build(func(d *Draft) { d.CreateAs(sortedObjects(w.At(1))[0].ID, `{}`); d.SchemaVer = 1 })
	_, err = store.ActivateSchema(ctx, 0, []byte("x"), func(context.Context, []graph.GraphInfo) ([]*graph.Batch, error) {
		return []*graph.Batch{w.Batch()}, nil
	})
	if err == nil {
		t.Error("a migration that does not fit is taken")
	}
	w.Forget()
	if v, doc, err := store.Schema(ctx); v != 0 || doc != nil || err != nil {
		t.Errorf("afterwards: %d %q %v", v, doc, err)
	}
	w.Commit(func(d *Draft) { d.Create(`{}`) })
	w.CheckAll()
}

func schemaMigratesData(t *testing.T, s Suite) {
	store := s.Fresh(t)()
	a, b := NewWorld(t, store), NewWorld(t, store)
	worlds := []*World{a, b}
	for _, w := range worlds {
		w.Commit(func(d *Draft) { d.Create(`{"old":1}`) })
	}
	v, err := store.ActivateSchema(t.Context(), 0, []byte("x"), func(ctx context.Context, graphs []graph.GraphInfo) ([]*graph.Batch, error) {
		var out []*graph.Batch
		for _, w := range worlds {
			w.CheckState() // reads go on while writers wait
			o := sortedObjects(w.Now())[0]
			w.Build(func(d *Draft) {
				d.SchemaVer, d.Cause = 1, graph.Cause{Kind: graph.CauseSchema}
				d.Set(o.ID, `{"new":1}`)
			})
			out = append(out, w.Batch())
		}
		return out, nil
	})
	if v != 1 || err != nil {
		t.Fatalf("%d, %v", v, err)
	}
	for _, w := range worlds {
		w.Settled()
		w.Head.SchemaVer = 1
		w.CheckAll()
	}
}

// noCommitFallsBetweenCheckAndActivation writes and makes graphs while schemas
// are activated: what check saw must be all that there is.
func noCommitFallsBetweenCheckAndActivation(t *testing.T, s Suite) {
	open := s.Fresh(t)
	store, other := open(), open()
	w := NewWorld(t, other)
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			w.Build(func(d *Draft) { d.Create(`{}`) })
			res, err := other.Append(t.Context(), w.Batch())
			switch {
			case err != nil:
				t.Error(err)
				return
			case res.Moved:
				w.Forget()
				w.Head.SchemaVer = res.Head.SchemaVer
			default:
				w.Settled()
			}
			if _, _, err := other.EnsureGraph(t.Context(), "t-"+uuid.NewString()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for from := range int64(10) {
		var seen []graph.GraphInfo
		v, err := store.ActivateSchema(t.Context(), from, []byte("x"), func(_ context.Context, graphs []graph.GraphInfo) ([]*graph.Batch, error) {
			seen = graphs
			return nil, nil
		})
		if err != nil || v != from+1 {
			t.Fatalf("%d, %v", v, err)
		}
		at := slices.IndexFunc(seen, func(g graph.GraphInfo) bool { return g.Key == w.Info.Key })
		log, err := store.Log(t.Context(), w.Info.Key, seen[at].Head.Version, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(log) > 0 && log[0].SchemaVer <= from {
			t.Errorf("version %d was written under schema %d behind the back of check", log[0].Version, log[0].SchemaVer)
		}
		list, err := store.Graphs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range list {
			if g.Head.SchemaVer != v {
				t.Errorf("graph %s has schema %d, want %d", g.Name, g.Head.SchemaVer, v)
			}
		}
	}
	close(stop)
	writing.Wait()
	w.Head.SchemaVer = 10
	w.CheckHead()
	w.CheckLog()
}
