package torture

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Verdict is what came of a run.
type Verdict struct {
	Seed       uint64
	Took       time.Duration
	Counts     map[string]int
	Faults     map[string]int
	Violations []Violation
}

// Violation is a broken guarantee.
type Violation struct {
	Check string // the guarantee, "S7" or such
	Text  string // what, and where
	After time.Duration
}

// The counts of a verdict, in the order in which they are told.
const (
	cAcked      = "acknowledged"
	cLost       = "lost"
	cDuplicated = "duplicated"
	cSkipped    = "skipped"
	cDeliveries = "deliveries checked"
	cCopies     = "copies compared"
	cResumes    = "resumes"
	cResets     = "resets"
	cRefused    = "justified rejections"
	cUnjust     = "unjustified rejections"
	cSightings  = "sightings"
	cLeaks      = "leaks"
	cCommits    = "commits replayed"
	cRounds     = "rounds"
	cRetokened  = "committed with another token than at first"
	cLeft       = "leavings"
	cRuns       = "runs of the rule"
	cOverSocket = "acknowledged over websockets"
	cTogether   = "acks after several views"
	cOwn        = "own writes read"
	cReplaced   = "graphs exported and imported anew"
	cLaws       = "generations of the schema"
	cMigrated   = "migrations"
	cUnlawful   = "schemas refused for what is stored"
	cUndone     = "undone"
	cRevived    = "brought back"
	cIdle       = "undoings of nothing"
	cConflicts  = "conflicts of undoings"
)

var countNames = []string{cRounds, cCommits, cAcked, cLost, cDuplicated, cSkipped, cDeliveries, cCopies, cResumes, cResets, cRetokened, cRefused, cUnjust, cSightings, cLeaks, cLeft, cRuns, cOverSocket, cTogether, cOwn, cReplaced, cLaws, cMigrated, cUnlawful, cUndone, cRevived, cIdle, cConflicts}

// Good reports whether every guarantee held.
func (v *Verdict) Good() bool { return len(v.Violations) == 0 }

// FaultCount is how many faults there were.
func (v *Verdict) FaultCount() (n int) {
	for _, c := range v.Faults {
		n += c
	}
	return n
}

// Print tells the verdict.
func (v *Verdict) Print(w io.Writer) {
	fmt.Fprintf(w, "faults: %d\n ", v.FaultCount())
	for _, k := range slices.Sorted(maps.Keys(v.Faults)) {
		fmt.Fprintf(w, " %s=%d", k, v.Faults[k])
	}
	fmt.Fprintln(w)
	for _, k := range countNames {
		fmt.Fprintf(w, "%s: %d\n", k, v.Counts[k])
	}
	for i, x := range v.Violations {
		if i == 20 {
			fmt.Fprintf(w, "… and %d more\n", len(v.Violations)-i)
			break
		}
		fmt.Fprintf(w, "VIOLATION of %s after %s: %s\n", x.Check, x.After.Round(time.Millisecond), x.Text)
	}
	if v.Good() {
		fmt.Fprintf(w, "verdict: GOOD in %s, seed %d\n", v.Took.Round(time.Second), v.Seed)
		return
	}
	fmt.Fprintf(w, "verdict: BROKEN (%s) in %s; again with SEED=%d\n", strings.Join(v.Broken(), ", "), v.Took.Round(time.Second), v.Seed)
}

// Broken names the guarantees that broke, in the order in which that was noticed.
func (v *Verdict) Broken() []string {
	var out []string
	for _, x := range v.Violations {
		if !slices.Contains(out, x.Check) {
			out = append(out, x.Check)
		}
	}
	return out
}

// ledger gathers the verdict while a run is under way.
type ledger struct {
	start  time.Time
	broken chan struct{} // closed at the first violation

	ended atomic.Bool // the run was called off: what goes wrong now means nothing

	mu         sync.Mutex // guards the fields below
	counts     map[string]int
	faults     map[string]int
	violations []Violation
}

func newLedger() *ledger {
	return &ledger{start: time.Now(), broken: make(chan struct{}), counts: map[string]int{}, faults: map[string]int{}}
}

func (l *ledger) count(name string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[name] += n
}

func (l *ledger) fault(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults[name]++
}

// violate notes a broken guarantee.
func (l *ledger) violate(check, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended.Load() {
		return
	}
	if len(l.violations) == 0 {
		close(l.broken)
	}
	text := fmt.Sprintf(format, args...)
	if len(text) > 6000 {
		text = text[:6000] + "…"
	}
	l.violations = append(l.violations, Violation{check, text, time.Since(l.start)})
}

func (l *ledger) isBroken() bool {
	select {
	case <-l.broken:
		return true
	default:
		return false
	}
}

func (l *ledger) verdict(seed uint64) *Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &Verdict{Seed: seed, Took: time.Since(l.start), Counts: maps.Clone(l.counts), Faults: maps.Clone(l.faults), Violations: slices.Clone(l.violations)}
}
