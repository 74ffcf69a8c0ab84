package server

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/auth"
)

func TestIfMatchReadsTagsAsRFC9110Does(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header string
		want   graph.Version // -2: no condition
		fault  bool
	}{
		{header: `"3"`, want: 3},
		{header: ` "3" `, want: 3},
		{header: `"3", "5"`, want: 5}, // 5 is the present version
		{header: `"5","3"`, want: 5},
		{header: `"3","4"`, want: 3},
		{header: `*`, want: -2},
		{header: `W/"5"`, want: noVersion}, // weak tags never match
		{header: `W/"5", "3"`, want: 3},
		{header: `"abc"`, want: noVersion},
		{header: `"05"`, want: noVersion},
		{header: `""`, want: noVersion},
		{header: `"a,b", "5"`, want: 5},
		{header: `"3",`, want: 3},
		{header: `"3",,"5"`, want: 5},
		{header: `5`, fault: true},
		{header: `"5`, fault: true},
		{header: `"5" "6"`, fault: true},
		{header: `w/"5"`, fault: true},
		{header: `*, "5"`, fault: true},
		{header: ``, fault: true},
		{header: `,`, fault: true},
	} {
		got, err := ifMatch([]string{c.header}, func() (graph.Version, error) { return 5, nil })
		switch {
		case c.fault:
			if graph.CodeOf(err) != graph.CodeInvalidVersion {
				t.Errorf("%q: %v, want a refusal", c.header, err)
			}
		case err != nil:
			t.Errorf("%q: %v", c.header, err)
		case got == nil && c.want != -2, got != nil && *got != c.want:
			t.Errorf("%q gives %v, want %d", c.header, got, c.want)
		}
	}
	if v, err := ifMatch(nil, nil); v != nil || err != nil {
		t.Error("no header makes a condition")
	}
	if v, err := ifMatch([]string{`"3"`, `"5"`}, func() (graph.Version, error) { return 5, nil }); err != nil || *v != 5 {
		t.Error("two header lines are not one list")
	}
}

func TestIfNoneMatchComparesWeakly(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		`"5"`: true, `W/"5"`: true, `*`: true, `"4", "5"`: true, `"4"`: false, `5`: false, `"55"`: false, ``: false,
	} {
		if got := notModified([]string{header}, `"5"`); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
	if notModified(nil, `"5"`) {
		t.Error("no header holds")
	}
}

func FuzzTagsNeverHideATail(f *testing.F) {
	for _, s := range []string{`"3"`, `W/"3", "4"`, `*`, `"a" "b"`, `"`, `,,`, `"3",`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tags, any, ok := parseTags([]string{s})
		if any && (len(tags) > 0 || strings.TrimSpace(s) != "*") {
			t.Errorf("%q is taken for *", s)
		}
		if !ok || any {
			return
		}
		// What was read, written again, reads the same.
		var parts []string
		for _, tag := range tags {
			w := ""
			if tag.weak {
				w = "W/"
			}
			parts = append(parts, w+`"`+tag.opaque+`"`)
		}
		again, _, ok := parseTags([]string{strings.Join(parts, ", ")})
		if !ok || len(again) != len(tags) {
			t.Fatalf("%q reads as %v, and that as %v", s, tags, again)
		}
		for i := range tags {
			if tags[i] != again[i] {
				t.Errorf("%q: tag %d is %v, then %v", s, i, tags[i], again[i])
			}
		}
	})
}

func FuzzVersionsAreCanonical(f *testing.F) {
	for _, s := range []string{"0", "7", "007", "+1", "-1", "1e3", "9223372036854775807", "9223372036854775808", "", " 1", "1.0", "٣"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, ok := parseVersion(s)
		n, err := strconv.ParseInt(s, 10, 64)
		want := err == nil && n >= 0 && strconv.FormatInt(n, 10) == s
		if ok != want || ok && int64(v) != n {
			t.Errorf("%q reads as %d, %v", s, v, ok)
		}
	})
}

func TestMutationHeadersAreStrict(t *testing.T) {
	t.Parallel()
	c := &call{p: &graph.Principal{User: "ann"}, id: &auth.Identity{}}
	for _, bad := range []http.Header{
		{"Idempotency-Key": {""}},
		{"Idempotency-Key": {strings.Repeat("k", 201)}},
		{"Idempotency-Key": {"a\tb"}},
		{"Idempotency-Key": {"schlüssel"}},
		{"Idempotency-Key": {"a", "b"}},
		{"Graphtide-Base": {""}},
		{"Graphtide-Base": {"-1"}},
		{"Graphtide-Base": {"1.5"}},
		{"Graphtide-Base": {"0x1"}},
		{"Graphtide-Base": {"9223372036854775808"}},
		{"Graphtide-Group": {"x"}},
		{"Graphtide-Group": {""}},
		{"Graphtide-Note": {strings.Repeat("é", 201)}},
		{"Graphtide-Note": {"a\x00b"}},
		{"Graphtide-Note": {"\xff"}},
	} {
		if m, err := mutation(bad, c); graph.CodeOf(err) != graph.CodeInvalidPatch {
			t.Errorf("%v gives %+v, %v", bad, m, err)
		}
	}
	m, err := mutation(http.Header{
		"Idempotency-Key": {"a b~"}, "Graphtide-Base": {"0"}, "Graphtide-Note": {strings.Repeat("é", 200)},
		"Graphtide-Group": {"0192F000-0000-7000-8000-000000000001"},
	}, c)
	if err != nil {
		t.Fatal(err)
	}
	if m.Key != "a b~" || m.Base == nil || *m.Base != 0 || m.Group != "0192f000-0000-7000-8000-000000000001" || len(m.Note) != 400 {
		t.Errorf("%+v", m)
	}
}

func TestMutationOfARunCarriesItsFence(t *testing.T) {
	t.Parallel()
	run := &graph.RunIdentity{Author: graph.Principal{User: "run:1"}, Depth: 4,
		Cause: graph.Cause{Kind: graph.CauseRun, Version: 9, Run: "1"}, Fence: graph.Fence{Run: "1", Attempt: 2}}
	m, err := mutation(http.Header{}, &call{p: &run.Author, id: &auth.Identity{Run: run}})
	if err != nil {
		t.Fatal(err)
	}
	first := *run
	first.Fence.Attempt = 1
	if m, err := mutation(http.Header{}, &call{p: &run.Author, id: &auth.Identity{Run: &first}}); err != nil || m.ReplayAny {
		t.Errorf("a key of the first attempt may stand for two patches: %+v, %v", m, err)
	}
	if m.Fence == nil || *m.Fence != run.Fence || m.Cause != run.Cause || m.Depth != 4 || !m.ReplayAny || m.Author.User != "run:1" {
		t.Errorf("%+v", m)
	}
}

func FuzzMutationHeadersNeverLetAControlThrough(f *testing.F) {
	f.Add("key", "1", "0192f000-0000-7000-8000-000000000001", "a note")
	f.Add("", "", "", "")
	f.Fuzz(func(t *testing.T, key, base, group, note string) {
		c := &call{p: &graph.Principal{User: "ann"}, id: &auth.Identity{}}
		m, err := mutation(http.Header{headerKey: {key}, headerBase: {base}, headerGroup: {group}, headerNote: {note}}, c)
		if err != nil {
			if graph.CodeOf(err) != graph.CodeInvalidPatch {
				t.Errorf("%v", err)
			}
			return
		}
		for _, s := range []string{m.Key, m.Note, m.Group} {
			if strings.ContainsAny(s, "\x00\n\r\x1b") {
				t.Errorf("%q got through", s)
			}
		}
		if len(m.Key) > maxKey || len(m.Group) != 36 || *m.Base < 0 {
			t.Errorf("%+v", m)
		}
	})
}

func TestOriginsAreComparedExactly(t *testing.T) {
	t.Parallel()
	cfg := Config{AllowedOrigins: []string{"https://app.example.com"}}
	for origin, want := range map[string]bool{
		"https://app.example.com":            true,
		"http://app.example.com":             false,
		"https://app.example.com:8443":       false,
		"https://app.example.com.evil.test":  false,
		"https://evil.test/app.example.com":  false,
		"https://sub.app.example.com":        false,
		"null":                               false,
		"http://localhost:5173":              false,
		"https://app.example.com@evil.test/": false,
	} {
		if got := cfg.OriginAllowed(origin); got != want {
			t.Errorf("%s: %v", origin, got)
		}
	}
	dev := Config{Dev: true}
	for origin, want := range map[string]bool{
		"http://localhost:5173": true, "http://127.0.0.1:3000": true, "http://[::1]:3000": true, "null": false,
		"http://localhost.evil.test": false, "https://127.0.0.1.evil.test": false, "file://": false,
	} {
		if got := dev.OriginAllowed(origin); got != want {
			t.Errorf("dev, %s: %v", origin, got)
		}
	}
}

func TestConfigIsRefusedWhereItIsUnsafe(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"any origin":        {AllowedOrigins: []string{"*"}},
		"null origin":       {AllowedOrigins: []string{"null"}},
		"origin with path":  {AllowedOrigins: []string{"https://a.test/x"}},
		"dev on all":        {Dev: true, Listen: "0.0.0.0:7420"},
		"dev on every name": {Dev: true, Listen: ":7420"},
		"negative rate":     {Rate: -1},
	} {
		if _, err := New(cfg, Deps{}); err == nil || strings.Contains(err.Error(), "dependency") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Config{Dev: true}, Deps{}); err == nil || !strings.Contains(err.Error(), "dependency") {
		t.Errorf("nothing wrong but the dependencies: %v", err)
	}
}

func TestAcceptDecidesBetweenPageStreamAndForm(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"text/event-stream": true, "application/json, text/event-stream;q=0.5": true, "text/event-stream;q=0": false,
		"": false, "*/*": false, "application/json": false,
	} {
		if got := wantsEvents([]string{accept}); got != want {
			t.Errorf("stream, %q: %v", accept, got)
		}
	}
	for accept, want := range map[string]bool{
		"application/yaml": true, "text/yaml": true, "application/json": false, "*/*": false, "": false,
		"application/json;q=0.5, application/yaml": true, "application/yaml;q=0.5, application/json": false, "application/yaml;q=0": false,
	} {
		if got := prefersYAML([]string{accept}); got != want {
			t.Errorf("YAML, %q: %v", accept, got)
		}
	}
}

// What no database takes as text is told from the address, and goes no further.
func TestAParameterIsTextThatADatabaseTakes(t *testing.T) {
	t.Parallel()
	for raw, taken := range map[string]bool{"rule=a%C3%BC": true, "rule=a%0Ab": true, "rule=%00": false, "rule=a%00": false, "rule=%FF": false, "rule=%ED%A0%80": false} {
		q, err := queryOf(&http.Request{URL: &url.URL{RawQuery: raw}})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err = q.one("rule"); taken != (err == nil) || err != nil && graph.CodeOf(err) != graph.CodeInvalidQuery {
			t.Errorf("%s: %v", raw, err)
		}
	}
}
