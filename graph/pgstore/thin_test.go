package pgstore_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/storetest"
	"github.com/graphtide/graphtide/internal/testdb"
)

// A body that grows by an entry with each version costs history what was
// written, not the square of it, and everything that is read stays the same.
func TestThinnedHistoryReadsTheSameAndCostsWhatWasWritten(t *testing.T) {
	t.Parallel()
	store := testdb.Store(t)
	w := storetest.NewWorld(t, store)
	ctx := t.Context()
	var id, other graph.ObjectID
	w.Build(func(d *storetest.Draft) { id, other = d.Create(`{"status":[]}`), d.Create(`{"x":0}`) })
	var entries []string
	const n = 300
	for i := range n {
		entries = append(entries, fmt.Sprintf(`{"at":%d,"message":"a step that is told with ünï¢ødé 😀"}`, i))
		w.Build(func(d *storetest.Draft) {
			d.Set(id, `{"status":[`+strings.Join(entries, ",")+fmt.Sprintf(`],"progress":%d}`, i))
			if i%50 == 0 {
				d.Set(other, fmt.Sprintf(`{"x":%d}`, i+1))
			}
		})
	}
	w.Build(func(d *storetest.Draft) { d.Delete(other) })
	w.Build(func(d *storetest.Draft) { d.Create(`{}`) })
	w.Append()
	typ := ""
	size := func() (bytes int64) {
		t.Helper()
		const sql = `SELECT coalesce(sum(octet_length(body::text)), 0) + coalesce(sum(octet_length(delta)), 0) FROM history WHERE graph = $1`
		if err := store.Pool().QueryRow(ctx, sql, w.Info.Key).Scan(&bytes); err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	type reading struct {
		log     []*graph.Commit
		history []*graph.HistoryEntry
		at      map[graph.Version]graph.Snapshot
		states  map[graph.Version][]*graph.Object
		before  []graph.Snapshot
	}
	read := func(from graph.Version) (out reading) {
		t.Helper()
		var err error
		if out.log, err = store.Log(ctx, w.Info.Key, from, 1000); err != nil {
			t.Fatal(err)
		}
		if out.history, err = store.History(ctx, w.Info.Key, graph.ObjectRef(id), 0, 1000); err != nil {
			t.Fatal(err)
		}
		out.at, out.states = map[graph.Version]graph.Snapshot{}, map[graph.Version][]*graph.Object{}
		for _, v := range []graph.Version{from + 1, n / 2, n/2 + 1, n, w.Head.Version} {
			snap, err := store.EntityAt(ctx, w.Info.Key, graph.ObjectRef(id), v)
			if err != nil {
				t.Fatal(err)
			}
			out.at[v], typ = snap, snap.Object.Type
			if _, err := store.StateAt(ctx, w.Info.Key, v, func(o []*graph.Object, _ []*graph.Edge) error {
				out.states[v] = append(out.states[v], o...)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		if out.before, err = store.Befores(ctx, w.Info.Key, []graph.RefVersion{{Ref: graph.ObjectRef(id), Version: n}}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	before, whole := read(0), size()
	for range 2 { // a second time finds nothing to do
		if err := store.Thin(ctx, map[string]int{typ: 20}, -time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	thinned := size()
	if thinned > whole/10 {
		t.Errorf("history holds %d bytes, before it held %d", thinned, whole)
	}
	t.Logf("%d versions: %d bytes whole, %d thinned", n, whole, thinned)
	if after := read(0); !reflect.DeepEqual(before, after) {
		for v, snap := range before.at {
			if !bytes.Equal(snap.Object.Body, after.at[v].Object.Body) {
				t.Errorf("version %d reads %s, it was %s", v, after.at[v].Object.Body, snap.Object.Body)
			}
		}
		t.Fatal("what is read has changed")
	}
	verifies(t, w)

	// What retention leaves is whole, wherever it cuts.
	matched(t, w)
	if _, err := store.Compact(ctx, w.Info.Name, map[string]graph.Keep{typ: {Versions: 33}}, 0); err != nil {
		t.Fatal(err)
	}
	floor := w.Head.Version - 20
	for v := floor; v <= w.Head.Version; v++ {
		snap, err := store.EntityAt(ctx, w.Info.Key, graph.ObjectRef(id), v)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range before.history {
			if e.Snapshot.Object != nil && e.Snapshot.Object.Meta.Version == snap.Object.Meta.Version && !bytes.Equal(e.Snapshot.Object.Body, snap.Object.Body) {
				t.Errorf("version %d reads %s", v, snap.Object.Body)
			}
		}
	}
	verifies(t, w)
}

func verifies(t *testing.T, w *storetest.World) {
	t.Helper()
	r, err := testdb.Store(t).Verify(t.Context(), w.Info.Name)
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() {
		t.Errorf("verify found %v", r.Faults)
	}
}
