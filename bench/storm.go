package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// atOnce bounds how many connections are being opened at a time: what a load
// balancer would let through.
const atOnce = 256

// stormRow is the reconnection of all sessions at once, as after a network that
// was away: each dials, says hello and resumes its view. The time is until the
// last one is up to date. The floor cannot resume; its sessions load the book.
func stormRow(ctx context.Context, t *target, o options) ([]figure, error) {
	n := o.pick(5000, 500, 5)
	w, err := t.world(ctx, crowdItems, nil)
	if err != nil {
		return nil, err
	}
	defer w.leave()
	keeper, from, err := w.keep(ctx)
	if err != nil {
		return nil, err
	}
	defer keeper.close()
	clients := make([]*wsClient, n)
	errs := make([]error, n)
	connect := func(from *held) error {
		var wg sync.WaitGroup
		places := make(chan struct{}, atOnce)
		for i := range n {
			places <- struct{}{}
			wg.Go(func() {
				defer func() { <-places }()
				c, err := t.sessionIn(w.graph, t.token)
				if err == nil {
					_, _, err = c.sync(w, from)
				}
				clients[i], errs[i] = c, err
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	}
	if err := connect(nil); err != nil {
		return nil, err
	}
	for _, c := range clients {
		c.close()
	}
	cpu, began := t.serverTime(), time.Now()
	if err := connect(&from); err != nil {
		return nil, err
	}
	took := time.Since(began)
	cpu = t.serverTime() - cpu
	return []figure{{fmt.Sprintf("%d sessions, until all are up to date", n), took.Seconds(), "s", true, ""},
		{"server CPU per session", us(cpu) / float64(n), "µs", true, ""}}, nil
}
