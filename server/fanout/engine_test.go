package fanout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/server/protocol"
)

// drawList gives random members of a list: where, order, limit, after.
func drawList(t *rapid.T, roots []graph.ObjectID, edges bool) map[string]any {
	list := map[string]any{}
	if rapid.IntRange(0, 2).Draw(t, "where?") == 0 {
		list["where"] = rapid.SampledFrom([]any{
			map[string]any{"tag": "a"},
			map[string]any{"tag": map[string]any{"in": []string{"a", "b"}}},
			map[string]any{"n": map[string]any{"gte": 2}},
			map[string]any{"tag": "b", "n": map[string]any{"lt": 3}},
			map[string]any{"not": map[string]any{"n": 1}},
			map[string]any{"or": []any{map[string]any{"n": 2}, map[string]any{"tag": "c"}}},
			map[string]any{"other": map[string]any{"exists": true}},
			map[string]any{"n": 2.0},
			map[string]any{"n": nil},
			map[string]any{"tag": "a", "n": 1},
			map[string]any{"tag": "a", "n": map[string]any{"in": []int{1, 2}}},
			map[string]any{"/type": "Leaf"},
			map[string]any{"/meta/createdBy": "ann", "tag": map[string]any{"ne": "a"}},
		}).Draw(t, "where")
	}
	if rapid.IntRange(0, 2).Draw(t, "order?") > 0 {
		return list
	}
	orders := []string{"/body/n", "-/body/n", "-/meta/version", "/body/tag", "-/body/other"}
	if edges {
		orders = append(orders, "edge:/body/n", "-edge:/body/n")
	}
	order := rapid.SliceOfNDistinct(rapid.SampledFrom(orders), 0, 2, func(s string) string { return strings.TrimPrefix(s, "-") }).Draw(t, "order")
	if len(order) > 0 {
		list["order"] = order
	}
	if rapid.IntRange(0, 3).Draw(t, "limit?") > 0 {
		list["limit"] = rapid.IntRange(1, 4).Draw(t, "limit")
	}
	if rapid.IntRange(0, 2).Draw(t, "after?") == 0 {
		values := make([]any, len(order))
		for i := range values {
			values[i] = rapid.SampledFrom([]any{0, 1, 2, "a", nil}).Draw(t, "after")
		}
		list["after"] = map[string]any{"values": values, "id": rapid.SampledFrom(roots).Draw(t, "id").String()}
	}
	return list
}

func drawNode(t *rapid.T, node map[string]any, roots []graph.ObjectID, depth int) {
	if depth == 0 {
		return
	}
	for range rapid.IntRange(0, 2).Draw(t, "steps") {
		way := rapid.SampledFrom([]string{"in", "in", "out"}).Draw(t, "way")
		label := rapid.SampledFrom([]string{"child", "child", "up"}).Draw(t, "label")
		step := drawList(t, roots, true)
		if rapid.IntRange(0, 2).Draw(t, "repeat?") == 0 {
			step["repeat"] = rapid.SampledFrom([]any{1, 2, 3, true, true}).Draw(t, "repeat")
		}
		drawNode(t, step, roots, depth-1)
		steps, _ := node[way].(map[string]any)
		if steps == nil {
			steps = map[string]any{}
			node[way] = steps
		}
		steps[label] = step
	}
}

func drawProjection(t *rapid.T, roots []graph.ObjectID) (*graph.Projection, string) {
	node := map[string]any{}
	if rapid.IntRange(0, 2).Draw(t, "typed") == 0 {
		root := drawList(t, roots, false)
		root["type"] = rapid.SampledFrom([]string{"Node", "Leaf"}).Draw(t, "type")
		node["root"] = root
	} else {
		var ids []string
		for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom(roots), 1, 3, rapid.ID).Draw(t, "roots") {
			ids = append(ids, id.String())
		}
		node["root"] = ids
	}
	drawNode(t, node, roots, 3)
	text, err := json.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	proj, perr := graph.ParseProjection(text)
	if perr != nil {
		t.Fatalf("%s: %v", text, perr)
	}
	return proj, string(text)
}

// shownBy is what a view had published.
type shownBy struct {
	objects map[graph.ObjectID]*graph.Object
	edges   map[graph.EdgeID]*graph.Edge
	roots   []graph.ObjectID
}

func publishedBy(v *view) shownBy {
	return shownBy{maps.Clone(v.objects), maps.Clone(v.edges), slices.Clone(v.roots)}
}

// sameAsAnew compares a view with its projection evaluated from scratch.
func sameAsAnew(st *replica.State, l *lens, v *view, p *graph.Principal) error {
	res, fault := replica.Evaluate(st, st, l.types, p, v.proj, l.limits)
	if fault != nil {
		return fault
	}
	digest := uint32(0)
	for _, o := range res.Objects {
		if v.objects[o.ID] != o {
			return fmt.Errorf("object %s at %d is missing or another", o.ID, o.Meta.Version)
		}
		digest += protocol.DigestOf(o.ID, o.Meta.Version)
	}
	for _, e := range res.Edges {
		if v.edges[e.ID] != e {
			return fmt.Errorf("edge %s at %d is missing or another", e.ID, e.Meta.Version)
		}
		digest += protocol.DigestOf(e.ID, e.Meta.Version)
	}
	switch {
	case len(v.objects) != len(res.Objects) || len(v.edges) != len(res.Edges):
		return fmt.Errorf("%d objects and %d edges, where there should be %d and %d", len(v.objects), len(v.edges), len(res.Objects), len(res.Edges))
	case !slices.Equal(v.roots, res.Roots):
		return fmt.Errorf("roots %v, not %v", v.roots, res.Roots)
	case digest != v.digest:
		return fmt.Errorf("digest %d, not %d", v.digest, digest)
	}
	return nil
}

// sameBooks compares a book with one that was begun at the same state: nothing
// may have leaked.
func sameBooks(b, fresh *book) error {
	if !maps.Equal(b.shown, fresh.shown) {
		return fmt.Errorf("the book shows %v, a new one %v", b.shown, fresh.shown)
	}
	if b.seats != fresh.seats {
		return fmt.Errorf("%d seats, a new book has %d", b.seats, fresh.seats)
	}
	for i, h := range b.hops {
		other := fresh.hops[i]
		if len(h.visits) != len(other.visits) {
			return fmt.Errorf("hop %d: %d lists, a new book has %d", i, len(h.visits), len(other.visits))
		}
		for from, v := range h.visits {
			w := other.visits[from]
			if w == nil {
				return fmt.Errorf("hop %d: a new book has no list at %s", i, from)
			}
			if v.levels != w.levels || v.first != w.first || v.again != w.again || !slices.Equal(v.byLevels, w.byLevels) {
				return fmt.Errorf("hop %d at %s: asked for %d+%d times %v, in a new book %d+%d %v", i, from, v.first, v.again, v.byLevels, w.first, w.again, w.byLevels)
			}
			if v.window != nil && len(v.window.items) != len(w.window.items) {
				return fmt.Errorf("hop %d at %s: %d candidates, a new book has %d", i, from, len(v.window.items), len(w.window.items))
			}
		}
	}
	return nil
}

// sameIndex compares the index with one that the views are taken up in anew.
func sameIndex(x *index, views []*view) error {
	none := func(...graph.ObjectID) {}
	fresh := newIndex(x.candidates, none, none)
	for _, v := range views {
		fresh.adopt(v)
	}
	// Rights that nothing rests on any more may still be watched.
	for id, set := range fresh.objects {
		set.each(func(v *view) {
			if mine := x.objects[id]; !mine.has(v) {
				panic(fmt.Sprintf("nobody watches %s for %s", id, v.id))
			}
		})
	}
	if len(x.objects) != len(fresh.objects) {
		return fmt.Errorf("%d objects are watched, where there should be %d", len(x.objects), len(fresh.objects))
	}
	if len(x.lists) != len(fresh.lists) {
		return fmt.Errorf("%d lists are followed, where there should be %d", len(x.lists), len(fresh.lists))
	}
	for k, l := range fresh.lists {
		mine := x.lists[k]
		if mine == nil || mine.all.len() != l.all.len() || len(mine.equal) != len(l.equal) || len(mine.choosers) != len(l.choosers) {
			return fmt.Errorf("list %v differs", k)
		}
		for _, e := range l.equal {
			i := slices.IndexFunc(mine.equal, func(o *equalViews) bool { return o.at == e.at })
			if i < 0 || len(mine.equal[i].by) != len(e.by) {
				return fmt.Errorf("list %v differs in its values of %s", k, e.at)
			}
			for value, set := range e.by {
				if have := mine.equal[i].by[value]; have.len() != set.len() {
					return fmt.Errorf("list %v: %d views of %s = %s, not %d", k, have.len(), e.at, value, set.len())
				}
			}
		}
	}
	for d, ends := range fresh.choosy {
		if !maps.Equal(ends, x.choosy[d]) {
			return fmt.Errorf("ends of %v: %v, not %v", d, x.choosy[d], ends)
		}
	}
	if len(fresh.choosy) != len(x.choosy) {
		return fmt.Errorf("%d directions, not %d", len(x.choosy), len(fresh.choosy))
	}
	return nil
}

func (s *viewSet) has(v *view) (yes bool) {
	s.each(func(w *view) { yes = yes || w == v })
	return yes
}

func (s *viewSet) len() (n int) {
	s.each(func(*view) { n++ })
	return n
}

// differenceTold compares the deltas that a view has published since with what
// lies between then and now.
func differenceTold(st *replica.State, v *view, before shownBy, from graph.Version, lone bool) error {
	objects, edges, roots := maps.Clone(before.objects), maps.Clone(before.edges), before.roots
	versions := map[string]graph.Version{}
	for id, o := range objects {
		versions[id.String()] = o.Meta.Version
	}
	for id, e := range edges {
		versions[id.String()] = e.Meta.Version
	}
	take := func(id string, c *entityChange) (leaves bool, err error) {
		at, here := versions[id]
		switch {
		case c.Leave != "":
			if !here {
				return true, fmt.Errorf("%s leaves and was not here", id)
			}
			delete(versions, id)
			return true, nil
		case c.Enter != nil:
			if here {
				return false, fmt.Errorf("%s enters and was here", id)
			}
			versions[id] = versionIn(c.Enter)
		default:
			if !here || at != c.Was || at == c.Version {
				return false, fmt.Errorf("%s is at %d, changes from %d to %d", id, at, c.Was, c.Version)
			}
			versions[id] = c.Version
		}
		return false, nil
	}
	for _, f := range v.feed.after(from) {
		for _, text := range f.texts {
			var fr frameMessage
			if err := json.Unmarshal(text, &fr); err != nil {
				return err
			}
			for id, raw := range fr.Objects {
				var c entityChange
				if err := json.Unmarshal(raw, &c); err != nil {
					return err
				}
				leaves, err := take(id, &c)
				if err != nil {
					return err
				}
				oid, ok := graph.ParseObjectID(id)
				if !ok {
					return fmt.Errorf("no id: %s", id)
				}
				if leaves {
					want := protocol.Forbidden
					switch o := st.Object(oid); {
					case o != nil && access.Direct(st, &v.lead, oid, access.Read):
						want = protocol.Unlinked
					case o == nil && lone: // it was shown, and so readable until then
						want = protocol.Deleted
					case o == nil:
						want = c.Leave
					}
					if c.Leave != want {
						return fmt.Errorf("%s leaves as %s, not %s", id, c.Leave, want)
					}
				}
			}
			for id, raw := range fr.Edges {
				var c entityChange
				if err := json.Unmarshal(raw, &c); err != nil {
					return err
				}
				if _, err := take(id, &c); err != nil {
					return err
				}
			}
			if fr.Roots != nil {
				roots = nil
				for _, id := range fr.Roots {
					oid, ok := graph.ParseObjectID(id)
					if !ok {
						return fmt.Errorf("no id: %s", id)
					}
					roots = append(roots, oid)
				}
			}
		}
	}
	if len(versions) != len(v.objects)+len(v.edges) {
		return fmt.Errorf("the deltas lead to %d entities, the view has %d", len(versions), len(v.objects)+len(v.edges))
	}
	for id, o := range v.objects {
		if versions[id.String()] != o.Meta.Version {
			return fmt.Errorf("the deltas lead to %s at %d, the view has it at %d", id, versions[id.String()], o.Meta.Version)
		}
	}
	for id, e := range v.edges {
		if versions[id.String()] != e.Meta.Version {
			return fmt.Errorf("the deltas lead to %s at %d, the view has it at %d", id, versions[id.String()], e.Meta.Version)
		}
	}
	if !slices.Equal(roots, v.roots) {
		return fmt.Errorf("the deltas lead to roots %v, the view has %v", roots, v.roots)
	}
	return nil
}

// forget puts a replica in the world's place that holds nothing yet, and goes on
// to hold what views need and little more.
func (w *world) forget() (stop func()) {
	set := replica.New(replica.Config{Store: w.store, Eager: -1, Bytes: 1, Log: slog.New(slog.DiscardHandler)})
	if err := set.Start(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	r, err := set.Open(context.Background(), graph.MainGraph)
	if err != nil {
		w.t.Fatal(err)
	}
	w.replica = r
	return func() { set.Stop(context.Background()) }
}

func TestViewsEqualTheirProjectionComputedAnewAfterEveryCommit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := makeWorld(t, 0, nil)
		defer w.close()
		c := &chaos{world: w}
		for range 4 {
			c.made++
			c.objects = append(c.objects, oid(c.made))
			c.commit("ann", c.object(oid(c.made), "Node", `{"n":1,"tag":"a"}`, rapid.SampledFrom(accesses).Draw(t, "access")))
		}
		for range rapid.IntRange(0, 10).Draw(t, "commits") {
			c.commitSomething(t)
		}
		if rapid.Bool().Draw(t, "partial") {
			defer w.forget()()
		}
		r := makeRelay(w.hub, w.replica)
		defer r.end()
		texts := map[*view]string{}
		for range rapid.IntRange(1, 5).Draw(t, "views") {
			proj, text := drawProjection(t, c.objects[:4])
			for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom(people), 1, 3, func(p graph.Principal) string { return p.User }).Draw(t, "who") {
				r.step([]command{{run: func(s *step) {
					v, err := s.view(newQuery(proj), p)
					switch {
					case err != nil && !s.short():
						t.Fatal(err)
					case v != nil:
						texts[v] = text
					}
				}}})
			}
		}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			before := map[*view]shownBy{}
			for v := range texts {
				before[v] = publishedBy(v)
			}
			from := r.at().Version
			for range rapid.SampledFrom([]int{1, 1, 1, 2, 3}).Draw(t, "commits") {
				c.commitSomething(t)
			}
			r.step(nil)
			lone := r.at().Version <= from+1
			r.step([]command{{run: func(s *step) {
				if err := allRight(s, texts, before, from, lone); err != nil && !s.short() {
					t.Fatal(err)
				}
			}}})
		}
	})
}

// allRight compares everything with what is computed from scratch.
func allRight(s *step, texts map[*view]string, before map[*view]shownBy, from graph.Version, lone bool) error {
	for v, text := range texts {
		wrong := func(err error) error {
			return fmt.Errorf("%s as %+v at %d: %w", text, v.lead, s.head.Version, err)
		}
		if v.book.void {
			return wrong(errors.New("a void book"))
		}
		if err := sameAsAnew(s.st, s.lens, v, &v.lead); err != nil {
			return wrong(err)
		}
		if err := differenceTold(s.st, v, before[v], from, lone); err != nil {
			return wrong(err)
		}
		for i := range people {
			if v.why.admits(&people[i]) {
				if err := sameAsAnew(s.st, s.lens, v, &people[i]); err != nil {
					return wrong(fmt.Errorf("%+v shares the view: %w", people[i], err))
				}
			}
		}
		fresh, err := s.lens.compute(s.st, &v.lead, v.proj, 0)
		if err != nil {
			return wrong(err)
		}
		if err := sameBooks(v.book, fresh.book); err != nil {
			return wrong(err)
		}
	}
	return sameIndex(s.index, slices.Collect(maps.Keys(texts)))
}

// A new token may come in the step that parts its user's view from those of
// others: the commit decides first, and then the token.
func TestATokenCountsInTheStepThatPartsItsUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const red = `{"read":{"teams":{"red":true}}}`
	w.commit("x", w.object(oid(1), "Node", `{}`, everybody),
		w.object(oid(2), "Node", `{}`, red), edge(eid(2), "child", oid(2), oid(1)),
		w.object(oid(3), "Node", `{}`, red), edge(eid(3), "child", oid(3), oid(1)))
	first := w.connect(graph.Principal{User: "ann", Teams: []string{"red"}})
	first.sub("s1", childrenOf1)
	if err := first.drain(); err != nil {
		t.Fatal(err)
	}
	c := w.connect(graph.Principal{User: "bob", Teams: []string{"red"}})
	c.sub("s1", childrenOf1)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	r := c.s.relay
	release := r.hold()
	w.commit("x", grant(oid(3), `{"read":{"users":{"ann":true}}}`))
	<-r.wake // the token alone asks for the step
	c.say(`{"t":"token","token":%q}`, token(graph.Principal{User: "bob"}))
	release()
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	w.compare(t, c, childrenOf1)
	if n := len(c.subs["s1"].objects); n != 1 {
		t.Errorf("bob, who is in no team any more, holds %d objects", n)
	}
}

// A step may repeat as often as a client likes: that is no reason to make room for
// as many levels, nor to count them down where a cycle falls off.
func TestARepeatOfABillionLevelsCostsWhatThereIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody), w.object(oid(2), "Node", `{}`, everybody), w.object(oid(3), "Node", `{}`, everybody),
		edge(eid(1), "child", oid(2), oid(1)), edge(eid(2), "child", oid(3), oid(2)), edge(eid(3), "child", oid(2), oid(3)))
	c := w.connect(ann)
	text := `{"root":"` + oid(1).String() + `","in":{"child":{"repeat":1000000000}}}`
	c.sub("s1", text)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	w.compare(t, c, text)
	w.commit("ann", remove(graph.EdgeRef(eid(1)))) // 2 and 3 lead to each other still
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	w.compare(t, c, text)
	if n := len(c.subs["s1"].objects); n != 1 {
		t.Errorf("%d objects are left", n)
	}
}
