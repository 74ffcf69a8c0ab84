package rediscache

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// The bounds on the work of Owners.
const (
	// ownerTTL is how long an id stays its user's that nobody keeps.
	ownerTTL  = time.Hour
	claimTime = 200 * time.Millisecond // that one who claims waits
	rounds    = 5                      // so many times as long is a round to Redis given
	keepTime  = 5 * time.Second
	keepChunk = 500
	maxClaims = 256 // in one round
)

const ownerPrefix = "graphtide:session:"

// Owners remembers in Redis, for all nodes of a deployment, which user the id of
// a session belongs to. It is quick, and knows nothing where Redis is dead: each
// node then has what it knows itself. Claims at about the same time go out
// together: after an outage all sessions of a node come at once.
type Owners struct {
	client redis.UniversalClient
	log    *slog.Logger
	fuse   fuse
	wait   time.Duration // claimTime, but in tests

	sending sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	waiting []*claim
	going   bool // somebody sends what waits
	stopped bool
}

// claim is one who waits to be told whose a session is.
type claim struct {
	session, user string
	owner         chan string // one place
}

// NewOwners makes Owners. The client must obey deadlines (ContextTimeoutEnabled).
// Config.Channel is of no use to it.
func NewOwners(cfg Config) *Owners {
	o := &Owners{client: cfg.Client, log: cfg.Log, wait: claimTime}
	if o.log == nil {
		o.log = slog.Default()
	}
	return o
}

// Stop returns once nothing is asked any more. It may be called twice.
func (o *Owners) Stop(context.Context) error {
	o.mu.Lock()
	o.stopped = true
	o.mu.Unlock()
	o.sending.Wait()
	return nil
}

// Claim gives the user that a session belongs to from now on, for an hour: the
// one given, where it is nobody's yet or that cannot be found out in time.
func (o *Owners) Claim(ctx context.Context, session, user string) (owner string) {
	if !o.fuse.holds(time.Now()) {
		return user
	}
	c := &claim{session, user, make(chan string, 1)}
	o.mu.Lock()
	if o.stopped {
		o.mu.Unlock()
		return user
	}
	o.waiting = append(o.waiting, c)
	if !o.going {
		o.going = true
		o.sending.Go(o.send)
	}
	o.mu.Unlock()
	timeout := time.NewTimer(o.wait)
	defer timeout.Stop()
	select {
	case owner = <-c.owner:
		return owner
	case <-timeout.C:
	case <-ctx.Done():
	}
	return user
}

// send asks Redis for all who wait, until nobody does.
func (o *Owners) send() {
	for {
		o.mu.Lock()
		list := o.waiting[:min(len(o.waiting), maxClaims)]
		if o.waiting = o.waiting[len(list):]; len(list) == 0 {
			o.waiting, o.going = nil, false
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		o.ask(list)
	}
}

// ask tells those who claim sessions whose these are: their own, where Redis does
// not say.
func (o *Owners) ask(list []*claim) {
	owners := make([]string, len(list))
	for i, c := range list {
		owners[i] = c.user
	}
	ctx, cancel := context.WithTimeout(context.Background(), rounds*o.wait)
	defer cancel()
	if o.fuse.holds(time.Now()) {
		found := make([]*redis.StringCmd, len(list))
		_, err := o.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, c := range list {
				p.SetNX(ctx, ownerPrefix+c.session, c.user, ownerTTL)
				found[i] = p.Get(ctx, ownerPrefix+c.session)
				p.Expire(ctx, ownerPrefix+c.session, ownerTTL) // whoever claims it: what was left of the hour may be short
			}
			return nil
		})
		o.judge(ctx, err)
		for i, cmd := range found {
			if owner, err := cmd.Result(); err == nil {
				owners[i] = owner
			}
		}
	}
	for i, c := range list {
		c.owner <- owners[i]
	}
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
