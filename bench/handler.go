package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/postprocess"
)

// benchHandlers has a handler that notes when it was called, in a file that the
// measuring process reads: the two share one clock.
func benchHandlers() postprocess.Config {
	handlers := map[string]postprocess.GoHandler{"ring": func(context.Context, *postprocess.Call) (json.RawMessage, error) {
		now := strconv.FormatInt(time.Now().UnixNano(), 10)
		return nil, os.WriteFile(os.Getenv("GRAPHTIDE_BENCH_RING"), []byte(now), 0o600)
	}}
	addPostHandlers(handlers)
	return postprocess.Config{Go: handlers}
}

// handlerRow is the time from a commit's acknowledgement to its handler's start.
func handlerRow(ctx context.Context, t *target, o options) ([]figure, error) {
	file := os.Getenv("GRAPHTIDE_BENCH_RING")
	c, err := t.session()
	if err != nil {
		return nil, err
	}
	defer c.close()
	var times []time.Duration
	for range o.pick(300, 50, 2) {
		if err := t.awaitQuiet(ctx); err != nil {
			return nil, err
		}
		os.Remove(file)
		if err := c.send(fmt.Appendf(nil, `{"t":"mutate","mutation":"%s","patch":[{"op":"add","path":"/objects/%s/body/at","value":%d}]}`, uuid.NewString(), alarm, counter.Add(1))); err != nil {
			return nil, err
		}
		if _, err := c.readUntil(`"t":"ack"`); err != nil {
			return nil, err
		}
		acked := time.Now()
		at, err := awaitRing(ctx, file)
		if err != nil {
			return nil, err
		}
		times = append(times, max(at.Sub(acked), 0))
	}
	return []figure{{"p50", ms(quantile(times, 0.5)), "ms", true, ""}, {"p99", ms(quantile(times, 0.99)), "ms", true, "≤ 10 ms"}}, nil
}

// awaitQuiet waits until no run is under way: one of the same rule and entity would
// be waited for, and the end of any other one written beside what is measured.
func (t *target) awaitQuiet(ctx context.Context) error {
	for {
		text, err := t.request(ctx, "GET", "/v1/graphs/main/runs?state=running", "", "", t.admin)
		if err != nil {
			return err
		}
		var list struct{ Runs []json.RawMessage }
		if err := json.Unmarshal(text, &list); err != nil || len(list.Runs) == 0 {
			return err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func awaitRing(ctx context.Context, file string) (time.Time, error) {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if text, err := os.ReadFile(file); err == nil && len(text) > 0 {
			ns, err := strconv.ParseInt(string(text), 10, 64)
			return time.Unix(0, ns), err
		}
		select {
		case <-time.After(200 * time.Microsecond):
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		}
	}
	return time.Time{}, fmt.Errorf("the handler was not called within 10 s")
}
