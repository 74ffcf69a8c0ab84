package server

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// Defaults of Config.
const (
	DefaultListen        = "127.0.0.1:7420"
	DefaultWait          = 10 * time.Second
	DefaultDrain         = 10 * time.Second
	DefaultHeartbeat     = 15 * time.Second
	DefaultMaxLag        = 10_000
	DefaultRateBurst     = 50
	headerTimeout        = 5 * time.Second
	bodyTimeout          = 30 * time.Second
	writeTimeout         = 2 * time.Minute
	streamWriteTimeout   = 30 * time.Second
	idleTimeout          = 2 * time.Minute
	maxRequestHeaderSize = 32 << 10
	hearOutBytes         = 128 << 20 // of a body that is too large, read to be thrown away
)

// Config says how the server behaves.
type Config struct {
	// Listen is the address to listen on; "" is DefaultListen. In dev it must
	// be a loopback address.
	Listen string
	// Dev refuses requests whose Host is not a loopback name, and trusts the
	// origins of loopback pages.
	Dev bool
	// AllowedOrigins are the origins, scheme and port included, whose pages may
	// use the API (`https://app.example.com`). The server's own origin always
	// may. `*` is refused.
	AllowedOrigins []string
	// Limits bound requests; zero fields take graph's defaults.
	Limits graph.Limits
	// Rate is how many requests a second one user may send; 0 is no limit.
	Rate float64
	// RateBurst is how many of them may come at once; 0 is DefaultRateBurst.
	RateBurst int
	// Wait bounds how long a read waits for Graphtide-Min-Version; 0 is
	// DefaultWait.
	Wait time.Duration
	// Drain bounds the graceful end; 0 is DefaultDrain.
	Drain time.Duration
	// Heartbeat is how often an idle event stream sends a comment; 0 is
	// DefaultHeartbeat.
	Heartbeat time.Duration
	// MaxLag is how many commits the node may be behind and still be ready; 0
	// is DefaultMaxLag.
	MaxLag int
	// ProbesOnly serves /healthz, /readyz, /metrics and /version and nothing
	// else: what a worker needs.
	ProbesOnly bool
	// Version is the build's, for GET /version; "" is taken from the binary.
	Version string
}

// WithDefaults fills in what is zero.
func (c Config) WithDefaults() Config {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	c.Limits = c.Limits.WithDefaults()
	for _, d := range []struct {
		p *time.Duration
		v time.Duration
	}{{&c.Wait, DefaultWait}, {&c.Drain, DefaultDrain}, {&c.Heartbeat, DefaultHeartbeat}} {
		if *d.p == 0 {
			*d.p = d.v
		}
	}
	if c.RateBurst == 0 {
		c.RateBurst = DefaultRateBurst
	}
	if c.MaxLag == 0 {
		c.MaxLag = DefaultMaxLag
	}
	if c.Version == "" {
		c.Version = buildVersion()
	}
	return c
}

func (c *Config) validate(log *slog.Logger) error {
	for _, o := range c.AllowedOrigins {
		u, err := url.Parse(o)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.Scheme+"://"+u.Host != strings.ToLower(o) {
			return fmt.Errorf("allowed origin %q: write it as scheme://host[:port], exactly as browsers send it", o)
		}
	}
	if c.Dev && !loopbackHost(c.Listen) {
		return fmt.Errorf("dev listens on loopback alone, not on %s: without a token everybody is its admin", c.Listen)
	}
	if c.Rate < 0 || c.RateBurst < 0 || c.Wait < 0 || c.Drain < 0 || c.Heartbeat < 0 || c.MaxLag < 0 {
		return fmt.Errorf("a rate, a duration or a bound below zero")
	}
	if c.Rate > 0 && c.Rate < 1 {
		log.Warn("less than one request a second for each user", "rate", c.Rate)
	}
	return nil
}
