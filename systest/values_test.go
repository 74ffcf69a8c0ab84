package systest

import (
	"strings"
	"testing"
)

func TestNumbersKeepTheirDecimalValue(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	for _, n := range []string{"12345678901234567890", "0.1", "-0.1", "1E2", "1e+2", "1e-2", "0", "-0", "1.10", "123456789012345678901234567890.123456789",
		"1.7976931348623157e308", "-1.7976931348623157e308", "5e-324", "2.2250738585072014e-308", "0.30000000000000004", "9007199254740993",
		"1" + strings.Repeat("0", 63), "0." + strings.Repeat("1", 64)[:63], "1e308", "100000000000000000000000000000000000000000000001"} {
		id := ann.create("Doc", f(`{"n":%s,"l":[%s]}`, n, n))
		ann.object(id).json().is("body.n", n).is("body.l.0", n)
		ann.commit(f(`[{"op":"test","path":"/objects/%s/body/n","value":%s}]`, id, n))
		ann.load(f(`{"root":%q}`, id)).want(200).json().is(f("objects.%s.body.n", id), n)
		ann.get(w.path("/objects/"+id+"/history")).want(200).json().is("entries.0.entity.body.n", n)
		if raw := string(ann.object(id).body); n == "12345678901234567890" && !strings.Contains(raw, n) {
			t.Errorf("%s came back as %s", n, raw)
		}
	}
}

func TestWhatTheDatabaseWouldChokeOnIsRefused(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Doc", `{}`)
	v := ann.head()
	for name, value := range map[string]string{
		"a NUL":                          `"a\u0000b"`,
		"a NUL in a key":                 `{"a\u0000b":1}`,
		"a raw NUL":                      "\"a\x00b\"",
		"a raw control character":        "\"a\x01b\"",
		"a lone high surrogate":          `"\ud800"`,
		"a lone low surrogate":           `"\udc00x"`,
		"surrogates the wrong way round": `"\udc00\ud800"`,
		"a lone surrogate in a key":      `{"\ud800":1}`,
		"invalid UTF-8":                  "\"\xff\"",
		"an overlong slash":              "\"\xc0\xaf\"",
		"a surrogate in UTF-8":           "\"\xed\xa0\x80\"",
		"beyond UTF-8":                   "\"\xf4\x90\x80\x80\"",
		"a duplicate key":                `{"a":1,"a":2}`,
		"a duplicate key, escaped":       `{"a":1,"\u0061":2}`,
		"a deep duplicate key":           `[{"x":{"b":1,"c":1,"b":1}}]`,
		"beyond a double":                `1e309`,
		"below a double":                 `-1.8e308`,
		"far beyond":                     `1e131072`,
		"a huge exponent":                `1e99999999999`,
		"too many digits":                "1" + strings.Repeat("2", 64),
		"too many digits behind":         "0." + strings.Repeat("3", 65),
		"a plus":                         `+1`,
		"a leading zero":                 `01`,
		"a bare point":                   `.5`,
		"a point at the end":             `1.`,
		"hexadecimal":                    `0x10`,
		"NaN":                            `NaN`,
		"Infinity":                       `Infinity`,
		"a comma at the end":             `[1,]`,
		"single quotes":                  `'a'`,
		"a comment":                      `1/*x*/`,
		"capitals":                       `True`,
		"a bad escape":                   `"\x41"`,
		"a short escape":                 `"\u12"`,
	} {
		p := ann.patch(f(`[{"op":"add","path":"/objects/%s/body/v","value":%s}]`, id, value))
		if p.status != 400 || p.json().str("code") != "invalid-json" {
			t.Errorf("%s: %v", name, p)
		}
	}
	for _, path := range []string{`\u0000`, `a\ud800`} {
		p := ann.patch(f(`[{"op":"add","path":"/objects/%s/body/%s","value":1}]`, id, path))
		if p.status != 400 {
			t.Errorf("%s: %v", path, p)
		}
	}
	ann.do("PATCH", w.path(""), patchType, "\ufeff[]").want(400)
	ann.do("PATCH", w.path(""), patchType, "").problem("invalid-json")
	if got := ann.head(); got != v {
		t.Errorf("version %d, was %d", got, v)
	}
	// Projections and everything else that is read are judged alike.
	for _, bad := range []string{`{"root":"` + id + `","root":"` + id + `"}`, `{"root":{"type":"D\u0000oc"}}`, `{"root":{"type":"\ud800"}}`, "{\"root\":{\"type\":\"\xff\"}}", `{"root":{"type":"Doc","where":{"n":1e999}}}`} {
		if a := ann.load(bad); a.status != 400 {
			t.Errorf("%s: %v", bad, a)
		}
	}
}

func TestStringsComeBackAsTheyWent(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	for _, s := range []string{`"\u0001\u001f\u007f"`, `"\ud83d\ude00"`, `"😀"`, `"\u2028\u2029"`, `"<script>&amp;</script>"`, `"\\\"\/\b\f\n\r\t"`,
		`"e\u0301 \u00e9"`, `"\ufeff"`, `"\ufffe\uffff"`, `"ﷺ\u202e"`, `"toString"`, `"' OR 1=1; --"`, `"#{jndi:x}"`, `"%s%n"`, `""`} {
		id := ann.create("Doc", f(`{"s":%s,%s:1}`, s, strings.Replace(s, `""`, `"k"`, 1)))
		ann.object(id).json().is("body.s", s)
		v := ann.object(id).json().members("body")
		if len(v) != 2 && s != `"s"` {
			t.Errorf("%s: %v", s, v)
		}
		ann.commit(f(`[{"op":"test","path":"/objects/%s/body/s","value":%s}]`, id, s))
	}
	// Forms that look alike are different keys.
	id := ann.create("Doc", `{"\u00e9":1,"e\u0301":2}`)
	ann.object(id).json().is("body", `{"\u00e9":1,"e\u0301":2}`)
}

func TestReservedNames(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	// Whatever the answer, nobody's prototype is changed and nothing else is lost.
	for _, name := range []string{"__proto__", "constructor", "prototype"} {
		id := newID()
		a := ann.patch(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{"%s":{"x":1}}}}]`, id, name))
		if a.status != 200 && a.status != 422 && a.status != 400 {
			t.Errorf("%s: %v", name, a)
		}
		if a.status == 200 {
			ann.object(id).json().is("body", f(`{"%s":{"x":1}}`, name))
		}
	}
}
