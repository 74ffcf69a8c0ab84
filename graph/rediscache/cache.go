package rediscache

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// The bounds on work with the second level.
const (
	// DefaultTTL is how long an entry stays that nobody writes again.
	DefaultTTL = 24 * time.Hour

	// getKeys are asked for in one round: few enough that on a slow machine, too,
	// an answer comes often.
	getKeys = 200
	// perKey and perByte are what a key that was answered, and each byte of its
	// value, may have taken without counting as waiting: Redis would be ten times as
	// slow as on a busy machine, and the line half of a gigabit; the database would be
	// no faster.
	perKey  = 100 * time.Microsecond
	perByte = 20 * time.Nanosecond
	// roundTime bounds one round, which is then tried again. It is no measure of
	// Redis, which the pulse takes, but frees the connection of a round that nobody
	// waits for any more.
	roundTime = 2 * time.Second
)

// Cache is the second level of replicas in Redis: see replica.Cache. Redis may be
// slow, and then it is waited for, by the Gets of one request for no longer than
// Config.Patience together; once it is judged dead (it refuses
// connections, or gives no sign of life for as long as Config.Patience) nobody waits for
// it any more, and until it answers again nothing is found and nothing is kept.
// What it gives may be old, or wrong.
type Cache struct {
	client redis.UniversalClient
	log    *slog.Logger
	ttl    time.Duration
	pulse  *pulse
	// refuses is set while Redis answers that it will not.
	refuses atomic.Bool
}

// NewCache makes a Cache, which works until Stop. Config.Channel is of no use to
// it.
func NewCache(cfg Config) *Cache {
	c := &Cache{client: cfg.Client, log: cfg.Log, ttl: DefaultTTL}
	if single, ok := cfg.Client.(*redis.Client); ok {
		c.client = single.WithTimeout(roundTime)
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	if cfg.Patience <= 0 {
		cfg.Patience = DefaultPatience
	}
	c.pulse = newPulse(c.log, cfg.Patience, func(ctx context.Context) error { return c.client.Ping(ctx).Err() })
	return c
}

// Stop ends what goes on with Redis and returns once it has ended. It may be
// called twice.
func (c *Cache) Stop(context.Context) error {
	c.pulse.stop()
	return nil
}

// Get gives the values of keys, in their order; nil for one that is not there, or
// that could not be had. Waited is for how long the request has waited for Redis
// before, and total with what this Get adds: the time that each round took, less
// perKey and perByte for what it brought, so that a lot that comes is not a long
// wait. Once that is Config.Patience, Get asks for nothing more.
func (c *Cache) Get(ctx context.Context, keys []string, waited time.Duration) (values [][]byte, total time.Duration) {
	values = make([][]byte, len(keys))
	ctx, leave, ok := c.pulse.join(ctx)
	if !ok {
		return values, waited
	}
	defer leave()
	for answered := 0; answered < len(keys); {
		some := keys[answered:min(answered+getKeys, len(keys))]
		begun := time.Now()
		found, ok := within(ctx, c.pulse.patience-waited, func(ctx context.Context) ([]any, bool) {
			return round(ctx, c, func(ctx context.Context) ([]any, error) { return c.client.MGet(ctx, some...).Result() })
		})
		took := time.Since(begun)
		if !ok || len(found) != len(some) {
			return values, waited + took
		}
		took -= time.Duration(len(some)) * perKey
		for i, v := range found {
			if text, ok := v.(string); ok {
				values[answered+i] = []byte(text)
				took -= time.Duration(len(text)) * perByte
			}
		}
		// Round by round: what came fast is no licence to wait for the rest.
		waited += max(0, took)
		answered += len(some)
	}
	return values, waited
}

// within asks for no longer than a time; not at all where none is left.
func within[T any](ctx context.Context, left time.Duration, ask func(context.Context) (T, bool)) (answer T, ok bool) {
	if left <= 0 {
		return answer, false
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	return ask(ctx)
}

// Put keeps values for a while. It reports whether Redis took them: where it is
// slow, Put waits; where it is dead, or refuses, Put returns at once. The values
// must not change afterwards.
func (c *Cache) Put(ctx context.Context, keys []string, values [][]byte) bool {
	ctx, leave, ok := c.pulse.join(ctx)
	if !ok {
		return false
	}
	defer leave()
	_, ok = round(ctx, c, func(ctx context.Context) ([]redis.Cmder, error) {
		return c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, key := range keys {
				p.Set(ctx, key, values[i], c.ttl)
			}
			return nil
		})
	})
	return ok
}

// round asks Redis, again and again while it is alive and does not answer; false
// where it is dead, refuses, or ctx ended.
func round[T any](ctx context.Context, c *Cache, ask func(context.Context) (T, error)) (answer T, ok bool) {
	type result struct {
		answer T
		err    error
	}
	var pause pause
	for {
		// The client does not heed the end of ctx while it waits for an answer.
		done := make(chan result, 1)
		if !c.pulse.spawn(func(ctx context.Context) {
			answer, err := ask(ctx)
			done <- result{answer, err}
		}) {
			return answer, false
		}
		var res result
		select {
		case res = <-done:
		case <-ctx.Done():
			return answer, false
		}
		if res.err == nil {
			c.pulse.beat()
			if c.refuses.Swap(false) {
				c.log.Info("Redis takes the second level's requests again")
			}
			return res.answer, true
		}
		if refusal := redis.Error(nil); errors.As(res.err, &refusal) {
			c.pulse.beat()
			if !c.refuses.Swap(true) {
				c.log.Warn("Redis refuses the second level's requests; what is missing comes from the database", "err", res.err)
			}
			return answer, false
		}
		c.pulse.failed(res.err)
		if !pause.wait(ctx) {
			return answer, false
		}
	}
}
