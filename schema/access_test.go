package schema_test

import (
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/schema"
)

func compile(t testing.TB, doc string) *schema.Registry {
	t.Helper()
	r, err := schema.Compile("test.yaml", []byte("graphtide: 1\n"+doc), 7)
	if err != nil {
		var all []string
		for _, v := range err.Errors {
			all = append(all, v.Message)
		}
		t.Fatal(strings.Join(all, "\n"))
	}
	return r
}

var ann = &graph.Principal{User: "ann", Teams: []string{"red"}, Org: "acme"}

func TestDefaultAccessIsCompleteAndTheCreators(t *testing.T) {
	t.Parallel()
	r := workbook(t)
	const nobody = `"teams":{},"orgs":{},"public":false}`
	for typ, want := range map[string]string{
		"DataStore": `{"comment":{"users":{},"teams":{},"orgs":{"acme":true},"public":false},"manage":{"users":{"ann":true},` + nobody +
			`,"read":{"users":{},"teams":{},"orgs":{"acme":true},"public":false},"write":{"users":{},"teams":{"red":true},"orgs":{},"public":false}}`,
		"User": `{"manage":{"users":{"ann":true},` + nobody + `,"read":{"users":{},"teams":{},"orgs":{"acme":true},"public":false},"write":{"users":{"ann":true},` + nobody + `}`,
		"Record": `{"manage":{"users":{},"teams":{},"orgs":{},"public":false,"inherit":{"dataStore":true}},"read":{"users":{},"teams":{},"orgs":{},"public":false,"inherit":{"dataStore":true}},` +
			`"write":{"users":{},"teams":{},"orgs":{},"public":false,"inherit":{"dataStore":true}}}`,
		"Comment": `{"manage":{"users":{"ann":true},` + nobody + `,"read":{"users":{},"teams":{},"orgs":{},"public":false,"inherit":{"about":true}},"write":{"users":{"ann":true},` + nobody + `}`,
		"Person":  `{"manage":{"users":{"ann":true},` + nobody + `,"read":{"users":{"ann":true},` + nobody + `,"write":{"users":{"ann":true},` + nobody + `}`,
	} {
		acl, err := r.TypeOf(typ).Access(nil, ann)
		if err != nil {
			t.Errorf("%s: %v", typ, err)
			continue
		}
		if string(acl.Raw) != want {
			t.Errorf("%s:\ngot  %s\nwant %s", typ, acl.Raw, want)
		}
		if len(acl.Rights) != len(r.TypeOf(typ).Rights) {
			t.Errorf("%s: not every right of %v is there", typ, r.TypeOf(typ).Rights)
		}
	}
}

func TestWithSeveralTeamsTheAccessMustBeNamed(t *testing.T) {
	t.Parallel()
	typ := workbook(t).TypeOf("DataStore")
	p := &graph.Principal{User: "ann", Teams: []string{"red", "blue"}, Org: "acme"}
	_, err := typ.Access(nil, p)
	if err == nil || err.Code != graph.CodeSchema || err.Path != "/access" || len(err.Errors) != 1 || !strings.Contains(err.Message, "name the access") {
		t.Errorf("%v", err)
	}
	if _, err := typ.Access([]byte(`{"read":{"public":true}}`), p); err != nil {
		t.Errorf("access named: %v", err)
	}
}

func TestWithoutATeamTheTeamsShareGoesToNobody(t *testing.T) {
	t.Parallel()
	acl, err := workbook(t).TypeOf("DataStore").Access(nil, &graph.Principal{User: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	if len(acl.Rights["write"].Teams) != 0 || !acl.Rights["manage"].Users["dev"] {
		t.Errorf("%s", acl.Raw)
	}
}

func TestExplicitAccessReplacesTheDefault(t *testing.T) {
	t.Parallel()
	typ := workbook(t).TypeOf("DataStore")
	acl, err := typ.Access([]byte(`{"read":{"users":{"bob":true}}}`), ann)
	if err != nil {
		t.Fatal(err)
	}
	none := `{"users":{},"teams":{},"orgs":{},"public":false}`
	want := `{"comment":` + none + `,"manage":{"users":{"ann":true},"teams":{},"orgs":{},"public":false},"read":{"users":{"bob":true},"teams":{},"orgs":{},"public":false},"write":` + none + `}`
	if string(acl.Raw) != want {
		t.Errorf("got  %s\nwant %s", acl.Raw, want)
	}
	acl, err = typ.Access([]byte(`{"manage":{"teams":{"red":true}}}`), ann)
	if err != nil || acl.Rights["manage"].Users["ann"] || !acl.Rights["manage"].Teams["red"] {
		t.Errorf("manage was named, got %s, %v", acl.Raw, err)
	}
	for raw, path := range map[string]string{
		`{"coment":{"public":true}}`:              "/access/coment",
		`{"read":{"inherit":{"dataStore":true}}}`: "/access/read/inherit/dataStore",
		`{"read":{"user":{"ann":true}}}`:          "/access/read/user",
		`[]`:                                      "/access",
	} {
		_, err := typ.Access([]byte(raw), ann)
		if err == nil || err.Code != graph.CodeSchema || len(err.Errors) == 0 || err.Errors[0].Path != path {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestRightsAreNotInheritedThroughAnEdgeThatReadersMayChange(t *testing.T) {
	t.Parallel()
	r := compile(t, "types:\n  B: {edges: {in: {x: {from: A}}}}\n  A: {edges: {out: {x: {to: B, needs: read}}}}\n")
	_, err := r.TypeOf("A").Access([]byte(`{"read":{"inherit":{"x":true}}}`), ann)
	if err == nil || err.Code != graph.CodeSchema {
		t.Errorf("got %v", err)
	}
}

func TestAChildsAccessReplacesItsParents(t *testing.T) {
	t.Parallel()
	r := compile(t, "types:\n  P: {access: {read: [org], publish: [team]}}\n  C: {extends: P}\n  D: {extends: P, access: {write: [public, {users: [bob], teams: [t], orgs: [o]}]}}\n")
	if got := strings.Join(r.TypeOf("C").Rights, " "); got != "manage publish read write" {
		t.Errorf("the rights of C are %s", got)
	}
	if got := strings.Join(r.TypeOf("D").Rights, " "); got != "manage read write" {
		t.Errorf("the rights of D are %s", got)
	}
	acl, err := r.TypeOf("D").Access(nil, ann)
	if err != nil {
		t.Fatal(err)
	}
	w := acl.Rights["write"]
	if !w.Public || !w.Users["bob"] || !w.Teams["t"] || !w.Orgs["o"] || w.Users["ann"] || !acl.Rights["read"].Users["ann"] || acl.Rights["read"].Orgs["acme"] {
		t.Errorf("got %s", acl.Raw)
	}
}

func TestInheritStandsForEveryRightNotNamedBesideIt(t *testing.T) {
	t.Parallel()
	r := compile(t, "types:\n  B: {edges: {in: {x: {from: A}}}}\n  A: {access: {inherit: x, write: [user]}, edges: {out: {x: {to: B}}}}\n")
	acl, err := r.TypeOf("A").Access(nil, ann)
	if err != nil {
		t.Fatal(err)
	}
	if acl.Rights["write"].Inherit != nil || !acl.Rights["write"].Users["ann"] || len(acl.Rights["read"].Inherit) != 1 || len(acl.Rights["manage"].Inherit) != 1 {
		t.Errorf("got %s", acl.Raw)
	}
}

func TestWhoMayCreate(t *testing.T) {
	t.Parallel()
	r := compile(t, "types:\n  A: {}\n  B: {create: [admin]}\n  C: {create: {teams: [red], orgs: [acme]}}\n  D: {extends: C}\n  E: {create: user}\n")
	people := map[string]*graph.Principal{
		"ann": ann, "bob": {User: "bob"}, "anyone": {Anonymous: true}, "root": {User: "root", Admin: true},
		"carl": {User: "carl", Org: "acme"}, "dora": {User: "dora", Teams: []string{"blue", "red"}},
	}
	for typ, want := range map[string]string{
		"A": "ann bob carl dora root", "B": "root", "C": "ann carl dora root", "D": "ann carl dora root", "E": "ann bob carl dora root",
	} {
		var may []string
		for _, name := range []string{"ann", "anyone", "bob", "carl", "dora", "root"} {
			if r.TypeOf(typ).MayCreate(people[name]) {
				may = append(may, name)
			}
		}
		if got := strings.Join(may, " "); got != want {
			t.Errorf("%s: got %s, want %s", typ, got, want)
		}
	}
}
