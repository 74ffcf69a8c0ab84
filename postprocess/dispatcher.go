package postprocess

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// graphsAtOnce is how many graphs a look for backlogs brings.
const graphsAtOnce = 100

// hintPause is how long a node waits that heard of a commit in a graph that it
// has not open.
const hintPause = 150 * time.Millisecond

// dispatcher has a follower for each graph that this node matches.
type dispatcher struct {
	cfg   Config
	deps  Deps
	ready func([]graph.RunRef)
	// reserve keeps places for runs that are about to be made.
	reserve func([]*graph.Run) *reservation

	cancel context.CancelFunc
	wg     sync.WaitGroup
	look   chan struct{} // look for backlogs now; one waiting is as good as many
	later  delayed       // looks a while after a hint

	mu        sync.Mutex // guards the fields below
	followers map[graph.GraphKey]bool
	standBy   map[graph.GraphKey]time.Time // until when another node holds the cursor
}

func newDispatcher(cfg Config, deps Deps, ready func([]graph.RunRef), reserve func([]*graph.Run) *reservation) *dispatcher {
	return &dispatcher{cfg: cfg, deps: deps, ready: ready, reserve: reserve, look: make(chan struct{}, 1), followers: map[graph.GraphKey]bool{}, standBy: map[graph.GraphKey]time.Time{}}
}

func (d *dispatcher) start() {
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	d.wg.Go(func() { d.watch(ctx) })
	if d.deps.Hints != nil {
		d.wg.Go(func() {
			d.deps.Hints.Listen(ctx, func(g graph.GraphKey, _ string, _ graph.Version) { d.hint(g) })
		})
	}
}

// stop ends the followers; each makes its place durable first.
func (d *dispatcher) stop() {
	d.cancel()
	d.wg.Wait()
}

// hint tells of a commit. A graph that is followed hears of it from its
// replica. One that is open here is looked at now; for any other the node that
// has it open goes first.
func (d *dispatcher) hint(g graph.GraphKey) {
	d.mu.Lock()
	known := d.followers[g] || d.standBy[g].After(time.Now())
	d.mu.Unlock()
	if known {
		return
	}
	for _, r := range d.deps.Replicas.Opened() {
		if r.Key() == g {
			d.lookNow()
			return
		}
	}
	d.later.schedule(hintPause, d.lookNow)
}

func (d *dispatcher) lookNow() {
	select {
	case d.look <- struct{}{}:
	default:
	}
}

// watch follows the graphs that are open on this node, and those whose log is
// ahead of a cursor that nobody holds. It looks at a pace and after hints.
func (d *dispatcher) watch(ctx context.Context) {
	if main, err := d.deps.Store.Graph(ctx, graph.MainGraph); err == nil {
		d.follow(ctx, main.Key, main.Name)
	}
	t := time.NewTicker(d.cfg.Sweep)
	defer t.Stop()
	for {
		for _, r := range d.deps.Replicas.Opened() {
			d.follow(ctx, r.Key(), r.Name())
		}
		behind, err := d.deps.Runs.Behind(ctx, d.cfg.Node, graphsAtOnce)
		if err != nil && ctx.Err() == nil {
			d.cfg.Log.Warn("look for commits to match", "error", err)
		}
		for _, b := range behind {
			d.released(b.Graph) // nobody holds its cursor
			d.follow(ctx, b.Graph, b.Name)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-d.look:
		}
	}
}

// released ends a stand-by.
func (d *dispatcher) released(key graph.GraphKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.standBy, key)
}

// follow begins to follow a graph, once, unless another node does.
func (d *dispatcher) follow(ctx context.Context, key graph.GraphKey, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.followers[key] || ctx.Err() != nil {
		return
	}
	if until, ok := d.standBy[key]; ok {
		if until.After(time.Now()) {
			return
		}
		delete(d.standBy, key)
	}
	d.followers[key] = true
	d.wg.Go(func() {
		f := &follower{cfg: d.cfg, deps: d.deps, key: key, name: name, ready: d.ready, reserve: d.reserve}
		err := f.run(ctx)
		held := errors.Is(err, errStandBy)
		if err != nil && !held && ctx.Err() == nil && graph.CodeOf(err) != graph.CodeNotFound {
			d.cfg.Log.Warn("follow the log for post-processing", "graph", name, "error", err)
			// The next look tries again.
			pause(ctx, d.cfg.Sweep)
		}
		d.mu.Lock()
		delete(d.followers, key)
		if held {
			d.standBy[key] = time.Now().Add(d.cfg.Lease)
		}
		d.mu.Unlock()
	})
}

// pause waits, or returns when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// delayed runs something once after a pause, however often it is asked for
// meanwhile.
type delayed struct {
	mu      sync.Mutex // guards the field below
	waiting bool
}

func (d *delayed) schedule(after time.Duration, fn func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting {
		return
	}
	d.waiting = true
	time.AfterFunc(after, func() {
		d.mu.Lock()
		d.waiting = false
		d.mu.Unlock()
		fn()
	})
}
