package pgstore_test

import (
	"strings"
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

func TestRunsConform(t *testing.T) {
	t.Parallel()
	storetest.Suite{
		Open: func(t testing.TB) graph.Store { return testdb.Open(t, testdb.URL(t)) },
		Runs: func(_ testing.TB, s graph.Store) graph.RunStore { return pgstore.NewRuns(s.(*pgstore.Store).Pool()) },
	}.RunRuns(t)
}

func TestPruneTakesWhatHasEnded(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	if err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	storetest.Suite{
		Open: func(t testing.TB) graph.Store { return testdb.Open(t, url) },
		Runs: func(_ testing.TB, s graph.Store) graph.RunStore { return pgstore.NewRuns(s.(*pgstore.Store).Pool()) },
	}.PruneTakesWhatHasEnded(t)
}

// The database knows what the table of runs is like soon after it has grown: a
// run is looked up by its lane, not among all runs of its rule.
func TestPlansOfRunsFitTheirTable(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	if err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	pool := testdb.Open(t, url).Pool()
	runs := pgstore.NewRuns(pool)
	var made []*graph.Run
	for range 300 {
		made = append(made, &graph.Run{
			ID: uuid.NewString(), Kind: graph.RunRule, Rule: "r", Event: graph.Created, Entity: graph.ObjectRef(storetest.NewObjectID()),
			Version: 1, State: graph.RunPending, Timeout: time.Minute,
		})
	}
	if _, err := runs.Dispatch(t.Context(), &graph.Dispatch{Graph: 1, Node: "n", Lease: time.Minute, To: 1, Epoch: "e", Runs: made}); err != nil {
		t.Fatal(err)
	}
	if _, err := runs.Overdue(t.Context(), 0, 1, 1); err != nil {
		t.Fatal(err)
	}
	rows, err := pool.Query(t.Context(), lookUpLane, 1, made[0].Entity.IDString(), 9)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || !strings.Contains(strings.Join(plan, "\n"), "runs_lane") {
		t.Errorf("%v\n%s", err, strings.Join(plan, "\n"))
	}
}
