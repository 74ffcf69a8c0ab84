package systest

import (
	"strings"
	"testing"
)

// garden is a small graph whose objects are called 0 to 9, a and b:
//
//	next     0→1 0→2 0→3  1→4 1→5  2→5 2→6  3→7 7→8 8→3  4→0  3→a a→b
//	weighed  0→9 (4)  1→9 (3)  2→9 (2)  3→9 (2)
//
// Each has its number as n, and whether that is even or odd as g; a is hidden from
// ann, who sees all others.
type garden struct {
	*world
	id    map[byte]string
	edges map[string]string // ids, by label and ends
}

func newGarden(t *testing.T) *garden {
	g := &garden{world: setup(t), id: map[byte]string{}, edges: map[string]string{}}
	ann, bob := g.as("ann"), g.as("bob")
	for i := range 12 {
		c, by := "0123456789ab"[i], ann
		access := `{"read":{"public":true},"write":{"users":{"ann":true}}}`
		if c == 'a' {
			by, access = bob, `{"read":{"users":{"bob":true}},"manage":{"users":{"bob":true}}}`
		}
		g.id[c] = newID()
		by.commit(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Node","body":{"n":%d,"g":%q},"access":%s}}]`, g.id[c], i, []string{"even", "odd"}[i%2*btoi(c != 'a')+btoi(c == 'a')], access))
	}
	for _, ends := range strings.Fields("01 02 03 14 15 25 26 37 78 83 40 3a ab") {
		g.link(g.root(), "next", ends, `{}`)
	}
	for _, ends := range strings.Fields("094 193 292 392") {
		g.link(ann, "weighed", ends[:2], f(`{"rank":%c}`, ends[2]))
	}
	return g
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (g *garden) link(c *client, label, ends, body string) {
	g.t.Helper()
	id := newID()
	c.commit(f(`[{"op":"add","path":"/edges/%s","value":{"label":%q,"from":%q,"to":%q,"body":%s}}]`, id, label, g.id[ends[0]], g.id[ends[1]], body))
	g.edges[label+ends] = id
}

// in writes ids for the names that stand between angle brackets.
func (g *garden) in(projection string) string {
	for c, id := range g.id {
		projection = strings.ReplaceAll(projection, "<"+string(c)+">", `"`+id+`"`)
	}
	return projection
}

// names gives the names of what is there, in their order.
func (g *garden) names(there func(id string) bool) string {
	var out strings.Builder
	for _, c := range []byte("0123456789ab") {
		if there(g.id[c]) {
			out.WriteByte(c)
		}
	}
	return out.String()
}

// of gives the objects and the roots of a load.
func (g *garden) of(a *answer) (objects, roots string) {
	g.t.Helper()
	j := a.want(200).json()
	m := j.members("objects")
	for _, r := range j.list("roots") {
		roots += g.names(func(id string) bool { return id == r.v })
	}
	return g.names(func(id string) bool { return m[id] != nil }), roots
}

// TestProjectionsAtEveryDepth loads each projection and holds it live, on the other
// node, while the garden changes: what is matched, sorted, cut off and repeated is what
// stands here, before and after.
func TestProjectionsAtEveryDepth(t *testing.T) {
	t.Parallel()
	g := newGarden(t)
	ann, bob := g.as("ann"), g.as("bob")
	rows := []struct{ projection, before, after string }{
		// order and limit, for each parent, at each depth, in both directions
		{`{"root":<0>,"out":{"next":{"order":["/body/n"],"limit":2}}}`, "012", "013"},
		{`{"root":<0>,"out":{"next":{"order":["-/body/n"],"limit":2}}}`, "023", "026"},
		{`{"root":<0>,"out":{"next":{"order":["/body/n"],"limit":1,"out":{"next":{"order":["-/body/n"],"limit":1}}}}}`, "015", "014"},
		{`{"root":<0>,"out":{"next":{"out":{"next":{"order":["-/body/n"],"limit":1}}}}}`, "0123567", "012346a"},
		{`{"root":<5>,"in":{"next":{"order":["-/body/n"],"limit":1}}}`, "25", "25"},
		{`{"root":<6>,"in":{"next":{"in":{"next":{"where":{"g":"even"}}}}}}`, "026", "0246"},
		{`{"root":<0>,"out":{"next":{"limit":2}}}`, "012", "012"}, // without an order the id decides
		// after, alone and with a limit
		{`{"root":<0>,"out":{"next":{"order":["/body/n"],"after":{"values":[1],"id":<1>}}}}`, "023", "0236"},
		{`{"root":<0>,"out":{"next":{"order":["/body/n"],"limit":1,"after":{"values":[1],"id":<1>}}}}`, "02", "03"},
		{`{"root":<0>,"out":{"next":{"order":["-/body/n"],"limit":1,"after":{"values":[3],"id":<3>}}}}`, "02", "01"},
		{`{"root":<0>,"out":{"next":{"after":{"id":<1>}}}}`, "023", "0236"},
		{`{"root":<0>,"out":{"next":{"order":["/body/g","/body/n"],"after":{"values":["even",2],"id":<2>}}}}`, "013", "01236"},
		// into the edge
		{`{"root":<9>,"in":{"weighed":{"order":["edge:/body/rank"],"limit":2}}}`, "239", "129"}, // 2 and 3 are even, the id decides
		{`{"root":<9>,"in":{"weighed":{"order":["-edge:/body/rank"],"limit":1}}}`, "09", "39"},
		{`{"root":<9>,"in":{"weighed":{"order":["edge:/body/rank","-/body/n"],"limit":1}}}`, "39", "29"},
		{`{"root":<9>,"in":{"weighed":{"order":["edge:/body/rank"],"after":{"values":[2],"id":<3>},"limit":1}}}`, "19", "19"},
		// where
		{`{"root":<0>,"out":{"next":{"where":{"g":"odd"}}}}`, "013", "013"},
		{`{"root":<0>,"out":{"next":{"where":{"n":{"in":[1,2.0]}},"out":{"next":{"where":{"n":5.00}}}}}}`, "0125", "01"},
		{`{"root":<0>,"out":{"next":{"where":{"or":[{"n":{"lt":2}},{"not":{"g":"even"}}]}}}}`, "013", "013"},
		{`{"root":<0>,"out":{"next":{"where":{"g":{"prefix":"ev"}}}}}`, "02", "026"},
		{`{"root":<0>,"out":{"next":{"where":{"n":{"gt":1,"lte":6}}}}}`, "023", "036"},
		{`{"root":<0>,"out":{"next":{"where":{"and":[{"g":{"ne":"odd"}},{"n":{"gte":6}}]}}}}`, "0", "026"},
		{`{"root":<0>,"out":{"next":{"where":{"zz":{"exists":true}}}}}`, "0", "0"},
		{`{"root":<0>,"out":{"next":{"where":{"zz":{"ne":1},"/type":"Node","/meta/createdBy":"ann"}}}}`, "0123", "01236"},
		{`{"root":<0>,"out":{"next":{"where":{}}}}`, "0123", "01236"},
		// repeat, over the tree and over the cycles
		{`{"root":<3>,"out":{"next":{"repeat":0}}}`, "37", "37a"},
		{`{"root":<3>,"out":{"next":{"repeat":1}}}`, "378", "378ab"},
		{`{"root":<3>,"out":{"next":{"repeat":2}}}`, "378", "378ab"},
		{`{"root":<3>,"out":{"next":{"repeat":true}}}`, "378", "378ab"},
		{`{"root":<0>,"out":{"next":{"repeat":1}}}`, "01234567", "01234567a"},
		{`{"root":<0>,"out":{"next":{"repeat":true}}}`, "012345678", "012345678ab"},
		{`{"root":<5>,"in":{"next":{"repeat":1}}}`, "0125", "025"},
		{`{"root":<5>,"in":{"next":{"repeat":true}}}`, "01245", "01245"},
		{`{"root":<0>,"out":{"next":{"where":{"g":"odd"},"repeat":true}}}`, "01357", "013ab"},
		{`{"root":<0>,"out":{"next":{"order":["/body/n"],"limit":1,"repeat":true}}}`, "014", "014"},
		{`{"root":<0>,"out":{"next":{"order":["-/body/n"],"limit":1,"repeat":2}}}`, "0378", "026"},
		{`{"root":<7>,"out":{"next":{"repeat":1,"out":{"weighed":{}}}}}`, "3789", "3789"},
		// both directions, several labels, several roots, the same by several ways
		{`{"root":<2>,"out":{"next":{},"weighed":{}},"in":{"next":{}}}`, "02569", "02569"},
		{`{"root":[<1>,<2>,<a>],"out":{"next":{}}}`, "12456", "12456ab"},
		{`{"root":[<6>,<2>,<6>]}`, "26", "26"},
		{`{"root":<a>,"out":{"next":{}}}`, "", "ab"},
		{`{"root":<0>,"out":{"never":{}}}`, "0", "0"},
		// types as roots
		{`{"root":{"type":"Node","where":{"n":{"gte":6}},"order":["-/body/n"],"limit":3}}`, "89b", "2ab"},
		{`{"root":{"type":"Node","where":{"g":"even","n":{"lt":5}},"order":["/body/n"],"limit":2},"out":{"next":{"order":["/body/n"],"limit":1}}}`, "0125", "014"},
		{`{"root":{"type":"Node","order":["/body/n"],"after":{"values":[9],"id":<9>}}}`, "b", "2ab"},
		{`{"root":{"type":"Object","where":{"n":7}},"out":{"next":{}}}`, "78", "78"},
		{`{"root":{"type":"Private"}}`, "", ""},
	}
	other := *g.world
	other.url = g.other
	s := other.dial(t, "ann")
	head := g.root().head()
	for i, r := range rows {
		s.sub(f("s%d", i), `"projection":`+g.in(r.projection))
	}
	s.reach(head)
	check := func(when string, want func(int) string, load func(projection string) *answer) {
		t.Helper()
		for i, r := range rows {
			a := load(g.in(r.projection))
			if a.status == 404 && want(i) == "" { // a named root that is not there for ann
				continue
			}
			if got, _ := g.of(a); got != want(i) {
				t.Errorf("%s, %s: %s, want %s", when, r.projection, got, want(i))
			}
		}
	}
	live := func(when string, want func(int) string) {
		t.Helper()
		for i, r := range rows {
			v := s.view(f("s%d", i))
			if got := g.names(func(id string) bool { return v.objects[id] != nil }); got != want(i) {
				t.Errorf("%s, live, %s: %s, want %s", when, r.projection, got, want(i))
			}
		}
	}
	before := func(i int) string { return rows[i].before }
	after := func(i int) string { return rows[i].after }
	check("before", before, ann.load)
	live("before", before)

	ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":20}]`, g.id['2']))
	ann.commit(f(`[{"op":"remove","path":"/edges/%s"}]`, g.edges["next15"]))
	g.link(ann, "next", "06", `{}`)
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/g","value":"even"}]`, g.id['7']))
	ann.commit(f(`[{"op":"replace","path":"/edges/%s/body/rank","value":9}]`, g.edges["weighed39"]))
	bob.commit(f(`[{"op":"add","path":"/objects/%s/access/read/users/ann","value":true}]`, g.id['a']))
	s.reach(g.root().head())
	check("after", after, ann.load)
	live("after", after)
	for i, r := range rows { // also edges and roots
		if r.after != "" {
			s.same("ann", f("s%d", i), g.in(r.projection))
		}
	}
	// The past, by today's rights: a can be read now, and could be walked through.
	for _, c := range []struct{ projection, want string }{
		{`{"root":<3>,"out":{"next":{"repeat":true}}}`, "378ab"}, {`{"root":<0>,"out":{"next":{"order":["/body/n"],"limit":2}}}`, "012"},
		{`{"root":<9>,"in":{"weighed":{"order":["edge:/body/rank"],"limit":2}}}`, "239"}, {`{"root":{"type":"Node","order":["/body/n"],"after":{"values":[9],"id":<9>}}}`, "ab"},
	} {
		if got, _ := g.of(ann.post(g.path(f("/load?at=%d", head)), g.in(c.projection))); got != c.want {
			t.Errorf("at %d, %s: %s, want %s", head, c.projection, got, c.want)
		}
		v := s.sub("past", f(`"projection":%s,"at":%d`, g.in(c.projection), head))
		if got := g.names(func(id string) bool { return v.objects[id] != nil }); got != c.want {
			t.Errorf("at %d over the websocket, %s: %s, want %s", head, c.projection, got, c.want)
		}
	}
	// Roots stand in the order named, or in that of the list.
	for projection, want := range map[string]string{
		`{"root":[<6>,<2>,<6>,<0>]}`:                              "620",
		`{"root":{"type":"Node","order":["-/body/n"],"limit":4}}`: "2ba9",
		`{"root":{"type":"Node","limit":3}}`:                      "012",
	} {
		if _, roots := g.of(ann.load(g.in(projection))); roots != want {
			t.Errorf("%s: roots %s, want %s", projection, roots, want)
		}
	}
}

// TestTheOrderOfValuesInAListOfEdges pages through the children of an object, one
// more at a time, from either end: every value that there is has its place, a missing
// one too.
func TestTheOrderOfValuesInAListOfEdges(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	top := ann.create("Node", `{}`)
	values := []string{"", "null", "false", "true", "-1e300", "-2", "0.1", "1", "9007199254740992", "9007199254740993", `""`, `"A"`, `"a"`, `"aa"`, `"é"`, `"\uffff"`, `"😀"`, "[2]"}
	var ids []string
	for _, v := range values {
		body := `{}`
		if v != "" {
			body = `{"v":` + v + `}`
		}
		ids = append(ids, newID())
		ann.commit(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Node","body":%s}},{"op":"add","path":"/edges/%s","value":{"label":"next","from":%q,"to":%q}}]`, ids[len(ids)-1], body, newID(), top, ids[len(ids)-1]))
	}
	list := func(rest string) map[string]any {
		t.Helper()
		m := ann.load(f(`{"root":%q,"out":{"next":{%s}}}`, top, rest)).want(200).json().members("objects")
		delete(m, top)
		return m
	}
	is := func(what string, got map[string]any, want []string) {
		t.Helper()
		if len(got) != len(want) {
			t.Errorf("%s: %d objects, want %d", what, len(got), len(want))
		}
		for _, id := range want {
			if got[id] == nil {
				t.Errorf("%s: %s is missing", what, id)
			}
		}
	}
	for i, v := range values {
		if v == "" {
			v = `{"missing":true}`
		}
		after := f(`"after":{"values":[%s],"id":%q}`, v, ids[i])
		is(f("the first %d", i+1), list(f(`"order":["/body/v"],"limit":%d`, i+1)), ids[:i+1])
		is(f("the last %d", i+1), list(f(`"order":["-/body/v"],"limit":%d`, i+1)), ids[len(ids)-1-i:])
		is(f("what comes after %s", v), list(`"order":["/body/v"],`+after), ids[i+1:])
		is(f("what comes before %s", v), list(`"order":["-/body/v"],`+after), ids[:i])
	}
}
