package graph

import (
	"context"
	"encoding/json"
	"time"
)

// Submitter takes mutations: the write path as everybody else sees it.
//
// A refusal is an *Error and changed nothing. An acknowledged mutation is
// durable. An error that is not an *Error, or CodeUnavailable, leaves the
// outcome unknown: the same mutation with the same Key resolves it.
type Submitter interface {
	// Submit waits for the outcome. Cancelling ctx stops the waiting, not the
	// commit.
	Submit(ctx context.Context, graph string, m *Mutation) (Receipt, error)
	// Enqueue is Submit without waiting: done is called once, from another
	// goroutine, must not block, and is called in the order of the Enqueue
	// calls for mutations of one session.
	Enqueue(ctx context.Context, graph string, m *Mutation, done func(Receipt, error))
	// DryRun judges the mutation and writes nothing.
	DryRun(ctx context.Context, graph string, m *Mutation) (*DryRun, error)
}

// DryRun is what a mutation would do. Problems are in the order of the operations;
// those of the mutation as a whole stand first.
type DryRun struct {
	OK       bool      `json:"ok"`
	Problems []*Error  `json:"problems"`
	Changes  []*Change `json:"-"` // for a reader's check before they are shown
	// Rules has the names of the rules that each of Changes would fire: who may
	// not read what changes must not learn of them either.
	Rules [][]string `json:"-"`
}

// GraphInfo is a graph as listed.
type GraphInfo struct {
	Key     GraphKey
	Name    string
	Head    Head
	Objects int64
	Edges   int64
}

// Batch is what one append writes: commits with consecutive versions from
// Expect.Version+1.
type Batch struct {
	Graph   GraphKey
	Expect  Head // Version, Epoch and SchemaVer are compared under the lock
	Commits []*Commit
}

// HitKind says what stood in the way of an append.
type HitKind uint8

// The hits that an append function can find under the lock.
const (
	HitMutation HitKind = iota + 1 // (author, key) was used: Version, Hash
	HitObject                      // the object id was taken at some time
	HitEdge                        // the edge id was taken at some time
	HitBetween                     // an edge of the triple exists
	HitFence                       // the run's attempt is over
	HitConflict                    // an entity is not at the version that the commit changes
)

// Hit is one obstacle; nothing of the batch was written.
type Hit struct {
	Commit  int // index in Batch.Commits
	Kind    HitKind
	Ref     Ref
	Version Version // HitMutation: what was answered
	Hash    []byte  // HitMutation: of the patch then
}

// AppendResult tells how an append ended: Moved, Hits, or neither, which is
// success.
type AppendResult struct {
	Moved bool // head, epoch or schema version differ: Head has the present ones
	Head  Head
	Hits  []Hit
}

// Recorded is a mutation that was accepted: it is in the log, or had no effect.
type Recorded struct {
	Version Version // that was answered
	Hash    []byte
	Cause   CauseKind
	Idle    bool // it had no effect: the commit of this version is another's
}

// IdleKey is the key of a transaction without effect.
type IdleKey struct {
	MutationKey
	Hash  []byte
	Cause CauseKind
	Fence *Fence // nil where it is not of a run
}

// MutationKey names a mutation of an author.
type MutationKey struct {
	Author string
	Key    string
}

// Snapshot is an entity as of a version; both nil where it did not exist then.
// Access is what is judged when the entity is deleted: its last.
type Snapshot struct {
	Object  *Object
	Edge    *Edge
	Deleted bool
	At      Version // of the commit that made this state
}

// HistoryEntry is one version of an entity.
type HistoryEntry struct {
	Commit *Commit // without Changes, Asked
	Snapshot
	Patch json.RawMessage // relative to the entity
}

// StateFunc receives a state in pieces. All objects come before the edges, both
// in the order of their ids.
type StateFunc func(objects []*Object, edges []*Edge) error

// Store keeps graphs, their logs and their states. Methods are safe for
// concurrent use. Errors that are worth another try carry CodeUnavailable.
// A GraphKey that is gone gives CodeNotFound.
type Store interface {
	PieceStore

	// EnsureGraph makes the graph if it does not exist.
	EnsureGraph(ctx context.Context, name string) (info GraphInfo, created bool, err error)
	Graph(ctx context.Context, name string) (GraphInfo, error)
	Graphs(ctx context.Context) ([]GraphInfo, error)
	DeleteGraph(ctx context.Context, name string) error
	// NewEpoch gives the graph a new random epoch and returns it.
	NewEpoch(ctx context.Context, name string) (string, error)
	Heads(ctx context.Context, keys []GraphKey) (map[GraphKey]Head, error)
	// Floors gives the versions from which logs and states are kept, of those
	// graphs that exist.
	Floors(ctx context.Context, keys []GraphKey) (map[GraphKey]Version, error)

	// Append writes all commits or none, in one round trip and one short
	// database transaction. ctx bounds the waiting for a connection alone.
	Append(ctx context.Context, b *Batch) (AppendResult, error)
	// Turn waits until the caller may append next, and brings what of the log
	// came after since. It takes one more round trip than an Append that finds
	// the head where it was, and fewer than one that does not.
	Turn(ctx context.Context, g GraphKey, since Version) (Turn, error)
	// RememberIdle keeps the keys of transactions that had no effect at version
	// at, so that an append which has one of them finds HitMutation: for ever, as
	// the keys of commits. Those that were in use already stay as they are and
	// come back. The key of a run's attempt that is over is not kept. No key comes
	// twice. CodeUnavailable leaves the outcome unknown.
	RememberIdle(ctx context.Context, g GraphKey, at Version, keys []IdleKey) (used map[MutationKey]Recorded, err error)
	// Recorded looks up mutations by author and key, those without effect too.
	Recorded(ctx context.Context, g GraphKey, keys []MutationKey) (map[MutationKey]Recorded, error)

	// Named gives the versions of the commits whose mutation has this key,
	// whoever their authors are, ascending; Grouped those of a group.
	Named(ctx context.Context, g GraphKey, mutation string) ([]Version, error)
	Grouped(ctx context.Context, g GraphKey, group string) ([]Version, error)
	// Caused gives the versions of the commits that runs and operations made
	// because of one of these, ascending: one step of the cause tree.
	Caused(ctx context.Context, g GraphKey, causes []Version) ([]Version, error)

	// Log gives up to limit commits after since, oldest first, with Changes:
	// After is filled in, Before is nil except that a deleted entity's last
	// state is in ObjBefore or EdgeBefore.
	Log(ctx context.Context, g GraphKey, since Version, limit int) ([]*Commit, error)
	// State streams the present state and returns the head it belongs to.
	State(ctx context.Context, g GraphKey, fn StateFunc) (Head, error)
	// StateAt streams the state at a version: CodeInvalidVersion beyond the
	// head, CodeGone where history does not reach back.
	StateAt(ctx context.Context, g GraphKey, at Version, fn StateFunc) (Head, error)
	// EntityAt gives an entity as of a version. A deleted one has Deleted set
	// and its last state; one that never existed by then has neither.
	EntityAt(ctx context.Context, g GraphKey, ref Ref, at Version) (Snapshot, error)
	// Touched gives the entities that the commits after since, up to until,
	// touched: each once, in no order, with its state at since. CodeGone where
	// history does not reach back, CodeInvalidVersion beyond the head,
	// CodeTooLarge where it is more than the bounds allow. The cost is that of
	// the stretch, and of one look-up for each entity.
	Touched(ctx context.Context, g GraphKey, since, until Version, max TouchedBounds) ([]Touched, error)
	// History gives versions of an entity below before (0: no bound), newest
	// first.
	History(ctx context.Context, g GraphKey, ref Ref, before Version, limit int) ([]*HistoryEntry, error)

	// Schema gives the active schema's version and document; version 0 has
	// none. SchemaAt gives an older one.
	Schema(ctx context.Context) (version int64, doc []byte, err error)
	SchemaAt(ctx context.Context, version int64) ([]byte, error)
	// ActivateSchema makes doc the schema after version from, for every graph
	// at once: it locks all graphs, calls check with their heads, appends the
	// batches that check returns (commits of a migration, with SchemaVer = the
	// new version) and moves every graph to the new version. check may be
	// called again after a serialization fault. CodeVersionMismatch where the
	// active version is not from.
	ActivateSchema(ctx context.Context, from int64, doc []byte, check func(ctx context.Context, graphs []GraphInfo) ([]*Batch, error)) (version int64, err error)

	Ping(ctx context.Context) error
	Close()
}

// SchemaService replaces the schema of the server.
type SchemaService interface {
	// PutSchema compiles doc (YAML or JSON) and makes it the active schema:
	// CodeInvalidSchema where it is malformed, CodeSchemaInUse where stored data
	// would break. With dryRun nothing is written and both are told in the
	// result.
	PutSchema(ctx context.Context, by *Principal, file string, doc []byte, dryRun bool) (*SchemaResult, error)
}

// SchemaResult answers PutSchema.
type SchemaResult struct {
	OK       bool        `json:"ok"`
	Version  int64       `json:"version"` // active after the call
	Problems []Violation `json:"problems"`
	Count    int         `json:"count"`   // of stored entities that would break
	Objects  []Offender  `json:"objects"` // the first 100
}

// Hints carry word of new commits between nodes. They may be lost, repeated
// and late; the log decides.
type Hints interface {
	Announce(g GraphKey, epoch string, v Version)
	// Listen calls fn for every announcement of any node until ctx ends. fn
	// waits for nothing: Announce may call it.
	Listen(ctx context.Context, fn func(g GraphKey, epoch string, v Version))
}

// Clock gives the time; tests give their own.
type Clock func() time.Time
