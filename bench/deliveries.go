package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// crowdItems is the size of the book that crowds look at: large enough that
// writers do not meet, small enough that thousands of loads of it are no burden.
const crowdItems = 100

// deliveryRow has many sessions on one view while 16 writers change its items.
func deliveryRow(ctx context.Context, t *target, o options) ([]figure, error) {
	w, err := t.world(ctx, crowdItems, nil)
	if err != nil {
		return nil, err
	}
	defer w.leave()
	cr, err := newCrowd(w, o.sessions, w.everything)
	if err != nil {
		return nil, err
	}
	defer cr.leave()
	before, began := t.cpu(), time.Now()
	if _, err := writeIn(t, w.graph, 16, w.items, o.span); err != nil {
		return nil, err
	}
	n, took := cr.deliveries(), time.Since(began).Seconds()
	cpu := t.cpu() - before
	cr.settle(ctx)
	if err := cr.verify(func(string) string { return w.whole() }); err != nil {
		return nil, err
	}
	return []figure{{fmt.Sprintf("deliveries/s to %d sessions", o.sessions), float64(n) / took, "/s", false, "≥ 0.7"},
		{"server CPU per delivery, Postgres included", us(cpu) / float64(max(n, 1)), "µs", true, "≤ 2"}}, nil
}

// everything is what each of a crowd asks for that looks at the whole book.
func (w *world) everything(int) (set, projection, token string) { return w.book, w.whole(), "" }

// spreadRow is the time from sending a change to its arrival at each of n
// sessions of one view, one change at a time.
func spreadRow(n int) row {
	return row{name: fmt.Sprintf("change to delivery, %d sessions", n), limit: longLimit, run: func(ctx context.Context, t *target, o options) ([]figure, error) {
		w, err := t.world(ctx, crowdItems, nil)
		if err != nil {
			return nil, err
		}
		defer w.leave()
		if n > 100 {
			n = max(o.pick(n, n/10, 3), 3)
		}
		cr, err := newCrowd(w, n, w.everything)
		if err != nil {
			return nil, err
		}
		defer cr.leave()
		changes := o.pick(500, 200, 5)
		if n >= 1000 {
			changes = o.pick(100, 50, 5)
		}
		times, err := cr.spread(w, changes, func(i int) (string, int) { return w.items[i%len(w.items)], n })
		if err != nil {
			return nil, err
		}
		if err := cr.verify(func(string) string { return w.whole() }); err != nil {
			return nil, err
		}
		return []figure{{"p50", ms(quantile(times, 0.5)), "ms", true, "≤ 1.5"}, {"p99", ms(quantile(times, 0.99)), "ms", true, ""}}, nil
	}}
}

// spread sends changes one at a time, each of them once the one before has
// reached all whom it concerns, and gives how long each delivery took. next
// gives the item of the i-th change and to how many it goes.
func (cr *crowd) spread(w *world, changes int, next func(i int) (item string, to int)) ([]time.Duration, error) {
	c, err := w.t.sessionIn(w.graph, w.t.token)
	if err != nil {
		return nil, err
	}
	defer c.close()
	warm := changes / 5
	for i := range warm + changes {
		if i == warm {
			cr.time(true)
		}
		item, to := next(i)
		cr.expect(to)
		if err := c.send(stamped(item)); err != nil {
			return nil, err
		}
		if _, err := c.readUntil(`"t":"ack"`); err != nil {
			return nil, err
		}
		if err := cr.await(20 * time.Second); err != nil {
			return nil, err
		}
	}
	return cr.time(false), nil
}

// busyRow is the time from sending a change to its arrival at the one session that
// looks, while 16 writers have a change under way each: what the append's turn adds is
// part of it.
func busyRow(ctx context.Context, t *target, o options) ([]figure, error) {
	w, err := t.world(ctx, crowdItems, nil)
	if err != nil {
		return nil, err
	}
	defer w.leave()
	cr, err := newCrowd(w, 1, w.everything)
	if err != nil {
		return nil, err
	}
	defer cr.leave()
	if _, err := writeEach(t, w.graph, 16, w.items, stamped, lasting(o.span/5)); err != nil { // warm
		return nil, err
	}
	cr.settle(ctx)
	cr.time(true)
	before := t.cpu()
	n, err := writeEach(t, w.graph, 16, w.items, stamped, lasting(o.span))
	if err != nil {
		return nil, err
	}
	cpu := t.cpu() - before
	cr.settle(ctx)
	if err := cr.verify(func(string) string { return w.whole() }); err != nil {
		return nil, err
	}
	times := cr.time(false)
	if int64(len(times)) != n {
		return nil, fmt.Errorf("of %d changes %d were delivered", n, len(times))
	}
	return []figure{{"p50", ms(quantile(times, 0.5)), "ms", true, "≤ 1.5"}, {"p99", ms(quantile(times, 0.99)), "ms", true, ""},
		{"changes/s", float64(n) / o.span.Seconds(), "/s", false, ""},
		{"CPU per change, Postgres included", us(cpu) / float64(max(n, 1)), "µs", true, ""}}, nil
}

// stamped is a change whose new value is the time.
func stamped(item string) []byte {
	return fmt.Appendf(nil, `{"t":"mutate","mutation":"%s","patch":[{"op":"replace","path":"/objects/%s/body/n","value":%d}]}`,
		uuid.NewString(), item, time.Now().UnixNano())
}

// manyViewsRow has a session on each of 1,000 views of one table, the items of
// an assignee each, of which a change touches one.
func manyViewsRow(ctx context.Context, t *target, o options) ([]figure, error) {
	views := o.pick(1000, 100, 3)
	assignee := func(i int) string { return fmt.Sprint("u", i%views) }
	w, err := t.worldByAssignee(ctx, 2*views, assignee)
	if err != nil {
		return nil, err
	}
	defer w.leave()
	cr, err := newCrowd(w, views, func(i int) (string, string, string) {
		who := assignee(i)
		return w.set(who), w.assigned(who), ""
	})
	if err != nil {
		return nil, err
	}
	defer cr.leave()
	times, err := cr.spread(w, o.pick(500, 200, 5), func(i int) (string, int) { return w.items[i*7%len(w.items)], 1 })
	if err != nil {
		return nil, err
	}
	cr.settle(ctx)
	before, began, already := t.cpu(), time.Now(), cr.deliveries()
	n, err := writeIn(t, w.graph, 16, w.items, o.span)
	if err != nil {
		return nil, err
	}
	took, cpu := time.Since(began).Seconds(), t.cpu()-before
	cr.settle(ctx)
	if missed := n - (cr.deliveries() - already); missed != 0 {
		return nil, fmt.Errorf("of %d changes %d were not delivered", n, missed)
	}
	return []figure{{"p50", ms(quantile(times, 0.5)), "ms", true, "≤ 1.5"}, {"p99", ms(quantile(times, 0.99)), "ms", true, ""},
		{"changes/s, each to one view, 16 writers", float64(n) / took, "/s", false, "≥ 0.6"},
		{"CPU per change, Postgres included", us(cpu) / float64(max(n, 1)), "µs", true, ""}}, nil
}
