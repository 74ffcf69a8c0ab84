package main

import (
	"context"
	"fmt"
	"time"

	"github.com/graphtide/graphtide/server/auth"
)

// privateRow has 1,000 users look at one book. First they all see the same. Then
// each has a note in it that nobody else may read, so that no two of them see the
// same, and an item that everybody sees is changed as before. What the second
// costs more than the first is the price of telling them apart.
func privateRow(ctx context.Context, t *target, o options) ([]figure, error) {
	users := o.pick(1000, 100, 3)
	var out []figure
	for _, private := range []bool{false, true} {
		figures, err := sharedBook(ctx, t, o, users, private)
		if err != nil {
			return nil, err
		}
		out = append(out, figures...)
	}
	return out, nil
}

func sharedBook(ctx context.Context, t *target, o options, users int, private bool) ([]figure, error) {
	w, err := t.world(ctx, crowdItems, nil)
	if err != nil {
		return nil, err
	}
	defer w.leave()
	tokens := make([]string, users)
	for i := range tokens {
		if tokens[i], err = auth.Mint(secret, auth.Claims{User: fmt.Sprint("u", i), Graphs: []string{"*"}}, time.Hour); err != nil {
			return nil, err
		}
		if !private {
			continue
		}
		id := newID()
		if err := w.patch(ctx, tokens[i], fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":"Note","body":{"text":"mine"}}},{"op":"add","path":"/edges/%s","value":{"label":"note","from":"%s","to":"%s"}}]`,
			id, newID(), id, w.book)); err != nil {
			return nil, err
		}
	}
	before, _, err := t.held(ctx)
	if err != nil {
		return nil, err
	}
	projection := `{"root":"` + w.book + `","in":{"book":{},"note":{}}}`
	began := time.Now()
	cr, err := newCrowd(w, users, func(i int) (string, string, string) { return w.book, projection, tokens[i] })
	if err != nil {
		return nil, err
	}
	opened := time.Since(began)
	defer cr.leave()
	after, _, err := t.held(ctx)
	if err != nil {
		return nil, err
	}
	changes := o.pick(100, 30, 3)
	cpu := t.serverTime()
	times, err := cr.spread(w, changes, func(i int) (string, int) { return w.items[i%len(w.items)], users })
	if err != nil {
		return nil, err
	}
	cpu = t.serverTime() - cpu
	what := "all see the same"
	if private {
		what = "a note each"
	}
	return []figure{
		{what + ", until all have subscribed", opened.Seconds(), "s", true, ""},
		{what + ", heap per user", float64(after.Heap-before.Heap) / float64(users) / 1024, "KiB", true, ""},
		{what + ", server CPU per commit", ms(cpu / time.Duration(changes+changes/5)), "ms", true, ""},
		{what + ", change to delivery p50", ms(quantile(times, 0.5)), "ms", true, ""},
		{what + ", change to delivery p99", ms(quantile(times, 0.99)), "ms", true, ""},
	}, nil
}
