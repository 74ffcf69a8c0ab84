package rediscache

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/graphtide/graphtide/graph"
)

// The defaults of Config, and the bounds on work with Redis.
const (
	DefaultChannel = "graphtide:hints"

	publishTimeout = time.Second // of one pipeline of messages
	maxWaiting     = 10_000      // graphs with a hint that waits; more are dropped
	firstPause     = 50 * time.Millisecond
	longestPause   = 5 * time.Second
	// silence is how long a subscription hears nothing before it is tested.
	silence = 5 * time.Second
)

// Config says where hints go.
type Config struct {
	Client  redis.UniversalClient // its owner closes it, after Stop
	Channel string                // of all nodes of one deployment. Default: DefaultChannel
	Log     *slog.Logger          // nil: slog.Default()
}

// Hints is graph.Hints over a Redis channel.
type Hints struct {
	client  redis.UniversalClient
	channel string
	log     *slog.Logger
	wake    chan struct{} // hints wait; one signal is as good as many
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	waiting map[graph.GraphKey]hint
	started bool
	stopped bool
}

var _ graph.Hints = (*Hints)(nil)

// New makes Hints. Nothing is sent before Start.
func New(cfg Config) *Hints {
	h := &Hints{client: cfg.Client, channel: cfg.Channel, log: cfg.Log, wake: make(chan struct{}, 1), waiting: map[graph.GraphKey]hint{}}
	if h.channel == "" {
		h.channel = DefaultChannel
	}
	if h.log == nil {
		h.log = slog.Default()
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// Start begins to send. It may be called twice, and does nothing after Stop.
func (h *Hints) Start(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.started && !h.stopped {
		h.started = true
		h.wg.Go(h.send)
	}
	return nil
}

// Stop ends the sending and returns once it has ended; what still waits is
// dropped. It may be called twice. Each Listen ends with its own context.
func (h *Hints) Stop(context.Context) error {
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	h.cancel()
	h.wg.Wait()
	return nil
}

// Announce tells the other nodes of a commit, in a moment. It never blocks.
func (h *Hints) Announce(g graph.GraphKey, epoch string, v graph.Version) {
	h.mu.Lock()
	old, ok := h.waiting[g]
	switch {
	case ok && old.epoch == epoch && old.version >= v:
	case !ok && len(h.waiting) >= maxWaiting:
	default:
		h.waiting[g] = hint{g, epoch, v}
	}
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// take empties the table.
func (h *Hints) take() map[graph.GraphKey]hint {
	h.mu.Lock()
	defer h.mu.Unlock()
	taken := h.waiting
	h.waiting = make(map[graph.GraphKey]hint)
	return taken
}

// send publishes what waits, until Stop. While Redis is dead it drops what it
// took and pauses, so that the dead are not asked for every commit.
func (h *Hints) send() {
	var pause pause
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-h.wake:
		}
		err := h.publish(h.take())
		switch {
		case h.ctx.Err() != nil:
			return
		case err != nil:
			if pause.first() {
				h.log.Warn("hints cannot be sent: other nodes learn of commits by their poll", "err", err)
			}
			if !pause.wait(h.ctx) {
				return
			}
		default:
			if pause.reset() {
				h.log.Info("hints are sent again")
			}
		}
	}
}

func (h *Hints) publish(hints map[graph.GraphKey]hint) error {
	if len(hints) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(h.ctx, publishTimeout)
	defer cancel()
	_, err := h.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, hint := range hints {
			p.Publish(ctx, h.channel, hint.append(nil))
		}
		return nil
	})
	return err
}
