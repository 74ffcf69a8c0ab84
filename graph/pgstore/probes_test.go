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
	"github.com/graphtide/graphtide/migrations"
)

// A connection keeps the first plan that it makes, and without statistics every index
// that begins with the graph looks as good as another: at some sizes of the tables
// the smallest of them was taken, and each append read the whole log.
func TestAppendReadsNoMoreOfTheLogAsItGrows(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	if err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
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
		before := read(t, conn)
		s := open(t, url)
		w.Store = s
		writeInEveryWay(t, w)
		s.Close()
		after := read(t, conn)
		for index, n := range after {
			if n -= before[index]; n > 100 {
				t.Errorf("with %d commits, %d entries of %s were read for a few appends", size, n, index)
			}
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

// read gives how many entries of each index of the log and the objects were read, once
// all others have gone: a connection tells of itself when it ends.
func read(t *testing.T, conn *pgx.Conn) map[string]int64 {
	const others = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'graphtide%'`
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for n := 1; n > 0; {
		if err := conn.QueryRow(ctx, others).Scan(&n); err != nil {
			t.Fatalf("wait for connections to end: %v", err)
		}
	}
	const sql = `SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes WHERE relname IN ('commits', 'objects', 'idle_keys')`
	rows, _ := conn.Query(t.Context(), sql) // the collector gives its error
	out := map[string]int64{}
	var name string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&name, &n}, func() error { out[name] = n; return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}
