package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// RedisConfig says what to start.
type RedisConfig struct {
	// InProcess leaves the programs on PATH aside and runs miniredis.
	InProcess bool
	// TCP listens on a free port of the loopback instead of a socket in the file
	// system, for clients that know no sockets.
	TCP bool
}

// Redis is a running private Redis. It keeps nothing over a restart: what must
// last is in Postgres.
type Redis struct {
	network, addr string
	source        string
	done          chan struct{}
	stop          func() error
}

// StartRedis starts redis-server or valkey-server from PATH as a child, or, for
// want of both, miniredis in this process. ctx bounds the start alone.
func StartRedis(ctx context.Context, cfg RedisConfig) (*Redis, error) {
	if !cfg.InProcess {
		for _, name := range []string{"redis-server", "valkey-server"} {
			if path, err := exec.LookPath(name); err == nil {
				return startRedisServer(ctx, path, cfg)
			}
		}
	}
	return startMiniredis()
}

// Addr is the address as go-redis takes it: host:port, or the socket's path.
func (r *Redis) Addr() string { return r.addr }

// Network is tcp or unix.
func (r *Redis) Network() string { return r.network }

// URL is the address for redis.ParseURL.
func (r *Redis) URL() string {
	if r.network == "unix" {
		return "unix://" + r.addr
	}
	return "redis://" + r.addr
}

// Source tells what runs: a program's path, or miniredis.
func (r *Redis) Source() string { return r.source }

// Done is closed when the Redis has ended, after Stop or by itself.
func (r *Redis) Done() <-chan struct{} { return r.done }

// Stop ends it and waits for its end. It may be called twice.
func (r *Redis) Stop() error { return r.stop() }

func startRedisServer(ctx context.Context, path string, cfg RedisConfig) (_ *Redis, err error) {
	dir, err := os.MkdirTemp("", "gt-redis-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	r := &Redis{network: "unix", addr: filepath.Join(dir, "redis.sock"), source: path}
	// A queue's tasks must not be evicted, and nothing is saved.
	args := []string{"--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", "--dir", dir}
	if cfg.TCP {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		r.network, r.addr = "tcp", net.JoinHostPort("127.0.0.1", port)
		args = append(args, "--port", port, "--bind", "127.0.0.1")
	} else {
		args = append(args, "--port", "0", "--unixsocket", r.addr, "--unixsocketperm", "700")
	}
	var out bytes.Buffer // read after the process has been waited for
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	proc, err := startChild(cmd, nil)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", path, err)
	}
	client := redis.NewClient(&redis.Options{Network: r.network, Addr: r.addr, MaxRetries: -1, PoolSize: 1})
	defer client.Close()
	for client.Ping(ctx).Err() != nil {
		if proc.exited() {
			return nil, fmt.Errorf("%s ended at its start: %w\n%s", path, proc.err, tail(out.Bytes()))
		}
		if ctx.Err() != nil {
			return nil, errors.Join(fmt.Errorf("%s did not get ready: %w", path, ctx.Err()), proc.stop(syscall.SIGTERM))
		}
		pause(ctx, 5*time.Millisecond)
	}
	r.done = proc.done
	r.stop = sync.OnceValue(func() error {
		err := proc.stop(syscall.SIGTERM)
		os.RemoveAll(dir)
		return err
	})
	return r, nil
}

// freePort asks the kernel for a port. Somebody else could take it before the
// server does; the server then ends at its start, and says so.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// tick is how often miniredis's clock is moved on: by itself it lets no key
// expire, and a lock with a time to live would be held for ever.
const tick = 100 * time.Millisecond

func startMiniredis() (*Redis, error) {
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		return nil, fmt.Errorf("start miniredis: %w", err)
	}
	r := &Redis{network: "tcp", addr: m.Addr(), source: "miniredis", done: make(chan struct{})}
	quit := make(chan struct{})
	go func() {
		defer close(r.done)
		defer m.Close()
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		last := time.Now()
		for {
			select {
			case <-quit:
				return
			case now := <-ticker.C:
				m.FastForward(now.Sub(last))
				last = now
			}
		}
	}()
	r.stop = sync.OnceValue(func() error {
		close(quit)
		<-r.done
		return nil
	})
	return r, nil
}
