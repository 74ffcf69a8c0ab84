package access

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/graphtide/graphtide/graph"
)

// state is a graph in maps: a graph.Reader without any cleverness.
type state struct {
	objects map[graph.ObjectID]*graph.Object
	edges   []*graph.Edge
}

func (s *state) Object(id graph.ObjectID) *graph.Object { return s.objects[id] }

func (s *state) Edge(id graph.EdgeID) *graph.Edge {
	for _, e := range s.edges {
		if e.ID == id {
			return e
		}
	}
	return nil
}

func (s *state) Between(label string, from, to graph.ObjectID) *graph.Edge {
	for _, e := range s.edges {
		if e.Label == label && e.From == from && e.To == to {
			return e
		}
	}
	return nil
}

func (s *state) Out(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	for _, e := range s.edges {
		if e.From == id && (label == "" || e.Label == label) && !yield(e) {
			return
		}
	}
}

func (s *state) In(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	for _, e := range s.edges {
		if e.To == id && (label == "" || e.Label == label) && !yield(e) {
			return
		}
	}
}

func (s *state) CountOut(id graph.ObjectID, label string) (n int) {
	s.Out(id, label, func(*graph.Edge) bool { n++; return true })
	return n
}

func (s *state) CountIn(id graph.ObjectID, label string) (n int) {
	s.In(id, label, func(*graph.Edge) bool { n++; return true })
	return n
}

func oid(n int) graph.ObjectID { return graph.ObjectID{14: byte(n >> 8), 15: byte(n)} }

func build(t testing.TB) *state { return &state{objects: map[graph.ObjectID]*graph.Object{}} }

// object puts an object with this access and creator into the state.
func (s *state) object(t rapid.TB, n int, creator, acl string) {
	t.Helper()
	parsed, faults := Parse(json.RawMessage(acl))
	if faults != nil {
		t.Fatalf("%s: %v", acl, faults)
	}
	s.objects[oid(n)] = &graph.Object{ID: oid(n), Access: parsed, Meta: graph.Meta{CreatedBy: creator}}
}

func (s *state) edge(label string, from, to int) {
	s.edges = append(s.edges, &graph.Edge{ID: graph.EdgeID{15: byte(len(s.edges))}, Label: label, From: oid(from), To: oid(to)})
}

var ann = &graph.Principal{User: "ann", Teams: []string{"red"}, Org: "acme"}

// both asks both evaluators and wants one answer.
func both(t rapid.TB, r graph.Reader, p *graph.Principal, n int, right string) bool {
	t.Helper()
	direct := Direct(r, p, oid(n), right)
	if walked := NewWalker(r, p, nil).Holds(oid(n), right); walked != direct {
		t.Fatalf("%s on %d: Direct says %v, Walker says %v", right, n, direct, walked)
	}
	return direct
}

func TestRightsOfOneObject(t *testing.T) {
	t.Parallel()
	anonymous := &graph.Principal{Anonymous: true}
	for _, c := range []struct {
		name string
		acl  string
		p    *graph.Principal
		want string // rights held out of read, write, comment, manage
	}{
		{"nobody", `{}`, ann, ""},
		{"by user", `{"read":{"users":{"ann":true}}}`, ann, "read"},
		{"by another user", `{"read":{"users":{"bob":true}}}`, ann, ""},
		{"by team", `{"read":{"teams":{"blue":true,"red":true}}}`, ann, "read"},
		{"by org", `{"read":{"orgs":{"acme":true}}}`, ann, "read"},
		{"a user's name is no team and no org", `{"read":{"teams":{"ann":true},"orgs":{"ann":true}}}`, ann, ""},
		{"public", `{"read":{"public":true}}`, ann, "read"},
		{"public, anonymously", `{"read":{"public":true},"write":{"users":{"ann":true}}}`, anonymous, "read"},
		{"public false", `{"read":{"public":false}}`, ann, ""},
		{"write without read is nothing", `{"write":{"users":{"ann":true}}}`, ann, ""},
		{"write with read", `{"read":{"orgs":{"acme":true}},"write":{"users":{"ann":true}}}`, ann, "read write"},
		{"manage implies all", `{"manage":{"teams":{"red":true}}}`, ann, "read write comment manage"},
		{"a right of the type's own", `{"read":{"public":true},"comment":{"orgs":{"acme":true}}}`, ann, "read comment"},
		{"admin", `{}`, &graph.Principal{User: "root", Admin: true}, "read write comment manage"},
		{"an anonymous principal is no user", `{"read":{"users":{"ann":true}}}`, &graph.Principal{User: "ann", Anonymous: true}, ""},
		{"inherit without an edge gives the creator the right", `{"read":{"inherit":{"in":true}}}`, &graph.Principal{User: "creator"}, "read"},
		{"inherit without an edge gives no one else the right", `{"read":{"inherit":{"in":true}}}`, ann, ""},
		{"only the entry that inherits falls to the creator", `{"read":{"inherit":{"in":true}},"write":{}}`, &graph.Principal{User: "creator"}, "read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := build(t)
			s.object(t, 1, "creator", c.acl)
			var got []string
			for _, right := range []string{Read, Write, "comment", Manage} {
				if both(t, s, c.p, 1, right) {
					got = append(got, right)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
			if rights := NewWalker(s, c.p, nil).Rights(oid(1), []string{Read, Write, "comment", Manage}); !slices.Equal(rights, got) {
				t.Errorf("Rights gave %v, Holds %v", rights, got)
			}
		})
	}
}

func TestAbsentObjectGivesNothing(t *testing.T) {
	t.Parallel()
	s := build(t)
	for _, p := range []*graph.Principal{ann, {User: "root", Admin: true}} {
		if both(t, s, p, 1, Read) {
			t.Errorf("%s may read what is not there", p.User)
		}
	}
}

const inheritAll = `{"read":{"inherit":{"in":true}},"write":{"inherit":{"in":true}},"comment":{"inherit":{"in":true}},"manage":{"inherit":{"in":true}}}`

func TestInherit(t *testing.T) {
	t.Parallel()
	s := build(t)
	s.object(t, 1, "bob", inheritAll)
	s.object(t, 2, "bob", `{"read":{"orgs":{"acme":true}},"comment":{"users":{"ann":true}}}`)
	s.edge("in", 1, 2)
	s.object(t, 3, "bob", `{"read":{"inherit":{"other":true}}}`)
	s.edge("in", 3, 2) // not the label that 3 inherits through
	s.object(t, 4, "bob", `{"read":{"inherit":{"in":true}},"write":{"users":{"ann":true}}}`)
	s.edge("in", 4, 2)
	s.object(t, 5, "bob", `{"write":{"users":{"ann":true}}}`) // write without read
	s.object(t, 6, "bob", `{"read":{"public":true},"write":{"inherit":{"in":true}}}`)
	s.edge("in", 6, 5)
	s.object(t, 7, "bob", inheritAll)
	s.object(t, 8, "bob", `{"manage":{"users":{"ann":true}}}`)
	s.edge("in", 7, 8)
	s.object(t, 9, "bob", `{"read":{"inherit":{"in":true}},"write":{"inherit":{"in":true}}}`)
	s.edge("in", 9, 8)
	for _, c := range []struct {
		n     int
		right string
		want  bool
	}{
		{1, Read, true}, {1, "comment", true}, {1, Write, false}, {1, Manage, false},
		{3, Read, false},
		{4, Read, true}, {4, Write, true}, // own and inherited rights add up
		{6, Read, true}, {6, Write, false}, // the far end has no read, so there is no write to inherit
		{7, Manage, true}, {7, Write, true}, {7, "anything", true},
		{9, Write, true}, {9, Manage, false}, // manage there implies write, and only what is asked is inherited
	} {
		if got := both(t, s, ann, c.n, c.right); got != c.want {
			t.Errorf("%s on %d: got %v, want %v", c.right, c.n, got, c.want)
		}
	}
	// With an edge, being the creator gives nothing.
	if both(t, s, &graph.Principal{User: "bob"}, 1, Read) {
		t.Error("the creator of an object that inherits may read it though the far end does not say so")
	}
}

func TestChainsAreFollowedSixteenDeepAndNoDeeper(t *testing.T) {
	t.Parallel()
	s := build(t)
	const end = 40
	for n := range end {
		s.object(t, n, "bob", inheritAll)
		s.edge("in", n, n+1)
	}
	s.object(t, end, "bob", `{"read":{"users":{"ann":true}},"write":{"users":{"ann":true}}}`)
	for n := range end {
		for _, right := range []string{Read, Write} {
			if got, want := both(t, s, ann, n, right), end-n <= 16; got != want {
				t.Errorf("%s over %d edges: got %v, want %v", right, end-n, got, want)
			}
		}
	}
	// The order of the questions does not matter to one that remembers.
	w := NewWalker(s, ann, nil)
	for _, n := range []int{end - 1, end - 16, end - 17, end - 30, end - 17, end - 16, 0, end} {
		if got, want := w.Holds(oid(n), Read), end-n <= 16; got != want {
			t.Errorf("remembered, over %d edges: got %v, want %v", end-n, got, want)
		}
	}
}

func TestCycleGivesNothing(t *testing.T) {
	t.Parallel()
	s := build(t)
	for n := range 3 {
		s.object(t, n, "ann", inheritAll)
		s.edge("in", n, (n+1)%3)
	}
	s.object(t, 3, "ann", inheritAll)
	s.edge("in", 3, 3)
	for n := range 4 {
		if both(t, s, ann, n, Read) {
			t.Errorf("%d: a cycle gives read", n)
		}
	}
	// A way out of the cycle counts.
	s.object(t, 4, "bob", `{"read":{"users":{"ann":true}}}`)
	s.edge("in", 1, 4)
	for n := range 3 {
		if !both(t, s, ann, n, Read) {
			t.Errorf("%d: the way out of the cycle is not found", n)
		}
	}
}

// A complete graph has 25^16 chains; counting what is consulted shows that
// neither evaluator follows them one by one.
func TestDenseInheritanceIsBounded(t *testing.T) {
	t.Parallel()
	s := build(t)
	const n = 25
	for i := range n {
		s.object(t, i, "bob", inheritAll)
		for k := range n {
			s.edge("in", i, k)
		}
	}
	counted := &counter{Reader: s}
	if Direct(counted, ann, oid(0), Write) || NewWalker(counted, ann, nil).Holds(oid(0), Write) {
		t.Error("a cycle gives write")
	}
	if counted.edges > 200_000 {
		t.Errorf("%d edges were followed", counted.edges)
	}
}

type counter struct {
	graph.Reader
	edges int
}

func (c *counter) Out(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	c.Reader.Out(id, label, func(e *graph.Edge) bool { c.edges++; return yield(e) })
}

func TestTouchedTellsWhatAnAnswerHangsOn(t *testing.T) {
	t.Parallel()
	s := build(t)
	s.object(t, 1, "bob", `{"read":{"inherit":{"in":true}}}`)
	s.object(t, 2, "bob", `{"read":{"inherit":{"in":true}}}`)
	s.object(t, 3, "bob", `{}`)
	s.object(t, 4, "bob", `{}`)
	s.edge("in", 1, 2)
	s.edge("in", 2, 3)
	s.edge("out", 1, 4)
	touched := map[graph.ObjectID]bool{}
	if NewWalker(s, ann, func(id graph.ObjectID) { touched[id] = true }).Holds(oid(1), Read) {
		t.Error("read is held")
	}
	if want := map[graph.ObjectID]bool{oid(1): true, oid(2): true, oid(3): true}; !cmp.Equal(touched, want) {
		t.Error(cmp.Diff(touched, want))
	}
}

// drawState makes a random graph with many cycles, and principals to ask for.
func drawState(t *rapid.T) (*state, []*graph.Principal) {
	s := &state{objects: map[graph.ObjectID]*graph.Object{}}
	n := rapid.IntRange(1, 24).Draw(t, "objects")
	sparse := rapid.Bool().Draw(t, "sparse")
	for i := range n {
		doc := map[string]any{}
		for _, right := range []string{Read, Write, Manage, "comment"} {
			entry := map[string]any{}
			chance := rapid.IntRange(0, 11).Draw(t, "holder")
			switch {
			case chance == 0:
				entry["users"] = map[string]bool{"ann": true}
			case chance == 1:
				entry["teams"] = map[string]bool{"red": true}
			case chance == 2:
				entry["orgs"] = map[string]bool{"acme": true}
			case chance == 3 && !sparse:
				entry["public"] = true
			}
			switch rapid.IntRange(0, 5).Draw(t, "inherit") {
			case 0, 1, 2:
				entry["inherit"] = map[string]bool{"a": true}
			case 3:
				entry["inherit"] = map[string]bool{"a": true, "b": true}
			}
			if len(entry) > 0 {
				doc[right] = entry
			}
		}
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		s.object(t, i, rapid.SampledFrom([]string{"ann", "bob", ""}).Draw(t, "creator"), string(text))
	}
	most := 3 * n
	if sparse { // chains rather than thickets: long ways to the holder
		for i := range n - 1 {
			s.edge("a", i, i+1)
		}
		most = 3
	}
	for range rapid.IntRange(0, most).Draw(t, "edges") {
		label := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "label")
		from, to := rapid.IntRange(0, n-1).Draw(t, "from"), rapid.IntRange(0, n-1).Draw(t, "to")
		s.edge(label, from, to)
	}
	return s, []*graph.Principal{ann, {User: "ann"}, {User: "bob", Teams: []string{"blue", "red"}}, {Anonymous: true}}
}

func TestWalkerAgreesWithDirect(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, principals := drawState(t)
		for _, p := range principals {
			w, j := NewWalker(s, p, nil), NewJudge(s, p)
			defined := map[string]func(graph.ObjectID) bool{}
			for _, right := range askedRights {
				defined[right] = definition(s, p, right)
			}
			questions := rapid.Permutation(allQuestions(len(s.objects))).Draw(t, "questions")
			for _, q := range questions {
				walked, direct, slow := w.Holds(q.id, q.right), Direct(s, p, q.id, q.right), defined[q.right](q.id)
				if walked != direct || direct != slow {
					t.Fatalf("%s on %v for %+v: Walker %v, Direct %v, by the definition %v", q.right, q.id, p, walked, direct, slow)
				}
				if judged := j.Holds(q.id, q.right); judged != direct {
					t.Fatalf("%s on %v for %+v: Judge %v, Direct %v", q.right, q.id, p, judged, direct)
				}
			}
		}
	})
}

var askedRights = []string{Read, Write, Manage, "comment", "nothing"}

func allQuestions(objects int) (out []question) {
	for i := range objects {
		for _, right := range askedRights {
			out = append(out, question{oid(i), right})
		}
	}
	return out
}

// definition computes, round by round and for all objects at once, what is held
// with no edge, with one, and so on.
func definition(s *state, p *graph.Principal, right string) func(graph.ObjectID) bool {
	type key struct {
		id    graph.ObjectID
		right string
	}
	rights := []string{Read, Manage, right}
	granted := map[key]bool{}
	holds := func(g map[key]bool, id graph.ObjectID, right string) bool {
		return g[key{id, Manage}] || g[key{id, Read}] && g[key{id, right}]
	}
	for k := 0; k <= MaxInherit; k++ {
		next := map[key]bool{}
		for oid, o := range s.objects {
			for _, r := range rights {
				h := o.Access.Rights[r]
				if h == nil {
					continue
				}
				yes := names(h, p)
				edges := 0
				for _, label := range h.Inherit {
					s.Out(oid, label, func(e *graph.Edge) bool {
						edges++
						yes = yes || k > 0 && holds(granted, e.To, r)
						return true
					})
				}
				if len(h.Inherit) > 0 && edges == 0 {
					yes = yes || isUser(p, o.Meta.CreatedBy)
				}
				next[key{oid, r}] = yes
			}
		}
		granted = next
	}
	return func(id graph.ObjectID) bool { return holds(granted, id, right) }
}

// Whoever has the same share of the names consulted gets the same answers: that
// is what lets sessions share a view.
func TestNamesDecide(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, principals := drawState(t)
		for _, p := range principals {
			named := map[Name]bool{}
			w := NewWalker(s, p, func(id graph.ObjectID) {
				ObjectNames(s, s.objects[id], func(n Name) { named[n] = true })
			})
			for id := range s.objects {
				w.Rights(id, []string{Read, Write, Manage})
			}
			share := &graph.Principal{}
			for _, n := range PrincipalNames(p) {
				if !named[n] {
					continue
				}
				switch n.Kind {
				case NameUser:
					share.User = n.ID
				case NameTeam:
					share.Teams = append(share.Teams, n.ID)
				case NameOrg:
					share.Org = n.ID
				}
			}
			for id := range s.objects {
				for _, right := range []string{Read, Write, Manage} {
					if got, want := Direct(s, share, id, right), w.Holds(id, right); got != want {
						t.Fatalf("%s on %v: %v for %+v, but %v for its share %+v", right, id, want, p, got, share)
					}
				}
			}
		}
	})
}

func TestOpensGraph(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		graphs []string
		name   string
		want   bool
	}{
		{nil, "main", true},
		{nil, "other", false},
		{[]string{}, "main", false},
		{[]string{"a", "b"}, "b", true},
		{[]string{"a"}, "main", false},
		{[]string{"a"}, "ab", false},
		{[]string{"team-*"}, "team-1", true},
		{[]string{"team-*"}, "team-", true},
		{[]string{"team-*"}, "team", false},
		{[]string{"*"}, "anything", true},
		{[]string{""}, "", true},
		{[]string{""}, "main", false},
		{[]string{"a*b"}, "axb", false},
	} {
		p := &graph.Principal{Graphs: c.graphs, Admin: true}
		if got := OpensGraph(p, c.name); got != c.want {
			t.Errorf("%q opens %q: got %v", c.graphs, c.name, got)
		}
	}
}

func BenchmarkWalkerRecords(b *testing.B) {
	s, n := workbook(b)
	b.ReportAllocs()
	for b.Loop() {
		w := NewWalker(s, ann, nil)
		for i := range n {
			if !w.Holds(oid(i+1), Read) {
				b.Fatal("not readable")
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/object")
}

func BenchmarkDirectRecords(b *testing.B) {
	s, n := workbook(b)
	b.ReportAllocs()
	for b.Loop() {
		for i := range n {
			if !Direct(s, ann, oid(i+1), Read) {
				b.Fatal("not readable")
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/object")
}

// workbook is a store with records that inherit from it, with edges by start.
func workbook(b *testing.B) (*indexed, int) {
	s := &indexed{state: build(b), out: map[graph.ObjectID][]*graph.Edge{}}
	s.object(b, 0, "bob", `{"read":{"orgs":{"acme":true}}}`)
	const n = 1000
	for i := range n {
		s.object(b, i+1, "bob", inheritAll)
		s.out[oid(i+1)] = []*graph.Edge{{Label: "in", From: oid(i + 1), To: oid(0)}}
	}
	return s, n
}

type indexed struct {
	*state
	out map[graph.ObjectID][]*graph.Edge
}

func (s *indexed) Out(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	for _, e := range s.out[id] {
		if e.Label == label && !yield(e) {
			return
		}
	}
}
