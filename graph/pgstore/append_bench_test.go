package pgstore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/storetest"
	"github.com/graphtide/graphtide/internal/testdb"
)

// BenchmarkAppend changes objects one after the other, some commits an append,
// and prints commits/s and the median time of an append. With
// GRAPHTIDE_TEST_DATABASE_URL it measures a durable server; the tests' own has
// fsync off.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{300, 100 << 10} {
		for _, commits := range []int{1, 16, 60, 100} {
			if size > 1000 && commits > 16 {
				continue
			}
			b.Run(fmt.Sprintf("bytes=%d/commits=%d", size, commits), func(b *testing.B) {
				benchmarkAppend(b, size, commits)
			})
		}
	}
}

func benchmarkAppend(b *testing.B, size, commits int) {
	s := testdb.Store(b)
	f := newFeed(b, s, 1000, size)
	var took []time.Duration
	start := time.Now()
	for b.Loop() {
		batch := f.next(commits)
		before := time.Now()
		res, err := s.Append(b.Context(), batch)
		took = append(took, time.Since(before))
		if err != nil || res.Moved || len(res.Hits) > 0 {
			b.Fatalf("%+v, %v", res, err)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(len(took)*commits)/time.Since(start).Seconds(), "commits/s")
	b.ReportMetric(took[len(took)/2].Seconds()*1e3, "p50-ms")
	b.ReportMetric(0, "ns/op")
}

// feed makes batches of changes: each replaces one property of the next object.
type feed struct {
	graph   graph.GraphKey
	head    graph.Head
	objects []*graph.Object
	text    string
	turn    int
}

func newFeed(b *testing.B, s graph.Store, objects, size int) *feed {
	w := storetest.NewWorld(b, s)
	f := &feed{graph: w.Info.Key}
	for len(f.text) < size {
		f.text += "The quick brown fox jumps over the lazy dog. " + strings.ToUpper(uuid.NewString())
	}
	f.text = f.text[:size]
	for range 10 {
		w.Commit(func(d *storetest.Draft) {
			for range objects / 10 {
				d.Create(`{}`)
			}
			for i := range d.Changes {
				f.objects = append(f.objects, d.Changes[i].ObjAfter)
			}
		})
	}
	f.head = w.Head
	return f
}

func (f *feed) next(commits int) *graph.Batch {
	batch := &graph.Batch{Graph: f.graph, Expect: f.head}
	at := time.Now().UTC().Truncate(time.Millisecond)
	for range commits {
		f.head.Version++
		f.turn++
		before := f.objects[f.turn%len(f.objects)]
		after := *before
		after.Body = fmt.Appendf(nil, `{"title":%q,"n":%d}`, f.text, f.turn)
		after.Meta.Version, after.Meta.UpdatedAt, after.Meta.UpdatedBy = f.head.Version, at, "ann"
		f.objects[f.turn%len(f.objects)] = &after
		done := fmt.Appendf(nil, `[{"op":"replace","path":"/objects/%s/body/n","value":%d}]`, after.ID, f.turn)
		batch.Commits = append(batch.Commits, &graph.Commit{
			Version: f.head.Version, At: at, SchemaVer: f.head.SchemaVer,
			Author: graph.Principal{User: "ann", Teams: []string{"blue"}, Org: "acme"}, Mutation: uuid.NewString(), Hash: make([]byte, 32),
			Cause: graph.Cause{Kind: graph.CauseClient}, Asked: done, Done: done,
			Changes: []graph.Change{{Ref: graph.ObjectRef(after.ID), Event: graph.Modified, ObjBefore: before, ObjAfter: &after, BodyChanged: true}},
		})
	}
	return batch
}
