package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/graphtide/graphtide/internal/embedded"
	"github.com/graphtide/graphtide/internal/testbin"
	"github.com/graphtide/graphtide/internal/testdb"
)

// program is the binary that the tests drive.
var program string

func TestMain(m *testing.M) {
	for _, kv := range os.Environ() { // the variables of whoever runs the tests
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, envPrefix+"_") && !keep[name] {
			os.Unsetenv(name)
		}
	}
	dir, err := os.MkdirTemp("", "gt-cmd-")
	if err != nil {
		fail(err)
	}
	// It has no race detector; what runs in this process (here, within) has.
	if program, err = testbin.Program(dir); err != nil {
		os.RemoveAll(dir)
		fail(err)
	}
	os.Unsetenv(testbin.Env)
	testdb.AtEnd(func() error { return os.RemoveAll(dir) })
	testdb.Main(m)
}

// keep are the variables that are about the machine.
var keep = map[string]bool{testbin.Env: true, embedded.BinEnv: true, testdb.URLEnv: true, testdb.RedisEnv: true}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// patience is how long a test waits for something that comes at once on an idle
// machine.
const patience = 60 * time.Second

// shell is where commands are run: a folder, variables, and standard input.
type shell struct {
	t     testing.TB
	dir   string
	vars  []string
	stdin string
}

// newShell gives a folder of the test's own and none of our own variables.
func newShell(t testing.TB, vars ...string) shell {
	return shell{t: t, dir: folder(t), vars: vars}
}

// folder gives a folder that another user can enter, as Postgres must when root
// runs the tests; t.TempDir's cannot be.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gt-cmd-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// with gives the same shell with further variables.
func (s shell) with(vars ...string) shell {
	s.vars = append(append([]string{}, s.vars...), vars...)
	return s
}

// in gives the same shell with something on standard input.
func (s shell) in(stdin string) shell {
	s.stdin = stdin
	return s
}

// write makes a file in the folder and gives its path.
func (s shell) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	// As editors save: another file in the place of the old one.
	if err := os.WriteFile(path+"~", []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s shell) command(args []string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), s.vars...)
	cmd.Stdin = strings.NewReader(s.stdin)
	return cmd
}

// result is how a command ended.
type result struct {
	t              testing.TB
	args           []string
	status         int
	stdout, stderr string
}

// run runs a command to its end.
func (s shell) run(args ...string) result {
	s.t.Helper()
	cmd := s.command(args)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer timer.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return result{s.t, args, cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// here runs a command in this process, which costs no start of another. It has
// the tests' own folder and variables.
func here(t testing.TB, args ...string) result {
	var stdout, stderr bytes.Buffer
	a := &app{ctx: t.Context(), hurry: t.Context(), stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr}
	status := a.run(args)
	return result{t, args, status, stdout.String(), stderr.String()}
}

// ends compares the status, and what must stand on standard error.
func (r result) ends(status int, stderr ...string) result {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("graphtide %s ended with %d, want %d\n%s%s", strings.Join(r.args, " "), r.status, status, r.stdout, r.stderr)
	}
	for _, want := range stderr {
		if !strings.Contains(r.stderr, want) {
			r.t.Errorf("graphtide %s: standard error lacks %q:\n%s", strings.Join(r.args, " "), want, r.stderr)
		}
	}
	if status != exitOK && len(stderr) == 0 {
		r.t.Errorf("a test of a failure must say what it expects to read")
	}
	return r
}

// says compares what must stand on standard output.
func (r result) says(stdout ...string) result {
	r.t.Helper()
	for _, want := range stdout {
		if !strings.Contains(r.stdout, want) {
			r.t.Errorf("graphtide %s: standard output lacks %q:\n%s", strings.Join(r.args, " "), want, r.stdout)
		}
	}
	return r
}

// traced waits until the trace of a commit tells all of this: a run's end is written
// after the commit that it made.
func (sh shell) traced(version string, want ...string) {
	sh.t.Helper()
	eventually(sh.t, "a trace that tells "+strings.Join(want, ", "), func() bool {
		told := sh.run("trace", version).ends(exitOK).stdout
		return !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(told, w) })
	})
}

// silent expects nothing on standard output.
func (r result) silent() result {
	r.t.Helper()
	if r.stdout != "" {
		r.t.Errorf("graphtide %s: on standard output: %s", strings.Join(r.args, " "), r.stdout)
	}
	return r
}

// process is a command that runs on, in a process of its own or in this one.
type process struct {
	t      testing.TB
	args   []string
	pid    int // 0: this one
	kill   func()
	notify func(syscall.Signal) error
	done   chan struct{} // closed at its end
	status int           // how it ended; read after done

	mu      sync.Mutex // guards the fields below
	text    bytes.Buffer
	changed chan struct{} // closed and made anew when text grows
}

// start starts a command that runs on. It is killed with the test.
func (s shell) start(args ...string) *process {
	s.t.Helper()
	return s.ending(s.launch(args...))
}

// within starts a command that runs on in this process, where the race detector
// looks on. It has the tests' own folder and variables, and ends with the test.
func (s shell) within(args ...string) *process {
	s.t.Helper()
	return s.ending(s.inside(args...))
}

// ending kills a command with the test.
func (s shell) ending(p *process) *process {
	s.t.Cleanup(func() {
		p.kill()
		<-p.done
		if s.t.Failed() {
			s.t.Logf("graphtide %s said:\n%s", strings.Join(p.args, " "), p.said())
		}
	})
	return p
}

// launch starts a command that the caller ends.
func (s shell) launch(args ...string) *process {
	s.t.Helper()
	p := &process{t: s.t, args: args, done: make(chan struct{}), changed: make(chan struct{})}
	cmd := s.command(args)
	cmd.Stdout, cmd.Stderr = p, p
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	p.pid = cmd.Process.Pid
	p.kill = func() { cmd.Process.Kill() }
	p.notify = func(sig syscall.Signal) error { return cmd.Process.Signal(sig) }
	go func() {
		cmd.Wait() // the status says it
		p.status = cmd.ProcessState.ExitCode()
		close(p.done)
	}()
	return p
}

// inside starts a command in this process that the caller ends. As from a shell,
// the first signal asks it to end, and the second cuts what drains.
func (s shell) inside(args ...string) *process {
	p := &process{t: s.t, args: args, done: make(chan struct{}), changed: make(chan struct{})}
	ctx, asked := context.WithCancel(context.Background())
	hurry, hurried := context.WithCancel(context.Background())
	p.kill = func() { asked(); hurried() }
	p.notify = func(syscall.Signal) error {
		if ctx.Err() != nil {
			hurried()
		}
		asked()
		return nil
	}
	a := &app{ctx: ctx, hurry: hurry, stdin: strings.NewReader(s.stdin), stdout: p, stderr: p}
	go func() {
		defer p.kill()
		p.status = a.run(args)
		close(p.done)
	}()
	return p
}

// Write takes what the process prints.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.Write(b)
	close(p.changed)
	p.changed = make(chan struct{})
	return len(b), nil
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// waitFor waits until the process has printed what matches, and gives the last
// match's groups.
func (p *process) waitFor(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		p.mu.Lock()
		text, changed := p.text.String(), p.changed
		p.mu.Unlock()
		if all := re.FindAllStringSubmatch(text, -1); all != nil {
			return all[len(all)-1]
		}
		select {
		case <-changed:
		case <-p.done:
			if all := re.FindAllStringSubmatch(p.said(), -1); all != nil {
				return all[len(all)-1]
			}
			p.t.Fatalf("graphtide %s ended without saying %q", strings.Join(p.args, " "), pattern)
		case <-deadline.C:
			p.t.Fatalf("graphtide %s does not say %q", strings.Join(p.args, " "), pattern)
		}
	}
}

// forget drops what was printed until now, so that waitFor finds what comes.
func (p *process) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.Reset()
}

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.notify(sig); err != nil {
		p.t.Fatal(err)
	}
}

// ended waits for the end and gives the status: -1 after a signal.
func (p *process) ended() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.status
	case <-time.After(patience):
		p.t.Fatalf("graphtide %s does not end", strings.Join(p.args, " "))
		return 0
	}
}

// eventually asks again and again until ok, for what tells nobody of its change.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}
