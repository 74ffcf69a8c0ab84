package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// The rows of several nodes on one Postgres and one Redis, and of a disk that
// takes its time. The nodes are processes of their own, as they are in a
// deployment. Where each has its own 64 writers, a node is added as more people
// come; where 64 are spread over all, each node's appends are smaller as well, which
// costs the floor as much (see its rows of 16 and of 64 in flight).
func init() {
	rows = append(rows,
		slowDisk(writeRow(64, "≥ 0.6")),
		slowDisk(writeRow(16, "≥ 0.6")),
		slowDisk(writeRow(1, "≥ 0.5")),
		slowDisk(row{name: "write to another client", run: echoRow}),
		slowDisk(spreadRow(1)),
		slowDisk(row{name: "change to delivery, 1,000 views of one table", run: manyViewsRow}),
		row{name: "nodes: one graph written by several, 64 in flight on each", run: sharedRow(true), only: "node"},
		slowDisk(row{name: "nodes: one graph written by several, 64 in flight on each", run: sharedRow(true), only: "node"}),
		row{name: "nodes: one graph written by several, 64 in flight over all", run: sharedRow(false), only: "node"},
		slowDisk(row{name: "nodes: one graph written by several, 64 in flight over all", run: sharedRow(false), only: "node"}),
		row{name: "nodes: commit to delivery", run: hopRow, only: "node"},
	)
}

// commitDelay is the time in microseconds that a commit waits for others to
// share its write to the disk, in the rows of the slow disk.
const commitDelay = "1000"

// slowDisk repeats a row with every commit of Postgres a millisecond longer, as
// on a disk that is slower than this one. What gathers more commits in one
// append loses less.
func slowDisk(r row) row {
	run := r.run
	r.name += ", commit_delay 1 ms"
	r.run = func(ctx context.Context, t *target, o options) (_ []figure, err error) {
		if err := t.alter(ctx, "commit_delay", commitDelay, "commit_siblings", "0"); err != nil {
			return nil, err
		}
		defer func() {
			if undo := t.alter(context.WithoutCancel(ctx), "commit_delay", "", "commit_siblings", ""); err == nil {
				err = undo
			}
		}()
		return run(ctx, t, o)
	}
	return r
}

// alter sets settings of the target's Postgres, given as names and values, and
// returns once new statements see them; "" is as it was.
func (t *target) alter(ctx context.Context, pairs ...string) error {
	conn, err := pgx.Connect(ctx, t.pg.URL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for i := 0; i < len(pairs); i += 2 {
		sql := "ALTER SYSTEM SET " + pairs[i] + " = " + pairs[i+1]
		if pairs[i+1] == "" {
			sql = "ALTER SYSTEM RESET " + pairs[i]
		}
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if _, err := conn.Exec(ctx, "SELECT pg_reload_conf()"); err != nil {
		return err
	}
	// The server tells its processes one after the other, and each looks between
	// two statements.
	select {
	case <-time.After(200 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// peer starts one more node on the target's database and Redis.
func (t *target) peer(ctx context.Context) (*target, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &target{name: t.name, token: t.token, pg: t.pg}
	p.cmd = exec.CommandContext(ctx, self, "-child", "node", "-db", t.pg.URL(), "-redis", t.redis.URL())
	p.cmd.Stderr = os.Stderr
	if _, err := p.cmd.StdinPipe(); err != nil { // open as long as we live: see withParent
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := p.find(out); err != nil {
		p.leave()
		return nil, err
	}
	return p, nil
}

// leave ends a peer; the database and the Redis are the target's.
func (t *target) leave() {
	t.cmd.Process.Signal(syscall.SIGTERM)
	t.cmd.Wait()
}

// sharedRow has one, two and four nodes write one graph: 64 writers on each of them,
// or over all.
func sharedRow(each bool) func(context.Context, *target, options) ([]figure, error) {
	return func(ctx context.Context, t *target, o options) ([]figure, error) { return share(ctx, t, o, each) }
}

func share(ctx context.Context, t *target, o options, each bool) ([]figure, error) {
	nodes := []*target{t}
	defer func() {
		for _, p := range nodes[1:] {
			if o.profile != "" {
				_ = p.profile(context.WithoutCancel(ctx), "") // what it holds so far is written as it ends
			}
			p.leave()
		}
	}()
	var figures []figure
	var alone float64
	for _, n := range []int{1, 2, 4}[:o.pick(3, 3, 2)] {
		for len(nodes) < n {
			p, err := t.peer(ctx)
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, p)
			if o.profile != "" {
				file := filepath.Join(o.profile, fmt.Sprintf("nodes.peer%d.pprof", len(nodes)))
				if err := p.profile(ctx, file); err != nil {
					return nil, err
				}
			}
		}
		writers := 64
		if each {
			writers *= n
		}
		rate, cost, stored, err := writeOver(nodes, writers, o.span)
		if err != nil {
			return nil, fmt.Errorf("%d nodes: %w", n, err)
		}
		name := map[int]string{1: "one node", 2: "two nodes", 4: "four nodes"}[n]
		figures = append(figures, figure{name, rate, "/s", false, ""},
			figure{name + ", CPU per change", us(cost), "µs", true, ""}, figure{name + ", of it Postgres", us(stored), "µs", true, ""})
		switch n {
		case 1:
			alone = rate
		case 2:
			figures = append(figures, figure{"two nodes beside one", rate / alone, "×", false, "≥ 0.8 ×"})
		case 4:
			figures = append(figures, figure{"four nodes beside one", rate / alone, "×", false, "≥ 0.65 ×"})
		}
	}
	return figures, nil
}

// writeOver spreads w writers over the nodes and gives the changes per second, the
// processor time that one costs all nodes and their Postgres, and what of it is
// Postgres's.
func writeOver(nodes []*target, w int, span time.Duration) (rate float64, cost, stored time.Duration, err error) {
	cpu := func() (all, stored time.Duration) {
		all = nodes[0].cpu()
		stored = all - procTime(nodes[0].cmd.Process.Pid, false)
		for _, p := range nodes[1:] {
			all += procTime(p.cmd.Process.Pid, false)
		}
		return all, stored
	}
	var sum atomic.Int64
	errs := make([]error, len(nodes))
	before, storedBefore := cpu()
	began := time.Now()
	var wg sync.WaitGroup
	for i, t := range nodes {
		part := len(small) / len(nodes)
		wg.Go(func() {
			n, err := writeFor(t, w/len(nodes), small[i*part:(i+1)*part], span)
			sum.Add(n)
			errs[i] = err
		})
	}
	wg.Wait()
	n := time.Duration(max(sum.Load(), 1))
	took := time.Since(began)
	after, storedAfter := cpu()
	return float64(n) / took.Seconds(), (after - before) / n, (storedAfter - storedBefore) / n, errors.Join(errs...)
}

// hopRow is what the way over Redis and the log adds: a change arrives at a
// client of the node that commits it, and at a client of another.
func hopRow(ctx context.Context, t *target, _ options) ([]figure, error) {
	p, err := t.peer(ctx)
	if err != nil {
		return nil, err
	}
	defer p.leave()
	writer, err := t.session()
	if err != nil {
		return nil, err
	}
	defer writer.close()
	near, err := t.session()
	if err != nil {
		return nil, err
	}
	defer near.close()
	far, err := p.session()
	if err != nil {
		return nil, err
	}
	defer far.close()
	for _, c := range []*wsClient{near, far} {
		if err := c.subscribe(); err != nil {
			return nil, err
		}
	}
	type arrival struct {
		at  time.Time
		err error
	}
	await := func(c *wsClient) chan arrival {
		ch := make(chan arrival, 1)
		go func() {
			_, err := c.readUntil(`"t":"delta"`)
			ch <- arrival{time.Now(), err}
		}()
		return ch
	}
	var here, there, extra []time.Duration
	for i := range 500 {
		a, b := await(near), await(far)
		began := time.Now()
		if err := writer.send(mutation(small[i%100], counter.Add(1))); err != nil {
			return nil, err
		}
		x, y := <-a, <-b
		if x.err != nil || y.err != nil {
			return nil, fmt.Errorf("read: %v, %v", x.err, y.err)
		}
		if _, err := writer.readUntil(`"t":"ack"`); err != nil {
			return nil, err
		}
		if i >= 100 {
			here, there = append(here, x.at.Sub(began)), append(there, y.at.Sub(began))
			extra = append(extra, y.at.Sub(x.at))
		}
	}
	return []figure{
		{"the same node, p50", ms(quantile(here, 0.5)), "ms", true, ""},
		{"another node, p50", ms(quantile(there, 0.5)), "ms", true, ""},
		{"extra, p50", ms(quantile(extra, 0.5)), "ms", true, "≤ 2 ms"},
		{"extra, p99", ms(quantile(extra, 0.99)), "ms", true, ""},
	}, nil
}
