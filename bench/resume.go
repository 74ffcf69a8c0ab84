package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// held is what a client keeps of a view to resume it.
type held struct {
	Epoch, Key string
	Version    int64
}

// sync subscribes, resuming what was held if that is not nil, and gives what to
// resume from later, and how many bytes came.
func (c *wsClient) sync(w *world, from *held) (now held, size int, err error) {
	since := ""
	if from != nil {
		since = fmt.Sprintf(`,"since":%d,"epoch":"%s","key":"%s"`, from.Version, from.Epoch, from.Key)
	}
	if err := c.send(fmt.Appendf(nil, `{"t":"sub","sub":"s1","set":"%s","projection":%s%s}`, w.book, w.whole(), since)); err != nil {
		return now, 0, err
	}
	for {
		msg, err := c.read()
		if err != nil {
			return now, 0, err
		}
		size += len(msg)
		if bytes.Contains(msg, []byte(`"t":"error"`)) {
			return now, 0, errors.New(string(msg))
		}
		if now.Key == "" {
			head := msg[:min(len(msg), 1024)]
			now.Key, now.Version = textAfter(head, `"key":"`), numberAfter(head, `"version":`)
		}
		if bytes.Contains(msg, []byte(`"done":true`)) {
			return now, size, nil
		}
	}
}

func textAfter(text []byte, mark string) string {
	_, rest, _ := bytes.Cut(text, []byte(mark))
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(value)
}

func numberAfter(text []byte, mark string) (n int64) {
	_, rest, _ := bytes.Cut(text, []byte(mark))
	for _, d := range rest {
		if d < '0' || d > '9' {
			break
		}
		n = n*10 + int64(d-'0')
	}
	return n
}

// epoch asks for the graph's.
func (w *world) epoch(ctx context.Context) (string, error) {
	if w.t.name == "floor" {
		return "", nil
	}
	text, err := w.t.request(ctx, "GET", "/v1/graphs/"+w.graph, "", "", w.t.admin)
	if err != nil {
		return "", err
	}
	var g struct{ Epoch string }
	err = json.Unmarshal(text, &g)
	return g.Epoch, err
}

// keep opens a session that holds the view live, and gives what it holds.
func (w *world) keep(ctx context.Context) (*wsClient, held, error) {
	c, err := w.t.sessionIn(w.graph, w.t.token)
	if err != nil {
		return nil, held{}, err
	}
	h, _, err := c.sync(w, nil)
	if err == nil {
		h.Epoch, err = w.epoch(ctx)
	}
	return c, h, err
}

// reconnectRow is a session that comes back to a view that is live and has not
// changed. The time is from the subscription to the end of its load, the server's
// time what its processors spent on it.
func reconnectRow(ctx context.Context, t *target, o options) ([]figure, error) {
	var out []figure
	for _, n := range []int{10_000, 49_000} {
		n := o.pick(n, n/10, n/1000)
		w, err := t.keptWorld(ctx, n)
		if err != nil {
			return nil, err
		}
		keeper, from, err := w.keep(ctx)
		if err != nil {
			return nil, err
		}
		const warm = 5
		times := o.pick(100, 50, 3)
		var took []time.Duration
		sessions := make([]*wsClient, warm+times)
		for i := range sessions {
			if sessions[i], err = t.sessionIn(w.graph, t.token); err != nil {
				return nil, err
			}
		}
		var cpu time.Duration
		for i, c := range sessions {
			if i == warm {
				cpu = t.serverTime()
			}
			began := time.Now()
			_, size, err := c.sync(w, &from)
			if err != nil {
				return nil, err
			}
			if size > 2000 {
				return nil, fmt.Errorf("%d bytes came although nothing had changed", size)
			}
			if i >= warm {
				took = append(took, time.Since(began))
			}
		}
		cpu = t.serverTime() - cpu
		for _, c := range sessions {
			c.close()
		}
		keeper.close()
		out = append(out, figure{fmt.Sprintf("%d records, p50", n), ms(quantile(took, 0.5)), "ms", true, "≤ 1 ms"},
			figure{fmt.Sprintf("%d records, server CPU", n), ms(cpu / time.Duration(times)), "ms", true, "≤ 1 ms"})
	}
	return out, nil
}

// resumeRow is a session that comes back to a book of 1,000 items after it
// missed 10, 1,000 and 100,000 commits: to a node where the view is live, and to
// one that was just started, where the first to come also pays for opening the
// graph.
func resumeRow(ctx context.Context, t *target, o options) ([]figure, error) {
	w, err := t.world(ctx, o.pick(1000, 1000, 10), nil)
	if err != nil {
		return nil, err
	}
	defer w.leave()
	keeper, from, err := w.keep(ctx)
	if err != nil {
		return nil, err
	}
	go drain(keeper) // until the connection ends
	var out []figure
	var done int64
	missed := []int64{10, int64(o.pick(1000, 1000, 20)), int64(o.pick(100_000, 20_000, 40))}
	for _, n := range missed {
		need := n - done
		made, err := writeWhile(t, w.graph, 64, w.items, func(begun int64) bool { return begun <= need })
		if err != nil {
			return nil, err
		}
		done += made
		var took []time.Duration
		var size int
		for range 5 {
			c, err := t.sessionIn(w.graph, t.token)
			if err != nil {
				return nil, err
			}
			began := time.Now()
			if _, size, err = c.sync(w, &from); err != nil {
				return nil, err
			}
			took = append(took, time.Since(began))
			c.close()
		}
		out = append(out, figure{fmt.Sprintf("after %d commits, view live", n), ms(quantile(took, 0.5)), "ms", true, ""},
			figure{fmt.Sprintf("after %d commits, bytes", n), float64(size) / 1024, "KiB", true, ""})
	}
	for _, n := range missed {
		if err := t.restart(); err != nil {
			return nil, err
		}
		at := from
		at.Version = from.Version + done - n
		c, err := t.sessionIn(w.graph, t.token)
		if err != nil {
			return nil, err
		}
		began := time.Now()
		_, size, err := c.sync(w, &at)
		if err != nil {
			return nil, err
		}
		out = append(out, figure{fmt.Sprintf("after %d commits, node just started", n), ms(time.Since(began)), "ms", true, ""},
			figure{fmt.Sprintf("after %d commits, node just started, bytes", n), float64(size) / 1024, "KiB", true, ""})
		c.close()
	}
	return out, nil
}

func drain(c *wsClient) {
	for {
		if _, err := c.read(); err != nil {
			return
		}
	}
}
