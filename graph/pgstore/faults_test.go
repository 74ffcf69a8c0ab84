package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/graph/storetest"
	"github.com/graphtide/graphtide/internal/testdb"
)

func TestErrorsWorthAnotherTryAreUnavailable(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"57P01", "57P02", "57P03", "53300", "53100", "40001", "40P01", "25006", "25P03", "55P03", "57014", "08006", "08000"} {
		err := pgstore.Failed("do it", fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: code, Message: "secret text"}))
		var e *graph.Error
		if !errors.As(err, &e) || e.Code != graph.CodeUnavailable || e.RetryAfter <= 0 || strings.Contains(e.Message, "secret") {
			t.Errorf("%s: %v", code, err)
		}
	}
	for _, cause := range []error{io.EOF, io.ErrUnexpectedEOF, context.DeadlineExceeded} {
		if err := pgstore.Failed("do it", cause); graph.CodeOf(err) != graph.CodeUnavailable {
			t.Errorf("%v: %v", cause, err)
		}
	}
	for _, code := range []string{"23505", "22P02", "42601", "0A000", ""} {
		if err := pgstore.Failed("do it", &pgconn.PgError{Code: code}); graph.CodeOf(err) != graph.CodeInternal {
			t.Errorf("%s: %v", code, err)
		}
	}
	if err := pgstore.Failed("do it", context.Canceled); !errors.Is(err, context.Canceled) || graph.CodeOf(err) == graph.CodeUnavailable {
		t.Errorf("cancelled: %v", err)
	}
	if err := pgstore.Failed("do it", graph.NotFound("graph")); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("an error with a code: %v", err)
	}
}

func TestServerThatIsNotThereIsUnavailable(t *testing.T) {
	t.Parallel()
	_, err := pgstore.Open(t.Context(), pgstore.Config{URL: "postgres://127.0.0.1:1/none"})
	if graph.CodeOf(err) != graph.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestDatabaseThatWasNotMigratedIsExplained(t *testing.T) {
	t.Parallel()
	_, err := pgstore.Open(t.Context(), pgstore.Config{URL: testdb.EmptyURL(t)})
	if err == nil || !strings.Contains(err.Error(), "graphtide migrate") {
		t.Errorf("got %v", err)
	}
}

// retry appends what the world has built until it is in, as the write path does.
func retry(w *storetest.World) (refused int) {
	w.T.Helper()
	for {
		res, err := w.Store.Append(w.T.Context(), w.Batch())
		switch {
		case graph.CodeOf(err) == graph.CodeUnavailable:
			refused++
		case err != nil:
			w.T.Fatal(err)
		case res.Moved || len(res.Hits) > 0:
			// An earlier try whose answer was lost is in the log.
			last := w.Batch().Commits[len(w.Batch().Commits)-1]
			key := graph.MutationKey{Author: last.Author.User, Key: last.Mutation}
			found, err := w.Store.Recorded(w.T.Context(), w.Info.Key, []graph.MutationKey{key})
			if err != nil || found[key].Version != last.Version {
				w.T.Fatalf("%+v, recorded %v, %v", res, found, err)
			}
			w.Settled()
			return refused
		default:
			w.Settled()
			return refused
		}
	}
}

// A node that is stalled or cut off while it holds a graph's lock.
func TestStalledNodeFreesTheLockInThreeSeconds(t *testing.T) {
	t.Parallel()
	stalled := testdb.Open(t, testdb.URL(t))
	w := storetest.NewWorld(t, testdb.Store(t))
	tx, err := stalled.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), `SELECT FROM graphs WHERE key = $1 FOR NO KEY UPDATE`, w.Info.Key); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	w.Build(func(d *storetest.Draft) { d.Create(`{}`) })
	retry(w)
	// Half a second for a busy machine.
	if took := time.Since(start); took > 3500*time.Millisecond {
		t.Errorf("the lock was free after %s", took)
	}
	if _, err := tx.Exec(t.Context(), `SELECT`); err == nil {
		t.Error("the stalled node may still write")
	}
	w.CheckAll()
}

// Backends are ended under a writer: every commit is in the log once.
func TestEndedConnectionsLoseNothing(t *testing.T) {
	t.Parallel()
	url := testdb.OwnURL(t)
	s := testdb.Open(t, url)
	w := storetest.NewWorld(t, s)
	killer, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer killer.Close(context.Background())
	stop := make(chan struct{})
	var killing sync.WaitGroup
	killing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			const sql = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`
			if _, err := killer.Exec(context.Background(), sql); err != nil {
				t.Error(err)
				return
			}
		}
	})
	refused := 0
	for i := 0; i < 300 && (i < 60 || refused < 60); i++ {
		w.Build(func(d *storetest.Draft) { d.Create(`{}`) })
		refused += retry(w)
	}
	close(stop)
	killing.Wait()
	if refused == 0 {
		t.Error("no append met an ended connection: the test shows nothing")
	}
	w.CheckHead()
	w.CheckState()
}

func TestAnotherServerGivesEveryGraphANewEpoch(t *testing.T) {
	t.Parallel()
	url := testdb.OwnURL(t)
	first := testdb.Open(t, url)
	w := storetest.NewWorld(t, first)
	w.Commit(func(d *storetest.Draft) { d.Create(`{}`) })
	if again, err := testdb.Open(t, url).Graph(t.Context(), w.Info.Name); err != nil || again.Head.Epoch != w.Head.Epoch {
		t.Errorf("the same server: %+v, %v", again, err)
	}
	// As after a restore into another server, which remembers where it came from.
	if _, err := first.Pool().Exec(t.Context(), `UPDATE server SET origin = 'another/00000001'`); err != nil {
		t.Fatal(err)
	}
	after, err := testdb.Open(t, url).Graph(t.Context(), w.Info.Name)
	if err != nil || after.Head.Epoch == w.Head.Epoch {
		t.Fatalf("another server: %+v, %v", after, err)
	}
	again, err := testdb.Open(t, url).Graph(t.Context(), w.Info.Name)
	if err != nil || again.Head.Epoch != after.Head.Epoch {
		t.Errorf("met again: %+v, %v", again, err)
	}
	w.Build(func(d *storetest.Draft) { d.Create(`{}`) })
	if res, err := first.Append(t.Context(), w.Batch()); err != nil || !res.Moved || res.Head.Epoch != after.Head.Epoch {
		t.Errorf("a node that was there before: %+v, %v", res, err)
	}
}

func TestPurgeRemovesEveryRowOfDeletedGraphs(t *testing.T) {
	t.Parallel()
	url := testdb.OwnURL(t)
	s := testdb.Open(t, url)
	kept, gone := storetest.NewWorld(t, s), storetest.NewWorld(t, s)
	for _, w := range []*storetest.World{kept, gone} {
		w.Commit(func(d *storetest.Draft) { id := d.Create(`{}`); d.Link("l", id, id, `{}`) })
	}
	if err := s.DeleteGraph(t.Context(), gone.Info.Name); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// Every table that is keyed by graph, found by its column.
	rows, err := s.Pool().Query(t.Context(), `SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'graph'`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 4 {
		t.Fatalf("tables %v, %v", tables, err)
	}
	for _, table := range tables {
		var n int
		if err := s.Pool().QueryRow(t.Context(), `SELECT count(*) FROM `+table+` WHERE graph = $1`, gone.Info.Key).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s has %d rows of a purged graph, %v", table, n, err)
		}
	}
	kept.CheckAll()
}

func TestBusyPoolIsToldNotQueuedWithoutEnd(t *testing.T) {
	t.Parallel()
	s := testdb.Open(t, testdb.URL(t))
	for range 4 { // all that Open gives it
		conn, err := s.Pool().Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release()
	}
	if _, err := s.Graphs(t.Context()); graph.CodeOf(err) != graph.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestActivationMayTakeLongerThanATransactionMayIdle(t *testing.T) {
	t.Parallel()
	url := testdb.OwnURL(t)
	s := testdb.Open(t, url)
	other := testdb.Open(t, url)
	v, err := s.ActivateSchema(t.Context(), 0, []byte("x"), func(ctx context.Context, _ []graph.GraphInfo) ([]*graph.Batch, error) {
		// The time passes in the database, on another connection.
		_, err := other.Pool().Exec(ctx, `SELECT pg_sleep(3)`)
		return nil, err
	})
	if v != 1 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
}
