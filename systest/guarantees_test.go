package systest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/internal/testdb"
)

// The tests of this file, and those of others that are named so, prove one
// guarantee each; README.md has the list. systest/torture proves most of them at
// once, under faults.

// add gives an operation that creates an open object.
func add(id, body string) string {
	return f(`{"op":"add","path":"/objects/%s","value":{"type":"Node","body":%s}}`, id, body)
}

// TestW1Atomic has writers create pairs with an edge between them, or fail at
// the last operation: no version of the graph has half of a pair.
func TestW1Atomic(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	const writers, each = 8, 6
	var good atomic.Int32
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for j := range each {
				a, b := newID(), newID()
				ops := []string{add(a, f(`{"pair":%d}`, i*each+j)), add(b, f(`{"pair":%d}`, i*each+j)),
					f(`{"op":"add","path":"/edges/%s","value":{"label":"next","from":%q,"to":%q}}`, newID(), a, b)}
				want := 200
				if j%3 == 2 {
					ops, want = append(ops, f(`{"op":"test","path":"/objects/%s/body/pair","value":-1}`, b)), 409
				}
				r, err := ann.on([]string{w.url, w.other}[i%2]).send("PATCH", w.path(""), patchType, "["+strings.Join(ops, ",")+"]")
				if err != nil || r.status != want {
					t.Errorf("%v %v", r, err)
				} else if want == 200 {
					good.Add(1)
				}
			}
		})
	}
	wg.Wait()
	head := ann.head()
	if head != int(good.Load()) {
		t.Fatalf("version %d after %d commits", head, good.Load())
	}
	for v := range head + 1 {
		g := ann.post(w.path(f("/load?at=%d", v)), `{"root":{"type":"Object"},"out":{"next":{}}}`).want(200).json()
		pairs := map[string]int{}
		for id := range g.members("objects") {
			pairs[g.at("objects."+id+".body.pair").String()]++
		}
		for p, n := range pairs {
			if n != 2 {
				t.Errorf("version %d has %d halves of pair %s", v, n, p)
			}
		}
		if len(pairs) != v || len(g.members("edges")) != v {
			t.Errorf("version %d has %d pairs and %d edges", v, len(pairs), len(g.members("edges")))
		}
	}
}

// TestW4StrictSerializable has writers on both nodes read a counter and write it
// back, each on the condition that it is as it was read: no increment is lost,
// each condition held in the state before its version, and what was sent after
// an acknowledgement has the higher version.
func TestW4StrictSerializable(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Doc", `{"n":0}`)
	const writers, each = 8, 12
	var done, acked atomic.Int64
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 4))
			for range each {
				node := []string{w.url, w.other}[rng.IntN(2)]
				before := acked.Load()
				o, err := ann.on(node).send("GET", w.path("/objects/"+id), "", "")
				if err != nil || o.status != 200 {
					t.Errorf("%v %v", o, err)
					return
				}
				n := o.json().int("body.n")
				a, err := ann.on([]string{w.url, w.other}[rng.IntN(2)]).send("PATCH", w.path(""), patchType,
					f(`[{"op":"test","path":"/objects/%[1]s/body/n","value":%[2]d},{"op":"replace","path":"/objects/%[1]s/body/n","value":%[3]d}]`, id, n, n+1))
				switch {
				case err != nil:
					t.Error(err)
				case a.status == 200:
					done.Add(1)
					v := int64(a.int("version"))
					if v <= before {
						t.Errorf("version %d, sent when %d was acknowledged", v, before)
					}
					for old := acked.Load(); old < v && !acked.CompareAndSwap(old, v); old = acked.Load() {
					}
				case a.status != 409 || a.str("code") != "test-failed":
					t.Errorf("%v", a)
				}
			}
		})
	}
	wg.Wait()
	if done.Load() < 10 {
		t.Fatalf("only %d got through", done.Load())
	}
	ann.with(f("Graphtide-Min-Version: %d", acked.Load())).object(id).json().is("body.n", f("%d", done.Load()))
	for i, c := range ann.log()[1:] {
		if last := c.list("patch"); last[len(last)-1].int("value") != i+1 {
			t.Errorf("version %d does not follow from the one before: %s", c.int("version"), c)
		}
	}
}

// TestW5Dense mixes what is committed with what is refused, replayed and without
// effect: the versions are 1, 2, 3 … all the same.
func TestW5Dense(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Doc", `{"n":0,"l":[]}`)
	var commits atomic.Int32
	commits.Add(1)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			c := ann.on([]string{w.url, w.other}[i%2])
			for j := range 12 {
				key := newID()
				ops := []string{
					f(`[{"op":"add","path":"/objects/%s/body/l/-","value":"%d-%d"}]`, id, i, j),
					f(`[{"op":"replace","path":"/objects/%s/body/none","value":1}]`, id),
					`[]`,
					f(`[{"op":"add","path":"/objects/%s","value":{"type":"Strict","body":{}}}]`, newID()),
				}[j%4]
				for range 2 {
					a, err := c.with("Idempotency-Key: "+key).send("PATCH", w.path(""), patchType, ops)
					if err != nil || a.status == 200 != (j%2 == 0) {
						t.Errorf("%v %v", a, err)
					}
				}
				if j%4 == 0 {
					commits.Add(1)
				}
			}
		})
	}
	wg.Wait()
	log := ann.log()
	if len(log) != int(commits.Load()) || ann.head() != len(log) {
		t.Errorf("%d entries, head %d, %d commits", len(log), ann.head(), commits.Load())
	}
	for i, c := range log {
		if c.int("version") != i+1 {
			t.Fatalf("version %d at place %d", c.int("version"), i+1)
		}
	}
}

// TestW6RejectedMeansNothingHappened has transactions refused at their last
// operation, in every way, and looks for traces of the ones before it.
func TestW6RejectedMeansNothingHappened(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann, eve := w.as("ann"), w.as("eve")
	a, b := ann.create("Node", `{"n":0}`), ann.create("Node", `{"n":0}`)
	secret := ann.create("Private", `{}`)
	shared := ann.create("Shared", `{}`)
	ann.link("one", a, b)
	s := w.dial(t, "ann")
	s.sub("s1", `"projection":{"root":{"type":"Object"},"out":{"one":{}}}`)
	everything := func() string {
		text := ""
		for _, path := range []string{"", "/log", "/objects/" + a + "/history", "/objects/" + a, "/runs"} {
			text += string(w.root().get(w.path(path)).want(200).body)
		}
		return text
	}
	before := everything()
	for code, op := range map[string]string{
		"invalid-patch":    `{"op":"add","path":"/nonsense","value":1}`,
		"not-found":        f(`{"op":"remove","path":"/objects/%s"}`, newID()),
		"test-failed":      f(`{"op":"test","path":"/objects/%s/body/n","value":7}`, b),
		"path-missing":     f(`{"op":"remove","path":"/objects/%s/body/none"}`, b),
		"exists":           add(a, `{}`),
		"edge-exists":      f(`{"op":"add","path":"/edges/%s","value":{"label":"one","from":%q,"to":%q}}`, newID(), a, b),
		"cardinality":      f(`{"op":"add","path":"/edges/%s","value":{"label":"one","from":%q,"to":%q}}`, newID(), a, a),
		"edge-not-allowed": f(`{"op":"add","path":"/edges/%s","value":{"label":"outOnly","from":%q,"to":%q}}`, newID(), a, b),
		"schema":           f(`{"op":"add","path":"/objects/%s","value":{"type":"Strict","body":{"n":-1}}}`, newID()),
		"unknown-type":     f(`{"op":"add","path":"/objects/%s","value":{"type":"None","body":{}}}`, newID()),
		"abstract-type":    f(`{"op":"add","path":"/objects/%s","value":{"type":"Entity","body":{}}}`, newID()),
		"type-immutable":   f(`{"op":"replace","path":"/objects/%s/type","value":"Doc"}`, a),
		"meta-immutable":   f(`{"op":"replace","path":"/objects/%s/meta/version","value":1}`, a),
	} {
		key := newID()
		ann.with("Idempotency-Key: " + key).patch(f(`[{"op":"replace","path":"/objects/%s/body/n","value":1},%s,%s]`, a, add(newID(), `{}`), op)).problem(code)
		s.rejects(f(`[{"op":"replace","path":"/objects/%s/body/n","value":1},%s]`, a, op), code)
		// What was refused may be something else under the same key.
		ann.with("Idempotency-Key: " + key).patch(`[]`).want(200)
	}
	eve.patch(f(`[{"op":"replace","path":"/objects/%s/body/n","value":1},{"op":"remove","path":"/objects/%s"}]`, a, secret)).problem("not-found")
	w.as("cat").patch(f(`[{"op":"replace","path":"/objects/%s/body/n","value":1},{"op":"remove","path":"/objects/%s"}]`, a, shared)).problem("not-found")
	if after := everything(); after != before {
		t.Errorf("something happened:\n%s\n%s", before, after)
	}
	version := s.view("s1").version
	s.settle()
	if s.view("s1").version != version {
		t.Errorf("a refusal made a delta of version %d", s.view("s1").version)
	}
}

// TestW7Neighbours sends 64 transactions at once, of which one is bad, at each
// tenth position and in every way: the other 63 are committed in order.
func TestW7Neighbours(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Doc", `{"l":[]}`)
	bad := map[string]string{
		"path-missing": f(`[{"op":"add","path":"/objects/%[1]s/body/l/-","value":"bad"},{"op":"remove","path":"/objects/%[1]s/body/none"}]`, id),
		"test-failed":  f(`[{"op":"add","path":"/objects/%[1]s/body/l/-","value":"bad"},{"op":"test","path":"/objects/%[1]s/body/l","value":1}]`, id),
		"not-found":    f(`[{"op":"add","path":"/objects/%s/body/l/-","value":"bad"},{"op":"remove","path":"/objects/%s"}]`, id, newID()),
		"schema":       f(`[{"op":"add","path":"/objects/%s/body/l/-","value":"bad"},{"op":"add","path":"/objects/%s","value":{"type":"Strict","body":{}}}]`, id, newID()),
		"exists":       f(`[{"op":"add","path":"/objects/%[1]s/body/l/-","value":"bad"},{"op":"add","path":"/objects/%[1]s","value":{"type":"Doc","body":{}}}]`, id),
		"invalid-json": f(`[{"op":"add","path":"/objects/%s/body/l/-","value":"\u0000"}]`, id),
		"too-large":    f(`[{"op":"add","path":"/objects/%s/body/l/-","value":%q}]`, id, strings.Repeat("x", 600<<10)),
	}
	codes := slices.Sorted(func(yield func(string) bool) {
		for c := range bad {
			if !yield(c) {
				return
			}
		}
	})
	s := w.dial(t, "ann")
	var want []string
	version := 1
	const batch = 24
	for round, code := range codes {
		for _, at := range []int{0, 3*round + 1, batch - 1} {
			var ids []string
			for i := range batch {
				m := newID()
				ids = append(ids, m)
				ops := f(`[{"op":"add","path":"/objects/%s/body/l/-","value":%q}]`, id, m)
				if i == at {
					ops = bad[code]
				} else {
					want = append(want, m)
				}
				s.send(f(`{"t":"mutate","mutation":%q,"patch":%s}`, m, ops))
			}
			for i, m := range ids {
				for {
					x, err := s.receive()
					if err != nil {
						t.Fatal(err)
					}
					if kind := x.str("t"); kind != "ack" && kind != "reject" {
						continue
					}
					x.is("mutation", f("%q", m)) // in the order sent
					if i == at {
						checkProblem(t, x.at("problem"), code)
					} else if version++; x.int("version") != version {
						t.Errorf("neighbour %d of a %s at %d: %s, want version %d", i, code, at, x, version)
					}
					break
				}
			}
		}
	}
	got := ann.object(id).json().list("body.l")
	if len(got) != len(want) {
		t.Fatalf("%d elements, want %d", len(got), len(want))
	}
	for i, m := range want {
		if got[i].v != m {
			t.Fatalf("element %d is %s, not %s", i, got[i], m)
		}
	}
}

// wander follows a list that others append to at full speed, from node to node:
// now and then it goes away, and comes back elsewhere with what it holds.
func wander(t *testing.T, each func(s *socket, hop int)) (s *socket, id string) {
	t.Helper()
	w := setup(t)
	o := *w
	o.url = w.other
	ann := w.as("ann")
	id = ann.create("Doc", `{"l":[]}`)
	projections := []string{f(`{"root":%q}`, id), `{"root":{"type":"Doc"}}`}
	s = w.dial(t, "ann")
	for i, p := range projections {
		s.sub(f("s%d", i), `"projection":`+p)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := 0; ; j++ {
				select {
				case <-stop:
					return
				default:
				}
				a, err := ann.on([]string{w.url, w.other}[i%2]).send("PATCH", w.path(""), patchType, f(`[{"op":"add","path":"/objects/%s/body/l/-","value":"%d-%d"}]`, id, i, j))
				if err != nil || a.status != 200 {
					t.Errorf("%v %v", a, err)
					return
				}
			}
		})
	}
	for hop := range 16 {
		for range 3 {
			s.settle()
		}
		each(s, hop)
		s = s.resumed([]*world{w, &o}[hop%2], "ann", projections)
	}
	close(stop)
	wg.Wait()
	s.reach(ann.head())
	each(s, -1)
	for i, p := range projections {
		s.sameAs(ann.with(f("Graphtide-Min-Version: %d", ann.head())).load(p), f("s%d", i))
	}
	return s, id
}

// TestS1OrderedS9Monotone: neither within a connection nor over a change of the
// node does a reader hear of a version before one that it has.
func TestS1OrderedS9Monotone(t *testing.T) {
	t.Parallel()
	last, length := 0, 0
	wander(t, func(s *socket, hop int) { // within a connection the socket checks it itself
		for _, sub := range []string{"s0", "s1"} {
			v := s.view(sub)
			if v.version < last && sub == "s0" {
				t.Errorf("hop %d: version %d after %d", hop, v.version, last)
			}
		}
		v := s.view("s0")
		last = v.version
		for id := range v.objects {
			n := len(v.body(t, id).list("l"))
			if n < length {
				t.Errorf("hop %d: %d elements after %d", hop, n, length)
			}
			length = n
		}
	})
}

// TestS2GapFreeS3Unique: an insertion that came twice, or never, would show for
// ever in a list that is appended to.
func TestS2GapFreeS3Unique(t *testing.T) {
	t.Parallel()
	s, id := wander(t, func(s *socket, hop int) {
		next := map[string]int{}
		v := s.view("s0")
		for o := range v.objects {
			for _, x := range v.body(t, o).list("l") {
				var writer string
				var n int
				if k, err := fmt.Sscanf(strings.Replace(x.v.(string), "-", " ", 1), "%s %d", &writer, &n); k != 2 || n != next[writer] {
					t.Fatalf("hop %d: %s where number %d of writer %s is due (%v)", hop, x, next[writer], writer, err)
				}
				next[writer]++
			}
		}
	})
	if n := len(s.view("s0").body(t, id).list("l")); n < 20 {
		t.Errorf("only %d insertions", n)
	}
}

// TestS8PendingSurviveReconnect is the server's part of the optimistic layer:
// what a session had sent and not seen answered is told at the welcome where it
// was committed, is committed once where it is sent again, and deltas and loads
// name what they cover, so that a client drops it from its pending ones in the
// same step.
func TestS8PendingSurviveReconnect(t *testing.T) {
	t.Parallel()
	w := setup(t)
	o := *w
	o.url = w.other
	id := w.as("ann").create("Doc", `{"l":[]}`)
	projection := f(`"projection":{"root":%q}`, id)
	session := newID()
	s := w.dialSession(t, "ann", session)
	v := s.sub("s1", projection)
	epoch, shown := s.welcome.str("epoch"), map[string]bool{}
	var sent []string
	for round := range 8 {
		var pending []string
		for i := range 5 {
			m := newID()
			pending = append(pending, m)
			s.send(f(`{"t":"mutate","mutation":%q,"patch":[{"op":"add","path":"/objects/%s/body/l/-","value":%q}]}`, m, id, m))
			if i == round%5 { // some are answered, some on their way, some never sent
				break
			}
		}
		sent = append(sent, pending...)
		if round%2 == 0 {
			s.settle()
		}
		s.conn.CloseNow()
		held := *s.view("s1")
		held.id = "held"
		next := []*world{&o, w}[round%2].dialSession(t, "ann", session, pending...)
		applied := next.welcome.members("applied")
		next.subs["s1"], next.views["held"] = "held", &held
		next.send(f(`{"t":"sub","sub":"s1",%s,"since":%d,"epoch":%q,"key":%q}`, projection, held.version, epoch, held.key))
		for {
			m := next.next("load")
			if m.has("mutations") { // a reset holds everything, and names nothing
				for _, x := range m.list("mutations") {
					shown[x.v.(string)] = true
				}
			}
			if m.bool("done") {
				break
			}
		}
		for _, m := range pending {
			if applied[m] == nil {
				next.send(f(`{"t":"mutate","mutation":%q,"patch":[{"op":"add","path":"/objects/%s/body/l/-","value":%q}]}`, m, id, m))
				for next.acked[m] == 0 {
					if _, err := next.receive(); err != nil {
						t.Fatal(err)
					}
				}
			} else if got := next.view("s1").version; got < toInt(t, applied[m]) {
				t.Errorf("%s is said to be at %v, the load is at %d", m, applied[m], got)
			}
		}
		s, v = next, next.view("s1")
	}
	s.settle()
	var got []string
	for _, x := range v.body(t, id).list("l") {
		got = append(got, x.v.(string))
	}
	// Once each, and in the order in which they were sent.
	if !slices.Equal(got, sent) {
		t.Errorf("%v\nwere sent, and there are\n%v", sent, got)
	}
	if len(shown) == 0 {
		t.Error("no load named a mutation that it covers")
	}
}

func toInt(t *testing.T, v any) int {
	t.Helper()
	n, err := v.(json.Number).Int64()
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// TestS10Bounded has one session stop reading while 24 MB of changes are made:
// others hear of each within a moment, and when it reads again, or comes back
// after it was let go for not reading, it is brought up to date with a fraction
// of that.
func TestS10Bounded(t *testing.T) {
	t.Parallel()
	w := ownNode(t, "graphtide: 1\ntypes:\n  Doc: {open: true, access: {read: [public], write: [public]}}\n", nil)
	root := w.root()
	id := root.create("Doc", `{"n":0}`)
	projection := f(`"projection":{"root":%q}`, id)
	dial := func(s *socket) *socket {
		s.conn.SetReadLimit(64 << 20)
		s.hello(root.token, newID())
		s.sub("s0", projection)
		return s
	}
	stalled, other := dial(w.openSlow(t)), dial(w.open(t))
	fat := strings.Repeat("x", 200<<10)
	const changes = 72 // several times what networks keep for who does not read
	var late time.Duration
	stopped := time.Now()
	for i := range changes {
		begin := time.Now()
		v := root.commit(f(`[{"op":"add","path":"/objects/%s/body/fat","value":%q},{"op":"replace","path":"/objects/%s/body/n","value":%d}]`, id, fat, id, i+1))
		for other.view("s0").version < v {
			if _, err := other.receive(); err != nil {
				t.Fatal(err)
			}
		}
		late = max(late, time.Since(begin))
	}
	if late > 20*time.Second { // the one that does not read is let go after 30 s
		t.Errorf("another session waited %v for a change", late)
	}
	received := 0
	stalled.raw = func(text []byte) { received += len(text) }
	if time.Since(stopped) > 25*time.Second { // it may have been let go, which takes no notice of what it can still read
		stalled = stalled.resumed(w, "root", []string{f(`{"root":%q}`, id)})
		stalled.raw = func(text []byte) { received += len(text) }
	}
	stalled.reach(root.head())
	if got := stalled.view("s0").body(t, id).int("n"); got != changes {
		t.Errorf("after it reads again it is at %d", got)
	}
	if received > changes*len(fat)/2 {
		t.Errorf("%d MB of %d MB waited for a session that did not read", received>>20, changes*len(fat)>>20)
	}
}

// TestS11LiveWithoutRedis kills the Redis of two nodes: what is written on one
// reaches readers on the other within a poll and a second.
func TestS11LiveWithoutRedis(t *testing.T) {
	t.Parallel()
	const poll = time.Second
	redis := startPostRedis(t)
	database := testdb.OwnURL(t)
	var urls []string
	for range 2 {
		n, err := startNode(database, redis.url(), func(c *node.Config) { c.Poll = poll })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stopNode(n) })
		urls = append(urls, n.URL())
	}
	w := &world{t: t, url: urls[0], other: urls[1], graph: "main"}
	o := *w
	o.url = w.other
	root := w.root()
	root.put("/v1/schema", "application/yaml", "graphtide: 1\ntypes:\n  Doc: {open: true, access: {read: [public], write: [public]}}\n").want(200)
	id := root.create("Doc", `{"n":0}`)
	s := o.open(t)
	s.hello(root.token, newID())
	s.sub("s1", f(`"projection":{"root":%q}`, id))
	s.reach(root.head())
	redis.kill()
	var lags []time.Duration
	for i := range 9 {
		begin := time.Now()
		v := root.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":%d}]`, id, i+1))
		for s.view("s1").version < v {
			if _, err := s.receive(); err != nil {
				t.Fatal(err)
			}
		}
		lags = append(lags, time.Since(begin))
	}
	slices.Sort(lags)
	if mid := lags[len(lags)/2]; mid > poll+time.Second {
		t.Errorf("half of the changes took longer than %v: %v", mid, lags)
	}
	redis.begin()
	root.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":0}]`, id))
	s.reach(root.head())
	s.view("s1").body(t, id).is("n", "0")
}

// TestS12NoLeak writes a text that stands nowhere else into each object at each
// change, and looks for it in every byte that a user is sent who may not read
// the object at that version: live, coming back, and over every route.
func TestS12NoLeak(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann, bob := w.as("ann"), w.as("bob")
	var texts int
	hidden := map[string]bool{} // texts that bob must never see
	text := func(secret bool) string {
		texts++
		s := f("canary-%s-%d", newID(), texts)
		if secret {
			hidden[s] = true
		}
		return s
	}
	parent := ann.create("Shared", `{}`)
	child := newID()
	ann.commit(f(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Inherit","body":{}}},{"op":"add","path":"/edges/%[2]s","value":{"label":"parent","from":"%[1]s","to":"%[3]s"}}]`, child, newID(), parent))
	private := ann.create("Private", f(`{"c":%q}`, text(true)))
	canary := regexp.MustCompile(`canary-[0-9a-f-]+`)
	scan := func(what string) func([]byte) {
		return func(b []byte) {
			for _, c := range canary.FindAllString(string(b), -1) {
				if hidden[c] {
					t.Errorf("%s has %s, which bob may not read", what, c)
				}
			}
			if strings.Contains(string(b), private) {
				t.Errorf("%s names %s, which bob may not read", what, private)
			}
		}
	}
	projections := []string{`{"root":{"type":"Object"},"out":{"parent":{}}}`, f(`{"root":%q,"in":{"parent":{}}}`, parent)}
	s := w.dial(t, "bob")
	s.raw = scan("the socket")
	for i, p := range projections {
		s.sub(f("s%d", i), `"projection":`+p)
	}
	change := func(secret bool) {
		for _, id := range []string{parent, child} {
			ann.commit(f(`[{"op":"add","path":"/objects/%s/body/c","value":%q}]`, id, text(secret)))
		}
		ann.commit(f(`[{"op":"add","path":"/objects/%s/body/c","value":%q}]`, private, text(true)))
	}
	for round := range 4 {
		change(false)
		s.settle()
		if round == 2 { // away while the right is taken
			s.conn.CloseNow()
		}
		ann.commit(f(`[{"op":"add","path":"/objects/%s/access/read","value":{"users":{"cat":true}}}]`, parent))
		change(true)
		if round == 2 {
			s = s.resumed(w, "bob", projections)
			s.raw = scan("the socket after coming back")
		}
		s.reach(ann.head())
		if n := len(s.view("s0").objects); n != 0 {
			t.Errorf("bob holds %v", s.view("s0").ids())
		}
		for _, path := range []string{"/log", "/objects/" + parent, "/objects/" + parent + "/history", "/objects/" + child + "/history", "/objects/" + private} {
			scan(path)(bob.get(w.path(path)).body)
		}
		scan("load")(bob.load(projections[0]).body)
		scan("load?at")(bob.post(w.path(f("/load?at=%d", ann.head()-1)), projections[0]).body)
		scan("a refusal")(bob.patch(f(`[{"op":"test","path":"/objects/%s/body/c","value":"x"}]`, parent)).body)
		scan("a dry run")(bob.do("PATCH", w.path("?dryRun=true"), patchType, f(`[{"op":"test","path":"/objects/%s/body/c","value":"x"}]`, child)).body)
		// What was written meanwhile may be read once the right is back: it is the
		// present state then. What bob never sees again are the states between.
		ann.commit(f(`[{"op":"add","path":"/objects/%s/access/read","value":{"orgs":{"acme":true}}}]`, parent))
		clear(hidden)
		s.reach(ann.head())
		if n := len(s.view("s0").objects); n != 2 {
			t.Errorf("bob has his right back and holds %v", s.view("s0").ids())
		}
		hidden[ann.object(private).json().str("body.c")] = true
	}
}
