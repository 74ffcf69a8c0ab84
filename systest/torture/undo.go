package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
)

// undoes has a writer do something and undo it: one transaction, or several of a
// group. Or he undoes what somebody did a moment ago, whoever it was.
func (w *world) undoes(ctx context.Context, rng *rand.Rand, p principal, tok string) {
	if head := int(w.acked.Load()); head > 30 && rng.IntN(4) == 0 {
		w.submit(ctx, rng, p, tok, undoOf(rng, []int{head - rng.IntN(30)}, nil, ""))
		return
	}
	n, group := 1, ""
	if rng.IntN(3) == 0 {
		n, group = 2+rng.IntN(2), newID()
	}
	var versions []int
	var keys []string
	for range n {
		o := w.things.undoable(rng, p)
		o.group = group
		if r := w.submit(ctx, rng, p, tok, o); r.version() > 0 {
			versions, keys = append(versions, r.version()), append(keys, r.id)
		}
	}
	if len(versions) == 0 || ctx.Err() != nil {
		return
	}
	if rng.IntN(2) == 0 {
		pause(ctx, rng, w.o.Pace)
	}
	r := w.submit(ctx, rng, p, tok, undoOf(rng, versions, keys, group))
	switch v := r.version(); {
	case v == 0:
	case rng.IntN(3) == 0: // and again as it was
		w.submit(ctx, rng, p, tok, undoOf(rng, []int{v}, []string{r.id}, ""))
	case rng.IntN(4) == 0: // what was undone once
		w.submit(ctx, rng, p, tok, undoOf(rng, versions, keys, group))
	}
}

// undoOf asks for an undo by versions, or by the key or the group of the transactions
// that were answered with them.
func undoOf(rng *rand.Rand, versions []int, keys []string, group string) op {
	what := map[string]any{"versions": versions}
	var named []string
	switch {
	case rng.IntN(3) == 0:
	case group != "":
		what, named = map[string]any{"group": group}, keys
	case len(keys) == 1:
		what, named = map[string]any{"mutation": keys[0]}, keys
	}
	if rng.IntN(4) == 0 {
		what["caused"] = true // the rule writes nothing
	}
	body, _ := json.Marshal(what)
	return op{text: string(body), undo: versions, named: named}
}

// undoable thinks of a transaction that is worth undoing: mostly a deletion.
func (t *things) undoable(rng *rand.Rand, p principal) op {
	switch n := rng.IntN(10); {
	case n < 4 && t.many():
		c := t.someCell(rng)
		return newOp(fmt.Sprintf(`{"op":"remove","path":"/objects/%s"}`, c.id)) // it is believed to come back
	case n < 5:
		return t.moveCell(rng)
	case n < 6:
		return t.relink(rng)
	case n < 7:
		return t.create(rng)
	case n < 8:
		return t.grant(rng)
	}
	c := t.someCell(rng)
	return newOp(t.set(c.id, "rank", fmt.Sprint(t.w.serial.Add(1)%997)), t.set(c.id, "c", fmt.Sprintf("%q", t.text(c.id))))
}
