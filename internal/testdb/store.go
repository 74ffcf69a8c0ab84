package testdb

import (
	"context"
	"sync"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/pgstore"
)

var store = sync.OnceValues(func() (*pgstore.Store, error) {
	url, err := shared()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	s, err := pgstore.Open(ctx, pgstore.Config{URL: url})
	if err == nil {
		atEnd(func() error { s.Close(); return nil })
	}
	return s, err
})

// Store gives the store that the tests of the package share, on the database of
// URL. It must not be closed.
func Store(t testing.TB) *pgstore.Store {
	t.Helper()
	URL(t)
	s, err := store()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Open gives a further store on the database at url, as another node has it; it
// is closed with the test.
func Open(t testing.TB, url string) *pgstore.Store {
	t.Helper()
	s, err := pgstore.Open(t.Context(), pgstore.Config{URL: url, MaxConns: 4, Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Graph makes a graph of the test's own in s.
func Graph(t testing.TB, s graph.Store) graph.GraphInfo {
	t.Helper()
	info, created, err := s.EnsureGraph(t.Context(), GraphName(t))
	if err != nil || !created {
		t.Fatalf("make a graph: created %v, %v", created, err)
	}
	return info
}
