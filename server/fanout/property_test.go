package fanout

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/patch"
)

var people = []graph.Principal{
	{User: "ann", Teams: []string{"red"}, Org: "acme"},
	{User: "bob", Teams: []string{"blue"}, Org: "acme"},
	{User: "cid", Teams: []string{"blue", "red"}},
	{User: "dan"},
	{Anonymous: true},
	{User: "root", Admin: true},
}

var accesses = []string{
	everybody,
	`{"read":{"users":{"ann":true}}}`,
	`{"read":{"orgs":{"acme":true}},"manage":{"users":{"dan":true}}}`,
	`{"read":{"teams":{"blue":true}}}`,
	`{"manage":{"users":{"cid":true}}}`,
	`{"read":{"inherit":{"child":true}},"manage":{"users":{"bob":true}}}`,
	`{"read":{"users":{"dan":true},"inherit":{"child":true,"up":true}}}`,
	`{"read":{"inherit":{"up":true}},"manage":{"inherit":{"up":true}}}`,
	`{"manage":{"inherit":{"child":true}}}`,
	`{}`,
}

var projections = []string{
	`{"root":"ROOT","in":{"child":{}}}`,
	`{"root":"ROOT","in":{"child":{"in":{"child":{}},"out":{"up":{}}}}}`,
	`{"root":"ROOT","in":{"child":{"repeat":true}}}`,
	`{"root":"ROOT","in":{"child":{"repeat":2,"out":{"up":{"repeat":1}}}}}`,
	`{"root":"ROOT","in":{"child":{"where":{"tag":"a"}}}}`,
	`{"root":"ROOT","in":{"child":{"where":{"n":{"gte":2}},"order":["/body/n"],"limit":2,"out":{"up":{}}}}}`,
	`{"root":"ROOT","in":{"child":{"order":["-/meta/version"],"limit":2}}}`,
	`{"root":"ROOT","out":{"up":{"order":["edge:/body/n"],"limit":1,"in":{"child":{}}}}}`,
	`{"root":"ROOT","in":{"child":{"order":["/body/n"],"limit":2,"after":{"values":[1],"id":"01000000-0000-7000-8000-000000000000"}}}}`,
	`{"root":{"type":"Node","where":{"tag":{"in":["a","b"]}}},"out":{"up":{}}}`,
	`{"root":{"type":"Leaf","order":["-/body/n"],"limit":3},"in":{"child":{}}}`,
	`{"root":{"type":"Leaf"}}`,
}

// chaos makes random commits that keep a graph whole.
type chaos struct {
	*world
	objects []graph.ObjectID
	edges   []graph.EdgeID
	made    int
	were    []edit // states that an undo may bring back
}

func (c *chaos) pick(t *rapid.T) graph.ObjectID {
	return c.objects[rapid.IntRange(0, len(c.objects)-1).Draw(t, "object")]
}

func (c *chaos) commitSomething(t *rapid.T) {
	var edits []edit
	touched := map[graph.Ref]bool{}
	gone := map[graph.ObjectID]bool{} // and those that edges were just tied to
	add := func(e edit) bool {
		if touched[e.ref] {
			return false
		}
		touched[e.ref] = true
		edits = append(edits, e)
		return true
	}
	link := func(label string, from, to graph.ObjectID) {
		if gone[from] || gone[to] || slices.ContainsFunc(edits, func(e edit) bool {
			return e.edge != nil && e.edge.Label == label && e.edge.From == from && e.edge.To == to
		}) {
			return
		}
		var taken bool
		c.replica.Read(context.Background(), func(st *replica.State) { taken = st.Between(label, from, to) != nil })
		if !taken {
			c.made++
			e := edge(eid(c.made), label, from, to)
			e.edge.Body = json.RawMessage(fmt.Sprintf(`{"n":%d}`, rapid.IntRange(0, 3).Draw(t, "n")))
			c.edges = append(c.edges, e.edge.ID)
			add(e)
		}
	}
	labels := []string{"child", "child", "up"}
	for range rapid.IntRange(1, 3).Draw(t, "edits") {
		switch rapid.IntRange(0, 10).Draw(t, "kind") {
		case 0, 1: // create, mostly below another
			c.made++
			id := oid(c.made)
			body := fmt.Sprintf(`{"n":%d,"tag":%q}`, rapid.IntRange(0, 4).Draw(t, "n"), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "tag"))
			add(c.object(id, rapid.SampledFrom([]string{"Node", "Leaf"}).Draw(t, "type"), body, rapid.SampledFrom(accesses).Draw(t, "access")))
			for range rapid.IntRange(0, 2).Draw(t, "links") {
				if to := c.pick(t); c.exists(graph.ObjectRef(to)) {
					link(rapid.SampledFrom(labels).Draw(t, "label"), id, to)
				}
			}
			c.objects = append(c.objects, id)
		case 2, 3: // change a body
			id := c.pick(t)
			if c.exists(graph.ObjectRef(id)) && !gone[id] {
				member := rapid.SampledFrom([]string{"n", "tag", "other"}).Draw(t, "member")
				value := rapid.SampledFrom([]string{"0", "1", "2", "3", `"a"`, `"b"`, "null", `{"x":[1,"<"]}`}).Draw(t, "value")
				add(set(graph.ObjectRef(id), member, value))
			}
		case 4: // change an access
			id := c.pick(t)
			if c.exists(graph.ObjectRef(id)) && !gone[id] {
				e := grant(id, rapid.SampledFrom(accesses).Draw(t, "access"))
				if rapid.Bool().Draw(t, "both") {
					e.patch = append(e.patch, patch.Op{Kind: patch.Add, Path: patch.Pointer{"body", "n"}, Value: json.RawMessage("2")})
				}
				add(e)
			}
		case 5, 6: // link
			from, to := c.pick(t), c.pick(t)
			if c.exists(graph.ObjectRef(from)) && c.exists(graph.ObjectRef(to)) {
				link(rapid.SampledFrom(labels).Draw(t, "label"), from, to)
			}
		case 7: // unlink, or change a link
			if len(c.edges) > 0 {
				ref := graph.EdgeRef(c.edges[rapid.IntRange(0, len(c.edges)-1).Draw(t, "edge")])
				if c.exists(ref) {
					if rapid.Bool().Draw(t, "unlink") {
						c.remember(ref)
						add(remove(ref))
					} else {
						add(set(ref, "n", fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "n"))))
					}
				}
			}
		case 8: // delete with all edges
			id := c.pick(t)
			if !c.exists(graph.ObjectRef(id)) || touched[graph.ObjectRef(id)] || slices.ContainsFunc(edits, func(e edit) bool {
				return e.edge != nil && (e.edge.From == id || e.edge.To == id)
			}) {
				continue
			}
			var ties []graph.Ref
			c.replica.Read(context.Background(), func(st *replica.State) {
				ties = nil
				note := func(e *graph.Edge) bool { ties = append(ties, graph.EdgeRef(e.ID)); return true }
				st.Out(id, "", note)
				st.In(id, "", note)
			})
			if slices.ContainsFunc(ties, func(r graph.Ref) bool { return touched[r] }) {
				continue
			}
			c.remember(graph.ObjectRef(id))
			for _, r := range ties {
				c.remember(r)
			}
			gone[id] = true
			add(remove(graph.ObjectRef(id)))
			for _, r := range ties {
				add(remove(r))
			}
		case 9: // undo a deletion, perhaps with the changes before it
			c.undo(t, add, func(e *graph.Edge) bool {
				return !gone[e.From] && !gone[e.To] && !slices.ContainsFunc(edits, func(o edit) bool {
					return o.edge != nil && o.edge.Label == e.Label && o.edge.From == e.From && o.edge.To == e.To
				})
			})
		case 10:
			c.remember(graph.ObjectRef(c.pick(t)))
		}
	}
	if len(edits) > 0 {
		c.commit(rapid.SampledFrom(people).Draw(t, "author").User, edits...)
	}
}

// remember keeps the state of an entity, if it lives, for an undo.
func (c *chaos) remember(ref graph.Ref) {
	var o *graph.Object
	var e *graph.Edge
	c.replica.Read(context.Background(), func(st *replica.State) {
		if o, e = nil, nil; ref.Kind == graph.KindObject {
			o = st.Object(graph.ObjectID(ref.ID))
		} else {
			e = st.Edge(graph.EdgeID(ref.ID))
		}
	})
	if o != nil || e != nil {
		c.were = append(c.were, revive(o, e))
	}
}

// undo has a deleted entity live again: an edge where both its ends live, and it is
// free to be tied.
func (c *chaos) undo(t *rapid.T, add func(edit) bool, free func(*graph.Edge) bool) {
	if len(c.were) == 0 {
		return
	}
	e := c.were[rapid.IntRange(0, len(c.were)-1).Draw(t, "were")]
	if c.exists(e.ref) {
		return
	}
	if e.edge == nil {
		add(e)
		return
	}
	ok := c.exists(graph.ObjectRef(e.edge.From)) && c.exists(graph.ObjectRef(e.edge.To)) && free(e.edge)
	c.replica.Read(context.Background(), func(st *replica.State) {
		ok = ok && st.Between(e.edge.Label, e.edge.From, e.edge.To) == nil
	})
	if ok {
		add(e)
	}
}

func (c *chaos) exists(ref graph.Ref) (yes bool) {
	c.replica.Read(context.Background(), func(st *replica.State) {
		if ref.Kind == graph.KindEdge {
			yes = st.Edge(graph.EdgeID(ref.ID)) != nil
		} else {
			yes = st.Object(graph.ObjectID(ref.ID)) != nil
		}
	})
	return yes
}

// check compares what a client holds with the projection computed from scratch.
func (c *chaos) check(t *rapid.T, cl *client, projections map[string]string) {
	for name, text := range projections {
		h := cl.subs[name]
		proj, perr := graph.ParseProjection([]byte(text))
		if perr != nil {
			t.Fatalf("%s: %v", text, perr)
		}
		var res *replica.Result
		p := *cl.s.rights()
		c.replica.Read(context.Background(), func(st *replica.State) {
			res, perr = replica.Evaluate(st, st, c.live.Current(), &p, proj, c.hub.cfg.Limits)
		})
		if perr != nil {
			t.Fatal(perr)
		}
		if d := h.differs(res); d != "" {
			t.Fatalf("%s as %+v at %d: %s", text, p, c.head.Version, d)
		}
	}
}

// whole reports what a client that looks now sees of two versions at once: each
// view that is loaded is that of the newest version told, as one who was, not long
// ago, the session's user.
func (c *chaos) whole(cl *client, projections map[string]string, been *[]graph.Principal) error {
	then, err := c.set.At(context.Background(), graph.MainGraph, cl.version)
	if err != nil {
		return err
	}
	for name, text := range projections {
		h := cl.subs[name]
		if !h.here || h.loading {
			continue
		}
		proj, perr := graph.ParseProjection([]byte(text))
		if perr != nil {
			return perr
		}
		why := ""
		for _, p := range append(slices.Clone(*been), *cl.s.rights()) {
			res, perr := replica.Evaluate(then, then, c.live.Current(), &p, proj, c.hub.cfg.Limits)
			if perr != nil {
				return perr
			}
			if why = h.differs(res); why == "" {
				break
			}
		}
		if why != "" {
			return fmt.Errorf("%s, looked at when %d had been told: %s", text, cl.version, why)
		}
	}
	return nil
}

func TestWhatClientsHoldEqualsTheirProjectionComputedFromScratch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		feedBytes := rapid.SampledFrom([]int{1, 2000, 20_000, 1 << 20}).Draw(t, "feed")
		ring := rapid.SampledFrom([]int{8, 1000}).Draw(t, "ring")
		w := makeWorld(t, ring, func(cfg *Config) { cfg.FeedBytes = feedBytes })
		defer w.close()
		w.hub.refill = rapid.SampledFrom([]graph.Version{0, 12, 1000}).Draw(t, "refill")
		w.hub.behind = rapid.SampledFrom([]int64{0, behindBytes}).Draw(t, "behind")
		c := &chaos{world: w}
		for range 4 {
			c.made++
			c.objects = append(c.objects, oid(c.made))
			c.commit("ann", c.object(oid(c.made), "Node", `{"n":1,"tag":"a"}`, rapid.SampledFrom(accesses).Draw(t, "access")))
		}
		var clients []*client
		wants := map[*client]map[string]string{}
		been := map[*client]*[]graph.Principal{} // since all was received
		watch := func(cl *client) {
			been[cl] = &[]graph.Principal{}
			cl.between = func() error { return c.whole(cl, wants[cl], been[cl]) }
		}
		receive := func(cl *client) {
			if err := cl.drain(); err != nil {
				t.Fatal(err)
			}
			*been[cl] = nil
		}
		for range rapid.IntRange(1, 6).Draw(t, "clients") {
			cl := w.connect(rapid.SampledFrom(people).Draw(t, "who"))
			wants[cl] = map[string]string{}
			clients = append(clients, cl)
			watch(cl)
		}
		steps := rapid.IntRange(5, 40).Draw(t, "steps")
		for range steps {
			for range rapid.IntRange(0, 3).Draw(t, "commits") {
				c.commitSomething(t)
			}
			i := rapid.IntRange(0, len(clients)-1).Draw(t, "client")
			cl := clients[i]
			switch rapid.IntRange(0, 9).Draw(t, "act") {
			case 0, 1, 2:
				name := rapid.SampledFrom([]string{"s1", "s2", "s3"}).Draw(t, "sub")
				text := strings.ReplaceAll(rapid.SampledFrom(projections).Draw(t, "projection"), "ROOT", c.objects[rapid.IntRange(0, 3).Draw(t, "root")].String())
				wants[cl][name] = text
				cl.sub(name, text)
			case 3: // come back with what was held
				receive(cl)
				for range rapid.SampledFrom([]int{0, 2, 10, 20}).Draw(t, "missed") {
					c.commitSomething(t)
				}
				next := w.connect(*cl.s.rights())
				wants[next] = wants[cl]
				watch(next)
				for name, text := range wants[cl] {
					next.resume(name, text, cl.subs[name])
				}
				cl.leave()
				delete(wants, cl)
				clients[i] = next
			case 4: // other rights
				p := rapid.SampledFrom(people).Draw(t, "rights")
				p.User, p.Anonymous = cl.s.user(), cl.s.user() == ""
				*been[cl] = append(*been[cl], *cl.s.rights())
				cl.say(`{"t":"token","token":%q}`, token(p))
			case 5:
				w.hub.cfg.Live.Current() // nothing but a pause
			default:
				receive(cl)
				c.check(t, cl, wants[cl])
			}
		}
		for _, cl := range clients {
			cl.say(`{"t":"ping"}`)
			receive(cl)
			c.check(t, cl, wants[cl])
		}
	})
}

func TestWhomTheGroundsAdmitSeesTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := makeWorld(t, 0, nil)
		defer w.close()
		c := &chaos{world: w}
		for range 3 {
			c.made++
			c.objects = append(c.objects, oid(c.made))
			c.commit("ann", c.object(oid(c.made), "Node", `{"n":1,"tag":"a"}`, rapid.SampledFrom(accesses).Draw(t, "access")))
		}
		for range rapid.IntRange(1, 15).Draw(t, "commits") {
			c.commitSomething(t)
		}
		r, err := w.hub.relay(context.Background(), graph.MainGraph)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(rapid.SampledFrom(projections).Draw(t, "projection"), "ROOT", c.objects[0].String())
		proj, perr := graph.ParseProjection([]byte(text))
		if perr != nil {
			t.Fatal(perr)
		}
		w.replica.Read(context.Background(), func(st *replica.State) {
			l := w.hub.lens(r)
			for i := range people {
				p := people[i]
				mine, err := l.compute(st, &p, proj, 0)
				if err != nil {
					t.Fatal(err)
				}
				slices.SortFunc(mine.Objects, func(a, b *graph.Object) int { return bytes.Compare(a.ID[:], b.ID[:]) })
				slices.SortFunc(mine.Edges, func(a, b *graph.Edge) int { return bytes.Compare(a.ID[:], b.ID[:]) })
				if !mine.why.admits(&p) {
					t.Fatalf("%+v is not admitted to a view computed for them: %+v", p, mine.why)
				}
				for j := range people {
					q := people[j]
					theirs, err := replica.Evaluate(st, st, w.live.Current(), &q, proj, w.hub.cfg.Limits)
					if err != nil {
						t.Fatal(err)
					}
					same := slices.Equal(mine.Roots, theirs.Roots) && slices.Equal(mine.Objects, theirs.Objects) && slices.Equal(mine.Edges, theirs.Edges)
					if mine.why.admits(&q) && !same {
						t.Fatalf("%s: %+v is admitted to the view of %+v (%+v), and would see something else", text, q, p, mine.why)
					}
				}
			}
		})
	})
}
