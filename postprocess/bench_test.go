package postprocess

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// BenchmarkCommitToHandler measures, on an idle system over Postgres, the time
// from the acknowledgement of a commit to the start of the handler it fires.
func BenchmarkCommitToHandler(b *testing.B) {
	for _, kind := range []string{"rule", "operation"} {
		b.Run(kind, func(b *testing.B) {
			began := make(chan time.Time, 1)
			note := map[string]GoHandler{"note": func(context.Context, *Call) (json.RawMessage, error) {
				began <- time.Now()
				return nil, nil
			}}
			s := setupPostgres(b, things+`
rules:
  note: {on: {object: Thing, events: [create]}, handler: {go: note}}
operations:
  note: {handler: {go: note}}
`, note)
			var took []time.Duration
			for b.Loop() {
				// What came before has ended: the system is idle.
				s.waitRuns("note", func(runs []*graph.Run) bool {
					return !slices.ContainsFunc(runs[max(0, len(runs)-2):], func(r *graph.Run) bool { return !r.State.Final() })
				})
				if kind == "rule" {
					s.create("Thing", `{}`)
				} else {
					s.operation("note", `{}`)
				}
				acked := time.Now()
				took = append(took, (<-began).Sub(acked))
			}
			slices.Sort(took)
			for _, p := range []int{50, 99} {
				b.ReportMetric(float64(took[len(took)*p/100].Microseconds()), fmt.Sprintf("p%d-µs", p))
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
