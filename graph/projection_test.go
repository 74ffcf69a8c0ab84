package graph

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	idA = "00000000-0000-7000-8000-00000000000a"
	idB = "00000000-0000-7000-8000-00000000000b"
)

func mustID(t testing.TB, s string) ObjectID {
	t.Helper()
	id, ok := ParseObjectID(s)
	if !ok {
		t.Fatalf("%s is no id", s)
	}
	return id
}

func body(tokens ...string) Path { return Path{Tokens: append([]string{"body"}, tokens...)} }

func values(texts ...string) []json.RawMessage {
	var out []json.RawMessage
	for _, s := range texts {
		out = append(out, json.RawMessage(s))
	}
	return out
}

func TestParseProjectionReadsEveryMember(t *testing.T) {
	t.Parallel()
	got, e := ParseProjection([]byte(` { "root": "` + strings.ToUpper(idA) + `",
		"out": { "creator": {} },
		"in": { "dataStore": { "where": {"status": "open"}, "order": ["/body/rank", "-edge:/body/a~1b", "-/meta/createdAt", "name"],
			"limit": 100, "after": {"values": [17, null, {"missing": true}, "x"], "id": "` + idB + `"},
			"out": {"a": {"repeat": true}}, "in": {"b/c": {}}, "repeat": 3 } } } `))
	if e != nil {
		t.Fatal(e)
	}
	want := &Projection{
		Roots: []ObjectID{mustID(t, idA)},
		Node: Node{Steps: []*Step{
			{Label: "creator"},
			{
				Label: "dataStore", In: true, Repeat: 3,
				List: List{
					Where: &Cond{Op: CondEq, Path: body("status"), Values: values(`"open"`)},
					Order: []OrderKey{
						{Path: body("rank")},
						{Path: Path{Edge: true, Tokens: []string{"body", "a/b"}}, Desc: true},
						{Path: Path{Tokens: []string{"meta", "createdAt"}}, Desc: true},
						{Path: body("name")},
					},
					Limit: 100,
					After: &After{Values: []json.RawMessage{json.RawMessage("17"), json.RawMessage("null"), nil, json.RawMessage(`"x"`)}, ID: mustID(t, idB)},
				},
				Node: Node{Steps: []*Step{{Label: "a", Repeat: -1}, {Label: "b/c", In: true}}},
			},
		}},
	}
	if !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

func TestParseProjectionReadsTypeRoots(t *testing.T) {
	t.Parallel()
	got, e := ParseProjection([]byte(`{"root":{"type":"Workbook","where":{"/meta/createdBy":"ann"},"order":["-/type"],"limit":50,"after":{"values":["A"],"id":"` + idA + `"}}}`))
	if e != nil {
		t.Fatal(e)
	}
	want := &Projection{Type: &TypeRoot{Type: "Workbook", List: List{
		Where: &Cond{Op: CondEq, Path: Path{Tokens: []string{"meta", "createdBy"}}, Values: values(`"ann"`)},
		Order: []OrderKey{{Path: Path{Tokens: []string{"type"}}, Desc: true}},
		Limit: 50,
		After: &After{Values: values(`"A"`), ID: mustID(t, idA)},
	}}}
	if !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

func TestParseProjectionDropsRepeatedRoots(t *testing.T) {
	t.Parallel()
	got, e := ParseProjection([]byte(`{"root":["` + idB + `","` + idA + `","` + strings.ToUpper(idB) + `"]}`))
	if e != nil {
		t.Fatal(e)
	}
	if want := []ObjectID{mustID(t, idB), mustID(t, idA)}; !cmp.Equal(got.Roots, want) {
		t.Error(cmp.Diff(want, got.Roots))
	}
}

func whereOf(t *testing.T, where string) *Cond {
	t.Helper()
	p, e := ParseProjection([]byte(`{"root":{"type":"T","where":` + where + `}}`))
	if e != nil {
		t.Fatalf("%s: %v", where, e)
	}
	return p.Type.Where
}

func TestParseWhere(t *testing.T) {
	t.Parallel()
	eq := func(name, value string) *Cond { return &Cond{Op: CondEq, Path: body(name), Values: values(value)} }
	for where, want := range map[string]*Cond{
		`{}`:                       nil,
		`{"a":1}`:                  eq("a", "1"),
		`{"a":null}`:               eq("a", "null"),
		`{"a":[1, {"b" : 2}]}`:     eq("a", `[1,{"b":2}]`),
		`{"a":{"eq":{"eq":1}}}`:    eq("a", `{"eq":1}`),
		`{"/body/a":1}`:            eq("a", "1"),
		`{"a/b":1}`:                eq("a/b", "1"),
		`{"/body":{"eq":{}}}`:      {Op: CondEq, Path: body(), Values: values(`{}`)},
		`{"/body/":1}`:             eq("", "1"),
		`{"/body/and":1}`:          eq("and", "1"),
		`{"/body/a~1b/~0~01":1}`:   {Op: CondEq, Path: body("a/b", "~~1"), Values: values("1")},
		`{"a":{"ne":1}}`:           {Op: CondNe, Path: body("a"), Values: values("1")},
		`{"a":{"lt":1}}`:           {Op: CondLt, Path: body("a"), Values: values("1")},
		`{"a":{"lte":"x"}}`:        {Op: CondLte, Path: body("a"), Values: values(`"x"`)},
		`{"a":{"gt":1.50}}`:        {Op: CondGt, Path: body("a"), Values: values("1.50")},
		`{"a":{"gte":null}}`:       {Op: CondGte, Path: body("a"), Values: values("null")},
		`{"a":{"in":[1, "x"]}}`:    {Op: CondIn, Path: body("a"), Values: values("1", `"x"`)},
		`{"a":{"in":[]}}`:          {Op: CondIn, Path: body("a"), Values: []json.RawMessage{}},
		`{"a":{"prefix":"x"}}`:     {Op: CondPrefix, Path: body("a"), Values: values(`"x"`)},
		`{"a":{"exists":true}}`:    {Op: CondExists, Path: body("a"), Bool: true},
		`{"a":{"exists":false}}`:   {Op: CondExists, Path: body("a")},
		`{"b":2,"a":1}`:            {Op: CondAnd, Sub: []*Cond{eq("a", "1"), eq("b", "2")}},
		`{"a":{"lt":9,"gt":1}}`:    {Op: CondAnd, Sub: []*Cond{{Op: CondGt, Path: body("a"), Values: values("1")}, {Op: CondLt, Path: body("a"), Values: values("9")}}},
		`{"and":[{"a":1}]}`:        eq("a", "1"),
		`{"or":[{"b":2},{"a":1}]}`: {Op: CondOr, Sub: []*Cond{eq("a", "1"), eq("b", "2")}},
		`{"or":[{"a":1},{"or":[{"a":1},{"b":2}]}]}`: {Op: CondOr, Sub: []*Cond{eq("a", "1"), eq("b", "2")}},
		`{"not":{"a":1}}`: {Op: CondNot, Sub: []*Cond{eq("a", "1")}},
		`{"not":{}}`:      {Op: CondNot, Sub: []*Cond{{Op: CondAnd}}},
		`{"or":[{}]}`:     nil,
	} {
		if got := whereOf(t, where); !cmp.Equal(got, want) {
			t.Errorf("%s: %s", where, cmp.Diff(want, got))
		}
	}
}

func TestParseProjectionRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, path string }{
		{``, ""}, {`null`, ""}, {`[]`, ""}, {`"x"`, ""}, {`{`, ""},
		{`{}`, ""},
		{`{"root":7}`, "/root"},
		{`{"root":null}`, "/root"},
		{`{"root":[]}`, "/root"},
		{`{"root":[7]}`, "/root/0"},
		{`{"root":{}}`, "/root"},
		{`{"root":{"type":""}}`, "/root/type"},
		{`{"root":{"type":7}}`, "/root/type"},
		{`{"root":{"type":"T","id":"x"}}`, "/root/id"},
		{`{"root":{"type":"T","order":["edge:/body/a"]}}`, "/root/order/0"},
		{`{"root":{"type":"T","repeat":1}}`, "/root/repeat"},
		{`{"root":"%s","roots":1}`, "/roots"},
		{`{"root":"%s","a/b~":1}`, "/a~1b~0"},
		{`{"root":"%s","limit":1}`, "/limit"},
		{`{"root":"%s","out":[]}`, "/out"},
		{`{"root":"%s","out":null}`, "/out"},
		{`{"root":"%s","out":{"a":null}}`, "/out/a"},
		{`{"root":"%s","out":{"a":true}}`, "/out/a"},
		{`{"root":"%s","out":{"":{}}}`, "/out/"},
		{`{"root":"%s","out":{"a/b":{"limits":1}}}`, "/out/a~1b/limits"},
		{`{"root":"%s","in":{"a":{"limit":0}}}`, "/in/a/limit"},
		{`{"root":"%s","in":{"a":{"limit":-1}}}`, "/in/a/limit"},
		{`{"root":"%s","in":{"a":{"limit":1.5}}}`, "/in/a/limit"},
		{`{"root":"%s","in":{"a":{"limit":"1"}}}`, "/in/a/limit"},
		{`{"root":"%s","in":{"a":{"limit":99999999999}}}`, "/in/a/limit"},
		{`{"root":"%s","in":{"a":{"repeat":-1}}}`, "/in/a/repeat"},
		{`{"root":"%s","in":{"a":{"repeat":false}}}`, "/in/a/repeat"},
		{`{"root":"%s","in":{"a":{"repeat":null}}}`, "/in/a/repeat"},
		{`{"root":"%s","in":{"a":{"order":"/body/a"}}}`, "/in/a/order"},
		{`{"root":"%s","in":{"a":{"order":[1]}}}`, "/in/a/order/0"},
		{`{"root":"%s","in":{"a":{"order":[""]}}}`, "/in/a/order/0"},
		{`{"root":"%s","in":{"a":{"order":["-"]}}}`, "/in/a/order/0"},
		{`{"root":"%s","in":{"a":{"order":["/"]}}}`, "/in/a/order/0"},
		{`{"root":"%s","in":{"a":{"order":["/access/read"]}}}`, "/in/a/order/0"},
		{`{"root":"%s","in":{"a":{"order":["/meta"]}}}`, "/in/a/order/0"},
		{`{"root":"%s","in":{"a":{"order":["/meta/nothing"]}}}`, "/in/a/order/0"},
		{`{"root":"%s","in":{"a":{"order":["/body/~2"]}}}`, "/in/a/order/0"},
		{`{"root":"%s","in":{"a":{"order":["/body/a~"]}}}`, "/in/a/order/0"},
		{`{"root":"%s","in":{"a":{"order":["edge:/type"]}}}`, "/in/a/order/0"},
		{`{"root":"%s","in":{"a":{"order":["/label"]}}}`, "/in/a/order/0"},
		{`{"root":"%s","in":{"a":{"after":{}}}}`, "/in/a/after"},
		{`{"root":"%s","in":{"a":{"after":"x"}}}`, "/in/a/after"},
		{`{"root":"%s","in":{"a":{"after":{"id":7}}}}`, "/in/a/after/id"},
		{`{"root":"%s","in":{"a":{"after":{"id":"%s","values":[1]}}}}`, "/in/a/after/values"},
		{`{"root":"%s","in":{"a":{"order":["/body/a"],"after":{"id":"%s"}}}}`, "/in/a/after/values"},
		{`{"root":"%s","in":{"a":{"after":{"id":"%s","values":{}}}}}`, "/in/a/after/values"},
		{`{"root":"%s","in":{"a":{"after":{"id":"%s","at":1}}}}`, "/in/a/after/at"},
		{`{"root":"%s","in":{"a":{"where":[]}}}`, "/in/a/where"},
		{`{"root":"%s","in":{"a":{"where":null}}}`, "/in/a/where"},
		{`{"root":"%s","in":{"a":{"where":{"":1}}}}`, "/in/a/where/"},
		{`{"root":"%s","in":{"a":{"where":{"x":{}}}}}`, "/in/a/where/x"},
		{`{"root":"%s","in":{"a":{"where":{"x":{"equals":1}}}}}`, "/in/a/where/x/equals"},
		{`{"root":"%s","in":{"a":{"where":{"x":{"in":1}}}}}`, "/in/a/where/x/in"},
		{`{"root":"%s","in":{"a":{"where":{"x":{"prefix":1}}}}}`, "/in/a/where/x/prefix"},
		{`{"root":"%s","in":{"a":{"where":{"x":{"exists":1}}}}}`, "/in/a/where/x/exists"},
		{`{"root":"%s","in":{"a":{"where":{"x":{"lt":[]}}}}}`, "/in/a/where/x/lt"},
		{`{"root":"%s","in":{"a":{"where":{"x":{"gte":{}}}}}}`, "/in/a/where/x/gte"},
		{`{"root":"%s","in":{"a":{"where":{"and":{}}}}}`, "/in/a/where/and"},
		{`{"root":"%s","in":{"a":{"where":{"or":[]}}}}`, "/in/a/where/or"},
		{`{"root":"%s","in":{"a":{"where":{"or":[1]}}}}`, "/in/a/where/or/0"},
		{`{"root":"%s","in":{"a":{"where":{"not":1}}}}`, "/in/a/where/not"},
		{`{"root":"%s","in":{"a":{"where":{"not":{"/access":1}}}}}`, "/in/a/where/not/~1access"},
		{`{"root":"%s","in":{"a":{"where":{"/id":"x"}}}}`, "/in/a/where/~1id"},
		{`{"root":"%s","in":{"a":{"where":{"edge:/body/a":1}}}}`, "/in/a/where/edge:~1body~1a"},
	} {
		text := strings.ReplaceAll(c.text, "%s", idA)
		_, e := ParseProjection([]byte(text))
		switch {
		case e == nil:
			t.Errorf("%s: taken", text)
		case e.Code != CodeInvalidProjection || !e.HasPath || e.Path != c.path || e.Message == "":
			t.Errorf("%s: got %v, want the path %s", text, e, c.path)
		}
	}
}

func TestParseProjectionRefusesRootsThatAreNoUUID(t *testing.T) {
	t.Parallel()
	for text, path := range map[string]string{
		`{"root":"x"}`:                             "/root",
		`{"root":["` + idA + `",""]}`:              "/root/1",
		`{"root":{"type":"T","after":{"id":"x"}}}`: "/root/after/id",
	} {
		if _, e := ParseProjection([]byte(text)); e == nil || e.Code != CodeInvalidID || e.Path != path {
			t.Errorf("%s: got %v", text, e)
		}
	}
}

func TestProjectionsAreBounded(t *testing.T) {
	t.Parallel()
	nest := func(n int, open, inner, end string) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
	}
	steps := func(n int) string {
		var labels []string
		for i := range n {
			labels = append(labels, fmt.Sprintf(`"l%d":{}`, i))
		}
		return `{"root":"` + idA + `","out":{` + strings.Join(labels, ",") + `}}`
	}
	ids := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, `"`+ObjectID{14: byte(i >> 8), 15: byte(i)}.String()+`"`)
		}
		return `{"root":[` + strings.Join(list, ",") + `]}`
	}
	conds := func(n int) string {
		var tests []string
		for i := range n {
			tests = append(tests, fmt.Sprintf(`{"a":%d}`, i))
		}
		return `{"root":{"type":"T","where":{"or":[` + strings.Join(tests, ",") + `]}}}`
	}
	values := func(n int) string {
		return `{"root":{"type":"T","where":{"a":{"in":[0` + strings.Repeat(",1", n/2-1) + `]},"b":{"in":[0` + strings.Repeat(",1", n-n/2-1) + `]}}}}`
	}
	order := func(n int) string {
		return `{"root":{"type":"T","order":["x"` + strings.Repeat(`,"x"`, n-1) + `]}}`
	}
	for name, c := range map[string]struct {
		make  func(n int) string
		most  int
		limit string
	}{
		"levels of steps": {func(n int) string {
			return `{"root":"` + idA + `","out":{"a":` + nest(n-1, `{"in":{"a":`, `{}`, `}}`) + `}}`
		}, MaxProjectionDepth, "projectionDepth"},
		"levels of conditions": {func(n int) string {
			return `{"root":{"type":"T","where":` + nest(n-1, `{"not":`, `{"a":1}`, `}`) + `}}`
		}, MaxProjectionCondDepth, "projectionConditionDepth"},
		"steps":      {steps, MaxProjectionSteps, "projectionSteps"},
		"roots":      {ids, MaxProjectionRoots, "projectionRoots"},
		"conditions": {conds, MaxProjectionConds - 1, "projectionConditions"}, // and the or itself
		"values":     {values, MaxProjectionValues, "projectionValues"},
		"order":      {order, MaxOrderKeys, "projectionOrderKeys"},
	} {
		if _, e := ParseProjection([]byte(c.make(c.most))); e != nil {
			t.Errorf("%s: %d are refused: %v", name, c.most, e)
		}
		for _, n := range []int{c.most + 1, 3000 + c.most} {
			if _, e := ParseProjection([]byte(c.make(n))); e == nil || e.Code != CodeTooLarge || e.Limit != c.limit || !e.HasPath {
				t.Errorf("%s: %d are not refused, or without the limit %s: %v", name, n, c.limit, e)
			}
		}
	}
}

func TestALimitIsANumberInAnyNotation(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"100", "1e2", "100.0", "1000e-1"} {
		p, e := ParseProjection([]byte(`{"root":{"type":"T","limit":` + text + `}}`))
		if e != nil || p.Type.Limit != 100 {
			t.Errorf("%s: %v", text, e)
		}
	}
	for _, text := range []string{"0", "-1", "1.5", "99999999999", "1e300", `"1"`, "null"} {
		_, e := ParseProjection([]byte(`{"root":{"type":"T","limit":` + text + `}}`))
		if e == nil || e.Code != CodeInvalidProjection || !strings.Contains(e.Message, "from 1 to 2147483647") {
			t.Errorf("%s: %v", text, e)
		}
	}
}

// A long text below many levels is walked, not decoded, once for each of them. It
// runs alone: what others allocate would count.
func TestADeepProjectionWithALongTextIsBoundedWork(t *testing.T) {
	text := []byte(`{"root":"` + idA + `"` + strings.Repeat(`,"out":{"a":{"repeat":0`, MaxProjectionDepth) +
		`,"where":{"b":"` + strings.Repeat("x", 1<<20) + `"}` + strings.Repeat("}}", MaxProjectionDepth) + "}")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, e := ParseProjection(text); e != nil {
		t.Fatal(e)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 16*uint64(len(text)) {
		t.Errorf("%d bytes are read with the help of %d", len(text), got)
	}
}

func TestEqualProjectionsGiveEqualTexts(t *testing.T) {
	t.Parallel()
	for want, ways := range map[string][]string{
		`{"root":"` + idA + `"}`: {
			`{"root":["` + idA + `"]}`,
			`{"out":{},"root":"` + strings.ToUpper(idA) + `","in":{}}`,
		},
		`{"root":"` + idA + `","out":{"a":{"where":{"/body/x":{"eq":[1,2]}},"order":["/body/r","-edge:/body/s"],"limit":3},"b":{"repeat":true}},"in":{"a":{"out":{"c":{}},"repeat":2}}}`: {
			`{"in":{"a":{"repeat":2,"out":{"c":{"repeat":0}}}},"out":{"b":{"repeat":true},"a":{"limit":3,"order":["r","-edge:/body/s"],"where":{"x":[1, 2]}}},"root":"` + idA + `"}`,
			`{"root":"` + idA + `","out":{"a":{"where":{"and":[{"/body/x":{"eq":[1,2]}},{}]},"order":["/body/r","-edge:/body/s"],"limit":3,"in":{}},"b":{"where":{},"order":[],"repeat":true}},"in":{"a":{"out":{"c":{}},"repeat":2}}}`,
		},
		`{"root":{"type":"T","where":{"and":[{"/body/a":{"eq":1}},{"/body/a":{"in":["x",null]}},{"not":{"or":[{"/body/b":{"exists":true}},{"/body/b":{"lt":2}}]}}]},"order":["/body/n"],"after":{"values":[{"missing":true}],"id":"` + idB + `"}}}`: {
			`{"root":{"type":"T","order":["n"],"after":{"id":"` + idB + `","values":[{"missing" : true}]},"where":{"not":{"or":[{"b":{"lt":2}},{"b":{"exists":true}}]},"a":{"in":["x",null],"eq":1}}}}`,
			`{"root":{"type":"T","order":["n"],"after":{"id":"` + idB + `","values":[{"missing":true}]},"where":{"and":[{"a":1},{"and":[{"a":1},{"a":{"in":["x",null]}},{"not":{"or":[{"b":{"lt":2}},{"b":{"exists":true}}]}}]}]}}}`,
		},
	} {
		for _, way := range append(ways, want) {
			p, e := ParseProjection([]byte(way))
			if e != nil {
				t.Errorf("%s: %v", way, e)
				continue
			}
			if got := string(p.AppendJSON(nil)); got != want {
				t.Errorf("%s\n gives %s\n  want %s", way, got, want)
			}
		}
	}
}

func FuzzParseProjection(f *testing.F) {
	for _, s := range []string{
		`{"root":"` + idA + `","out":{"creator":{}},"in":{"dataStore":{"where":{"status":"open"},"order":["/body/rank"],"limit":100,"after":{"values":[17],"id":"` + idB + `"},"out":{"x":{}},"in":{"y":{}},"repeat":3}}}`,
		`{"root":{"type":"T","where":{"or":[{"a":{"lt":1,"gt":2}},{"not":{"/meta/version":{"in":[1,2]}}}],"b":{"prefix":"x"}},"order":["-edge:/body/a"]}}`,
		`{"root":["` + idA + `","` + idB + `"],"in":{"a":{"order":["-edge:/body/a","x"],"after":{"values":[{"missing":true},{}],"id":"` + idB + `"}}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, e := ParseProjection(text)
		if e != nil {
			if e.Code != CodeInvalidProjection && e.Code != CodeInvalidID && e.Code != CodeTooLarge || !e.HasPath {
				t.Fatalf("%s: %v", text, e)
			}
			return
		}
		canonical := p.AppendJSON(nil)
		again, e := ParseProjection(canonical)
		if e != nil {
			t.Fatalf("%s gives %s, which is refused: %v", text, canonical, e)
		}
		if got := again.AppendJSON(nil); string(got) != string(canonical) {
			t.Fatalf("%s gives %s, which gives %s", text, canonical, got)
		}
		if !cmp.Equal(p, again) {
			t.Fatalf("%s reads as another projection than %s: %s", text, canonical, cmp.Diff(p, again))
		}
	})
}
