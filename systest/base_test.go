package systest

import "testing"

func TestBase(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann, bob := w.as("ann"), w.as("bob")
	at := func(c *client, v int) *client { return c.with(f("Graphtide-Base: %d", v)) }

	// A remove whose target another transaction has removed since.
	a, b := ann.create("Node", `{}`), ann.create("Node", `{"x":1,"l":[1,2,3]}`)
	e := ann.link("next", a, b)
	base := ann.head()
	bob.commit(f(`[{"op":"remove","path":"/edges/%s"}]`, e))
	ann.patch(f(`[{"op":"remove","path":"/edges/%s"}]`, e)).problem("not-found")
	v := ann.head()
	at(ann, base).patch(f(`[{"op":"remove","path":"/edges/%s"}]`, e)).want(200).json().is("version", f("%d", v)) // nothing left to do: no commit
	at(ann, base).patch(f(`[{"op":"remove","path":"/edges/%s"},{"op":"replace","path":"/objects/%s/body/x","value":2}]`, e, b)).want(200)
	commit := ann.get(w.path(f("/log?since=%d", v))).json().at("commits.0")
	if len(commit.list("patch")) != 1 {
		t.Errorf("the commit holds what was really done: %s", commit)
	}
	// Seen after the removal, it is just missing.
	at(ann, ann.head()).patch(f(`[{"op":"remove","path":"/edges/%s"}]`, e)).problem("not-found")

	// The same for an object, and a member of a body.
	d := ann.create("Doc", `{"m":1,"l":["a","b"]}`)
	base = ann.head()
	bob.commit(f(`[{"op":"remove","path":"/objects/%s/body/m"}]`, d))
	ann.patch(f(`[{"op":"remove","path":"/objects/%s/body/m"}]`, d)).problem("path-missing")
	at(ann, base).patch(f(`[{"op":"remove","path":"/objects/%s/body/m"}]`, d)).want(200)
	bob.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, d))
	at(ann, base).patch(f(`[{"op":"remove","path":"/objects/%s"}]`, d)).want(200)

	// What was never there is missing, with a base too.
	at(ann, base).patch(f(`[{"op":"remove","path":"/objects/%s/body/never"}]`, b)).problem("path-missing")
	at(ann, base).patch(f(`[{"op":"remove","path":"/objects/%s"}]`, newID())).problem("not-found")

	// An add of an edge that another has added since.
	base = ann.head()
	bob.link("next", a, b)
	ann.patch(f(`[{"op":"add","path":"/edges/%s","value":{"label":"next","from":"%s","to":"%s"}}]`, newID(), a, b)).problem("edge-exists")
	at(ann, base).patch(f(`[{"op":"add","path":"/edges/%s","value":{"label":"next","from":"%s","to":"%s"}}]`, newID(), a, b)).want(200)
	at(ann, ann.head()).patch(f(`[{"op":"add","path":"/edges/%s","value":{"label":"next","from":"%s","to":"%s"}}]`, newID(), a, b)).problem("edge-exists")

	// An index into an array whose length another has changed since.
	base = ann.head()
	bob.commit(f(`[{"op":"add","path":"/objects/%s/body/l/0","value":0}]`, b))
	ops := f(`[{"op":"replace","path":"/objects/%s/body/l/1","value":"x"}]`, b)
	at(ann, base).patch(ops).problem("test-failed")
	at(ann, ann.head()).patch(ops).want(200)
	at(ann, base).patch(f(`[{"op":"add","path":"/objects/%s/body/l/-","value":9}]`, b)).want(200) // no index
	ann.object(b).json().is("body.l", `[0,"x",2,3,9]`)
	// Another array's length does not matter, nor a change of the same length.
	base = ann.head()
	bob.commit(f(`[{"op":"replace","path":"/objects/%s/body/l/0","value":5}]`, b))
	at(ann, base).patch(f(`[{"op":"replace","path":"/objects/%s/body/l/1","value":"y"}]`, b)).want(200)

	// A base that cannot be.
	for _, bad := range []string{"x", "-1", "1.5", "99999999999999999999", " "} {
		ann.with("Graphtide-Base: " + bad).patch(`[]`).want(400)
	}
	at(ann, 100000).patch(`[]`).want(400)
}
