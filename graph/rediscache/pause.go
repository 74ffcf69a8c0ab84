package rediscache

import (
	"context"
	"math/rand/v2"
	"time"
)

// pause grows from failure to failure. Half of it is drawn at random, so that
// the nodes do not return to Redis all at once.
type pause struct{ next time.Duration }

// first reports whether the last attempt before this failure was a success.
func (p *pause) first() bool { return p.next == 0 }

// reset notes a success; it reports whether there had been a failure.
func (p *pause) reset() bool {
	failed := p.next != 0
	p.next = 0
	return failed
}

// wait pauses after a failure; false where ctx ended.
func (p *pause) wait(ctx context.Context) bool {
	p.next = min(max(2*p.next, firstPause), longestPause)
	t := time.NewTimer(p.next/2 + rand.N(p.next/2))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
