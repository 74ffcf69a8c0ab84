package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// crowd is a graph with all who use it.
type crowd struct {
	w    *world
	read []*reader
	j    *judge

	writers, readers, others sync.WaitGroup
	target                   int // the version that the readers are to get to
}

func newCrowd(w *world) *crowd {
	c := &crowd{w: w, j: newJudge(w)}
	for i := range w.o.Readers {
		c.read = append(c.read, newReader(w, i))
	}
	return c
}

// newSecond makes another graph on the same nodes, smaller and with fewer users. It
// shares nothing with the first but the machines, the journal's folder and the verdict.
func newSecond(ctx context.Context, first *world) (*world, error) {
	o := first.o
	o.Seed, o.Writers, o.Readers = o.Seed+1, max(1, o.Writers/5), max(1, o.Readers/4)
	w := &world{epochs: epochs{gone: map[string]time.Time{}}, o: o, plan: planOf(o), dir: first.dir, graph: secondName, laws: first.laws, ledger: first.ledger,
		pg: first.pg, redis: first.redis, redisURL: first.redisURL, nodes: first.nodes, worker: first.worker, urls: first.urls,
		front: first.front, back: first.back, web: first.web, notes: newNotes()}
	var err error
	if w.journal, err = newJournal(filepath.Join(w.dir, "journal-"+secondName)); err != nil {
		return nil, err
	}
	w.log, w.things = &collector{w: w}, newThings(w)
	a, err := w.request(ctx, 0, "PUT", w.path(""), governor(), "")
	if err == nil && a.status != http.StatusCreated {
		err = fmt.Errorf("%d %s", a.status, a.body)
	}
	if err != nil {
		return w, fmt.Errorf("make the graph %s: %w", w.graph, err)
	}
	return w, w.things.make(ctx)
}

// leave closes what a graph has for itself.
func (w *world) leave() {
	if w.log != nil {
		w.log.close()
	}
	if w.journal != nil {
		w.journal.file.Close()
	}
}

// anew says of a graph that it is replaced by its own export now and then. Meanwhile it
// is not there.
type anew struct {
	writing sync.RWMutex // held by who writes; whole while the graph is replaced

	absent atomic.Bool  // between its deletion and the end of the import
	back   atomic.Int64 // when it was there again, in Unix nanoseconds
}

// mayBeAbsent reports whether a node may tell that there is no such graph.
func (w *world) mayBeAbsent() bool {
	return w.anew.absent.Load() || time.Since(time.Unix(0, w.anew.back.Load())) < w.patience(staleAfter)
}

// replaceGraph exports the second graph, deletes it, and imports it again, under the
// eyes of its sessions. Its writers wait until then, so that nothing may be missing.
func (t *tormentor) replaceGraph() error {
	if !t.free("the schema") {
		return errBusy
	}
	rng := rand.New(rand.NewPCG(t.rng.Uint64(), 0))
	return t.breaks("the schema", 0, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), t.w.patience(2*startTime))
		defer cancel()
		w := t.second
		w.anew.writing.Lock()
		defer w.anew.writing.Unlock()
		return w.replace(ctx, rng)
	})
}

// replace is done once it has worked, whatever breaks meanwhile.
func (w *world) replace(ctx context.Context, rng *rand.Rand) error {
	insist := func(what string, do func() error) error {
		for {
			err := do()
			if err == nil || ctx.Err() != nil {
				return err
			}
			pause(ctx, rng, 200*time.Millisecond)
			if ctx.Err() != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
	}
	file := filepath.Join(w.dir, "archive.jsonl")
	if err := insist("read the log", func() error { return w.log.sync(ctx, rng.IntN(2)) }); err != nil {
		return err
	}
	if err := insist("export", func() error {
		out, err := w.output(ctx, "export", "--history", "--database-url", w.pg.url(), "--graph", w.graph)
		if err != nil {
			return err
		}
		return os.WriteFile(file, out, 0o600)
	}); err != nil {
		return err
	}
	w.anew.absent.Store(true)
	if err := insist("delete", func() error {
		a, err := w.request(ctx, rng.IntN(2), "DELETE", w.path(""), governor(), "")
		if err == nil && a.status != http.StatusNoContent && a.status != http.StatusNotFound {
			err = fmt.Errorf("%d %s", a.status, a.body)
		}
		return err
	}); err != nil {
		return err
	}
	w.epochs.changed()
	if err := insist("import", func() error {
		_, err := w.run(ctx, "import", file, "--database-url", w.pg.url(), "--graph", w.graph)
		if err != nil && w.log.again(ctx, rng.IntN(2)) == nil {
			return nil // it was done, and only its answer was lost
		}
		return err
	}); err != nil {
		return err
	}
	w.anew.back.Store(time.Now().UnixNano())
	w.anew.absent.Store(false)
	err := insist("read what was imported", func() error { return w.log.again(ctx, rng.IntN(2)) })
	if err == nil {
		w.count(cReplaced, 1)
		err = insist("read its runs", func() error { return w.noRuns(ctx, rng.IntN(2)) })
	}
	return err
}

// again reads the whole log once more and holds it against what it was.
func (c *collector) again(ctx context.Context, node int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	tok := token(principalOf("root", nil))
	for read := 0; ; {
		a, err := c.w.request(ctx, node, "GET", c.w.path(fmt.Sprintf("/log?since=%d&limit=%d", read, page)), tok, "")
		if err != nil {
			return err
		}
		if a.status != 200 {
			return fmt.Errorf("the log is answered with %d %s", a.status, a.body)
		}
		list, _ := a.doc["commits"].([]any)
		for _, raw := range list {
			m, _ := raw.(map[string]any)
			read++
			if read > len(c.sums) || toInt(m["version"]) != read || sumOf("commit", map[string]any{"body": m}) != c.sums[read-1] {
				c.w.violate("H6 import", "commit %d of %d is not after the import what it was before: %.800v", read, len(c.sums), m)
				return nil
			}
		}
		if len(list) > 0 {
			continue
		}
		if read != len(c.sums) {
			c.w.violate("H6 import", "the log had %d commits before the import, and has %d", len(c.sums), read)
		}
		return nil
	}
}

// noRuns looks whether the import fired rules: what it brought was processed before.
func (w *world) noRuns(ctx context.Context, node int) error {
	a, err := w.request(ctx, node, "GET", w.path("/runs?limit=10"), token(principalOf("root", nil)), "")
	if err != nil {
		return err
	}
	list, ok := a.doc["runs"].([]any)
	if a.status != 200 || !ok {
		return fmt.Errorf("the runs are answered with %d %.300s", a.status, a.body)
	}
	if len(list) > 0 {
		w.violate("P3 no rule without a commit", "the import fired %v", list)
	}
	return nil
}
