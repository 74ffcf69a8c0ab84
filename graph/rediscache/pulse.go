package rediscache

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"time"
)

const (
	// DefaultPatience is how long Redis may give no sign of life while somebody
	// waits for it. It is counted in ticks that this process saw: on a machine that
	// stands still nobody is late.
	DefaultPatience = 160 * time.Millisecond
	tick            = 20 * time.Millisecond
	// pingAfter is the silence after which Redis is asked whether it lives.
	pingAfter = 3 * tick
)

// errSilent is why Redis was judged dead that did not refuse.
var errSilent = errors.New("it gives no sign of life")

// pulse tells a Redis that is slow, and is waited for, from one that is dead, for
// which nobody waits:
//
//	alive ── refuses connections, or is silent for as long as patience ─► dead
//	dead ── answers a ping ─► alive
//
// A sign of life is an answer to anybody, or to a ping on another connection: a
// large answer on its way is not silence. Nothing is asked of a Redis that is
// alive while nobody waits for it.
type pulse struct {
	log  *slog.Logger
	ping func(context.Context) error
	// patience is how long a silence may last.
	patience time.Duration
	ctx      context.Context // ends with stop
	quit     context.CancelFunc
	wg       sync.WaitGroup

	mu      sync.Mutex      // guards the fields below
	life    context.Context // ends when Redis is judged dead; nil from then on
	die     context.CancelFunc
	waiting int
	beats   int
	watched bool
	stopped bool
}

func newPulse(log *slog.Logger, patience time.Duration, ping func(context.Context) error) *pulse {
	p := &pulse{log: log, ping: ping, patience: patience}
	p.ctx, p.quit = context.WithCancel(context.Background())
	p.life, p.die = context.WithCancel(p.ctx)
	return p
}

// stop ends everything, and what waits for Redis, and returns once it has ended.
func (p *pulse) stop() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.quit()
	p.wg.Wait()
}

// spawn runs fn in a goroutine that stop waits for; false once stopped.
func (p *pulse) spawn(fn func(context.Context)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spawnLocked(fn)
}

func (p *pulse) spawnLocked(fn func(context.Context)) bool {
	if p.stopped {
		return false
	}
	p.wg.Go(func() { fn(p.ctx) })
	return true
}

// join begins to wait for Redis, until leave. The context that it gives ends when
// Redis is judged dead; ok is false where it is dead already.
func (p *pulse) join(ctx context.Context) (_ context.Context, leave func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.life == nil {
		return nil, nil, false
	}
	p.waiting++
	if !p.watched {
		p.watched = p.spawnLocked(p.watch)
	}
	ctx, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(p.life, cancel)
	return ctx, func() {
		unhook()
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.waiting--
	}, true
}

// beat notes a sign of life.
func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beats++
}

// failed notes that Redis could not be asked. Where nobody listens at its address
// it is dead; all else may come of a slow machine, or of one broken connection.
func (p *pulse) failed(err error) {
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		p.end(err)
	}
}

// watch looks after Redis while somebody waits for it.
func (p *pulse) watch(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	pong := make(chan error, 1)
	pinging := false
	heard, silent := 0, time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-pong:
			if pinging = false; err != nil {
				p.failed(err)
				continue
			}
			p.beat()
			continue
		case <-ticker.C:
		}
		beats, more := p.look()
		if !more {
			return
		}
		if silent += tick; beats != heard {
			heard, silent = beats, 0
		}
		if silent >= p.patience {
			p.end(errSilent)
			continue
		}
		if silent >= pingAfter && !pinging {
			pinging = p.spawn(func(ctx context.Context) { pong <- p.ping(ctx) })
		}
	}
}

// look gives the signs of life so far; more is false where the watch is over.
func (p *pulse) look() (beats int, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watched = p.waiting > 0 && p.life != nil
	return p.beats, p.watched
}

// end judges Redis dead, until it answers again.
func (p *pulse) end(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life == nil || p.stopped {
		return
	}
	p.die()
	p.life, p.die = nil, nil
	p.log.Warn("the second level in Redis is left alone until it answers; what is missing comes from the database", "why", why)
	p.spawnLocked(p.revive)
}

// revive asks a dead Redis now and then whether it lives.
func (p *pulse) revive(ctx context.Context) {
	var pause pause
	for pause.wait(ctx) {
		if p.ping(ctx) != nil {
			continue
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.life, p.die = context.WithCancel(p.ctx)
		p.beats++
		p.log.Info("the second level in Redis is used again")
		return
	}
}
