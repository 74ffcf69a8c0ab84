package systest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/internal/testdb"
)

// redisServer is a Redis of the test's own, which may die and come back at its
// address.
type redisServer struct {
	t    testing.TB
	addr string
	cmd  *exec.Cmd
}

func startRedis(t testing.TB) *redisServer {
	t.Helper()
	r := &redisServer{t: t, addr: address(t)}
	r.start()
	t.Cleanup(r.kill)
	return r
}

func (r *redisServer) url() string { return "redis://" + r.addr }

func (r *redisServer) start() {
	r.t.Helper()
	_, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.cmd = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", r.t.TempDir())
	r.cmd.SysProcAttr = dieWithParent()
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	c := r.client()
	defer c.Close()
	eventually(r.t, "a Redis", func() bool { return c.Ping(context.Background()).Err() == nil })
}

func (r *redisServer) client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: r.addr, MaxRetries: -1})
}

func (r *redisServer) kill() {
	if r.cmd != nil {
		r.cmd.Process.Signal(syscall.SIGKILL)
		r.cmd.Wait()
		r.cmd = nil
	}
}

func (r *redisServer) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

func (r *redisServer) do(args ...any) {
	r.t.Helper()
	c := r.client()
	defer c.Close()
	if err := c.Do(context.Background(), args...).Err(); err != nil {
		r.t.Fatal(err)
	}
}

// onRedis is the most that Redis may hold up a request, with the time that the
// request itself may take on a busy machine.
const onRedis = 200*time.Millisecond + time.Second

// TestEverythingGoesOnWithoutItsRedis breaks the Redis of two nodes in every way
// there is. Writes are taken on both, requests are answered, and what one node
// commits reaches the sessions of the other by the poll; with Redis back, at once
// again.
func TestEverythingGoesOnWithoutItsRedis(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct{ begin, end func(r *redisServer) }{
		"killed":  {(*redisServer).kill, (*redisServer).start},
		"stopped": {func(r *redisServer) { r.signal(syscall.SIGSTOP) }, func(r *redisServer) { r.signal(syscall.SIGCONT) }},
		"another password": {
			func(r *redisServer) {
				r.do("CONFIG", "SET", "requirepass", "another")
				r.kick("another")
			},
			func(r *redisServer) { r.auth("another", "CONFIG", "SET", "requirepass", "") }},
		"flushed":       {func(r *redisServer) { r.do("FLUSHALL") }, func(*redisServer) {}},
		"out of memory": {func(r *redisServer) { r.do("CONFIG", "SET", "maxmemory", "1") }, func(r *redisServer) { r.do("CONFIG", "SET", "maxmemory", "0") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startRedis(t)
			database := testdb.OwnURL(t)
			const poll = 2 * time.Second
			still := stillness(t, database)
			var urls [2]string
			for i := range urls {
				n, err := startNode(database, r.url(), func(c *node.Config) { c.Poll = poll })
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { stopNode(n) })
				urls[i] = n.URL()
			}
			w := &world{t: t, url: urls[0], other: urls[1], graph: "main"}
			w.root().put("/v1/schema", "application/yaml", openDoc).want(200)
			ann := w.as("ann")
			doc := ann.create("Doc", `{"n":0}`)
			far := *w
			far.url = w.other
			s := far.dial(t, "ann")
			view := s.sub("s1", f(`"projection":{"root":%q}`, doc))
			n := 0
			// deliver commits on the first node, and gives how long it took to the
			// other node's session.
			deliver := func() time.Duration {
				t.Helper()
				n++
				began, stood := time.Now(), still()
				v := ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":%d}]`, doc, n))
				if took, stood := time.Since(began), still()-stood; took > onRedis+hops*stood {
					t.Errorf("a write took %s, while the machine stood still for %s", took, stood)
				}
				began = time.Now()
				s.reach(v)
				took := time.Since(began)
				view = s.view("s1")
				if got := view.body(t, doc).int("n"); got != n {
					t.Errorf("the session has %d, want %d", got, n)
				}
				return took
			}
			deliver()
			fault.begin(r)
			for range 4 {
				stood := still()
				if late, stood := deliver(), still()-stood; late > poll+time.Second+hops*stood {
					t.Errorf("delivered after %s, while the machine stood still for %s", late, stood)
				}
			}
			for _, on := range urls {
				c := ann.on(on)
				for _, ask := range []func() *answer{
					func() *answer { return c.object(doc) },
					func() *answer { return c.load(f(`{"root":%q}`, doc)) },
					func() *answer { return c.get("/readyz") },
					func() *answer { return c.get(w.path("/log?since=0")) },
				} {
					began, stood := time.Now(), still()
					ask().want(200)
					if took, stood := time.Since(began), still()-stood; took > onRedis+hops*stood {
						t.Errorf("an answer took %s, while the machine stood still for %s", took, stood)
					}
				}
			}
			fault.end(r)
			// Sooner than the poll, time and again, is by a hint.
			quick := 0
			eventually(t, "hints", func() bool {
				if deliver() < poll/4 {
					quick++
				} else {
					quick = 0
				}
				return quick == 5
			})
		})
	}
}

// kick ends every other connection, so that they have to log in again.
func (r *redisServer) kick(password string) { r.auth(password, "CLIENT", "KILL", "SKIPME", "yes") }

// auth sends a command on a connection that logs in by hand.
func (r *redisServer) auth(password string, args ...string) {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	for _, words := range [][]string{{"AUTH", password}, args} {
		fmt.Fprintf(c, "*%d\r\n", len(words))
		for _, word := range words {
			fmt.Fprintf(c, "$%d\r\n%s\r\n", len(word), word)
		}
		if line, err := in.ReadString('\n'); err != nil || line[0] == '-' {
			r.t.Fatalf("%v: %q, %v", words, line, err)
		}
	}
}
