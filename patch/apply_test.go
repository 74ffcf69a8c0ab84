package patch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustParse(t testing.TB, text string) []Op {
	t.Helper()
	if e := Check([]byte(text), JSONLimits{}); e != nil {
		t.Fatalf("%s: %v", text, e)
	}
	ops, e := Parse([]byte(text), 0)
	if e != nil {
		t.Fatalf("%s: %v", text, e)
	}
	return ops
}

func TestApplyKeepsOrderAndNumberText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ doc, patch, want string }{
		{`{"b":1.50,"a":1E2,"c":"\u00e9"}`, `[{"op":"replace","path":"/a","value":12345678901234567890.10}]`, `{"b":1.50,"a":12345678901234567890.10,"c":"\u00e9"}`},
		{`{"b":1,"a":2}`, `[{"op":"add","path":"/c","value":{ "z" : 1.0 , "y" : [ ] }}]`, `{"b":1,"a":2,"c":{"z":1.0,"y":[]}}`},
		{`{"b":1,"a":2}`, `[{"op":"add","path":"/b","value":3}]`, `{"b":3,"a":2}`},
		{`{"b":1,"a":2}`, `[{"op":"move","from":"/b","path":"/c"}]`, `{"a":2,"c":1}`},
		{`{"b":1,"a":2}`, `[{"op":"move","from":"/b","path":"/b"}]`, `{"b":1,"a":2}`},
		{`{"b":1,"a":2}`, `[{"op":"move","from":"/b","path":"/a"}]`, `{"a":1}`},
		{`{"b":1,"a":2}`, `[{"op":"remove","path":"/b"},{"op":"add","path":"/b","value":1}]`, `{"a":2,"b":1}`},
		{`{"a":{"x":0},"b":[1,2]}`, `[{"op":"copy","from":"/a","path":"/b/1"},{"op":"remove","path":"/a"}]`, `{"b":[1,{"x":0},2]}`},
		{` { "a" : 1 , "b" : [ 1 , 2 ] } `, `[{"op":"remove","path":"/a"}]`, ` { "b" : [ 1 , 2 ] } `},
		{`{"a":1}`, `[{"op":"add","path":"/\"~0~1\\\u00e9\u0001","value":0}]`, `{"a":1,"\"~/\\é\u0001":0}`},
	} {
		ops := mustParse(t, c.patch)
		got, e := Apply([]byte(c.doc), ops, JSONLimits{})
		if e != nil || string(got) != c.want {
			t.Errorf("%s with %s: got %s, %v, want %s", c.doc, c.patch, got, e, c.want)
		}
		tree, e := applyTree([]byte(c.doc), ops, JSONLimits{})
		if e != nil || !bytes.Equal(Compact(tree), Compact([]byte(c.want))) {
			t.Errorf("%s with %s, as a tree: got %s, %v", c.doc, c.patch, tree, e)
		}
	}
}

func TestErrorsTellOperationAndPath(t *testing.T) {
	t.Parallel()
	const doc = `{"a":[1,{"b":"x"}]}`
	for _, c := range []struct {
		patch  string
		op     int
		path   string
		actual string
	}{
		{`[{"op":"test","path":"/a/0","value":1},{"op":"test","path":"/a/1/b","value":"y"}]`, 1, "/a/1/b", `"x"`},
		{`[{"op":"test","path":"/a","value":[]}]`, 0, "/a", `[1,{"b":"x"}]`},
		{`[{"op":"remove","path":"/a/1/c"}]`, 0, "/a/1/c", ""},
		{`[{"op":"add","path":"/x","value":1},{"op":"move","from":"/y~1~0","path":"/z"}]`, 1, "/y~1~0", ""},
		{`[{"op":"copy","from":"/a/0","path":"/a/9"}]`, 0, "/a/9", ""},
		{`[{"op":"copy","from":"/a/0","path":"/a/01"}]`, 0, "/a/01", ""},
		{`[{"op":"remove","path":""}]`, 0, "", ""},
	} {
		ops := mustParse(t, c.patch)
		for name, apply := range map[string]func([]byte, []Op, JSONLimits) ([]byte, *Error){"splice": applySplice, "tree": applyTree} {
			got, e := apply([]byte(doc), ops, JSONLimits{})
			if e == nil || got != nil || e.Op != c.op || e.Path != c.path || string(e.Actual) != c.actual || e.Message == "" || e.Error() == "" {
				t.Errorf("%s, %s: got %s, %+v", name, c.patch, got, e)
			}
		}
	}
	for patch, path := range map[string]string{
		`7`: "", `[{"op":"remove","path":"/a"},7]`: "/1", `[{"op":"remove"}]`: "/0/path", `[{"path":"/a"}]`: "/0/op", `[{"op":"add","path":"/a"}]`: "/0/value", `[{"op":"move","path":"/a","from":"x"}]`: "/0/from",
	} {
		if _, e := Parse([]byte(patch), 0); e == nil || e.Reason != InvalidPatch || e.Path != path {
			t.Errorf("%s: got %v", patch, e)
		}
	}
}

func TestParseBoundsTheNumberOfOperations(t *testing.T) {
	t.Parallel()
	const patch = `[{"op":"remove","path":"/a"},{"op":"remove","path":"/b"}]`
	if _, e := Parse([]byte(patch), 2); e != nil {
		t.Error(e)
	}
	if _, e := Parse([]byte(patch), 1); e == nil || e.Reason != TooLarge || e.Limit != "operations" {
		t.Errorf("got %v", e)
	}
}

func TestOperationsMadeByHandAreJudged(t *testing.T) {
	t.Parallel()
	for _, op := range []Op{{}, {Kind: 99}, {Kind: Add, Path: Pointer{"a"}}, {Kind: Test}, {Kind: Replace, Path: Pointer{"a"}}} {
		if got, e := Apply([]byte(`{"a":1}`), []Op{op}, JSONLimits{}); e == nil || e.Reason != InvalidPatch {
			t.Errorf("%+v: got %s, %v", op, got, e)
		}
	}
	for _, n := range []int{1, 3} {
		ops := make([]Op, n)
		for i := range ops {
			ops[i] = Op{Kind: Test, Value: json.RawMessage("1")}
		}
		if got, e := Apply(nil, ops, JSONLimits{}); e == nil || e.Reason != PathMissing {
			t.Errorf("no document: got %s, %v", got, e)
		}
	}
}

func TestAppendOpWritesWhatParseReads(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ops := drawOps(t, []byte(drawValue(t, 3)), 8)
		text := AppendOps(nil, "", ops)
		if e := Check(text, JSONLimits{}); e != nil {
			t.Fatalf("%s: %v", text, e)
		}
		again, e := Parse(text, 0)
		if e != nil {
			t.Fatalf("%s: %v", text, e)
		}
		if len(ops) > 0 && !reflect.DeepEqual(ops, again) {
			t.Fatalf("%+v\nis written as %s\nand read as %+v", ops, text, again)
		}
	})
	got := string(AppendOp(nil, "/objects/x\"y", Op{Kind: Move, Path: Pointer{"a/b", "c\n"}, From: Pointer{}}))
	if want := `{"op":"move","path":"/objects/x\"y/a~1b/c\n","from":"/objects/x\"y"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// sameOutcome runs both ways and wants one outcome, byte by byte.
func sameOutcome(t rapid.TB, doc []byte, ops []Op, lim JSONLimits) ([]byte, *Error) {
	t.Helper()
	input := bytes.Clone(doc)
	spliced, e := applySplice(doc, ops, lim)
	tree, f := applyTree(doc, ops, lim)
	if !bytes.Equal(doc, input) {
		t.Fatalf("the input %s became %s", input, doc)
	}
	if !reflect.DeepEqual(e, f) {
		t.Fatalf("%s with %s: splicing %+v, tree %+v", doc, AppendOps(nil, "", ops), e, f)
	}
	if e == nil && !bytes.Equal(spliced, tree) {
		t.Fatalf("%s with %s: splicing\n%s\ntree\n%s", doc, AppendOps(nil, "", ops), spliced, tree)
	}
	if e == nil {
		if e := Check(spliced, JSONLimits{}); e != nil {
			t.Fatalf("%s with %s: the result %s is refused: %v", doc, AppendOps(nil, "", ops), spliced, e)
		}
		if !bytes.Equal(Compact(spliced), spliced) {
			t.Fatalf("the result %s is not compact", spliced)
		}
	}
	return spliced, e
}

func TestSplicingAgreesWithTheTree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		doc := []byte(drawValue(t, 3))
		ops := drawOps(t, doc, 30)
		if len(ops) == 0 {
			return
		}
		lim := JSONLimits{}
		if rapid.Bool().Draw(t, "bounded") {
			lim = JSONLimits{Bytes: len(doc) + rapid.IntRange(-5, 60).Draw(t, "bytes"), Depth: rapid.IntRange(1, 6).Draw(t, "depth")}
			lim.Bytes = max(lim.Bytes, 1)
		}
		sameOutcome(t, doc, ops, lim)
	})
}

func TestResultIsBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		doc, patch string
		lim        JSONLimits
		limit      string
		op         int
	}{
		{`{"a":1}`, `[{"op":"add","path":"/b","value":2}]`, JSONLimits{Bytes: 13}, "", 0},
		{`{"a":1}`, `[{"op":"add","path":"/b","value":2}]`, JSONLimits{Bytes: 12}, "bytes", 0},
		{`{"a":1}`, `[{"op":"add","path":"/b","value":2},{"op":"remove","path":"/b"}]`, JSONLimits{Bytes: 12}, "bytes", 0},
		{`{"a":1,"bb":2}`, `[{"op":"remove","path":"/a"}]`, JSONLimits{Bytes: 3}, "", 0}, // smaller than it was
		{`{"a":1,"bb":2}`, `[{"op":"test","path":"/a","value":1},{"op":"replace","path":"/a","value":10}]`, JSONLimits{Bytes: 3}, "bytes", 1},
		{`{"a":1}`, `[{"op":"add","path":"/b","value":{}}]`, JSONLimits{Depth: 2}, "", 0},
		{`{"a":1}`, `[{"op":"add","path":"/b","value":{"c":[]}}]`, JSONLimits{Depth: 2}, "depth", 0},
		{`{"a":1}`, `[{"op":"replace","path":"/a","value":[[]]}]`, JSONLimits{Depth: 2}, "depth", 0},
		{`{"a":1}`, `[{"op":"replace","path":"","value":[[[]]]}]`, JSONLimits{Depth: 2}, "depth", 0},
		{`{"a":{"b":{}}}`, `[{"op":"copy","from":"/a","path":"/a/b/c"}]`, JSONLimits{Depth: 4}, "depth", 0},
		{`{"a":{"b":{}}}`, `[{"op":"copy","from":"/a","path":"/a/b/c"}]`, JSONLimits{Depth: 5}, "", 0},
		{`{"a":{},"b":{"c":{}}}`, `[{"op":"move","from":"/b","path":"/a/b"}]`, JSONLimits{Depth: 3}, "depth", 0},
	} {
		_, e := sameOutcome(t, []byte(c.doc), mustParse(t, c.patch), c.lim)
		if c.limit == "" && e != nil || c.limit != "" && (e == nil || e.Reason != TooLarge || e.Limit != c.limit || e.Op != c.op) {
			t.Errorf("%s with %s and %+v: got %v, want %q", c.doc, c.patch, c.lim, e, c.limit)
		}
	}
}

func TestCopiesThatDoubleStopAtTheLimit(t *testing.T) {
	t.Parallel()
	ops := mustParse(t, "["+strings.Repeat(`{"op":"copy","from":"","path":"/-"},`, 60)+`{"op":"copy","from":"","path":"/-"}]`)
	doc := []byte(`["` + strings.Repeat("x", 1000) + `"]`)
	if _, e := sameOutcome(t, doc, ops, JSONLimits{Bytes: 512 << 10}); e == nil || e.Limit != "bytes" || e.Op != 9 {
		t.Errorf("got %v", e)
	}
	// Into a path as deep as the document: the depth must not double unseen.
	deep := []byte(strings.Repeat("[", 100) + strings.Repeat("]", 100))
	p := strings.Repeat("/0", 99) + "/0"
	ops = mustParse(t, `[{"op":"copy","from":"","path":"`+p+`"},{"op":"copy","from":"","path":"`+p+p+`"}]`)
	if _, e := sameOutcome(t, deep, ops, JSONLimits{Depth: 250}); e == nil || e.Limit != "depth" || e.Op != 1 {
		t.Errorf("got %v", e)
	}
	if _, e := sameOutcome(t, deep, ops, JSONLimits{Depth: 400}); e != nil {
		t.Errorf("got %v", e)
	}
}

// These took other implementations seconds to minutes. The test's own time limit
// is the bound: what is quadratic does not end within it.
func TestLargePatchesOfLargeDocuments(t *testing.T) {
	t.Parallel()
	t.Run("100,000 inserts at the front of an array", func(t *testing.T) {
		t.Parallel()
		ops := make([]Op, 100_000)
		var want bytes.Buffer
		for i := range ops {
			ops[i] = Op{Kind: Add, Path: Pointer{"0"}, Value: json.RawMessage(fmt.Sprint(i))}
			fmt.Fprintf(&want, ",%d", len(ops)-1-i)
		}
		got, e := Apply([]byte(`[]`), ops, JSONLimits{})
		if e != nil || string(got) != "["+want.String()[1:]+"]" {
			t.Errorf("got %.60s, %v", got, e)
		}
	})
	t.Run("1,000 changes all over an array of 100,000", func(t *testing.T) {
		t.Parallel()
		doc := []byte("[" + strings.Repeat("0,", 99_999) + "0]")
		ops := make([]Op, 0, 1000)
		for i := range 250 {
			ops = append(ops,
				Op{Kind: Add, Path: Pointer{fmt.Sprint(i * 400)}, Value: json.RawMessage("1")},
				Op{Kind: Move, From: Pointer{"99999"}, Path: Pointer{"0"}},
				Op{Kind: Remove, Path: Pointer{fmt.Sprint(i * 13)}},
				Op{Kind: Copy, From: Pointer{fmt.Sprint(i)}, Path: Pointer{"-"}})
		}
		got, e := Apply(doc, ops, JSONLimits{})
		if e != nil || len(elements(got)) != 100_250 {
			t.Fatalf("%v", e)
		}
		spliced, e := applySplice(doc, ops[:60], JSONLimits{})
		tree, f := applyTree(doc, ops[:60], JSONLimits{})
		if e != nil || f != nil || !bytes.Equal(spliced, tree) {
			t.Errorf("%v, %v", e, f)
		}
	})
	t.Run("members of an object of 100,000", func(t *testing.T) {
		t.Parallel()
		var b strings.Builder
		for i := range 100_000 {
			fmt.Fprintf(&b, `,"k%d":%d`, i, i)
		}
		doc := []byte("{" + b.String()[1:] + "}")
		ops := make([]Op, 0, 40_000)
		for i := range 20_000 {
			ops = append(ops,
				Op{Kind: Move, From: Pointer{fmt.Sprintf("k%d", i*5)}, Path: Pointer{fmt.Sprintf("n%d", i)}},
				Op{Kind: Test, Path: Pointer{fmt.Sprintf("n%d", i)}, Value: json.RawMessage(fmt.Sprint(i * 5))})
		}
		got, e := Apply(doc, ops, JSONLimits{})
		if e != nil {
			t.Fatal(e)
		}
		if v, ok := Get(got, Pointer{"n19999"}); !ok || string(v) != "99995" {
			t.Errorf("got %s, %v", v, ok)
		}
		if _, ok := Get(got, Pointer{"k5"}); ok {
			t.Error("k5 is still there")
		}
	})
	t.Run("the leaf of a document of 9,000 levels", func(t *testing.T) {
		t.Parallel()
		doc := []byte(strings.Repeat(`{"a":`, 9000) + "0" + strings.Repeat("}", 9000))
		p := make(Pointer, 9000)
		for i := range p {
			p[i] = "a"
		}
		var ops []Op
		for i := range 100 {
			ops = append(ops, Op{Kind: Replace, Path: p, Value: json.RawMessage(fmt.Sprint(i))})
		}
		got, e := Apply(doc, ops, JSONLimits{})
		if v, ok := Get(got, p); e != nil || !ok || string(v) != "99" {
			t.Errorf("got %s, %v", v, e)
		}
		if _, e := Apply(doc, []Op{{Kind: Replace, Path: p, Value: json.RawMessage(strings.Repeat("[", 1001) + strings.Repeat("]", 1001))}}, JSONLimits{}); e == nil || e.Limit != "depth" {
			t.Errorf("got %v", e)
		}
	})
	t.Run("comparing documents whose keys are in opposite order", func(t *testing.T) {
		t.Parallel()
		var up, down []string
		for i := range 100_000 {
			up = append(up, fmt.Sprintf(`"k%d":%d`, i, i))
			down = append(down, fmt.Sprintf(`"k%d":%d.0`, 99_999-i, 99_999-i))
		}
		a, b := "{"+strings.Join(up, ",")+"}", "{"+strings.Join(down, ",")+"}"
		if !Equal([]byte(a), []byte(b)) {
			t.Error("they are equal")
		}
		if ops := Diff([]byte(a), []byte(b)); len(ops) != 0 {
			t.Errorf("they differ by %d operations", len(ops))
		}
	})
}

func TestDiffTurnsOneIntoTheOther(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := []byte(drawValue(t, 3))
		b := []byte(drawValue(t, 3))
		if rapid.Bool().Draw(t, "related") {
			if next, e := Apply(a, drawOps(t, a, 5), JSONLimits{}); e == nil {
				b = next
			}
		}
		ops := Diff(a, b)
		got, e := Apply(a, ops, JSONLimits{})
		if e != nil || !Equal(got, b) {
			t.Fatalf("%s and %s differ by %s, which gives %s, %v", a, b, AppendOps(nil, "", ops), got, e)
		}
		if (len(ops) == 0) != Equal(a, b) {
			t.Fatalf("%s and %s differ by %s", a, b, AppendOps(nil, "", ops))
		}
	})
}

func TestDiffIsSmallWhereTheChangeIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ a, b, want string }{
		{`{"a":1,"b":{"c":[1,2,3]}}`, `{"b":{"c":[1,5,3]},"a":1.0}`, `[{"op":"replace","path":"/b/c/1","value":5}]`},
		{`[1,2,3,4]`, `[1,4]`, `[{"op":"remove","path":"/2"},{"op":"remove","path":"/1"}]`},
		{`[1,4]`, ` [1, 2, {"x" : 3}, 4]`, `[{"op":"add","path":"/1","value":2},{"op":"add","path":"/2","value":{"x":3}}]`},
		{`{"a":1,"b":2}`, `{"b":2,"c":null}`, `[{"op":"remove","path":"/a"},{"op":"add","path":"/c","value":null}]`},
		{`{"a/b":[{}]}`, `{"a/b":[[]]}`, `[{"op":"replace","path":"/a~1b/0","value":[]}]`},
		{`1`, `[]`, `[{"op":"replace","path":"","value":[]}]`},
	} {
		if got := AppendOps(nil, "", Diff([]byte(c.a), []byte(c.b))); string(got) != c.want {
			t.Errorf("%s and %s: got %s, want %s", c.a, c.b, got, c.want)
		}
	}
}

func FuzzApply(f *testing.F) {
	for _, c := range sharedCases(f) {
		f.Add([]byte(c.Doc), []byte(c.Patch), 0, 0)
	}
	f.Add([]byte(`["x"]`), []byte(`[{"op":"copy","from":"","path":"/-"},{"op":"copy","from":"","path":"/-"}]`), 40, 5)
	f.Fuzz(func(t *testing.T, doc, patch []byte, maxBytes, maxDepth int) {
		lim := JSONLimits{Bytes: max(maxBytes, 0), Depth: max(maxDepth, 0)}
		if Check(doc, JSONLimits{Depth: 200}) != nil || Check(patch, JSONLimits{Depth: 200}) != nil {
			return
		}
		ops, e := Parse(patch, 200)
		if e != nil || len(ops) == 0 {
			return
		}
		if lim.Bytes == 0 {
			lim.Bytes = 1 << 20
		}
		doc = Compact(doc)
		got, e := sameOutcome(t, doc, ops, lim)
		chosen, f := Apply(doc, ops, lim)
		if !bytes.Equal(chosen, got) || !reflect.DeepEqual(e, f) {
			t.Fatalf("Apply gives %s, %v", chosen, f)
		}
		if e != nil {
			return
		}
		if len(got) > lim.Bytes && len(got) > len(doc) {
			t.Fatalf("%d bytes, more than %d", len(got), lim.Bytes)
		}
		back, e := Apply(got, Diff(got, doc), JSONLimits{})
		if e != nil || !Equal(back, doc) {
			t.Fatalf("%s does not go back to %s: %s, %v", got, doc, back, e)
		}
	})
}
