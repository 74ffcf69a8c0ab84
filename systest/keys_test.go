package systest

import (
	"strings"
	"sync"
	"testing"
)

func TestTheSameKeyIsAppliedOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann, bob := w.as("ann"), w.as("bob")
	id := ann.create("Doc", `{"l":[]}`)
	ops := f(`[{"op":"add","path":"/objects/%s/body/l/-","value":1}]`, id)
	key := newID()
	first := ann.with("Idempotency-Key: " + key).patch(ops).want(200).json()
	first.is("replayed", `false`).is("mutation", f("%q", key))
	again := ann.with("Idempotency-Key: " + key).patch(ops).want(200)
	again.json().is("replayed", `true`).is("version", f("%d", first.int("version"))).is("mutation", f("%q", key)).is("graph", f("%q", w.graph))
	if again.header.Get("ETag") != f(`"%d"`, first.int("version")) {
		t.Errorf("ETag %s", again.header.Get("ETag"))
	}
	// On another node, too.
	ann.on(w.other).with("Idempotency-Key: "+key).patch(ops).want(200).json().is("replayed", `true`)
	ann.object(id).json().is("body.l", `[1]`)
	// Another patch under the same key.
	ann.with("Idempotency-Key: " + key).patch(f(`[{"op":"add","path":"/objects/%s/body/l/-","value":2}]`, id)).problem("mutation-conflict")
	ann.on(w.other).with("Idempotency-Key: " + key).patch(`[]`).problem("mutation-conflict")
	// A key is its author's: bob's is another one.
	bob.with("Idempotency-Key: "+key).patch(ops).want(200).json().is("replayed", `false`)
	ann.object(id).json().is("body.l", `[1,1]`)
	// A replay answers even where the patch would now be refused.
	gone := newID()
	ann.with("Idempotency-Key: " + gone).patch(f(`[{"op":"remove","path":"/objects/%s/body/l"}]`, id)).want(200)
	ann.with("Idempotency-Key: "+gone).patch(f(`[{"op":"remove","path":"/objects/%s/body/l"}]`, id)).want(200).json().is("replayed", `true`)
	// In another graph it is another key.
	other := setup(t)
	other.as("ann").with("Idempotency-Key: "+key).patch(`[]`).want(200).json().is("replayed", `false`)
	// The same patch written otherwise is the same patch or another one, but never applied.
	v := ann.head()
	a := ann.with("Idempotency-Key: " + key).patch(strings.Replace(ops, ":1}", " : 1 }", 1))
	if a.status != 200 && a.status != 409 || ann.head() != v {
		t.Errorf("%v", a)
	}
}

func TestRefusalsAreNotRemembered(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id, key := newID(), newID()
	ops := f(`[{"op":"add","path":"/objects/%s/body/x","value":1}]`, id)
	ann.with("Idempotency-Key: " + key).patch(ops).problem("not-found")
	ann.commit(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{}}}]`, id))
	ann.with("Idempotency-Key: "+key).patch(ops).want(200).json().is("replayed", `false`)
	other := newID()
	ann.with("Idempotency-Key: " + other).patch(`[{"op":"x"}]`).problem("invalid-patch")
	ann.with("Idempotency-Key: " + other).patch(f(`[{"op":"add","path":"/objects/%s/body/x","value":2}]`, id)).want(200)
}

func TestAnswersNameTheirMutation(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	a := ann.patch(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Doc","body":{}}}]`, newID())).want(200).json()
	m := a.str("mutation")
	if m == "" {
		t.Fatalf("no mutation in %s", a)
	}
	ann.get(w.path("/log?since=0")).json().is("commits.0.mutation", f("%q", m))
}

func TestW3ExactlyOnceForManyAtOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Doc", `{"l":[]}`)
	ops, key := f(`[{"op":"add","path":"/objects/%s/body/l/-","value":1}]`, id), newID()
	var wg sync.WaitGroup
	answers := make([]*answer, 24)
	for i := range answers {
		wg.Go(func() {
			c := ann.with("Idempotency-Key: " + key)
			if i%2 == 1 {
				c = c.on(w.other)
			}
			a, err := c.send("PATCH", w.path(""), patchType, ops)
			if err == nil {
				answers[i] = a
			}
		})
	}
	wg.Wait()
	firsts := 0
	for _, a := range answers {
		if a == nil {
			t.Fatal("no answer")
		}
		a.want(200).json().is("version", `2`)
		if !a.json().bool("replayed") {
			firsts++
		}
	}
	if firsts != 1 {
		t.Errorf("%d answers say that they were applied", firsts)
	}
	ann.object(id).json().is("body.l", `[1]`)
}

func TestHeadersOfATransaction(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id, group := ann.create("Doc", `{}`), newID()
	ann.with("Graphtide-Group: "+group, "Graphtide-Note: why not", "Graphtide-Base: 1", "Idempotency-Key: my key/1").
		patch(f(`[{"op":"add","path":"/objects/%s/body/x","value":1}]`, id)).want(200)
	ann.get(w.path("/log?since=1")).want(200).json().is("commits.0.group", f("%q", group)).is("commits.0.note", `"why not"`).
		is("commits.0.by", `"ann"`).is("commits.0.mutation", `"my key/1"`).is("commits.0.cause.kind", `"client"`)
	long := strings.Repeat("x", 200)
	ann.with("Graphtide-Note: " + long).patch(f(`[{"op":"add","path":"/objects/%s/body/x","value":2}]`, id)).want(200)
	for _, bad := range []string{"Graphtide-Group: nonsense", "Graphtide-Note: " + long + "x", "Graphtide-Base: -1", "Graphtide-Base: two", "Graphtide-Base: 01"} {
		ann.with(bad).patch(f(`[{"op":"add","path":"/objects/%s/body/x","value":3}]`, id)).problem("invalid-patch")
	}
}

func TestW9ReadYourWritesOnAnyNode(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Doc", `{"n":0}`)
	for i := range 30 {
		v := ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":%d}]`, id, i+1))
		c := ann.on(w.other).with(f("Graphtide-Min-Version: %d", v))
		switch i % 3 {
		case 0:
			c.object(id).want(200).json().is("body.n", f("%d", i+1))
		case 1:
			c.load(f(`{"root":%q}`, id)).want(200).json().is(f("objects.%s.body.n", id), f("%d", i+1))
		case 2:
			if got := c.head(); got < v {
				t.Errorf("version %d, want %d", got, v)
			}
		}
	}
	ann.with("Graphtide-Min-Version: 100000").object(id).problem("invalid-version")
	ann.with("Graphtide-Min-Version: x").object(id).want(400)
}
