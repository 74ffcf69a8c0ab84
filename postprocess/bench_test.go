package postprocess

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/internal/testdb"
	"github.com/graphtide/graphtide/migrations"
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

// timedRuns counts the statements of a kind, and how long they took.
type timedRuns struct {
	graph.RunStore
	claims, finishes, sweeps, dispatches timing
}

type timing struct{ n, ns, items atomic.Int64 }

func (t *timing) note(began time.Time, items int) {
	t.n.Add(1)
	t.ns.Add(int64(time.Since(began)))
	t.items.Add(int64(items))
}

func (t *timing) report(b *testing.B, name string, runs int) {
	n := max(1, t.n.Load())
	b.ReportMetric(float64(t.n.Load())/float64(runs), name+"/run")
	b.ReportMetric(float64(t.ns.Load())/float64(n)/1e3, name+"-µs")
}

func (r *timedRuns) Claim(ctx context.Context, c graph.RunClaims) ([]*graph.Run, error) {
	defer r.claims.note(time.Now(), len(c.Runs))
	return r.RunStore.Claim(ctx, c)
}

func (r *timedRuns) Finish(ctx context.Context, g graph.GraphKey, ends []graph.RunEnd) ([]bool, []graph.RunRef, error) {
	defer r.finishes.note(time.Now(), len(ends))
	return r.RunStore.Finish(ctx, g, ends)
}

func (r *timedRuns) Overdue(ctx context.Context, grace time.Duration, limit, perRule int) ([]graph.RunRef, error) {
	defer r.sweeps.note(time.Now(), 0)
	return r.RunStore.Overdue(ctx, grace, limit, perRule)
}

func (r *timedRuns) Dispatch(ctx context.Context, d *graph.Dispatch) (graph.Dispatched, error) {
	defer r.dispatches.note(time.Now(), len(d.Runs))
	return r.RunStore.Dispatch(ctx, d)
}

// BenchmarkRuns measures runs a second over Postgres without a queue, and how
// many statements a run takes: that does not depend on who else is at work.
func BenchmarkRuns(b *testing.B) {
	const crowd = 1000
	var left atomic.Int64
	done := make(chan struct{}, 1)
	url := testdb.EmptyURL(b)
	if err := migrations.Up(b.Context(), url); err != nil {
		b.Fatal(err)
	}
	store := testdb.Open(b, url)
	timed := &timedRuns{RunStore: pgstore.NewRuns(store.Pool())}
	s := begin(b, store, timed, things+`
rules:
  note: {on: {object: Thing, events: [create]}, handler: {go: note}}
`, map[string]GoHandler{"note": func(context.Context, *Call) (json.RawMessage, error) {
		if left.Add(-1) == 0 {
			done <- struct{}{}
		}
		return nil, nil
	}}, func(c *Config) { c.Sweep, c.Lease = DefaultSweep, DefaultLease })
	runs := 0
	for b.Loop() {
		left.Store(crowd)
		for range crowd / 50 {
			ops := []byte{'['}
			for i := range 50 {
				ops = fmt.Appendf(separate(ops, i), `{"op":"add","path":"/objects/%s","value":{"type":"Thing","body":{}}}`, newID())
			}
			s.patch(ann, string(append(ops, ']')))
		}
		<-done
		runs += crowd
	}
	b.ReportMetric(float64(runs)/b.Elapsed().Seconds(), "runs/s")
	timed.claims.report(b, "claims", runs)
	timed.finishes.report(b, "ends", runs)
	timed.dispatches.report(b, "dispatches", runs)
	timed.sweeps.report(b, "sweeps", runs)
	b.ReportMetric(0, "ns/op")
}
