package graph

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// RunState is where a run stands.
//
//	            ┌─────────────── due ────────────────┐
//	            ▼                                    │
//	pending ─► running ─► succeeded               retrying
//	               │ └──── failed, tries left ───────┘ ▲
//	               ├─► dead ── retried by hand ────────┘
//	               └─► cancelled
//
// A run that would continue a loop is made as stopped and never starts.
type RunState string

// The states of a run.
const (
	RunPending   RunState = "pending"   // not begun; may wait for an earlier run of its rule and entity
	RunRunning   RunState = "running"   // an attempt is under way, or open for reports
	RunRetrying  RunState = "retrying"  // an attempt failed, another is due
	RunSucceeded RunState = "succeeded" // final
	RunDead      RunState = "dead"      // final: no tries left
	RunCancelled RunState = "cancelled" // final
	RunStopped   RunState = "stopped"   // final: the chain is a loop or too deep
)

// Final reports whether the run has ended.
func (s RunState) Final() bool {
	return s == RunSucceeded || s == RunDead || s == RunCancelled || s == RunStopped
}

// Valid reports whether s is one of the states.
func (s RunState) Valid() bool {
	return s.Final() || s == RunPending || s == RunRunning || s == RunRetrying
}

// RunKind tells runs of rules from runs of operations.
type RunKind string

// The kinds of run.
const (
	RunRule      RunKind = "rule"
	RunOperation RunKind = "operation"
)

// RunLink is one earlier run of a cause chain.
type RunLink struct {
	Run     string  `json:"run"`
	Kind    RunKind `json:"kind"`
	Rule    string  `json:"rule"`
	Entity  string  `json:"entity"`
	Version Version `json:"version"` // of the commit that fired it
}

// Run is one execution of a rule's or an operation's handler for one change of
// one entity. ID is a UUIDv5 of graph, epoch, version, kind, rule and entity: a
// change that is matched again names the same run.
type Run struct {
	Graph     GraphKey
	GraphName string
	ID        string
	Kind      RunKind
	Rule      string // the rule's or the operation's name
	Event     Event
	Entity    Ref
	Version   Version // of the commit that fired it
	SchemaVer int64   // the schema under which it was matched
	State     RunState
	Attempt   int // number of the last attempt begun, 0 before the first
	Retries   int // as the rule says
	// RetriesLeft counts down from Retries. A claim after a lost lease counts as a retry too,
	// so that -1 means: the last attempt was lost, do not run the handler again.
	RetriesLeft int
	Timeout     time.Duration
	Depth       int       // of the commit that fired it
	By          Principal // the author of that commit
	Chain       []RunLink // the runs that led to it, the first one first
	// WakeAt is when somebody has to look at the run: the time it is due, or
	// the end of its lease. Zero: it has ended, or an earlier one goes first.
	WakeAt time.Time
	// Deadline ends the present attempt; of an operation, all of its attempts.
	Deadline time.Time
	// Open: the handler answered "accepted", and its reports are awaited until
	// Deadline.
	Open      bool
	Node      string // of the present attempt
	TokenHash []byte // SHA-256 of the attempt's token
	Error     *RunError
	CreatedAt time.Time
	StartedAt time.Time // of the first attempt
	EndedAt   time.Time
	Replay    string // the replay that made it; "": a commit did
}

// RunError is why an attempt failed or a run was stopped. It is what users see,
// but for Where.
type RunError struct {
	Code    string    `json:"code"` // a Code, or one of handler-failed, timed-out, lease-lost, loop, too-deep
	Message string    `json:"message"`
	Where   string    `json:"where,omitempty"` // places in a script; for admins
	Chain   []RunLink `json:"chain,omitempty"`
}

// Hop is one step of a run's way. Every one leaves a row.
type Hop struct {
	At      time.Time       `json:"at"` // given by the store
	Hop     HopKind         `json:"hop"`
	Attempt int             `json:"attempt"`
	Node    string          `json:"node,omitempty"`
	Version Version         `json:"version,omitempty"` // committed: the version
	Request json.RawMessage `json:"request,omitempty"` // answered, failed: what the handler was sent
	Answer  json.RawMessage `json:"answer,omitempty"`  // answered
	Error   *RunError       `json:"error,omitempty"`   // failed, stopped
}

// HopKind names a step.
type HopKind string

// The steps.
const (
	HopMatched   HopKind = "matched"
	HopEnqueued  HopKind = "enqueued"
	HopStarted   HopKind = "started"
	HopAnswered  HopKind = "answered"
	HopCommitted HopKind = "committed"
	HopReported  HopKind = "reported"
	HopFailed    HopKind = "failed"
	HopSucceeded HopKind = "succeeded"
	HopDead      HopKind = "dead"
	HopCancelled HopKind = "cancelled"
	HopStopped   HopKind = "stopped"
	HopRetried   HopKind = "retried"  // by hand
	HopReleased  HopKind = "released" // given back by a node that stops
)

// RunRef names a run, and the attempt that somebody holds.
type RunRef struct {
	Graph   GraphKey
	Run     string
	Rule    string
	Attempt int
}

// RuleFault is a condition that could not be evaluated: its rule did not match.
type RuleFault struct {
	Version Version `json:"version"`
	Rule    string  `json:"rule"`
	Entity  string  `json:"entity"`
	Error   string  `json:"error"`
}

// RunCursor is how far a graph's log has been matched. Holder is the node that
// may move it until Until.
type RunCursor struct {
	Epoch   string
	Version Version
	Holder  string
	Until   time.Time
}

// Dispatch moves a graph's cursor and makes the runs that matched on the way,
// in one transaction.
type Dispatch struct {
	Graph  GraphKey
	Node   string
	Lease  time.Duration // how long Node keeps the cursor to itself
	From   Version       // where the cursor must be
	To     Version
	Epoch  string
	Runs   []*Run // in version order; stopped ones have State and Error set
	Faults []RuleFault
	// Claims are those of Runs that Node begins at once, in the same transaction and
	// as RunStore.Claim would, for a lease of the same length.
	Claims []RunClaim
}

// Dispatched tells how a Dispatch ended. Moved is false where the cursor was
// not at From or another node holds it: nothing was written, Cursor says why.
// Begun has what the claims started, Ready the other runs that may start now; those
// in neither wait for an earlier one.
type Dispatched struct {
	Moved  bool
	Cursor RunCursor
	Ready  []RunRef
	Begun  []*Run
}

// Began takes those that have begun out of what is ready.
func (d *Dispatched) Began(runs []*Run) {
	d.Begun = runs
	d.Ready = slices.DeleteFunc(d.Ready, func(ref RunRef) bool {
		return slices.ContainsFunc(runs, func(r *Run) bool { return r.ID == ref.Run })
	})
}

// RunBacklog is a graph whose log is ahead of its cursor.
type RunBacklog struct {
	Graph  GraphKey
	Name   string
	Head   Version
	Cursor Version
}

// RunClaims asks to start attempts of runs of one graph.
type RunClaims struct {
	Graph GraphKey
	Node  string
	Lease time.Duration
	Runs  []RunClaim
}

// RunClaim asks to start an attempt.
type RunClaim struct {
	Run       string
	TokenHash []byte
}

// RunEnd ends an attempt. State is final, or RunRetrying with Delay.
type RunEnd struct {
	Run     string
	Attempt int
	State   RunState
	Delay   time.Duration
	// Refund gives the try back: the attempt ended through no fault of the
	// handler, for instance because the node stops.
	Refund bool
	Error  *RunError
	Hops   []Hop // written with it
}

// RunFilter selects runs of a graph; zero fields select all. Before, if set,
// pages: runs older than that one.
type RunFilter struct {
	State  RunState
	Rule   string
	Entity *Ref
	About  *[16]byte // the id of an object, or of an edge: of the one or of both
	Before string
	Limit  int
}

// RunStats is the state of all queues.
type RunStats struct {
	ByState map[RunState]int64 // of those not ended, and dead ones
	Oldest  time.Duration      // how long the longest-waiting due run has been due
	Behind  int64              // commits not yet matched, all graphs
	// BehindFor is how long the oldest of them has been in its log.
	BehindFor time.Duration
	// ByRule counts runs of rules and operations that are due or under way, of
	// the names that have any.
	ByRule map[string]int64
}

// RunStore keeps runs; it is the truth about them, whatever a queue says.
// Times are the store's. Methods are safe for concurrent use by many nodes.
type RunStore interface {
	RuleStore

	// Behind gives graphs whose log is ahead of their cursor and whose cursor
	// no other node holds.
	Behind(ctx context.Context, node string, limit int) ([]RunBacklog, error)
	// Cursor gives a graph's cursor; one that never moved is at 0.
	Cursor(ctx context.Context, g GraphKey) (RunCursor, error)
	// Release lets another node move a cursor that this one holds, at once.
	Release(ctx context.Context, g GraphKey, node string) error
	// Dispatch is described at its type. A run that exists is left as it is.
	Dispatch(ctx context.Context, d *Dispatch) (Dispatched, error)

	// Claim starts the next attempt of each run that is due, or whose lease is
	// over, if no earlier run of the same rule and entity is open, none of them is
	// under way, and the rule is not paused: at most one claimer wins. Those that
	// may not start are missing from the answer. An attempt taken over leaves a
	// failed hop: timed-out where it was open for reports, else lease-lost. A rule's
	// that was open for reports is not taken over: it comes back as it is, Open, and
	// who claimed it ends it, with a pause before the next.
	Claim(ctx context.Context, c RunClaims) ([]*Run, error)
	// Extend prolongs the leases of attempts and gives those that are still
	// held; what is missing has been taken over, ended or cancelled.
	Extend(ctx context.Context, lease time.Duration, held []RunRef) ([]RunRef, error)
	// Park leaves an attempt open for reports until its deadline. False where
	// it is no longer held.
	Park(ctx context.Context, g GraphKey, run string, attempt int, hops []Hop) (bool, error)
	// Finish ends attempts of runs of one graph: ended tells of each whether it
	// was still held; else nothing changed of it. next may start now that these
	// runs have ended.
	Finish(ctx context.Context, g GraphKey, ends []RunEnd) (ended []bool, next []RunRef, err error)
	// Note adds a hop to each of the runs.
	Note(ctx context.Context, g GraphKey, runs []string, hop Hop) error

	// Cancel ends a run that is not final. Its attempt is fenced off.
	Cancel(ctx context.Context, g GraphKey, run string) (ok bool, next []RunRef, err error)
	// Retry makes a dead, cancelled or stopped run due, with all its retries
	// and a new deadline.
	Retry(ctx context.Context, g GraphKey, run string) (ok bool, err error)

	// Overdue gives runs that have been due, or whose lease has been over, for
	// longer than grace; at most perRule of one rule of one graph, and of all
	// rules alike where there are more than limit. Paused rules have none.
	Overdue(ctx context.Context, grace time.Duration, limit, perRule int) ([]RunRef, error)

	// Run gives one run with its hops, oldest first; CodeNotFound.
	Run(ctx context.Context, g GraphKey, id string) (*Run, []Hop, error)
	// Runs gives those of the ids that exist.
	Runs(ctx context.Context, g GraphKey, ids []string) (map[string]*Run, error)
	// ListRuns gives runs, newest first.
	ListRuns(ctx context.Context, g GraphKey, f RunFilter) ([]*Run, error)
	// Fired gives the runs and the faults of a commit.
	Fired(ctx context.Context, g GraphKey, v Version) ([]*Run, []RuleFault, error)
	// Made gives the versions of the commits that runs caused.
	Made(ctx context.Context, g GraphKey, runs []string) (map[string][]Version, error)
	Stats(ctx context.Context) (RunStats, error)
}

// RunSummary is a run as listed.
type RunSummary struct {
	ID        string    `json:"id"`
	Kind      RunKind   `json:"kind"`
	Rule      string    `json:"rule"`
	State     RunState  `json:"state"`
	Version   Version   `json:"version"`
	Event     string    `json:"event"`
	Entity    string    `json:"entity"`
	Attempts  int       `json:"attempts"`
	CreatedAt string    `json:"createdAt"`
	Error     *RunError `json:"error,omitempty"`
}

// RunList is a page of runs. Next, where there may be more, is the filter's
// Before for the next page.
type RunList struct {
	Runs []RunSummary `json:"runs"`
	Next string       `json:"next,omitempty"`
}

// RunAttempt is one attempt of a run.
type RunAttempt struct {
	Attempt   int             `json:"attempt"`
	Node      string          `json:"node"`
	StartedAt string          `json:"startedAt"`
	EndedAt   string          `json:"endedAt,omitempty"`
	Request   json.RawMessage `json:"request,omitempty"`
	Answer    json.RawMessage `json:"answer,omitempty"`
	Versions  []Version       `json:"versions,omitempty"` // of the commits it made
	Error     *RunError       `json:"error,omitempty"`
}

// RunDetail is one run in full. Attempts shadows the count of RunSummary.
type RunDetail struct {
	RunSummary
	Attempts []RunAttempt `json:"attempts"`
	Chain    []RunLink    `json:"chain,omitempty"`
	NextAt   string       `json:"nextAt,omitempty"` // when the next attempt is due
	Replay   string       `json:"replay,omitempty"` // the replay that made it
	// ExpectedEnd is when an operation that is under way may end, as those of its
	// kind did: the median of the last successful ones.
	ExpectedEnd string `json:"expectedEnd,omitempty"`
	Cancel      bool   `json:"cancel,omitempty"` // in the answer to a report: somebody asked the operation to stop
	Hops        []Hop  `json:"hops"`
}

// TraceNode is one commit of a cause tree. Fields that the asker may not see
// are empty.
type TraceNode struct {
	Version  Version     `json:"version"`
	At       string      `json:"at"`
	By       string      `json:"by,omitempty"`
	Mutation string      `json:"mutation,omitempty"`
	Cause    TraceCause  `json:"cause,omitzero"`
	Rules    []TraceRule `json:"rules"`
}

// TraceCause is why a commit exists.
type TraceCause struct {
	Kind    CauseKind `json:"kind"`
	Version Version   `json:"version,omitempty"`
	Run     string    `json:"run,omitempty"`
}

// TraceRule is a rule or an operation that a commit fired, or, with Error and
// without Run, one whose condition could not be evaluated.
type TraceRule struct {
	Rule    string       `json:"rule"`
	Entity  string       `json:"entity"`
	Event   string       `json:"event,omitempty"`
	Error   string       `json:"error,omitempty"`
	Run     *RunDetail   `json:"run,omitempty"`
	Commits []*TraceNode `json:"commits,omitempty"`
}

// Trace is the cause tree around a commit: Commit with all that followed from
// it, and Causes, the way back from it to the commit that began the chain.
type Trace struct {
	Graph  string       `json:"graph"`
	Commit *TraceNode   `json:"commit"`
	Causes []TraceCause `json:"causes"` // nearest first
}

// RunReport is what a handler tells about an open run. Exactly one field is set.
type RunReport struct {
	Status   *RunStatus   `json:"status,omitempty"`
	Warn     *RunMessage  `json:"warn,omitempty"`
	Fail     *RunMessage  `json:"fail,omitempty"`
	Complete *RunComplete `json:"complete,omitempty"`
}

// RunStatus is a status entry; Progress is between 0 and 1, or nil.
type RunStatus struct {
	Message  string   `json:"message"`
	Progress *float64 `json:"progress,omitempty"`
}

// RunMessage is a warning or the reason of a failure.
type RunMessage struct {
	Message string `json:"message"`
}

// RunComplete ends a run: the result of an operation, and the changes that it
// describes, committed together.
type RunComplete struct {
	Result json.RawMessage `json:"result,omitempty"`
	Patch  json.RawMessage `json:"patch,omitempty"`
}

// RunIdentity is who a token of an attempt stands for. A mutation sent with it
// carries Author, Cause, Fence and Depth, and ReplayAny from the second attempt.
type RunIdentity struct {
	Author Principal
	Cause  Cause
	Fence  Fence
	Depth  int
}

// RunService is post-processing as the HTTP routes see it. by is who asks: an
// admin of the graph sees and does everything; others see the runs of entities
// that they may read, without requests, answers and hops. Refusals are *Error.
type RunService interface {
	RuleService

	// List gives the runs that by may see, newest first.
	List(ctx context.Context, graph string, by *Principal, f RunFilter) (*RunList, error)
	Get(ctx context.Context, graph string, by *Principal, id string) (*RunDetail, error)
	// Retry makes a dead, cancelled or stopped run due again; admins only.
	Retry(ctx context.Context, graph string, by *Principal, id string) (*RunDetail, error)
	// Cancel ends a run that has not ended; admins only. An operation's object
	// becomes cancelled.
	Cancel(ctx context.Context, graph string, by *Principal, id string) (*RunDetail, error)
	// Report goes on with an attempt under way; by is the attempt's own
	// identity (its Author.User is "run:<id>", or Report's ident says so) or an
	// admin. ident is nil for an admin.
	Report(ctx context.Context, graph string, by *Principal, ident *RunIdentity, id string, body []byte) (*RunDetail, error)
	Trace(ctx context.Context, graph string, by *Principal, v Version) (*Trace, error)
	// Authenticate knows the tokens of attempts: CodeUnauthenticated once the
	// attempt is over. IsRunToken tells them from other tokens.
	Authenticate(ctx context.Context, graph, token string) (*RunIdentity, error)
}

// RunTokenPrefix begins every token of an attempt.
const RunTokenPrefix = "gtrun_"

// LostAttempt is the error of an attempt that was taken over: its worker died,
// or, where it was open for reports, none ended it in time.
func LostAttempt(open bool) *RunError {
	if open {
		return &RunError{Code: "timed-out", Message: "no report ended the run before its deadline"}
	}
	return &RunError{Code: "lease-lost", Message: "the worker stopped giving signs of life"}
}
