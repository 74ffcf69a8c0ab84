package pgstore_test

import (
	"testing"

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
