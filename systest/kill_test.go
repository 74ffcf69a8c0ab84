package systest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/graphtide/graphtide/internal/testbin"
	"github.com/graphtide/graphtide/internal/testdb"
)

// binary gives the program.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gt-bin-")
	if err != nil {
		return "", err
	}
	testdb.AtEnd(func() error { return os.RemoveAll(dir) })
	return testbin.Program(dir)
})

// child is a server in a process of its own.
type child struct {
	cmd  *exec.Cmd
	url  string
	done chan error
}

// serve starts the program and returns once it is ready.
func serve(t testing.TB, addr, database, redis string, args ...string) *child {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, append([]string{"serve", "--listen", addr}, args...)...)
	cmd.Env = append(os.Environ(), "GRAPHTIDE_DATABASE_URL="+database, "GRAPHTIDE_REDIS_URL="+redis, "GRAPHTIDE_JWT_SECRET="+secret, "GRAPHTIDE_LOG_LEVEL=error")
	cmd.Dir = t.TempDir()
	cmd.SysProcAttr = dieWithParent()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: cmd, url: "http://" + addr, done: make(chan error, 1)}
	var said strings.Builder
	go func() {
		s := bufio.NewScanner(stderr)
		for s.Scan() {
			said.WriteString(s.Text() + "\n")
		}
		c.done <- cmd.Wait()
	}()
	t.Cleanup(func() { c.kill() })
	probe := &client{t: t, url: c.url}
	eventually(t, "a ready server", func() bool {
		select {
		case err := <-c.done:
			t.Fatalf("it ended: %v\n%s", err, said.String())
		default:
		}
		a, err := probe.send("GET", "/readyz", "", "")
		return err == nil && a.status == 200
	})
	return c
}

// kill ends the process at once and waits for it.
func (c *child) kill() {
	if c.cmd.Process.Signal(syscall.SIGKILL) == nil {
		<-c.done
		c.done <- nil
	}
}

// TestW2DurableThoughServersAreKilled kills servers under load,
// again and again; every write that was acknowledged is in the log once, at the
// version that was named, and every write whose fate was unknown is settled by
// sending it again under its key.
func TestW2DurableThoughServersAreKilled(t *testing.T) {
	t.Parallel()
	database := testdb.OwnURL(t)
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	migrate := exec.Command(bin, "migrate", "--database-url", database)
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	schema := filepath.Join(t.TempDir(), "app.yaml")
	if err := os.WriteFile(schema, []byte("graphtide: 1\ntypes:\n  Doc: {open: true, access: {read: [public], write: [public]}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	addr, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, url: "http://" + addr, graph: "main"}
	ann := &client{t: t, w: w, url: w.url, user: "ann", token: mintToken("ann", time.Hour, "graphs=main")}
	server := serve(t, addr, database, "", "--schema", schema)
	hot := ann.create("Doc", `{"l":[]}`)

	const writers = 8
	stop := make(chan struct{})
	var mu sync.Mutex
	said := map[string]int{}
	sent := map[string]bool{}
	progress := make(chan struct{}, 1<<16)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for j := 0; ; j++ {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprintf("k%d-%d", i, j)
				mu.Lock()
				sent[key] = true
				mu.Unlock()
				ops := f(`[{"op":"add","path":"/objects/%s/body/l/-","value":%q}]`, hot, key)
				for { // until its fate is known
					a, err := ann.with("Idempotency-Key: "+key).send("PATCH", w.path(""), patchType, ops)
					if err == nil && a.status == 200 {
						v := a.int("version")
						mu.Lock()
						said[key] = v
						mu.Unlock()
						progress <- struct{}{}
						break
					}
					if err == nil && a.status != 503 {
						t.Errorf("%v", a)
						return
					}
					select {
					case <-time.After(5 * time.Millisecond):
					case <-t.Context().Done():
						return
					}
				}
			}
		})
	}
	for round := range 4 {
		for range 100 + 37*round {
			select {
			case <-progress:
			case <-time.After(patience):
				t.Fatal("no progress")
			}
		}
		server.kill()
		server = serve(t, addr, database, "")
	}
	close(stop)
	wg.Wait()
	log := ann.log()
	seen := map[string]int{}
	for i, c := range log {
		if c.int("version") != i+1 {
			t.Fatalf("version %d at place %d", c.int("version"), i+1)
		}
		seen[c.str("mutation")]++
		if v, ok := said[c.str("mutation")]; ok && v != i+1 {
			t.Errorf("%s is at %d, was said to be at %d", c.str("mutation"), i+1, v)
		}
	}
	for key := range sent {
		if seen[key] != 1 {
			t.Errorf("%s is in the log %d times; acknowledged at %d", key, seen[key], said[key])
		}
	}
	l := ann.object(hot).json().list("body.l")
	if len(l) != len(log)-1 {
		t.Errorf("%d elements of %d commits", len(l), len(log)-1)
	}
	// The invariants of the database, as the program checks them itself.
	if out, err := exec.Command(bin, "verify", "--database-url", database).CombinedOutput(); err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
	// Asked to end, it ends in order and says bye.
	s := w.open(t)
	s.hello(ann.token, newID())
	if err := server.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if m := s.next("bye"); m.int("retryAfterMs") < 0 {
		t.Errorf("%s", m)
	}
	if code := s.closeCode(); code != 4503 && code != 1001 {
		t.Errorf("closed with %d", code)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case err := <-server.done:
		server.done <- nil
		if err != nil {
			t.Errorf("ended with %v", err)
		}
	case <-ctx.Done():
		t.Error("it does not end")
	}
}
