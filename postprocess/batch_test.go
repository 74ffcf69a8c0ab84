package postprocess

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// A lone call goes at once; what comes while it is under way goes together, of
// each graph apart, and everybody gets his own outcome.
func TestWhatGathersGoesTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		sizes := map[graph.GraphKey][]int{}
		b := newBatcher(t.Context(), func(_ context.Context, g graph.GraphKey, in []int) ([]int, error) {
			time.Sleep(time.Second) // in fake time
			mu.Lock()
			sizes[g] = append(sizes[g], len(in))
			mu.Unlock()
			out := make([]int, len(in))
			for i, n := range in {
				out[i] = 2 * n
			}
			return out, nil
		})
		var wg sync.WaitGroup
		call := func(g graph.GraphKey, n int) {
			wg.Go(func() {
				if got, err := b.do(t.Context(), g, n); got != 2*n || err != nil {
					t.Errorf("%d gave %d, %v", n, got, err)
				}
			})
		}
		call(1, 0)
		call(2, 0)
		synctest.Wait()
		for n := range batchAtOnce + 20 {
			call(1, n)
		}
		synctest.Wait()
		wg.Wait()
		if got := sizes[1]; len(got) != 3 || got[0] != 1 || got[1] != batchAtOnce || got[2] != 20 {
			t.Errorf("graph 1 was sent %v", got)
		}
		if got := sizes[2]; len(got) != 1 {
			t.Errorf("graph 2 was sent %v", got)
		}
		b.wait()
		if len(b.open) != 0 {
			t.Errorf("%d gatherings are left", len(b.open))
		}
	})
}

// Who gives up does not take the others along; a fault is everybody's.
func TestWhoGivesUpCutsNobodyOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fault, held := errors.New("fault"), make(chan error)
		b := newBatcher(t.Context(), func(ctx context.Context, _ graph.GraphKey, in []int) ([]int, error) {
			if err := <-held; err != nil {
				return nil, err
			}
			return in, ctx.Err()
		})
		short, cancel := context.WithCancel(t.Context())
		outcome := make(chan error, 3)
		for i, ctx := range []context.Context{short, t.Context(), t.Context()} {
			go func() { _, err := b.do(ctx, 1, i); outcome <- err }()
			synctest.Wait()
		}
		cancel()
		if err := <-outcome; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up got %v", err)
		}
		held <- nil
		held <- fault
		for range 2 {
			if err := <-outcome; !errors.Is(err, fault) {
				t.Errorf("got %v", err)
			}
		}
	})
}
