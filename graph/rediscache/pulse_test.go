package rediscache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// answers is a Redis that answers pings, or does not.
type answers struct {
	silent atomic.Bool
	err    atomic.Pointer[error]
	pings  atomic.Int64
}

func (a *answers) ping(ctx context.Context) error {
	a.pings.Add(1)
	if err := a.err.Load(); err != nil {
		return *err
	}
	if a.silent.Load() {
		select {
		case <-ctx.Done():
		case <-time.After(roundTime): // as the client gives up
		}
		return context.DeadlineExceeded
	}
	return nil
}

func pulseOf(t *testing.T, a *answers) *pulse {
	p := newPulse(slog.New(slog.DiscardHandler), DefaultPatience, a.ping)
	t.Cleanup(p.stop)
	return p
}

func TestASlowRedisIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &answers{}
		p := pulseOf(t, a)
		ctx, leave, ok := p.join(t.Context())
		if !ok {
			t.Fatal("a new Redis counts as dead")
		}
		time.Sleep(5 * time.Minute) // in which nothing comes but answers to pings
		if ctx.Err() != nil {
			t.Error("who waits for a Redis that answers pings was sent away")
		}
		if a.pings.Load() == 0 {
			t.Error("a Redis that is silent was not asked whether it lives")
		}
		leave()
		synctest.Wait()
		before := a.pings.Load()
		time.Sleep(5 * time.Minute)
		if n := a.pings.Load() - before; n > 1 {
			t.Errorf("a Redis for which nobody waits got %d pings", n)
		}
	})
}

func TestASilentRedisIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &answers{}
		a.silent.Store(true)
		p := pulseOf(t, a)
		ctx, leave, _ := p.join(t.Context())
		defer leave()
		began := time.Now()
		<-ctx.Done()
		if took := time.Since(began); took < DefaultPatience || took > 2*DefaultPatience {
			t.Errorf("given up after %v, want about %v", took, DefaultPatience)
		}
		if _, _, ok := p.join(t.Context()); ok {
			t.Error("the next one waits as well")
		}
		time.Sleep(time.Hour)
		if n := a.pings.Load(); n < 100 || n > 3000 {
			t.Errorf("%d pings in an hour", n)
		}
		if _, _, ok := p.join(t.Context()); ok {
			t.Error("a Redis that is silent still is waited for")
		}
		a.silent.Store(false)
		time.Sleep(time.Minute)
		again, leaveAgain, ok := p.join(t.Context())
		if !ok {
			t.Fatal("a Redis that answers again is not asked")
		}
		defer leaveAgain()
		time.Sleep(time.Minute)
		if again.Err() != nil {
			t.Error("a Redis that answers again is not waited for")
		}
	})
}

func TestARefusalIsTheEndAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused := fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
		a := &answers{}
		a.err.Store(&refused)
		p := pulseOf(t, a)
		ctx, leave, _ := p.join(t.Context())
		defer leave()
		p.failed(errors.New("the connection broke"))
		synctest.Wait()
		if ctx.Err() != nil {
			t.Error("one broken connection is taken for a dead Redis")
		}
		p.failed(refused)
		<-ctx.Done()
		if _, _, ok := p.join(t.Context()); ok {
			t.Error("a Redis that refuses connections is waited for")
		}
	})
}

func TestStopEndsTheWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pulseOf(t, &answers{})
		ctx, leave, _ := p.join(t.Context())
		defer leave()
		for range 2 {
			p.stop()
		}
		<-ctx.Done()
		if _, _, ok := p.join(t.Context()); ok {
			t.Error("somebody waits after the end")
		}
	})
}
