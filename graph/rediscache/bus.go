package rediscache

import (
	"context"
	"log/slog"
	"sync"

	"github.com/redis/go-redis/v9"
)

// DefaultBusChannel is where nodes talk of their sessions.
const DefaultBusChannel = "graphtide:sessions"

// maxQueued bounds the messages that wait to be sent; more are dropped.
const maxQueued = 4096

// Bus carries short messages between the nodes of one deployment, over a Redis
// channel. It promises nothing: a message may be lost, and is where Redis is
// dead. Who needs more says it again.
type Bus struct {
	client  redis.UniversalClient
	channel string
	log     *slog.Logger
	queue   chan []byte
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// NewBus makes a Bus that sends until Stop. Config.Channel is DefaultBusChannel
// where it is "".
func NewBus(cfg Config) *Bus {
	b := &Bus{client: cfg.Client, channel: cfg.Channel, log: cfg.Log, queue: make(chan []byte, maxQueued)}
	if b.channel == "" {
		b.channel = DefaultBusChannel
	}
	if b.log == nil {
		b.log = slog.Default()
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.wg.Go(b.send)
	return b
}

// Stop ends the sending and returns once it has ended. What waits is dropped. It
// may be called twice.
func (b *Bus) Stop(context.Context) error {
	b.cancel()
	b.wg.Wait()
	return nil
}

// Publish sends a message to all nodes, this one included, in a moment. It never
// blocks.
func (b *Bus) Publish(message []byte) {
	select {
	case b.queue <- message:
	default: // it is dropped: nobody waits for Redis
	}
}

func (b *Bus) send() {
	var pause pause
	for {
		select {
		case <-b.ctx.Done():
			return
		case first := <-b.queue:
			err := b.publish(b.gather(first))
			switch {
			case b.ctx.Err() != nil:
				return
			case err == nil:
				pause.reset()
			default:
				if pause.first() {
					b.log.Warn("sessions on other nodes are not told of this node's", "err", err)
				}
				if !pause.wait(b.ctx) {
					return
				}
			}
		}
	}
}

// gather takes what else waits.
func (b *Bus) gather(first []byte) [][]byte {
	list := [][]byte{first}
	for len(list) < 256 {
		select {
		case m := <-b.queue:
			list = append(list, m)
		default:
			return list
		}
	}
	return list
}

func (b *Bus) publish(messages [][]byte) error {
	ctx, cancel := context.WithTimeout(b.ctx, publishTimeout)
	defer cancel()
	_, err := b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, m := range messages {
			p.Publish(ctx, b.channel, m)
		}
		return nil
	})
	return err
}

// Listen calls fn for every message of any node until ctx ends. subscribed, if
// not nil, is called whenever the channel is heard anew: what was said before is
// lost.
func (b *Bus) Listen(ctx context.Context, subscribed func(), fn func(message []byte)) {
	var pause pause
	for {
		err := receive(ctx, b.client, b.channel, func() {
			pause.reset()
			if subscribed != nil {
				subscribed()
			}
		}, func(payload string) { fn([]byte(payload)) })
		if ctx.Err() != nil {
			return
		}
		if pause.first() {
			b.log.Warn("sessions of other nodes are not heard of", "err", err)
		}
		if !pause.wait(ctx) {
			return
		}
	}
}
