package pipeline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/patch"
)

func TestATransactionSeesItsOwnEarlierOperations(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds, rec, edge := id(), id(), id()
	s.do(ann, fmt.Sprintf(`[
		{"op":"add","path":"/objects/%[1]s","value":{"type":"DataStore","body":{"name":"a"}}},
		{"op":"add","path":"/objects/%[2]s","value":{"type":"Record","body":{"values":{"x":1}}}},
		{"op":"add","path":"/edges/%[3]s","value":{"label":"dataStore","from":"%[2]s","to":"%[1]s"}},
		{"op":"test","path":"/objects/%[2]s/body/values/x","value":1.0},
		{"op":"replace","path":"/objects/%[2]s/body/values/x","value":2},
		{"op":"test","path":"/objects/%[2]s/type","value":"Record"}]`, ds, rec, edge))
	if got := string(s.object(rec).Body); got != `{"values":{"x":2}}` {
		t.Errorf("body %s", got)
	}
	if got := string(s.object(ds).Body); got != `{"name":"a","size":1}` {
		t.Errorf("the default was not filled in: %s", got)
	}
	if s.edge(edge) == nil {
		t.Error("no edge")
	}
	if c := s.commits(0); len(c) != 1 || len(c[0].Changes) != 3 {
		t.Errorf("%d commits", len(c))
	}
	s.replays()
}

func TestRefusalsNameCodeAndPath(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	rec, edge := s.record(ds)
	o, e, r := "/objects/"+ds, "/edges/"+edge, "/objects/"+rec
	absent, none := id(), graph.ObjectID{}.String()
	for _, c := range []struct{ want, patch string }{
		{"invalid-json", `[`},
		{"invalid-json", `[{"op":"add","op":"add"}]`},
		{"invalid-json", `[{"op":"replace","path":"` + o + `/body/name","value":"\u0000"}]`},
		{"invalid-json", `[{"op":"replace","path":"` + o + `/body/size","value":1e400}]`},
		{"invalid-patch", `{"op":"add"}`},
		{"invalid-patch", `[{"op":"frob","path":"` + o + `/body"}]`},
		{"invalid-patch", `[{"op":"add","path":"` + o + `/body/x"}]`},
		{"invalid-patch", `[{"op":"add","path":"","value":{}}]`},
		{"invalid-patch /objects", `[{"op":"add","path":"/objects","value":{}}]`},
		{"invalid-patch", `[{"op":"add","path":"/things/` + ds + `","value":{}}]`},
		{"invalid-patch", `[{"op":"replace","path":"` + o + `","value":{}}]`},
		{"invalid-patch", `[{"op":"add","path":"` + o + `/bodies","value":{}}]`},
		{"invalid-patch", `[{"op":"move","from":"` + r + `/body/values","path":"` + o + `/body/name"}]`},
		{"invalid-patch " + e + "/label", `[{"op":"replace","path":"` + e + `/label","value":"x"}]`},
		{"invalid-id", `[{"op":"remove","path":"/objects/nope"}]`},
		{"invalid-id /objects/" + none, `[{"op":"add","path":"/objects/` + none + `","value":{"type":"DataStore","body":{"name":"x"}}}]`},
		{"invalid-id /edges/" + none, `[{"op":"add","path":"/edges/` + none + `","value":{"label":"dataStore","from":"` + rec + `","to":"` + ds + `"}}]`},
		{"not-found", `[{"op":"remove","path":"/objects/` + none + `"}]`},
		{"unknown-field /objects/" + absent + "/meta", `[{"op":"add","path":"/objects/` + absent + `","value":{"type":"Record","body":{},"meta":{}}}]`},
		{"invalid-id", `[{"op":"add","path":"/edges/` + absent + `","value":{"label":"x","from":"1","to":"2"}}]`},
		{"not-found", `[{"op":"remove","path":"/objects/` + absent + `"}]`},
		{"not-found", `[{"op":"replace","path":"/objects/` + absent + `/type","value":"x"}]`},
		{"not-found", `[{"op":"remove","path":"/edges/` + absent + `"}]`},
		{"not-found", `[{"op":"remove","path":"` + r + `"},{"op":"replace","path":"` + r + `/body/rank","value":1}]`},
		{"exists " + o, `[{"op":"add","path":"` + o + `","value":{"type":"DataStore","body":{"name":"x"}}}]`},
		{"test-failed " + o + "/body/name", `[{"op":"test","path":"` + o + `/body/name","value":"zzz"}]`},
		{"test-failed", `[{"op":"test","path":"` + o + `/meta/version","value":99}]`},
		{"path-missing", `[{"op":"replace","path":"` + o + `/body/none","value":1}]`},
		{"path-missing", `[{"op":"remove","path":"` + o + `/body/tags/2"}]`},
		{"invalid-patch", `[{"op":"add","path":"` + o + `/body/tags/01","value":"x"}]`},
		{"edge-exists", `[{"op":"add","path":"/edges/` + absent + `","value":{"label":"dataStore","from":"` + rec + `","to":"` + ds + `"}}]`},
		{"schema " + o + "/body/name", `[{"op":"replace","path":"` + o + `/body/name","value":""}]`},
		{"schema", `[{"op":"add","path":"` + o + `/body/colour","value":1}]`},
		{"schema", `[{"op":"remove","path":"` + o + `/body/name"}]`},
		{"schema", `[{"op":"replace","path":"` + o + `/body","value":[]}]`},
		{"schema", `[{"op":"add","path":"` + o + `/access/read/users/x","value":1}]`},
		{"schema " + o + "/access/fly", `[{"op":"add","path":"` + o + `/access/fly","value":{"users":{"ann":true}}}]`},
		{"unknown-type", `[{"op":"add","path":"/objects/` + absent + `","value":{"type":"Nope","body":{}}}]`},
		{"abstract-type", `[{"op":"add","path":"/objects/` + absent + `","value":{"type":"Entity","body":{}}}]`},
		{"edge-not-allowed", `[{"op":"add","path":"/edges/` + absent + `","value":{"label":"creator","from":"` + rec + `","to":"` + ds + `"}}]`},
		{"edge-required " + r, `[{"op":"remove","path":"` + e + `"}]`},
		{"type-immutable " + o + "/type", `[{"op":"replace","path":"` + o + `/type","value":"User"}]`},
		{"meta-immutable " + o + "/meta/version", `[{"op":"replace","path":"` + o + `/meta/version","value":1}]`},
	} {
		s.refused(ann, c.want, c.patch)
	}
	s.refused(ann, "invalid-version", `[]`, base(99))
	s.replays()
}

func TestAFailedTestTellsWhatIsThere(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	err := s.refused(ann, "test-failed", `[{"op":"test","path":"/objects/`+ds+`/body/name","value":"x"}]`)
	if string(err.Actual) != `"n"` || err.Version == nil || *err.Version != 1 || err.Op == nil || *err.Op != 0 {
		t.Errorf("actual %s, version %v, op %v", err.Actual, err.Version, err.Op)
	}
}

func TestWithoutEffectThereIsNoCommit(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	for _, p := range []string{`[]`,
		`[{"op":"replace","path":"/objects/` + ds + `/body/name","value":"n"}]`,
		`[{"op":"replace","path":"/objects/` + ds + `/body/size","value":1.0}]`,
		`[{"op":"test","path":"/objects/` + ds + `/body/name","value":"n"}]`,
		`[{"op":"add","path":"/objects/` + id() + `","value":{"type":"DataStore","body":{"name":"n"}}},{"op":"remove","path":"/objects/` + ds + `/body/tags/0"},{"op":"add","path":"/objects/` + ds + `/body/tags/0","value":"a"}]`,
	}[:4] {
		if v := s.do(ann, p); v != 1 {
			t.Errorf("%s: version %d", p, v)
		}
	}
	if s.head() != 1 {
		t.Errorf("head %d", s.head())
	}
}

func TestCascadesUnlinksAndRestrictions(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	rec, _ := s.record(ds)
	keeper, held := id(), id()
	s.do(admin, fmt.Sprintf(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Keeper","body":{}}},
		{"op":"add","path":"/edges/%[2]s","value":{"label":"keeps","from":"%[1]s","to":"%[3]s","body":{"why":"x"}}}]`, keeper, held, ds))
	s.refused(ann, "restricted /objects/"+ds, `[{"op":"remove","path":"/objects/`+ds+`"}]`)
	// The keeper goes in the same transaction: nothing restricts any more.
	v := s.do(admin, `[{"op":"remove","path":"/objects/`+ds+`"},{"op":"remove","path":"/objects/`+keeper+`"}]`)
	if s.object(ds) != nil || s.object(rec) != nil || s.edge(held) != nil {
		t.Error("something is left")
	}
	c := s.commits(v - 1)[0]
	if len(c.Changes) != 5 { // store, keeper, its edge, record, its edge
		t.Errorf("%d changes: %s", len(c.Changes), c.Done)
	}
	s.refused(ann, "exists", `[{"op":"add","path":"/objects/`+ds+`","value":{"type":"DataStore","body":{"name":"x"}}}]`)
	s.replays()
}

func TestCardinality(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds, other := s.dataStore(), s.dataStore()
	rec, edge := s.record(ds)
	moved := id()
	link := fmt.Sprintf(`{"op":"add","path":"/edges/%s","value":{"label":"dataStore","from":"%s","to":"%s"}}`, moved, rec, other)
	s.refused(ann, "cardinality", `[`+link+`]`)
	// Moving is legal in either order: only the final state counts.
	s.do(ann, `[`+link+`,{"op":"remove","path":"/edges/`+edge+`"}]`)
	// whenFull: replace
	u1, u2, e1, e2 := id(), id(), id(), id()
	s.do(ann, fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":"User","body":{}}},{"op":"add","path":"/objects/%s","value":{"type":"User","body":{}}},
		{"op":"add","path":"/edges/%s","value":{"label":"creator","from":"%s","to":"%s"}}]`, u1, u2, e1, ds, u1))
	s.do(ann, fmt.Sprintf(`[{"op":"add","path":"/edges/%s","value":{"label":"creator","from":"%s","to":"%s"}}]`, e2, ds, u2))
	if s.edge(e1) != nil || s.edge(e2) == nil {
		t.Error("the old edge did not make room")
	}
	// One Schema per DataStore.
	for i, want := range []string{"", "cardinality"} {
		p := fmt.Sprintf(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Schema","body":{}}},
			{"op":"add","path":"/edges/%[2]s","value":{"label":"schemaOf","from":"%[1]s","to":"%[3]s"}}]`, id(), id(), ds)
		if want == "" {
			s.do(ann, p)
		} else {
			s.refused(ann, want, p)
		}
		_ = i
	}
	s.replays()
}

func TestRights(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	rec, edge := s.record(ds)
	write := func(id, field, v string) string {
		return fmt.Sprintf(`[{"op":"add","path":"/objects/%s/body/%s","value":%s}]`, id, field, v)
	}
	s.refused(bob, "forbidden", write(ds, "name", `"b"`)) // same org, other team
	s.refused(eve, "not-found", write(ds, "name", `"b"`)) // other org
	s.refused(bob, "forbidden", write(rec, "rank", "1"))  // inherited
	s.refused(eve, "not-found", write(rec, "rank", "1"))
	s.refused(eve, "not-found", `[{"op":"remove","path":"/edges/`+edge+`"}]`)
	s.refused(bob, "forbidden", `[{"op":"remove","path":"/edges/`+edge+`"}]`)
	if e := s.refused(bob, "forbidden", addRecord(id(), id(), ds)); e.Right != "write" {
		t.Errorf("right %q", e.Right)
	}
	s.refused(eve, "not-found", addRecord(id(), id(), ds))
	// A comment asks `comment` of the store, which the whole org has.
	c := id()
	s.do(bob, fmt.Sprintf(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Comment","body":{"text":"hi"}}},
		{"op":"add","path":"/edges/%[2]s","value":{"label":"about","from":"%[1]s","to":"%[3]s"}}]`, c, id(), ds))
	s.refused(ann, "forbidden", write(c, "text", `"x"`))
	// A failing test tells nothing of what may not be read.
	s.refused(eve, "not-found", `[{"op":"test","path":"/objects/`+ds+`/body/name","value":"zzz"}]`)
	// Access is for who manages: the creator.
	grant := `[{"op":"add","path":"/objects/` + ds + `/access/write/users/bob","value":true}]`
	if e := s.refused(bob, "forbidden", grant); e.Right != "manage" {
		t.Errorf("right %q", e.Right)
	}
	s.do(ann, grant)
	s.do(bob, write(ds, "name", `"b"`))
	s.refused(ann, "forbidden", `[{"op":"add","path":"/objects/`+id()+`","value":{"type":"Vault","body":{}}}]`)
	s.refused(graph.Principal{Anonymous: true}, "forbidden", `[{"op":"add","path":"/objects/`+id()+`","value":{"type":"Free","body":{}}}]`)
	// Private by default, and an explicit access replaces the default whole.
	keeper := id()
	s.do(ann, `[{"op":"add","path":"/objects/`+keeper+`","value":{"type":"Keeper","body":{}}}]`)
	s.refused(bob, "not-found", write(keeper, "n", "1"))
	secret := id()
	s.do(ann, `[{"op":"add","path":"/objects/`+secret+`","value":{"type":"DataStore","body":{"name":"s"},"access":{"read":{"users":{"eve":true}}}}}]`)
	s.refused(bob, "not-found", write(secret, "name", `"x"`))
	s.refused(eve, "forbidden", write(secret, "name", `"x"`))
	s.replays()
}

func TestRightsOnNewObjectsAreThoseOfTheStateAfter(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	// A record made by a teammate is writable through the store it belongs to.
	rec := id()
	p := fmt.Sprintf(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Record","body":{"values":{}}}},
		{"op":"add","path":"/edges/%[2]s","value":{"label":"dataStore","from":"%[1]s","to":"%[3]s"}},
		{"op":"add","path":"/objects/%[1]s/body/rank","value":2}]`, rec, id(), ds)
	s.do(graph.Principal{User: "cid", Teams: []string{"red"}, Org: "acme"}, p)
	if got := string(s.object(rec).Body); got != `{"values":{},"rank":2}` {
		t.Errorf("body %s", got)
	}
}

func TestKeysMakeARetryHarmless(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := id()
	p := `[{"op":"add","path":"/objects/` + ds + `","value":{"type":"DataStore","body":{"name":"a"}}}]`
	v := s.do(ann, p, key("k1"))
	r, err := s.try(ann, p, key("k1"))
	if err != nil || !r.Replayed || r.Version != v || r.Mutation != "k1" {
		t.Errorf("%+v %v", r, err)
	}
	s.refused(ann, "mutation-conflict", `[{"op":"remove","path":"/objects/`+ds+`"}]`, key("k1"))
	// Another author's key is another key.
	s.do(bob, `[{"op":"add","path":"/objects/`+id()+`","value":{"type":"DataStore","body":{"name":"a"}}}]`, key("k1"))
	// A refusal is not remembered.
	bad := `[{"op":"test","path":"/objects/` + ds + `/body/name","value":"zzz"}]`
	s.refused(ann, "test-failed", bad, key("k2"))
	s.do(ann, `[{"op":"replace","path":"/objects/`+ds+`/body/name","value":"zzz"}]`, key("k2"))
	// An answer without effect still finds the earlier use.
	if r, err := s.try(ann, `[{"op":"replace","path":"/objects/`+ds+`/body/name","value":"zzz"}]`, key("k2")); err != nil || !r.Replayed || r.Version != 3 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestAKeyWithoutEffectIsRemembered(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	set := func(name string) string {
		return `[{"op":"replace","path":"/objects/` + ds + `/body/name","value":"` + name + `"}]`
	}
	if r, err := s.try(ann, set("n"), key("idle")); err != nil || r.Replayed || r.Version != 1 {
		t.Fatalf("without effect: %+v %v", r, err)
	}
	// A dry run remembers nothing.
	if dry, err := s.DryRun(t.Context(), s.graph, &graph.Mutation{Patch: []byte(set("n")), Author: ann, Key: "dry"}); err != nil || !dry.OK {
		t.Fatal(dry, err)
	}
	s.do(ann, set("else")) // somebody else's change
	if r, err := s.try(ann, set("n"), key("idle")); err != nil || !r.Replayed || r.Version != 1 {
		t.Errorf("sent again, when it would have an effect: %+v %v", r, err)
	}
	if got := string(s.object(ds).Body); !strings.Contains(got, `"else"`) {
		t.Errorf("the repeat was applied: %s", got)
	}
	s.refused(ann, "mutation-conflict", set("another"), key("idle"))
	if r, err := s.try(ann, set("dry"), key("dry")); err != nil || r.Replayed || r.Version != 3 {
		t.Errorf("after a dry run with the key: %+v %v", r, err)
	}
	if r, err := s.try(ann, set("dry"), key("idle again")); err != nil || r.Replayed || r.Version != 3 {
		t.Errorf("%+v %v", r, err)
	}
	if r, err := s.try(ann, set("dry"), key("idle again")); err != nil || !r.Replayed || r.Version != 3 {
		t.Errorf("sent again, still without effect: %+v %v", r, err)
	}
}

func TestManyAtOnceWithOneKeyCommitOnce(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	var wg sync.WaitGroup
	versions := make([]graph.Version, 40)
	for i := range versions {
		wg.Add(1)
		go func() {
			defer wg.Done()
			versions[i] = s.do(ann, `[{"op":"add","path":"/objects/`+ds+`/body/tags/-","value":"x"}]`, key("same"))
		}()
	}
	wg.Wait()
	for _, v := range versions {
		if v != 2 {
			t.Fatalf("versions %v", versions)
		}
	}
	if got := string(s.object(ds).Body); strings.Count(got, `"x"`) != 1 {
		t.Error(got)
	}
}

func TestBaseForgivesWhatOthersHaveDone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	rec, _ := s.record(ds)
	saw := s.head()
	s.do(ann, `[{"op":"remove","path":"/objects/`+rec+`"},{"op":"remove","path":"/objects/`+ds+`/body/tags/0"}]`)
	again := `[{"op":"remove","path":"/objects/` + rec + `"},{"op":"replace","path":"/objects/` + ds + `/body/name","value":"m"}]`
	s.refused(ann, "not-found", again)
	s.refused(eve, "not-found", again, base(saw))
	v := s.do(ann, again, base(saw))
	if c := s.commits(v - 1)[0]; strings.Contains(string(c.Done), "remove") {
		t.Errorf("the commit holds what was not done: %s", c.Done)
	}
	e := s.refused(ann, "test-failed /objects/"+ds+"/body/tags", `[{"op":"replace","path":"/objects/`+ds+`/body/tags/0","value":"z"}]`, base(saw))
	if string(e.Actual) != `["b"]` {
		t.Errorf("actual %s", e.Actual)
	}
	s.do(ann, `[{"op":"replace","path":"/objects/`+ds+`/body/tags/0","value":"z"}]`, base(v))
	// A member that another removed is removed.
	saw = s.head()
	s.do(ann, `[{"op":"remove","path":"/objects/`+ds+`/body/tags"}]`)
	s.do(ann, `[{"op":"remove","path":"/objects/`+ds+`/body/tags"}]`, base(saw))
	s.refused(ann, "path-missing", `[{"op":"remove","path":"/objects/`+ds+`/body/never"}]`, base(saw))
	// An edge that another has added is there.
	u, saw := id(), s.do(ann, `[{"op":"add","path":"/objects/`+id()+`","value":{"type":"User","body":{}}}]`)
	s.do(ann, `[{"op":"add","path":"/objects/`+u+`","value":{"type":"User","body":{}}},{"op":"add","path":"/edges/`+id()+`","value":{"label":"creator","from":"`+ds+`","to":"`+u+`"}}]`)
	link := `[{"op":"add","path":"/edges/` + id() + `","value":{"label":"creator","from":"` + ds + `","to":"` + u + `"}}]`
	s.refused(ann, "edge-exists", link)
	if v := s.do(ann, link, base(saw)); v != s.head() {
		t.Errorf("version %d", v)
	}
	// What else would be written on it has no place, and is not lost without a word.
	second, head := id(), s.head()
	for _, op := range []string{`"op":"add","path":"/edges/` + second + `/body/rank","value":1`, `"op":"test","path":"/edges/` + second + `/label","value":"creator"`} {
		e := s.refused(ann, "not-found", `[{"op":"add","path":"/edges/`+second+`","value":{"label":"creator","from":"`+ds+`","to":"`+u+`"}},{`+op+`}]`, base(saw))
		if e.Op == nil || *e.Op != 1 || !strings.Contains(e.Message, "load that one") {
			t.Errorf("%v at %v", e, e.Op)
		}
	}
	if v := s.head(); v != head {
		t.Errorf("a refused transaction wrote: %d, was %d", v, head)
	}
	s.replays()
}

func TestAnIndexThatOthersMovedIsRefusedThoughTheLengthIsTheSame(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	tags := "/objects/" + ds + "/body/tags"
	set := func(list string) graph.Version {
		return s.do(ann, `[{"op":"add","path":"`+tags+`","value":`+list+`}]`)
	}
	mine := `[{"op":"replace","path":"` + tags + `/2","value":"z"}]`
	for _, theirs := range []string{
		`[{"op":"remove","path":"` + tags + `/0"},{"op":"add","path":"` + tags + `/-","value":"e"}]`,
		`[{"op":"move","from":"` + tags + `/0","path":"` + tags + `/3"}]`,
		`[{"op":"add","path":"` + tags + `/1","value":"e"},{"op":"remove","path":"` + tags + `/4"}]`,
		`[{"op":"replace","path":"` + tags + `","value":["b","c","d","e"]}]`,
	} {
		saw := set(`["a","b","c","d"]`)
		s.do(ann, theirs)
		if e := s.refused(ann, "test-failed "+tags, mine, base(saw)); e.Actual == nil {
			t.Errorf("%s: what is there now is not told", theirs)
		}
	}
	// The same elements stand where they stood.
	for _, theirs := range []string{
		`[{"op":"replace","path":"` + tags + `/0","value":"e"}]`,
		`[{"op":"replace","path":"` + tags + `","value":["e","b","c","d"]}]`,
		`[{"op":"replace","path":"` + tags + `/2","value":"e"}]`,
		`[{"op":"replace","path":"` + tags + `/2","value":"d"}]`,
		`[{"op":"replace","path":"` + tags + `","value":["e","b","d","d"]}]`,
	} {
		saw := set(`["a","b","c","d"]`)
		s.do(ann, theirs)
		s.do(ann, mine, base(saw))
	}
	s.replays()
}

// What one transaction has compared is bounded, whatever it asks and others did.
func TestWhereElementsWentIsLookedForWithinABound(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	tags := "/objects/" + ds + "/body/tags"
	set := func(first int) graph.Version {
		list := make([]string, 2000)
		for i := range list {
			list[i] = fmt.Sprintf("%0100d", i+first)
		}
		value, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		return s.do(ann, `[{"op":"add","path":"`+tags+`","value":`+string(value)+`}]`)
	}
	mine := `[{"op":"replace","path":"` + tags + `/0","value":"z"},{"op":"replace","path":"` + tags + `/1","value":"z"}]`
	saw := set(0)
	for i := range 10 { // with other elements each time: none of them moved
		set(10_000 * (i + 1))
	}
	s.do(ann, mine, base(saw))
	saw = set(0)
	for i := range 45 { // more than a transaction may have compared
		set(10_000 * (i + 1))
	}
	s.refused(ann, "test-failed "+tags, mine, base(saw))
	s.do(ann, mine, base(s.head()))
}

func TestOperationsBelongToTheirExecutor(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	make := func(op, body, target string) string {
		p := `[{"op":"add","path":"/objects/` + op + `","value":{"type":"OperationRequest","body":` + body + `}}`
		if target != "" {
			p += `,{"op":"add","path":"/edges/` + id() + `","value":{"label":"target","from":"` + op + `","to":"` + target + `"}}`
		}
		return p + `]`
	}
	op := id()
	s.do(ann, make(op, `{"operation":"sync","params":{"project":"X"}}`, ds))
	var body map[string]any
	if err := json.Unmarshal(s.object(op).Body, &body); err != nil {
		t.Fatal(err)
	}
	if body["state"] != "pending" || body["done"] != false || body["cancel"] != false {
		t.Errorf("body %v", body)
	}
	s.refused(ann, "forbidden", make(id(), `{"operation":"sync","params":{},"done":true}`, ds))
	s.refused(ann, "schema", make(id(), `{"operation":"nope","params":{}}`, ds))
	s.refused(ann, "schema", make(id(), `{"operation":"sync","params":{"project":1}}`, ds))
	s.refused(ann, "edge-required", make(id(), `{"operation":"sync","params":{}}`, ""))
	s.refused(bob, "forbidden", make(id(), `{"operation":"sync","params":{}}`, ds))
	s.refused(ann, "forbidden", `[{"op":"replace","path":"/objects/`+op+`/body/done","value":true}]`)
	s.refused(ann, "forbidden", `[{"op":"replace","path":"/objects/`+op+`/body/warnings","value":7}]`) // whatever its form
	s.refused(admin, "forbidden", `[{"op":"replace","path":"/objects/`+op+`/body/state","value":"succeeded"}]`)
	s.refused(ann, "forbidden", `[{"op":"replace","path":"/objects/`+op+`/body","value":{"operation":"sync"}}]`)
	s.do(ann, `[{"op":"replace","path":"/objects/`+op+`/body/cancel","value":true}]`)
	// The executor sets the operation's fields whoever it acts for, and that is all.
	s.do(bob, `[{"op":"replace","path":"/objects/`+op+`/body/state","value":"running"}]`, executor)
	s.refused(bob, "forbidden", `[{"op":"replace","path":"/objects/`+op+`/body/state","value":"failed"},{"op":"replace","path":"/objects/`+ds+`/body/name","value":"x"}]`, executor)
	s.do(admin, `[{"op":"replace","path":"/objects/`+op+`/body/state","value":"cancelled"}]`, executor)
	s.replays()
}

func TestANewOperationHasTheDefaultsOfItsParams(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for asked, want := range map[string]string{
		`{"operation":"export"}`:                                           `{"format":"csv"}`,
		`{"operation":"export","params":{"opts":{}}}`:                      `{"opts":{"deep":true},"format":"csv"}`,
		`{"operation":"export","params":{"format":"tsv"}}`:                 `{"format":"tsv"}`,
		`{"operation":"export","params":{"format":"x","opts":{"deep":0}}}`: "",
	} {
		op := id()
		add := `[{"op":"add","path":"/objects/` + op + `","value":{"type":"OperationRequest","body":` + asked + `}}]`
		if want == "" {
			s.refused(ann, "schema", add)
			continue
		}
		s.do(ann, add)
		if got, _ := patch.Get(s.object(op).Body, patch.Pointer{"params"}); !patch.Equal(got, []byte(want)) {
			t.Errorf("%s: params %s, want %s", asked, got, want)
		}
	}
	s.replays()
}

func TestDryRunWritesNothingAndTellsEveryProblem(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	m := &graph.Mutation{Author: ann, Patch: []byte(`[{"op":"replace","path":"/objects/` + ds + `/body/name","value":"new"}]`)}
	res, err := s.DryRun(context.Background(), s.graph, m)
	if err != nil || !res.OK || len(res.Changes) != 1 || len(res.Rules) != 1 || !slices.Equal(res.Rules[0], []string{"changed"}) {
		t.Fatalf("%+v %v", res, err)
	}
	m.Patch = []byte(`[{"op":"remove","path":"/objects/` + id() + `"},{"op":"replace","path":"/objects/` + ds + `/body/none","value":1},{"op":"test","path":"/objects/` + ds + `/body/name","value":1}]`)
	res, err = s.DryRun(context.Background(), s.graph, m)
	if err != nil || res.OK || len(res.Problems) < 3 {
		t.Fatalf("%+v %v", res, err)
	}
	// A body that no failing operation touched is judged all the same.
	m.Patch = []byte(`[{"op":"remove","path":"/objects/` + id() + `"},{"op":"add","path":"/objects/` + id() + `","value":{"type":"DataStore","body":{"nme":1}}}]`)
	res, err = s.DryRun(context.Background(), s.graph, m)
	if err != nil || len(res.Problems) != 2 || res.Problems[1].Code != graph.CodeSchema {
		t.Fatalf("%+v %v", res, err)
	}
	if s.head() != 1 {
		t.Error("a dry run wrote")
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	s := setupOn(t, memstore.New(), graph.Limits{Operations: 5, TransactionBytes: 4000, BodyBytes: 1000, BodyDepth: 8, Touched: 6})
	ds := s.dataStore()
	limit := func(want, p string) {
		t.Helper()
		if e := s.refused(ann, "too-large", p); e.Limit != want {
			t.Errorf("limit %q, want %q", e.Limit, want)
		}
	}
	op := `{"op":"test","path":"/objects/` + ds + `/body/name","value":"n"}`
	limit("operations", `[`+strings.Repeat(op+",", 5)+op+`]`)
	limit("transactionBytes", `[`+strings.Repeat(" ", 4000)+`]`)
	limit("bodyBytes", `[{"op":"replace","path":"/objects/`+ds+`/body/tags","value":["`+strings.Repeat("x", 1000)+`"]}]`)
	limit("bodyBytes", `[{"op":"add","path":"/objects/`+id()+`","value":{"type":"Free","body":{"x":"`+strings.Repeat("x", 1000)+`"}}}]`)
	limit("bodyDepth", `[{"op":"add","path":"/objects/`+id()+`","value":{"type":"Free","body":{"x":`+strings.Repeat("[", 9)+strings.Repeat("]", 9)+`}}}]`)
	for range 3 {
		s.record(ds)
	}
	limit("touched", `[{"op":"remove","path":"/objects/`+ds+`"}]`)
}

func TestNumbersKeepTheirDecimals(t *testing.T) {
	t.Parallel()
	s := setup(t)
	o := id()
	body := `{"a":12345678901234567890,"b":0.1,"c":-0.0,"d":1.10}`
	s.do(ann, `[{"op":"add","path":"/objects/`+o+`","value":{"type":"Free","body":`+body+`}}]`)
	if got := string(s.object(o).Body); got != body {
		t.Errorf("got %s", got)
	}
}

func TestADryRunTellsNothingOfWhatMayNotBeRead(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	m := &graph.Mutation{Author: eve, Patch: []byte(`[{"op":"test","path":"/objects/` + ds + `/body/name","value":"guess"},{"op":"remove","path":"/objects/` + ds + `"}]`)}
	res, err := s.DryRun(context.Background(), s.graph, m)
	if err != nil || len(res.Problems) != 2 {
		t.Fatalf("%+v %v", res, err)
	}
	for _, p := range res.Problems {
		if p.Code != graph.CodeNotFound || p.Actual != nil {
			t.Errorf("%v", p)
		}
	}
	if len(res.Changes) != 0 {
		t.Error("changes are shown")
	}
}

func TestAnEmptyPatchOfAnAbsentEntityIsRefused(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	for _, c := range []struct{ id, code string }{{ds, ""}, {id(), "not-found"}} {
		_, err := s.Submit(context.Background(), s.graph, &graph.Mutation{Author: ann, Prefix: "/objects/" + c.id, Patch: []byte(`[]`)})
		if got := string(graph.CodeOf(err)); got != c.code {
			t.Errorf("%s: %v, want %q", c.id, err, c.code)
		}
	}
}

// A session that sends several transactions on one base has its own earlier
// ones in mind.
func TestBaseKnowsWhatTheSessionItselfDid(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	saw := s.head()
	session := func(name string) mutate { return func(m *graph.Mutation) { m.Session = name } }
	insert := `[{"op":"add","path":"/objects/` + ds + `/body/tags/0","value":"x"}]`
	change := `[{"op":"replace","path":"/objects/` + ds + `/body/tags/1","value":"y"}]`
	s.do(ann, insert, base(saw), session("one"))
	s.refused(ann, "test-failed", change, base(saw), session("two"))
	s.do(ann, change, base(saw), session("one"))
	if got := string(s.object(ds).Body); !strings.Contains(got, `["x","y","b"]`) {
		t.Errorf("body %s", got)
	}
	// Two changes that leave the length as it was are changes all the same.
	saw = s.head()
	s.do(ann, `[{"op":"remove","path":"/objects/`+ds+`/body/tags/0"}]`)
	s.do(ann, `[{"op":"add","path":"/objects/`+ds+`/body/tags/-","value":"z"}]`)
	s.refused(ann, "test-failed", change, base(saw))
}

func TestASchemaFaultNamesTheOperationAtFault(t *testing.T) {
	t.Parallel()
	s := setup(t)
	o := "/objects/" + s.dataStore() + "/body"
	for _, c := range []struct {
		op    int
		patch string
	}{
		{1, `[{"op":"replace","path":"` + o + `/name","value":"ok"},{"op":"add","path":"` + o + `/tags/-","value":7}]`},
		{0, `[{"op":"replace","path":"` + o + `/name","value":""},{"op":"add","path":"` + o + `/tags/-","value":"x"}]`},
		{1, `[{"op":"replace","path":"` + o + `/size","value":2},{"op":"remove","path":"` + o + `/name"}]`},
	} {
		if e := s.refused(ann, "schema", c.patch); e.Op == nil || *e.Op != c.op {
			t.Errorf("%s: op %v, want %d", c.patch, e.Op, c.op)
		}
	}
}

func TestOperationsThatAlternateBetweenEntitiesGiveWhatTheirOrderSays(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a, b := s.dataStore(), s.dataStore()
	oa, ob := "/objects/"+a+"/body", "/objects/"+b+"/body"
	s.do(ann, `[{"op":"add","path":"`+oa+`/tags/-","value":"1"},{"op":"add","path":"`+ob+`/tags/-","value":"2"},
		{"op":"add","path":"`+oa+`/tags/0","value":"3"},{"op":"test","path":"`+ob+`/tags/2","value":"2"},{"op":"test","path":"`+oa+`/tags","value":["3","a","b","1"]}]`)
	// The first fault in the patch is told, on whichever entity it is.
	e := s.refused(ann, "path-missing", `[{"op":"replace","path":"`+oa+`/size","value":5},{"op":"remove","path":"`+ob+`/none"},{"op":"remove","path":"`+oa+`/none"}]`)
	if *e.Op != 1 {
		t.Errorf("op %d", *e.Op)
	}
	e = s.refused(ann, "not-found", `[{"op":"replace","path":"`+oa+`/size","value":5},{"op":"remove","path":"/objects/`+a+`"},{"op":"replace","path":"`+oa+`/size","value":6}]`)
	if *e.Op != 2 {
		t.Errorf("op %d", *e.Op)
	}
	// A body may be anything on the way; it counts what it is in the end.
	s.do(ann, `[{"op":"replace","path":"`+oa+`","value":[]},{"op":"test","path":"`+ob+`/name","value":"n"},{"op":"replace","path":"`+oa+`","value":{"name":"again"}}]`)
	s.replays()
}

// 1,000 operations in turn on two bodies of 250 KB open each body once.
func TestAlternatingOperationsOnLargeBodiesAreBoundedWork(t *testing.T) {
	s := setup(t)
	a, b := id(), id()
	large := `{"n":0,"x":"` + strings.Repeat("y", 250_000) + `"}`
	for _, o := range []string{a, b} {
		s.do(ann, `[{"op":"add","path":"/objects/`+o+`","value":{"type":"Free","body":`+large+`}}]`)
	}
	var p strings.Builder
	for i := range 500 {
		fmt.Fprintf(&p, `,{"op":"replace","path":"/objects/%s/body/n","value":%d},{"op":"replace","path":"/objects/%s/body/n","value":%d}`, a, i, b, i)
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	start := stats.TotalAlloc
	s.do(ann, "["+p.String()[1:]+"]")
	runtime.ReadMemStats(&stats)
	// Other tests allocate beside this one; one copy of a body for each operation
	// would be 250 MB.
	if used := stats.TotalAlloc - start; used > 200<<20 {
		t.Errorf("%d MB were allocated", used>>20)
	}
}
