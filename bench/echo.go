package main

import (
	"context"
	"time"
)

// echoRow is the time from sending a change to its arrival at another client,
// the only one that looks, and where it goes: what is not told apart is spent on
// sockets, decoding, fan-out and the changes of goroutines between them.
func echoRow(ctx context.Context, t *target, o options) ([]figure, error) {
	writer, err := t.session()
	if err != nil {
		return nil, err
	}
	defer writer.close()
	reader, err := t.session()
	if err != nil {
		return nil, err
	}
	defer reader.close()
	if err := reader.subscribe(); err != nil {
		return nil, err
	}
	warm, n := o.pick(200, 50, 1), o.pick(1000, 300, 5)
	var times []time.Duration
	for i := range warm + n {
		if i == warm {
			if _, err := t.spent(ctx, "yes"); err != nil {
				return nil, err
			}
		}
		began := time.Now()
		if err := writer.send(mutation(small[i%100], counter.Add(1))); err != nil {
			return nil, err
		}
		if _, err := reader.readUntil(`"t":"delta"`); err != nil {
			return nil, err
		}
		if i >= warm {
			times = append(times, time.Since(began))
		}
		if _, err := writer.readUntil(`"t":"ack"`); err != nil {
			return nil, err
		}
	}
	figures := []figure{{"p50", ms(quantile(times, 0.5)), "ms", true, "≤ 1.5"}, {"p99", ms(quantile(times, 0.99)), "ms", true, ""}}
	steps, err := t.spent(ctx, "")
	if err != nil {
		return nil, err
	}
	rest := total(times) / time.Duration(n)
	for _, step := range writeSteps {
		took := steps[step] / time.Duration(n)
		rest -= took
		figures = append(figures, figure{"mean, " + step, us(took), "µs", true, ""})
	}
	return append(figures, figure{"mean, the rest", us(rest), "µs", true, ""}), nil
}
