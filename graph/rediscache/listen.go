package rediscache

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/graphtide/graphtide/graph"
)

// errDeaf ends a subscription that did not answer a ping.
var errDeaf = errors.New("the subscription does not answer")

// Listen calls fn for every announcement of any node, this one's included,
// until ctx ends. fn must not wait for anything, as Announce calls it. What other
// nodes announce while Redis is away is lost.
func (h *Hints) Listen(ctx context.Context, fn func(g graph.GraphKey, epoch string, v graph.Version)) {
	l := &listener{fn}
	h.join(l)
	<-ctx.Done()
	h.part(l)
}

// join adds a listener. The first one begins the node's subscription.
func (h *Hints) join(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := append(slices.Clone(*h.listeners.Load()), l)
	h.listeners.Store(&list)
	if !h.listening && !h.stopped {
		h.listening = true
		h.wg.Go(h.hear)
	}
}

func (h *Hints) part(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(*h.listeners.Load()), func(o *listener) bool { return o == l })
	h.listeners.Store(&list)
}

// hear passes on what comes over Redis, until Stop. It subscribes again, after
// growing pauses, whenever the connection is lost.
func (h *Hints) hear() {
	var pause pause
	for {
		err := receive(h.ctx, h.client, h.channel, func() {
			if pause.reset() {
				h.log.Info("hints are heard again")
			}
			h.arrive()
		}, h.message)
		h.mark(false)
		if h.ctx.Err() != nil {
			return
		}
		if pause.first() {
			h.log.Warn("hints are not heard: commits of other nodes are found by the poll", "err", err)
		}
		if !pause.wait(h.ctx) {
			return
		}
	}
}

// arrival is what a node says once it listens, with its id after it.
const arrival = "here "

// arrive tells the others that this node listens from now on: one of them may
// think itself alone. What fails here they find out by themselves, a little later.
func (h *Hints) arrive() {
	h.mark(true)
	if _, err := h.say([]byte(arrival + h.id)); err != nil && h.ctx.Err() == nil {
		h.log.Debug("other nodes were not told that this one listens", "err", err)
	}
}

// mark notes whether the subscription stands. Who does not hear knows nothing of
// others.
func (h *Hints) mark(subscribed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subscribed = subscribed
	if !subscribed {
		h.alone = false
	}
}

// message takes what came over the channel. Anybody may write there: what is
// neither a hint nor an arrival is passed over.
func (h *Hints) message(payload string) {
	if id, ok := strings.CutPrefix(payload, arrival); ok {
		if id != h.id {
			h.sought()
		}
		return
	}
	if hint, ok := parseHint(payload); ok {
		h.tell(hint)
	}
}

// receive subscribes to a channel and receives until a fault or ctx's end.
// subscribed is called once the subscription stands.
func receive(ctx context.Context, client redis.UniversalClient, channel string, subscribed func(), fn func(payload string)) error {
	sub := client.Subscribe(ctx, channel)
	// A receive does not heed ctx; closing the connection ends it.
	unhook := context.AfterFunc(ctx, func() { sub.Close() })
	defer func() {
		unhook()
		sub.Close()
	}()
	asked := false // a ping is out
	for {
		msg, err := sub.ReceiveTimeout(ctx, silence)
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			if asked {
				return errDeaf
			}
			if err := sub.Ping(ctx); err != nil {
				return err
			}
			asked = true
			continue
		case err != nil:
			return err
		}
		asked = false
		switch msg := msg.(type) {
		case *redis.Subscription:
			subscribed()
		case *redis.Message:
			fn(msg.Payload)
		}
	}
}
