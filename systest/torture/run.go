package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// healTime is how long everything that is under way may take once all works
// again.
const healTime = 30 * time.Second

// patience is how long something may take that is promised within d.
func (w *world) patience(d time.Duration) time.Duration { return d * time.Duration(w.o.Slack) }

// longest is how many times as long as asked for a run may go on for want of
// enough to judge by.
const longest = 5

// Run tortures a deployment of its own and gives the verdict. An error means
// that there is none: something of the harness did not work.
func Run(ctx context.Context, o Options) (*Verdict, error) {
	o = o.withDefaults()
	if o.Binary == "" {
		return nil, errors.New("there is no program to torture")
	}
	var err error
	if o.Binary, err = filepath.Abs(o.Binary); err != nil { // it runs in folders of its own
		return nil, err
	}
	planOf(o).print(o)
	begin, cancel := context.WithTimeout(ctx, 2*time.Minute)
	w, err := newWorld(begin, o)
	if err != nil {
		cancel()
		return nil, err
	}
	defer w.close()
	second, err := newSecond(begin, w)
	cancel()
	if second != nil {
		defer second.leave()
	}
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { w.ended.Store(true) })()
	run, end := context.WithCancel(ctx)
	defer end()
	t := &tormentor{w: w, second: second, ctx: run, rng: rand.New(rand.NewPCG(o.Seed, 2)), busy: map[string]bool{}}
	crowds := []*crowd{newCrowd(w), newCrowd(second)}
	for _, c := range crowds {
		t.read = append(t.read, c.read...)
	}
	w.start = time.Now()
	enough := func() bool { return o.Enough == nil || o.Enough(w.verdict(o.Seed)) }
	for n, done := 0, time.Duration(0); ctx.Err() == nil && !w.isBroken(); n++ {
		if done >= o.For && (enough() || done >= longest*o.For) {
			break
		}
		d := o.Round
		if done < o.For {
			d = min(d, o.For-done)
		}
		done += d
		if err := w.round(run, t, crowds, n, d); err != nil {
			return w.verdict(o.Seed), err
		}
		w.count(cRounds, 1)
		w.mu.Lock()
		fmt.Fprintf(o.Out, "  round %d: %d commits, %d copies, %d violations\n", n+1, w.counts[cCommits], w.counts[cCopies], len(w.violations))
		w.mu.Unlock()
	}
	if err := ctx.Err(); err != nil && !w.isBroken() {
		return w.verdict(o.Seed), err
	}
	return w.verdict(o.Seed), nil
}

// round is chaos for a time, then peace, then judgement.
func (w *world) round(ctx context.Context, t *tormentor, crowds []*crowd, n int, d time.Duration) error {
	live, cut := context.WithCancel(ctx) // of the clients
	defer cut()
	for _, c := range crowds {
		c.begin(live, n)
	}
	defer func() {
		cut()
		for _, c := range crowds {
			c.others.Wait()
		}
	}()
	t.chaos(d)
	if err := t.heal(); err != nil {
		w.violate("W8 known outcome", "%v", err)
		return nil
	}
	healed := time.Now()
	for _, c := range crowds {
		c.w.calm.Store(true)
	}
	for _, c := range crowds {
		if err := c.rest(live, cut, t); err != nil {
			w.violate("W8 known outcome", "the graph %s cannot be read though everything works again: %v", c.w.graph, err)
			return nil
		}
	}
	for _, c := range crowds {
		c.arrive(healed)
	}
	cut()
	for _, c := range crowds {
		c.readers.Wait()
		c.others.Wait()
		if err := c.w.judge(ctx, t, c.j, healed); err != nil {
			return err
		}
	}
	return nil
}

// begin has all clients begin.
func (c *crowd) begin(ctx context.Context, round int) {
	w := c.w
	w.calm.Store(false)
	for i := range w.o.Writers {
		c.writers.Go(func() { w.writer(ctx, i, round) })
	}
	for _, r := range c.read {
		r.target = 0
		c.readers.Go(func() { r.run(ctx) })
	}
	c.others.Go(func() { w.log.follow(ctx) })
	c.others.Go(func() { w.watcher(ctx, round) })
}

// rest waits until nobody writes any more, and tells the readers which version to get
// to.
func (c *crowd) rest(ctx context.Context, cut func(), t *tormentor) error {
	patience := c.w.patience(healTime)
	if !within(&c.writers, patience) {
		c.w.violate("W8 known outcome", "%s after everything works again, some transactions are still without an answer", patience)
		cut()
		c.writers.Wait()
	}
	// Nobody but the readers writes any more, and they only what is pending.
	target, err := c.w.settleHead(ctx, t)
	if err != nil {
		return err
	}
	c.target = target
	for _, r := range c.read {
		select {
		case r.commands <- fmt.Sprintf("settle %d", target):
		case <-time.After(patience):
		}
	}
	return nil
}

// arrive waits until the readers are there.
func (c *crowd) arrive(healed time.Time) {
	patience := c.w.patience(healTime)
	if within(&c.readers, max(time.Second, patience-time.Since(healed))) {
		return
	}
	for _, r := range c.read {
		if f := r.behind.Load(); f != nil {
			c.w.violate("S2 gap-free", "%s after everything works again, %s is not at %d: %s", patience, r.name, c.target, *f)
		}
	}
}

// within waits for a group, for a time.
func within(wg *sync.WaitGroup, d time.Duration) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	select {
	case <-done:
		return true
	case <-time.After(d):
		return false
	}
}

// settleHead waits until the readers know the fate of all that they asked for,
// and gives the version at which the graph then is.
func (w *world) settleHead(ctx context.Context, t *tormentor) (int, error) {
	tok := token(principalOf("root", nil))
	give := time.Now().Add(w.patience(healTime))
	version, since := 0, time.Now()
	for {
		a, err := w.request(ctx, 0, "GET", w.path(""), tok, "")
		switch {
		case err != nil:
		case a.status == 200 && a.int("version") != version:
			version, since = a.int("version"), time.Now()
		case a.status == 200 && time.Since(since) > time.Second:
			// No node may be behind what a client was told by another one.
			return max(version, int(w.head.Load())), nil
		}
		if time.Now().After(give) {
			return 0, fmt.Errorf("%v %v", a, err)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// judge replays what happened, and looks at the whole from all sides.
func (w *world) judge(ctx context.Context, t *tormentor, j *judge, healed time.Time) error {
	for node := range w.urls {
		var err error
		for range 20 {
			if err = w.log.sync(ctx, node); err == nil {
				break
			}
			pause(ctx, t.rng, 100*time.Millisecond)
		}
		if err != nil {
			w.violate("W8 known outcome", "the log cannot be read though everything works again: %v", err)
			return nil
		}
		for _, user := range users {
			p := principalOf(user, nil)
			for q := range queryKinds {
				if w.load(ctx, node, q, p, token(p), w.log.read) == 0 && !w.mayBeEmpty(q) {
					w.violate("W8 known outcome", "node %d does not load query %d for %s though everything works again", node, q, p)
				}
			}
		}
		if err := w.alarms(ctx, node); err != nil {
			return err
		}
	}
	j.round()
	if w.graph == graphName { // the runs of a graph that is replaced go with it
		w.fire(ctx, j, t.rng.IntN(len(w.urls)), healed)
	}
	limit, cancel := context.WithTimeout(ctx, w.patience(2*time.Minute))
	defer cancel()
	if out, err := w.run(limit, "verify", "--database-url", w.pg.url(), "--graph", w.graph); err != nil {
		w.violate("W1 atomic", "graphtide verify: %v %s", err, out)
	}
	return nil
}

// mayBeEmpty reports whether a query names roots, none of which need be readable.
func (w *world) mayBeEmpty(q int) bool {
	_, typed := w.things.queries[q].doc["root"].(map[string]any)
	return !typed
}

// alarm is a metric that is above zero only if one of the two checks of rights
// let something through that the other did not.
var alarm = regexp.MustCompile(`(?m)^(graphtide_\w*read_check_disagreements_total\S*) ([0-9.e+]+)$`)

// alarms looks whether the two checks of rights agreed.
func (w *world) alarms(ctx context.Context, node int) error {
	a, err := w.request(ctx, node, "GET", "/metrics", token(principalOf("root", nil)), "")
	if err != nil {
		return fmt.Errorf("the metrics of node %d: %w", node, err)
	}
	found := alarm.FindAllStringSubmatch(string(a.body), -1)
	if len(found) == 0 {
		return fmt.Errorf("node %d has no counter of disagreements: %d %.300s", node, a.status, a.body)
	}
	for _, m := range found {
		if m[2] != "0" {
			w.violate("A1 read checked twice", "node %d: %s", node, strings.Join(m[1:], " "))
		}
	}
	return nil
}

// watcher loads now and then, as somebody, from some node.
func (w *world) watcher(ctx context.Context, round int) {
	rng := rand.New(rand.NewPCG(w.o.Seed, uint64(900+round)))
	for ctx.Err() == nil {
		p := principalOf(users[rng.IntN(len(users))], rng)
		atLeast := 0
		if rng.IntN(2) == 0 {
			atLeast = int(w.acked.Load())
		}
		w.load(ctx, rng.IntN(len(w.urls)), rng.IntN(queryKinds), p, token(p), atLeast)
		pause(ctx, rng, 150*time.Millisecond)
	}
}
