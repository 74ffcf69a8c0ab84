package replica

import "github.com/prometheus/client_golang/prometheus"

// The levels at which a part of a graph is looked for.
const (
	levelMemory   = "memory"
	levelImage    = "image"
	levelRedis    = "redis"
	levelPostgres = "postgres"
)

// metrics tell how often each level had what was asked for.
type metrics struct {
	hit, miss         prometheus.Counter // tries of reads
	units             *prometheus.CounterVec
	loaded            *prometheus.CounterVec
	queries, befores  prometheus.Counter
	evictions         prometheus.Counter
	dropped, rejected prometheus.Counter
}

func newMetrics(s *Set) *metrics {
	reads := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "graphtide_replica_reads_total",
		Help: "Reads of replicas: answered from memory (hit), or tried again after a load (miss)."}, []string{"result"})
	m := &metrics{
		hit: reads.WithLabelValues("hit"), miss: reads.WithLabelValues("miss"),
		units: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "graphtide_replica_units_total",
			Help: "Parts of graphs (an object with its edges, a set of edges, a type) looked for at each level."}, []string{"level", "result"}),
		loaded: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "graphtide_replica_entities_total",
			Help: "Objects and edges taken into replicas from each level."}, []string{"level"}),
		queries: prometheus.NewCounter(prometheus.CounterOpts{Name: "graphtide_replica_queries_total",
			Help: "Reads of parts of graphs from Postgres."}),
		befores: prometheus.NewCounter(prometheus.CounterOpts{Name: "graphtide_replica_befores_total",
			Help: "Entities changed by another node whose state before had to be read from Postgres."}),
		evictions: prometheus.NewCounter(prometheus.CounterOpts{Name: "graphtide_replica_evictions_total",
			Help: "Objects evicted from replicas, with their edges."}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "graphtide_replica_writes_dropped_total",
			Help: "Parts of graphs that were not written to Redis, because too many waited."}),
		rejected: prometheus.NewCounter(prometheus.CounterOpts{Name: "graphtide_replica_entries_rejected_total",
			Help: "Entries of Redis that could not be read, or belonged to something else."}),
	}
	if s.cfg.Metrics != nil {
		s.cfg.Metrics.MustRegister(reads, m.units, m.loaded, m.queries, m.befores, m.evictions, m.dropped, m.rejected,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "graphtide_replica_bytes",
				Help: "About what the replicas of this node take."}, func() float64 { return float64(s.bytes.Load()) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "graphtide_replica_bytes_limit",
				Help: "What they may take before something is evicted."}, func() float64 { return float64(s.cfg.Bytes) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "graphtide_replica_graphs",
				Help: "Graphs that are open on this node."}, func() float64 { return float64(len(s.Opened())) }))
	}
	return m
}
