package pgstore_test

import (
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/graph/storetest"
	"github.com/graphtide/graphtide/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

func TestStoreConforms(t *testing.T) {
	t.Parallel()
	storetest.Suite{
		Open: func(t testing.TB) graph.Store { return testdb.Open(t, testdb.URL(t)) },
		Fresh: func(t testing.TB) func() graph.Store {
			url := testdb.OwnURL(t)
			return func() graph.Store { return testdb.Open(t, url) }
		},
		Runs: func(_ testing.TB, s graph.Store) graph.RunStore { return pgstore.NewRuns(s.(*pgstore.Store).Pool()) },
	}.Run(t)
}
