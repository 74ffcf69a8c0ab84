package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"github.com/graphtide/graphtide/postprocess"
)

// The rows of this file are about post-processing. They put a schema with more
// types and rules, which stays: they come last.

// postTypes, postRules and postOperations go into the schema.
const (
	postTypes = `  Echo:
    properties: {asked: {type: string}, seen: {type: string}}
    access: {read: [public], write: [public]}
  Tick:
    properties: {n: {type: number}}
    access: {read: [public], write: [public]}
`
	postRules = `  echo:
    on: {object: Echo, events: [modify], paths: [/body/asked]}
    handler: {go: echo}
    writes: [Echo/body/seen]
  tick:
    on: {object: Tick, events: [create]}
    handler: {go: tick}
    writes: []
`
	postOperations = `operations:
  tell:
    handler: {go: tell}
`
)

// tickStep is how many ticks are noted together.
const tickStep = 50

// addPostHandlers adds what the rows of this file fire.
func addPostHandlers(handlers map[string]postprocess.GoHandler) {
	var ticks atomic.Int64
	handlers["echo"] = func(_ context.Context, c *postprocess.Call) (json.RawMessage, error) {
		var e struct {
			Entity string
			After  struct{ Body struct{ Asked string } }
		}
		if err := json.Unmarshal(c.Event, &e); err != nil {
			return nil, err
		}
		return fmt.Appendf(nil, `{"patch":[{"op":"add","path":"/objects/%s/body/seen","value":"seen-%s"}]}`, e.Entity, e.After.Body.Asked), nil
	}
	handlers["tick"] = func(context.Context, *postprocess.Call) (json.RawMessage, error) {
		if n := ticks.Add(1); n%tickStep == 0 {
			return nil, os.WriteFile(os.Getenv("GRAPHTIDE_BENCH_RING")+".ticks", []byte(strconv.FormatInt(n, 10)), 0o600)
		}
		return nil, nil
	}
	handlers["tell"] = func(ctx context.Context, c *postprocess.Call) (json.RawMessage, error) {
		// The time of the start, and when it was told: the two processes share one
		// clock.
		began := time.Now().UnixNano()
		return nil, c.Operation.Status(ctx, fmt.Sprintf("began-%d.", began), nil)
	}
}

// withPost puts the schema with further rules, and then runs fn.
func (t *target) withPost(ctx context.Context, rules string, fn func() error) error {
	put := func(schema string) error {
		_, err := t.request(ctx, "PUT", "/v1/schema", "application/yaml", schema, t.admin)
		return err
	}
	head, tail, _ := strings.Cut(benchSchema, "rules:\n")
	if err := put(head + postTypes + "rules:\n" + tail + postRules + rules + postOperations); err != nil {
		return err
	}
	return fn()
}

func (t *target) create(ctx context.Context, typ, body string) (string, error) {
	id := newID()
	_, err := t.request(ctx, "PATCH", "/v1/graphs/main", "application/json-patch+json",
		fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":%q,"body":%s}}]`, id, typ, body), t.token)
	return id, err
}

// effectRow is the time from a commit's acknowledgement until another client
// has what the commit's handler wrote.
func effectRow(ctx context.Context, t *target, o options) (figures []figure, err error) {
	err = t.withPost(ctx, "", func() error {
		id, err := t.create(ctx, "Echo", `{"asked":""}`)
		if err != nil {
			return err
		}
		writer, err := t.session()
		if err != nil {
			return err
		}
		defer writer.close()
		reader, err := t.session()
		if err != nil {
			return err
		}
		defer reader.close()
		if err := reader.send(fmt.Appendf(nil, `{"t":"sub","sub":"echo","projection":{"root":%q}}`, id)); err != nil {
			return err
		}
		if _, err := reader.readUntil(`"t":"load"`); err != nil {
			return err
		}
		var times []time.Duration
		for range o.pick(300, 100, 3) {
			mark := strconv.FormatInt(counter.Add(1), 10)
			if err := writer.send(fmt.Appendf(nil, `{"t":"mutate","mutation":"%s","patch":[{"op":"add","path":"/objects/%s/body/asked","value":"%s"}]}`, uuid.NewString(), id, mark)); err != nil {
				return err
			}
			if _, err := writer.readUntil(`"t":"ack"`); err != nil {
				return err
			}
			acked := time.Now()
			if _, err := reader.readUntil(`seen-` + mark); err != nil {
				return err
			}
			times = append(times, time.Since(acked))
		}
		figures = []figure{{"p50", ms(quantile(times, 0.5)), "ms", true, ""}, {"p99", ms(quantile(times, 0.99)), "ms", true, ""}}
		return nil
	})
	return figures, err
}

// operationRow is the time from an operation's creation to its handler's start,
// and from a status entry to another client.
func operationRow(ctx context.Context, t *target, o options) (figures []figure, err error) {
	err = t.withPost(ctx, "", func() error {
		writer, err := t.session()
		if err != nil {
			return err
		}
		defer writer.close()
		var starts, told []time.Duration
		for range o.pick(200, 60, 3) {
			if err := t.awaitQuiet(ctx); err != nil {
				return err
			}
			id := newID()
			if err := writer.send(fmt.Appendf(nil, `{"t":"mutate","mutation":"%s","patch":[{"op":"add","path":"/objects/%s","value":{"type":"OperationRequest","body":{"operation":"tell"}}}]}`, uuid.NewString(), id)); err != nil {
				return err
			}
			if _, err := writer.readUntil(`"t":"ack"`); err != nil {
				return err
			}
			acked := time.Now()
			reader, err := t.session()
			if err != nil {
				return err
			}
			// Whichever comes first, the load or the delta, has the status.
			if err := reader.send(fmt.Appendf(nil, `{"t":"sub","sub":"op","projection":{"root":%q}}`, id)); err != nil {
				reader.close()
				return err
			}
			text, err := reader.readUntil("began-")
			seen := time.Now()
			reader.close()
			if err != nil {
				return err
			}
			_, rest, _ := strings.Cut(string(text), "began-")
			digits, _, _ := strings.Cut(rest, ".")
			ns, err := strconv.ParseInt(digits, 10, 64)
			if err != nil {
				return fmt.Errorf("read when the handler began: %w", err)
			}
			began := time.Unix(0, ns)
			starts = append(starts, max(0, began.Sub(acked)))
			told = append(told, seen.Sub(began))
		}
		figures = []figure{
			{"creation to handler start, p50", ms(quantile(starts, 0.5)), "ms", true, ""}, {"creation to handler start, p99", ms(quantile(starts, 0.99)), "ms", true, "≤ 10 ms"},
			{"status to another client, p50", ms(quantile(told, 0.5)), "ms", true, ""}, {"status to another client, p99", ms(quantile(told, 0.99)), "ms", true, ""},
		}
		return nil
	})
	return figures, err
}

// runsRow is how many runs a second are matched, done and recorded, beside the
// bare queue on the same Redis.
func runsRow(ctx context.Context, t *target, o options) (figures []figure, err error) {
	file := os.Getenv("GRAPHTIDE_BENCH_RING") + ".ticks"
	n := o.pick(3000, 1000, 100)
	err = t.withPost(ctx, "", func() error {
		ticks := func() (count int) {
			text, err := os.ReadFile(file)
			if err == nil {
				count, _ = strconv.Atoi(string(text))
			}
			return count
		}
		from := ticks()
		began := time.Now()
		for range n / tickStep {
			var ops []string
			for range tickStep {
				ops = append(ops, fmt.Sprintf(`{"op":"add","path":"/objects/%s","value":{"type":"Tick","body":{}}}`, newID()))
			}
			if _, err := t.request(ctx, "PATCH", "/v1/graphs/main", "application/json-patch+json", "["+strings.Join(ops, ",")+"]", t.token); err != nil {
				return err
			}
		}
		for end := time.Now().Add(2 * time.Minute); ticks()-from < n; {
			if time.Now().After(end) {
				return fmt.Errorf("%d of %d runs within two minutes", ticks()-from, n)
			}
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		runs := float64(n) / time.Since(began).Seconds()
		bare, err := bareQueue(ctx, t.redis.Addr(), n)
		if err != nil {
			return err
		}
		figures = []figure{{"runs", runs, "/s", false, ""}, {"bare asynq", bare, "/s", false, ""}, {"runs beside bare asynq", runs / bare, "×", false, ""}}
		return nil
	})
	return figures, err
}

// bareQueue puts tasks into asynq and takes them out again.
func bareQueue(ctx context.Context, addr string, n int) (perSecond float64, err error) {
	opt := asynq.RedisClientOpt{Addr: addr}
	client := asynq.NewClient(opt)
	defer client.Close()
	server := asynq.NewServer(opt, asynq.Config{Concurrency: 32, Queues: map[string]int{"bare": 1}, TaskCheckInterval: 5 * time.Millisecond, LogLevel: asynq.FatalLevel})
	var left atomic.Int64
	left.Store(int64(n))
	done := make(chan struct{})
	if err := server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		if left.Add(-1) == 0 {
			close(done)
		}
		return nil
	})); err != nil {
		return 0, err
	}
	defer server.Shutdown()
	began := time.Now()
	for i := range n {
		if _, err := client.EnqueueContext(ctx, asynq.NewTask("bare", []byte(strconv.Itoa(i))), asynq.Queue("bare")); err != nil {
			return 0, err
		}
	}
	select {
	case <-done:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// rulesRow is what a commit costs as there are more rules that do not match it.
func rulesRow(ctx context.Context, t *target, o options) ([]figure, error) {
	w, err := t.keptWorld(ctx, crowdItems)
	if err != nil {
		return nil, err
	}
	var g growth
	for _, n := range []int{0, o.pick(1000, 1000, 10)} {
		var rules strings.Builder
		for i := range n {
			// Half of them are about another type, half about another place of this one.
			on := "{object: Large}"
			if i%2 == 0 {
				on = "{object: Item, paths: [/body/assignee]}"
			}
			fmt.Fprintf(&rules, "  quiet%d: {on: %s, when: \"after.body.n > %d.0\", handler: {go: tick}}\n", i, on, i)
		}
		err := t.withPost(ctx, rules.String(), func() error {
			cpu, p50, err := commitCost(ctx, t, w, o)
			g.add(fmt.Sprintf("%d rules", n), cpu, p50)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return g.all(), nil
}
