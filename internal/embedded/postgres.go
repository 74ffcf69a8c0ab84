package embedded

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	dbUser = "graphtide"
	dbName = "graphtide"
)

// PostgresConfig says what to start.
type PostgresConfig struct {
	// DataDir holds the database, its log and the lock; it is made where it is
	// missing.
	DataDir string
	// Bin is the installation to use; the zero value takes what FindPostgres
	// finds, of the version that made the data.
	Bin Binaries
	// NoSync gives up durability for speed. For tests alone.
	NoSync bool
	// Settings are further settings of the server.
	Settings map[string]string
}

// Postgres is a running private server.
type Postgres struct {
	bin    Binaries
	socket string // folder
	lock   *folderLock
	proc   *child
	stop   func() error
}

// StartPostgres starts a server on the data folder, making both the folder and
// a database where they are missing, and returns once it takes connections. ctx
// bounds the start alone. *InUseError where another process has the folder.
func StartPostgres(ctx context.Context, cfg PostgresConfig) (_ *Postgres, err error) {
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.release()
		}
	}()
	acct, err := lowered()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "postgres")
	if acct != nil {
		if err := enterable(data, acct.uid); err != nil {
			return nil, err
		}
	}
	bin := cfg.Bin
	if bin.Dir == "" {
		if bin, err = FindPostgres(ctx, dataVersion(data)); err != nil {
			return nil, err
		}
	}
	s := &start{cfg: cfg, bin: bin, acct: acct, data: data, log: filepath.Join(dir, "postgres.log")}
	s.socket = socketFolder(data, acct)
	if err := s.initialize(ctx); err != nil {
		return nil, err
	}
	if err := acct.own(s.socket); err != nil {
		return nil, err
	}
	proc, err := s.run(ctx)
	if err != nil {
		os.RemoveAll(s.socket)
		return nil, err
	}
	p := &Postgres{bin: bin, socket: s.socket, lock: lock, proc: proc}
	p.stop = sync.OnceValue(p.shutdown)
	if err := s.ensureDatabase(ctx, p); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// URL is the database's address, for pgx and psql.
func (p *Postgres) URL() string { return p.urlOf(dbName) }

func (p *Postgres) urlOf(database string) string {
	q := url.Values{"host": {p.socket}, "user": {dbUser}}
	return "postgres:///" + database + "?" + q.Encode()
}

// Binaries tells which installation runs.
func (p *Postgres) Binaries() Binaries { return p.bin }

// PID is the server's process.
func (p *Postgres) PID() int { return p.proc.pid() }

// Announce writes down what we serve, for a second process that finds the
// folder taken.
func (p *Postgres) Announce(url string) error { return p.lock.announce(url) }

// Done is closed when the server has exited, after Stop or by itself.
func (p *Postgres) Done() <-chan struct{} { return p.proc.done }

// Stop ends the server, waits for it and frees the folder. It may be called
// twice.
func (p *Postgres) Stop() error { return p.stop() }

func (p *Postgres) shutdown() error {
	// Fast shutdown first: connections are cut, work in progress is rolled back,
	// a checkpoint is written. Immediate shutdown leaves the next start to
	// recover from the write-ahead log.
	err := p.proc.stop(syscall.SIGINT, syscall.SIGQUIT)
	os.RemoveAll(p.socket)
	p.lock.release()
	return err
}

// start is the work of one StartPostgres.
type start struct {
	cfg    PostgresConfig
	bin    Binaries
	acct   *account
	data   string // the database's folder
	log    string // the server's log
	socket string
}

// socketFolder gives a short private folder for the socket, whose path may have
// 107 bytes at most.
func socketFolder(data string, acct *account) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", acct.uidOrOwn(), data))
	return filepath.Join(os.TempDir(), "gt-"+hex.EncodeToString(sum[:5]))
}

// DataVersion gives the major version of Postgres that made a data folder, 0
// where it holds no database yet.
func DataVersion(dir string) int { return dataVersion(filepath.Join(dir, "postgres")) }

// dataVersion gives the major version that made the data, 0 where there is none.
func dataVersion(data string) int {
	b, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}

// initialize makes the database's folder where it is missing: under another
// name first, so that one cut off half-way is never taken for whole.
func (s *start) initialize(ctx context.Context) error {
	if dataVersion(s.data) != 0 {
		return nil
	}
	unfinished := s.data + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	if err := s.acct.own(unfinished); err != nil {
		return err
	}
	args := []string{"--pgdata", unfinished, "--username", dbUser, "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C"}
	if s.cfg.NoSync {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin.Dir, "initdb"), args...)
	cmd.Env, cmd.Dir = s.bin.env(), "/"
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	c, err := startChild(cmd, s.acct.credential())
	if err != nil {
		return fmt.Errorf("run initdb: %w", err)
	}
	<-c.done
	if c.err != nil {
		return fmt.Errorf("initdb of %s: %w\n%s", s.data, c.err, tail(out.Bytes()))
	}
	return os.Rename(unfinished, s.data)
}

// leftover is how long an earlier server may take to let go of the data: one
// that lost its parent is still shutting down.
const leftover = 3 * time.Second

// run starts the server and waits until it is ready.
func (s *start) run(ctx context.Context) (*child, error) {
	deadline := time.Now().Add(leftover)
	for {
		proc, err := s.try(ctx)
		if err == nil {
			return proc, nil
		}
		if !errors.Is(err, errLeftover) || time.Now().After(deadline) || ctx.Err() != nil {
			return nil, err
		}
		s.endLeftover()
		pause(ctx, 50*time.Millisecond)
	}
}

var errLeftover = errors.New("another Postgres still holds the data folder")

func (s *start) try(ctx context.Context) (*child, error) {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(s.bin.Dir, "postgres"), s.args()...)
	cmd.Env, cmd.Dir = s.bin.env(), "/"
	cmd.Stdout, cmd.Stderr = log, log
	proc, err := startChild(cmd, s.acct.credential())
	if err != nil {
		return nil, fmt.Errorf("run postgres: %w", err)
	}
	for !s.ready(proc.pid()) {
		if proc.exited() {
			text, _ := os.ReadFile(s.log)
			err := fmt.Errorf("postgres ended at its start: %w\n%s", proc.err, tail(text))
			if bytes.Contains(text, []byte("lock file")) {
				err = fmt.Errorf("%w: %w", errLeftover, err)
			}
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, errors.Join(fmt.Errorf("postgres did not get ready: %w", ctx.Err()), proc.stop(syscall.SIGQUIT))
		}
		pause(ctx, 5*time.Millisecond)
	}
	return proc, nil
}

// ready reads the server's pid file: its first line must be our child's pid,
// else we would take another server for ours; its eighth says when it is ready,
// or is a standby that may be read.
func (s *start) ready(pid int) bool {
	lines := s.pidFile()
	return len(lines) >= 8 && lines[0] == strconv.Itoa(pid) &&
		(strings.HasPrefix(lines[7], "ready") || strings.HasPrefix(lines[7], "standby"))
}

func (s *start) pidFile() []string {
	f, err := os.Open(filepath.Join(s.data, "postmaster.pid"))
	if err != nil {
		return nil
	}
	defer f.Close()
	var lines []string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		lines = append(lines, sc.Text())
	}
	return lines
}

// endLeftover stops a server that its parent left behind. We hold the folder's
// lock, so nobody else wants it; that it is ours is proved by its pid file,
// which names our data folder and a socket that still answers.
func (s *start) endLeftover() {
	lines := s.pidFile()
	if len(lines) < 5 || lines[1] != s.data || lines[4] != s.socket {
		return
	}
	pid, err := strconv.Atoi(lines[0])
	if err != nil || pid <= 1 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, (&Postgres{socket: s.socket}).urlOf("postgres"))
	if err != nil {
		return
	}
	conn.Close(ctx)
	syscall.Kill(pid, syscall.SIGINT)
}

// args are the server's settings. Nothing is read from the network, and a crash
// of the machine loses nothing unless NoSync is asked for.
func (s *start) args() []string {
	set := map[string]string{
		"listen_addresses":        "",
		"unix_socket_directories": s.socket,
		"unix_socket_permissions": "0700",
		"port":                    "5432", // part of the socket's name alone
		"max_connections":         "200",
		"shared_buffers":          "128MB",
		"max_wal_size":            "2GB",
		"wal_level":               "minimal",
		"max_wal_senders":         "0",
		"wal_compression":         "on",
		"jit":                     "off",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"lc_messages":             "C",
		"cluster_name":            "graphtide",
	}
	if s.cfg.NoSync {
		set["fsync"], set["synchronous_commit"], set["full_page_writes"] = "off", "off", "off"
	}
	for k, v := range s.cfg.Settings {
		set[k] = v
	}
	args := []string{"-D", s.data}
	for k, v := range set {
		args = append(args, "-c", k+"="+v)
	}
	return args
}

// ensureDatabase makes the database. Being let in is also the last proof that
// the server is ready.
func (s *start) ensureDatabase(ctx context.Context, p *Postgres) error {
	conn, err := pgx.Connect(ctx, p.urlOf("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the private Postgres: %w", err)
	}
	defer conn.Close(ctx)
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, dbName).Scan(&exists); err != nil {
		return err
	}
	if exists {
		return nil
	}
	_, err = conn.Exec(ctx, `CREATE DATABASE `+dbName)
	return err
}

// tail gives the last lines of a log, for an error's text.
func tail(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
