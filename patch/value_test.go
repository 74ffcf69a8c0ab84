package patch

import (
	"bytes"
	"encoding/json"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestEqual(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{`1`, `1.0`, true}, {`1`, `1e0`, true}, {`100`, `1E+2`, true}, {`0.001`, `1e-3`, true}, {`10`, `1`, false}, {`-1`, `1`, false},
		{`0`, `-0`, true}, {`0.0`, `0e99999999999999999999`, true}, {`0`, `1e-300`, false},
		{`12345678901234567890`, `12345678901234567891`, false}, {`12345678901234567890`, `1234567890123456789e1`, true},
		{`0.1`, `0.10000000000000001`, false}, {`1e300`, `1` + strings.Repeat("0", 300), true}, {`105`, `1.05e2`, true}, {`1005e-3`, `1.005`, true},
		{`[1,2]`, ` [ 1.0 , 2 ] `, true}, {`[]`, `[]`, true}, {`[]`, `[null]`, false}, {`[1,2]`, `[1]`, false}, {`[1]`, `[1,2]`, false},
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`, true}, {`{"a":1,"b":2,"c":3}`, `{"a":1,"c":3,"b":2}`, true},
		{`{"a":1}`, `{"a":1,"b":2}`, false}, {`{"a":1,"b":2}`, `{"a":1}`, false}, {`{"a":1,"b":2}`, `{"b":2,"c":1}`, false}, {`{"b":1,"a":2}`, `{"a":2}`, false}, {`{"a":2}`, `{"b":1,"a":2}`, false},
		{`{"a":{"x":[1,{"p":1,"q":2}]},"b":0}`, `{"b":0,"a":{"x":[1.0,{"q":2,"p":1}]}}`, true},
		{`{"a":{"x":1},"b":{"x":2}}`, `{"b":{"x":1},"a":{"x":2}}`, false},
		{`"a\/\u00e9"`, `"a/é"`, true}, {`"\ud83d\ude00"`, `"😀"`, true}, {`"a"`, `"A"`, false}, {`"\u0061\"\\"`, `"a\"\\"`, true},
		{`{"\u0061":1}`, `{"a":1}`, true}, {`"1"`, `1`, false}, {`null`, `false`, false}, {`true`, `false`, false}, {`{}`, `[]`, false}, {`"null"`, `null`, false},
		{``, ``, true}, {``, `null`, false}, {`null`, ` `, false},
	} {
		if got := Equal([]byte(c.a), []byte(c.b)); got != c.want {
			t.Errorf("%s and %s: got %v", c.a, c.b, got)
		}
		if got := Equal([]byte(c.b), []byte(c.a)); got != c.want {
			t.Errorf("%s and %s: got %v", c.b, c.a, got)
		}
	}
}

func TestCompareOrdersValues(t *testing.T) {
	t.Parallel()
	// Each group comes before the next; within a group all are alike.
	groups := [][]string{
		{""}, {"null"}, {"false"}, {"true"},
		{"-1e300"}, {"-12.5", "-125e-1"}, {"-12"}, {"-1e-300"}, {"0", "-0", "0.0e7"}, {"5e-324"}, {"0.1", "1e-1"}, {"0.10000000000000001"}, {"9"}, {"10", "1e1", "10.00"},
		{"12345678901234567890"}, {"12345678901234567891"}, {"1e300"},
		{`""`}, {`"A"`, `"\u0041"`}, {`"a"`}, {`"aa"`}, {`"b"`}, {`"é"`, `"\u00e9"`}, {`"\uffff"`}, {`"😀"`, `"\ud83d\ude00"`},
		{`{}`, `[]`, `[1]`, `{"a":1}`},
	}
	for i, g := range groups {
		for j, h := range groups {
			for _, a := range g {
				for _, b := range h {
					got := Compare([]byte(a), []byte(b))
					if got < 0 != (i < j) || got > 0 != (i > j) {
						t.Errorf("%s and %s: got %d", a, b, got)
					}
				}
			}
		}
	}
}

func drawNumber(t *rapid.T) string {
	return rapid.StringMatching(`-?(0|[1-9][0-9]{0,6})(\.[0-9]{1,6})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number")
}

func TestNumbersCompareAsTheirExactValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawNumber(t), drawNumber(t)
		x, ok := new(big.Rat).SetString(a)
		y, okY := new(big.Rat).SetString(b)
		if !ok || !okY {
			t.Fatalf("%s, %s", a, b)
		}
		sign := func(n int) int { return max(-1, min(1, n)) }
		if got := sign(Compare([]byte(a), []byte(b))); got != x.Cmp(y) {
			t.Fatalf("%s and %s: got %d, want %d", a, b, got, x.Cmp(y))
		}
		if got := Equal([]byte(a), []byte(b)); got != (x.Cmp(y) == 0) {
			t.Fatalf("%s equals %s: got %v", a, b, got)
		}
	})
}

func FuzzEqual(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":2.0}]}`), []byte(`{"a":[1.0,{"b":2}]}`))
	f.Add([]byte(`{"a":1,"b":2}`), []byte(`{"b":2,"a":1}`))
	f.Add([]byte(`"\u0061"`), []byte(`"a"`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if Check(a, JSONLimits{Depth: 100}) != nil || Check(b, JSONLimits{Depth: 100}) != nil {
			return
		}
		if !Equal(a, a) {
			t.Fatalf("%q does not equal itself", a)
		}
		got := Equal(a, b)
		if got != Equal(b, a) {
			t.Fatalf("%q and %q: the order matters", a, b)
		}
		x, okX := decode(a)
		y, okY := decode(b)
		if okX && okY && got != reflect.DeepEqual(x, y) {
			t.Fatalf("%q and %q: got %v", a, b, got)
		}
		ca, cb := Compact(a), Compact(b)
		if c := Compare(ca, cb); got && c != 0 || (c < 0) != (Compare(cb, ca) > 0) {
			t.Fatalf("%q and %q: Compare gives %d and %d", a, b, c, Compare(cb, ca))
		}
	})
}

// decode gives the value with numbers as normalised fractions; ok is false where
// they would be very long ones.
func decode(text []byte) (any, bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, false
	}
	ok := true
	var walk func(v any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case json.Number:
			r, valid := new(big.Rat), false
			if len(v) < 40 && !strings.ContainsAny(string(v), "eE") {
				r, valid = r.SetString(string(v))
			}
			ok = ok && valid
			if valid {
				return "number " + r.RatString()
			}
		case string:
			return "string " + v
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		case map[string]any:
			for k := range v {
				v[k] = walk(v[k])
			}
		}
		return v
	}
	return walk(v), ok
}

func TestParsePointer(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]Pointer{
		"": {}, "/": {""}, "//": {"", ""}, "/a": {"a"}, "/a/": {"a", ""}, "/a~1b/m~0n/~01": {"a/b", "m~n", "~1"}, "/ ": {" "}, "/é/\"\\": {"é", "\"\\"},
	} {
		got, ok := ParsePointer(s)
		if !ok || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v", s, got, ok)
		}
		if got.String() != s {
			t.Errorf("%q comes back as %q", s, got.String())
		}
	}
	for _, s := range []string{"a", "a/b", "#/a", "~", "/~", "/~2", "/a~", "/~/a", "/~~0", " /a"} {
		if got, ok := ParsePointer(s); ok {
			t.Errorf("%q reads as %q", s, got)
		}
	}
}

func FuzzParsePointer(f *testing.F) {
	for _, s := range []string{"", "/", "/a~1b/m~0n", "/~2", "x", "/~01/-/0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := ParsePointer(s)
		if ok && p.String() != s {
			t.Fatalf("%q comes back as %q", s, p.String())
		}
		again, _ := ParsePointer(Pointer(p).String())
		if ok && !slices.Equal(again, p) {
			t.Fatalf("%q reads as %q and %q", s, p, again)
		}
	})
}

func TestGet(t *testing.T) {
	t.Parallel()
	doc := []byte(` { "a" : [ 1 , { "b\/c" : "x" } ] , "" : null } `)
	for s, want := range map[string]string{
		"": `{ "a" : [ 1 , { "b\/c" : "x" } ] , "" : null }`, "/a": `[ 1 , { "b\/c" : "x" } ]`, "/a/0": "1", "/a/1/b~1c": `"x"`, "/": "null",
	} {
		p, _ := ParsePointer(s)
		if got, ok := Get(doc, p); !ok || string(got) != want {
			t.Errorf("%q: got %s, %v", s, got, ok)
		}
	}
	for _, s := range []string{"/b", "/a/2", "/a/-", "/a/00", "/a/x", "/a/0/0", "//x", "/a/1/b"} {
		p, _ := ParsePointer(s)
		if got, ok := Get(doc, p); ok {
			t.Errorf("%q: got %s", s, got)
		}
	}
	if got, ok := Get(nil, nil); ok {
		t.Errorf("no document: got %s", got)
	}
	// What is appended to the value must not write into the document.
	got, _ := Get(doc, Pointer{"a", "0"})
	before := bytes.Clone(doc)
	_ = append(got, "XXXX"...)
	if !bytes.Equal(doc, before) {
		t.Error("the document can be overwritten through a value")
	}
}

func TestConcat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		patches []string
		want    string
	}{
		{nil, `[]`}, {[]string{`[]`, ` [ ] `}, `[]`}, {[]string{`[{"op":"remove","path":"/a"}]`}, `[{"op":"remove","path":"/a"}]`},
		{[]string{`[1,2]`, `[]`, ` [ 3 ] `, `[4]`}, `[1,2,3 ,4]`}, {[]string{``, `[1]`}, `[1]`},
	} {
		var patches [][]byte
		for _, p := range c.patches {
			patches = append(patches, []byte(p))
		}
		if got := Concat(patches...); string(got) != c.want {
			t.Errorf("%q: got %s", c.patches, got)
		}
	}
}
