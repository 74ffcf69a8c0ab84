package patch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCheckTakesStrictJSON(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`null`, `true`, `false`, `0`, `-0`, `""`, `{}`, `[]`, " \t\r\n{ } \n", `[ 1 , [ ] , { } ]`,
		`{"a":1,"b":{"a":1},"A":2,"":0}`, `{"\u0061":1,"b":2}`,
		`"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"`, "\"é😀\u2028\"", `"\ufffd\uffff\ud7ff\ue000"`,
		`1.5`, `-1.5e+10`, `1E2`, `0.1e-7`, `12345678901234567890`, `0e99999999`, `-0.0E-99999999999999999999`,
		`1.7976931348623157e308`, `5e-324`, `0.` + strings.Repeat("0", 400) + `1e400`,
		strings.Repeat("9", 64), `0.` + strings.Repeat("0", 90) + strings.Repeat("9", 64), strings.Repeat("1", 64) + `e-64`,
		strings.Repeat("[", 10000) + strings.Repeat("]", 10000),
	} {
		if e := Check([]byte(text), JSONLimits{}); e != nil {
			t.Errorf("%.60s: %v", text, e)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, path string }{
		{``, ""}, {` `, ""}, {`nul`, ""}, {`nulll`, ""}, {`True`, ""}, {`NaN`, ""}, {`Infinity`, ""}, {`undefined`, ""},
		{"\xef\xbb\xbf{}", ""}, {"\u00a0{}", ""}, {"{}\x00", ""}, {"\f1", ""}, {`/**/1`, ""}, {`1 //`, ""},
		{`{} {}`, ""}, {`1,`, ""}, {`]`, ""}, {`}`, ""},
		{`[`, "/0"}, {`[1`, "/0"}, {`[1,`, "/1"}, {`[1,]`, "/1"}, {`[,1]`, "/0"}, {`[1 2]`, "/0"}, {`[1}`, "/0"}, {`[}`, "/0"},
		{`{`, ""}, {`{"a"`, "/a"}, {`{"a":`, "/a"}, {`{"a":1`, "/a"}, {`{"a":1,`, ""}, {`{"a":1,}`, ""}, {`{,}`, ""},
		{`{a:1}`, ""}, {`{'a':1}`, ""}, {`{1:1}`, ""}, {`{"a" 1}`, "/a"}, {`{"a":1 "b":2}`, "/a"}, {`{"a":1]`, "/a"}, {`{"a"::1}`, "/a"},
		{`{"a/b":{"~":[1,{"x":?}]}}`, "/a~1b/~0/1/x"},
		// numbers
		{`01`, ""}, {`-01`, ""}, {`+1`, ""}, {`.5`, ""}, {`5.`, ""}, {`-`, ""}, {`--1`, ""}, {`1e`, ""}, {`1e+`, ""}, {`1.e1`, ""}, {`0x10`, ""}, {`1_000`, ""},
		{`1e400`, ""}, {`-1e309`, ""}, {`1.8e308`, ""}, {`1e131071`, ""}, {`1e-131072`, ""}, {`1e-400`, ""}, {`2e-324`, ""},
		{`1e99999999999999999999999`, ""}, {`[0,1e-99999999999999999999999]`, "/1"},
		{strings.Repeat("9", 65), ""}, {`1.` + strings.Repeat("0", 64), ""}, {`0.` + strings.Repeat("0", 64), ""},
		// strings
		{`"`, ""}, {`"a`, ""}, {`"\`, ""}, {`"\"`, ""}, {`"\x"`, ""}, {`"\'"`, ""}, {`"\U0041"`, ""}, {`"\u"`, ""}, {`"\u12"`, ""}, {`"\u12g4"`, ""}, {`"\u 123"`, ""},
		{"\"\n\"", ""}, {"\"\x00\"", ""}, {"\"\x1f\"", ""}, {"[\"\t\"]", "/0"},
		{`"\u0000"`, ""}, {`{"a\u0000":1}`, ""},
		{`"\ud800"`, ""}, {`"\udc00"`, ""}, {`"\ud800x"`, ""}, {`"\ud800\n"`, ""}, {`"\ud800\u0041"`, ""}, {`"\ud800\ud800"`, ""}, {`"\udc00\ud800"`, ""}, {`{"a":"\ud83d\ude0"}`, "/a"},
		{"\"\xff\"", ""}, {"\"\xc0\x80\"", ""}, {"\"\xed\xa0\x80\"", ""}, {"\"\xf4\x90\x80\x80\"", ""}, {"\"\xe2\x82\"", ""}, {"{\"\xff\":1}", ""},
		// keys
		{`{"a":1,"a":1}`, "/a"}, {`{"a":1,"\u0061":2}`, "/a"}, {`[{"x":{"é":1,"b":2,"\u00e9":3}}]`, "/0/x/é"}, {`{"":1,"":2}`, "/"},
		{`{"\ud83d\ude00":1,"😀":2}`, "/😀"},
	} {
		e := Check([]byte(c.text), JSONLimits{})
		switch {
		case e == nil:
			t.Errorf("%.60q is taken", c.text)
		case e.Reason != InvalidJSON || e.Op != -1 || e.Path != c.path || e.Message == "":
			t.Errorf("%.60q: got %v (%v), want the path %q", c.text, e, e.Reason, c.path)
		}
	}
}

func TestCheckLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		lim   JSONLimits
		limit string
	}{
		{`[1]`, JSONLimits{Bytes: 3}, ""},
		{`[1] `, JSONLimits{Bytes: 3}, "bytes"},
		{`[[{}]]`, JSONLimits{Depth: 3}, ""},
		{`[[],{"a":[{}]}]`, JSONLimits{Depth: 3}, "depth"},
		{`1`, JSONLimits{Depth: 1}, ""},
		{strings.Repeat("[", 10001), JSONLimits{}, "depth"},
		{strings.Repeat(`{"a":`, 10001), JSONLimits{Depth: 1 << 40}, "depth"},
	} {
		e := Check([]byte(c.text), c.lim)
		if c.limit == "" && e != nil || c.limit != "" && (e == nil || e.Reason != TooLarge || e.Limit != c.limit) {
			t.Errorf("%.40s with %+v: got %v, want %q", c.text, c.lim, e, c.limit)
		}
	}
}

// Keys are compared by a map once there are many: the last one of very many
// must still be judged, and quickly.
func TestCheckFindsDuplicatesAmongManyKeys(t *testing.T) {
	t.Parallel()
	for _, n := range []int{15, 16, 17, 18, 100_000} {
		var b bytes.Buffer
		b.WriteByte('{')
		for i := range n {
			fmt.Fprintf(&b, `"k%d":{"k%d":0},`, i, i)
		}
		unique := strings.TrimSuffix(b.String(), ",") + "}"
		if e := Check([]byte(unique), JSONLimits{}); e != nil {
			t.Errorf("%d keys: %v", n, e)
		}
		for _, again := range []int{0, n / 2, n - 1} {
			twice := b.String() + fmt.Sprintf(`"k%d":0}`, again)
			if e := Check([]byte(twice), JSONLimits{}); e == nil || e.Path != fmt.Sprintf("/k%d", again) {
				t.Errorf("%d keys, k%d again: %v", n, again, e)
			}
		}
	}
}

func TestCompact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		" { \"a b\" : [ 1 , \"\\\" \\\\\" ,\n\t{ } ] }\r\n": `{"a b":[1,"\" \\",{}]}`,
		`[0e5, -0.00E-99999, 0.0, 10e5, 1e0, 0.5e1, true]`:  `[0,-0.00,0.0,10e5,1e0,0.5e1,true]`,
		`0e1`: `0`,
	} {
		if got := Compact([]byte(text)); string(got) != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	text := []byte(`{"a b":[1,"\" \\ \u0041",{},1.50e2]}`)
	if got := Compact(text); &got[0] != &text[0] || len(got) != len(text) {
		t.Error("a compact text is copied")
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2.5e-3,"x\u00e9\ud83d\ude00",null,true,{"b":{}}]}`, `{"a":1,"\u0061":2}`, `"\ud800"`, `1e400`, `0e99999999`, "\"\xff\"", `[[[[]]]]`, ` 1 `, `5e-324`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e := Check(text, JSONLimits{})
		if e == nil && (!json.Valid(text) || !utf8.Valid(text)) {
			t.Fatalf("%q is taken", text)
		}
		if e != nil {
			if _, ok := ParsePointer(e.Path); !ok {
				t.Fatalf("%q: the path %q is no pointer", text, e.Path)
			}
			// What the standard library takes is refused for one of our rules.
			if e.Reason == InvalidJSON && json.Valid(text) && utf8.Valid(text) && !breaksOurRules(text) {
				t.Fatalf("%q is refused: %v", text, e)
			}
			return
		}
		if breaksOurRules(text) {
			t.Fatalf("%q is taken", text)
		}
		compact := Compact(text)
		if e := Check(compact, JSONLimits{}); e != nil {
			t.Fatalf("%q becomes %q: %v", text, compact, e)
		}
		if again := Compact(compact); !bytes.Equal(again, compact) {
			t.Fatalf("%q becomes %q, then %q", text, compact, again)
		}
		if !Equal(text, compact) || !Equal(compact, text) {
			t.Fatalf("%q does not equal %q", text, compact)
		}
		var want bytes.Buffer
		if err := json.Compact(&want, text); err != nil {
			t.Fatal(err)
		}
		if !bytes.ContainsAny(text, "eE") && !bytes.Equal(want.Bytes(), compact) {
			t.Fatalf("%q becomes %q, want %q", text, compact, want.Bytes())
		}
	})
}

// breaksOurRules finds, by the standard library's tokens, what Check refuses
// beyond the grammar: duplicate keys, NUL, lone surrogates, numbers.
func breaksOurRules(text []byte) bool {
	// A lone surrogate is decoded as U+FFFD: more of these than were written.
	var v string
	lone := func(raw []byte) bool {
		if json.Unmarshal(raw, &v) != nil {
			return true
		}
		written := bytes.Count(raw, []byte("\uFFFD")) + bytes.Count(bytes.ToLower(raw), []byte(`\ufffd`))
		return strings.Count(v, "\uFFFD") > written || strings.ContainsRune(v, 0)
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		end := skipString(text, i)
		if lone(text[i:end]) {
			return true
		}
		i = end - 1
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	type open struct {
		object, value bool
		keys          map[string]bool
	}
	var stack []*open
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		top := &open{}
		if len(stack) > 0 {
			top = stack[len(stack)-1]
		}
		switch token := token.(type) {
		case json.Delim:
			switch token {
			case '{', '[':
				top.value = false
				stack = append(stack, &open{object: token == '{', keys: map[string]bool{}})
			default:
				stack = stack[:len(stack)-1]
			}
			continue
		case string:
			if top.object && !top.value {
				if top.keys[token] {
					return true
				}
				top.keys[token], top.value = true, true
				continue
			}
		case json.Number:
			mantissa := strings.TrimPrefix(string(token), "-")
			if i := strings.IndexAny(mantissa, "eE"); i >= 0 {
				mantissa = mantissa[:i]
			}
			digits := strings.ReplaceAll(mantissa, ".", "")
			if s := strings.TrimLeft(digits, "0"); s != "" {
				digits = s
				if f, err := token.Float64(); err != nil || f == 0 {
					return true
				}
			}
			if len(digits) > 64 {
				return true
			}
		}
		top.value = false
	}
}
