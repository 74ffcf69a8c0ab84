package rediscache

import (
	"context"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
)

// The bounds on the work of Owners.
const (
	// ownerTTL is how long an id stays its user's that nobody keeps.
	ownerTTL  = time.Hour
	claimTime = 200 * time.Millisecond
	keepTime  = 5 * time.Second
	keepChunk = 500
)

const ownerPrefix = "graphtide:session:"

// Owners remembers in Redis, for all nodes of a deployment, which user the id of
// a session belongs to. It is quick, and knows nothing where Redis is dead: each
// node then has what it knows itself.
type Owners struct {
	client redis.UniversalClient
	log    *slog.Logger
	fuse   fuse
}

// NewOwners makes Owners. The client must obey deadlines (ContextTimeoutEnabled).
// Config.Channel is of no use to it.
func NewOwners(cfg Config) *Owners {
	o := &Owners{client: cfg.Client, log: cfg.Log}
	if o.log == nil {
		o.log = slog.Default()
	}
	return o
}

// Claim gives the user that a session belongs to from now on, for an hour: the
// one given, where it is nobody's yet or that cannot be found out in time.
func (o *Owners) Claim(ctx context.Context, session, user string) (owner string) {
	if !o.fuse.holds(time.Now()) {
		return user
	}
	ctx, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	var found *redis.StringCmd
	_, err := o.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.SetNX(ctx, ownerPrefix+session, user, ownerTTL)
		found = p.Get(ctx, ownerPrefix+session)
		return nil
	})
	if o.judge(ctx, err); err != nil {
		return user
	}
	if found.Val() == user {
		// What it had left may be short. The session itself keeps it from then on.
		o.judge(ctx, o.client.Expire(ctx, ownerPrefix+session, ownerTTL).Err())
	}
	return found.Val()
}

// Keep makes sessions their users' for another hour: those that are alive, by
// which user each belongs to.
func (o *Owners) Keep(ctx context.Context, users map[string]string) {
	if len(users) == 0 || !o.fuse.holds(time.Now()) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	pipe := o.client.Pipeline()
	send := func() bool {
		_, err := pipe.Exec(ctx)
		o.judge(ctx, err)
		return err == nil
	}
	for session, user := range users {
		if pipe.Set(ctx, ownerPrefix+session, user, ownerTTL); pipe.Len() == keepChunk && !send() {
			return
		}
	}
	if pipe.Len() > 0 {
		send()
	}
}

// judge notes how a call went.
func (o *Owners) judge(ctx context.Context, err error) {
	switch {
	case err == nil:
		if o.fuse.mend() {
			o.log.Info("whose a session is, is asked of Redis again")
		}
	case context.Cause(ctx) != context.Canceled:
		if o.fuse.trip(time.Now()) {
			o.log.Warn("Redis cannot be asked whose a session is; each node decides for itself", "err", err)
		}
	}
}
