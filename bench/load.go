package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// kept are the worlds that rows only read: one for each target and size.
var kept sync.Map

func (t *target) keptWorld(ctx context.Context, n int) (*world, error) {
	key := fmt.Sprint(t.url, " ", n)
	if w, ok := kept.Load(key); ok {
		return w.(*world), nil
	}
	w, err := t.world(ctx, n, nil)
	if err == nil {
		kept.Store(key, w)
	}
	return w, err
}

// loadRow is the time of a load over HTTP that has been asked for before.
func loadRow(n int) func(context.Context, *target, options) ([]figure, error) {
	return func(ctx context.Context, t *target, o options) ([]figure, error) {
		w, err := t.keptWorld(ctx, o.pick(n, n, 10))
		if err != nil {
			return nil, err
		}
		times := o.pick(40, 20, 2)
		if n >= 10_000 {
			times = o.pick(15, 8, 2)
		}
		var took []time.Duration
		cpu := t.serverTime()
		for i := range times + 2 {
			if i == 2 {
				cpu = t.serverTime()
			}
			began := time.Now()
			if _, err := t.request(ctx, "POST", "/v1/graphs/"+w.graph+"/load?set="+w.book, "application/json", w.whole(), t.token); err != nil {
				return nil, err
			}
			if i >= 2 {
				took = append(took, time.Since(began))
			}
		}
		cpu = t.serverTime() - cpu
		return []figure{{"p50", ms(quantile(took, 0.5)), "ms", true, "≤ 2"}, {"server CPU", ms(cpu / time.Duration(times)), "ms", true, ""}}, nil
	}
}

// subscribeRow is the time from a subscription to the end of its load, in a book
// that is live on the node and has changed since it was last loaded.
func subscribeRow(n int) func(context.Context, *target, options) ([]figure, error) {
	return func(ctx context.Context, t *target, o options) ([]figure, error) {
		w, err := t.keptWorld(ctx, o.pick(n, n, 10))
		if err != nil {
			return nil, err
		}
		keeper, _, err := w.keep(ctx)
		if err != nil {
			return nil, err
		}
		go drain(keeper) // until the row ends
		writer, err := t.sessionIn(w.graph, t.token)
		if err != nil {
			return nil, err
		}
		times := o.pick(15, 8, 2)
		var took []time.Duration
		var cpu time.Duration
		for range times {
			if err := writer.do(counted(w.items[0])); err != nil {
				return nil, err
			}
			c, err := t.sessionIn(w.graph, t.token)
			if err != nil {
				return nil, err
			}
			before, began := t.serverTime(), time.Now()
			if _, _, err := c.sync(w, nil); err != nil {
				return nil, err
			}
			took = append(took, time.Since(began))
			cpu += t.serverTime() - before
			c.close()
		}
		return []figure{{"p50", ms(quantile(took, 0.5)), "ms", true, "≤ 2"}, {"server CPU", ms(cpu / time.Duration(times)), "ms", true, ""}}, nil
	}
}
