package memstore_test

import (
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/graph/storetest"
)

func TestStoreConforms(t *testing.T) {
	t.Parallel()
	shared := memstore.New()
	// A fence is asked of the last Runs made for a store: each test of fences has
	// a store of its own.
	storetest.Suite{
		Open: func(testing.TB) graph.Store { return shared },
		Fresh: func(testing.TB) func() graph.Store {
			s := memstore.New()
			return func() graph.Store { return s }
		},
		Runs: func(_ testing.TB, s graph.Store) graph.RunStore { return memstore.NewRuns(s.(*memstore.Store)) },
	}.Run(t)
}
