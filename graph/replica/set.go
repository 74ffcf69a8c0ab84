package replica

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/graphtide/graphtide/graph"
)

// The defaults of Config.
const (
	DefaultPoll      = time.Second
	DefaultRing      = 4096
	DefaultRingBytes = 64 << 20
	DefaultBytes     = 1 << 30
	DefaultEager     = 20_000
)

// parallelRounds bounds how many replicas read the store at the same time, so
// that a poll after an outage does not take every database connection.
const parallelRounds = 8

// parallelLoads bounds how many reads of parts of states are under way.
const parallelLoads = 4

// Config says how a Set works.
type Config struct {
	Store graph.Store
	Hints graph.Hints // nil: the poll alone brings the commits of other nodes
	// Poll is the pause between two looks at the heads of all open graphs, and
	// so the most that a lost hint costs. Default: DefaultPoll.
	Poll time.Duration
	Log  *slog.Logger // nil: slog.Default()
	// Ring and RingBytes bound the recent commits kept for each graph: how far
	// back Since reaches. Defaults: DefaultRing, DefaultRingBytes.
	Ring      int
	RingBytes int
	// Bytes bounds, roughly, what all replicas of this process take beside their
	// rings; what somebody holds stays all the same. Default: DefaultBytes.
	Bytes int64
	// Eager is the number of entities up to which a graph is read whole when it is
	// opened. Of a larger one what is asked for is loaded. Default: DefaultEager;
	// less than 0: nothing is read before it is asked for.
	Eager int
	// Cache is a second level for graphs that are not read whole; nil: there is
	// none.
	Cache Cache
	// ImageDir is where images of the replicas are kept, for the next start; "":
	// nowhere.
	ImageDir string
	// Metrics takes the counters; nil: nobody looks.
	Metrics prometheus.Registerer
	// OnSchema is called, from a goroutine of the Set's own, when a commit or a
	// head carries a newer schema version than any before. nil: nobody asks.
	OnSchema func(ctx context.Context, version int64)
}

// WithDefaults fills in what is zero.
func (c Config) WithDefaults() Config {
	if c.Poll <= 0 {
		c.Poll = DefaultPoll
	}
	if c.Ring <= 0 {
		c.Ring = DefaultRing
	}
	if c.RingBytes <= 0 {
		c.RingBytes = DefaultRingBytes
	}
	if c.Bytes <= 0 {
		c.Bytes = DefaultBytes
	}
	if c.Eager == 0 {
		c.Eager = DefaultEager
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// Set holds the replicas of this process: new, running between Start and Stop,
// then stopped for good.
type Set struct {
	cfg       Config
	ctx       context.Context // ends with Stop: the life of everything that the Set started
	cancel    context.CancelFunc
	ending    sync.Once
	wg        sync.WaitGroup
	loading   singleflight.Group
	polls     chan struct{} // one waiting request is as good as many
	rounds    chan struct{} // a place for each round under way
	places    chan struct{} // a place for each read of parts of a state
	over      chan struct{} // the replicas are over their bound; one waiting is as good as many
	bytes     atomic.Int64  // of all open replicas
	dirty     atomic.Int64  // bytes of all that waits for the second level
	maxDirty  int64         // maxDirty, but in tests
	metrics   *metrics
	snapshots snapshots

	confirmations confirmations

	schema  atomic.Int64  // the newest version seen
	schemas chan struct{} // the newest version changed; one waiting is as good as many

	mu      sync.Mutex // guards the fields below
	open    map[string]*Replica
	byKey   map[graph.GraphKey]*Replica
	started bool
	stopped bool
}

// New makes a Set. It reads nothing before the first Open, and follows the log
// from Start on.
func New(cfg Config) *Set {
	s := &Set{
		cfg:      cfg.WithDefaults(),
		polls:    make(chan struct{}, 1),
		rounds:   make(chan struct{}, parallelRounds),
		places:   make(chan struct{}, parallelLoads),
		over:     make(chan struct{}, 1),
		schemas:  make(chan struct{}, 1),
		maxDirty: maxDirty,
		open:     map[string]*Replica{},
		byKey:    map[graph.GraphKey]*Replica{},
	}
	s.metrics = newMetrics(s)
	s.snapshots.slots = make(chan struct{}, maxSnapshotLoads)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Start begins to follow the log. It may be called twice; after Stop it gives
// CodeUnavailable.
func (s *Set) Start(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errStopped()
	}
	if s.started {
		return nil
	}
	s.started = true
	s.spawnLocked(s.pollLoop)
	s.spawnLocked(s.sweepLoop)
	if s.cfg.ImageDir != "" {
		s.spawnLocked(s.imageLoop)
	}
	if s.cfg.Cache != nil {
		s.spawnLocked(s.writeLoop)
	}
	if s.cfg.Hints != nil {
		s.spawnLocked(func(ctx context.Context) { s.cfg.Hints.Listen(ctx, s.hint) })
	}
	if s.cfg.OnSchema != nil {
		s.spawnLocked(s.schemaLoop)
	}
	return nil
}

// Stop ends everything that the Set started and returns once it has ended and
// what it holds has been written where the next start finds it: ctx bounds that.
// It may be called twice. Replicas stay readable, at their last version.
func (s *Set) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	s.ending.Do(func() {
		var writing sync.WaitGroup
		if s.cfg.Cache != nil {
			writing.Go(func() { s.finish(ctx) })
		}
		s.saveImages(ctx)
		writing.Wait()
	})
	return nil
}

// Open gives the replica of a graph, loading it once for all who wait;
// CodeNotFound where there is no such graph. ctx bounds the waiting, not the
// load.
func (s *Set) Open(ctx context.Context, name string) (*Replica, error) {
	s.mu.Lock()
	r := s.open[name]
	s.mu.Unlock()
	if r != nil {
		return r, nil
	}
	loaded := s.loading.DoChan(name, s.held(func() (any, error) { return s.load(name) }))
	select {
	case res := <-loaded:
		if res.Err != nil {
			return nil, fmt.Errorf("open graph %s: %w", name, res.Err)
		}
		return res.Val.(*Replica), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Opened gives the replicas that are open, in no order.
func (s *Set) Opened() []*Replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*Replica, 0, len(s.open))
	for _, r := range s.open {
		out = append(out, r)
	}
	return out
}

// load opens a graph. It runs once at a time for a name.
func (s *Set) load(name string) (*Replica, error) {
	s.mu.Lock()
	r := s.open[name]
	s.mu.Unlock()
	if r != nil { // opened between the look-up and this call
		return r, nil
	}
	// Deleted and made again between the two reads, a graph has another key; a
	// second time in a row is a fault worth telling.
	for try := 0; ; try++ {
		info, err := s.cfg.Store.Graph(s.ctx, name)
		if err != nil {
			return nil, err
		}
		if r := s.recall(info); r != nil {
			s.enlist(r)
			return r, nil
		}
		state, err := s.stateOf(s.ctx, info)
		if graph.CodeOf(err) == graph.CodeNotFound && try < 3 {
			continue
		}
		if err != nil {
			return nil, err
		}
		schema := state.head.SchemaVer // the state is the replica's from here on
		r := newReplica(s, info, state)
		s.enlist(r)
		s.noteSchema(schema)
		return r, nil
	}
}

// enlist makes a replica one of the open ones.
func (s *Set) enlist(r *Replica) {
	r.mu.Lock()
	r.account()
	r.mu.Unlock()
	s.mu.Lock()
	s.open[r.name], s.byKey[r.key] = r, r
	s.mu.Unlock()
}

// recall opens a graph from its image, and brings it up to the log; nil where
// that cannot be done.
func (s *Set) recall(info graph.GraphInfo) *Replica {
	c := s.fromImage(s.ctx, info)
	if c == nil {
		return nil
	}
	at := c.head.Version
	r := newReplica(s, info, c)
	if err := r.CatchUp(s.ctx); err != nil {
		s.cfg.Log.Warn("a graph could not be followed from its image", "graph", info.Name, "err", err)
		r.news.end()
		return nil
	}
	s.cfg.Log.Info("a graph was opened from its image", "graph", info.Name, "image", at, "version", r.Head().Version)
	return r
}

// stateOf begins the state of a graph: with all of it where it is small, or else
// with nothing.
func (s *Set) stateOf(ctx context.Context, info graph.GraphInfo) (*core, error) {
	if info.Objects+info.Edges <= int64(s.cfg.Eager) {
		return loadWhole(ctx, s.cfg.Store, info.Key)
	}
	c := newCore(false)
	c.head = info.Head
	return c, nil
}

// loadState begins the state of an open graph anew.
func (s *Set) loadState(ctx context.Context, name string, key graph.GraphKey) (*core, error) {
	info, err := s.cfg.Store.Graph(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("look up graph: %w", err)
	}
	if info.Key != key {
		return nil, graph.NotFound("graph")
	}
	return s.stateOf(ctx, info)
}

// retire closes a replica whose graph is no more, and removes its image.
func (s *Set) retire(r *Replica) {
	s.mu.Lock()
	if s.open[r.name] == r {
		delete(s.open, r.name)
	}
	delete(s.byKey, r.key)
	s.mu.Unlock()
	s.bytes.Add(-r.counted.Swap(0))
	r.dirty.end(s)
	r.news.end()
	s.dropImage(r.key)
}

// enter takes a place among those that read the store; leave gives it back.
func (s *Set) enter(ctx context.Context) error {
	select {
	case s.rounds <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Set) leave() { <-s.rounds }

// enterLoad takes a place among those that read parts of states; leaveLoad gives
// it back. These are apart from the rounds: a load waits for the follower.
func (s *Set) enterLoad(ctx context.Context) error {
	select {
	case s.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Set) leaveLoad() { <-s.places }

// spawn runs fn in a goroutine that Stop waits for; false once stopped.
func (s *Set) spawn(fn func(context.Context)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.spawnLocked(fn)
	return true
}

// held wraps work for a singleflight group, which runs it in a goroutine of its
// own: Stop waits for it, and none begins after Stop.
func (s *Set) held(work func() (any, error)) func() (any, error) {
	return func() (any, error) {
		s.mu.Lock()
		if s.stopped {
			s.mu.Unlock()
			return nil, errStopped()
		}
		s.wg.Add(1)
		s.mu.Unlock()
		defer s.wg.Done()
		return work()
	}
}

// spawnLocked is spawn for who holds mu.
func (s *Set) spawnLocked(fn func(context.Context)) {
	s.wg.Go(func() { fn(s.ctx) })
}

// noteSchema remembers a schema version that a commit or a head carries.
func (s *Set) noteSchema(v int64) {
	for {
		known := s.schema.Load()
		if v <= known {
			return
		}
		if s.schema.CompareAndSwap(known, v) {
			break
		}
	}
	select {
	case s.schemas <- struct{}{}:
	default:
	}
}

// schemaLoop tells of new schema versions, the newest where several came.
func (s *Set) schemaLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.schemas:
			s.cfg.OnSchema(ctx, s.schema.Load())
		}
	}
}

func errStopped() error {
	return graph.Errf(graph.CodeUnavailable, "this node is stopping; ask another one")
}
