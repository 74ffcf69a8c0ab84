package rediscache_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/graphtide/graphtide/graph/rediscache"
)

func cacheAt(t *testing.T, addr string) *rediscache.Cache {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
	t.Cleanup(func() { client.Close() })
	return rediscache.NewCache(rediscache.Config{Client: client})
}

func TestCacheGivesWhatWasPut(t *testing.T) {
	t.Parallel()
	c := cacheAt(t, miniredis.RunT(t).Addr())
	var keys []string
	var values [][]byte
	for i := range 1200 {
		keys, values = append(keys, fmt.Sprintf("k\x00%d", i)), append(values, []byte{0, 255, byte(i)})
	}
	if !c.Put(t.Context(), keys, values) {
		t.Fatal("Redis did not take the values")
	}
	got := c.Get(t.Context(), append(keys, "none"))
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

func TestRedisThatIsSilentHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	c := cacheAt(t, silent(t))
	begun := time.Now()
	if got := c.Get(context.Background(), []string{"a", "b"}); len(got) != 2 || got[0] != nil || got[1] != nil {
		t.Errorf("a silent Redis gave %v", got)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("the first call took %v", took)
	}
	begun = time.Now()
	for range 100 { // the fuse has blown
		c.Get(context.Background(), []string{"a"})
		if c.Put(context.Background(), []string{"a"}, [][]byte{{1}}) {
			t.Fatal("a silent Redis took a value")
		}
	}
	if took := time.Since(begun); took > 100*time.Millisecond {
		t.Errorf("100 calls after a failure took %v", took)
	}
}
