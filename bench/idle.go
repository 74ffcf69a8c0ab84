package main

import (
	"context"
	"fmt"
)

// idleRow is the memory that a session costs which has subscribed and only
// listens, everything counted: what the process has more of in RAM, and what of
// it is the Go heap and stacks. The floor's is that of the websocket library.
func idleRow(ctx context.Context, t *target, o options) ([]figure, error) {
	w, err := t.world(ctx, crowdItems, nil)
	if err != nil {
		return nil, err
	}
	defer w.leave()
	n := o.pick(5000, 1000, 5)
	keeper, _, err := w.keep(ctx) // so that the view is not among what is measured
	if err != nil {
		return nil, err
	}
	defer keeper.close()
	before, ramBefore, err := t.held(ctx)
	if err != nil {
		return nil, err
	}
	cr, err := newCrowd(w, n, w.everything)
	if err != nil {
		return nil, err
	}
	defer cr.leave()
	after, ramAfter, err := t.held(ctx)
	if err != nil {
		return nil, err
	}
	each := func(bytes int64) float64 { return float64(bytes) / float64(n) / 1024 }
	return []figure{
		{fmt.Sprintf("RAM per session, %d of them", n), each(ramAfter - ramBefore), "KiB", true, "≤ 40 KiB"},
		{"heap per session", each(after.Heap - before.Heap), "KiB", true, ""},
		{"stacks per session", each(after.Stacks - before.Stacks), "KiB", true, ""},
		{"goroutines per session", float64(after.Goroutines-before.Goroutines) / float64(n), "", true, ""},
	}, nil
}
