package postprocess

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

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
