package server

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the server's own; other packages register theirs in the same
// registry.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	panics   prometheus.Counter
	// disagreed counts entities that the second check of rights held back: the
	// two evaluators contradict each other, which is a fault of ours.
	disagreed prometheus.Counter
	streams   prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "graphtide_http_requests_total", Help: "Requests answered.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "graphtide_http_request_seconds", Help: "Time to answer a request.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route", "method"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "graphtide_http_panics_total", Help: "Requests that ended in a panic.",
		}),
		disagreed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "graphtide_read_check_disagreements_total", Help: "Entities held back by the second check of rights. Anything but 0 is a bug.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "graphtide_log_streams", Help: "Open event streams of logs.",
		}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.panics, m.disagreed, m.streams} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) request(route, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, knownMethod(method), strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route, knownMethod(method)).Observe(took.Seconds())
}

// knownMethod keeps made-up methods from becoming time series.
func knownMethod(m string) string {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return m
	}
	return "other"
}
