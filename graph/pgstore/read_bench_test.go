package pgstore_test

import (
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/storetest"
	"github.com/graphtide/graphtide/internal/testdb"
)

// BenchmarkState streams a graph of 20,000 objects of 300 bytes, as a node does
// that opens it.
func BenchmarkState(b *testing.B) {
	s := testdb.Store(b)
	w := storetest.NewWorld(b, s)
	body := bodyOf(300, 1)
	for range 4 {
		w.Commit(func(d *storetest.Draft) {
			for range 5000 {
				d.Create(body)
			}
		})
	}
	b.Run("present", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.State(b.Context(), w.Info.Key, discard); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("past", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.StateAt(b.Context(), w.Info.Key, 4, discard); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func discard([]*graph.Object, []*graph.Edge) error { return nil }

// BenchmarkLog reads 1,000 commits of one change each, as a follower does that
// has fallen behind, and the last one, as one does that has not.
func BenchmarkLog(b *testing.B) {
	s := testdb.Store(b)
	f := newFeed(b, s, 1000, 300)
	for range 20 {
		if _, err := s.Append(b.Context(), f.next(100)); err != nil {
			b.Fatal(err)
		}
	}
	for name, limit := range map[string]int{"behind": 1000, "last": 1} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				log, err := s.Log(b.Context(), f.graph, f.head.Version-graph.Version(limit), 1000)
				if err != nil || len(log) != limit {
					b.Fatal(len(log), err)
				}
			}
		})
	}
}
