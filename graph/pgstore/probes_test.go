package pgstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/graph/storetest"
	"github.com/graphtide/graphtide/internal/testdb"
)

// A connection keeps the first plan that it makes, and without statistics every index
// that begins with the graph looks as good as another: at some sizes of the tables
// the smallest of them was taken, and each append read the whole log.
func TestAppendReadsNoMoreOfTheLogAsItGrows(t *testing.T) {
	t.Parallel()
	url := testdb.OwnURL(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	// Statistics make all plans good.
	if _, err := conn.Exec(t.Context(), "ALTER TABLE commits SET (autovacuum_enabled = off); ALTER TABLE objects SET (autovacuum_enabled = off)"); err != nil {
		t.Fatal(err)
	}
	var w *storetest.World
	for _, size := range []int{150, 300} {
		filler := open(t, url)
		if w == nil {
			w = storetest.NewWorld(t, filler)
		}
		for w.Store = filler; len(w.Log) < size; w.Append() {
			for range 25 {
				w.Build(func(d *storetest.Draft) { d.Create(`{}`) })
			}
		}
		filler.Close()
		before := read(t, conn, "commits", "objects", "idle_keys")
		s := open(t, url)
		w.Store = s
		writeInEveryWay(t, w)
		s.Close()
		after := read(t, conn, "commits", "objects", "idle_keys")
		for index, n := range after {
			if n -= before[index]; n > 100 {
				t.Errorf("with %d commits, %d entries of %s were read for a few appends", size, n, index)
			}
		}
	}
}

// The same holds for runs, of which many may wait: neither the first of a lane nor
// the next reads those of others.
func TestMakingRunsReadsNoneOfTheOthersThatWait(t *testing.T) {
	t.Parallel()
	url := testdb.OwnURL(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "ALTER TABLE runs SET (autovacuum_enabled = off)"); err != nil {
		t.Fatal(err)
	}
	const few = 90 // after more, a process has the database look
	var at graph.Version
	dispatch := func(s *pgstore.Store, lanes []graph.ObjectID, times int) {
		d := &graph.Dispatch{Graph: 1, Node: "n", Lease: time.Minute, From: at, To: at + graph.Version(times), Epoch: "e"}
		for range times {
			at++
			for _, id := range lanes {
				d.Runs = append(d.Runs, &graph.Run{
					ID: uuid.NewString(), Kind: graph.RunRule, Rule: "r", Event: graph.Modified, Entity: graph.ObjectRef(id),
					Version: at, State: graph.RunPending, Timeout: time.Minute,
				})
			}
		}
		if out, err := pgstore.NewRuns(s.Pool()).Dispatch(t.Context(), d); err != nil || !out.Moved {
			t.Fatalf("%+v, %v", out, err)
		}
	}
	lanes := func(n int) []graph.ObjectID {
		ids := make([]graph.ObjectID, n)
		for i := range ids {
			ids[i] = storetest.NewObjectID()
		}
		return ids
	}
	waiting := 0
	for _, size := range []int{900, 2700} {
		filler := open(t, url)
		var last []graph.ObjectID
		for ; waiting < size; waiting += few {
			last = lanes(few)
			dispatch(filler, last, 1)
		}
		filler.Close()
		for what, make := range map[string]func(*pgstore.Store){
			"the first of their lanes": func(s *pgstore.Store) { dispatch(s, lanes(few), 1) },
			"the second":               func(s *pgstore.Store) { dispatch(s, last, 1) },
			"the first two":            func(s *pgstore.Store) { dispatch(s, lanes(few/2), 2) },
		} {
			before := read(t, conn, "runs")
			s := open(t, url)
			make(s)
			s.Close()
			for index, n := range read(t, conn, "runs") {
				if n -= before[index]; n > 10*few {
					t.Errorf("with %d runs waiting, %d entries of %s were read to make %d that are %s", waiting, n, index, few, what)
				}
			}
			waiting += few
		}
	}
}

func open(t *testing.T, url string) *pgstore.Store {
	s, err := pgstore.Open(t.Context(), pgstore.Config{URL: url, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// writeInEveryWay appends in each way that there is, and looks for keys.
func writeInEveryWay(t *testing.T, w *storetest.World) {
	var last graph.ObjectID
	for id := range w.Now().Objects {
		last = id
	}
	set := func(d *storetest.Draft) { d.Set(last, fmt.Sprintf(`{"n":%d}`, d.Version)) }
	create := func(d *storetest.Draft) { d.Create(`{}`) }
	for _, ways := range [][]func(*storetest.Draft){{set}, {create}, {set, set, set}, {set, create, set}} {
		for _, way := range ways {
			w.Build(way)
		}
		w.Append()
	}
	key := graph.MutationKey{Author: "ann", Key: uuid.NewString()}
	if _, err := w.Store.RememberIdle(t.Context(), w.Info.Key, w.Head.Version, []graph.IdleKey{{MutationKey: key, Hash: []byte{1}, Cause: graph.CauseClient}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Store.Recorded(t.Context(), w.Info.Key, []graph.MutationKey{key}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Store.Named(t.Context(), w.Info.Key, key.Key); err != nil {
		t.Fatal(err)
	}
	w.Commit(set)
	w.Build(set)
	w.Build(set)
	w.Append()
}

// read gives how many entries of each index of these tables were read, once all
// others have gone: a connection tells of itself when it ends.
func read(t *testing.T, conn *pgx.Conn, tables ...string) map[string]int64 {
	const others = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'graphtide%'`
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for n := 1; n > 0; {
		if err := conn.QueryRow(ctx, others).Scan(&n); err != nil {
			t.Fatalf("wait for connections to end: %v", err)
		}
	}
	const sql = `SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes WHERE relname = ANY ($1)`
	rows, _ := conn.Query(t.Context(), sql, tables) // the collector gives its error
	out := map[string]int64{}
	var name string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&name, &n}, func() error { out[name] = n; return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}
