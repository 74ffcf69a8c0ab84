package rediscache_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/graphtide/graphtide/graph/rediscache"
)

// sluggish is a Redis that answers everything but MGET at once, and that in its
// own time: with a value for each key.
type sluggish struct {
	takes  atomic.Int64 // nanoseconds
	mgets  atomic.Int64
	stalls atomic.Int64 // after so many MGETs; 0: never
	size   int          // of a value; 0: one byte
}

// stall is how long an MGET takes that stalls.
const stall = time.Minute

func (s *sluggish) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	go s.serve(far)
	return near, nil
}

func (s *sluggish) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		args, err := command(r)
		if err != nil {
			return
		}
		answer := "-ERR unknown command\r\n"
		switch strings.ToUpper(args[0]) {
		case "PING":
			answer = "+PONG\r\n"
		case "MGET":
			if n := s.mgets.Add(1); s.stalls.Load() > 0 && n > s.stalls.Load() {
				time.Sleep(stall)
			}
			time.Sleep(time.Duration(s.takes.Load()))
			value := strings.Repeat("v", max(s.size, 1))
			answer = fmt.Sprintf("*%d\r\n", len(args)-1) + strings.Repeat(fmt.Sprintf("$%d\r\n%s\r\n", len(value), value), len(args)-1)
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

// command reads an array of strings.
func command(r *bufio.Reader) ([]string, error) {
	number := func() (int, error) {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	n, err := number()
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		size, err := number()
		if err != nil {
			return nil, err
		}
		text := make([]byte, size+2)
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, err
		}
		args[i] = string(text[:size])
	}
	return args, nil
}

// What came fast is no licence to wait for the rest: Redis answers pings, and no more
// keys.
func TestFastAnswersAreNoCreditForLateOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sluggish{}
		c, stop := s.cache()
		defer stop()
		s.takes.Store(int64(time.Millisecond))
		s.stalls.Store(50) // after 10,000 keys
		begun := time.Now()
		values, total := c.Get(t.Context(), manyKeys()[:10_200], 0)
		if took := time.Since(begun); took > 50*time.Millisecond+rediscache.DefaultPatience || total != rediscache.DefaultPatience {
			t.Errorf("Get took %v, which counts as %v; patience is %v", took, total, rediscache.DefaultPatience)
		}
		if values[9_999] == nil || values[10_000] != nil {
			t.Error("not what came before the stall was given")
		}
	})
}

// A lot of bytes on a line that is not fast is no long wait either.
func TestLargeValuesThatKeepComingAreNoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sluggish{size: 20_000} // 4 MB in each round
		c, stop := s.cache()
		defer stop()
		s.takes.Store(int64(80 * time.Millisecond))
		values, total := c.Get(t.Context(), manyKeys()[:1000], 0)
		if total != 0 || values[999] == nil {
			t.Errorf("20 MB that came in 400 ms count as %v of waiting", total)
		}
	})
}

func manyKeys() []string {
	keys := make([]string, 20_000)
	for i := range keys {
		keys[i] = fmt.Sprint(i)
	}
	return keys
}

// cache gives a second level in it. The caller calls stop, after which nothing of it
// runs any more.
func (s *sluggish) cache() (c *rediscache.Cache, stop func()) {
	// With a name for an address the client would ask the system for it, whose resolver
	// belongs to one bubble for good.
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", Dialer: s.dial, MaxRetries: -1, DisableIdentity: true, Protocol: 2})
	c = rediscache.NewCache(rediscache.Config{Client: client, Log: slog.New(slog.DiscardHandler)})
	return c, func() {
		time.Sleep(2 * stall) // fake time: the last answers
		c.Stop(context.Background())
		client.Close()
	}
}

func TestARequestWaitsForASlowRedisOnceHoweverMuchItReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sluggish{}
		c, stop := s.cache()
		defer stop()
		keys := manyKeys()
		ask := func(waited time.Duration) (found int, took, total time.Duration) {
			begun := time.Now()
			values, total := c.Get(t.Context(), keys, waited)
			for _, v := range values {
				if v != nil {
					found++
				}
			}
			return found, time.Since(begun), total
		}

		// A lot that keeps coming is no long wait.
		s.takes.Store(int64(10 * time.Millisecond))
		if found, took, total := ask(0); found != len(keys) || took != time.Second || total != 0 {
			t.Errorf("of a Redis that gives 20,000 keys in a second %d came in %v, and count as %v of waiting", found, took, total)
		}
		// Answers that come late are a wait: all together one patience.
		s.takes.Store(int64(100 * time.Millisecond))
		found, took, total := ask(0)
		if found == 0 || took > 200*time.Millisecond || total < rediscache.DefaultPatience {
			t.Errorf("a slow Redis gave %d keys in %v, which counts as %v", found, took, total)
		}
		// Who has waited long does not wait again, and what he had before is not forgotten.
		asked := s.mgets.Load()
		if found, took, again := ask(total); found != 0 || took != 0 || again != total || s.mgets.Load() != asked {
			t.Errorf("who had waited for %v was given %d keys after %v, and has waited for %v", total, found, took, again)
		}
		if _, took, total := ask(100 * time.Millisecond); took > 100*time.Millisecond || total < rediscache.DefaultPatience {
			t.Errorf("who had waited for 100 ms waited for %v more, and has waited for %v", took, total)
		}
	})
}
