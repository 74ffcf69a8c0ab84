package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
)

// BenchmarkSubmit is one replaced property of a 300-byte object, on memory (the
// pipeline's own cost) and on Postgres, by writers in flight.
func BenchmarkSubmit(b *testing.B) {
	for _, store := range []string{"memory", "postgres"} {
		for _, writers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/%d", store, writers), func(b *testing.B) {
				var st graph.Store = memstore.New()
				if store == "postgres" {
					st = ownDatabase(b)
				}
				s := setupOn(b, st, graph.Limits{})
				objects := make([]string, 64)
				for i := range objects {
					objects[i] = id()
					s.do(ann, `[{"op":"add","path":"/objects/`+objects[i]+`","value":{"type":"DataStore","body":{"name":"`+strings.Repeat("n", 190)+`","tags":["`+strings.Repeat("t", 80)+`"]}}}]`)
				}
				b.ReportAllocs()
				b.ResetTimer()
				var wg sync.WaitGroup
				for w := range writers {
					wg.Add(1)
					go func() {
						defer wg.Done()
						for i := w; i < b.N; i += writers {
							m := &graph.Mutation{Author: ann, Patch: fmt.Appendf(nil, `[{"op":"replace","path":"/objects/%s/body/size","value":%d}]`, objects[w%64], i+2)}
							if _, err := s.Submit(context.Background(), s.graph, m); err != nil {
								b.Error(err)
								return
							}
						}
					}()
				}
				wg.Wait()
			})
		}
	}
}

// BenchmarkSubmitMany is one transaction that makes 150 records and links each.
func BenchmarkSubmitMany(b *testing.B) {
	s := setupOn(b, memstore.New(), graph.Limits{})
	ds := s.dataStore()
	b.ReportAllocs()
	for range b.N {
		var p strings.Builder
		for range 150 {
			rid := id()
			fmt.Fprintf(&p, `,{"op":"add","path":"/objects/%s","value":{"type":"Record","body":{"values":{"name":"x","n":1}}}},{"op":"add","path":"/edges/%s","value":{"label":"dataStore","from":"%s","to":"%s"}}`, rid, id(), rid, ds)
		}
		s.do(ann, "["+p.String()[1:]+"]")
	}
}
