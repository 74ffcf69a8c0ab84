package postprocess

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/graphtide/graphtide/graph"
)

// metrics tell how post-processing does. The gauges are read from the runs when
// they are asked for, and are the same on every node.
type metrics struct {
	reg   prometheus.Registerer
	runs  graph.RunStore
	ended *prometheus.CounterVec

	byState, byRule, oldest, behind, behindFor *prometheus.Desc
}

func newMetrics(reg prometheus.Registerer, runs graph.RunStore) (*metrics, error) {
	m := &metrics{
		reg: reg, runs: runs,
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "graphtide_run_attempts_ended_total", Help: "Attempts that ended on this node, by the state that the run got.",
		}, []string{"state"}),
		byState: prometheus.NewDesc("graphtide_runs", "Runs that have not ended, and dead ones, by state.", []string{"state"}, nil),
		oldest:  prometheus.NewDesc("graphtide_run_oldest_due_seconds", "How long the longest-waiting run has been due.", nil, nil),
		byRule:  prometheus.NewDesc("graphtide_rule_backlog", "Runs that are due or under way, by rule or operation, of all graphs.", []string{"rule"}, nil),
		behind:  prometheus.NewDesc("graphtide_commits_unmatched", "Commits that rules have not been matched with yet.", nil, nil),

		behindFor: prometheus.NewDesc("graphtide_commits_unmatched_oldest_seconds", "How long ago the oldest of them was made.", nil, nil),
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.ended), reg.Register(m))
}

func (m *metrics) close() {
	if m.reg != nil {
		m.reg.Unregister(m.ended)
		m.reg.Unregister(m)
	}
}

// Describe names the gauges.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.byState
	ch <- m.byRule
	ch <- m.oldest
	ch <- m.behind
	ch <- m.behindFor
}

// Collect reads the gauges.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	st, err := m.runs.Stats(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(m.behind, err)
		return
	}
	for _, s := range []graph.RunState{graph.RunPending, graph.RunRunning, graph.RunRetrying, graph.RunDead} {
		ch <- prometheus.MustNewConstMetric(m.byState, prometheus.GaugeValue, float64(st.ByState[s]), string(s))
	}
	for rule, n := range st.ByRule {
		ch <- prometheus.MustNewConstMetric(m.byRule, prometheus.GaugeValue, float64(n), rule)
	}
	ch <- prometheus.MustNewConstMetric(m.behindFor, prometheus.GaugeValue, st.BehindFor.Seconds())
	ch <- prometheus.MustNewConstMetric(m.oldest, prometheus.GaugeValue, st.Oldest.Seconds())
	ch <- prometheus.MustNewConstMetric(m.behind, prometheus.GaugeValue, float64(st.Behind))
}

// count notes the end of an attempt.
func (s *Service) count(state graph.RunState) { s.metrics.ended.WithLabelValues(string(state)).Inc() }
