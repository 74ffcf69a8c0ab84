package postprocess

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/google/uuid"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/postprocess/lambda"
	"github.com/graphtide/graphtide/postprocess/script"
	"github.com/graphtide/graphtide/schema"
)

// The defaults of Config, and bounds that are not options.
const (
	DefaultLease             = 5 * time.Second
	DefaultTaskCheckInterval = 20 * time.Millisecond
	// DefaultDelayedTaskCheckInterval is short: a task waits there for no more
	// than a free slot.
	DefaultDelayedTaskCheckInterval = 100 * time.Millisecond
	DefaultSweep                    = time.Second
	DefaultRetryDelay               = time.Second
	DefaultRuleTimeout              = 30 * time.Second
	DefaultOperationTimeout         = 10 * time.Minute
	DefaultCancelGrace              = 10 * time.Second
	DefaultKeepRuns                 = 30 * 24 * time.Hour

	// MaxDepth is how many runs may follow from one commit in line.
	MaxDepth = 8

	cursorPause  = time.Second      // the cursor moves no oftener where nothing matches
	followerIdle = 10 * time.Minute // a graph without commits is no longer followed
	maxDelay     = 10 * time.Minute // between two attempts
)

// GoHandler handles a run in Go. Its answer is JSON as a webhook would give it,
// or nil. It must return when ctx ends.
type GoHandler func(ctx context.Context, call *Call) (answer json.RawMessage, err error)

// Config says how post-processing works.
type Config struct {
	// Node names this process among all; "": the host's name and a random part.
	Node string
	// RedisURL is where the queue is (redis://… or rediss://…, or
	// redis-sentinel://…); "": none, runs then wait for the sweeper where no
	// slot is free.
	RedisURL string
	// Queue parts several servers on one Redis; "": graphtide.
	Queue string
	// Concurrency is how many attempts run at a time; 0: 16 a processor. One
	// rule has at most half of those that the others leave.
	Concurrency int
	// TaskCheckInterval is the pause between two looks at an empty queue, and
	// DelayedTaskCheckInterval for tasks that found every node busy. 0:
	// DefaultTaskCheckInterval, DefaultDelayedTaskCheckInterval.
	TaskCheckInterval, DelayedTaskCheckInterval time.Duration
	// Lease is how long a claim lasts without a sign of life; 0: DefaultLease.
	Lease time.Duration
	// Sweep is the pause between two looks for runs that nobody took, and for
	// graphs that nobody follows. 0: DefaultSweep.
	Sweep time.Duration
	// RetryDelay is the pause before the first retry; it doubles. 0:
	// DefaultRetryDelay.
	RetryDelay time.Duration
	// CancelGrace is how long a handler may go on once its operation was asked to
	// stop; 0: DefaultCancelGrace.
	CancelGrace time.Duration
	// KeepRuns is how long runs are kept after their end; 0: DefaultKeepRuns,
	// below 0: for ever.
	KeepRuns time.Duration
	// AllowPrivateWebhooks lets webhooks reach private addresses and plain http.
	AllowPrivateWebhooks bool
	// PublicURL is where handlers on the network reach this server, without a
	// slash at the end; "": webhooks get no url.
	PublicURL string
	// Getenv resolves ${env:NAME} in secrets; nil: os.LookupEnv.
	Getenv func(name string) (string, bool)
	// Go has the handlers written in Go, by name.
	Go     map[string]GoHandler
	Limits graph.Limits
	Script script.Limits
	Lambda lambda.Config
	Log    *slog.Logger // nil: slog.Default()
	// Metrics registers the gauges; nil: none.
	Metrics prometheus.Registerer
}

// Deps are the parts of the server that post-processing stands on.
type Deps struct {
	Store     graph.Store
	Runs      graph.RunStore
	Replicas  *replica.Set
	Schema    *schema.Live
	Submitter graph.Submitter
	Hints     graph.Hints // nil: new commits of other nodes are found by looking
}

// WithDefaults fills in what is zero.
func (c Config) WithDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&c.Lease, DefaultLease)
	def(&c.TaskCheckInterval, DefaultTaskCheckInterval)
	def(&c.DelayedTaskCheckInterval, DefaultDelayedTaskCheckInterval)
	def(&c.Sweep, DefaultSweep)
	def(&c.RetryDelay, DefaultRetryDelay)
	def(&c.CancelGrace, DefaultCancelGrace)
	if c.KeepRuns == 0 {
		c.KeepRuns = DefaultKeepRuns
	}
	if c.Node == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "node"
		}
		c.Node = host + "-" + uuid.NewString()[:8]
	}
	if c.Queue == "" {
		c.Queue = "graphtide"
	}
	if c.Concurrency <= 0 {
		c.Concurrency = 16 * runtime.GOMAXPROCS(0)
	}
	if c.Getenv == nil {
		c.Getenv = os.LookupEnv
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	c.Limits = c.Limits.WithDefaults()
	return c
}

func (d Deps) validate() error {
	if d.Store == nil || d.Runs == nil || d.Replicas == nil || d.Schema == nil || d.Submitter == nil {
		return errors.New("postprocess: Store, Runs, Replicas, Schema and Submitter are needed")
	}
	return nil
}
