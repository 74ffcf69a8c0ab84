package pipeline

import (
	"context"
	"maps"
	"runtime"
	"sync"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/internal/sabotage"
)

// sequencer settles the mutations of one graph, in order, and is the only one
// on this node that appends to its log. It gathers what waits, settles it on the
// replica's state, appends it in one round trip, gives the commits to the
// replica and answers; what arrives meanwhile is the next batch.
type sequencer struct {
	p   *Pipeline
	rep *replica.Replica

	loads  sync.WaitGroup // for what is parked
	mu     sync.Mutex     // guards the fields below, up to wake
	queue  []*waiting
	parked parking
	closed bool
	wake   chan struct{} // holds one token; a full one means it is awake already

	// What follows belongs to the goroutine of run.
	index  *changeIndex
	seen   graph.Head    // the commits up to here are in index
	fresh  fresh         // what the batch changes that is about to be appended
	ours   graph.Version // of the last commit of this node
	rivals rivalry
}

// waiting is a mutation on its way through the sequencer.
type waiting struct {
	m     *graph.Mutation
	graph string
	keyed bool // the author gave the key, so an earlier use must be looked for
	done  func(graph.Receipt, error)

	req     *request
	past    *past
	draft   *Draft
	refusal *graph.Error
	missed  int           // how often something was missing when it was to be settled
	loaded  []*sharedRead // what was loaded for it stays until it has its outcome
	final   bool          // the refusal depends on no state
	// tried: an append with it, or the keeping of its key, ended in an unknown
	// outcome, so it may have been accepted already.
	tried bool

	commit *graph.Commit // while its batch is appended

	// decided: the outcome is known, in receipt and err, and goes out when those
	// before it in the batch have theirs.
	decided bool
	receipt graph.Receipt
	err     error
}

func (w *waiting) accept(v graph.Version, replayed bool) {
	w.decided, w.receipt = true, graph.Receipt{Graph: w.graph, Version: v, Mutation: w.m.Key, Replayed: replayed}
}

func (w *waiting) refuse(err error) { w.decided, w.err = true, err }

// answer gives the outcome to whoever waits for it.
func (w *waiting) answer() {
	for _, l := range w.loaded {
		l.leave()
	}
	w.loaded = nil
	w.done(w.receipt, w.err)
}

func (w *waiting) key() graph.MutationKey {
	return graph.MutationKey{Author: w.m.Author.User, Key: w.m.Key}
}

func newSequencer(p *Pipeline, rep *replica.Replica) *sequencer {
	return &sequencer{p: p, rep: rep, wake: make(chan struct{}, 1)}
}

// push hands a mutation over; the order of the calls is the order of settling.
func (s *sequencer) push(w *waiting) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return unavailable("the graph is being closed on this node", nil)
	}
	if len(s.queue) >= s.p.cfg.MaxQueue {
		return unavailable("too many writes wait in this graph", nil)
	}
	s.queue = append(s.queue, w)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

func (s *sequencer) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.wake)
	}
}

// take gives what waits, at most n. After close it gives the rest.
func (s *sequencer) take(n int) []*waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) <= n {
		batch := s.queue
		s.queue = nil
		return batch
	}
	batch := s.queue[:n:n]
	s.queue = append([]*waiting(nil), s.queue[n:]...)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return batch
}

func (s *sequencer) run() {
	crowd := 0
	for range s.wake {
		// Those who were answered a moment ago are about to come back; letting
		// them run first makes one full batch of what would be a lone one and a
		// rest. A lone writer is not kept waiting.
		if crowd > 1 {
			runtime.Gosched()
		}
		crowd = s.next()
	}
	for s.next() > 0 || s.unparked() {
	}
}

// next settles what waits, at most a batch, and gives how many that were. What
// arrives while a turn is waited for goes with it.
func (s *sequencer) next() int {
	if s.idle() {
		return 0
	}
	t := s.await()
	batch := s.take(s.p.cfg.MaxBatch)
	n := len(batch)
	s.settle(batch, t)
	return n
}

func (s *sequencer) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue) == 0
}

// settle brings every mutation of a batch to its outcome, beginning in turn t if
// there is one.
func (s *sequencer) settle(batch []*waiting, t *turn) {
	give := s.p.cfg.Clock().Add(s.p.cfg.Patience)
	pause := 20 * time.Millisecond
	for len(batch) > 0 {
		if t == nil {
			t = s.await()
		}
		rest, err := s.round(batch, t)
		batch, t = rest, nil
		late := s.p.cfg.Clock().After(give)
		if err == nil {
			if late && len(batch) > 0 {
				refuseAll(batch, unavailable("other nodes write to this graph faster than this one can settle", nil))
				return
			}
			continue
		}
		if graph.CodeOf(err) == graph.CodeNotFound { // the graph was deleted
			refuseAll(batch, err)
			s.p.drop(s)
			return
		}
		if !isUnavailable(err) && len(batch) > 1 {
			// Something in the batch cannot be written. Halving finds it, and
			// its neighbours go their own way.
			s.settle(batch[:len(batch)/2], nil)
			batch = batch[len(batch)/2:]
			continue
		}
		if !isUnavailable(err) || late {
			s.p.cfg.Log.Error("append failed", "graph", s.rep.Name(), "mutations", len(batch), "err", err)
			refuseAll(batch, graph.AsError(err))
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-s.p.ctx.Done():
			timer.Stop()
		}
		pause = min(2*pause, time.Second)
	}
}

// refuseAll answers what has no outcome yet with err.
func refuseAll(batch []*waiting, err error) {
	for _, w := range batch {
		if !w.decided {
			w.refuse(err)
		}
		w.answer()
	}
}

// round settles a batch on the present head and appends it, in turn t if there
// is one, which it ends. It answers, in order, those whose outcome is known, and
// gives back those to settle again; with an error, the state of the log is
// unknown.
func (s *sequencer) round(batch []*waiting, t *turn) (rest []*waiting, err error) {
	defer t.release()
	for _, w := range batch {
		if w.past != nil && len(w.past.wanted) > 0 {
			t.release() // nobody is kept waiting while the store is asked
			t = nil
			w.past.fetch()
			w.draft = nil
		}
	}
	settled := s.p.observe("settle")
	placed := s.place(batch)
	settled()
	ctx, cancel := context.WithTimeout(s.p.ctx, s.p.cfg.Patience)
	defer cancel()
	if batch = s.park(batch, &placed); len(batch) == 0 {
		return nil, nil
	}
	if len(placed.commits) == 0 && t == nil && s.needsHead(batch) {
		moved, err := s.headMoved(ctx)
		if err != nil || moved {
			s.retract(batch)
			return batch, err
		}
	}
	if len(placed.commits) > 0 {
		if done, err := s.append(ctx, batch, placed, t); !done {
			return batch, err
		}
	}
	t.release()
	if err := s.decideOthers(ctx, batch, placed.deferred); err != nil {
		// What was appended is decided and stays so; the others are asked again.
		return batch, err
	}
	for _, w := range batch {
		if w.decided {
			w.answer()
		}
	}
	if placed.missing != nil { // for the third time: nobody overtakes it now
		if err := placed.missing.Load(ctx); err != nil {
			return placed.deferred, err
		}
	}
	return placed.deferred, nil
}

// placement is what place made of a batch.
type placement struct {
	commits  []*graph.Commit
	appended []*waiting // of commits, in their order
	// deferred are settled in the next round: they have the key of another in
	// this batch, want something fetched that must not be fetched under the
	// replica's lock, or follow such a one in their session.
	deferred []*waiting
	// missed asked for something that the replica does not hold, or follow such a
	// one: they are parked until it is there. missing brings it; where missed is
	// empty it is for the deferred. behind follow one that is parked already.
	missed  []*waiting
	missing *replica.Reading
	behind  []behind
}

// behind is a mutation that must not overtake what is in a lot.
type behind struct {
	w   *waiting
	lot *lot
}

// append writes the commits and gives them to the replica; done is false where
// the batch is to be settled again.
func (s *sequencer) append(ctx context.Context, batch []*waiting, placed placement, t *turn) (done bool, err error) {
	head, commits := s.seen, placed.commits
	write := s.p.cfg.Store.Append
	if t != nil {
		write = t.Append
	}
	if sabotage.On(sabotage.AckBeforeAppend) {
		for _, w := range placed.appended {
			w.accept(w.commit.Version, false)
			w.done(w.receipt, nil)
			w.done = func(graph.Receipt, error) {}
		}
	}
	appended := s.p.observe("append")
	res, err := write(ctx, &graph.Batch{Graph: s.rep.Key(), Expect: head, Commits: commits})
	appended()
	switch {
	case err != nil:
		s.forget(batch)
		if isUnavailable(err) {
			for _, w := range placed.appended {
				w.tried = true
			}
		}
		return false, err
	case res.Moved:
		s.retract(batch)
		s.rivals.lost()
		return false, s.follow(ctx, res.Head)
	case len(res.Hits) > 0:
		s.retract(batch)
		s.decideHits(placed.appended, res.Hits)
		return false, nil
	}
	s.rivals.won(t != nil, t != nil && t.others)
	s.index.merge(s.fresh, head.Version)
	last := commits[len(commits)-1]
	s.seen = graph.Head{Version: last.Version, Epoch: head.Epoch, At: last.At, SchemaVer: head.SchemaVer}
	s.ours = last.Version
	followed := s.p.observe("follow")
	err = s.rep.Apply(commits)
	followed()
	if err != nil {
		s.p.cfg.Log.Error("the replica did not take a commit of its own node", "graph", s.rep.Name(), "err", err)
	}
	if h := s.p.cfg.Hints; h != nil {
		h.Announce(s.rep.Key(), last.Epoch, last.Version)
	}
	for _, w := range placed.appended {
		w.accept(w.commit.Version, false)
	}
	return true, nil
}

// place judges each mutation on the head plus what this batch already holds,
// and makes the commits of those that go in.
func (s *sequencer) place(batch []*waiting) (placed placement) {
	reg := s.p.cfg.Live.Current()
	keys := make(map[graph.MutationKey]bool, len(batch))
	held := map[string]bool{} // sessions with a deferred mutation
	var poison *graph.Error   // the last refusal; of use to sabotage alone
	var mine apart
	parked := s.snapshot()
	var asked, inline []*waiting // who missed something; who did for the last time
	reading := s.rep.Begin()
	whole := reading.Try(func(st *replica.State) {
		head := st.Head()
		s.sync(head)
		s.seen.SchemaVer = reg.Version
		s.fresh = make(fresh, 2*len(batch))
		over := newOverlay(st)
		missed := 0
		at := s.p.cfg.Clock().UTC().Truncate(time.Millisecond)
		if at.Before(head.At) {
			at = head.At
		}
		next := head.Version
		for _, w := range batch {
			w.commit = nil
			if w.decided {
				continue
			}
			if l := parked.of(w); l != nil {
				placed.behind = append(placed.behind, behind{w, l})
				continue
			}
			if mine.waitsFor(w) {
				placed.missed = append(placed.missed, w)
				continue
			}
			if w.keyed && keys[w.key()] || w.m.Session != "" && held[w.m.Session] {
				held[w.m.Session] = true
				placed.deferred = append(placed.deferred, w)
				continue
			}
			if w.final {
				continue
			}
			keys[w.key()] = true
			d := w.draft
			if d == nil || d.reg != reg || d.at.Epoch != head.Epoch || !s.current(d) {
				w.past.batch, w.past.locked = placed.commits, true
				s.p.prepare(w, over, graph.Head{Version: next, Epoch: head.Epoch}, w.past)
				w.past.batch, w.past.locked = nil, false
				d = w.draft
			}
			if st.Missed() > missed { // what it found so far counts for nothing
				missed = st.Missed()
				w.draft, w.refusal, w.past.wanted = nil, nil, nil
				asked = append(asked, w)
				placed.missed = append(placed.missed, w)
				mine.hold(w)
				if w.missed++; w.missed >= inlineMisses {
					inline = append(inline, w)
				}
				continue
			}
			if len(w.past.wanted) > 0 {
				held[w.m.Session] = true
				placed.deferred = append(placed.deferred, w)
				continue
			}
			if sabotage.On(sabotage.PoisonNeighbours) && poison != nil {
				w.refusal = poison
			}
			if poison = w.refusal; w.refusal != nil || d.noEffect() {
				continue
			}
			if sabotage.Nth(sabotage.SwallowMutation, 40) {
				w.accept(next, false)
				continue
			}
			next++
			d.stamp(next, at)
			w.commit = newCommit(d, next, head.Epoch, at)
			over.apply(d.changes)
			s.fresh.add(next, d.changes)
			placed.commits = append(placed.commits, w.commit)
			placed.appended = append(placed.appended, w)
		}
	})
	if whole {
		reading.End()
		return placed
	}
	placed.missing = reading
	share(reading, asked)
	if len(inline) > 0 { // nobody goes first any more
		placed.deferred, placed.missed = append(placed.deferred, placed.missed...), nil
	}
	return placed
}

// current reports whether nothing that a draft read has changed since, neither in
// the log nor by the batch under way.
func (s *sequencer) current(d *Draft) bool {
	if sabotage.On(sabotage.SkipFacets) {
		return true
	}
	if d.ahead && d.at.Version < s.seen.Version { // no facet tells how far the log is
		return false
	}
	return s.index.current(d.at.Version, d.read.read) && s.fresh.current(d.at.Version, d.read.read)
}

// sync brings the index up to the replica's head, which others may have moved.
func (s *sequencer) sync(head graph.Head) {
	if s.index != nil && s.seen.Epoch == head.Epoch && s.seen.Version == head.Version {
		return
	}
	if s.index != nil && s.seen.Epoch == head.Epoch {
		if commits, ok := s.rep.Since(s.seen.Version); ok {
			for _, c := range commits {
				s.index.add(c.Version, c.Changes)
			}
			s.seen = head
			return
		}
	}
	s.index = newChangeIndex(head.Version, maxFacets)
	s.seen = head
}

// maxFacets bounds one generation of the change index (some 10 MB).
const maxFacets = 100_000

// retract drops the drafts that were prepared on top of a batch that was not
// appended. The others stay: whether they are current on the next head, the
// index tells.
func (s *sequencer) retract(batch []*waiting) {
	for _, w := range batch {
		if !w.final && w.draft != nil && w.draft.at.Version > s.seen.Version {
			w.draft, w.refusal = nil, nil
		}
	}
}

// forget drops all that was found for a batch that was perhaps appended.
func (s *sequencer) forget(batch []*waiting) {
	s.index = nil
	for _, w := range batch {
		if !w.final {
			w.draft, w.refusal = nil, nil
		}
	}
}

// needsHead reports whether an answer hangs on the head that this node knows
// being the present one: every refusal, and every answer without a commit, that
// was judged on a state.
func (s *sequencer) needsHead(batch []*waiting) bool {
	for _, w := range batch {
		if !w.final && !w.decided {
			return true
		}
	}
	return false
}

// headMoved asks the store for the head; if it is ahead, the replica is brought
// there.
func (s *sequencer) headMoved(ctx context.Context) (bool, error) {
	heads, err := s.p.cfg.Store.Heads(ctx, []graph.GraphKey{s.rep.Key()})
	if err != nil {
		return false, err
	}
	head, ok := heads[s.rep.Key()]
	if !ok {
		return false, graph.NotFound("graph")
	}
	if head.Version == s.seen.Version && head.Epoch == s.seen.Epoch && head.SchemaVer == s.seen.SchemaVer {
		return false, nil
	}
	return true, s.follow(ctx, head)
}

// follow brings the replica and the schema to where the store is.
func (s *sequencer) follow(ctx context.Context, head graph.Head) error {
	if head.SchemaVer != s.p.cfg.Live.Current().Version {
		if err := s.p.cfg.Live.Refresh(ctx); err != nil {
			return err
		}
	}
	return s.rep.CatchUp(ctx)
}

// decideOthers decides those of a batch that made no commit: refused, or
// without effect. A keyed one may have been accepted before, so the store is
// asked first; in the same step it keeps the keys of those without effect.
func (s *sequencer) decideOthers(ctx context.Context, batch, deferred []*waiting) error {
	skip := make(map[*waiting]bool, len(deferred))
	for _, w := range deferred {
		skip[w] = true
	}
	var keys []graph.MutationKey
	var idle []*waiting
	for _, w := range batch {
		switch {
		case w.decided || w.final || skip[w]:
		case w.keyed && w.refusal == nil && w.m.Cause.Run == "":
			// A run's keys are its writes' numbers: what its next attempt writes under one
			// of them is another write, unless the first was committed.
			idle = append(idle, w)
		case w.keyed || w.tried:
			keys = append(keys, w.key())
		}
	}
	recorded := map[graph.MutationKey]graph.Recorded{}
	if len(keys) > 0 {
		var err error
		if recorded, err = s.p.cfg.Store.Recorded(ctx, s.rep.Key(), keys); err != nil {
			return err
		}
	}
	if len(idle) > 0 {
		used, err := s.remember(ctx, idle)
		if err != nil {
			return err
		}
		maps.Copy(recorded, used)
	}
	for _, w := range batch {
		if w.decided || skip[w] {
			continue
		}
		r, known := recorded[w.key()]
		switch {
		case known && !w.final:
			s.decideReplay(w, r.Version, r.Hash)
		case w.refusal != nil:
			w.refuse(w.refusal)
		default:
			w.accept(s.seen.Version, false)
		}
	}
	return nil
}

// remember keeps the keys of those without effect: sent again, they may have one.
func (s *sequencer) remember(ctx context.Context, idle []*waiting) (used map[graph.MutationKey]graph.Recorded, err error) {
	keys := make([]graph.IdleKey, len(idle))
	for i, w := range idle {
		keys[i] = graph.IdleKey{MutationKey: w.key(), Hash: w.req.hash, Cause: w.m.Cause.Kind, Fence: w.m.Fence}
	}
	used, err = s.p.cfg.Store.RememberIdle(ctx, s.rep.Key(), s.seen.Version, keys)
	if isUnavailable(err) {
		for _, w := range idle {
			w.tried = true
		}
	}
	return used, err
}

// decideReplay decides a mutation whose key was used.
func (s *sequencer) decideReplay(w *waiting, v graph.Version, hash []byte) {
	if !w.m.ReplayAny && !w.req.repeats(hash) {
		w.refuse(graph.Errf(graph.CodeMutationConflict, "the key %q was used for another patch; a new transaction needs a new key", w.m.Key))
		return
	}
	w.accept(v, !w.tried)
}

// decideHits decides those that the append function found an obstacle for; the
// others are settled again without them.
func (s *sequencer) decideHits(appended []*waiting, hits []graph.Hit) {
	for _, h := range hits {
		w := appended[h.Commit]
		if w.decided {
			continue
		}
		switch h.Kind {
		case graph.HitMutation:
			if sabotage.On(sabotage.SkipDedupe) {
				w.m.Key, w.keyed = w.m.Key+" again", false
				continue
			}
			s.decideReplay(w, h.Version, h.Hash)
		case graph.HitObject, graph.HitEdge:
			w.refuse(s.taken(w, h.Ref))
		case graph.HitFence:
			e := graph.Errf(graph.CodeForbidden, "this attempt of the run is over")
			e.Right = "attempt"
			w.refuse(e)
		default:
			// The replica and the store disagree about the state at one head.
			s.p.cfg.Log.Error("a replica differs from its log; it is loaded anew", "graph", s.rep.Name(), "hit", h.Kind, "entity", h.Ref.Pointer())
			s.rep.Reload()
			w.refuse(unavailable("the node's copy of the graph had to be loaded anew", nil))
		}
	}
}

func (s *sequencer) taken(w *waiting, ref graph.Ref) *graph.Error {
	e := graph.Errf(graph.CodeExists, "the id is taken; ids are never used again").At(ref.Pointer())
	for i := range w.req.ops {
		if o := &w.req.ops[i]; o.ref == ref && (o.object != nil || o.edge != nil) {
			return e.AtOp(o.index)
		}
	}
	return e
}
