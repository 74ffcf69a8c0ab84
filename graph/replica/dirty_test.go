package replica_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// counter is a second level that is honest, counts, and is down at times.
type counter struct {
	mu    sync.Mutex
	kept  map[string][]byte
	down  bool
	puts  int // that were tried
	found int
}

func (c *counter) Get(_ context.Context, keys []string, waited time.Duration) ([][]byte, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([][]byte, len(keys))
	for i, k := range keys {
		if out[i] = c.kept[k]; out[i] != nil {
			c.found++
		}
	}
	return out, waited
}

func (c *counter) Put(_ context.Context, keys []string, values [][]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.puts++
	if c.down {
		return false
	}
	for i, k := range keys {
		c.kept[k] = values[i]
	}
	return true
}

func (c *counter) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.kept)
}

func (c *counter) set(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
}

// gated is a store whose log can be read once open is closed.
type gated struct {
	graph.Store
	open chan struct{}
}

func (g *gated) Log(ctx context.Context, key graph.GraphKey, since graph.Version, limit int) ([]*graph.Commit, error) {
	select {
	case <-g.open:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return g.Store.Log(ctx, key, since, limit)
}

const soon = 10 * time.Second // of the fake clock: longer than any pause in writing

// readAll reads the given objects on a replica.
func readAll(t *testing.T, r *replica.Replica, objects []*graph.Object) {
	t.Helper()
	err := r.Read(t.Context(), func(st *replica.State) {
		for _, o := range objects {
			st.Object(o.ID)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func things(t *testing.T, w *world, n int) (objects []*graph.Object) {
	t.Helper()
	w.commit(t, func(x *tx) {
		for i := range n {
			objects = append(objects, x.create("Thing", fmt.Sprintf(`{"p":%d}`, i), acl("")))
		}
	})
	return objects
}

// What waits for the log before it is taken in is not written before that, when
// it could not be, and forgotten.
func TestWhatIsLoadedReachesTheSecondLevelHoweverLongItTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		all := things(t, w, 4)
		objects := all[1:]
		level, store := &counter{kept: map[string][]byte{}}, &gated{w.store, make(chan struct{})}
		_, r := w.open(t, replica.Config{Store: store, Eager: -1, Cache: level, Poll: time.Hour})
		w.commit(t, func(x *tx) { x.modify(all[0], `{}`, acl("")) }) // which the replica does not know of
		done := make(chan struct{})
		go func() {
			defer close(done)
			readAll(t, r, objects)
		}()
		time.Sleep(soon) // the parts are there, and wait for the log
		close(store.open)
		<-done
		time.Sleep(soon)
		if n := level.len(); n != len(objects) {
			t.Errorf("the second level has %d entries, want %d", n, len(objects))
		}
	})
}

// A second level that was down gets what it missed, and is not asked without
// end meanwhile.
func TestWritesToTheSecondLevelAreTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		objects := things(t, w, 1000)
		level := &counter{kept: map[string][]byte{}, down: true}
		_, r := w.open(t, replica.Config{Eager: -1, Cache: level, Poll: time.Hour})
		readAll(t, r, objects)
		w.commit(t, func(x *tx) { x.modify(objects[0], `{"p":"new"}`, acl("")) })
		if err := r.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		level.mu.Lock()
		puts := level.puts
		level.down = false
		level.mu.Unlock()
		if puts < 2 || puts > 100 {
			t.Errorf("a second level that is down was asked %d times in five minutes", puts)
		}
		time.Sleep(soon)
		if n := level.len(); n != len(objects) {
			t.Errorf("the second level has %d entries, want %d", n, len(objects))
		}
		// What it has is what is: another node finds all of it.
		_, other := w.open(t, replica.Config{Eager: -1, Cache: level, Poll: time.Hour, Store: &metered{Store: w.store}})
		readAll(t, other, objects)
		if level.found != len(objects) {
			t.Errorf("another node found %d entries, want %d", level.found, len(objects))
		}
	})
}

// A node that stops hands over what it holds, what has just changed included; a
// second level that is down does not keep it from stopping.
func TestStopFinishesWritingToTheSecondLevel(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]bool{"up": false, "down": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				objects := things(t, w, 1000)
				level, store := &counter{kept: map[string][]byte{}, down: down}, &metered{Store: w.store}
				set, r := w.open(t, replica.Config{Eager: -1, Cache: level, Poll: time.Hour})
				readAll(t, r, objects)
				w.commit(t, func(x *tx) { x.modify(objects[0], `{"p":"new"}`, acl("")) })
				if err := r.CatchUp(t.Context()); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if err := set.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > 0 {
					t.Errorf("stopping took %v", took)
				}
				level.set(false)
				_, other := w.open(t, replica.Config{Eager: -1, Cache: level, Poll: time.Hour, Store: store})
				readAll(t, other, objects)
				if got := store.objects.Load(); !down && got != 0 {
					t.Errorf("the next node read %d objects from the store", got)
				}
			})
		})
	}
}
