package systest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// TestW3ExactlyOnceInACrowdOverTwoNodes has 64 writers append to one array under
// keys, each transaction sent up to four times to either node, shuffled: each
// is in the log once, at the version that every answer named, and the versions
// are dense.
func TestW3ExactlyOnceInACrowdOverTwoNodes(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	hot := ann.create("Doc", `{"l":[]}`)
	const writers, each = 64, 8
	var mu sync.Mutex
	said := map[string]int{} // key → version
	firsts := map[string]int{}
	var refused atomic.Int32
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			var last int
			for j := range each {
				key := fmt.Sprintf("w%d-%d", i, j)
				ops := f(`[{"op":"add","path":"/objects/%s/body/l/-","value":%q},{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{}}}]`, hot, key, uuidOf(i, j))
				fails := j == 3 // one of eight is refused each time it is sent
				if fails {
					ops = f(`[{"op":"test","path":"/objects/%s/body/l","value":"never"}]`, hot)
				}
				var inner sync.WaitGroup
				for range 1 + rng.IntN(4) {
					node := []string{w.url, w.other}[rng.IntN(2)]
					inner.Go(func() {
						a, err := ann.on(node).with("Idempotency-Key: "+key).send("PATCH", w.path(""), patchType, ops)
						if err != nil {
							t.Error(err)
							return
						}
						if fails {
							if a.status != 409 {
								t.Errorf("%v", a)
							}
							refused.Add(1)
							return
						}
						if a.status != 200 {
							t.Errorf("%v", a)
							return
						}
						r := a.json()
						mu.Lock()
						defer mu.Unlock()
						v := r.int("version")
						if old := said[key]; old != 0 && old != v {
							t.Errorf("%s is said to be at %d and at %d", key, old, v)
						}
						said[key] = v
						if !r.bool("replayed") {
							firsts[key]++
						}
						if v <= last {
							t.Errorf("%s at %d, after its author's %d was acknowledged", key, v, last)
						}
					})
				}
				inner.Wait()
				mu.Lock()
				last = max(last, said[key])
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	log := ann.log()
	if len(log) != 1+writers*(each-1) {
		t.Errorf("%d commits, want %d", len(log), 1+writers*(each-1))
	}
	seen := map[string]int{}
	for i, c := range log {
		if c.int("version") != i+1 {
			t.Fatalf("version %d at place %d", c.int("version"), i+1)
		}
		seen[c.str("mutation")]++
		if v := said[c.str("mutation")]; i > 0 && v != i+1 {
			t.Errorf("%s is at %d, was said to be at %d", c.str("mutation"), i+1, v)
		}
	}
	for key := range said {
		if seen[key] != 1 || firsts[key] != 1 {
			t.Errorf("%s is in the log %d times, %d answers said that they were the first", key, seen[key], firsts[key])
		}
	}
	for _, node := range []string{w.url, w.other} {
		l := ann.on(node).with(f("Graphtide-Min-Version: %d", len(log))).object(hot).want(200).json().list("body.l")
		if len(l) != writers*(each-1) {
			t.Errorf("%d elements", len(l))
		}
		// The array is in the order of the log.
		for i, x := range l {
			if x.v != log[i+1].str("mutation") {
				t.Fatalf("element %d is %s, the log has %s", i, x, log[i+1])
			}
		}
	}
}

func uuidOf(i, j int) string { return fmt.Sprintf("%08x-%04x-4000-8000-000000000000", i+1, j) }

// TestCountsHoldUnderRaces has two nodes race for one place.
func TestCountsHoldUnderRaces(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	for range 10 {
		place := ann.create("Node", `{}`)
		ann.on(w.other).with(f("Graphtide-Min-Version: %d", ann.head())).head()
		var wins, lost atomic.Int32
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				r, err := ann.on([]string{w.url, w.other}[i%2]).send("PATCH", w.path(""), patchType,
					f(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Node","body":{}}},{"op":"add","path":"/edges/%[2]s","value":{"label":%[3]q,"from":"%[1]s","to":"%[4]s"}}]`, newID(), newID(), "few", place))
				switch {
				case err != nil:
					t.Error(err)
				case r.status == 200:
					wins.Add(1)
				case r.status == 409:
					lost.Add(1)
				default:
					t.Errorf("%v", r)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 2 || lost.Load() != 4 {
			t.Errorf("%d edges where two fit", wins.Load())
		}
	}
}

// TestOneIDForManyIsTakenOnce has both nodes create one id at once.
func TestOneIDForManyIsTakenOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	for range 20 {
		id := newID()
		var wins atomic.Int32
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				a, err := ann.on([]string{w.url, w.other}[i%2]).send("PATCH", w.path(""), patchType, f(`[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{"by":%d}}}]`, id, i))
				switch {
				case err != nil:
					t.Error(err)
				case a.status == 200:
					wins.Add(1)
				case a.str("code") != "exists":
					t.Errorf("%v", a)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Errorf("taken %d times", wins.Load())
		}
	}
}
