package rediscache

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

func newOwners(t *testing.T) (*Owners, *miniredis.Miniredis) {
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1, ContextTimeoutEnabled: true})
	o := NewOwners(Config{Client: client, Log: slog.New(slog.DiscardHandler)})
	o.wait = time.Minute
	t.Cleanup(func() {
		for range 2 {
			if err := o.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}
		client.Close()
	})
	return o, server
}

func TestASessionIsTheUsersWhoClaimedItFirst(t *testing.T) {
	t.Parallel()
	o, server := newOwners(t)
	claim := func(user, want string) {
		t.Helper()
		if got := o.Claim(t.Context(), "main:s1", user); got != want {
			t.Errorf("claimed by %q it is %q's, want %q", user, got, want)
		}
	}
	claim("ann", "ann")
	claim("bob", "ann")
	claim("ann", "ann")
	server.FastForward(ownerTTL - time.Minute)
	claim("ann", "ann") // which makes it hers for longer
	server.FastForward(ownerTTL - time.Minute)
	claim("bob", "ann")
	many := map[string]string{"main:s1": "ann"}
	for i := range 2*keepChunk + 1 {
		many[fmt.Sprint("main:x", i)] = "ann"
	}
	o.Keep(t.Context(), many)
	server.FastForward(ownerTTL - time.Minute)
	claim("bob", "ann")
	if got := o.Claim(t.Context(), fmt.Sprint("main:x", 2*keepChunk), "bob"); got != "ann" {
		t.Errorf("one of many is %q's", got)
	}
	server.FastForward(ownerTTL + time.Minute)
	claim("bob", "bob")
}

func TestWhereRedisIsDeadEachClaimIsGood(t *testing.T) {
	t.Parallel()
	o, server := newOwners(t)
	server.Close()
	for _, user := range []string{"ann", "bob"} {
		if got := o.Claim(context.Background(), "main:s1", user); got != user {
			t.Errorf("claimed by %q it is %q's", user, got)
		}
	}
	o.Keep(context.Background(), map[string]string{"main:s1": "ann"})
}

func TestClaimsAtOnceGoOutTogether(t *testing.T) {
	t.Parallel()
	o, server := newOwners(t)
	const n = 2000
	var wg sync.WaitGroup
	before := server.CommandCount()
	for i := range n {
		wg.Go(func() { o.Claim(context.Background(), fmt.Sprint("main:s", i%100), fmt.Sprint("user", i%100)) })
	}
	wg.Wait()
	for i := range 100 {
		if got := o.Claim(t.Context(), fmt.Sprint("main:s", i), "thief"); got != fmt.Sprint("user", i) {
			t.Errorf("session %d is %q's", i, got)
		}
	}
	if server.CommandCount() == before {
		t.Error("Redis was not asked")
	}
}
