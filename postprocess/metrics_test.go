package postprocess

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/graphtide/graphtide/graph"
)

func TestMetricsTellTheBacklog(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	s := setup(t, rules(`
bad:
  on: {object: Thing, events: [create]}
  handler: {script: x.js}
  retries: 0`)+scripts("x.js", `export default () => { throw 1 }`), nil, func(c *Config) { c.Metrics = reg })
	s.create("Thing", `{}`)
	s.waitState("bad", graph.RunDead)
	s.first.svc.scheduler.wait() // its attempt is counted
	got, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range got {
		for _, v := range f.GetMetric() {
			name := f.GetName()
			for _, l := range v.GetLabel() {
				name += " " + l.GetValue()
			}
			values[name] = v.GetGauge().GetValue() + v.GetCounter().GetValue()
		}
	}
	if values["graphtide_runs dead"] != 1 || values["graphtide_commits_unmatched"] != 0 ||
		values["graphtide_run_attempts_ended_total dead"] != 1 || len(values) != 8 {
		t.Errorf("the metrics are %v", values)
	}
	if err := s.first.svc.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := reg.Gather(); err != nil || len(got) != 0 {
		t.Errorf("after Stop there are %d metrics, %v", len(got), err)
	}
}

// What waits is counted by rule, and how long it has waited.
func TestMetricsTellWhatWaitsAndForHowLong(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, open func(testing.TB, string, map[string]GoHandler, ...option) *system) {
		reg := prometheus.NewRegistry()
		began := make(chan struct{}, 10)
		s := open(t, rules(`
hang:
  on: {object: Thing, events: [create]}
  handler: {go: hang}`), map[string]GoHandler{"hang": func(ctx context.Context, _ *Call) (json.RawMessage, error) {
			began <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}}, func(c *Config) { c.Metrics, c.Concurrency = reg, 1 })
		for range 3 {
			s.create("Thing", `{}`)
		}
		take(t, began)
		s.waitRuns("hang", func(r []*graph.Run) bool { return len(r) == 3 })
		value := func(name string) (v float64) {
			got, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range got {
				for _, m := range f.GetMetric() {
					if f.GetName()+label(m) == name {
						v = m.GetGauge().GetValue()
					}
				}
			}
			return v
		}
		if n := value("graphtide_rule_backlog hang"); n != 3 {
			t.Errorf("the backlog is %v", n)
		}
		if n := value("graphtide_runs running") + value("graphtide_runs pending"); n != 3 {
			t.Errorf("%v are open", n)
		}
		first := value("graphtide_run_oldest_due_seconds")
		if second := value("graphtide_run_oldest_due_seconds"); first <= 0 || second <= first {
			t.Errorf("the oldest has waited for %v and then %v", first, second)
		}
	})
}

func label(m *dto.Metric) (text string) {
	for _, l := range m.GetLabel() {
		text += " " + l.GetValue()
	}
	return text
}
