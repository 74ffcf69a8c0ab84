package rediscache

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"sync/atomic"
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
	// alonePause is how long a node that nobody else listens to keeps its hints
	// before it looks again whether that is still so. It is as long as the poll of
	// heads, so a node that goes unnoticed is no worse off than without hints.
	alonePause = time.Second
)

// Config says where hints go.
type Config struct {
	Client  redis.UniversalClient // its owner closes it, after Stop
	Channel string                // of all nodes of one deployment. Default: DefaultChannel
	Log     *slog.Logger          // nil: slog.Default()
	// Patience is how long a request that needs something of a Cache waits in all for
	// a Redis that is silent, or slow. Default: DefaultPatience
	Patience time.Duration
}

// Hints is graph.Hints over a Redis channel. The listeners of this node are told
// at once and not by way of Redis. Where Redis says that no other node listens,
// hints wait: one that arrives says so, and is sent them. A deployment of one
// node so spends nothing on them.
type Hints struct {
	client  redis.UniversalClient
	channel string
	id      string // tells this node's arrival from those of others
	log     *slog.Logger
	look    time.Duration // alonePause, but for tests
	wake    chan struct{} // hints wait; one signal is as good as many
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu         sync.Mutex // guards the fields below
	waiting    map[graph.GraphKey]hint
	alone      bool // nobody else listens, as far as is known
	arrivals   int  // of other nodes, that were heard
	subscribed bool
	listening  bool // the subscription has been begun
	started    bool
	stopped    bool

	listeners atomic.Pointer[[]*listener] // changed under mu
}

// listener is one Listen.
type listener struct {
	fn func(g graph.GraphKey, epoch string, v graph.Version)
}

var _ graph.Hints = (*Hints)(nil)

// New makes Hints. Nothing is sent before Start.
func New(cfg Config) *Hints {
	h := &Hints{client: cfg.Client, channel: cfg.Channel, id: rand.Text(), log: cfg.Log, look: alonePause, wake: make(chan struct{}, 1), waiting: map[graph.GraphKey]hint{}}
	h.listeners.Store(new([]*listener))
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

// Stop ends the sending and the hearing, and returns once both have ended; what
// still waits is dropped. It may be called twice. Each Listen ends with its own
// context.
func (h *Hints) Stop(context.Context) error {
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	h.cancel()
	h.wg.Wait()
	return nil
}

// Announce tells this node's listeners of a commit, and the other nodes in a
// moment. It never waits for Redis.
func (h *Hints) Announce(g graph.GraphKey, epoch string, v graph.Version) {
	h.tell(hint{g, epoch, v})
	h.mu.Lock()
	old, ok := h.waiting[g]
	switch {
	case ok && old.epoch == epoch && old.version >= v:
	case !ok && len(h.waiting) >= maxWaiting:
	default:
		h.waiting[g] = hint{g, epoch, v}
	}
	alone := h.alone
	h.mu.Unlock()
	if !alone {
		h.rouse()
	}
}

// tell gives a hint to the listeners of this node.
func (h *Hints) tell(hint hint) {
	for _, l := range *h.listeners.Load() {
		l.fn(hint.graph, hint.epoch, hint.version)
	}
}

// rouse makes what waits be sent now.
func (h *Hints) rouse() {
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
	look := time.NewTicker(h.look) // what waited while nobody listened
	defer look.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-h.wake:
		case <-look.C:
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

// publish sends hints, and finds out whether anybody else hears them.
func (h *Hints) publish(hints map[graph.GraphKey]hint) error {
	if len(hints) == 0 {
		return nil
	}
	messages := make([][]byte, 0, len(hints))
	for _, hint := range hints {
		messages = append(messages, hint.append(nil))
	}
	h.mu.Lock()
	hearing, before := h.subscribed, h.arrivals
	h.mu.Unlock()
	heard, err := h.say(messages...)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	// Who subscribed before was counted, beside ourselves; who comes later is heard.
	h.alone = hearing && h.subscribed && heard <= 1 && h.arrivals == before
	return nil
}

// say publishes messages and gives how many subscriptions heard the last one.
func (h *Hints) say(messages ...[]byte) (heard int64, err error) {
	ctx, cancel := context.WithTimeout(h.ctx, publishTimeout)
	defer cancel()
	var last *redis.IntCmd
	_, err = h.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, m := range messages {
			last = p.Publish(ctx, h.channel, m)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return last.Val(), nil
}

// sought notes that somebody else is there, and sends him what waits.
func (h *Hints) sought() {
	h.mu.Lock()
	h.alone = false
	h.arrivals++
	h.mu.Unlock()
	h.rouse()
}
