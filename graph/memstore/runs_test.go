package memstore_test

import (
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/graph/storetest"
)

func TestRunsConform(t *testing.T) {
	t.Parallel()
	storetest.Suite{
		Open: func(testing.TB) graph.Store { return memstore.New() },
		Runs: func(_ testing.TB, s graph.Store) graph.RunStore { return memstore.NewRuns(s.(*memstore.Store)) },
	}.RunRuns(t)
}

func TestPruneTakesWhatHasEnded(t *testing.T) {
	t.Parallel()
	storetest.Suite{
		Open: func(testing.TB) graph.Store { return memstore.New() },
		Runs: func(_ testing.TB, s graph.Store) graph.RunStore { return memstore.NewRuns(s.(*memstore.Store)) },
	}.PruneTakesWhatHasEnded(t)
}
