package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// writeRow has w writers, each with one change under way at a time.
func writeRow(w int, goal string) row {
	return row{name: fmt.Sprintf("write, %d in flight", w), run: func(_ context.Context, t *target, o options) ([]figure, error) {
		before, stored := t.cpu(), t.stored()
		began := time.Now()
		n, err := writeFor(t, w, small, o.span)
		if err != nil {
			return nil, err
		}
		took := time.Since(began).Seconds()
		return []figure{{"changes/s", float64(n) / took, "/s", false, goal},
			{"CPU per change, Postgres included", float64((t.cpu() - before).Microseconds()) / float64(max(n, 1)), "µs", true, ""},
			{"of it Postgres", us(t.stored()-stored) / float64(max(n, 1)), "µs", true, ""}}, nil
	}}
}

// writeFor has w writers change an object each, one at a time, in the graph
// main, and gives how many changes were acknowledged.
func writeFor(t *target, w int, objects []string, span time.Duration) (int64, error) {
	return writeIn(t, "main", w, objects, span)
}

func writeIn(t *target, graph string, w int, objects []string, span time.Duration) (int64, error) {
	return writeWhile(t, graph, w, objects, lasting(span))
}

// lasting says yes for a span, which begins when it is asked for the first time: all
// writers are connected then.
func lasting(span time.Duration) func(begun int64) bool {
	end := sync.OnceValue(func() time.Time { return time.Now().Add(span) })
	return func(int64) bool { return time.Now().Before(end()) }
}

// counted is a change whose new value is of no earlier one.
func counted(id string) []byte { return mutation(id, counter.Add(1)) }

// writeWhile has w writers change an object each, one at a time, while more says
// so of the number of changes begun.
func writeWhile(t *target, graph string, w int, objects []string, more func(begun int64) bool) (int64, error) {
	return writeEach(t, graph, w, objects, counted, more)
}

// writeEach is writeWhile with changes of the caller's making.
func writeEach(t *target, graph string, w int, objects []string, change func(id string) []byte, more func(begun int64) bool) (int64, error) {
	clients := make([]*wsClient, w)
	for i := range clients {
		c, err := t.sessionIn(graph, t.token)
		if err != nil {
			return 0, err
		}
		defer c.close()
		clients[i] = c
	}
	var begun, done atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			for k := i; more(begun.Add(1)); k += w {
				if err := c.do(change(objects[k%len(objects)])); err != nil {
					failed.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return done.Load(), nil
}
