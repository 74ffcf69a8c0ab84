package torture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/graphtide/graphtide/internal/embedded"
)

// secret signs the tokens of the deployment under torture.
const secret = "the secret of those who are tortured, which is long enough"

// process is a program that we started, which can be ended and started again.
type process struct {
	name  string
	path  string
	args  []string
	env   []string
	dir   string
	ready func(context.Context) bool

	mu     sync.Mutex // guards the fields below
	cmd    *exec.Cmd
	done   chan struct{}
	paused bool
	said   *bytes.Buffer // read after done
}

// start runs the program and returns once it is ready.
func (p *process) start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := exec.Command(p.path, p.args...)
	cmd.Env, cmd.Dir = append(os.Environ(), p.env...), p.dir
	cmd.SysProcAttr = diesWithUs()
	said := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = said, said
	done, started := make(chan struct{}), make(chan error)
	go func() {
		// The kernel's parent-death signal follows the thread that forked.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // killed, mostly
			close(done)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.cmd, p.done, p.said, p.paused = cmd, done, said, false
	for !p.ready(ctx) {
		select {
		case <-done:
			return fmt.Errorf("%s ended at its start:\n%s", p.name, said)
		case <-ctx.Done():
			return fmt.Errorf("%s did not get ready: %w", p.name, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// running reports whether the process is there, stopped or not.
func (p *process) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func (p *process) signal(s syscall.Signal) {
	if !p.running() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Signal(s) // it may have ended this moment
	switch s {
	case syscall.SIGSTOP:
		p.paused = true
	case syscall.SIGCONT:
		p.paused = false
	}
}

// end sends a signal and waits for the end, then kills; false where it came to
// that.
func (p *process) end(s syscall.Signal, patience time.Duration) bool {
	if !p.running() {
		return true
	}
	p.signal(syscall.SIGCONT)
	p.signal(s)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
	}
	p.signal(syscall.SIGKILL)
	<-p.done
	return s == syscall.SIGKILL
}

// newNode is a server on an address of its own.
func newNode(binary, addr, dir, database, redisURL string, o Options, pl plan) *process {
	return &process{
		name: "node " + addr, path: binary, dir: dir,
		args: []string{"serve", "--listen", addr, "--poll", pl.Poll.String(), "--no-worker"},
		env:  environment(database, redisURL, o), ready: probe(addr),
	}
}

// newWorker is a worker, with probes at an address of its own.
func newWorker(binary, addr, dir, database, redisURL string, o Options, pl plan) *process {
	return &process{
		name: "worker", path: binary, dir: dir,
		args: []string{"worker", "--listen", addr, "--poll", pl.Poll.String()},
		env:  environment(database, redisURL, o), ready: probe(addr),
	}
}

func environment(database, redisURL string, o Options) []string {
	return []string{"GRAPHTIDE_DATABASE_URL=" + database, "GRAPHTIDE_REDIS_URL=" + redisURL, "GRAPHTIDE_JWT_SECRET=" + secret,
		"GRAPHTIDE_LOG_LEVEL=error", "GRAPHTIDE_SABOTAGE=" + o.Break}
}

// probe asks what serves at an address whether it is ready.
func probe(addr string) func(context.Context) bool {
	return func(ctx context.Context) bool {
		r, err := http.NewRequestWithContext(ctx, "GET", "http://"+addr+"/readyz", nil)
		if err != nil {
			return false
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
}

// newRedis is a Redis that comes back at the same address, empty.
func newRedis(dir string) (p *process, address string, err error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if path, err = exec.LookPath("valkey-server"); err != nil {
			return nil, "", errors.New("torture needs redis-server or valkey-server on PATH")
		}
	}
	socket := filepath.Join(dir, "redis.sock")
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, MaxRetries: -1, PoolSize: 1})
	return &process{
		name: "redis", path: path, dir: dir,
		args: []string{"--save", "", "--appendonly", "no", "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", dir},
		ready: func(ctx context.Context) bool {
			return client.Ping(ctx).Err() == nil
		},
	}, "unix://" + socket, nil
}

// flush empties the Redis at an address.
func flush(ctx context.Context, address string) error {
	o, err := redis.ParseURL(address)
	if err != nil {
		return err
	}
	o.MaxRetries, o.PoolSize = -1, 1
	client := redis.NewClient(o)
	defer client.Close()
	return client.FlushAll(ctx).Err()
}

// database is a Postgres that syncs, for what is acknowledged must be there
// after the worst.
type database struct {
	dir string

	mu sync.Mutex // guards pg
	pg *embedded.Postgres
}

func (d *database) start(ctx context.Context) error {
	pg, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{DataDir: d.dir})
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.pg = pg
	d.mu.Unlock()
	return nil
}

// restart ends the server without a checkpoint, as `pg_ctl stop -m immediate`
// does, and starts it again: it recovers from its log.
func (d *database) restart(ctx context.Context) error {
	d.mu.Lock()
	pg := d.pg
	d.mu.Unlock()
	if err := syscall.Kill(pg.PID(), syscall.SIGQUIT); err != nil {
		return err
	}
	<-pg.Done()
	if err := pg.Stop(); err != nil {
		return err
	}
	return d.start(ctx)
}

// cutBackend ends one connection of a node, chosen by chance.
func (d *database) cutBackend(pick func(n int) int) error {
	d.mu.Lock()
	pid := d.pg.PID()
	d.mu.Unlock()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return err
	}
	var backends []int
	for _, f := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(f)
		if err != nil {
			continue
		}
		title, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child))
		if bytes.Contains(title, []byte("[local]")) {
			backends = append(backends, child)
		}
	}
	if len(backends) == 0 {
		return errors.New("there is no connection to cut")
	}
	return syscall.Kill(backends[pick(len(backends))], syscall.SIGTERM)
}

// url is the database's address, which a restart does not change.
func (d *database) url() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pg.URL()
}

func (d *database) stop() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pg == nil {
		return nil
	}
	return d.pg.Stop()
}

// freeAddress gives an address on which nobody listens, out of a range from
// which the system takes none by itself.
func freeAddress(pick func(n int) int) (string, error) {
	for {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+pick(10_000))
		l, err := net.Listen("tcp", addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return "", err
		}
		return addr, l.Close()
	}
}
