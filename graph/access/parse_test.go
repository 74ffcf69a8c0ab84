package access

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/graphtide/graphtide/graph"
)

func TestParseReadsFullAndPartialForms(t *testing.T) {
	t.Parallel()
	acl, faults := Parse(json.RawMessage(` {"read": {"users":{"ann":true},"teams":{},"orgs":{"acme":true},"public":false,"inherit":{"b":true,"a":true}},
		"write":{"public":true}, "comment":{}} `))
	if faults != nil {
		t.Fatal(faults)
	}
	want := map[string]*graph.Holders{
		"read":    {Users: map[string]bool{"ann": true}, Orgs: map[string]bool{"acme": true}, Inherit: []string{"a", "b"}},
		"write":   {Public: true},
		"comment": {},
	}
	if !cmp.Equal(acl.Rights, want) {
		t.Error(cmp.Diff(acl.Rights, want))
	}
	if strings.ContainsAny(string(acl.Raw), " \n\t") {
		t.Errorf("the text is not compact: %s", acl.Raw)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for text, paths := range map[string][]string{
		``:                                    {""},
		`null`:                                {""},
		`[]`:                                  {""},
		`"read"`:                              {""},
		`{"read":`:                            {"/read"},
		`{"read":null}`:                       {"/read"},
		`{"read":true}`:                       {"/read"},
		`{"read":["ann"]}`:                    {"/read"},
		`{"":{}}`:                             {"/"},
		`{"read":{"user":{}}}`:                {"/read/user"},
		`{"read":{"users":["ann"]}}`:          {"/read/users"},
		`{"read":{"users":null}}`:             {"/read/users"},
		`{"read":{"users":{"ann":false}}}`:    {"/read/users/ann"},
		`{"read":{"users":{"ann":1}}}`:        {"/read/users/ann"},
		`{"read":{"users":{"":true}}}`:        {"/read/users/"},
		`{"read":{"teams":{"a/b~":null}}}`:    {"/read/teams/a~1b~0"},
		`{"read":{"public":"yes"}}`:           {"/read/public"},
		`{"read":{"public":null}}`:            {"/read/public"},
		`{"read":{"inherit":["in"]}}`:         {"/read/inherit"},
		`{"read":{"inherit":"in"}}`:           {"/read/inherit"},
		`{"read":{"orgs":{"a":{"b":{}}}}}`:    {"/read/orgs/a"},
		`{"read":{},"read":{}}`:               {"/read"},
		`{"b":1,"a":2,"c":{"x":1,"users":0}}`: {"/a", "/b", "/c/users", "/c/x"},
	} {
		acl, faults := Parse(json.RawMessage(text))
		var got []string
		for _, f := range faults {
			got = append(got, f.Path)
			if f.Message == "" {
				t.Errorf("%s: no message", text)
			}
		}
		if acl != nil || !slices.Equal(got, paths) {
			t.Errorf("%s: got %v, %v, want %v", text, acl, faults, paths)
		}
	}
}

func TestEqualTextsShareOneACL(t *testing.T) {
	t.Parallel()
	const text = `{"read":{"users":{"shared-by-this-test":true}}}`
	a, _ := Parse(json.RawMessage(text))
	b, _ := Parse(json.RawMessage(text))
	if a == nil || a != b {
		t.Error("two ACLs for one text")
	}
}

func TestParseKeepsNoHoldOfItsInput(t *testing.T) {
	t.Parallel()
	raw := json.RawMessage(`{"read":{"users":{"kept-by-this-test":true}}}`)
	acl, _ := Parse(raw)
	want := string(acl.Raw)
	clear(raw)
	if string(acl.Raw) != want || !acl.Rights[Read].Users["kept-by-this-test"] {
		t.Error("the ACL changed with the input")
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := &cache{perGeneration: 10, maxText: 20}
	used := &graph.ACL{Raw: json.RawMessage("used")}
	c.put(used)
	for i := range 1000 {
		c.put(&graph.ACL{Raw: json.RawMessage(fmt.Sprint(i))})
		if c.get([]byte("used")) != used {
			t.Fatalf("what is in use was forgotten after %d others", i)
		}
	}
	if n := len(c.young) + len(c.old); n > 20 {
		t.Errorf("%d texts are kept", n)
	}
	c.put(&graph.ACL{Raw: json.RawMessage(strings.Repeat("x", 21))})
	if c.get([]byte(strings.Repeat("x", 21))) != nil {
		t.Error("a long text is kept")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"read":{"users":{"ann":true},"teams":{},"orgs":{},"public":false,"inherit":{"dataStore":true}}}`))
	f.Add([]byte(`{"read":{"users":{"ann":false}}}`))
	f.Add([]byte(`{"a":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		acl, faults := Parse(raw)
		if (acl == nil) == (len(faults) == 0) {
			t.Fatalf("%v and %v", acl, faults)
		}
		if acl == nil {
			return
		}
		again, faults := Parse(acl.Raw)
		if faults != nil || !cmp.Equal(acl.Rights, again.Rights) {
			t.Fatalf("%s reads as %v, then as %v (%v)", raw, acl.Rights, again, faults)
		}
	})
}
