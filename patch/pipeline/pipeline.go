// Package pipeline is the write path: a mutation goes through the stages, is
// settled in order and appended to the log.
//
//	Mutation ─ decode ─► resolve ► authorize ► apply ► cascade ► validate ► edges ► operations ► snapshot
//	                                                                                              │ Draft
//	                  answers ◄── replica.Apply ◄── Store.Append ◄── settle, in order ◄───────────┘
//
// The stages run without any lock in the caller's goroutine and note which
// facets of the state they read. One goroutine per graph, the sequencer, takes
// the drafts that gathered while the last append was under way: a draft whose
// facets are current goes in as it is, a stale one is prepared again on the head
// plus what the batch already holds; then all go to the store in one round trip,
// each as a commit with a version of its own.
//
// Promises: a refusal changes nothing and is final only on a head read after the
// mutation arrived; an acknowledged mutation is durable; a mutation with the
// same key is applied once; the mutations of a session settle in the order of
// the Enqueue calls; one bad mutation never changes its neighbours' outcome.
// The only outputs are the answer and the log.
package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/internal/sabotage"
	"github.com/graphtide/graphtide/schema"
)

// Config is what a Pipeline is made from.
type Config struct {
	Store    graph.Store
	Replicas *replica.Set
	Live     *schema.Live
	Hints    graph.Hints  // nil: none are sent
	Limits   graph.Limits // zero fields are filled in
	Clock    graph.Clock  // default time.Now
	Log      *slog.Logger // default slog.Default
	// MaxBatch bounds the commits of one append; default 128. (About 100 are the
	// knee of the append's cost curve.)
	MaxBatch int
	// MaxQueue bounds the mutations of one graph that wait to be settled; more
	// are refused with CodeUnavailable. Default 8192.
	MaxQueue int
	// Patience is how long a batch is tried again while the store cannot be
	// reached, before its mutations are answered with CodeUnavailable. Default 8 s.
	Patience time.Duration
	// Observe, if set, brackets every stage of every preparation, and the
	// sequencer's steps "settle" (in which stages may run again), "append" and
	// "follow", which is giving the commits to the replica: it is called at the
	// start, and what it returns, if anything, at the end.
	Observe func(stage string) func()
}

func (c Config) withDefaults() Config {
	c.Limits = c.Limits.WithDefaults()
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.MaxBatch == 0 {
		c.MaxBatch = 128
	}
	if c.MaxQueue == 0 {
		c.MaxQueue = 8192
	}
	if c.Patience == 0 {
		c.Patience = 8 * time.Second
	}
	return c
}

// Pipeline is a graph.Submitter and a graph.SchemaService.
type Pipeline struct {
	cfg Config

	ctx    context.Context // ends when Stop gives up waiting
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu         sync.Mutex // guards the fields below
	sequencers map[graph.GraphKey]*sequencer
	stopped    bool
}

var (
	_ graph.Submitter     = (*Pipeline)(nil)
	_ graph.SchemaService = (*Pipeline)(nil)
)

// New makes a Pipeline. It works until Stop.
func New(cfg Config) *Pipeline {
	p := &Pipeline{cfg: cfg.withDefaults(), sequencers: make(map[graph.GraphKey]*sequencer)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Stop refuses further mutations, finishes those that wait, and returns once
// all are answered. It may be called twice.
func (p *Pipeline) Stop() {
	p.mu.Lock()
	p.stopped = true
	for _, s := range p.sequencers {
		s.close()
	}
	p.mu.Unlock()
	p.wg.Wait()
	p.cancel()
}

// Submit implements graph.Submitter.
func (p *Pipeline) Submit(ctx context.Context, name string, m *graph.Mutation) (graph.Receipt, error) {
	type answer struct {
		r   graph.Receipt
		err error
	}
	ch := make(chan answer, 1)
	p.Enqueue(ctx, name, m, func(r graph.Receipt, err error) { ch <- answer{r, err} })
	select {
	case a := <-ch:
		return a.r, a.err
	case <-ctx.Done():
		return graph.Receipt{}, unavailable("the request ended before the outcome was known", ctx.Err())
	}
}

func unavailable(message string, err error) *graph.Error {
	return &graph.Error{Code: graph.CodeUnavailable, Message: message + "; send it again with the same key", RetryAfter: time.Second, Err: err}
}

// Enqueue implements graph.Submitter. The stages run in the caller's goroutine.
func (p *Pipeline) Enqueue(ctx context.Context, name string, m *graph.Mutation, done func(graph.Receipt, error)) {
	rep, err := p.cfg.Replicas.Open(ctx, name)
	if err != nil {
		done(graph.Receipt{}, err)
		return
	}
	w := &waiting{m: m, keyed: m.Key != "", done: done, graph: name}
	if !w.keyed {
		m.Key = uuid.Must(uuid.NewV7()).String()
	}
	if m.Cause.Kind == "" {
		m.Cause.Kind = graph.CauseClient
	}
	req, refusal := decode(m, p.cfg.Limits, false)
	if refusal != nil {
		w.refusal, w.final = refusal, true
	} else {
		w.req = req
		w.past = &past{rep: rep, store: p.cfg.Store, ctx: p.ctx}
		base := &lockedReader{rep: rep, ctx: ctx}
		if brought := gather(ctx, rep, req); brought != nil {
			defer brought.End() // when it is the sequencer's
		}
		p.prepare(w, base, rep.Head(), w.past)
		if base.err != nil {
			w.draft, w.refusal = nil, nil // prepared when it is settled
		}
		if sabotage.On(sabotage.RefuseOnStaleHead) && w.refusal != nil {
			w.final = true
		}
	}
	s, err := p.sequencer(rep)
	if err == nil {
		err = s.push(w)
	}
	if err != nil {
		done(graph.Receipt{}, err)
	}
}

// observe begins a step of the sequencer for who watches.
func (p *Pipeline) observe(step string) (end func()) {
	if p.cfg.Observe != nil {
		if end := p.cfg.Observe(step); end != nil {
			return end
		}
	}
	return func() {}
}

// prepare runs the stages and leaves the outcome in w.
func (p *Pipeline) prepare(w *waiting, base graph.Reader, at graph.Head, past pastReader) {
	reg := p.cfg.Live.Current()
	w.draft = newDraft(w.req, reg, p.cfg.Limits, base, at, past)
	w.refusal = w.draft.run(p.cfg.Observe)
}

// newCommit makes the commit of a draft that has been stamped.
func newCommit(d *Draft, v graph.Version, epoch string, at time.Time) *graph.Commit {
	m := d.in.m
	return &graph.Commit{
		Version: v, Epoch: epoch, At: at, Author: m.Author, Session: m.Session, Mutation: m.Key, Hash: d.in.hash,
		Group: m.Group, Note: m.Note, Cause: m.Cause, Depth: m.Depth, SchemaVer: d.reg.Version,
		Asked: m.Patch, Done: d.done, Changes: d.changes, Fence: m.Fence,
	}
}

// sequencer gives the graph's sequencer, starting it at first use.
func (p *Pipeline) sequencer(rep *replica.Replica) (*sequencer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil, unavailable("the server is stopping", nil)
	}
	s := p.sequencers[rep.Key()]
	if s == nil || s.rep != rep {
		if s != nil {
			s.close()
		}
		s = newSequencer(p, rep)
		p.sequencers[rep.Key()] = s
		p.wg.Add(1)
		go func() {
			defer p.wg.Done()
			s.run()
		}()
	}
	return s, nil
}

// drop forgets the sequencer of a graph that is gone.
func (p *Pipeline) drop(s *sequencer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sequencers[s.rep.Key()] == s {
		delete(p.sequencers, s.rep.Key())
	}
	s.close()
}

// past answers from the replica's ring of recent commits and from the commits of
// the batch under way. What is older comes from the store, once, and not while
// the replica is locked: the draft is put off then until it has been fetched.
type past struct {
	rep    *replica.Replica
	store  graph.Store
	ctx    context.Context
	batch  []*graph.Commit
	locked bool // the caller holds the replica's lock
	known  map[pastKey]pastEntity
	wanted []pastKey // met while locked
}

type pastKey struct {
	ref graph.Ref
	at  graph.Version
}

type pastEntity struct {
	was     graph.Snapshot
	removal *graph.Commit
	err     error
}

// fetch gets what was wanted while locked.
func (p *past) fetch() {
	for _, k := range p.wanted {
		p.load(k)
	}
	p.wanted = nil
}

func (p *past) EntityAt(ref graph.Ref, at graph.Version) (graph.Snapshot, *graph.Commit, error) {
	commits, ok := p.rep.Since(at)
	if !ok {
		k := pastKey{ref, at}
		e, ok := p.known[k]
		switch {
		case !ok && p.locked:
			p.wanted = append(p.wanted, k)
			return graph.Snapshot{}, nil, errNotFetched
		case !ok:
			e = p.load(k)
		}
		return e.was, e.removal, e.err
	}
	var was graph.Snapshot
	var removal *graph.Commit
	found := false
	for _, list := range [][]*graph.Commit{commits, p.batch} {
		for _, c := range list {
			for i := range c.Changes {
				ch := &c.Changes[i]
				if ch.Ref != ref {
					continue
				}
				if !found {
					found = true
					was = graph.Snapshot{Object: ch.ObjBefore, Edge: ch.EdgeBefore, At: at}
				}
				if ch.Event == graph.Deleted {
					removal = c
				}
			}
		}
	}
	return was, removal, nil
}

func (p *past) Since(ref graph.Ref, at graph.Version) (steps []step, ok bool) {
	commits, ok := p.rep.Since(at)
	if !ok {
		return nil, false
	}
	for _, list := range [][]*graph.Commit{commits, p.batch} {
		for _, c := range list {
			for i := range c.Changes {
				switch ch := &c.Changes[i]; {
				case ch.Ref != ref || ch.Event != graph.Modified:
				case ch.ObjBefore != nil:
					steps = append(steps, step{c.Session, ch.ObjBefore.Body, ch.ObjAfter.Body, ch.Patch})
				case ch.EdgeBefore != nil:
					steps = append(steps, step{c.Session, ch.EdgeBefore.Body, ch.EdgeAfter.Body, ch.Patch})
				}
			}
		}
	}
	return steps, true
}

var errNotFetched = errors.New("to be fetched first")

func (p *past) load(k pastKey) pastEntity {
	var e pastEntity
	e.was, e.removal, e.err = p.stored(k.ref, k.at)
	if p.known == nil {
		p.known = make(map[pastKey]pastEntity)
	}
	p.known[k] = e
	return e
}

func (p *past) stored(ref graph.Ref, at graph.Version) (graph.Snapshot, *graph.Commit, error) {
	was, err := p.store.EntityAt(p.ctx, p.rep.Key(), ref, at)
	if err != nil {
		return graph.Snapshot{}, nil, err
	}
	last, err := p.store.History(p.ctx, p.rep.Key(), ref, 0, 1)
	if err != nil || len(last) == 0 || !last[0].Deleted {
		return was, nil, err
	}
	commits, err := p.store.Log(p.ctx, p.rep.Key(), last[0].Commit.Version-1, 1)
	if err != nil || len(commits) == 0 {
		return was, nil, err
	}
	return was, commits[0], nil
}

// isUnavailable reports whether an error of the store leaves the outcome open
// and is worth another try.
func isUnavailable(err error) bool {
	return errors.Is(err, &graph.Error{Code: graph.CodeUnavailable})
}
