package graph

import (
	"encoding/json"
	"time"
)

// Cause says why a commit exists.
type Cause struct {
	Kind    CauseKind
	Version Version // the commit that caused it; 0 where none did
	Run     string  // the run, where Kind is run or operation
}

// CauseKind is the kind of a cause.
type CauseKind string

// The kinds of cause.
const (
	CauseClient    CauseKind = "client"
	CauseRun       CauseKind = "run"
	CauseOperation CauseKind = "operation"
	CauseRevert    CauseKind = "revert"
	CauseImport    CauseKind = "import"
	CauseSchema    CauseKind = "schema"
)

// Mutation is a transaction as somebody asks for it.
type Mutation struct {
	// Key names the transaction of its author in this graph (the
	// Idempotency-Key, or the websocket's mutation). "" lets the pipeline make
	// a UUIDv7 and skips the look for an earlier use.
	Key    string
	Patch  json.RawMessage // as received: not yet checked
	Prefix string          // joined in front of every path and from: "/objects/<id>" on the entity routes
	Author Principal
	// Session is the websocket session's id or "". Mutations of one session
	// settle in the order in which Enqueue was called.
	Session string
	Base    *Version // the version that the author saw
	Group   string   // a UUID or ""
	Note    string
	Cause   Cause // zero: CauseClient
	// Depth of the cause chain: 0 for a client's, the run's depth + 1 for a
	// run's. The commit carries it on.
	Depth int
	Fence *Fence
	// IfMatch asks that the entity named by Prefix is at this version.
	IfMatch *Version
	// Executor lets the mutation write the executor's fields of
	// OperationRequest objects, whoever Author is. What else the patch touches
	// is judged by Author's rights: an operation may run as its user.
	Executor bool
	// ReplayAny answers a repeated key with the first outcome even if the patch
	// differs: for the writes of a run, whose handler need not be deterministic.
	ReplayAny bool
	// Revert marks an undo, made by the server: see Revert.
	Revert *Revert
}

// Revert is what an undo may do beyond a client's transaction. Revived has the
// last states of deleted entities: an add takes such an id again, and the
// entity comes back with the access it had, as made when and by whom it was. The
// right to that has been judged by who made the mutation, and so have the rights
// on the edges that come back with an object. The bounds on operations and bytes
// do not hold: undoing one removal may take as many adds as it had cascades.
type Revert struct {
	Revived map[Ref]Snapshot
}

// Fence is the claim under which a run writes: the append refuses it with
// HitFence once another attempt has taken over or the run has ended.
type Fence struct {
	Run     string
	Attempt int
	// Kind and Rule name the declaration in the schema: what its `writes` leaves
	// out, the run may not change. "" bounds nothing.
	Kind RunKind
	Rule string
	// Operation is the object of the operation that the run carries out; zero for
	// a rule's run. Operations that it starts are joined to it.
	Operation ObjectID
}

// FenceOf gives the fence of a run's present attempt.
func FenceOf(r *Run) Fence {
	f := Fence{Run: r.ID, Attempt: r.Attempt, Kind: r.Kind, Rule: r.Rule}
	if r.Kind == RunOperation {
		f.Operation = r.Entity.ID
	}
	return f
}

// Receipt answers a mutation.
type Receipt struct {
	Graph    string  `json:"graph"`
	Version  Version `json:"version"`
	Mutation string  `json:"mutation"`
	Replayed bool    `json:"replayed"`
}

// Event is what happened to an entity in a commit.
type Event uint8

// The events.
const (
	Created Event = iota + 1
	Modified
	Deleted
)

// String gives create, modify or delete: the words of rules and handlers.
func (e Event) String() string {
	switch e {
	case Created:
		return "create"
	case Modified:
		return "modify"
	case Deleted:
		return "delete"
	}
	return ""
}

// Change is what a commit did to one entity. Exactly the fields of its kind are
// set: Before and After are nil where the entity did not exist.
type Change struct {
	Ref        Ref
	Event      Event
	ObjBefore  *Object
	ObjAfter   *Object
	EdgeBefore *Edge
	EdgeAfter  *Edge
	// Patch is the entity's part of Commit.Done, paths relative to the entity
	// (`/body/…`, `/access/…`); empty unless Event is Modified.
	Patch json.RawMessage
	// AccessChanged: an object's access differs. BodyChanged: the body differs.
	AccessChanged, BodyChanged bool
	// Revived: Event is Created and the id is that of a deleted entity, which a
	// revert brings back; its meta says when it was first made. Set on append
	// only.
	Revived bool
}

// Commit is one entry of a graph's log.
type Commit struct {
	Version   Version
	Epoch     string
	At        time.Time // never before the previous commit's
	Author    Principal
	Session   string
	Mutation  string // the key
	Hash      []byte // of the patch as asked, to tell a repeat from another use of the key
	Group     string
	Note      string
	Cause     Cause
	Depth     int // of its cause chain: 0 for a client's commit, the run's depth + 1 for a run's
	SchemaVer int64
	Asked     json.RawMessage // the patch as asked
	Done      json.RawMessage // the patch that was done: its whole effect, no test operations
	Changes   []Change        // one per entity touched, in the order of their first touch; complete
	Fence     *Fence          // on append only
}

// Head is where a graph's log stands.
type Head struct {
	Version   Version
	Epoch     string
	At        time.Time // of the last commit
	SchemaVer int64
}
