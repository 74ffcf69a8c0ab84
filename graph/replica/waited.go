package replica

import (
	"context"
	"sync/atomic"
	"time"
)

// waited is for how long a request has waited for the second level: however much
// it reads, and in however many rounds, it is not to wait longer than once.
type waited struct{ ns atomic.Int64 }

func (w *waited) so() time.Duration { return time.Duration(w.ns.Load()) }

func (w *waited) atLeast(d time.Duration) {
	for {
		was := w.ns.Load()
		if int64(d) <= was || w.ns.CompareAndSwap(was, int64(d)) {
			return
		}
	}
}

type waitedKey struct{}

// OneRequest gives a context for one request: whatever is read with it, from
// whatever replica, waits for the second level no longer in all than one Read may
// that has a context without it.
func OneRequest(ctx context.Context) context.Context {
	return context.WithValue(ctx, waitedKey{}, &waited{})
}

// waitedBy gives that of the context's request, else own.
func waitedBy(ctx context.Context, own *waited) *waited {
	if w, ok := ctx.Value(waitedKey{}).(*waited); ok {
		return w
	}
	return own
}
