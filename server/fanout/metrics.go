package fanout

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/graphtide/graphtide/server/protocol"
)

// metrics count what the hub does.
type metrics struct {
	sessions prometheus.Gauge
	views    prometheus.Gauge
	sent     prometheus.Counter
	bytes    prometheus.Counter
	deltas   prometheus.Counter
	lagged   prometheus.Counter
	resets   prometheus.Counter
	computed prometheus.Counter
	lookups  prometheus.Counter
	closed   *prometheus.CounterVec
	// disagreed counts entities that the second check of rights held back.
	disagreed prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &metrics{
		sessions:  gauge("graphtide_sync_sessions", "Open sessions."),
		views:     gauge("graphtide_sync_views", "Live views."),
		sent:      counter("graphtide_sync_writes_total", "Messages written to sessions."),
		bytes:     counter("graphtide_sync_bytes_total", "Bytes written to sessions."),
		deltas:    counter("graphtide_sync_deltas_total", "Deltas published, each counted once however many sessions read it."),
		lagged:    counter("graphtide_sync_lagging_total", "Times that a session fell behind and was sent a merged delta."),
		resets:    counter("graphtide_sync_resets_total", "Loads that could not build on what the client held."),
		computed:  counter("graphtide_sync_view_evaluations_total", "Evaluations of whole views."),
		lookups:   counter("graphtide_sync_lookups_total", "Times that the log was read for somebody who came back from beyond the recent commits."),
		closed:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "graphtide_sync_closed_total", Help: "Connections closed by the server."}, []string{"code"}),
		disagreed: counter("graphtide_sync_read_check_disagreements_total", "Entities held back by the second check of rights. Anything but 0 is a bug."),
	}
	reg.MustRegister(m.sessions, m.views, m.sent, m.bytes, m.deltas, m.lagged, m.resets, m.computed, m.lookups, m.closed, m.disagreed)
	return m
}

func (m *metrics) close(code protocol.CloseCode) {
	m.closed.WithLabelValues(strconv.Itoa(int(code))).Inc()
}
