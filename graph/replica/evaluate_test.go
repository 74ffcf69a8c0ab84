package replica_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// subtypes is replica.Types over a plain map.
type subtypes map[string][]string

func (s subtypes) Subtypes(name string) []string { return s[name] }

var testTypes = subtypes{"Thing": {"Thing", "Part"}, "Part": {"Part"}}

var (
	admin = &graph.Principal{User: "root", Admin: true}
	ann   = &graph.Principal{User: "ann"}
)

func drawPath(t *rapid.T) graph.Path {
	switch rapid.IntRange(0, 9).Draw(t, "path") {
	case 0:
		return graph.Path{Edge: true, Tokens: []string{"body", "p"}}
	case 1:
		return graph.Path{Tokens: []string{"meta", rapid.SampledFrom([]string{"version", "createdVersion", "createdAt", "updatedBy", "none"}).Draw(t, "meta")}}
	case 2:
		return graph.Path{Tokens: []string{rapid.SampledFrom([]string{"type", "id", "access", "none", "meta", "body"}).Draw(t, "member")}}
	case 3:
		return graph.Path{Edge: true, Tokens: []string{rapid.SampledFrom([]string{"id", "label", "from", "to"}).Draw(t, "member")}}
	case 4:
		return graph.Path{Tokens: []string{"body", "p", "deep"}}
	}
	return graph.Path{Tokens: []string{"body", rapid.SampledFrom([]string{"p", "q"}).Draw(t, "key")}}
}

func drawValue(t *rapid.T) json.RawMessage {
	return json.RawMessage(rapid.SampledFrom(values).Draw(t, "value"))
}

func drawCond(t *rapid.T, depth int) *graph.Cond {
	op := graph.CondOp(rapid.IntRange(0, int(graph.CondExists)).Draw(t, "op"))
	if depth == 0 && op <= graph.CondNot {
		op = graph.CondEq
	}
	c := &graph.Cond{Op: op}
	switch op {
	case graph.CondAnd, graph.CondOr:
		for range rapid.IntRange(0, 3).Draw(t, "subs") {
			c.Sub = append(c.Sub, drawCond(t, depth-1))
		}
	case graph.CondNot:
		c.Sub = []*graph.Cond{drawCond(t, depth-1)}
	case graph.CondIn:
		c.Path = drawPath(t)
		for range rapid.IntRange(0, 3).Draw(t, "values") {
			c.Values = append(c.Values, drawValue(t))
		}
	case graph.CondExists:
		c.Path, c.Bool = drawPath(t), rapid.Bool().Draw(t, "exists")
	default:
		c.Path, c.Values = drawPath(t), []json.RawMessage{drawValue(t)}
	}
	return c
}

func drawList(t *rapid.T, ids []graph.ObjectID) graph.List {
	var l graph.List
	if rapid.IntRange(0, 3).Draw(t, "filtered") == 0 {
		l.Where = drawCond(t, 2)
	}
	for range rapid.IntRange(-1, 2).Draw(t, "keys") {
		l.Order = append(l.Order, graph.OrderKey{Path: drawPath(t), Desc: rapid.Bool().Draw(t, "desc")})
	}
	l.Limit = max(0, rapid.IntRange(-3, 4).Draw(t, "limit"))
	if len(ids) > 0 && rapid.IntRange(0, 4).Draw(t, "after") == 0 {
		l.After = &graph.After{ID: rapid.SampledFrom(ids).Draw(t, "after id")}
		for range l.Order {
			var v json.RawMessage
			if rapid.Bool().Draw(t, "has value") {
				v = drawValue(t)
			}
			l.After.Values = append(l.After.Values, v)
		}
	}
	return l
}

func drawNode(t *rapid.T, ids []graph.ObjectID, depth int) graph.Node {
	var n graph.Node
	if depth == 0 {
		return n
	}
	for _, in := range []bool{false, true} {
		for _, label := range labels {
			if rapid.IntRange(0, 2).Draw(t, "follow") == 0 {
				n.Steps = append(n.Steps, &graph.Step{
					Label: label, In: in, List: drawList(t, ids), Node: drawNode(t, ids, depth-1),
					Repeat: rapid.SampledFrom([]int{0, 0, 1, 3, -1}).Draw(t, "repeat"),
				})
			}
		}
	}
	return n
}

func drawProjection(t *rapid.T, ids []graph.ObjectID) *graph.Projection {
	p := &graph.Projection{Node: drawNode(t, ids, 3)}
	if rapid.Bool().Draw(t, "type root") {
		p.Type = &graph.TypeRoot{Type: rapid.SampledFrom([]string{"Thing", "Part", "None"}).Draw(t, "type"), List: drawList(t, ids)}
		return p
	}
	p.Roots = rapid.SliceOfNDistinct(rapid.SampledFrom(append(ids, graph.ObjectID{1}, graph.ObjectID{2})), 1, 2, rapid.ID).Draw(t, "roots")
	return p
}

func TestEvaluateDoesWhatTheContractSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		set := replica.New(replica.Config{Store: w.store})
		defer set.Stop(t.Context())
		for range rapid.IntRange(1, 40).Draw(rt, "commits") {
			w.step(rt)
		}
		r, err := set.Open(t.Context(), graph.MainGraph)
		if err != nil {
			rt.Fatalf("open: %v", err)
		}
		var ids []graph.ObjectID
		for _, o := range w.sortedObjects() {
			ids = append(ids, o.ID)
		}
		for range 5 {
			proj := drawProjection(rt, ids)
			for _, p := range []*graph.Principal{admin, ann} {
				want := &naive{w: w, user: p.User, subs: testTypes}
				if p.Admin {
					want.user = ""
				}
				want.run(proj)
				r.Read(context.Background(), func(st *replica.State) {
					got, err := replica.Evaluate(st, st, testTypes, p, proj, graph.Limits{})
					if err != nil {
						rt.Fatalf("evaluate: %v", err)
					}
					want.expect(rt, got)
				})
			}
		}
	})
}

func (n *naive) expect(t failer, got *replica.Result) {
	t.Helper()
	if !slices.Equal(got.Roots, n.roots) {
		t.Fatalf("roots %v, want %v", got.Roots, n.roots)
	}
	if len(got.Objects) != len(n.shown) || len(got.Edges) != len(n.edges) {
		t.Fatalf("%d objects and %d edges, want %d and %d", len(got.Objects), len(got.Edges), len(n.shown), len(n.edges))
	}
	for i, o := range got.Objects {
		if !n.shown[o.ID] || i > 0 && bytes.Compare(got.Objects[i-1].ID[:], o.ID[:]) >= 0 {
			t.Fatalf("object %d, %s, is out of place", i, o.ID)
		}
	}
	for i, e := range got.Edges {
		if !n.edges[e.ID] || i > 0 && bytes.Compare(got.Edges[i-1].ID[:], e.ID[:]) >= 0 {
			t.Fatalf("edge %d, %s, is out of place", i, e.ID)
		}
	}
}

// evaluate loads the world and computes a projection as p.
func (w *world) evaluate(t *testing.T, p *graph.Principal, proj *graph.Projection, lim graph.Limits) (*replica.Result, *graph.Error) {
	t.Helper()
	_, r := w.open(t, replica.Config{})
	var res *replica.Result
	var err *graph.Error
	r.Read(context.Background(), func(st *replica.State) { res, err = replica.Evaluate(st, st, testTypes, p, proj, lim) })
	return res, err
}

func follow(label string, in bool, repeat int, below ...*graph.Step) *graph.Step {
	return &graph.Step{Label: label, In: in, Repeat: repeat, Node: graph.Node{Steps: below}}
}

func named(steps []*graph.Step, ids ...graph.ObjectID) *graph.Projection {
	return &graph.Projection{Roots: ids, Node: graph.Node{Steps: steps}}
}

func idsOf(objects []*graph.Object) []graph.ObjectID {
	var out []graph.ObjectID
	for _, o := range objects {
		out = append(out, o.ID)
	}
	return out
}

func TestUnreadableObjectsAreNeitherShownNorWalkedThrough(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var root, hidden, beyond *graph.Object
	w.commit(t, func(x *tx) {
		root, hidden, beyond = x.create("Thing", `{}`, acl("")), x.create("Thing", `{}`, acl("bob")), x.create("Thing", `{}`, acl(""))
		x.link("a", root.ID, hidden.ID, `{}`)
		x.link("a", hidden.ID, beyond.ID, `{}`)
	})
	proj := named([]*graph.Step{follow("a", false, -1)}, hidden.ID, root.ID, graph.ObjectID{7})
	res, err := w.evaluate(t, ann, proj, graph.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(res.Roots, []graph.ObjectID{root.ID}) || len(res.Objects) != 1 || len(res.Edges) != 0 {
		t.Errorf("ann sees roots %v, %d objects, %d edges", res.Roots, len(res.Objects), len(res.Edges))
	}
	res, err = w.evaluate(t, &graph.Principal{User: "bob"}, proj, graph.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(res.Roots, []graph.ObjectID{hidden.ID, root.ID}) || len(res.Objects) != 3 || len(res.Edges) != 2 {
		t.Errorf("bob sees roots %v, %d objects, %d edges", res.Roots, len(res.Objects), len(res.Edges))
	}
}

func TestRepeatFollowsAsFarAsItSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ring []*graph.Object
	w.commit(t, func(x *tx) {
		for range 10 {
			ring = append(ring, x.create("Thing", `{}`, acl("")))
		}
		for i := range ring {
			x.link("a", ring[i].ID, ring[(i+1)%len(ring)].ID, `{}`)
		}
	})
	for repeat, want := range map[int]int{0: 2, 1: 3, 5: 7, 9: 10, 50: 10, 1 << 40: 10, -1: 10} {
		res, err := w.evaluate(t, ann, named([]*graph.Step{follow("a", false, repeat)}, ring[0].ID), graph.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if wantEdges := min(repeat+1, 10); len(res.Objects) != want || repeat >= 0 && len(res.Edges) != wantEdges || repeat < 0 && len(res.Edges) != 10 {
			t.Errorf("repeat %d: %d objects and %d edges, want %d objects", repeat, len(res.Objects), len(res.Edges), want)
		}
	}
}

// A later way to an object may have more levels left than the first one had.
func TestRepeatTakesTheWayWithMostLevelsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var o []*graph.Object
	w.commit(t, func(x *tx) {
		for range 6 {
			o = append(o, x.create("Thing", `{}`, acl("")))
		}
		// Down the chain 0-1-2-3 under a; 4 reaches 2 under b and then a again.
		for _, e := range [][2]int{{0, 1}, {1, 2}, {2, 3}, {3, 5}} {
			x.link("a", o[e[0]].ID, o[e[1]].ID, `{}`)
		}
		x.link("b", o[0].ID, o[4].ID, `{}`)
		x.link("b", o[4].ID, o[1].ID, `{}`)
	})
	down := follow("a", false, 1)
	far := &graph.Step{Label: "b", Repeat: 1, Node: graph.Node{Steps: []*graph.Step{down}}}
	res, err := w.evaluate(t, ann, named([]*graph.Step{down, far}, o[0].ID), graph.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []graph.ObjectID{o[0].ID, o[1].ID, o[2].ID, o[3].ID, o[4].ID}; len(res.Objects) != len(want) {
		t.Errorf("%d objects, want %d: %v", len(res.Objects), len(want), idsOf(res.Objects))
	}
}

func TestValuesHaveTheOrderOfTheContract(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	inOrder := []string{
		``, `null`, `false`, `true`,
		`-1e300`, `-2`, `-0.5`, `0`, `1e-300`, `0.1`, `1`, `9`, `10`, `12345678901234567890`, `12345678901234567891`, `1e300`,
		`""`, `"A"`, `"B"`, `"a"`, `"aa"`, `"b"`, `"é"`, `"\uffee"`, `"😀"`,
		`[0]`,
	}
	var want []graph.ObjectID
	w.commit(t, func(x *tx) {
		for _, v := range inOrder {
			body := `{}`
			if v != "" {
				body = `{"p":` + v + `}`
			}
			want = append(want, x.create("Thing", body, acl("")).ID)
		}
		tie := x.create("Thing", `{"p":{"a":1}}`, acl(""))
		if last := want[len(want)-1]; bytes.Compare(tie.ID[:], last[:]) < 0 {
			want = slices.Insert(want, len(want)-1, tie.ID)
		} else {
			want = append(want, tie.ID)
		}
	})
	key := graph.OrderKey{Path: graph.Path{Tokens: []string{"body", "p"}}}
	list := func(k graph.OrderKey, after int, limit int) []graph.ObjectID {
		t.Helper()
		l := graph.List{Order: []graph.OrderKey{k}, Limit: limit}
		if after >= 0 {
			l.After = &graph.After{ID: want[after], Values: []json.RawMessage{nil}}
			if after > 0 {
				l.After.Values[0] = json.RawMessage(inOrder[after])
			}
		}
		res, err := w.evaluate(t, ann, &graph.Projection{Type: &graph.TypeRoot{Type: "Thing", List: l}}, graph.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return res.Roots
	}
	if got := list(key, -1, 0); !slices.Equal(got, want) {
		t.Errorf("ascending: %v, want %v", got, want)
	}
	for after := range len(inOrder) - 1 {
		if got := list(key, after, 3); !slices.Equal(got, want[after+1:min(after+4, len(want))]) {
			t.Errorf("3 after %s: %v", inOrder[after], got)
		}
	}
	key.Desc = true
	got := list(key, -1, 0)
	slices.Reverse(want)
	want[0], want[1] = want[1], want[0] // the id breaks ties, ascending always
	if !slices.Equal(got, want) {
		t.Errorf("descending: %v, want %v", got, want)
	}
}

// {"missing":true} in an after is a missing value; that place among the objects
// has another name, {}, as every object has.
func TestAnObjectThatReadsMissingCanBeAPosition(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var none, number, real, array graph.ObjectID
	w.commit(t, func(x *tx) {
		none = x.create("Thing", `{}`, acl("")).ID
		number = x.create("Thing", `{"p":1}`, acl("")).ID
		real = x.create("Thing", `{"p":{"missing":true}}`, acl("")).ID
		array = x.create("Thing", `{"p":[1]}`, acl("")).ID
	})
	if bytes.Compare(array[:], real[:]) < 0 {
		real, array = array, real // both are told apart by their ids alone
	}
	for _, c := range []struct {
		value string
		id    graph.ObjectID
		want  []graph.ObjectID
	}{
		{`{"missing":true}`, none, []graph.ObjectID{number, real, array}},
		{`1`, number, []graph.ObjectID{real, array}},
		{`{}`, real, []graph.ObjectID{array}},
		{`[]`, real, []graph.ObjectID{array}},
		{`{}`, array, nil},
	} {
		text := fmt.Sprintf(`{"root":{"type":"Thing","order":["p"],"after":{"values":[%s],"id":"%s"}}}`, c.value, c.id)
		p, perr := graph.ParseProjection([]byte(text))
		if perr != nil {
			t.Fatal(perr)
		}
		res, err := w.evaluate(t, ann, p, graph.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(res.Roots, c.want) {
			t.Errorf("after %s of %s: %v, want %v", c.value, c.id, res.Roots, c.want)
		}
	}
}

func TestLimitsAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var hub *graph.Object
	w.commit(t, func(x *tx) {
		hub = x.create("Thing", `{}`, acl(""))
		for i := range 20 {
			holder := ""
			if i%2 == 0 {
				holder = "bob"
			}
			o := x.create("Part", fmt.Sprintf(`{"p":%d}`, i), acl(holder))
			x.link("a", hub.ID, o.ID, `{}`)
			x.link("b", hub.ID, o.ID, `{}`)
		}
	})
	always := &graph.Cond{Op: graph.CondAnd}
	plain, filtered := follow("a", false, 0), follow("a", false, 0)
	filtered.Where = always
	twice := []*graph.Step{follow("a", false, 0), follow("b", false, 0)}
	parts := &graph.Projection{Type: &graph.TypeRoot{Type: "Part", List: graph.List{Limit: 1}}}
	for name, c := range map[string]struct {
		p     *graph.Principal
		proj  *graph.Projection
		lim   graph.Limits
		limit string // "": goes through
	}{
		"view just fits":                    {ann, named([]*graph.Step{plain}, hub.ID), graph.Limits{ViewEntities: 21}, ""},
		"view over by one":                  {ann, named([]*graph.Step{plain}, hub.ID), graph.Limits{ViewEntities: 20}, "viewEntities"},
		"view of the admin":                 {admin, named([]*graph.Step{plain}, hub.ID), graph.Limits{ViewEntities: 21}, "viewEntities"},
		"what is met twice counts once":     {ann, named(twice, hub.ID), graph.Limits{ViewEntities: 31}, ""},
		"edges count":                       {ann, named(twice, hub.ID), graph.Limits{ViewEntities: 30}, "viewEntities"},
		"candidates just fit":               {ann, named([]*graph.Step{filtered}, hub.ID), graph.Limits{Candidates: 10}, ""},
		"candidates over by one":            {ann, named([]*graph.Step{filtered}, hub.ID), graph.Limits{Candidates: 9}, "candidates"},
		"a plain list has members only":     {ann, named([]*graph.Step{plain}, hub.ID), graph.Limits{Candidates: 1}, ""},
		"a window needs all its candidates": {ann, parts, graph.Limits{Candidates: 9}, "candidates"},
		"roots within the limits":           {ann, parts, graph.Limits{Candidates: 10, ViewEntities: 1}, ""},
		"one root too many":                 {ann, &graph.Projection{Type: &graph.TypeRoot{Type: "Part"}}, graph.Limits{ViewEntities: 9}, "viewEntities"},
	} {
		res, err := w.evaluate(t, c.p, c.proj, c.lim)
		switch {
		case c.limit == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.limit != "" && (err == nil || err.Code != graph.CodeTooLarge || err.Limit != c.limit || res != nil):
			t.Errorf("%s: %v, want too-large by %s", name, err, c.limit)
		}
	}
}

func TestConditionsHoldAsTheContractSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		r := reached{
			o: &graph.Object{
				ID: graph.ObjectID{1}, Type: "Thing", Body: json.RawMessage(drawBody(rt, "object")), Access: acl(""),
				Meta: graph.Meta{Version: 5, CreatedVersion: 1, CreatedAt: start, CreatedBy: "ann", UpdatedAt: start, UpdatedBy: "x"},
			},
			e: &graph.Edge{ID: graph.EdgeID{2}, Label: "a", Body: json.RawMessage(drawBody(rt, "edge"))},
		}
		for range 50 {
			c := drawCond(rt, 2)
			if got, want := replica.Matches(c, r.o, r.e), holds(c, r); got != want {
				text, _ := json.Marshal(c)
				rt.Fatalf("%s holds for %s over %s: %v, want %v", text, r.o.Body, r.e.Body, got, want)
			}
		}
	})
}

// Values are told apart as JSON Patch does, however many a list has.
func TestLongListsHoldWhatShortOnesDo(t *testing.T) {
	t.Parallel()
	values := []string{`null`, `true`, `1`, `-2.5e3`, `12345678901234567890`, `"a"`, `"\u0062"`, `""`, `[1]`, `[]`, `{"a":1,"b":[2]}`}
	long := &graph.Cond{Op: graph.CondIn, Path: graph.Path{Tokens: []string{"body", "v"}}}
	for i := range 100 {
		long.Values = append(long.Values, json.RawMessage(strconv.Itoa(i+100)), json.RawMessage(`"x`+strconv.Itoa(i)+`"`))
	}
	for _, v := range values {
		long.Values = append(long.Values, json.RawMessage(v))
	}
	for body, want := range map[string]bool{
		`{"v":null}`: true, `{"v":true}`: true, `{"v":1.0}`: true, `{"v":-2500}`: true, `{"v":12345678901234567890.0}`: true,
		`{"v":"\u0061"}`: true, `{"v":"b"}`: true, `{"v":""}`: true, `{"v":[1e0]}`: true, `{"v":[]}`: true, `{"v":{"b":[2],"a":1}}`: true,
		`{"v":150}`: true, `{"v":"x99"}`: true,
		`{}`: false, `{"v":false}`: false, `{"v":2}`: false, `{"v":12345678901234567891}`: false, `{"v":"c"}`: false,
		`{"v":[2]}`: false, `{"v":{}}`: false, `{"v":{"a":1}}`: false, `{"v":"150"}`: false,
	} {
		o := &graph.Object{Body: json.RawMessage(body)}
		if got := replica.Matches(long, o, nil); got != want {
			t.Errorf("%s: %v, want %v", body, got, want)
		}
	}
}

func TestConditionsDoNotSeeTheAccess(t *testing.T) {
	t.Parallel()
	o := &graph.Object{ID: graph.ObjectID{1}, Type: "Thing", Body: json.RawMessage(`{}`), Access: acl("bob")}
	if replica.Matches(&graph.Cond{Op: graph.CondExists, Path: graph.Path{Tokens: []string{"access"}}, Bool: true}, o, nil) {
		t.Error("a condition tells that there is an access")
	}
	if !replica.Matches(nil, o, nil) {
		t.Error("no condition does not hold")
	}
}

func TestResultIsWrittenAsTheGraphDocument(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var a, b *graph.Object
	w.commit(t, func(x *tx) {
		a, b = x.create("Thing", `{"p":"<&>"}`, acl("")), x.create("Part", `{}`, acl("ann"))
		x.link("a", a.ID, b.ID, `{"n":1}`)
	})
	res, err := w.evaluate(t, ann, named([]*graph.Step{follow("a", false, 0)}, a.ID), graph.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	text := append(replica.AppendResult([]byte("{"), res, nil), `,"roots":`...)
	text = append(replica.AppendIDs(text, res.Roots), '}')
	var doc struct {
		Objects map[graph.ObjectID]struct {
			Type   string
			Body   json.RawMessage
			Access json.RawMessage
			Meta   struct{ Version graph.Version }
		}
		Edges map[graph.EdgeID]struct {
			Label    string
			From, To graph.ObjectID
			Body     json.RawMessage
		}
		Roots []graph.ObjectID
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if len(doc.Objects) != 2 || len(doc.Edges) != 1 || !slices.Equal(doc.Roots, []graph.ObjectID{a.ID}) {
		t.Fatalf("%s", text)
	}
	if o := doc.Objects[a.ID]; o.Type != "Thing" || string(o.Body) != `{"p":"<&>"}` || o.Access != nil || o.Meta.Version != 1 {
		t.Errorf("object %+v", o)
	}
	for _, e := range doc.Edges {
		if e.Label != "a" || e.From != a.ID || e.To != b.ID || string(e.Body) != `{"n":1}` {
			t.Errorf("edge %+v", e)
		}
	}
	if got := replica.AppendResult(nil, &replica.Result{}, nil); string(got) != `"objects":{},"edges":{}` {
		t.Errorf("nothing is written as %s", got)
	}
}
