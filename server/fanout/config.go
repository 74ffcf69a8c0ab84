package fanout

import (
	"context"
	"log/slog"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/schema"
	"github.com/graphtide/graphtide/server/protocol"
)

// Defaults of Config.
const (
	DefaultHelloTimeout = 10 * time.Second
	DefaultStall        = 30 * time.Second
	DefaultPing         = 15 * time.Second
	DefaultIdle         = 25 * time.Second
	DefaultLinger       = 30 * time.Second
	DefaultFeedBytes    = 32 << 20
	DefaultRate         = 1000
	DefaultInFlight     = 1024
	DefaultSessions     = 50_000
	DefaultPerUser      = 20_000
)

// Config says what a Hub works with.
type Config struct {
	Replicas  *replica.Set
	Store     graph.Store // looks up which pending mutations were committed
	Submitter graph.Submitter
	Live      *schema.Live
	// Authenticate turns a token ("" where none was sent) that was shown to a
	// graph into its principal and the time at which it ends (zero: never).
	// CodeUnavailable says that it cannot be judged now; every other error is a
	// refusal. Whether the principal may open the graph is asked apart.
	Authenticate func(ctx context.Context, graphName, token string) (graph.Principal, time.Time, error)
	Limits       graph.Limits
	// AllowedOrigins are the origins, scheme and port included, whose pages may
	// connect; the server's own may always.
	AllowedOrigins []string
	// Peers joins the hubs of one deployment: presence, and sessions that
	// connect to another node. nil: this hub is alone.
	Peers Peers
	// Owners remembers for all hubs of a deployment whose session an id is. nil:
	// this hub knows by itself.
	Owners  Owners
	Dev     bool                  // pages of every loopback origin may connect
	Log     *slog.Logger          // nil: slog.Default()
	Metrics prometheus.Registerer // nil: none are kept

	HelloTimeout time.Duration // from the upgrade to the hello. Default: DefaultHelloTimeout
	Stall        time.Duration // a peer that has not read for so long is let go. Default: DefaultStall
	Ping         time.Duration // between two pings. Default: DefaultPing
	Idle         time.Duration // between two `at` messages. Default: DefaultIdle
	// Linger is how long a view that nobody subscribes to is kept up to date,
	// for those who come back. Default: DefaultLinger.
	Linger time.Duration
	// FeedBytes bounds what is kept of the recent deltas of one graph: half of it, or
	// more where there is room, for their texts, the rest for what they did. A session
	// that has not read those dropped gets one merged delta. As much again bounds the
	// encoded loads that are kept for others to share. Default: DefaultFeedBytes.
	FeedBytes int
	// Rate is how many messages a second one session may send, five times as
	// many at once; mutations are not counted. Default: DefaultRate.
	Rate float64
	// InFlight is how many mutations of a session may be unanswered; the session
	// is not read from while there are more. Default: DefaultInFlight.
	InFlight int
	// Sessions bounds the connections of the node, SessionsPerUser those of one
	// user, SessionsPerAddress those from one address (a balancer's is that of
	// everybody behind it). Below 0 there is no bound. Defaults: DefaultSessions,
	// DefaultPerUser, no bound.
	Sessions, SessionsPerUser, SessionsPerAddress int
	// Compress lets clients have their messages compressed, each alone.
	Compress bool
}

// compression gives the library's name for it: without context takeover, whose
// tables take more than a megabyte a connection.
func (c *Config) compression() websocket.CompressionMode {
	if c.Compress {
		return websocket.CompressionNoContextTakeover
	}
	return websocket.CompressionDisabled
}

// bounds gives what a session is told beside the limits of the graph.
func (c *Config) bounds() protocol.SessionBounds {
	return protocol.SessionBounds{
		Messages: int(c.Rate), Burst: int(c.Rate * burst), InFlight: c.InFlight, InFlightBytes: maxFlying, WaitingBytes: maxWaiting,
		Present: maxPresent, Sessions: max(c.Sessions, 0), PerUser: max(c.SessionsPerUser, 0), PerAddress: max(c.SessionsPerAddress, 0),
		HelloMs: c.HelloTimeout.Milliseconds(), StallMs: c.Stall.Milliseconds(),
		NameBytes: protocol.MaxName, NoteCharacters: protocol.MaxNote,
	}
}

// WithDefaults fills in what is zero.
func (c Config) WithDefaults() Config {
	c.Limits = c.Limits.WithDefaults()
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	for _, d := range []struct {
		p *time.Duration
		v time.Duration
	}{{&c.HelloTimeout, DefaultHelloTimeout}, {&c.Stall, DefaultStall}, {&c.Ping, DefaultPing}, {&c.Idle, DefaultIdle}, {&c.Linger, DefaultLinger}} {
		if *d.p == 0 {
			*d.p = d.v
		}
	}
	if c.FeedBytes == 0 {
		c.FeedBytes = DefaultFeedBytes
	}
	if c.Rate == 0 {
		c.Rate = DefaultRate
	}
	if c.InFlight == 0 {
		c.InFlight = DefaultInFlight
	}
	if c.Sessions == 0 {
		c.Sessions = DefaultSessions
	}
	if c.SessionsPerUser == 0 {
		c.SessionsPerUser = DefaultPerUser
	}
	return c
}
