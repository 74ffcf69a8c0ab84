package main

import (
	"context"
	"fmt"
	"time"
)

// The rows of this file show what a commit costs as something grows that it has
// nothing to do with. Each measures one lone writer, first with little and then
// with much; the last figure is the largest beside the smallest, which a flat
// cost keeps near 1.

// commitCost changes n items one at a time and gives the processor time of each,
// Postgres included, and how long it took at the median.
//
// What was done before is over then, and its garbage collected: a collection in the
// middle of so few changes would be most of what they cost.
func commitCost(ctx context.Context, t *target, w *world, o options) (cpu, p50 time.Duration, err error) {
	if err := t.calm(ctx); err != nil {
		return 0, 0, err
	}
	if _, _, err := t.held(ctx); err != nil {
		return 0, 0, err
	}
	c, err := t.sessionIn(w.graph, t.token)
	if err != nil {
		return 0, 0, err
	}
	defer c.close()
	n := o.pick(1000, 500, 4)
	for i := range n / 4 {
		if err := c.do(counted(w.items[i%crowdItems%len(w.items)])); err != nil {
			return 0, 0, err
		}
	}
	times := make([]time.Duration, 0, n)
	before := t.serverTime()
	for i := range n {
		began := time.Now()
		if err := c.do(counted(w.items[i%crowdItems%len(w.items)])); err != nil {
			return 0, 0, err
		}
		times = append(times, time.Since(began))
	}
	return (t.serverTime() - before) / time.Duration(n), quantile(times, 0.5), nil
}

// growth gathers the figures of a row whose steps should all cost the same.
type growth struct {
	figures    []figure
	cpus, p50s []float64
}

func (g *growth) add(what string, cpu, p50 time.Duration) {
	g.figures = append(g.figures, figure{what + ", server CPU", us(cpu), "µs", true, ""}, figure{what + ", p50", ms(p50), "ms", true, ""})
	g.cpus, g.p50s = append(g.cpus, us(cpu)), append(g.p50s, ms(p50))
}

// flat is how far from flat a cost may seem before it counts as growing: the
// noise of a machine with other work.
const flat = "≤ 1.25 ×"

func (g *growth) all() []figure {
	last := len(g.cpus) - 1
	return append(g.figures, figure{"server CPU, most beside least", g.cpus[last] / g.cpus[0], "×", true, flat},
		figure{"p50, most beside least", g.p50s[last] / g.p50s[0], "×", true, flat})
}

// costByViewsRow adds live views that a commit does not touch: half of them look
// at one object each, half at the items of one assignee, so that the changed
// item's type, but not its assignee, is that of their list.
func costByViewsRow(ctx context.Context, t *target, o options) ([]figure, error) {
	w, err := t.world(ctx, 500, func(i int) string {
		if i < crowdItems {
			return "nobody"
		}
		return fmt.Sprint("u", i)
	})
	if err != nil {
		return nil, err
	}
	defer w.leave()
	before, _, err := t.held(ctx)
	if err != nil {
		return nil, err
	}
	var g growth
	views := 0
	steps := []int{0, o.pick(1000, 200, 4), o.pick(10_000, 2000, 8)}
	for _, upTo := range steps {
		for views < upTo {
			c, err := t.sessionIn(w.graph, t.token)
			if err != nil {
				return nil, err
			}
			for range min(100, upTo-views) {
				if err := w.aside(c, views); err != nil {
					return nil, err
				}
				views++
			}
		}
		cpu, p50, err := commitCost(ctx, t, w, o)
		if err != nil {
			return nil, err
		}
		g.add(fmt.Sprintf("%d views", upTo), cpu, p50)
	}
	after, _, err := t.held(ctx)
	if err != nil {
		return nil, err
	}
	return append(g.all(), figure{"heap per view, with its share of a session", float64(after.Heap-before.Heap) / float64(views) / 1024, "KiB", true, ""}), nil
}

// aside subscribes to a view of its own that shows none of the items that
// commitCost changes.
func (w *world) aside(c *wsClient, i int) error {
	from := min(crowdItems, len(w.items)-1)
	item := w.items[from+i/2%(len(w.items)-from)]
	projection := fmt.Sprintf(`{"root":"%s","out":{"none%d":{}}}`, item, i)
	if i%2 == 1 {
		projection = fmt.Sprintf(`{"root":{"type":"Item","where":{"assignee":"u%d"},"limit":%d}}`, from+i/2%(len(w.items)-from), 10+i/2)
	}
	if err := c.send(fmt.Appendf(nil, `{"t":"sub","sub":"s%d","projection":%s}`, i, projection)); err != nil {
		return err
	}
	_, err := c.readUntil(`"done":true`)
	return err
}

// costByObjectsRow grows the graph.
func costByObjectsRow(ctx context.Context, t *target, o options) ([]figure, error) {
	w, err := t.world(ctx, o.pick(1000, 1000, 10), nil)
	if err != nil {
		return nil, err
	}
	defer w.leave()
	var g growth
	for _, upTo := range []int{o.pick(1000, 1000, 10), o.pick(10_000, 5000, 20), o.pick(100_000, 10_000, 40)} {
		more := ids(upTo - len(w.items))
		if err := w.addItems(ctx, more, nil); err != nil {
			return nil, err
		}
		w.items = append(w.items, more...)
		cpu, p50, err := commitCost(ctx, t, w, o)
		if err != nil {
			return nil, err
		}
		g.add(fmt.Sprintf("%d objects", upTo), cpu, p50)
	}
	return g.all(), nil
}

// costByHistoryRow grows the log and the history of the items that are changed.
func costByHistoryRow(ctx context.Context, t *target, o options) ([]figure, error) {
	w, err := t.world(ctx, crowdItems, nil)
	if err != nil {
		return nil, err
	}
	defer w.leave()
	var g growth
	var done int64
	for _, upTo := range []int{0, o.pick(10_000, 2000, 10), o.pick(100_000, 10_000, 20)} {
		need := int64(upTo) - done
		made, err := writeWhile(t, w.graph, 64, w.items, func(begun int64) bool { return begun <= need })
		if err != nil {
			return nil, err
		}
		done += made
		cpu, p50, err := commitCost(ctx, t, w, o)
		if err != nil {
			return nil, err
		}
		g.add(fmt.Sprintf("%d commits", upTo), cpu, p50)
	}
	return g.all(), nil
}
