package postprocess

import (
	"context"
	"runtime"
	"sync"

	"github.com/graphtide/graphtide/graph"
)

// batchAtOnce bounds what goes to the store in one statement.
const batchAtOnce = 100

// batcher sends what gathers for a graph while the statement before is under
// way, all in one: a lone call goes at once, a crowd shares the cost of a
// transaction.
type batcher[In, Out any] struct {
	send func(ctx context.Context, g graph.GraphKey, in []In) ([]Out, error)
	life context.Context // of the statements: the callers' do not cut each other off
	wg   sync.WaitGroup

	mu   sync.Mutex // guards the field below
	open map[graph.GraphKey]*gathering[In, Out]
}

// gathering is what waits for a graph. It exists while somebody sends.
type gathering[In, Out any] struct {
	calls []*batched[In, Out]
}

type batched[In, Out any] struct {
	in   In
	out  Out
	err  error
	done chan struct{}
}

func newBatcher[In, Out any](life context.Context, send func(context.Context, graph.GraphKey, []In) ([]Out, error)) *batcher[In, Out] {
	return &batcher[In, Out]{send: send, life: life, open: map[graph.GraphKey]*gathering[In, Out]{}}
}

// do sends in with others and gives its outcome. When ctx ends first the
// outcome is not known: it may have been sent.
func (b *batcher[In, Out]) do(ctx context.Context, g graph.GraphKey, in In) (Out, error) {
	c := &batched[In, Out]{in: in, done: make(chan struct{})}
	b.mu.Lock()
	gathered := b.open[g]
	if gathered == nil {
		gathered = &gathering[In, Out]{}
		b.open[g] = gathered
		b.wg.Go(func() { b.drain(g, gathered) })
	}
	gathered.calls = append(gathered.calls, c)
	b.mu.Unlock()
	select {
	case <-c.done:
		return c.out, c.err
	case <-ctx.Done():
		var none Out
		return none, context.Cause(ctx)
	}
}

// wait returns when nothing is under way; nobody calls do any more.
func (b *batcher[In, Out]) wait() { b.wg.Wait() }

// drain sends what gathers for a graph, and ends when nothing does.
func (b *batcher[In, Out]) drain(g graph.GraphKey, gathered *gathering[In, Out]) {
	runtime.Gosched() // those who come at the same moment go together
	for {
		b.mu.Lock()
		n := min(len(gathered.calls), batchAtOnce)
		if n == 0 {
			delete(b.open, g)
			b.mu.Unlock()
			return
		}
		calls := gathered.calls[:n:n]
		gathered.calls = gathered.calls[n:]
		b.mu.Unlock()
		in := make([]In, n)
		for i, c := range calls {
			in[i] = c.in
		}
		out, err := b.send(b.life, g, in)
		for i, c := range calls {
			if c.err = err; err == nil {
				c.out = out[i]
			}
			close(c.done)
		}
	}
}
