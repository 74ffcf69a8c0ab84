package systest

import (
	"fmt"
	"strings"
	"testing"
)

func f(format string, args ...any) string { return fmt.Sprintf(format, args...) }

func TestOneTransactionCreatesLinksAndChanges(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	a, b, e := newID(), newID(), newID()
	r := ann.patch(f(`[
		{"op":"add","path":"/objects/%[1]s","value":{"type":"Node","body":{"n":1}}},
		{"op":"add","path":"/objects/%[2]s","value":{"type":"Node","body":{}}},
		{"op":"add","path":"/edges/%[3]s","value":{"label":"next","from":"%[1]s","to":"%[2]s"}},
		{"op":"replace","path":"/objects/%[1]s/body/n","value":2},
		{"op":"test","path":"/objects/%[1]s/body/n","value":2.0},
		{"op":"add","path":"/objects/%[2]s/body/x","value":[1,2]},
		{"op":"move","path":"/objects/%[2]s/body/y","from":"/objects/%[2]s/body/x"},
		{"op":"copy","path":"/objects/%[2]s/body/z","from":"/objects/%[2]s/body/y/0"}]`, a, b, e)).want(200)
	r.json().is("version", `1`).is("replayed", `false`).is("graph", f(`%q`, w.graph))
	if got := r.header.Get("ETag"); got != `"1"` {
		t.Errorf("ETag %s", got)
	}
	ann.object(a).want(200).json().is("body", `{"n":2}`).is("type", `"Node"`).is("id", f(`%q`, a)).is("meta.version", `1`).
		is("meta.createdVersion", `1`).is("meta.createdBy", `"ann"`).is("meta.updatedBy", `"ann"`)
	ann.object(b).want(200).json().is("body", `{"y":[1,2],"z":1}`)
	ann.edge(e).want(200).json().is("id", f(`%q`, e)).is("label", `"next"`).is("from", f(`%q`, a)).is("to", f(`%q`, b)).is("body", `{}`).is("meta.version", `1`)
	ann.get(w.path("")).json().is("objects", `2`).is("edges", `1`).is("version", `1`)
}

// TestWhatATransactionMayNotDo is the table of refusals: the code, the path and
// the index of the operation at fault.
func TestWhatATransactionMayNotDo(t *testing.T) {
	t.Parallel()
	w := setup(t)
	root := w.as("root")
	ann := w.as("ann")
	o := ann.create("Node", `{"a":{"b":[1,2,3]},"s":"x"}`)
	o2 := ann.create("Node", `{}`)
	e := ann.link("next", o, o2)
	doc := ann.create("Doc", `{"n":1}`)
	strict := ann.create("Strict", `{"title":"t"}`)
	private := w.as("bob").create("Private", `{"secret":1}`)
	gone := ann.create("Doc", `{}`)
	ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, gone))
	head := root.head()
	none := newID()

	for name, c := range map[string]struct {
		ops, code, path string
		op              int // -1: none asked for
	}{
		"not JSON":                {`[`, "invalid-json", "-", -1},
		"two values":              {`[] []`, "invalid-json", "-", -1},
		"a number":                {`1`, "invalid-patch", "-", -1},
		"null":                    {`null`, "invalid-patch", "-", -1},
		"an object":               {`{}`, "invalid-patch", "-", -1},
		"an op that is no object": {`[1]`, "invalid-patch", "-", 0},
		"no op":                   {f(`[{"path":"/objects/%s/body/x","value":1}]`, o), "invalid-patch", "-", 0},
		"an unknown op":           {f(`[{"op":"upsert","path":"/objects/%s/body/x","value":1}]`, o), "invalid-patch", "-", 0},
		"op in capitals":          {f(`[{"op":"ADD","path":"/objects/%s/body/x","value":1}]`, o), "invalid-patch", "-", 0},
		"no path":                 {`[{"op":"add","value":1}]`, "invalid-patch", "-", 0},
		"a path that is a number": {`[{"op":"add","path":1,"value":1}]`, "invalid-patch", "-", 0},
		"no value":                {f(`[{"op":"add","path":"/objects/%s/body/x"}]`, o), "invalid-patch", "-", 0},
		"no value in test":        {f(`[{"op":"test","path":"/objects/%s/body/x"}]`, o), "invalid-patch", "-", 0},
		"no from":                 {f(`[{"op":"move","path":"/objects/%s/body/x"}]`, o), "invalid-patch", "-", 0},
		"no slash":                {`[{"op":"add","path":"objects","value":1}]`, "invalid-patch", "-", 0},
		"a bad escape":            {f(`[{"op":"add","path":"/objects/%s/body/~2","value":1}]`, o), "invalid-patch", "-", 0},
		"a bad escape at the end": {f(`[{"op":"add","path":"/objects/%s/body/a~","value":1}]`, o), "invalid-patch", "-", 0},
		"the whole document":      {`[{"op":"replace","path":"","value":{}}]`, "invalid-patch", "", 0},
		"all objects":             {`[{"op":"remove","path":"/objects"}]`, "invalid-patch", "/objects", 0},
		"test of all objects":     {`[{"op":"test","path":"/objects","value":{}}]`, "invalid-patch", "/objects", 0},
		"another root":            {`[{"op":"add","path":"/things/1","value":{}}]`, "invalid-patch", "/things/1", 0},
		"replace an object":       {f(`[{"op":"replace","path":"/objects/%s","value":{"type":"Node","body":{}}}]`, o), "invalid-patch", "/objects/" + o, 0},
		"test an object":          {f(`[{"op":"test","path":"/objects/%s","value":{}}]`, o), "invalid-patch", "/objects/" + o, 0},
		"copy an object":          {f(`[{"op":"copy","path":"/objects/%s","from":"/objects/%s"}]`, o2, o), "invalid-patch", "-", 0},
		"move an edge":            {f(`[{"op":"move","path":"/edges/%[1]s","from":"/edges/%[1]s"}]`, e), "invalid-patch", "-", 0},
		"replace an edge":         {f(`[{"op":"replace","path":"/edges/%s","value":{"label":"next","from":"%s","to":"%s"}}]`, e, o, o2), "invalid-patch", "/edges/" + e, 0},
		"an edge's label":         {f(`[{"op":"replace","path":"/edges/%s/label","value":"one"}]`, e), "invalid-patch", "-", 0},
		"an edge's end":           {f(`[{"op":"replace","path":"/edges/%s/from","value":"%s"}]`, e, o2), "invalid-patch", "-", 0},
		"another member":          {f(`[{"op":"add","path":"/objects/%s/creator","value":1}]`, o), "invalid-patch", "-", 0},
		"from of another object":  {f(`[{"op":"copy","path":"/objects/%s/body/x","from":"/objects/%s/body/s"}]`, o2, o), "invalid-patch", "-", 0},
		"from outside the body":   {f(`[{"op":"copy","path":"/objects/%s/body/x","from":"/objects/%s/meta"}]`, o, o), "invalid-patch", "-", 0},
		"move into itself":        {f(`[{"op":"move","path":"/objects/%s/body/a/b/0","from":"/objects/%s/body/a"}]`, o, o), "invalid-patch", "-", 0},
		"an id that is none":      {`[{"op":"remove","path":"/objects/17"}]`, "invalid-id", "-", 0},
		"an edge id that is none": {`[{"op":"remove","path":"/edges/x"}]`, "invalid-id", "-", 0},
		"an edge's end, no id":    {f(`[{"op":"add","path":"/edges/%s","value":{"label":"next","from":"%s","to":"y"}}]`, newID(), o), "invalid-id", "-", 0},

		"write to the type":         {f(`[{"op":"replace","path":"/objects/%s/type","value":"Doc"}]`, o), "type-immutable", f("/objects/%s/type", o), 0},
		"write to meta":             {f(`[{"op":"replace","path":"/objects/%s/meta/version","value":7}]`, o), "meta-immutable", f("/objects/%s/meta/version", o), 0},
		"write to all of meta":      {f(`[{"op":"remove","path":"/objects/%s/meta"}]`, o), "meta-immutable", f("/objects/%s/meta", o), 0},
		"write to an edge's meta":   {f(`[{"op":"replace","path":"/edges/%s/meta/version","value":7}]`, e), "meta-immutable", "-", 0},
		"meta at creation":          {f(`[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{},"meta":{}}}]`, newID()), "unknown-field", "-", 0},
		"an unknown member":         {f(`[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{},"tpye":1}}]`, newID()), "unknown-field", "-", 0},
		"an unknown member of edge": {f(`[{"op":"add","path":"/edges/%s","value":{"label":"one","from":"%s","to":"%s","x":1}}]`, newID(), o, o2), "unknown-field", "-", 0},

		"a taken id":              {f(`[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{}}}]`, o), "exists", "/objects/" + o, 0},
		"the id of a removed one": {f(`[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{}}}]`, gone), "exists", "/objects/" + gone, 0},
		"made twice":              {f(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Doc","body":{}}},{"op":"add","path":"/objects/%[1]s","value":{"type":"Doc","body":{}}}]`, none), "exists", "/objects/" + none, 1},
		"made, removed and made":  {f(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Doc","body":{}}},{"op":"remove","path":"/objects/%[1]s"},{"op":"add","path":"/objects/%[1]s","value":{"type":"Doc","body":{}}}]`, none), "exists", "/objects/" + none, 2},
		"a taken edge id":         {f(`[{"op":"add","path":"/edges/%s","value":{"label":"one","from":"%s","to":"%s"}}]`, e, o, o2), "exists", "/edges/" + e, 0},
		"the same edge":           {f(`[{"op":"add","path":"/edges/%s","value":{"label":"next","from":"%s","to":"%s"}}]`, none, o, o2), "edge-exists", "/edges/" + none, 0},

		"absent object":            {f(`[{"op":"remove","path":"/objects/%s"}]`, none), "not-found", "/objects/" + none, 0},
		"absent, in its body":      {f(`[{"op":"add","path":"/objects/%s/body/x","value":1}]`, none), "not-found", "-", 0},
		"absent, bad op too":       {f(`[{"op":"replace","path":"/objects/%s/type","value":1}]`, none), "not-found", "-", 0},
		"absent, unknown member":   {f(`[{"op":"replace","path":"/objects/%s/foo","value":1}]`, none), "not-found", "-", 0},
		"hidden object":            {f(`[{"op":"remove","path":"/objects/%s"}]`, private), "not-found", "/objects/" + private, 0},
		"hidden, bad op too":       {f(`[{"op":"replace","path":"/objects/%s/meta","value":1}]`, private), "not-found", "-", 0},
		"hidden, test":             {f(`[{"op":"test","path":"/objects/%s/body/secret","value":2}]`, private), "not-found", "-", 0},
		"removed object":           {f(`[{"op":"add","path":"/objects/%s/body/x","value":1}]`, gone), "not-found", "-", 0},
		"absent edge":              {f(`[{"op":"remove","path":"/edges/%s"}]`, none), "not-found", "/edges/" + none, 0},
		"edge to an absent object": {f(`[{"op":"add","path":"/edges/%s","value":{"label":"next","from":"%s","to":"%s"}}]`, newID(), o, none), "not-found", "-", 0},
		"edge to a hidden object":  {f(`[{"op":"add","path":"/edges/%s","value":{"label":"next","from":"%s","to":"%s"}}]`, newID(), o, private), "not-found", "-", 0},
		"used after its removal":   {f(`[{"op":"remove","path":"/objects/%[1]s"},{"op":"add","path":"/objects/%[1]s/body/x","value":1}]`, doc), "not-found", "-", 1},
		"used before it is made":   {f(`[{"op":"add","path":"/objects/%[1]s/body/x","value":1},{"op":"add","path":"/objects/%[1]s","value":{"type":"Doc","body":{}}}]`, none), "not-found", "-", 0},
		"the second operation":     {f(`[{"op":"test","path":"/objects/%[1]s/body/n","value":1},{"op":"remove","path":"/objects/%[2]s"}]`, doc, none), "not-found", "/objects/" + none, 1},

		"a path that is missing":   {f(`[{"op":"remove","path":"/objects/%s/body/x"}]`, o), "path-missing", f("/objects/%s/body/x", o), 0},
		"replace what is missing":  {f(`[{"op":"replace","path":"/objects/%s/body/x","value":1}]`, o), "path-missing", "-", 0},
		"a missing parent":         {f(`[{"op":"add","path":"/objects/%s/body/x/y","value":1}]`, o), "path-missing", "-", 0},
		"below a string":           {f(`[{"op":"add","path":"/objects/%s/body/s/y","value":1}]`, o), "path-missing", "-", 0},
		"beyond an array":          {f(`[{"op":"add","path":"/objects/%s/body/a/b/4","value":1}]`, o), "path-missing", "-", 0},
		"remove at the dash":       {f(`[{"op":"remove","path":"/objects/%s/body/a/b/-"}]`, o), "path-missing", "-", 0},
		"a missing from":           {f(`[{"op":"copy","path":"/objects/%[1]s/body/y","from":"/objects/%[1]s/body/x"}]`, o), "path-missing", "-", 0},
		"a failed test":            {f(`[{"op":"test","path":"/objects/%s/body/s","value":"y"}]`, o), "test-failed", f("/objects/%s/body/s", o), 0},
		"a test of the version":    {f(`[{"op":"test","path":"/objects/%s/meta/version","value":77}]`, o), "test-failed", f("/objects/%s/meta/version", o), 0},
		"a test of the type":       {f(`[{"op":"test","path":"/objects/%s/type","value":"Doc"}]`, o), "test-failed", f("/objects/%s/type", o), 0},
		"an unknown type":          {f(`[{"op":"add","path":"/objects/%s","value":{"type":"Unheard","body":{}}}]`, newID()), "unknown-type", "-", 0},
		"an abstract type":         {f(`[{"op":"add","path":"/objects/%s","value":{"type":"Entity","body":{}}}]`, newID()), "abstract-type", "-", 0},
		"the built-in Object":      {f(`[{"op":"add","path":"/objects/%s","value":{"type":"Object","body":{}}}]`, newID()), "abstract-type", "-", 0},
		"a body against its form":  {f(`[{"op":"add","path":"/objects/%s","value":{"type":"Strict","body":{"title":""}}}]`, newID()), "schema", "-", -1},
		"an unknown property":      {f(`[{"op":"add","path":"/objects/%s/body/x","value":1}]`, strict), "schema", "-", -1},
		"a body that is no object": {f(`[{"op":"replace","path":"/objects/%s/body","value":[]}]`, doc), "schema", "-", -1},
		"an edge nobody declares":  {f(`[{"op":"add","path":"/edges/%s","value":{"label":"friend","from":"%s","to":"%s"}}]`, newID(), o, o2), "edge-not-allowed", "-", -1},
		"an edge of one side":      {f(`[{"op":"add","path":"/edges/%s","value":{"label":"outOnly","from":"%s","to":"%s"}}]`, newID(), o, o2), "edge-not-allowed", "-", -1},
		"a required edge missing":  {f(`[{"op":"add","path":"/objects/%s","value":{"type":"Record","body":{}}}]`, newID()), "edge-required", "-", -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := c
			cl := *ann
			cl.t = t
			p := cl.patch(c.ops).problem(c.code)
			if c.path != "-" && (!p.has("path") || p.str("path") != c.path) {
				t.Errorf("path: want %q in %s", c.path, p)
			}
			if c.op >= 0 && (!p.has("op") || p.int("op") != c.op) {
				t.Errorf("op: want %d in %s", c.op, p)
			}
			if strings.Contains(p.String(), private) && !strings.Contains(c.ops, private) {
				t.Errorf("names the hidden object: %s", p)
			}
		})
	}
	t.Cleanup(func() {
		if got := root.head(); got != head {
			t.Errorf("refused transactions made commits: version %d, was %d", got, head)
		}
	})
}

func TestMembersOfProblems(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	o := ann.create("Doc", `{"n":{"x":[1]}}`)
	v := ann.head()
	ann.patch(f(`[{"op":"test","path":"/objects/%s/body/n","value":1}]`, o)).problem("test-failed").is("actual", `{"x":[1]}`).is("version", f(`%d`, v))
	ann.patch(f(`[{"op":"test","path":"/objects/%s/body/absent","value":null}]`, o)).problem("path-missing")

	p := ann.patch(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Strict","body":{"title":"","n":-1,"foo":2,"tags":[1]}}}]`, newID())).problem("schema")
	if n := len(p.list("errors")); n < 4 {
		t.Errorf("%d of 4 violations: %s", n, p)
	}
	paths := map[string]bool{}
	for _, e := range p.list("errors") {
		if e.str("message") == "" {
			t.Errorf("no message: %s", e)
		}
		paths[e.str("path")] = true
	}
	if p.int("schemaVersion") < 1 {
		t.Errorf("schemaVersion: %s", p)
	}
	for _, want := range []string{"/title", "/n", "/tags/0"} {
		found := false
		for got := range paths {
			found = found || strings.HasSuffix(got, "/body"+want)
		}
		if !found {
			t.Errorf("no violation at %s: %v", want, paths)
		}
	}

	n := ann.create("Node", `{}`)
	for label, side := range map[string]string{"friend": "both", "outOnly": "to", "inOnly": "from"} {
		ann.patch(f(`[{"op":"add","path":"/edges/%s","value":{"label":%q,"from":"%s","to":"%s"}}]`, newID(), label, n, n)).
			problem("edge-not-allowed").is("side", f("%q", side))
	}
	s := ann.create("Shared", `{}`)
	w.as("bob").commit(f(`[{"op":"add","path":"/objects/%s/body/x","value":1}]`, s)) // named in the access
	w.as("dan").commit(f(`[{"op":"add","path":"/objects/%s/body/x","value":2}]`, s)) // of ann's team
	d := ann.create("DataStore", `{"name":"d"}`)
	w.as("bob").patch(f(`[{"op":"add","path":"/objects/%s/body/rank","value":1}]`, d)).problem("forbidden").is("right", `"write"`)
	w.as("bob").patch(f(`[{"op":"add","path":"/objects/%s/access/read","value":{}}]`, d)).problem("forbidden").is("right", `"manage"`)
	w.as("bob").patch(f(`[{"op":"remove","path":"/objects/%s"}]`, d)).problem("forbidden").is("right", `"write"`).is("op", `0`)
}

func TestNothingChangedIsNoCommit(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	ann.patch(`[]`).want(200).json().is("version", `0`)
	o := ann.create("Doc", `{"n":1}`)
	v := ann.head()
	for _, ops := range []string{
		`[]`,
		f(`[{"op":"test","path":"/objects/%s/body/n","value":1}]`, o),
		f(`[{"op":"replace","path":"/objects/%s/body/n","value":1}]`, o),
		f(`[{"op":"replace","path":"/objects/%s/body/n","value":1.0}]`, o),
		f(`[{"op":"add","path":"/objects/%[1]s/body/x","value":1},{"op":"remove","path":"/objects/%[1]s/body/x"}]`, o),
		f(`[{"op":"move","path":"/objects/%[1]s/body/n","from":"/objects/%[1]s/body/n"}]`, o),
	} {
		r := ann.patch(ops).want(200)
		if got := r.int("version"); got != v {
			t.Errorf("%s made version %d", ops, got)
		}
		if r.header.Get("ETag") != f(`"%d"`, v) {
			t.Errorf("ETag %q", r.header.Get("ETag"))
		}
	}
	// Made and removed in one transaction leaves nothing either.
	x := newID()
	if got := ann.commit(f(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Doc","body":{}}},{"op":"remove","path":"/objects/%[1]s"}]`, x)); got != v {
		t.Errorf("made and removed: version %d, was %d", got, v)
	}
	ann.object(x).problem("not-found")
}

func TestRemovalTakesEdgesInTheSameCommit(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	a, b, c := ann.create("Node", `{}`), ann.create("Node", `{}`), ann.create("Node", `{}`)
	e1, e2 := ann.link("next", a, b), ann.link("next", b, c)
	bMeta := ann.object(c).json().at("meta").String()
	v := ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, b))
	ann.edge(e1).problem("not-found")
	ann.edge(e2).problem("not-found")
	if got := ann.object(c).json().at("meta").String(); got != bMeta {
		t.Errorf("a change of an edge touched its end: %s, was %s", got, bMeta)
	}
	commit := ann.get(w.path(f("/log?since=%d", v-1))).want(200).json().at("commits.0")
	ops := map[string]bool{}
	for _, op := range commit.list("patch") {
		ops[op.str("op")+" "+op.str("path")] = true
	}
	for _, want := range []string{"remove /objects/" + b, "remove /edges/" + e1, "remove /edges/" + e2} {
		if !ops[want] {
			t.Errorf("the commit's patch lacks %s: %s", want, commit)
		}
	}
}

func TestOnDelete(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")

	// restrict: the declaring object forbids the deletion of the far one.
	a, b := ann.create("Node", `{}`), ann.create("Node", `{}`)
	ann.link("hold", a, b)
	ann.patch(f(`[{"op":"remove","path":"/objects/%s"}]`, b)).problem("restricted")
	ann.commit(f(`[{"op":"remove","path":"/objects/%s"},{"op":"remove","path":"/objects/%s"}]`, b, a)) // judged on the state after the last op

	a, b = ann.create("Node", `{}`), ann.create("Node", `{}`)
	h := ann.link("hold", a, b)
	ann.commit(f(`[{"op":"remove","path":"/edges/%s"},{"op":"remove","path":"/objects/%s"}]`, h, b))
	ann.object(a).want(200)

	// cascade: it goes too, to any depth, in one commit.
	ids := make([]string, 4)
	for i := range ids {
		ids[i] = ann.create("Node", `{}`)
		if i > 0 {
			ann.link("follow", ids[i], ids[i-1])
		}
	}
	before := ann.head()
	v := ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, ids[0]))
	if v != before+1 {
		t.Errorf("cascade took %d commits", v-before)
	}
	for _, id := range ids {
		ann.object(id).problem("not-found")
	}

	// a circle of cascades goes whole.
	a, b = ann.create("Node", `{}`), ann.create("Node", `{}`)
	ann.link("follow", a, b)
	ann.link("follow", b, a)
	ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, a))
	ann.object(b).problem("not-found")

	// restrict reached by a cascade forbids the whole.
	a, b = ann.create("Node", `{}`), ann.create("Node", `{}`)
	c := ann.create("Node", `{}`)
	ann.link("follow", b, a)
	ann.link("hold", c, b)
	ann.patch(f(`[{"op":"remove","path":"/objects/%s"}]`, a)).problem("restricted")
	ann.object(a).want(200)

	// unlink: it stays.
	a, b = ann.create("Node", `{}`), ann.create("Node", `{}`)
	e := ann.link("loose", a, b)
	ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, b))
	ann.object(a).want(200)
	ann.edge(e).problem("not-found")
}

func TestCascadesAskNoRightOnTheFarObject(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	store := ann.create("DataStore", `{"name":"s"}`)
	comment := newID()
	w.as("bob").commit(f(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Comment","body":{"text":"hm"}}},
		{"op":"add","path":"/edges/%[2]s","value":{"label":"about","from":"%[1]s","to":"%[3]s"}}]`, comment, newID(), store))
	ann.object(comment).want(200) // read is inherited
	ann.patch(f(`[{"op":"remove","path":"/objects/%s"}]`, comment)).problem("forbidden")
	ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, store))
	w.as("bob").object(comment).problem("not-found")
}

func TestCounts(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	a, b, c, d := ann.create("Node", `{}`), ann.create("Node", `{}`), ann.create("Node", `{}`), ann.create("Node", `{}`)
	add := func(id, label, from, to string) string {
		return f(`{"op":"add","path":"/edges/%s","value":{"label":%q,"from":%q,"to":%q}}`, id, label, from, to)
	}

	e := ann.link("one", a, b)
	ann.patch(`[` + add(newID(), "one", a, c) + `]`).problem("cardinality")
	// Counted after the last op, in whichever order the ops stand.
	e2 := newID()
	ann.commit(f(`[%s,{"op":"remove","path":"/edges/%s"}]`, add(e2, "one", a, c), e))
	ann.edge(e2).want(200)

	// The inbound side counts too.
	ann.link("few", a, d)
	ann.link("few", b, d)
	ann.patch(`[` + add(newID(), "few", c, d) + `]`).problem("cardinality")

	// whenFull: replace takes the old one's place, on either side.
	s1 := ann.link("swap", a, b)
	v := ann.head()
	s2 := ann.link("swap", a, c)
	ann.edge(s1).problem("not-found")
	ann.edge(s2).want(200)
	commit := ann.get(w.path(f("/log?since=%d", v))).json().at("commits.0")
	if !strings.Contains(commit.String(), s1) || !strings.Contains(commit.String(), s2) {
		t.Errorf("the commit's patch is its whole effect: %s", commit)
	}
	s3 := ann.link("swap", d, c)
	ann.edge(s2).problem("not-found")
	ann.edge(s3).want(200)

	// required: a Record without its DataStore cannot be, nor lose it.
	store := ann.create("DataStore", `{"name":"s"}`)
	r, re := newID(), newID()
	ann.commit(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Record","body":{}}},%s]`, r, add(re, "dataStore", r, store)))
	ann.patch(f(`[{"op":"remove","path":"/edges/%s"}]`, re)).problem("edge-required")
	other := ann.create("DataStore", `{"name":"o"}`)
	ann.patch(f(`[%s]`, add(newID(), "dataStore", r, other))).problem("cardinality")
	ann.commit(f(`[{"op":"remove","path":"/edges/%s"},%s]`, re, add(newID(), "dataStore", r, other)))
	ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, store))
	ann.object(r).want(200)
	ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, other))
	ann.object(r).problem("not-found")
}

func TestBodiesOfEdges(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	a, b, e := ann.create("Node", `{}`), ann.create("Node", `{}`), newID()
	ann.patch(f(`[{"op":"add","path":"/edges/%s","value":{"label":"weighed","from":"%s","to":"%s","body":{"x":1}}}]`, e, a, b)).problem("schema")
	ann.patch(f(`[{"op":"add","path":"/edges/%s","value":{"label":"weighed","from":"%s","to":"%s"}}]`, e, a, b)).problem("schema")
	ann.commit(f(`[{"op":"add","path":"/edges/%s","value":{"label":"weighed","from":"%s","to":"%s","body":{"rank":1}}}]`, e, a, b))
	v := ann.commit(f(`[{"op":"replace","path":"/edges/%[1]s/body/rank","value":2},{"op":"add","path":"/edges/%[1]s/body/label","value":"l"},
		{"op":"test","path":"/edges/%[1]s/body/rank","value":2},{"op":"test","path":"/edges/%[1]s/meta/createdBy","value":"ann"}]`, e))
	ann.edge(e).json().is("body", `{"rank":2,"label":"l"}`).is("meta.version", f("%d", v))
	ann.patch(f(`[{"op":"replace","path":"/edges/%s/body/rank","value":"x"}]`, e)).problem("schema")
	// An edge without a declared body has an empty, closed one.
	n := ann.link("next", a, b)
	ann.patch(f(`[{"op":"add","path":"/edges/%s/body/x","value":1}]`, n)).problem("schema")
	r := ann.patchAt("/edges/"+e, `[{"op":"replace","path":"/body/rank","value":3}]`).want(200)
	ann.edge(e).json().is("body.rank", `3`).is("meta.version", f("%d", r.int("version")))
	ann.get(w.path("/edges/"+e+"/history")).want(200).json().is("entries.0.entity.body.rank", `3`)
}

func TestDefaultsAreFilledInBeforeValidation(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	o := ann.create("Strict", `{"title":"x"}`)
	ann.object(o).json().is("body", `{"title":"x","level":"low"}`)
	p := ann.patch(f(`[{"op":"replace","path":"/objects/%s/body","value":{"title":"y"}}]`, o)).want(200)
	_ = p
	ann.object(o).json().is("body.level", `"low"`)
}

func TestUnknownMembersOfAnOpAreIgnored(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	o := ann.create("Doc", `{"a":1}`)
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/a","value":2,"xyz":{"a":1},"from":"/nonsense"}]`, o))
	ann.object(o).json().is("body", `{"a":2}`)
}

func TestRightsAreJudgedOnTheStateBefore(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann, bob := w.as("ann"), w.as("bob")
	// bob manages what he made, and cannot use rights that he gives himself in
	// the same transaction elsewhere.
	d := ann.create("DataStore", `{"name":"d"}`)
	bob.patch(f(`[{"op":"add","path":"/objects/%[1]s/access/write/users/bob","value":true},{"op":"replace","path":"/objects/%[1]s/body/name","value":"x"}]`, d)).problem("forbidden")
	ann.commit(f(`[{"op":"add","path":"/objects/%[1]s/access/write/users/bob","value":true}]`, d))
	bob.commit(f(`[{"op":"replace","path":"/objects/%s/body/name","value":"x"}]`, d))
	// One transaction may take the right away and use it last.
	ann.commit(f(`[{"op":"remove","path":"/objects/%[1]s/access/manage/users/ann"},{"op":"replace","path":"/objects/%[1]s/body/name","value":"y"}]`, d))
	ann.patch(f(`[{"op":"add","path":"/objects/%s/access/manage/users/ann","value":true}]`, d)).problem("forbidden")
}
