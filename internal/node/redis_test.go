package node_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/graphtide/graphtide/internal/node"
)

func TestAddressesOfARedis(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"redis://localhost:6379/2":                                       "localhost:6379",
		"redis://user:secret@cache":                                      "cache:6379",
		"rediss://cache:6380":                                            "cache:6380",
		"unix:///run/redis.sock?db=1":                                    "/run/redis.sock",
		"redis-sentinel://:secret@s1:26379,s2:26379?master=main":         "FailoverClient",
		"redis-sentinel://s1:26379,s2:26379,s3:26379/3?master=elsewhere": "FailoverClient",
	} {
		c, err := node.NewRedis(address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		opts := c.(*redis.Client).Options()
		if opts.Addr != want {
			t.Errorf("%s leads to %s, want %s", address, opts.Addr, want)
		}
		if opts.DialTimeout <= 0 || opts.ReadTimeout <= 0 || !opts.ContextTimeoutEnabled {
			t.Errorf("%s: waits without bound: %+v", address, opts)
		}
		c.Close()
	}
	for _, address := range []string{
		"", "cache:6379", "http://cache", "redis://secret@[", "redis://cache:6379/secret",
		"redis-sentinel://:secret@s1:26379", "redis-sentinel://?master=main", "redis-sentinel://s1:26379,?master=main",
	} {
		c, err := node.NewRedis(address)
		if err == nil {
			t.Errorf("%s was taken", address)
			c.Close()
			continue
		}
		if strings.Contains(err.Error(), "secret@") || !strings.Contains(err.Error(), "redis-sentinel://") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func FuzzAddressOfARedis(f *testing.F) {
	f.Add("redis://:secret@cache:6379/0")
	f.Add("redis-sentinel://:secret@s1:26379,s2:26379?master=main")
	f.Add("unix://user@/tmp/x?db=0")
	f.Fuzz(func(t *testing.T, address string) {
		if c, err := node.NewRedis(address); err == nil {
			c.Close()
		}
	})
}
