package systest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// ledger is what writers were told while nodes and stores failed under them.
// Every write puts its own key into one list, under that key, and is sent again,
// to whichever node, until its fate is known. So in the end each key that was
// begun stands in the log once, at the version that was named, and in the list
// once.
type ledger struct {
	t   testing.TB
	hot string // the object with the list

	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	begun  map[string]bool
	told   map[string]int
	count  map[string]int           // acknowledged, by the first node asked
	last   map[string]time.Time     // of those
	gap    map[string]time.Duration // the longest time between two of them
	change chan struct{}            // closed at each acknowledgement
}

// begin makes the object with the list.
func begin(t testing.TB, c *client) *ledger {
	t.Helper()
	l := &ledger{t: t, hot: c.create("Doc", `{"l":[]}`), begun: map[string]bool{}, told: map[string]int{},
		count: map[string]int{}, last: map[string]time.Time{}, gap: map[string]time.Duration{}, change: make(chan struct{})}
	l.ctx, l.stop = context.WithCancel(context.Background())
	t.Cleanup(l.end)
	return l
}

// write has a writer write until the end: at the first node, or as long as that
// does not answer at the others.
func (l *ledger) write(c *client, name string, nodes ...string) {
	l.wg.Go(func() {
		for i := 0; l.ctx.Err() == nil; i++ {
			key := fmt.Sprintf("%s-%d", name, i)
			l.mu.Lock()
			l.begun[key] = true
			l.mu.Unlock()
			if !l.resolve(c.with("Idempotency-Key: "+key), key, nodes) {
				return
			}
		}
	})
}

// resolve sends a write until its fate is known.
func (l *ledger) resolve(c *client, key string, nodes []string) bool {
	ops := f(`[{"op":"add","path":"/objects/%s/body/l/-","value":%q}]`, l.hot, key)
	for try := 0; ; try++ {
		a, err := c.on(nodes[try%len(nodes)]).send("PATCH", c.w.path(""), patchType, ops)
		switch {
		case err == nil && a.status == 200:
			l.acknowledged(key, a.int("version"), nodes[0])
			return true
		case err == nil && a.status != 503:
			l.t.Errorf("%v", a)
			return false
		case err == nil && a.header.Get("Retry-After") == "":
			l.t.Errorf("no Retry-After: %v", a)
			return false
		}
		pause := time.NewTimer(5 * time.Millisecond)
		<-pause.C // the pace of asking, nothing is concluded from it
	}
}

func (l *ledger) acknowledged(key string, version int, node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.told[key] = version
	l.count[node]++
	if last, ok := l.last[node]; ok {
		l.gap[node] = max(l.gap[node], now.Sub(last))
	}
	l.last[node] = now
	close(l.change)
	l.change = make(chan struct{})
}

// await returns once n more writes of the node's writers were acknowledged.
func (l *ledger) await(node string, n int) {
	l.t.Helper()
	late := time.After(patience)
	l.mu.Lock()
	goal := l.count[node] + n
	for l.count[node] < goal {
		change := l.change
		l.mu.Unlock()
		select {
		case <-change:
		case <-late:
			l.t.Fatalf("no progress at %s", node)
		}
		l.mu.Lock()
	}
	l.mu.Unlock()
}

// longest gives the longest time that the node's writers had to wait between two
// acknowledgements since it was last asked.
func (l *ledger) longest(node string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	gap := l.gap[node]
	l.gap[node] = 0
	return gap
}

// end lets every writer find out the fate of its last write.
func (l *ledger) end() {
	l.stop()
	l.wg.Wait()
}

// check compares what was told with the log and the list, after the end.
func (l *ledger) check(reader *client) {
	l.t.Helper()
	l.end()
	newest := 0
	for _, v := range l.told {
		newest = max(newest, v)
	}
	reader = reader.with(f("Graphtide-Min-Version: %d", newest)) // another node may have made it
	seen := map[string]int{}
	for i, c := range reader.log() {
		if c.int("version") != i+1 {
			l.t.Fatalf("version %d at place %d", c.int("version"), i+1)
		}
		key := c.str("mutation")
		seen[key]++
		if v, ok := l.told[key]; ok && v != i+1 {
			l.t.Errorf("%s is at %d, was told to be at %d", key, i+1, v)
		}
	}
	for key := range l.begun {
		if seen[key] != 1 {
			l.t.Errorf("%s is in the log %d times; told at %d", key, seen[key], l.told[key])
		}
	}
	if list := reader.object(l.hot).json().list("body.l"); len(list) != len(l.begun) {
		l.t.Errorf("%d elements of %d writes", len(list), len(l.begun))
	}
}
