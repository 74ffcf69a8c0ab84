package graph

import (
	"context"
	"encoding/json"
	"time"
)

// RulePause is a rule of a graph whose runs wait.
type RulePause struct {
	By string
	At time.Time
}

// RuleRecord is what became of a rule of late.
type RuleRecord struct {
	Open     map[RunState]int64 // how many of its runs have not ended, and dead ones
	Matches  []*Run             // the last, newest first
	Failures []*Run             // the last that failed: dead, stopped, or waiting for a retry
	Faults   []RuleFault        // its last conditions that could not be evaluated
}

// RunRetries selects runs to retry: those of a state that is final without
// success, of a rule, or of any where Rule is empty.
type RunRetries struct {
	State RunState
	Rule  string
	Limit int
}

// RuleStore keeps what concerns a rule as a whole. It is part of a RunStore.
type RuleStore interface {
	// Pause keeps the runs of a rule from starting; it is no error that they are
	// kept already. Runs are made all the same, and attempts under way go on.
	Pause(ctx context.Context, g GraphKey, rule, by string) error
	// Resume lets them start; they are due since they were made.
	Resume(ctx context.Context, g GraphKey, rule string) error
	// Paused gives the paused rules of a graph.
	Paused(ctx context.Context, g GraphKey) (map[string]RulePause, error)
	// RuleRecords gives of each rule its last runs, at most n of a kind. Runs of
	// operations are not among them.
	RuleRecords(ctx context.Context, g GraphKey, rules []string, n int) (map[string]*RuleRecord, error)
	// Make makes runs as a Dispatch does, and moves no cursor. Runs that exist
	// are left as they are. made is how many there are more; ready may start.
	Make(ctx context.Context, g GraphKey, node string, runs []*Run) (made int, ready []RunRef, err error)
	// RetryAll makes runs due again as Retry does, oldest first, and gives them.
	// Runs of operations are not among them: an operation ends once.
	RetryAll(ctx context.Context, g GraphKey, f RunRetries) ([]RunRef, error)

	// AskToStop tells the runs of operations that their objects ask them to end:
	// one that is open for reports, or will be, has until grace, one that waits for
	// its next attempt is due at once. ready may start; without grace those that
	// are open are among them.
	AskToStop(ctx context.Context, g GraphKey, operations []ObjectID, grace time.Duration) (ready []RunRef, err error)
	// Took gives how long the last successful runs of an operation took from the
	// first attempt on, the median; 0 where there was none.
	Took(ctx context.Context, g GraphKey, operation string) (time.Duration, error)

	// Prune removes up to limit runs that ended longer ago than keep, with their
	// hops, and faults of that age, and gives how many runs went.
	Prune(ctx context.Context, keep time.Duration, limit int) (int, error)
}

// RuleInfo is a rule as the API lists it.
type RuleInfo struct {
	Name     string           `json:"name"`
	On       json.RawMessage  `json:"on"`
	When     string           `json:"when,omitempty"`
	Handler  string           `json:"handler"` // script, webhook, go or lambda
	Paused   *RulePauseInfo   `json:"paused,omitempty"`
	Open     map[string]int64 `json:"open"` // runs by state: those that have not ended, and dead ones
	Matches  []RunSummary     `json:"matches"`
	Failures []RunSummary     `json:"failures"`
	Faults   []RuleFault      `json:"faults"`
	// Writes is what the rule may change, as far as the schema tells: null
	// where it does not. Declared, its runs are held to it; else it was read out
	// of a script's source, and is a guess. Fires names the rules that it may
	// fire, what goes along with removals included.
	Writes   []string `json:"writes"`
	Declared bool     `json:"writesDeclared"`
	Fires    []string `json:"fires"`
}

// RulePauseInfo says since when a rule is paused, and by whom.
type RulePauseInfo struct {
	At string `json:"at"`
	By string `json:"by"`
}

// RuleTest asks whether a rule would have fired for a commit. Rule may be a
// declaration that no schema has yet, as JSON; else the active one is meant.
type RuleTest struct {
	Version Version         `json:"version"`
	Rule    json.RawMessage `json:"rule,omitempty"`
}

// RuleVerdict is the answer: one entry for each change of the commit.
type RuleVerdict struct {
	Rule    string              `json:"rule"`
	Version Version             `json:"version"`
	Fires   bool                `json:"fires"`
	Changes []RuleChangeVerdict `json:"changes"`
}

// RuleChangeVerdict says whether a rule fires for one change, and why not.
type RuleChangeVerdict struct {
	Entity string `json:"entity"`
	Type   string `json:"type"` // an edge's label
	Event  string `json:"event"`
	Fires  bool   `json:"fires"`
	Why    string `json:"why,omitempty"` // not
}

// RuleReplay asks for runs of a rule for commits that are past: those after
// From, up to To (0: the head). ID, if given, names the replay: sent again it
// makes nothing twice.
type RuleReplay struct {
	From Version `json:"from"`
	To   Version `json:"to,omitempty"`
	ID   string  `json:"id,omitempty"`
}

// RuleReplayed is what came of it.
type RuleReplayed struct {
	ID      string  `json:"id"`
	From    Version `json:"from"`
	To      Version `json:"to"`
	Matched int     `json:"matched"`
	Made    int     `json:"made"` // less where the replay was sent before
}

// RuleService is what the API does with rules as a whole; see RunService. All
// but Rules is for admins; Rules shows others what they may read.
type RuleService interface {
	Rules(ctx context.Context, graph string, by *Principal) ([]RuleInfo, error)
	// PauseRule keeps the runs of a rule from starting, or lets them start again.
	PauseRule(ctx context.Context, graph string, by *Principal, rule string, paused bool) (*RuleInfo, error)
	TestRule(ctx context.Context, graph string, by *Principal, rule string, t RuleTest) (*RuleVerdict, error)
	ReplayRule(ctx context.Context, graph string, by *Principal, rule string, r RuleReplay) (*RuleReplayed, error)
	// RetryAll retries dead runs (or those in the filter's state) and gives how many.
	RetryAll(ctx context.Context, graph string, by *Principal, f RunRetries) (int, error)
	// TraceOf gives the trace of an entity or a run by its id.
	TraceOf(ctx context.Context, graph string, by *Principal, id string, limit int) (*EntityTrace, error)
}

// EntityTrace is what happened to an entity, or because of one run: the commits
// concerned, newest first, each with all that followed from it.
type EntityTrace struct {
	Graph   string       `json:"graph"`
	Entity  string       `json:"entity,omitempty"`
	Run     string       `json:"run,omitempty"`
	Commits []*TraceNode `json:"commits"`
}
