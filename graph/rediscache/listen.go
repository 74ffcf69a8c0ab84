package rediscache

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"

	"github.com/graphtide/graphtide/graph"
)

// errDeaf ends a subscription that did not answer a ping.
var errDeaf = errors.New("the subscription does not answer")

// Listen calls fn for every announcement of any node, this one's included,
// until ctx ends. It subscribes again, after growing pauses, whenever the
// connection is lost; what was announced meanwhile is lost.
func (h *Hints) Listen(ctx context.Context, fn func(g graph.GraphKey, epoch string, v graph.Version)) {
	var pause pause
	for {
		err := receive(ctx, h.client, h.channel, func() {
			if pause.reset() {
				h.log.Info("hints are heard again")
			}
		}, func(payload string) {
			if hint, ok := parseHint(payload); ok {
				fn(hint.graph, hint.epoch, hint.version)
			}
		})
		if ctx.Err() != nil {
			return
		}
		if pause.first() {
			h.log.Warn("hints are not heard: commits of other nodes are found by the poll", "err", err)
		}
		if !pause.wait(ctx) {
			return
		}
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
