package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"
)

// faults are what the tormentor does, with how often beside each other. Those
// of readers are done by the readers themselves.
var faults = []struct {
	name   string
	weight int
	do     func(*tormentor) error
}{
	{"kill-node", 6, (*tormentor).killNode},
	{"terminate-node", 3, (*tormentor).terminateNode},
	{"stop-node", 5, (*tormentor).stopNode},
	{"kill-worker", 3, (*tormentor).killWorker},
	{"stop-worker", 3, (*tormentor).stopWorker},
	{"kill-redis", 4, (*tormentor).killRedis},
	{"stop-redis", 4, (*tormentor).stopRedis},
	{"flush-redis", 6, func(t *tormentor) error { return flush(t.ctx, t.w.redisURL) }},
	{"restart-postgres", 3, (*tormentor).restartPostgres},
	{"cut-backend", 8, (*tormentor).cutBackend},
	{"slow-network", 6, (*tormentor).slowNetwork},
	{"slow-database", 4, (*tormentor).slowDatabase},
	{"dead-network", 4, (*tormentor).deadNetwork},
	{"dead-database", 4, (*tormentor).deadDatabase},
	{"new-epoch", 2, (*tormentor).newEpoch},
	{"compact", 2, (*tormentor).compact},
	{"change-schema", 12, (*tormentor).changeSchema},
	{"replace-graph", 4, (*tormentor).replaceGraph},
	{"cut", 14, nil},
	{"stall", 8, nil},
	{"slow", 6, nil},
	{"token", 12, nil},
	{"token-between", 6, nil},
	{"resume-past", 12, nil},
	{"resume-zero", 4, nil},
	{"resume-head", 6, nil},
	{"resume-beyond", 2, nil},
	{"resume-other-epoch", 3, nil},
	{"resume-other-key", 3, nil},
}

// tormentor brings the faults about, one after another; what they break, it mends
// again after a while of the fault's own.
type tormentor struct {
	w      *world
	second *world
	ctx    context.Context // ends with the run
	rng    *rand.Rand
	read   []*reader // of both graphs

	mending sync.WaitGroup
	mu      sync.Mutex // guards busy
	busy    map[string]bool
}

// chaos runs for a time.
func (t *tormentor) chaos(d time.Duration) {
	end := time.After(d)
	for {
		next := time.Duration(t.rng.ExpFloat64() * float64(time.Second) / t.w.o.Rate)
		select {
		case <-end:
			return
		case <-t.ctx.Done():
			return
		case <-t.w.broken:
			return
		case <-time.After(min(next, 5*time.Second)):
			t.strike()
		}
	}
}

// strike does one fault.
func (t *tormentor) strike() {
	total := 0
	for _, f := range faults {
		total += t.w.plan.Weights[f.name]
	}
	n := t.rng.IntN(total)
	for _, f := range faults {
		if n -= t.w.plan.Weights[f.name]; n >= 0 {
			continue
		}
		if f.do == nil {
			r := t.read[t.rng.IntN(len(t.read))]
			select {
			case r.commands <- f.name:
				t.w.fault(f.name)
			default: // it has enough to do
			}
			return
		}
		switch err := f.do(t); {
		case err == nil:
			t.w.fault(f.name)
		case errors.Is(err, errBusy):
		default:
			fmt.Fprintf(t.w.o.Out, "  the fault %s did not work: %v\n", f.name, err)
		}
		return
	}
}

// errBusy says that what was to break is broken already.
var errBusy = errors.New("it is broken already")

// breaks notes that something was broken, and has mend make it whole later.
func (t *tormentor) breaks(what string, after time.Duration, mend func() error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy[what] {
		return errBusy
	}
	t.busy[what] = true
	t.mending.Go(func() {
		select {
		case <-time.After(after):
		case <-t.ctx.Done():
		}
		if err := mend(); err != nil {
			t.w.violate("W8 known outcome", "%s does not come back: %v", what, err)
		}
		t.mu.Lock()
		t.busy[what] = false
		t.mu.Unlock()
	})
	return nil
}

// while gives a span between two times.
func (t *tormentor) while(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(t.rng.Int64N(int64(hi-lo)))
}

// startTime bounds the start of a process.
const startTime = 45 * time.Second

func (t *tormentor) starts(p *process) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), t.w.patience(startTime))
		defer cancel()
		for {
			err := p.start(ctx)
			if err == nil || ctx.Err() != nil {
				return err
			}
			// It may have started while the database was away.
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
}

func (t *tormentor) killNode() error { return t.kill(t.node(), 2*time.Second) }

// killWorker kills the only one who runs rules.
func (t *tormentor) killWorker() error { return t.kill(t.w.worker, 2*time.Second) }

func (t *tormentor) node() *process { return t.w.nodes[t.rng.IntN(len(t.w.nodes))] }

// kill ends a process at once and starts it again within a time.
func (t *tormentor) kill(p *process, within time.Duration) error {
	if !t.free(p.name) {
		return errBusy
	}
	p.end(syscall.SIGKILL, time.Second)
	return t.breaks(p.name, t.while(0, within), t.starts(p))
}

// stop has a process stand still for up to a time.
func (t *tormentor) stop(p *process, within time.Duration) error {
	if !t.free(p.name) {
		return errBusy
	}
	p.signal(syscall.SIGSTOP)
	return t.breaks(p.name, t.while(200*time.Millisecond, within), func() error { p.signal(syscall.SIGCONT); return nil })
}

func (t *tormentor) free(what string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.busy[what]
}

// drainTime is how long a node that is asked to end may take.
const drainTime = 25 * time.Second

func (t *tormentor) terminateNode() error {
	n := t.node()
	start := t.starts(n)
	return t.breaks(n.name, 0, func() error {
		if d := t.w.patience(drainTime); !n.end(syscall.SIGTERM, d) {
			t.w.violate("W8 known outcome", "%s did not end within %s of SIGTERM", n.name, d)
		}
		return start()
	})
}

func (t *tormentor) stopNode() error { return t.stop(t.node(), 4*time.Second) }

// stopWorker stops it for longer than its leases, too.
func (t *tormentor) stopWorker() error { return t.stop(t.w.worker, 8*time.Second) }

// slowNetwork makes what goes to a node and comes from it slow, each piece by
// another time.
func (t *tormentor) slowNetwork() error {
	return t.disturb("the network of node", t.w.front, t.while(time.Second, 5*time.Second), func(w *wire) {
		d := t.while(time.Millisecond, 60*time.Millisecond)
		w.slow(d, 2*d)
	})
}

// slowDatabase does it to what goes between a node and the database.
func (t *tormentor) slowDatabase() error {
	return t.disturb("the database of node", t.w.back, t.while(time.Second, 5*time.Second), func(w *wire) {
		d := t.while(time.Millisecond, 15*time.Millisecond)
		w.slow(d, d)
	})
}

// deadNetwork lets nothing to a node and nothing from it.
func (t *tormentor) deadNetwork() error {
	return t.disturb("the network of node", t.w.front, t.while(200*time.Millisecond, 5*time.Second), (*wire).cut)
}

// deadDatabase parts a node from the database: perhaps with a lock in its hands.
func (t *tormentor) deadDatabase() error {
	return t.disturb("the database of node", t.w.back, t.while(200*time.Millisecond, 5*time.Second), (*wire).cut)
}

// disturb does something to one of the wires, for a while.
func (t *tormentor) disturb(what string, wires []*wire, d time.Duration, do func(*wire)) error {
	n := t.rng.IntN(len(wires))
	name := fmt.Sprint(what, " ", n)
	if !t.free(name) {
		return errBusy
	}
	do(wires[n])
	return t.breaks(name, d, func() error { wires[n].mend(); return nil })
}

func (t *tormentor) killRedis() error { return t.kill(t.w.redis, 4*time.Second) }

func (t *tormentor) stopRedis() error { return t.stop(t.w.redis, 4*time.Second) }

func (t *tormentor) restartPostgres() error {
	return t.breaks("postgres", 0, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), t.w.patience(startTime))
		defer cancel()
		return t.w.pg.restart(ctx)
	})
}

func (t *tormentor) cutBackend() error {
	if !t.free("postgres") {
		return errBusy
	}
	return t.w.pg.cutBackend(t.rng.IntN)
}

// compact forgets old history: what the judge has read.
func (t *tormentor) compact() error {
	if !t.w.log.fresh() || !t.free("postgres") {
		return errBusy
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.w.patience(startTime))
	defer cancel()
	_, err := t.w.run(ctx, "compact", "--database-url", t.w.pg.url(), "--graph", graphName, "--grace", t.w.patience(8*time.Second).String())
	return err
}

// newEpoch does what is done after a restore.
func (t *tormentor) newEpoch() error {
	if !t.free("postgres") {
		return errBusy
	}
	w := t.w
	if t.rng.IntN(4) == 0 && t.free("the schema") {
		w = t.second
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.w.patience(startTime))
	defer cancel()
	_, err := w.run(ctx, "epoch", "--new", "--database-url", w.pg.url(), "--graph", w.graph)
	if err == nil {
		w.epochs.changed()
	}
	return err
}

// epochs are those that the graph had, as far as clients have seen them.
type epochs struct {
	mu   sync.Mutex // guards the fields below
	seen []string
	gone map[string]time.Time // since when another holds
}

// changed notes that all epochs of until now are over.
func (e *epochs) changed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.seen {
		if _, known := e.gone[s]; !known {
			e.gone[s] = time.Now()
		}
	}
	e.seen = nil
}

// staleAfter is how long a node may not know of a new epoch, at the most: it may
// be stopped for a while, or without its database.
const staleAfter = 20 * time.Second

// judgeEpoch complains of one that is over.
func (w *world) judgeEpoch(epoch string) *fault {
	e := &w.epochs
	e.mu.Lock()
	defer e.mu.Unlock()
	if since, over := e.gone[epoch]; over {
		if d := time.Since(since); d > w.patience(staleAfter) {
			return &fault{"S5 resumable", fmt.Sprintf("the epoch %s is told %s after it ended", epoch, d)}
		}
		return nil
	}
	e.seen = append(e.seen, epoch)
	return nil
}

// heal makes everything work again and returns once it does.
func (t *tormentor) heal() error {
	for _, r := range t.read {
		select {
		case r.commands <- "heal":
		default:
		}
	}
	t.mending.Wait()
	for _, p := range append([]*process{t.w.redis, t.w.worker}, t.w.nodes...) {
		if !p.running() {
			return fmt.Errorf("%s ended by itself:\n%s", p.name, strings.TrimSpace(p.said.String()))
		}
	}
	return nil
}
