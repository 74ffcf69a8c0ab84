// Command bench measures the whole server, each row beside its physical limit
// in the same run: the floor, the least honest server for the work (floor.go).
// Figures are medians over rounds that alternate between the two, printed with
// their ratio. Nothing is asserted: machines differ, ratios speak.
//
//	go run ./bench                 all rows
//	go run ./bench -rows write     the rows whose name contains "write"
//	go run ./bench -commit-delay 1000
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/graphtide/graphtide/internal/embedded"
	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/server"
	"github.com/graphtide/graphtide/server/auth"
)

// options are what a run is made with.
type options struct {
	rows        string
	rounds      int
	span        time.Duration
	sessions    int
	commitDelay int
}

var secret = []byte("a secret for measurements on the loopback alone")

func main() {
	var o options
	flag.StringVar(&o.rows, "rows", "", "only rows whose name contains this")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of each row; medians are printed")
	flag.DurationVar(&o.span, "span", 3*time.Second, "length of one round of a throughput row")
	flag.IntVar(&o.sessions, "sessions", 1000, "sessions of the delivery row")
	flag.IntVar(&o.commitDelay, "commit-delay", 0, "Postgres's commit_delay in microseconds (with commit_siblings = 0)")
	child := flag.String("child", "", "run as the server of a measurement: floor or node")
	db := flag.String("db", "", "database of the child")
	redis := flag.String("redis", "", "Redis of the child")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch *child {
	case "":
		err = measure(ctx, o)
	case "floor":
		err = runFloor(ctx, *db, announce)
	case "node":
		err = runNode(ctx, *db, *redis)
	default:
		err = fmt.Errorf("unknown child %q", *child)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func announce(url string) { fmt.Println("URL", url) }

// runNode is the real server, as `graphtide serve` wires it.
func runNode(ctx context.Context, db, redis string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	n, err := node.Start(ctx, node.Config{DatabaseURL: db, RedisURL: redis, Migrate: true, Log: log,
		Server: server.Config{Listen: "127.0.0.1:0"}, Auth: auth.Config{Secret: secret}, Postprocess: benchHandlers()})
	if err != nil {
		return err
	}
	announce(n.URL())
	select {
	case <-ctx.Done():
	case err = <-n.Failed():
	}
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	n.Stop(end)
	return err
}

// target is a server under measurement, with a Postgres of its own.
type target struct {
	name  string
	url   string
	token string
	cmd   *exec.Cmd
	pg    *embedded.Postgres
	redis *embedded.Redis
	dir   string
}

func start(ctx context.Context, name string, o options) (_ *target, err error) {
	t := &target{name: name}
	defer func() {
		if err != nil {
			t.stop()
		}
	}()
	if t.dir, err = os.MkdirTemp("", "graphtide-bench-"); err != nil {
		return nil, err
	}
	if err := os.Chmod(t.dir, 0o755); err != nil {
		return nil, err
	}
	settings := map[string]string{}
	if o.commitDelay > 0 {
		settings["commit_delay"], settings["commit_siblings"] = strconv.Itoa(o.commitDelay), "0"
	}
	if t.pg, err = embedded.StartPostgres(ctx, embedded.PostgresConfig{DataDir: filepath.Join(t.dir, "data"), Settings: settings}); err != nil {
		return nil, err
	}
	args := []string{"-child", name, "-db", t.pg.URL()}
	if name == "node" {
		if t.redis, err = embedded.StartRedis(ctx, embedded.RedisConfig{TCP: true}); err != nil {
			return nil, err
		}
		args = append(args, "-redis", t.redis.URL())
		if t.token, err = auth.Mint(secret, auth.Claims{User: "bench", Teams: []string{"bench"}}, time.Hour); err != nil {
			return nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	t.cmd = exec.Command(self, args...)
	t.cmd.Stderr = os.Stderr
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the %s did not start: %w", name, err)
	}
	t.url = strings.TrimSpace(strings.TrimPrefix(line, "URL "))
	return t, nil
}

func (t *target) stop() {
	if t.cmd != nil && t.cmd.Process != nil {
		t.cmd.Process.Signal(syscall.SIGTERM)
		t.cmd.Wait()
	}
	if t.redis != nil {
		t.redis.Stop()
	}
	if t.pg != nil {
		t.pg.Stop()
	}
	if t.dir != "" {
		os.RemoveAll(t.dir)
	}
}

// cpu gives the processor time that the server and its Postgres have used.
func (t *target) cpu() time.Duration {
	total := procTime(t.cmd.Process.Pid, false) + procTime(t.pg.PID(), true)
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && parentOf(pid) == t.pg.PID() {
			total += procTime(pid, false)
		}
	}
	return total
}

func stat(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may hold anything
	return strings.Fields(rest)
}

func parentOf(pid int) int {
	f := stat(pid)
	if len(f) < 2 {
		return 0
	}
	n, _ := strconv.Atoi(f[1])
	return n
}

// procTime is utime + stime (proc(5)), with those of ended children too.
func procTime(pid int, children bool) time.Duration {
	f := stat(pid)
	if len(f) < 15 {
		return 0
	}
	last := 12
	if children {
		last = 14
	}
	var ticks int64
	for _, s := range f[11 : last+1] {
		n, _ := strconv.ParseInt(s, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100) // USER_HZ is 100 on Linux
}

// row is one measure.
type row struct {
	name string
	unit string
	goal string
	run  func(ctx context.Context, t *target, o options) ([]figure, error)
	only string // "node": there is no floor for it
}

// figure is one number of a row; more is better unless less is set.
type figure struct {
	name  string
	value float64
	unit  string
	less  bool
	goal  string
}

func measure(ctx context.Context, o options) error {
	fmt.Printf("%s/%s, %d cores, %s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	ring, err := os.CreateTemp("", "graphtide-bench-ring-")
	if err != nil {
		return err
	}
	ring.Close()
	defer os.Remove(ring.Name())
	os.Setenv("GRAPHTIDE_BENCH_RING", ring.Name()) // the children inherit it
	fl, err := start(ctx, "floor", o)
	if err != nil {
		return err
	}
	defer fl.stop()
	real, err := start(ctx, "node", o)
	if err != nil {
		return err
	}
	defer real.stop()
	for _, t := range []*target{fl, real} {
		if err := seed(ctx, t); err != nil {
			return fmt.Errorf("seed the %s: %w", t.name, err)
		}
	}
	fmt.Printf("Postgres %d; medians of %d rounds, the two in turn\n\n", fl.pg.Binaries().Major, o.rounds)
	fmt.Printf("%-46s %14s %14s %8s  %s\n", "", "floor", "graphtide", "ratio", "goal")
	for _, r := range rows {
		if !strings.Contains(r.name, o.rows) {
			continue
		}
		var floorFigures, nodeFigures [][]figure
		for range o.rounds {
			for _, t := range []*target{fl, real} {
				if r.only != "" && r.only != t.name {
					continue
				}
				got, err := r.run(ctx, t, o)
				if err != nil {
					return fmt.Errorf("%s on the %s: %w", r.name, t.name, err)
				}
				if t == fl {
					floorFigures = append(floorFigures, got)
				} else {
					nodeFigures = append(nodeFigures, got)
				}
			}
		}
		printRow(r, floorFigures, nodeFigures)
	}
	if strings.Contains("stages", o.rows) {
		return stageCosts(ctx)
	}
	return nil
}
