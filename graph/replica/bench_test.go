package replica_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/graph/replica"
)

// workbook gives a replica of one DataStore with records of about 300 bytes.
func workbook(b *testing.B, records int) (*world, *replica.Replica, *graph.Object) {
	b.Helper()
	w := worldIn(b, memstore.New(), graph.MainGraph)
	var store *graph.Object
	w.commit(b, func(x *tx) {
		store = x.create("DataStore", `{"name":"Q3"}`, acl("ann"))
		for i := range records {
			body := fmt.Sprintf(`{"values":{"title":"record %d","note":"%0200d"},"rank":%d}`, i, i, i*7919%records)
			r := x.create("Record", body, acl("a"))
			x.link("a", r.ID, store.ID, `{}`)
		}
	})
	set := replica.New(replica.Config{Store: w.store})
	b.Cleanup(func() { set.Stop(context.Background()) })
	r, err := set.Open(b.Context(), graph.MainGraph)
	if err != nil {
		b.Fatal(err)
	}
	return w, r, store
}

// BenchmarkLoad computes the projection of a workbook, and writes it.
func BenchmarkLoad(b *testing.B) {
	ordered := follow("a", true, 0)
	ordered.Order = []graph.OrderKey{{Path: graph.Path{Tokens: []string{"body", "rank"}}}}
	filtered := follow("a", true, 0)
	filtered.Where = &graph.Cond{Op: graph.CondGte, Path: graph.Path{Tokens: []string{"body", "rank"}}, Values: []json.RawMessage{json.RawMessage(`0`)}}
	for _, c := range []struct {
		name   string
		step   *graph.Step
		p      *graph.Principal
		encode bool
	}{
		{"plain/admin", follow("a", true, 0), admin, false},
		{"plain/user", follow("a", true, 0), ann, false},
		{"filtered/user", filtered, ann, false},
		{"ordered/user", ordered, ann, false},
		{"plain/user/encoded", follow("a", true, 0), ann, true},
	} {
		for _, n := range []int{1_000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				_, r, root := workbook(b, n)
				proj := named([]*graph.Step{c.step}, root.ID)
				var text []byte
				for b.Loop() {
					var res *replica.Result
					r.Read(context.Background(), func(st *replica.State) {
						var err *graph.Error
						if res, err = replica.Evaluate(st, st, testTypes, c.p, proj, graph.Limits{}); err != nil {
							b.Fatal(err)
						}
					})
					if len(res.Objects) != n+1 {
						b.Fatalf("%d objects", len(res.Objects))
					}
					if c.encode {
						text = replica.AppendResult(text[:0], res, nil)
					}
				}
			})
		}
	}
}

// BenchmarkApply applies commits that change one record each.
func BenchmarkApply(b *testing.B) {
	w, r, _ := workbook(b, 10_000)
	records := w.sortedObjects()
	commits := make([]*graph.Commit, b.N)
	for i := range commits {
		after := *records[i%len(records)]
		after.Meta.Version = graph.Version(i + 2)
		commits[i] = &graph.Commit{
			Version: graph.Version(i + 2),
			Changes: []graph.Change{{Ref: graph.ObjectRef(after.ID), Event: graph.Modified, ObjAfter: &after}},
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range commits {
		if err := r.Apply(commits[i : i+1]); err != nil {
			b.Fatal(err)
		}
	}
}
