package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/graphtide/graphtide/internal/embedded"
	"github.com/graphtide/graphtide/server/auth"
)

// target is a server under measurement, with a Postgres of its own.
type target struct {
	name   string // "floor" or "node"
	url    string
	inside string // where its memory and profiles are told
	token  string // of the user who writes and reads
	admin  string
	cmd    *exec.Cmd
	pg     *embedded.Postgres
	redis  *embedded.Redis
	dir    string
	images string // folder for images of replicas, given to the next start

	mu   sync.Mutex // guards open
	open map[*wsClient]struct{}
}

func start(ctx context.Context, name string, o options) (_ *target, err error) {
	t := &target{name: name}
	defer func() {
		if err != nil {
			t.stop()
		}
	}()
	if t.dir, err = os.MkdirTemp("", name+"-"); err != nil {
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
	if name == "node" {
		if t.redis, err = embedded.StartRedis(ctx, embedded.RedisConfig{TCP: true}); err != nil {
			return nil, err
		}
		if t.token, err = auth.Mint(secret, auth.Claims{User: "bench", Teams: []string{"bench"}, Graphs: []string{"*"}}, 2*time.Hour); err != nil {
			return nil, err
		}
		if t.admin, err = auth.Mint(secret, auth.Claims{User: "root", Graphs: []string{"*"}, Admin: true}, 2*time.Hour); err != nil {
			return nil, err
		}
	}
	return t, t.launch()
}

// launch starts the server on the target's Postgres and Redis.
func (t *target) launch() error {
	args := []string{"-child", t.name, "-db", t.pg.URL()}
	if t.redis != nil {
		args = append(args, "-redis", t.redis.URL())
	}
	if t.images != "" {
		args = append(args, "-images", t.images)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	t.cmd = exec.Command(self, args...)
	t.cmd.Stderr = os.Stderr
	if _, err := t.cmd.StdinPipe(); err != nil { // open as long as we live: see withParent
		return err
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := t.cmd.Start(); err != nil {
		return err
	}
	return t.find(out)
}

// find reads where a child serves, once it does.
func (t *target) find(out io.Reader) error {
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the %s did not start: %w", t.name, err)
	}
	where := append(strings.Fields(line), "", "", "")
	t.url, t.inside = where[1], where[2]
	return nil
}

// restart ends the server and starts it anew on what it has stored.
func (t *target) restart() error {
	t.hangUp()
	t.end()
	return t.launch()
}

func (t *target) end() {
	if t.cmd != nil && t.cmd.Process != nil {
		t.cmd.Process.Signal(syscall.SIGTERM)
		t.cmd.Wait()
	}
}

func (t *target) stop() {
	t.end()
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

// hangUp closes the connections that are still open.
func (t *target) hangUp() {
	t.mu.Lock()
	open := t.open
	t.open = nil
	t.mu.Unlock()
	for c := range open {
		c.conn.Close()
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

// stored gives the processor time that its Postgres has used.
func (t *target) stored() time.Duration { return t.cpu() - procTime(t.cmd.Process.Pid, false) }

// serverTime gives the processor time of the server alone, finely.
func (t *target) serverTime() time.Duration { return threadTime(t.cmd.Process.Pid) }

// calm waits until the server does next to nothing, for a while at most.
func (t *target) calm(ctx context.Context) error {
	const look, looks, little = 100 * time.Millisecond, 100, 10 * time.Millisecond
	for range looks {
		before := t.serverTime()
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return ctx.Err()
		}
		if t.serverTime()-before < little {
			break
		}
	}
	return nil
}

// held gives the server's memory after a collection, and what of it is in RAM.
func (t *target) held(ctx context.Context) (memory, int64, error) {
	var m memory
	req, err := http.NewRequestWithContext(ctx, "GET", t.inside+"/memory", nil)
	if err != nil {
		return m, 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return m, 0, err
	}
	defer res.Body.Close()
	err = json.NewDecoder(res.Body).Decode(&m)
	return m, resident(t.cmd.Process.Pid), err
}

// profile begins a CPU profile of the server into a file; "" ends it.
func (t *target) profile(ctx context.Context, file string) error {
	req, err := http.NewRequestWithContext(ctx, "POST", t.inside+"/profile?file="+url.QueryEscape(file), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(res.Body, 500))
		return fmt.Errorf("profile: %s: %s", res.Status, why)
	}
	return nil
}

// request sends a request with the headers given by name and value, and gives
// the answer's text. A status from 300 on is an error that holds that.
func (t *target) request(ctx context.Context, method, path, contentType, body, token string, headers ...string) ([]byte, error) {
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
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
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
