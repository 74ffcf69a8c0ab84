package postprocess

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/testdb"
)

const oneRule = `
work:
  on: {object: Thing, events: [create]}
  handler: {go: work}
  timeout: 60s`

// A worker that stops giving signs of life loses its run, and cannot write any
// more, although it is still there.
func TestALostWorkersRunIsTakenOverAndItsWritesAreFenced(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB, string, map[string]GoHandler, ...option) *system{"memory": setup, "postgres": setupPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			type call struct {
				node string
				ctx  context.Context
				c    *Call
				ret  chan error
			}
			calls := make(chan call, 4)
			handler := func(node string) map[string]GoHandler {
				return map[string]GoHandler{"work": func(ctx context.Context, c *Call) (json.RawMessage, error) {
					in := call{node, ctx, c, make(chan error, 1)}
					calls <- in
					return nil, <-in.ret
				}}
			}
			s := open(t, rules(oneRule), handler("n1"))
			id, _ := s.create("Thing", `{}`)
			lost := take(t, calls)
			if lost.node != "n1" {
				t.Fatalf("the run began on %s", lost.node)
			}
			second := s.node("n2", handler("n2"))
			second.start()
			s.first.runs.cut.Store(true)
			heir := take(t, calls)
			if heir.node != "n2" || eventOf(t, heir.c.Event).Attempt != 2 {
				t.Fatalf("the run was taken over by %s: %s", heir.node, heir.c.Event)
			}
			write := func(c call) error {
				_, err := c.c.Graph.Patch(context.WithoutCancel(c.ctx), json.RawMessage(`[{"op":"add","path":"/objects/`+id+`/body/by","value":"`+c.node+`"}]`), "")
				return err
			}
			if err := write(lost); err == nil {
				t.Error("the lost worker wrote")
			}
			if err := write(heir); err != nil {
				t.Errorf("the heir could not write: %v", err)
			}
			if err := write(lost); err == nil {
				t.Error("the lost worker wrote a repeat")
			}
			heir.ret <- nil
			run := s.waitState("work", graph.RunSucceeded)[0]
			lost.ret <- nil
			if made := s.madeBy(run.ID); len(made) != 1 || s.body(id)["by"] != "n2" {
				t.Errorf("%d commits, the body is %v", len(made), s.body(id))
			}
		})
	}
}

func TestAnOperationOutlivesItsWorkers(t *testing.T) {
	t.Parallel()
	began := make(chan string, 16)
	hang := func(node string) map[string]GoHandler {
		return map[string]GoHandler{"hang": func(ctx context.Context, c *Call) (json.RawMessage, error) {
			began <- node
			<-ctx.Done()
			<-time.After(time.Millisecond)
			return nil, ctx.Err()
		}}
	}
	s := setup(t, operations(`
hang:
  handler: {go: hang}
  retries: 0
  timeout: 60s`), hang("n1"))
	id := s.operation("hang", `{}`)
	take(t, began)
	s.node("n2", hang("n2")).start()
	s.first.runs.cut.Store(true)
	b := s.waitDone(id)
	e, _ := b["error"].(map[string]any)
	if b["state"] != "failed" || e["code"] != "lease-lost" {
		t.Fatalf("the operation is %v", b)
	}
	s.waitState("hang", graph.RunDead)
}

// Two nodes on one store: each commit is matched once.
func TestNodesMatchEachCommitOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	count := map[string]int{}
	handlers := map[string]GoHandler{"work": func(_ context.Context, c *Call) (json.RawMessage, error) {
		mu.Lock()
		defer mu.Unlock()
		count[eventOf(t, c.Event).Entity]++
		return nil, nil
	}}
	s := setupPostgres(t, rules(oneRule), handlers)
	for i := range 2 {
		s.node(fmt.Sprint("m", i), handlers).start()
	}
	var want []graph.RunState
	for range 40 {
		s.create("Thing", `{}`)
		want = append(want, graph.RunSucceeded)
	}
	s.waitState("work", want...)
	mu.Lock()
	defer mu.Unlock()
	if len(count) != 40 {
		t.Errorf("%d entities were handled", len(count))
	}
	for id, n := range count {
		if n != 1 {
			t.Errorf("%s was handled %d times", id, n)
		}
	}
}

func TestWhatTheQueueLosesIsDoneAllTheSame(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	inspector := asynq.NewInspector(asynq.RedisClientOpt{Addr: redis.Addr()})
	defer inspector.Close()
	const queueName = "lost"
	if err := inspector.PauseQueue(queueName); err != nil { // nothing is taken out before it is lost
		t.Fatal(err)
	}
	hold := make(chan struct{})
	handlers := map[string]GoHandler{"work": func(ctx context.Context, _ *Call) (json.RawMessage, error) {
		select {
		case <-hold:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	s := setup(t, rules(oneRule), handlers, func(c *Config) {
		c.RedisURL, c.Queue = "redis://"+redis.Addr(), queueName
		c.Concurrency = 1
	})
	const n = queueBurst + 30
	var want []graph.RunState
	for range n {
		s.create("Thing", `{}`)
		want = append(want, graph.RunSucceeded)
	}
	// One runs; of the others most are in the queue, where the sweeper was not faster.
	for end := time.After(patience); ; {
		changed := s.runs.next()
		if info, err := inspector.GetQueueInfo(queueName); err == nil && info.Pending >= queueBurst/2 {
			break
		}
		select {
		case <-changed:
		case <-end:
			t.Fatal("the runs do not get into the queue")
		}
	}
	redis.FlushAll()
	close(hold)
	s.waitState("work", want...)
}

func TestTheQueueBringsRunsToIdleNodes(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func() string{
		"miniredis": func() string { return "redis://" + miniredis.RunT(t).Addr() },
		"redis":     func() string { return testdb.Redis(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := make(chan string, 2)
			done := make(chan struct{})
			handler := func(node string) map[string]GoHandler {
				return map[string]GoHandler{"work": func(ctx context.Context, _ *Call) (json.RawMessage, error) {
					where <- node
					select {
					case <-done:
					case <-ctx.Done():
					}
					return nil, nil
				}}
			}
			address, queueName := url(), testdb.GraphName(t)
			configure := func(c *Config) {
				c.RedisURL, c.Queue = address, queueName
				c.Concurrency, c.Sweep = 1, time.Hour // the queue alone
			}
			s := setup(t, rules(oneRule), handler("n1"), configure)
			s.node("n2", handler("n2"), configure).start()
			s.create("Thing", `{}`)
			s.create("Thing", `{}`)
			if a, b := take(t, where), take(t, where); a == b {
				t.Errorf("both runs began on %s", a)
			}
			close(done)
			s.waitState("work", graph.RunSucceeded, graph.RunSucceeded)
		})
	}
}

func TestEverythingWorksWithoutRedis(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	handlers := map[string]GoHandler{"work": func(context.Context, *Call) (json.RawMessage, error) { return nil, nil }}
	s := setup(t, rules(oneRule), handlers, func(c *Config) { c.RedisURL, c.Concurrency = "redis://"+dead, 2 })
	var want []graph.RunState
	for range 30 {
		s.create("Thing", `{}`)
		want = append(want, graph.RunSucceeded)
	}
	s.waitState("work", want...)
}

func TestAStoppingNodeGivesItsRunsBack(t *testing.T) {
	t.Parallel()
	where := make(chan string, 4)
	handler := func(node string, wait bool) map[string]GoHandler {
		return map[string]GoHandler{"work": func(ctx context.Context, _ *Call) (json.RawMessage, error) {
			where <- node
			if wait {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return nil, nil
		}}
	}
	s := setup(t, rules(oneRule), handler("n1", true), func(c *Config) { c.Lease = time.Hour })
	s.create("Thing", `{}`)
	take(t, where)
	s.node("n2", handler("n2", false)).start()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // do not wait for handlers
	if err := s.first.svc.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if n := take(t, where); n != "n2" {
		t.Errorf("the run went on on %s", n)
	}
	run := s.waitState("work", graph.RunSucceeded)[0]
	if run.RetriesLeft != run.Retries {
		t.Errorf("a stop cost a retry: %d of %d left", run.RetriesLeft, run.Retries)
	}
	if err := s.first.svc.Stop(t.Context()); err != nil {
		t.Errorf("a second stop: %v", err)
	}
}

// A node that ends leaves its cursors to the others at once: a deployment waits
// for no lease.
func TestANodeThatEndsLeavesItsPlaceToTheNext(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, open func(testing.TB, string, map[string]GoHandler, ...option) *system) {
		where := make(chan string, 4)
		handler := func(node string) map[string]GoHandler {
			return map[string]GoHandler{"work": func(context.Context, *Call) (json.RawMessage, error) {
				where <- node
				return nil, nil
			}}
		}
		hour := func(c *Config) { c.Lease = time.Hour }
		s := open(t, rules(oneRule), handler("n1"), hour)
		s.create("Thing", `{}`)
		if n := take(t, where); n != "n1" {
			t.Fatalf("the run was on %s", n)
		}
		s.waitState("work", graph.RunSucceeded)
		s.node("n2", handler("n2"), hour).start()
		if err := s.first.svc.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.create("Thing", `{}`)
		if n := take(t, where); n != "n2" {
			t.Errorf("the run was on %s", n)
		}
		s.waitState("work", graph.RunSucceeded, graph.RunSucceeded)
	})
}

func TestTheCursorMovesOnceASecondWhereNothingMatches(t *testing.T) {
	t.Parallel()
	s := setup(t, rules(oneRule), map[string]GoHandler{"work": func(context.Context, *Call) (json.RawMessage, error) { return nil, nil }})
	id, _ := s.create("Thing", `{}`)
	s.waitState("work", graph.RunSucceeded)
	before, began := s.runs.dispatches.Load(), time.Now()
	for i := range 300 {
		s.set(id, "n", fmt.Sprint(i))
	}
	if n, most := s.runs.dispatches.Load()-before, int64(time.Since(began)/cursorPause)+2; n > most {
		t.Errorf("the cursor moved %d times, want at most %d", n, most)
	}
	// It catches up by itself.
	end := time.After(patience)
	for {
		changed := s.runs.next()
		c, err := s.runs.Cursor(t.Context(), s.main().Key())
		if err != nil {
			t.Fatal(err)
		}
		if c.Version == 301 {
			return
		}
		select {
		case <-changed:
		case <-end:
			t.Fatalf("the cursor stays at %d", c.Version)
		}
	}
}

// A node that begins with a log behind it matches all of it, whatever its
// replica still remembers.
func TestALogWrittenWhileNobodyMatchedIsMatchedWhole(t *testing.T) {
	t.Parallel()
	events := make(chan event, 8)
	s := setup(t, rules(`
work:
  on: {object: Thing, events: [modify]}
  handler: {go: work}`), map[string]GoHandler{"work": func(_ context.Context, c *Call) (json.RawMessage, error) {
		events <- eventOf(t, c.Event)
		return nil, nil
	}})
	if err := s.first.svc.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	id, _ := s.create("Thing", `{"n":0}`)
	for i := 1; i <= 3; i++ {
		s.set(id, "n", fmt.Sprint(i))
	}
	s.node("n2", s.first.handlers).start() // its replica loads the state of now
	for i := 1; i <= 3; i++ {
		if e := take(t, events); e.Before == nil || e.Before.Body["n"] != float64(i-1) || e.After.Body["n"] != float64(i) {
			t.Errorf("event %d is %+v", i, e)
		}
	}
}

func TestEveryGraphIsMatched(t *testing.T) {
	t.Parallel()
	graphs := make(chan string, 4)
	s := setup(t, rules(oneRule), map[string]GoHandler{"work": func(_ context.Context, c *Call) (json.RawMessage, error) {
		graphs <- eventOf(t, c.Event).Graph
		return nil, nil
	}})
	for _, name := range []string{"one", "two"} {
		if _, _, err := s.store.EnsureGraph(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		s.patchIn(name, ann, `[{"op":"add","path":"/objects/`+newID()+`","value":{"type":"Thing","body":{}}}]`)
	}
	got := map[string]bool{take(t, graphs): true, take(t, graphs): true}
	if !got["one"] || !got["two"] {
		t.Errorf("matched %v", got)
	}
}
