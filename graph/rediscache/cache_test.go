package rediscache_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/graphtide/graphtide/graph/rediscache"
)

// cacheAt gives a second level in the Redis there. Its patience is more than any test
// needs, on however busy a machine, unless that is what the test is about.
func cacheAt(t *testing.T, addr string, patience time.Duration) *rediscache.Cache {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
	t.Cleanup(func() { client.Close() })
	c := rediscache.NewCache(rediscache.Config{Client: client, Patience: patience, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		for range 2 {
			if err := c.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	return c
}

// get asks for somebody who has not waited yet.
func get(ctx context.Context, c *rediscache.Cache, keys ...string) [][]byte {
	values, _ := c.Get(ctx, keys, 0)
	return values
}

func TestCacheGivesWhatWasPut(t *testing.T) {
	t.Parallel()
	c := cacheAt(t, miniredis.RunT(t).Addr(), hang)
	var keys []string
	var values [][]byte
	for i := range 1200 {
		keys, values = append(keys, fmt.Sprintf("k\x00%d", i)), append(values, []byte{0, 255, byte(i)})
	}
	if !c.Put(t.Context(), keys, values) {
		t.Fatal("Redis did not take the values")
	}
	got := get(t.Context(), c, append(keys, "none")...)
	for i := range values {
		if !bytes.Equal(got[i], values[i]) {
			t.Fatalf("value %d is %v, want %v", i, got[i], values[i])
		}
	}
	if got[len(keys)] != nil {
		t.Error("a key that is not there has a value")
	}
}

// silent takes connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
		}
	}()
	return l.Addr().String()
}

// hang is far more than any of these calls takes on a slow machine, and far less
// than waiting for a Redis that never answers would.
const hang = time.Minute

func TestRedisThatIsSilentHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	c := cacheAt(t, silent(t), rediscache.DefaultPatience)
	begun := time.Now()
	if got := get(context.Background(), c, "a", "b"); len(got) != 2 || got[0] != nil || got[1] != nil {
		t.Errorf("a silent Redis gave %v", got)
	}
	// It was judged dead: nobody else waits for it.
	for range 1000 {
		get(context.Background(), c, "a")
		if c.Put(context.Background(), []string{"a"}, [][]byte{{1}}) {
			t.Fatal("a silent Redis took a value")
		}
	}
	if took := time.Since(begun); took > hang {
		t.Errorf("calls to a silent Redis took %v", took)
	}
}

func TestRedisThatIsGoneHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	c := cacheAt(t, server.Addr(), hang)
	keys, values := []string{"a"}, [][]byte{{1}}
	if !c.Put(t.Context(), keys, values) {
		t.Fatal("Redis did not take a value")
	}
	server.Close()
	begun := time.Now()
	for range 1000 {
		if got := get(context.Background(), c, keys...); got[0] != nil {
			t.Fatalf("a Redis that is gone gave %v", got)
		}
	}
	if took := time.Since(begun); took > hang {
		t.Errorf("calls to a Redis that is gone took %v", took)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(hang); !c.Put(t.Context(), keys, values); {
		if runtime.Gosched(); time.Now().After(deadline) {
			t.Fatal("a Redis that is back is not used")
		}
	}
	if got := get(t.Context(), c, keys...); !bytes.Equal(got[0], values[0]) {
		t.Errorf("a Redis that is back gave %v", got)
	}
}

// A Redis that refuses is alive: it is asked again the next time, and nobody
// waits.
func TestRedisThatRefusesIsAskedAgain(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	c := cacheAt(t, server.Addr(), hang)
	server.SetError("OOM command not allowed when used memory > 'maxmemory'.")
	if c.Put(t.Context(), []string{"a"}, [][]byte{{1}}) || get(t.Context(), c, "a")[0] != nil {
		t.Error("a Redis that refuses gave or took something")
	}
	server.SetError("")
	if !c.Put(t.Context(), []string{"a"}, [][]byte{{1}}) || get(t.Context(), c, "a")[0] == nil {
		t.Error("a Redis that refuses no longer is not asked")
	}
}
