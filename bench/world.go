package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

const benchSchema = `graphtide: 1
types:
  Book:
    properties: {name: {type: string}}
    access: {read: [public], write: [public]}
    edges: {in: {book: {from: Item, as: items}, note: {from: Note, as: notes}}}
  Item:
    properties: {n: {type: number}, text: {type: string}, tags: {type: array, items: {type: string}}, done: {type: boolean}, assignee: {type: string}}
    access: {inherit: book}
    edges: {out: {book: {to: Book, max: 1, required: true, onDelete: cascade}}}
  Note:
    properties: {text: {type: string}}
    edges: {out: {note: {to: Book, max: 1}}}
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

// What every run has in the graph main: a book of 1,000 items of about 300
// bytes, a large object and an alarm.
var (
	book  = uuid.MustParse("018f0000-0000-7000-8000-000000000001").String()
	large = uuid.MustParse("018f0000-0000-7000-8000-000000000002").String()
	alarm = uuid.MustParse("018f0000-0000-7000-8000-000000000003").String()
	small = ids(1000)
	body  = itemBody("nobody")
	wide  = `{"n":1,"rows":[` + strings.TrimSuffix(strings.Repeat(`"`+strings.Repeat("x", 98)+`",`, 1000), ",") + `]}`
)

func itemBody(assignee string) string {
	return `{"n":1,"text":"` + strings.Repeat("graph tide ", 18) + `","tags":["one","two","three"],"done":false,"assignee":"` + assignee + `"}`
}

func ids(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = newID()
	}
	return out
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// counter makes every change change something.
var counter atomic.Int64

func init() { counter.Store(time.Now().Unix()) }

// seed fills the graph main.
func seed(ctx context.Context, t *target) error {
	w := &world{t: t, graph: "main", book: book}
	if t.name == "floor" {
		if err := w.addItems(ctx, small, nobody); err != nil {
			return err
		}
		return t.seedFloor(ctx, []string{large}, []string{""}, []string{wide})
	}
	if _, err := t.request(ctx, "PUT", "/v1/schema", "application/yaml", benchSchema, t.admin); err != nil {
		return err
	}
	first := fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":"Book","body":{"name":"b"}}},
		{"op":"add","path":"/objects/%s","value":{"type":"Large","body":%s}},
		{"op":"add","path":"/objects/%s","value":{"type":"Alarm","body":{}}}]`, book, large, wide, alarm)
	if err := w.patch(ctx, t.token, first); err != nil {
		return err
	}
	return w.addItems(ctx, small, nobody)
}

func nobody(int) string { return "nobody" }

// world is a book of items for one round of one row, in a graph of its own: what
// a row leaves behind must not weigh on the next one. The floor, which has one
// graph, keeps each book as a set.
type world struct {
	t     *target
	graph string
	book  string
	items []string
	// byAssignee: on the floor, who subscribes names an assignee's set, not the
	// book's.
	byAssignee bool
}

// world makes a book of n items. assignee gives whose each is.
func (t *target) world(ctx context.Context, n int, assignee func(i int) string) (*world, error) {
	return t.newWorld(ctx, &world{items: ids(n)}, assignee)
}

// worldByAssignee is a world whose items are looked at by assignee.
func (t *target) worldByAssignee(ctx context.Context, n int, assignee func(i int) string) (*world, error) {
	return t.newWorld(ctx, &world{items: ids(n), byAssignee: true}, assignee)
}

func (t *target) newWorld(ctx context.Context, w *world, assignee func(i int) string) (*world, error) {
	w.t, w.book = t, newID()
	w.graph = "b-" + w.book
	if t.name == "node" {
		if _, err := t.request(ctx, "PUT", "/v1/graphs/"+w.graph, "", "", t.admin); err != nil {
			return nil, err
		}
		if err := w.patch(ctx, t.token, fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":"Book","body":{"name":"b"}}}]`, w.book)); err != nil {
			return nil, err
		}
	}
	return w, w.addItems(ctx, w.items, assignee)
}

// leave deletes the world.
func (w *world) leave() {
	w.t.hangUp()
	if w.t.name == "node" {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		// What is left weighs a little on later rows, no more.
		_, _ = w.t.request(ctx, "DELETE", "/v1/graphs/"+w.graph, "", "", w.t.admin)
	}
}

// patch sends a transaction, and again where the server asks for that: on a
// machine with other work the database may take too long for one.
func (w *world) patch(ctx context.Context, token, text string) (err error) {
	path, key := "/v1/graphs/"+w.graph, newID()
	for range 5 {
		_, err = w.t.request(ctx, "PATCH", path, "application/json-patch+json", text, token, "Idempotency-Key", key)
		if err == nil || !strings.Contains(err.Error(), `"code":"unavailable"`) {
			return err
		}
	}
	return err
}

// addItems makes items in the book, 400 a transaction and four of these at a time.
func (w *world) addItems(ctx context.Context, list []string, assignee func(i int) string) error {
	if assignee == nil {
		assignee = nobody
	}
	var wg sync.WaitGroup
	places := make(chan struct{}, 4)
	var failed atomic.Pointer[error]
	for at := 0; at < len(list); at += 400 {
		part := list[at:min(at+400, len(list))]
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			if err := w.addPart(ctx, part, func(i int) string { return assignee(at + i) }); err != nil {
				failed.Store(&err)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (w *world) addPart(ctx context.Context, list []string, assignee func(i int) string) error {
	if w.t.name == "floor" {
		sets, bodies := make([]string, len(list)), make([]string, len(list))
		for i := range list {
			sets[i], bodies[i] = w.book, itemBody(assignee(i))
			if w.byAssignee {
				sets[i] = w.set(assignee(i))
			}
		}
		return w.t.seedFloor(ctx, list, sets, bodies)
	}
	var b strings.Builder
	for i, id := range list {
		sep := ","
		if i == 0 {
			sep = "["
		}
		fmt.Fprintf(&b, `%s{"op":"add","path":"/objects/%s","value":{"type":"Item","body":%s}},{"op":"add","path":"/edges/%s","value":{"label":"book","from":"%s","to":"%s"}}`,
			sep, id, itemBody(assignee(i)), newID(), id, w.book)
	}
	b.WriteByte(']')
	return w.patch(ctx, w.t.token, b.String())
}

func (w *world) set(assignee string) string { return w.book + "/" + assignee }

// seedFloor gives the floor objects.
func (t *target) seedFloor(ctx context.Context, list, sets, bodies []string) error {
	raw := make([]json.RawMessage, len(bodies))
	for i, b := range bodies {
		raw[i] = json.RawMessage(b)
	}
	in, err := json.Marshal(floorSeed{list, sets, raw})
	if err == nil {
		_, err = t.request(ctx, "POST", "/seed", "application/json", string(in), "")
	}
	return err
}

// whole is the projection of the book with all its items.
func (w *world) whole() string { return `{"root":"` + w.book + `","in":{"book":{}}}` }

// assigned is the projection of the book with the items of one assignee.
func (w *world) assigned(to string) string {
	return `{"root":"` + w.book + `","in":{"book":{"where":{"assignee":"` + to + `"}}}}`
}

// session connects to the graph main and says hello.
func (t *target) session() (*wsClient, error) { return t.sessionIn("main", t.token) }

func (t *target) sessionIn(graph, token string) (*wsClient, error) {
	c, err := t.dial(graph)
	if err != nil {
		return nil, err
	}
	hello := fmt.Sprintf(`{"t":"hello","token":"%s","session":"%s"}`, token, uuid.NewString())
	if err := c.send([]byte(hello)); err != nil {
		return nil, err
	}
	if _, err := c.readUntil(`"t":"welcome"`); err != nil {
		return nil, err
	}
	return c, nil
}

// subscribe asks for the book of the graph main and reads the load.
func (c *wsClient) subscribe() error {
	return c.subscribeTo(book, `{"root":"`+book+`","in":{"book":{}}}`)
}

// subscribeTo asks for a projection and reads the load. set names it to the
// floor.
func (c *wsClient) subscribeTo(set, projection string) error {
	if err := c.send(fmt.Appendf(nil, `{"t":"sub","sub":"s1","set":"%s","projection":%s}`, set, projection)); err != nil {
		return err
	}
	_, err := c.readUntil(`"done":true`)
	return err
}

func mutation(id string, n int64) []byte {
	return fmt.Appendf(nil, `{"t":"mutate","mutation":"%s","patch":[{"op":"replace","path":"/objects/%s/body/n","value":%d}]}`, uuid.NewString(), id, n)
}

// do sends a change and waits for its acknowledgement.
func (c *wsClient) do(change []byte) error {
	if err := c.send(change); err != nil {
		return err
	}
	_, err := c.readUntil(`"t":"ack"`)
	return err
}
