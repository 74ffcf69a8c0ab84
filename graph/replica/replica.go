package replica

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/graphtide/graphtide/graph"
)

// Replica is one graph's state at one version.
type Replica struct {
	set  *Set
	key  graph.GraphKey
	name string

	follow follower
	lead   lead
	news   news
	graves graves

	loads loads
	pins  pins
	dirty dirty
	trail trail
	// counted is the part of Set.bytes that is this replica's.
	counted atomic.Int64
	imaged  atomic.Int64 // version of the last image, plus one
	floor   atomic.Int64 // see Floor

	mu    sync.RWMutex // guards core and what it points to
	core  *core
	whole State // over core, for reads while it is complete

	// tailMu guards the fields below; taken after mu. It is a lock of its own so
	// that Since may be called inside Read: a second RLock of mu there would
	// wait for a writer that waits for the first.
	tailMu sync.RWMutex
	head   graph.Head // of state, for who does not hold mu
	ring   ring
}

func newReplica(s *Set, info graph.GraphInfo, c *core) *Replica {
	r := &Replica{set: s, key: info.Key, name: info.Name, core: c, whole: State{core: c}, head: c.head}
	r.ring.limit, r.ring.bytes = s.cfg.Ring, s.cfg.RingBytes
	r.news.closed = make(chan struct{})
	return r
}

// Key gives the graph's internal number.
func (r *Replica) Key() graph.GraphKey { return r.key }

// Name gives the graph's name.
func (r *Replica) Name() string { return r.name }

// Head gives the version that the replica is at. It may be called inside Read.
func (r *Replica) Head() graph.Head {
	r.tailMu.RLock()
	defer r.tailMu.RUnlock()
	return r.head
}

// Closed is closed once the graph is no more: deleted, or made again under the
// same name. The replica keeps its last state and follows nothing any longer.
func (r *Replica) Closed() <-chan struct{} { return r.news.closed }

// Apply adds the next commits of the log, in order; those that it has already
// are passed over. It fills in the commits' Before fields and what differs
// between before and after: Before has to be in them already where the replica
// does not hold the entity, as it is in the commits that this node makes. A gap is an error and changes nothing; a commit
// that does not fit the state is an error; those before it have been applied,
// and the follower, when it meets the commit in the log, loads the state anew.
func (r *Replica) Apply(commits []*graph.Commit) error {
	applied, err := r.apply(commits)
	if applied {
		r.set.noteSchema(r.Head().SchemaVer)
		r.news.tell()
	}
	return err
}

// Follow is Apply for commits that another node made, as they stand in the log:
// what they changed and the replica does not hold is looked up in the store
// first, so that Before can be filled in.
func (r *Replica) Follow(ctx context.Context, commits []*graph.Commit) error {
	if err := r.befores(ctx, commits); err != nil {
		return err
	}
	return r.Apply(commits)
}

func (r *Replica) apply(commits []*graph.Commit) (applied bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	commits, err = unknown(commits, r.core.head.Version)
	if err != nil {
		return false, err
	}
	defer r.account()
	for _, c := range commits {
		if err := r.core.apply(c); err != nil {
			return applied, err
		}
		applied = true
		r.tailMu.Lock()
		r.head = r.core.head
		r.ring.push(c)
		r.tailMu.Unlock()
		r.trail.follow(c)
		r.noteChanged(c)
	}
	return applied, nil
}

// replace puts a state that was loaded anew in the place of the present one.
// The ring is empty after it: what led to the new state is not known. What was
// applied while the state was loaded is done to it first, for a replica never goes
// back within an epoch: false, and nothing happens, where the ring no longer has
// that.
func (r *Replica) replace(c *core) bool {
	r.mu.Lock()
	if at := r.core.head; at.Epoch == c.head.Epoch && at.Version > c.head.Version {
		r.tailMu.RLock()
		commits, ok := r.ring.since(c.head.Version, at.Version)
		r.tailMu.RUnlock()
		if !ok {
			r.mu.Unlock()
			return false
		}
		for _, commit := range commits {
			c.change(commit)
		}
	}
	r.core, r.whole = c, State{core: c}
	r.account()
	r.tailMu.Lock()
	r.head = c.head
	r.ring.clear()
	r.tailMu.Unlock()
	r.mu.Unlock()
	r.graves.clear()
	r.trail.clear()
	r.dirty.clear(r.set)
	r.news.tell()
	return true
}

// raiseSchema notes that the graph's schema changed without a commit.
func (r *Replica) raiseSchema(at graph.Head) {
	r.mu.Lock()
	raised := r.core.head.Version == at.Version && r.core.head.Epoch == at.Epoch && r.core.head.SchemaVer < at.SchemaVer
	if raised {
		r.core.head.SchemaVer = at.SchemaVer
		r.tailMu.Lock()
		r.head = r.core.head
		r.tailMu.Unlock()
	}
	r.mu.Unlock()
	if raised {
		r.news.tell()
	}
}

// Since gives the commits after v up to Head, with Before and After filled in;
// ok is false where the ring of recent commits does not reach back to v, and
// where v is beyond Head. It may be called inside Read, and is then exactly
// what led to the State.
func (r *Replica) Since(v graph.Version) (commits []*graph.Commit, ok bool) {
	r.tailMu.RLock()
	defer r.tailMu.RUnlock()
	return r.ring.since(v, r.head.Version)
}

// Floor gives the version from which the log is kept, as of the last poll: what
// Since gives from before it has been forgotten, and is not to be shown. Who has
// to go on from there, as rules do and sessions that are connected, may.
func (r *Replica) Floor() graph.Version { return graph.Version(r.floor.Load()) }

// Watch calls fn after each Apply, each change of epoch or schema, and when the
// replica closes, outside all locks. fn must not block; it may be called from
// several goroutines at once, and once more after stop.
func (r *Replica) Watch(fn func()) (stop func()) { return r.news.watch(fn) }

// Wait returns when the replica is at v or later: at once, or else after the
// follower, which it wakes, has brought the commit. A version that nobody has
// written yet is waited for until ctx ends. CodeNotFound once the replica has
// closed.
func (r *Replica) Wait(ctx context.Context, v graph.Version) error {
	woken := false
	for {
		changed := r.news.next()
		if r.Head().Version >= v {
			return nil
		}
		if !woken {
			r.wake()
			woken = true
		}
		select {
		case <-changed:
		case <-r.news.closed:
			return graph.NotFound("graph")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
