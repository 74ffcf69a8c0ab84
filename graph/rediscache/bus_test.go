package rediscache

import (
	"context"
	"log/slog"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

func TestAMessageReachesEveryNodeThatListens(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	var buses []*Bus
	var heard []chan string
	for range 2 {
		client := redis.NewClient(&redis.Options{Addr: server.Addr()})
		b := NewBus(Config{Client: client, Log: slog.New(slog.DiscardHandler)})
		stands, ended, ch := make(chan struct{}, 1), make(chan struct{}), make(chan string, 10)
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			defer close(ended)
			b.Listen(ctx, func() { stands <- struct{}{} }, func(m []byte) { ch <- string(m) })
		}()
		<-stands
		t.Cleanup(func() {
			cancel()
			<-ended
			for range 2 {
				if err := b.Stop(context.Background()); err != nil {
					t.Error(err)
				}
			}
			client.Close()
		})
		buses, heard = append(buses, b), append(heard, ch)
	}
	for _, m := range []string{"one", "two"} {
		buses[0].Publish([]byte(m))
	}
	for _, ch := range heard {
		if a, b := <-ch, <-ch; a != "one" || b != "two" {
			t.Errorf("heard %q and %q", a, b)
		}
	}
}

func TestADeadRedisBlocksNobody(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1})
	defer client.Close()
	b := NewBus(Config{Client: client, Log: slog.New(slog.DiscardHandler)})
	server.Close()
	for range 3 * maxQueued {
		b.Publish([]byte("lost"))
	}
	if err := b.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}
