package systest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/graphtide/graphtide/internal/testdb"
)

// postWorld is a deployment for tests of post-processing: servers and workers in
// processes of their own, over one database and one Redis, and a webhook that
// writes down who called when.
type postWorld struct {
	*world
	bin      string
	database string
	redis    *postRedis
	journal  *journal
	servers  []*postProcess
	workers  []*postProcess
}

// postProcess is one server or worker, which can die and come back.
type postProcess struct {
	w    *postWorld
	addr string // "" for a worker
	*child
}

// startPost brings up so many servers and workers, with a schema in which HOOK
// stands for the webhook.
func startPost(t *testing.T, schema string, servers, workers int) *postWorld {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := &postWorld{bin: bin, database: testdb.OwnURL(t), redis: startPostRedis(t), journal: newJournal(t)}
	if out, err := exec.Command(bin, "migrate", "--database-url", p.database).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.world = &world{t: t, graph: "main"}
	file := filepath.Join(t.TempDir(), "app.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(schema, "HOOK", p.journal.web.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range servers {
		addr, err := freeAddress()
		if err != nil {
			t.Fatal(err)
		}
		s := &postProcess{w: p, addr: addr}
		p.servers = append(p.servers, s)
		if i == 0 {
			p.url = "http://" + addr
			s.begin("--schema", file)
		} else {
			s.begin()
		}
	}
	for range workers {
		s := &postProcess{w: p}
		p.workers = append(p.workers, s)
		s.begin()
	}
	return p
}

// begin starts the process, or starts it again.
func (s *postProcess) begin(args ...string) {
	s.w.t.Helper()
	args = append(args, "--allow-private-webhooks", "--concurrency", "16")
	if s.addr != "" {
		s.child = serve(s.w.t, s.addr, s.w.database, s.w.redis.url(), args...)
		return
	}
	cmd := exec.Command(s.w.bin, append([]string{"worker"}, args...)...)
	cmd.Env = append(os.Environ(), "GRAPHTIDE_DATABASE_URL="+s.w.database, "GRAPHTIDE_REDIS_URL="+s.w.redis.url(), "GRAPHTIDE_LOG_LEVEL=error",
		"GRAPHTIDE_PUBLIC_URL="+s.w.url)
	cmd.Dir = s.w.t.TempDir()
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		s.w.t.Fatal(err)
	}
	s.child = &child{cmd: cmd, done: make(chan error, 1)}
	go func() { s.child.done <- cmd.Wait() }()
	s.w.t.Cleanup(s.child.kill)
}

// stall stops the process for a while without ending it.
func (s *postProcess) stall(ctx context.Context, d time.Duration) {
	p := s.child.cmd.Process
	if p.Signal(syscall.SIGSTOP) == nil {
		rest(ctx, d)
		p.Signal(syscall.SIGCONT)
	}
}

// rest waits, or until the test ends.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// user gives a client of a user in the main graph.
func (p *postWorld) user(name string) *client {
	return &client{t: p.t, w: p.world, url: p.url, user: name, token: mintToken(name, time.Hour, "graphs=main")}
}

// insist sends a transaction under a key, to one server after the other, until
// one has taken it, and gives its version.
func (p *postWorld) insist(c *client, key, ops string) int {
	p.t.Helper()
	at := 0
	version := 0
	eventually(p.t, "the write", func() bool {
		at++
		a, err := c.on("http://"+p.servers[at%len(p.servers)].addr).with("Idempotency-Key: "+key).send("PATCH", p.path(""), patchType, ops)
		if err != nil || a.status == 503 {
			return false
		}
		version = a.want(200).int("version")
		return true
	})
	return version
}

// allRuns gives the runs in a state ("" any), page by page.
func (p *postWorld) allRuns(state string) []value {
	p.t.Helper()
	var all []value
	query := "/runs?limit=1000"
	if state != "" {
		query += "&state=" + state
	}
	for page := query; ; {
		l := p.root().get(p.path(page)).want(200).json().list("runs")
		all = append(all, l...)
		if len(l) < 1000 {
			return all
		}
		page = query + "&before=" + l[len(l)-1].str("id")
	}
}

// settled waits until no run is open.
func (p *postWorld) settled(within time.Duration) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), within)
	defer cancel()
	for {
		open := 0
		for _, state := range []string{"pending", "running", "retrying"} {
			open += len(p.root().get(p.path("/runs?limit=1000&state=" + state)).want(200).json().list("runs"))
		}
		if open == 0 {
			return
		}
		if ctx.Err() != nil {
			p.t.Fatalf("%d runs are open %v after the last fault", open, within)
		}
		rest(ctx, 100*time.Millisecond)
	}
}

// journal is a webhook that writes down each call.
type journal struct {
	web *httptest.Server

	mu    sync.Mutex // guards the fields below
	calls []*hookCall
	// answer gives the answer to a call, or "" for none: the call is held until
	// its sender hangs up.
	answer func(c *hookCall) string
}

// hookCall is one call of the webhook.
type hookCall struct {
	rule, run, entity string
	version, attempt  int
	number            int // of the calls of this run, from 1
	came, answered    time.Time
	body              value
	token             string
}

func newJournal(t *testing.T) *journal {
	j := &journal{answer: func(*hookCall) string { return `{}` }}
	j.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		v, err := decode(text)
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		b := value{t, v}
		c := &hookCall{rule: strings.TrimPrefix(r.URL.Path, "/"), run: b.str("run"), entity: b.str("entity"), version: b.int("version"),
			attempt: b.int("attempt"), came: time.Now(), body: b, token: b.str("token"), number: 1}
		j.mu.Lock()
		for _, o := range j.calls {
			if o.run == c.run {
				c.number++
			}
		}
		j.calls = append(j.calls, c)
		answer := j.answer
		j.mu.Unlock()
		text2 := answer(c)
		if text2 == "" {
			<-r.Context().Done()
			return
		}
		if r.Context().Err() != nil {
			return // nobody is there any more
		}
		j.mu.Lock()
		c.answered = time.Now()
		j.mu.Unlock()
		answerJSON(w, 200, text2)
	}))
	t.Cleanup(j.web.Close)
	return j
}

// all gives the calls so far, in the order in which they came.
func (j *journal) all() []*hookCall {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.calls)
}

// repeated reports whether a run of a rule was called for more than once.
func (j *journal) repeated(rule string) bool {
	return slices.ContainsFunc(j.all(), func(c *hookCall) bool { return c.rule == rule && c.number > 1 })
}

// postRedis is a Redis at a fixed address, which can die and come back empty.
type postRedis struct {
	t    *testing.T
	port string
	cmd  *exec.Cmd
}

func startPostRedis(t *testing.T) *postRedis {
	t.Helper()
	addr, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	r := &postRedis{t: t, port: port}
	r.begin()
	t.Cleanup(r.kill)
	return r
}

func (r *postRedis) url() string { return "redis://127.0.0.1:" + r.port }

func (r *postRedis) begin() {
	r.t.Helper()
	r.cmd = exec.Command("redis-server", "--port", r.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", r.t.TempDir())
	r.cmd.SysProcAttr = dieWithParent()
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, "a Redis", func() bool { return r.say("PING") == nil })
}

func (r *postRedis) kill() {
	if r.cmd.ProcessState == nil {
		r.cmd.Process.Kill()
		r.cmd.Wait()
	}
}

func (r *postRedis) stall(ctx context.Context, d time.Duration) {
	if r.cmd.Process.Signal(syscall.SIGSTOP) == nil {
		rest(ctx, d)
		r.cmd.Process.Signal(syscall.SIGCONT)
	}
}

// say sends a command and reads its answer.
func (r *postRedis) say(command string) error {
	conn, err := net.DialTimeout("tcp", "127.0.0.1:"+r.port, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return err
	}
	buf := make([]byte, 16)
	n, err := conn.Read(buf)
	if err == nil && buf[0] != '+' {
		err = fmt.Errorf("redis answered %s", buf[:n])
	}
	return err
}

// quantiles gives the median, the 99th percentile and the largest.
func quantiles(d []time.Duration) (p50, p99, most time.Duration) {
	if len(d) == 0 {
		return 0, 0, 0
	}
	slices.Sort(d)
	return d[len(d)/2], d[len(d)*99/100], d[len(d)-1]
}

// timeOf reads a time as the server writes it.
func timeOf(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
