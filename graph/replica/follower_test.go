package replica_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/graph/replica"
)

// hints carries announcements between the nodes of a test, at once.
type hints struct {
	mu        sync.Mutex
	listeners []func(graph.GraphKey, string, graph.Version)
}

func (h *hints) Announce(g graph.GraphKey, epoch string, v graph.Version) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, fn := range h.listeners {
		fn(g, epoch, v)
	}
}

func (h *hints) Listen(ctx context.Context, fn func(graph.GraphKey, string, graph.Version)) {
	h.mu.Lock()
	h.listeners = append(h.listeners, fn)
	h.mu.Unlock()
	<-ctx.Done()
}

// quiet drops what the code under test logs.
var quiet = slog.New(slog.DiscardHandler)

// inFakeTime runs a test in a bubble of its own, where time passes only while
// everybody waits.
func inFakeTime(t *testing.T, fn func(t *testing.T)) {
	t.Parallel()
	synctest.Test(t, fn)
}

func addThing(x *tx) { x.create("Thing", `{}`, acl("")) }

func TestHintBringsCommitAtOnce(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		w, h := newWorld(t), &hints{}
		_, r := w.open(t, replica.Config{Hints: h, Poll: time.Hour})
		synctest.Wait()
		began := time.Now()
		for range 3 {
			w.commit(t, addThing)
			h.Announce(w.info.Key, w.head.Epoch, w.head.Version)
			synctest.Wait()
			if r.Head() != w.head || time.Since(began) != 0 {
				t.Fatalf("at %+v after %v, want %+v at once", r.Head(), time.Since(began), w.head)
			}
		}
		h.Announce(w.info.Key, "another epoch", 1000) // false, and about a version that nobody wrote
		h.Announce(w.info.Key, w.head.Epoch, 1000)
		h.Announce(4711, w.head.Epoch, 1000)
		synctest.Wait()
		r.Read(context.Background(), func(st *replica.State) { w.agrees(t, st) })
	})
}

func TestLostHintCostsAtMostThePoll(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		w := newWorld(t)
		const poll = 700 * time.Millisecond
		_, r := w.open(t, replica.Config{Poll: poll})
		for range 5 {
			for range 3 {
				w.commit(t, addThing)
			}
			changed := make(chan struct{}, 10)
			stop := r.Watch(func() { changed <- struct{}{} })
			began := time.Now()
			<-changed
			stop()
			if late := time.Since(began); late > poll || r.Head() != w.head {
				t.Fatalf("at %+v after %v, want %+v", r.Head(), late, w.head)
			}
		}
	})
}

func TestFollowerReadsLongLogs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, r := w.open(t, replica.Config{})
	for _, n := range []int{1300, 512, 511, 513, 1} {
		for range n {
			w.commit(t, addThing)
		}
		if err := r.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r.Head() != w.head {
			t.Fatalf("after %d more: %+v, want %+v", n, r.Head(), w.head)
		}
	}
	r.Read(context.Background(), func(st *replica.State) { w.agrees(t, st) })
}

func TestDeletedGraphClosesItsReplica(t *testing.T) {
	for name, again := range map[string]bool{"deleted": false, "made again": true} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T) {
				store := memstore.New()
				w := worldIn(t, store, "team")
				w.commit(t, addThing)
				set, r := w.open(t, replica.Config{Poll: time.Second, Log: quiet})
				waiting := make(chan error, 1)
				go func() { waiting <- r.Wait(t.Context(), 1000) }()
				synctest.Wait()
				told := make(chan struct{}, 10)
				r.Watch(func() { told <- struct{}{} })
				if err := store.DeleteGraph(t.Context(), "team"); err != nil {
					t.Fatal(err)
				}
				if again {
					w = worldIn(t, store, "team")
				}
				began := time.Now()
				<-r.Closed()
				<-told
				if late := time.Since(began); late > time.Second {
					t.Errorf("noticed after %v", late)
				}
				if err := <-waiting; graph.CodeOf(err) != graph.CodeNotFound {
					t.Errorf("who waited got %v", err)
				}
				if err := r.CatchUp(t.Context()); graph.CodeOf(err) != graph.CodeNotFound {
					t.Errorf("a closed replica caught up: %v", err)
				}
				fresh, err := set.Open(t.Context(), "team")
				if !again {
					if graph.CodeOf(err) != graph.CodeNotFound {
						t.Fatalf("opened a graph that is no more: %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if fresh == r || fresh.Key() == r.Key() || fresh.Head() != w.head {
					t.Errorf("the graph made again has %+v", fresh.Head())
				}
			})
		})
	}
}

func TestRefreshNoticesDeletionNow(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	w := worldIn(t, store, "team")
	set, r := w.open(t, replica.Config{Poll: time.Hour})
	w.commit(t, addThing)
	if err := set.Refresh(t.Context(), "team"); err != nil || r.Head() != w.head {
		t.Fatalf("after a commit: %v at %+v", err, r.Head())
	}
	if err := store.DeleteGraph(t.Context(), "team"); err != nil {
		t.Fatal(err)
	}
	if err := set.Refresh(t.Context(), "team"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.Closed():
	default:
		t.Error("the replica is open")
	}
	if err := set.Refresh(t.Context(), "team"); err != nil {
		t.Errorf("a graph that is not open: %v", err)
	}
}

func TestNewEpochLoadsAnew(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		w := newWorld(t)
		_, r := w.open(t, replica.Config{Poll: time.Second, Log: quiet})
		w.commit(t, addThing)
		if err := r.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		told := make(chan struct{}, 10)
		r.Watch(func() { told <- struct{}{} })
		epoch, err := w.store.NewEpoch(t.Context(), w.info.Name)
		if err != nil {
			t.Fatal(err)
		}
		w.head.Epoch = epoch
		<-told
		if r.Head() != w.head {
			t.Fatalf("at %+v, want %+v", r.Head(), w.head)
		}
		if _, ok := r.Since(0); ok {
			t.Error("commits of the old epoch are given")
		}
		w.commit(t, addThing)
		<-told
		r.Read(context.Background(), func(st *replica.State) { w.agrees(t, st) })
	})
}

// A commit of a new epoch may come before word of the epoch does.
func TestCommitOfAnotherEpochLoadsAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, r := w.open(t, replica.Config{Poll: time.Hour, Log: quiet})
	w.commit(t, addThing)
	epoch, err := w.store.NewEpoch(t.Context(), w.info.Name)
	if err != nil {
		t.Fatal(err)
	}
	w.head.Epoch = epoch
	w.commit(t, addThing)
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.Head() != w.head {
		t.Fatalf("at %+v, want %+v", r.Head(), w.head)
	}
	r.Read(context.Background(), func(st *replica.State) { w.agrees(t, st) })
}

// overtaken is a store whose answers are old when they arrive.
type overtaken struct {
	graph.Store
	meanwhile func() // after the state was read
	next      func() // before the log is read
}

func (o *overtaken) Graph(ctx context.Context, name string) (graph.GraphInfo, error) {
	info, err := o.Store.Graph(ctx, name)
	o.meanwhile()
	return info, err
}

func (o *overtaken) State(ctx context.Context, g graph.GraphKey, fn graph.StateFunc) (graph.Head, error) {
	head, err := o.Store.State(ctx, g, fn)
	o.meanwhile()
	return head, err
}

func (o *overtaken) Log(ctx context.Context, g graph.GraphKey, since graph.Version, limit int) ([]*graph.Commit, error) {
	o.next()
	return o.Store.Log(ctx, g, since, limit)
}

// Who is told of a version is never told of an earlier one.
func TestLoadedAnewAReplicaDoesNotGoBack(t *testing.T) {
	t.Parallel()
	for name, eager := range map[string]int{"whole": 1000, "in part": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			quietly := func() {}
			store := &overtaken{Store: w.store, meanwhile: quietly, next: quietly}
			_, r := w.open(t, replica.Config{Store: store, Eager: eager, Poll: time.Hour, Log: quiet})
			own := func() {
				if err := r.Apply([]*graph.Commit{w.commit(t, addThing)}); err != nil {
					t.Error(err)
				}
			}
			own()
			store.meanwhile = own
			backwards := 0
			store.next = func() {
				if r.Head().Version < w.head.Version {
					backwards++
				}
			}
			r.Reload()
			if err := r.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			if r.Head() != w.head || backwards > 0 {
				t.Fatalf("at %+v, want %+v; it went back %d times", r.Head(), w.head, backwards)
			}
			if eager < 0 {
				return // it holds what is asked for
			}
			if err := r.Read(t.Context(), func(st *replica.State) { w.agrees(t, st) }); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// forgetful is a store that has lost its newest commits, as one does after a
// failover to a standby that lagged.
type forgetful struct {
	graph.Store
	keeps atomic.Int64 // the newest version left
}

func (f *forgetful) cut(h graph.Head) graph.Head {
	h.Version = min(h.Version, graph.Version(f.keeps.Load()))
	return h
}

func (f *forgetful) Graph(ctx context.Context, name string) (graph.GraphInfo, error) {
	info, err := f.Store.Graph(ctx, name)
	info.Head = f.cut(info.Head)
	return info, err
}

func (f *forgetful) Heads(ctx context.Context, keys []graph.GraphKey) (map[graph.GraphKey]graph.Head, error) {
	heads, err := f.Store.Heads(ctx, keys)
	for k, h := range heads {
		heads[k] = f.cut(h)
	}
	return heads, err
}

func (f *forgetful) Log(ctx context.Context, g graph.GraphKey, since graph.Version, limit int) ([]*graph.Commit, error) {
	commits, err := f.Store.Log(ctx, g, since, limit)
	for i, c := range commits {
		if c.Version > graph.Version(f.keeps.Load()) {
			return commits[:i], err
		}
	}
	return commits, err
}

func (f *forgetful) State(ctx context.Context, g graph.GraphKey, fn graph.StateFunc) (graph.Head, error) {
	heads, err := f.Store.Heads(ctx, []graph.GraphKey{g})
	if err != nil {
		return graph.Head{}, err
	}
	return f.Store.StateAt(ctx, g, f.cut(heads[g]).Version, fn)
}

func TestStoreThatLostCommitsGetsANewEpoch(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		w := newWorld(t)
		store := &forgetful{Store: w.store}
		store.keeps.Store(1000)
		_, r := w.open(t, replica.Config{Store: store, Poll: time.Second, Log: quiet})
		for range 3 {
			w.commit(t, addThing)
		}
		if err := r.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := r.Head()
		told := make(chan struct{}, 10)
		r.Watch(func() { told <- struct{}{} })
		store.keeps.Store(2)
		<-told
		if head := r.Head(); head.Version != 2 || head.Epoch == before.Epoch {
			t.Errorf("at %+v after a loss, before %+v", head, before)
		}
	})
}

// slowStore counts and holds up the loads of states.
type slowStore struct {
	graph.Store
	loads atomic.Int32
	gate  chan struct{}
	err   error
}

func (s *slowStore) State(ctx context.Context, g graph.GraphKey, fn graph.StateFunc) (graph.Head, error) {
	s.loads.Add(1)
	<-s.gate
	if s.err != nil {
		return graph.Head{}, s.err
	}
	return s.Store.State(ctx, g, fn)
}

func TestGraphIsLoadedOnceForAllWhoWait(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		w := newWorld(t)
		w.commit(t, addThing)
		store := &slowStore{Store: w.store, gate: make(chan struct{})}
		set := replica.New(replica.Config{Store: store})
		impatient, cancel := context.WithCancel(t.Context())
		opened := make(chan *replica.Replica, 10)
		gaveUp := make(chan error, 1)
		go func() {
			_, err := set.Open(impatient, graph.MainGraph)
			gaveUp <- err
		}()
		synctest.Wait()
		for range 10 {
			go func() {
				r, err := set.Open(t.Context(), graph.MainGraph)
				if err != nil {
					t.Error(err)
				}
				opened <- r
			}()
		}
		synctest.Wait()
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up got %v", err)
		}
		close(store.gate)
		first := <-opened
		for range 9 {
			if r := <-opened; r != first {
				t.Error("two replicas of one graph")
			}
		}
		if n := store.loads.Load(); n != 1 {
			t.Errorf("%d loads", n)
		}
		if first.Head() != w.head || len(set.Opened()) != 1 {
			t.Errorf("at %+v, want %+v; %d open", first.Head(), w.head, len(set.Opened()))
		}
		if err := set.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestFailedLoadIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &slowStore{Store: w.store, gate: make(chan struct{}), err: graph.Errf(graph.CodeUnavailable, "away")}
	close(store.gate)
	set := replica.New(replica.Config{Store: store})
	defer set.Stop(context.Background())
	if _, err := set.Open(t.Context(), graph.MainGraph); graph.CodeOf(err) != graph.CodeUnavailable {
		t.Fatalf("a store that is away: %v", err)
	}
	store.err = nil
	if _, err := set.Open(t.Context(), graph.MainGraph); err != nil {
		t.Fatal(err)
	}
	if _, err := set.Open(t.Context(), "nowhere"); graph.CodeOf(err) != graph.CodeNotFound {
		t.Fatalf("a graph that is not: %v", err)
	}
}

func TestNewerSchemaIsTold(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		w := newWorld(t)
		told := make(chan int64, 10)
		_, r := w.open(t, replica.Config{
			Poll:     time.Second,
			OnSchema: func(_ context.Context, v int64) { told <- v },
		})
		activate := func() {
			t.Helper()
			v, err := w.store.ActivateSchema(t.Context(), w.head.SchemaVer, []byte(`{}`), func(context.Context, []graph.GraphInfo) ([]*graph.Batch, error) { return nil, nil })
			if err != nil {
				t.Fatal(err)
			}
			w.head.SchemaVer = v
		}
		activate()
		if v := <-told; v != 1 {
			t.Fatalf("told of version %d from the head", v)
		}
		if err := r.Wait(t.Context(), 0); err != nil || r.Head().SchemaVer != 1 {
			t.Fatalf("at %+v, %v", r.Head(), err)
		}
		activate()
		w.commit(t, addThing)
		if err := r.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v := <-told; v != 2 || r.Head().SchemaVer != 2 {
			t.Fatalf("told of version %d from a commit", v)
		}
		<-time.After(10 * time.Second) // ten polls that bring nothing new
		if len(told) > 0 {
			t.Errorf("told of version %d again", <-told)
		}
	})
}

func TestSetStartsAndStopsOnceHoweverOftenAsked(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		w := newWorld(t)
		set, r := w.open(t, replica.Config{Hints: &hints{}, OnSchema: func(context.Context, int64) {}})
		if err := set.Start(t.Context()); err != nil {
			t.Errorf("second start: %v", err)
		}
		w.commit(t, addThing)
		for range 2 {
			if err := set.Stop(t.Context()); err != nil {
				t.Errorf("stop: %v", err)
			}
		}
		// The bubble ends only when no goroutine of the Set is left.
		if err := set.Start(t.Context()); graph.CodeOf(err) != graph.CodeUnavailable {
			t.Errorf("start after stop: %v", err)
		}
		if _, err := set.Open(t.Context(), "other"); graph.CodeOf(err) != graph.CodeUnavailable {
			t.Errorf("open after stop: %v", err)
		}
		if err := r.CatchUp(t.Context()); graph.CodeOf(err) != graph.CodeUnavailable {
			t.Errorf("catch up after stop: %v", err)
		}
		r.Read(context.Background(), func(st *replica.State) {
			if st.Head().Version != 0 {
				t.Error("followed after stop")
			}
		})
	})
}

func TestFaultOfTheStoreIsOvercome(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		w := newWorld(t)
		store := &failing{Store: w.store}
		_, r := w.open(t, replica.Config{Store: store, Poll: time.Second, Log: quiet})
		w.commit(t, addThing)
		store.fail.Store(true)
		if err := r.CatchUp(t.Context()); graph.CodeOf(err) != graph.CodeUnavailable {
			t.Fatalf("a store that is away: %v", err)
		}
		<-time.After(5 * time.Second)
		if r.Head().Version != 0 {
			t.Fatal("followed a store that is away")
		}
		store.fail.Store(false)
		if err := r.Wait(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	})
}

// failing is a store that is away for a while.
type failing struct {
	graph.Store
	fail atomic.Bool
}

func (f *failing) away() error {
	if f.fail.Load() {
		return graph.Errf(graph.CodeUnavailable, "away")
	}
	return nil
}

func (f *failing) Log(ctx context.Context, g graph.GraphKey, since graph.Version, limit int) ([]*graph.Commit, error) {
	if err := f.away(); err != nil {
		return nil, err
	}
	return f.Store.Log(ctx, g, since, limit)
}

func (f *failing) Heads(ctx context.Context, keys []graph.GraphKey) (map[graph.GraphKey]graph.Head, error) {
	if err := f.away(); err != nil {
		return nil, err
	}
	return f.Store.Heads(ctx, keys)
}
