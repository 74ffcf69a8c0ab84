package rediscache

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// The bounds on work with the second level.
const (
	// DefaultTTL is how long an entry stays that nobody writes again.
	DefaultTTL = 24 * time.Hour

	// A Get is given getTime, and a little for each of the keys: about three times
	// what Redis on the same machine needs.
	getTime   = 150 * time.Millisecond
	perKey    = 30 * time.Microsecond
	getChunk  = 500
	putTime   = time.Second
	tripPause = time.Second // after the first failure; doubled by each further one
	tripMost  = 30 * time.Second
)

// Cache is the second level of replicas in Redis: see replica.Cache. It promises
// only that it is quick: a call that takes too long is given up, and after a
// failure Redis is left alone for a while, during which nothing is found and
// nothing is kept. What it gives may be old, or wrong.
type Cache struct {
	client redis.UniversalClient
	log    *slog.Logger
	ttl    time.Duration
	fuse   fuse
}

// NewCache makes a Cache. The client must obey deadlines (ContextTimeoutEnabled).
// Config.Channel is of no use to it.
func NewCache(cfg Config) *Cache {
	c := &Cache{client: cfg.Client, log: cfg.Log, ttl: DefaultTTL}
	if c.log == nil {
		c.log = slog.Default()
	}
	return c
}

// Get gives the values of keys, in their order; nil for one that is not there, or
// that could not be had in time.
func (c *Cache) Get(ctx context.Context, keys []string) [][]byte {
	values := make([][]byte, len(keys))
	if len(keys) == 0 || !c.fuse.holds(time.Now()) {
		return values
	}
	bounded, cancel := context.WithTimeout(ctx, getTime+time.Duration(len(keys))*perKey)
	defer cancel()
	for from := 0; from < len(keys); from += getChunk {
		to := min(from+getChunk, len(keys))
		found, err := c.client.MGet(bounded, keys[from:to]...).Result()
		if c.judge(ctx, err); err != nil {
			return values
		}
		for i, v := range found {
			if text, ok := v.(string); ok && from+i < len(values) {
				values[from+i] = []byte(text)
			}
		}
	}
	return values
}

// Put keeps values for a while. It reports whether Redis took them.
func (c *Cache) Put(ctx context.Context, keys []string, values [][]byte) bool {
	if !c.fuse.holds(time.Now()) {
		return false
	}
	bounded, cancel := context.WithTimeout(ctx, putTime)
	defer cancel()
	_, err := c.client.Pipelined(bounded, func(p redis.Pipeliner) error {
		for i, key := range keys {
			p.Set(bounded, key, values[i], c.ttl)
		}
		return nil
	})
	c.judge(ctx, err)
	return err == nil
}

// judge notes how a call went. Who gave up himself says nothing about Redis.
func (c *Cache) judge(ctx context.Context, err error) {
	switch {
	case err == nil:
		if c.fuse.mend() {
			c.log.Info("the second level in Redis is used again")
		}
	case ctx.Err() == nil:
		if c.fuse.trip(time.Now()) {
			c.log.Warn("the second level in Redis is left alone for a while; what is missing comes from the database", "err", err)
		}
	}
}

// fuse keeps callers from something that fails, for a time that grows from
// failure to failure.
type fuse struct {
	mu    sync.Mutex // guards the fields below
	until time.Time
	pause time.Duration // the last; 0 while all is well
}

func (f *fuse) holds(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !now.Before(f.until)
}

// trip notes a failure; it reports whether it is the first.
func (f *fuse) trip(now time.Time) (first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first = f.pause == 0
	if now.Before(f.until) {
		return first // others failed at the same time
	}
	f.pause = min(max(2*f.pause, tripPause), tripMost)
	f.until = now.Add(f.pause)
	return first
}

// mend notes a success; it reports whether there had been a failure.
func (f *fuse) mend() (failed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	failed = f.pause != 0
	f.pause, f.until = 0, time.Time{}
	return failed
}
