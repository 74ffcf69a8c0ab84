package server

import (
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/graphtide/graphtide/graph"
)

// limiter holds one token bucket a user; nil limits nothing.
type limiter struct {
	rate  rate.Limit
	burst int
	clock graph.Clock

	mu      sync.Mutex // guards the fields below
	buckets map[string]*rate.Limiter
	swept   time.Time
}

// sweepEvery is how often full buckets are thrown away: a full bucket is the
// same as none.
const sweepEvery = time.Minute

func newLimiter(perSecond float64, burst int, clock graph.Clock) *limiter {
	if perSecond <= 0 {
		return nil
	}
	if clock == nil {
		clock = time.Now
	}
	return &limiter{rate: rate.Limit(perSecond), burst: burst, clock: clock, buckets: map[string]*rate.Limiter{}, swept: clock()}
}

// take takes one request of the user's, or refuses it. Those without a name
// share the bucket of their address.
func (l *limiter) take(p *graph.Principal, r *http.Request) error {
	if l == nil {
		return nil
	}
	key := "user:" + p.User
	if p.User == "" {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		key = "address:" + host
	}
	now := l.clock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.swept) > sweepEvery {
		for k, b := range l.buckets {
			if b.TokensAt(now) >= float64(l.burst) {
				delete(l.buckets, k)
			}
		}
		l.swept = now
	}
	b := l.buckets[key]
	if b == nil {
		b = rate.NewLimiter(l.rate, l.burst)
		l.buckets[key] = b
	}
	if b.AllowN(now, 1) {
		return nil
	}
	e := graph.Errf(graph.CodeRateLimited, "more than %g requests a second", float64(l.rate))
	e.RetryAfter = time.Duration((1 - b.TokensAt(now)) / float64(l.rate) * float64(time.Second))
	return e
}
