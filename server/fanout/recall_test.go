package fanout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// restarted makes a hub and replicas over the world's store, as another node or
// a node that starts again has them: without recent commits.
func (w *world) restarted(t *testing.T, change func(*Config)) *world {
	t.Helper()
	next := &world{t: w.t, store: w.store, live: w.live, key: w.key, head: w.head, now: w.now, expires: w.expires}
	next.set = replica.New(replica.Config{Store: w.store})
	r, err := next.set.Open(t.Context(), graph.MainGraph)
	if err != nil {
		t.Fatal(err)
	}
	next.replica = r
	cfg := w.hub.cfg
	cfg.Replicas, cfg.Metrics = next.set, nil
	if change != nil {
		change(&cfg)
	}
	next.hub = New(cfg)
	t.Cleanup(next.close)
	return next
}

// sight is what a client holds of one view of one world, to come back with.
func (w *world) sight(t *testing.T, p graph.Principal, projection string) *held {
	t.Helper()
	c := w.connect(p)
	c.sub("s1", projection)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	c.leave()
	return c.subs["s1"]
}

// comeBack resumes what is held and compares the outcome with the truth.
func (w *world) comeBack(t *testing.T, p graph.Principal, projection string, h *held) *client {
	t.Helper()
	c := w.connect(p)
	c.resume("s1", projection, h)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	w.compare(t, c, projection)
	return c
}

func (w *world) compare(t *testing.T, c *client, projection string) {
	t.Helper()
	proj, perr := graph.ParseProjection([]byte(projection))
	if perr != nil {
		t.Fatal(perr)
	}
	var res *replica.Result
	p := *c.s.rights()
	if err := w.replica.Read(t.Context(), func(st *replica.State) {
		res, perr = replica.Evaluate(st, st, w.live.Current(), &p, proj, w.hub.cfg.Limits)
	}); err != nil || perr != nil {
		t.Fatal(err, perr)
	}
	if d := c.subs["s1"].differs(res); d != "" {
		t.Error(d)
	}
}

// stir makes n commits around the parent's children: one changes, every third
// time one comes or goes.
func (w *world) stir(n int) {
	last := 0
	for i := range n {
		fresh := 10_000 + int(w.head.Version)
		switch {
		case i%6 == 2:
			last = fresh
			w.commit("ann", w.object(oid(fresh), "Leaf", `{"n":1}`, `{"read":{"inherit":{"child":true}}}`), edge(eid(fresh), "child", oid(fresh), oid(1)))
		case i%6 == 5:
			w.commit("ann", remove(graph.EdgeRef(eid(last))), remove(graph.ObjectRef(oid(last))))
		default:
			w.commit("ann", set(graph.ObjectRef(oid(2+i%5)), "n", fmt.Sprint(i)))
		}
	}
}

func TestWhoComesBackToALiveViewContinuesFromItsDeltas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.crowd(20)
	stays := w.connect(bob)
	stays.sub("s1", childrenOf1)
	if err := stays.drain(); err != nil {
		t.Fatal(err)
	}
	h := w.sight(t, bob, childrenOf1)
	for range 5 {
		w.stir(6)
		stays.s.relay.settle()
	}
	before := valueOf(w.hub.metrics.computed)
	c := w.comeBack(t, bob, childrenOf1, h)
	if n := valueOf(w.hub.metrics.computed) - before; n != 0 {
		t.Errorf("%v views were computed", n)
	}
	if c.resets != 0 {
		t.Error("it began again")
	}
}

func TestARestartedNodeTellsOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		refill graph.Version
	}{{"from the end of the log", refillCommits}, {"from what was touched", 10}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.crowd(50)
			h := w.sight(t, bob, childrenOf1)
			w.stir(36)
			w.commit("ann", grant(oid(7), `{}`), remove(graph.EdgeRef(eid(8))))
			w.commit("ann", remove(graph.EdgeRef(eid(7))), remove(graph.ObjectRef(oid(7))))
			next := w.restarted(t, nil)
			next.hub.refill = c.refill
			back := next.comeBack(t, bob, childrenOf1, h)
			if back.resets != 0 {
				t.Error("the whole view was sent")
			}
			again := next.comeBack(t, bob, childrenOf1, h)
			if n := valueOf(next.hub.metrics.lookups); n != 1 || again.resets != 0 {
				t.Errorf("the log was read %v times for two", n)
			}
		})
	}
}

// What was deleted after the user lost it is gone as forbidden, what the user
// could read until then as deleted, and what a parent no longer shows as unlinked.
func TestWhoComesBackToARestartedNodeIsToldNoMoreThanHeWouldHaveBeen(t *testing.T) {
	t.Parallel()
	for _, refill := range []graph.Version{refillCommits, 1} {
		w := newWorld(t, nil)
		w.crowd(5)
		h := w.sight(t, bob, childrenOf1)
		w.commit("ann", grant(oid(2), `{}`))
		w.commit("ann", remove(graph.EdgeRef(eid(2))), remove(graph.ObjectRef(oid(2))))
		w.commit("ann", remove(graph.EdgeRef(eid(3))), remove(graph.ObjectRef(oid(3))))
		w.commit("ann", grant(oid(4), everybody))
		w.commit("ann", remove(graph.EdgeRef(eid(4))))
		w.commit("ann", grant(oid(5), `{}`))
		next := w.restarted(t, nil)
		next.hub.refill = refill
		c := next.connect(bob)
		c.resume("s1", childrenOf1, h)
		c.s.relay.found()
		got := ""
		out := c.s.collect()
		for _, p := range out.parts {
			if p.item != nil {
				got += string(p.item.body.encoded()[0])
			}
		}
		for id, why := range map[graph.ObjectID]string{oid(2): "forbidden", oid(3): "deleted", oid(4): "unlinked", oid(5): "forbidden"} {
			if want := fmt.Sprintf(`"%s":{"leave":%q}`, id, why); !strings.Contains(got, want) {
				t.Errorf("with %d commits: no %s in %s", refill, want, got)
			}
		}
	}
}

// limping is a store that cannot tell what was touched.
type limping struct {
	graph.Store
	err   error
	asked atomic.Int32
}

func (l *limping) Touched(context.Context, graph.GraphKey, graph.Version, graph.Version, graph.TouchedBounds) ([]graph.Touched, error) {
	l.asked.Add(1)
	return nil, l.err
}

func TestWhatCannotBeLookedUpIsSentWhole(t *testing.T) {
	t.Parallel()
	for _, err := range []error{graph.Errf(graph.CodeGone, "compacted"), errors.New("the store is away")} {
		w := newWorld(t, nil)
		w.crowd(5)
		h := w.sight(t, bob, childrenOf1)
		w.stir(6)
		store := &limping{Store: w.store, err: err}
		next := w.restarted(t, func(c *Config) { c.Store = store })
		if c := next.comeBack(t, bob, childrenOf1, h); c.resets != 1 {
			t.Errorf("%d resets", c.resets)
		}
		if n := store.asked.Load(); n != 2 {
			t.Errorf("asked %d times", n)
		}
	}
}

// gated is a store that tells what was touched once it is open.
type gated struct {
	graph.Store
	asked, open chan struct{}
}

func (g *gated) Touched(ctx context.Context, key graph.GraphKey, since, until graph.Version, max graph.TouchedBounds) ([]graph.Touched, error) {
	close(g.asked)
	<-g.open
	return g.Store.Touched(ctx, key, since, until, max)
}

func TestASubscriptionThatEndsWhileTheLogIsReadStaysEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.crowd(5)
	h := w.sight(t, bob, childrenOf1)
	w.stir(6)
	store := &gated{Store: w.store, asked: make(chan struct{}), open: make(chan struct{})}
	next := w.restarted(t, func(c *Config) { c.Store = store })
	c := next.connect(bob)
	c.resume("s1", childrenOf1, h)
	<-store.asked
	c.say(`{"t":"unsub","sub":"s1"}`)
	close(store.open)
	delete(c.subs, "s1")
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	if len(c.others) != 0 || c.resets != 0 {
		t.Errorf("%v, %d resets", c.others, c.resets)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.waiting != 0 {
		t.Errorf("%d bytes are still counted", c.s.waiting)
	}
}

func TestASchemaThatChangesNothingInAViewDoesNotResetIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const leaves = `{"root":{"type":"Node"}}`
	w.crowd(5)
	h := w.sight(t, bob, leaves)
	w.putSchema(testSchema + "  More: {root: {type: Leaf}}\n")
	w.stir(6)
	if c := w.comeBack(t, bob, leaves, h); c.resets != 0 {
		t.Error("it began again")
	}
	w.putSchema(strings.Replace(testSchema, "projections:", "  Twig: {extends: Node, open: true}\nprojections:", 1))
	w.stir(1)
	if c := w.comeBack(t, bob, leaves, h); c.resets != 1 {
		t.Error("types came below its roots, and it did not begin again")
	}
}

// What left is told in time that grows with what left, not with its square: a
// relay has others to serve.
func TestWhoMissedTenThousandDeletionsIsToldOfThemSoon(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(cfg *Config) { cfg.FeedBytes = 1 })
	const commits, each = 1000, 10
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody))
	all := func(do func(n int) []edit) {
		for c := range commits {
			var edits []edit
			for i := range each {
				edits = append(edits, do(2+c*each+i)...)
			}
			w.commit("ann", edits...)
		}
	}
	all(func(n int) []edit {
		return []edit{w.object(oid(n), "Node", `{}`, everybody), edge(eid(n), "child", oid(n), oid(1))}
	})
	c := w.connect(ann)
	c.sub("s1", childrenOf1)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	all(func(n int) []edit {
		return []edit{remove(graph.ObjectRef(oid(n))), remove(graph.EdgeRef(eid(n)))}
	})
	began := time.Now()
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 2*time.Minute { // it was minutes
		t.Errorf("it took %v", took)
	}
	w.compare(t, c, childrenOf1)
}

// slowLog is a store whose log is read when the test says so.
type slowLog struct {
	graph.Store
	asked, proceed chan struct{}
}

func (s *slowLog) Log(ctx context.Context, key graph.GraphKey, since graph.Version, limit int) ([]*graph.Commit, error) {
	select {
	case s.asked <- struct{}{}:
	default:
	}
	select {
	case <-s.proceed:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.Store.Log(ctx, key, since, limit)
}

// A client that names a version which nobody has written must not hold up what
// it sends next; one that has seen more than this node must not be sent back.
func TestWhoIsAheadOfTheNodeWaitsAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.crowd(3)
	slow := &slowLog{Store: w.store, asked: make(chan struct{}, 1), proceed: make(chan struct{})}
	next := &world{t: w.t, store: w.store, live: w.live, key: w.key, expires: w.expires}
	next.set = replica.New(replica.Config{Store: slow})
	var err error
	if next.replica, err = next.set.Open(t.Context(), graph.MainGraph); err != nil {
		t.Fatal(err)
	}
	cfg := w.hub.cfg
	cfg.Replicas, cfg.Metrics = next.set, nil
	next.hub = New(cfg)
	t.Cleanup(next.close)

	w.commit("ann", set(graph.ObjectRef(oid(1)), "n", `7`)) // the other node has not heard of it
	seen := w.sight(t, bob, childrenOf1)
	liar := *seen
	liar.version += 1000
	c := next.connect(bob)
	for i := range 50 {
		c.resume(fmt.Sprint("liar", i), childrenOf1, &liar)
	}
	c.resume("seen", childrenOf1, seen)
	<-slow.asked
	c.sub("new", childrenOf1)
	c.s.relay.settle()
	got := c.s.collect()
	if len(got.parts) != 1 || got.parts[0].item.head.Sub != "new" {
		t.Fatalf("%d parts are there while the log is read", len(got.parts))
	}
	for _, text := range got.parts[0].item.body.encoded() {
		if err := c.receive(append(got.parts[0].item.head.Append(nil), text...)); err != nil {
			t.Fatal(err)
		}
	}
	close(slow.proceed)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	if c.resets != 50 {
		t.Errorf("%d resets, want those of who lied", c.resets)
	}
	if n := c.subs["seen"].version; n != seen.version {
		t.Errorf("who was ahead is at %d, was at %d", n, seen.version)
	}
	for name := range c.subs {
		if len(c.subs[name].objects) != len(seen.objects) {
			t.Errorf("%s holds %d objects, want %d", name, len(c.subs[name].objects), len(seen.objects))
		}
	}
}

// slowPieces is a store that gives parts of a graph when the test says so.
type slowPieces struct {
	graph.Store
	asked, proceed chan struct{}
}

func (s *slowPieces) Piece(ctx context.Context, key graph.GraphKey, want *graph.Want) (*graph.Piece, error) {
	select {
	case s.asked <- struct{}{}:
	default:
	}
	select {
	case <-s.proceed:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.Store.Piece(ctx, key, want)
}

// What a new subscription needs may take long to load: nobody else waits for it.
func TestALoadForOneHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.crowd(20)
	w.commit("ann", w.object(oid(5000), "Node", `{}`, everybody))
	slow := &slowPieces{Store: w.store, asked: make(chan struct{}, 1), proceed: make(chan struct{}, 1000)}
	next := &world{t: w.t, store: w.store, live: w.live, key: w.key, expires: w.expires, head: w.head, now: w.now}
	next.set = replica.New(replica.Config{Store: slow, Eager: -1})
	var err error
	if next.replica, err = next.set.Open(t.Context(), graph.MainGraph); err != nil {
		t.Fatal(err)
	}
	cfg := w.hub.cfg
	cfg.Replicas, cfg.Metrics = next.set, nil
	next.hub = New(cfg)
	t.Cleanup(next.close)

	slow.proceed <- struct{}{}
	a, b := next.connect(ann), next.connect(bob)
	a.sub("s1", rooted(5000))
	if err := a.drain(); err != nil {
		t.Fatal(err)
	}
	<-slow.asked
	b.sub("s1", childrenOf1)
	<-slow.asked // for bob, and given nothing
	next.commit("ann", set(graph.ObjectRef(oid(5000)), "n", `1`))
	a.s.relay.settle()
	got := a.s.collect()
	if len(got.parts) != 1 || !strings.Contains(string(got.parts[0].texts[0]), `"t":"delta"`) {
		t.Errorf("ann is sent %d parts", len(got.parts))
	}
	for _, p := range got.parts {
		for _, text := range p.texts {
			if err := a.receive(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(slow.proceed)
	if err := b.drain(); err != nil {
		t.Fatal(err)
	}
	next.compare(t, b, childrenOf1)
	if n := len(b.subs["s1"].objects); n != 21 {
		t.Errorf("bob has %d objects", n)
	}
}
