package pgstore_test

import (
	"cmp"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/graph/storetest"
	"github.com/graphtide/graphtide/internal/testdb"
)

// Whoever ends several runs locks them by version and id. A batch whose commits have
// their fences in another order does so too: while it waits for the first run, it
// holds none of the others.
func TestAppendLocksRunsInTheOrderOfOthers(t *testing.T) {
	t.Parallel()
	// However slow the machine: nobody gives up waiting for a lock.
	s := testdb.Open(t, patient(t, testdb.URL(t)))
	w := storetest.NewWorld(t, s)
	runs := pgstore.NewRuns(s.Pool())
	w.Commit(func(d *storetest.Draft) { d.Create(`{}`) })
	var made []*graph.Run
	claims := graph.RunClaims{Graph: w.Info.Key, Node: "n", Lease: time.Minute}
	for range 3 {
		r := &graph.Run{
			ID: uuid.NewString(), Kind: graph.RunRule, Rule: "r", Event: graph.Created, Entity: graph.ObjectRef(storetest.NewObjectID()),
			Version: 1, State: graph.RunPending, Timeout: time.Minute,
		}
		made = append(made, r)
		claims.Runs = append(claims.Runs, graph.RunClaim{Run: r.ID, TokenHash: []byte(r.ID)})
	}
	if _, err := runs.Dispatch(t.Context(), &graph.Dispatch{Graph: w.Info.Key, Node: "n", Lease: time.Minute, To: 1, Epoch: w.Head.Epoch, Runs: made}); err != nil {
		t.Fatal(err)
	}
	if got, err := runs.Claim(t.Context(), claims); err != nil || len(got) != len(made) {
		t.Fatalf("%d claimed, %v", len(got), err)
	}
	slices.SortFunc(made, func(a, b *graph.Run) int { return cmp.Compare(b.ID, a.ID) }) // the first to be locked comes last
	for _, r := range made {
		w.Build(func(d *storetest.Draft) {
			d.Create(`{}`)
			d.Fence = &graph.Fence{Run: r.ID, Attempt: 1}
			d.Cause = graph.Cause{Kind: graph.CauseRun, Version: 1, Run: r.ID}
		})
	}

	conn, err := pgx.Connect(t.Context(), testdb.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lock := func(r *graph.Run) error {
		_, err := tx.Exec(t.Context(), "SELECT FROM runs WHERE graph = $1 AND id = $2 FOR NO KEY UPDATE", w.Info.Key, r.ID)
		return err
	}
	if err := lock(made[len(made)-1]); err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		graph.AppendResult
		err error
	}
	appended := make(chan outcome, 1)
	go func() {
		res, err := s.Append(t.Context(), w.Batch())
		appended <- outcome{res, err}
	}()
	untilBlockedBy(t, s, conn)
	for _, r := range made {
		if err := lock(r); err != nil {
			t.Fatalf("a run is held by an append that waits for another: %v", err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-appended; got.err != nil || got.Moved || len(got.Hits) > 0 {
		t.Errorf("append: %+v, %v", got.AppendResult, got.err)
	}
}

// patient gives an address whose connections wait for a lock as long as it takes.
func patient(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("lock_timeout", "60s")
	q.Set("statement_timeout", "60s")
	u.RawQuery = q.Encode()
	return u.String()
}

// untilBlockedBy returns when somebody waits for a lock that conn holds.
func untilBlockedBy(t *testing.T, s *pgstore.Store, conn *pgx.Conn) {
	t.Helper()
	const sql = `SELECT EXISTS (SELECT FROM pg_stat_activity a WHERE $1::integer = ANY (pg_blocking_pids(a.pid)))`
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		var blocked bool
		if err := s.Pool().QueryRow(t.Context(), sql, int32(conn.PgConn().PID())).Scan(&blocked); err != nil {
			t.Fatalf("look who waits: %v", err)
		}
		if blocked {
			return
		}
	}
	t.Fatal("nobody waits")
}
