package patch

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCanonicalTextIsWrittenInOneWay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{` { "b" : 1 , "a" : [ 2 , { } ] } `, `{"a":[2,{}],"b":1}`},
		{`{"\u0062":1,"a":2,"aa":3}`, `{"a":2,"aa":3,"b":1}`},
		{`{"b":{"d":1,"c":2},"a":{"y":[{"n":1,"m":2}],"x":0}}`, `{"a":{"x":0,"y":[{"m":2,"n":1}]},"b":{"c":2,"d":1}}`},
		{`"\u00e9\/\u000a\u0022\ud83d\ude00"`, `"é/\n\"😀"`},
		{`[1.0,10e-1,0.1e1,100,1E2,-0,0e5,0.50,-1.5,1e63,1e64,12.5e1]`,
			`[1,1,1,100,100,0,0,5e-1,-15e-1,1` + strings.Repeat("0", 63) + `,1e64,125]`},
		{`[true,false,null,"",[],{}]`, `[true,false,null,"",[],{}]`},
	} {
		if got := string(AppendCanonical(nil, []byte(c.text))); got != c.want {
			t.Errorf("%s became %s, want %s", c.text, got, c.want)
		}
	}
	if got := string(AppendCanonicalOp([]byte("["), Op{Kind: Add, Path: Pointer{"a/b"}, Value: json.RawMessage(`1.0`)})); got != `[{"op":"add","path":"/a~1b","value":1}` {
		t.Errorf("the operation became %s", got)
	}
}

// What comes in another order at every level is written once all the same.
func TestCanonicalTextOfDisorderAtEveryDepthIsBoundedWork(t *testing.T) {
	t.Parallel()
	const depth = 2000
	text := strings.Repeat(`{"b":`, depth) + "0" + strings.Repeat(`,"a":1}`, depth)
	want := strings.Repeat(`{"a":1,"b":`, depth) + "0" + strings.Repeat(`}`, depth)
	if got := string(AppendCanonical(nil, []byte(text))); got != want {
		t.Fatal("the canonical text is another one")
	}
}

func TestCanonicalTextsAreEqualWhereValuesAre(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawValue(t, 3), drawValue(t, 3)
		canonicalAsEqual(t, []byte(a), []byte(b))
		canonicalAsEqual(t, []byte(a), shuffled(t, []byte(a)))
	})
}

// shuffled gives the members of an object in another order.
func shuffled(t *rapid.T, value []byte) []byte {
	if value[0] != '{' {
		return value
	}
	x, _ := split(value, 0, false)
	var members []string
	for i := range x.obj.list {
		m := x.obj.list[i]
		members = append(members, fmt.Sprintf("%s:%s", m.key, m.it.raw))
	}
	if len(members) == 0 {
		return value
	}
	return []byte("{" + strings.Join(rapid.Permutation(members).Draw(t, "order"), " , ") + "}")
}

func canonicalAsEqual(t interface{ Fatalf(string, ...any) }, a, b []byte) {
	x, y := AppendCanonical(nil, a), AppendCanonical(nil, b)
	if Equal(a, b) != (string(x) == string(y)) {
		t.Fatalf("%s and %s are equal: %v, but their canonical texts are %s and %s", a, b, Equal(a, b), x, y)
	}
	if e := Check(x, JSONLimits{}); e != nil || !Equal(a, x) {
		t.Fatalf("the canonical text of %s is %s (%v)", a, x, e)
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":2.0}]}`), []byte(`{"\u0061":[1.0,{"b":20e-1}]}`))
	f.Add([]byte(`{"a":1,"b":2}`), []byte(`{"b":2,"a":1}`))
	f.Add([]byte(`1e63`), []byte(`1000e60`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if Check(a, JSONLimits{Depth: 100}) != nil || Check(b, JSONLimits{Depth: 100}) != nil {
			return
		}
		canonicalAsEqual(t, a, b)
	})
}

func BenchmarkCanonical(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"sorted", `{"a":"` + strings.Repeat("x", 190) + `","b":["` + strings.Repeat("y", 80) + `"],"c":12}`},
		{"unsorted", `{"c":12,"b":["` + strings.Repeat("y", 80) + `"],"a":"` + strings.Repeat("x", 190) + `"}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.text)))
			var buf []byte
			for range b.N {
				buf = AppendCanonical(buf[:0], []byte(c.text))
			}
		})
	}
}
