package replica_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// late is a second level that has nothing and takes its time to say so.
type late struct {
	mu     sync.Mutex
	waited []time.Duration // that it was told of
}

const eachTime = 10 * time.Millisecond

func (l *late) Get(_ context.Context, keys []string, waited time.Duration) ([][]byte, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waited = append(l.waited, waited)
	return make([][]byte, len(keys)), waited + eachTime
}

func (l *late) Put(context.Context, []string, [][]byte) bool { return true }

// told gives what it was told of since the last call.
func (l *late) told() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.waited = nil }()
	return l.waited
}

func TestOneRequestWaitsForTheSecondLevelOnceInManyReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var chain [9]*graph.Object
	w.commit(t, func(x *tx) {
		for i := range chain {
			chain[i] = x.create("Thing", `{}`, acl(""))
			if i > 0 {
				x.link("a", chain[i-1].ID, chain[i].ID, `{}`)
			}
		}
	})
	level := &late{}
	_, r := w.open(t, replica.Config{Eager: -1, Cache: level, Poll: time.Hour})
	// Each object is known of only once the one before it is held: as many loads.
	read := func(ctx context.Context, from, to int) {
		t.Helper()
		err := r.Read(ctx, func(st *replica.State) {
			for i := from; i < to; i++ {
				if st.Object(chain[i].ID) == nil {
					return
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	steps := func(n int) (out []time.Duration) {
		for i := range n {
			out = append(out, time.Duration(i)*eachTime)
		}
		return out
	}
	// The loads of one Read count together,
	read(t.Context(), 0, 3)
	if got := level.told(); !slices.Equal(got, steps(3)) {
		t.Errorf("the loads of one Read were said to have waited %v", got)
	}
	// those of another do not,
	read(t.Context(), 3, 5)
	if got := level.told(); !slices.Equal(got, steps(2)) {
		t.Errorf("the loads of another Read were said to have waited %v", got)
	}
	// but all that are for one request do.
	ctx := replica.OneRequest(t.Context())
	read(ctx, 5, 7)
	read(ctx, 7, 9)
	if got := level.told(); !slices.Equal(got, steps(4)) {
		t.Errorf("the loads of one request were said to have waited %v", got)
	}
}
