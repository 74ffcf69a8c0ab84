package replica_test

import (
	"context"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// liar is a second level that loses some of what it is given, keeps other things
// too long, gives entries under foreign keys, and damages some.
type liar struct {
	mu      sync.Mutex
	rng     *rand.Rand
	old     map[string][][]byte // every value that a key ever had
	honest  bool
	asked   int
	trouble bool // it is down
}

func newLiar(seed uint64) *liar {
	return &liar{rng: rand.New(rand.NewPCG(seed, 1)), old: map[string][][]byte{}}
}

func (l *liar) Get(_ context.Context, keys []string, waited time.Duration) ([][]byte, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked += len(keys)
	out := make([][]byte, len(keys))
	all := slices.Sorted(maps.Keys(l.old))
	for i, k := range keys {
		values := l.old[k]
		if l.trouble || len(values) == 0 {
			continue
		}
		out[i] = values[len(values)-1]
		if l.honest {
			continue
		}
		switch l.rng.IntN(8) {
		case 0: // lost
			out[i] = nil
		case 1, 2, 3: // of an earlier time
			out[i] = values[l.rng.IntN(len(values))]
		case 4: // another's
			foreign := l.old[all[l.rng.IntN(len(all))]]
			out[i] = foreign[l.rng.IntN(len(foreign))]
		case 5: // damaged
			out[i] = slices.Clone(out[i])
			out[i][l.rng.IntN(len(out[i]))] ^= 1 << l.rng.IntN(8)
		}
	}
	return out, waited
}

func (l *liar) Put(_ context.Context, keys []string, values [][]byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, k := range keys {
		l.old[k] = append(l.old[k], values[i])
	}
	return !l.trouble
}

// ask puts every question about a part of the world to the state, so that what
// is missing is noted, and compares the answers where nothing was.
func (w *world) ask(t failer, r *replica.Replica, some func(graph.ObjectID) bool) {
	t.Helper()
	err := r.Read(context.Background(), func(st *replica.State) {
		found := map[graph.ObjectID]*graph.Object{}
		for id := range w.objects {
			if some(id) {
				found[id] = st.Object(id)
			}
		}
		counts := map[graph.ObjectID][2]int{}
		for id := range found {
			counts[id] = [2]int{st.CountOut(id, ""), st.CountIn(id, labels[0])}
		}
		edges := map[graph.EdgeID]*graph.Edge{}
		between := map[graph.EdgeID]*graph.Edge{}
		for id, e := range w.edges {
			if some(graph.ObjectID(id)) {
				edges[id], between[id] = st.Edge(id), st.Between(e.Label, e.From, e.To)
			}
		}
		gone := st.Object(graph.ObjectID{1})
		noEdge := st.Edge(graph.EdgeID{1})
		ofType := 0
		if some(graph.ObjectID{2}) {
			st.OfType(types[0], func(*graph.Object) bool { ofType++; return true })
		} else {
			ofType = -1
		}
		if st.Missed() > 0 {
			return
		}
		if gone != nil || noEdge != nil {
			t.Fatalf("what never was is there")
		}
		want := 0
		for id, o := range w.objects {
			if o.Type == types[0] {
				want++
			}
			got, asked := found[id]
			if asked && (got == nil || got.Meta != o.Meta || string(got.Body) != string(o.Body) || string(got.Access.Raw) != string(o.Access.Raw)) {
				t.Fatalf("object %s is %+v, want %+v", id, got, o)
			}
			out, in := 0, 0
			for _, e := range w.edges {
				if e.From == id {
					out++
				}
				if e.To == id && e.Label == labels[0] {
					in++
				}
			}
			if asked && counts[id] != [2]int{out, in} {
				t.Fatalf("object %s has %v edges, want %d and %d", id, counts[id], out, in)
			}
		}
		for id, got := range edges {
			if e := w.edges[id]; got == nil || got.Meta != e.Meta || string(got.Body) != string(e.Body) || between[id] != got {
				t.Fatalf("edge %s is %+v and %+v, want %+v", id, got, between[id], e)
			}
		}
		if ofType >= 0 && ofType != want {
			t.Fatalf("%d objects of a type, want %d", ofType, want)
		}
	})
	if err != nil {
		t.Fatalf("read: %v", err)
	}
}

// A replica that holds next to nothing, beside a second level that lies, gives
// the answers of one that holds all; so does one that begins with its image.
func TestPartialReplicaAnswersLikeAWholeOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		level := newLiar(rapid.Uint64().Draw(rt, "seed"))
		images, err := os.MkdirTemp(dir, "")
		if err != nil {
			rt.Fatalf("%v", err)
		}
		start := func(bytes int64) (*replica.Set, *replica.Replica) {
			set := replica.New(replica.Config{Store: w.store, Eager: -1, Bytes: bytes, Cache: level, ImageDir: images})
			if err := set.Start(context.Background()); err != nil {
				rt.Fatalf("start: %v", err)
			}
			r, err := set.Open(context.Background(), graph.MainGraph)
			if err != nil {
				rt.Fatalf("open: %v", err)
			}
			return set, r
		}
		bytes := rapid.SampledFrom([]int64{1, 5000, 1 << 30}).Draw(rt, "bytes")
		set, r := start(bytes)
		defer func() { set.Stop(context.Background()) }()
		whole := replica.New(replica.Config{Store: w.store})
		defer whole.Stop(context.Background())
		complete, err := whole.Open(context.Background(), graph.MainGraph)
		if err != nil {
			rt.Fatalf("open: %v", err)
		}
		pick := func() func(graph.ObjectID) bool {
			one := rapid.Uint64Range(1, 4).Draw(rt, "part")
			return func(id graph.ObjectID) bool { return uint64(id[0])%one == 0 }
		}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			for range rapid.IntRange(1, 4).Draw(rt, "commits") {
				w.step(rt)
			}
			switch rapid.IntRange(0, 5).Draw(rt, "then") {
			case 0: // a load meets a store that is ahead
			case 1:
				if set.Stop(context.Background()); rapid.Bool().Draw(rt, "spoilt") {
					spoil(rt, images)
				}
				set, r = start(bytes)
			case 2:
				level.mu.Lock()
				level.trouble = !level.trouble
				level.mu.Unlock()
			default:
				for _, r := range []*replica.Replica{r, complete} {
					since := r.Head().Version
					if err := r.CatchUp(context.Background()); err != nil {
						rt.Fatalf("catch up: %v", err)
					}
					wholeBefores(rt, r, since)
				}
			}
			// The world is at its head; a read may be of before it.
			if err := r.CatchUp(context.Background()); err != nil {
				rt.Fatalf("catch up: %v", err)
			}
			w.ask(rt, r, pick())
		}
		if err := complete.CatchUp(context.Background()); err != nil {
			rt.Fatalf("catch up: %v", err)
		}
		every := func(graph.ObjectID) bool { return true }
		w.ask(rt, r, every)
		w.ask(rt, complete, every)
	})
}

// wholeBefores checks that what followed knows what was before.
func wholeBefores(t failer, r *replica.Replica, since graph.Version) {
	commits, _ := r.Since(since)
	for _, c := range commits {
		for i := range c.Changes {
			if ch := &c.Changes[i]; ch.Event != graph.Created && ch.ObjBefore == nil && ch.EdgeBefore == nil {
				t.Fatalf("version %d: %s before is not known", c.Version, ch.Ref.Pointer())
			}
		}
	}
}

// spoil damages the images of a folder.
func spoil(t *rapid.T, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.image"))
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatalf("%v", err)
		}
		b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 0x10
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatalf("%v", err)
		}
	}
}
