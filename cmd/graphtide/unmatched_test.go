package main

import (
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/graph/storetest"
	"github.com/graphtide/graphtide/internal/testdb"
)

func TestCompactNeedsNoWorkerWhereNoRuleNeedsTheLog(t *testing.T) {
	t.Parallel()
	store := testdb.Store(t)
	w := storetest.NewWorld(t, store)
	var id graph.ObjectID
	w.Commit(func(d *storetest.Draft) { id = d.Create(`{}`) })
	for range 4 {
		w.Commit(func(d *storetest.Draft) { d.Set(id, `{"n":1}`) })
	}
	compact := func() int64 {
		out, err := store.Compact(t.Context(), w.Info.Name, map[string]graph.Keep{"T": {Versions: 1}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		return out.Rows
	}
	seen := unmatched{store: store, runs: pgstore.NewRuns(store.Pool())}
	if left, err := seen.look(t.Context(), w.Info.Name); err != nil || left != 5 || compact() != 0 {
		t.Errorf("with rules: %d left, %v", left, err)
	}
	seen.idle = true
	if left, err := seen.look(t.Context(), w.Info.Name); err != nil || left != 0 || compact() != 3 {
		t.Errorf("without rules: %d left, %v", left, err)
	}
}
