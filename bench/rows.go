package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/postprocess"
	"github.com/graphtide/graphtide/server/auth"
)

const benchSchema = `graphtide: 1
types:
  Book:
    properties: {name: {type: string}}
    access: {read: [public], write: [public]}
    edges: {in: {book: {from: Item, as: items}}}
  Item:
    properties: {n: {type: number}, text: {type: string}, tags: {type: array, items: {type: string}}, done: {type: boolean}}
    access: {inherit: book}
    edges: {out: {book: {to: Book, max: 1, required: true, onDelete: cascade}}}
  Large:
    properties: {n: {type: number}, rows: {type: array, items: {type: string}}}
    access: {read: [public], write: [public]}
  Alarm:
    properties: {at: {type: number}}
    access: {read: [public], write: [public]}
rules:
  ring:
    on: {object: Alarm, events: [modify]}
    handler: {go: ring}
`

var (
	book   = uuid.MustParse("018f0000-0000-7000-8000-000000000001").String()
	large  = uuid.MustParse("018f0000-0000-7000-8000-000000000002").String()
	alarm  = uuid.MustParse("018f0000-0000-7000-8000-000000000003").String()
	small  = ids(1, 1000)
	body   = `{"n":1,"text":"` + strings.Repeat("graph tide ", 20) + `","tags":["one","two","three"],"done":false}`
	wide   = `{"n":1,"rows":[` + strings.TrimSuffix(strings.Repeat(`"`+strings.Repeat("x", 98)+`",`, 1000), ",") + `]}`
	rang   atomic.Int64 // nanoseconds of the last call of the handler
	prefix = "018f0000-0000-7000-9000-"
)

func ids(set, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s%04x%08x", prefix, set, i)
	}
	return out
}

// benchHandlers has a handler that notes when it was called, in a file that the
// measuring process reads: the two share one clock.
func benchHandlers() postprocess.Config {
	return postprocess.Config{Go: map[string]postprocess.GoHandler{"ring": func(context.Context, *postprocess.Call) (json.RawMessage, error) {
		now := strconv.FormatInt(time.Now().UnixNano(), 10)
		return nil, os.WriteFile(os.Getenv("GRAPHTIDE_BENCH_RING"), []byte(now), 0o600)
	}}}
}

func (t *target) request(ctx context.Context, method, path, contentType, body, token string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, t.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %.500s", method, path, res.Status, text)
	}
	return text, err
}

// seed makes 1,000 items in a book, one large object and an alarm.
func seed(ctx context.Context, t *target) error {
	if t.name == "floor" {
		in, err := json.Marshal(map[string]any{"ids": small, "body": json.RawMessage(body)})
		if err != nil {
			return err
		}
		if _, err = t.request(ctx, "POST", "/seed", "application/json", string(in), ""); err != nil {
			return err
		}
		in, err = json.Marshal(map[string]any{"ids": []string{large}, "body": json.RawMessage(wide), "more": true})
		if err != nil {
			return err
		}
		_, err = t.request(ctx, "POST", "/seed", "application/json", string(in), "")
		return err
	}
	admin, err := auth.Mint(secret, auth.Claims{User: "root", Graphs: []string{"*"}, Admin: true}, time.Hour)
	if err != nil {
		return err
	}
	if _, err := t.request(ctx, "PUT", "/v1/schema", "application/yaml", benchSchema, admin); err != nil {
		return err
	}
	first := fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":"Book","body":{"name":"b"}}},
		{"op":"add","path":"/objects/%s","value":{"type":"Large","body":%s}},
		{"op":"add","path":"/objects/%s","value":{"type":"Alarm","body":{}}}]`, book, large, wide, alarm)
	if _, err := t.request(ctx, "PATCH", "/v1/graphs/main", "application/json-patch+json", first, t.token); err != nil {
		return err
	}
	return t.addItems(ctx, small)
}

// addItems makes items in the book, 400 at a time.
func (t *target) addItems(ctx context.Context, list []string) error {
	for len(list) > 0 {
		n := min(len(list), 400)
		var b strings.Builder
		for i, id := range list[:n] {
			sep := ","
			if i == 0 {
				sep = "["
			}
			fmt.Fprintf(&b, `%s{"op":"add","path":"/objects/%s","value":{"type":"Item","body":%s}},{"op":"add","path":"/edges/%s","value":{"label":"book","from":"%s","to":"%s"}}`,
				sep, id, body, uuid.NewString(), id, book)
		}
		b.WriteByte(']')
		if _, err := t.request(ctx, "PATCH", "/v1/graphs/main", "application/json-patch+json", b.String(), t.token); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// session connects and says hello.
func (t *target) session() (*wsClient, error) {
	c, err := dial(t.url)
	if err != nil {
		return nil, err
	}
	hello := fmt.Sprintf(`{"t":"hello","token":"%s","session":"%s"}`, t.token, uuid.NewString())
	if err := c.send([]byte(hello)); err != nil {
		return nil, err
	}
	if _, err := c.readUntil(`"t":"welcome"`); err != nil {
		return nil, err
	}
	return c, nil
}

// subscribe asks for the book with all its items and reads the load.
func (c *wsClient) subscribe() error {
	if err := c.send([]byte(`{"t":"sub","sub":"s1","projection":{"root":"` + book + `","in":{"book":{}}}}`)); err != nil {
		return err
	}
	_, err := c.readUntil(`"done":true`)
	return err
}

func mutation(id string, n int64) []byte {
	return fmt.Appendf(nil, `{"t":"mutate","mutation":"%s","patch":[{"op":"replace","path":"/objects/%s/body/n","value":%d}]}`, uuid.NewString(), id, n)
}

var counter atomic.Int64

func init() { counter.Store(time.Now().Unix()) } // every change changes something

// writeFor has w writers change an object each, one at a time, and gives how
// many changes were acknowledged. while runs beside them.
func writeFor(t *target, w int, objects []string, span time.Duration) (int64, error) {
	clients := make([]*wsClient, w)
	for i := range clients {
		c, err := t.session()
		if err != nil {
			return 0, err
		}
		defer c.close()
		clients[i] = c
	}
	var done atomic.Int64
	var failed atomic.Value
	end := time.Now().Add(span)
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for k := i; time.Now().Before(end); k += w {
				err := c.send(mutation(objects[k%len(objects)], counter.Add(1)))
				if err == nil {
					_, err = c.readUntil(`"t":"ack"`)
				}
				if err != nil {
					failed.Store(err)
					return
				}
				done.Add(1)
			}
		}()
	}
	wg.Wait()
	if err, ok := failed.Load().(error); ok {
		return 0, err
	}
	return done.Load(), nil
}

func writeRow(w int, goal string) row {
	return row{name: fmt.Sprintf("write, %d in flight", w), run: func(_ context.Context, t *target, o options) ([]figure, error) {
		before := t.cpu()
		began := time.Now()
		n, err := writeFor(t, w, small, o.span)
		if err != nil {
			return nil, err
		}
		took := time.Since(began).Seconds()
		return []figure{{"changes/s", float64(n) / took, "/s", false, goal},
			{"CPU per change, Postgres included", float64((t.cpu() - before).Microseconds()) / float64(n), "µs", true, ""}}, nil
	}}
}

var rows = []row{
	writeRow(64, "≥ 0.6"),
	writeRow(16, "≥ 0.6"),
	writeRow(1, "≥ 0.5"),
	{name: "write to another client", run: echoRow},
	{name: "deliveries", run: deliveryRow},
	{name: "load of 1,000", run: func(ctx context.Context, t *target, o options) ([]figure, error) { return loadRow(ctx, t, 20) }},
	{name: "one-field change of a 100 KB object", run: largeRow},
	{name: "commit to handler start", run: handlerRow, only: "node"},
	{name: "load of 10,000", run: bigLoadRow},
}

// echoRow is the time from sending a change to its arrival at another client.
func echoRow(_ context.Context, t *target, _ options) ([]figure, error) {
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
	var times []time.Duration
	for i := range 600 {
		began := time.Now()
		if err := writer.send(mutation(small[i%100], counter.Add(1))); err != nil {
			return nil, err
		}
		if _, err := reader.readUntil(`"t":"delta"`); err != nil {
			return nil, err
		}
		if i >= 100 {
			times = append(times, time.Since(began))
		}
		if _, err := writer.readUntil(`"t":"ack"`); err != nil {
			return nil, err
		}
	}
	return []figure{{"p50", ms(quantile(times, 0.5)), "ms", true, "≤ 1.5"}, {"p99", ms(quantile(times, 0.99)), "ms", true, ""}}, nil
}

// deliveryRow has many sessions on one view while 16 writers change its items.
func deliveryRow(_ context.Context, t *target, o options) ([]figure, error) {
	var delivered atomic.Int64
	var wg sync.WaitGroup
	clients := make([]*wsClient, 0, o.sessions)
	defer func() {
		for _, c := range clients {
			c.close()
		}
		wg.Wait()
	}()
	mark := []byte(`"patch":[`)
	for range o.sessions {
		c, err := t.session()
		if err != nil {
			return nil, err
		}
		clients = append(clients, c)
		if err := c.subscribe(); err != nil {
			return nil, err
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				msg, err := c.read()
				if err != nil {
					return
				}
				delivered.Add(int64(bytes.Count(msg, mark)))
			}
		}()
	}
	before, began := t.cpu(), time.Now()
	delivered.Store(0)
	if _, err := writeFor(t, 16, small, o.span); err != nil {
		return nil, err
	}
	n, took := delivered.Load(), time.Since(began).Seconds()
	cpu := t.cpu() - before
	return []figure{{fmt.Sprintf("deliveries/s to %d sessions", o.sessions), float64(n) / took, "/s", false, "≥ 0.7"},
		{"server CPU per delivery", float64(cpu.Nanoseconds()) / 1e3 / float64(max(n, 1)), "µs", true, "≤ 2"}}, nil
}

func loadRow(ctx context.Context, t *target, times int) ([]figure, error) {
	var took []time.Duration
	for range times {
		began := time.Now()
		if _, err := t.request(ctx, "POST", "/v1/graphs/main/load", "application/json", `{"root":"`+book+`","in":{"book":{}}}`, t.token); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	return []figure{{"p50", ms(quantile(took, 0.5)), "ms", true, "≤ 2"}}, nil
}

var grown sync.Map

// bigLoadRow grows the book to 10,000 items, once, and loads it.
func bigLoadRow(ctx context.Context, t *target, _ options) ([]figure, error) {
	if _, done := grown.LoadOrStore(t.name, true); !done {
		more := ids(2, 9000)
		var err error
		if t.name == "node" {
			err = t.addItems(ctx, more)
		} else {
			var in []byte
			if in, err = json.Marshal(map[string]any{"ids": more, "body": json.RawMessage(body), "more": true}); err == nil {
				_, err = t.request(ctx, "POST", "/seed", "application/json", string(in), "")
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return loadRow(ctx, t, 10)
}

// largeRow is all processor time of a one-field change of a 100 KB object.
func largeRow(_ context.Context, t *target, _ options) ([]figure, error) {
	c, err := t.session()
	if err != nil {
		return nil, err
	}
	defer c.close()
	const n = 300
	before, began := t.cpu(), time.Now()
	for range n {
		if err := c.send(mutation(large, counter.Add(1))); err != nil {
			return nil, err
		}
		if _, err := c.readUntil(`"t":"ack"`); err != nil {
			return nil, err
		}
	}
	took := time.Since(began)
	return []figure{{"all CPU per change", ms((t.cpu() - before) / n), "ms", true, "≤ 2.5 ms"}, {"time per change", ms(took / n), "ms", true, ""}}, nil
}

// handlerRow is the time from a commit's acknowledgement to its handler's start.
func handlerRow(ctx context.Context, t *target, _ options) ([]figure, error) {
	file := os.Getenv("GRAPHTIDE_BENCH_RING")
	c, err := t.session()
	if err != nil {
		return nil, err
	}
	defer c.close()
	var times []time.Duration
	for range 100 {
		os.Remove(file)
		if err := c.send([]byte(fmt.Sprintf(`{"t":"mutate","mutation":"%s","patch":[{"op":"add","path":"/objects/%s/body/at","value":%d}]}`, uuid.NewString(), alarm, counter.Add(1)))); err != nil {
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

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
	return d[min(len(d)-1, int(q*float64(len(d))))]
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	sort.Float64s(v)
	return v[len(v)/2]
}

func printRow(r row, floor, node [][]figure) {
	if len(node) == 0 {
		return
	}
	for i, f := range node[0] {
		pick := func(rounds [][]figure) float64 {
			var v []float64
			for _, round := range rounds {
				v = append(v, round[i].value)
			}
			return median(v)
		}
		n := pick(node)
		name := r.name + ": " + f.name
		if len(floor) == 0 {
			fmt.Printf("%-46s %14s %11.4g %-2s %8s  %s\n", name, "–", n, f.unit, "–", f.goal)
			continue
		}
		fl := pick(floor)
		fmt.Printf("%-46s %11.4g %-2s %11.4g %-2s %7.2f×  %s\n", name, fl, f.unit, n, f.unit, n/fl, f.goal)
	}
}
