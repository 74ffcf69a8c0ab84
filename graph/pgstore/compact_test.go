package pgstore_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/graph/storetest"
	"github.com/graphtide/graphtide/internal/testdb"
)

// matched says that the rules have seen a log that they have not looked at yet.
func matched(t *testing.T, w *storetest.World) {
	t.Helper()
	d, err := pgstore.NewRuns(testdb.Store(t).Pool()).Dispatch(t.Context(), &graph.Dispatch{
		Graph: w.Info.Key, Node: "n", Lease: time.Minute, From: 0, To: w.Head.Version, Epoch: w.Head.Epoch,
	})
	if err != nil || !d.Moved {
		t.Fatalf("%+v, %v", d, err)
	}
}

// What is read while history is forgotten is whole or CodeGone, a deletion never
// stands without the state before it, and what is left verifies.
func TestReadersOfACompactedGraphSeeWholeCommitsOrNone(t *testing.T) {
	t.Parallel()
	store := testdb.Store(t)
	w := storetest.NewWorld(t, store)
	var ids []graph.ObjectID
	w.Build(func(d *storetest.Draft) {
		for range 40 {
			ids = append(ids, d.Create(`{"v":0}`))
		}
	})
	for i := range 60 {
		w.Build(func(d *storetest.Draft) {
			for _, id := range ids {
				d.Set(id, fmt.Sprintf(`{"v":%d}`, i+1))
			}
		})
	}
	w.Build(func(d *storetest.Draft) { d.Delete(ids[0]) })
	w.Build(func(d *storetest.Draft) { d.Create(`{}`) })
	w.Append()
	matched(t, w)

	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for since := graph.Version(0); since < w.Head.Version; {
				log, err := store.Log(t.Context(), w.Info.Key, since, 10)
				if graph.CodeOf(err) == graph.CodeGone {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				for _, c := range log {
					if len(c.Changes) != len(w.Log[c.Version-1].Changes) {
						t.Errorf("version %d has %d changes of %d", c.Version, len(c.Changes), len(w.Log[c.Version-1].Changes))
						return
					}
					since = c.Version
				}
			}
		})
	}
	var runs sync.WaitGroup
	for range 2 { // at the same time
		runs.Go(func() {
			if _, err := store.Compact(t.Context(), w.Info.Name, map[string]graph.Keep{"T": {Versions: 3, Age: time.Nanosecond}}, 0); err != nil {
				t.Error(err)
			}
		})
	}
	runs.Wait()
	readers.Wait()
	r, err := store.Verify(t.Context(), w.Info.Name)
	if err != nil || !r.OK() || r.From != w.Head.Version-1 {
		t.Errorf("%+v, %v", r, err)
	}
	w.CheckState()
	w.CheckStateAt(r.From)
}
