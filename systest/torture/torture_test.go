package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/graphtide/graphtide/internal/testbin"
)

// seedEnv names the variable with the seed; without it each run has its own.
const seedEnv = "GRAPHTIDE_TEST_SEED"

// guarantees are what the judge holds a deployment to, each with the check by
// which a violation is told.
var guarantees = []struct{ name, check string }{
	{"W1Atomic", "W1"}, {"W2Durable", "W2"}, {"W3ExactlyOnce", "W3"}, {"W4StrictSerializable", "W4"}, {"W5Dense", "W5"},
	{"W6RejectedMeansNothingHappened", "W6"}, {"W7Neighbours", "W7"}, {"W8KnownOutcome", "W8"}, {"W9ReadYourWrites", "W9"},
	{"S1Ordered", "S1"}, {"S2GapFree", "S2"}, {"S3Unique", "S3"}, {"S4Atomic", "S4"}, {"S5Resumable", "S5"}, {"S6Bookmarkable", "S6"},
	{"S7Convergent", "S7"}, {"S9Monotone", "S9"}, {"S12NoLeak", "S12"}, {"A1ReadCheckedTwice", "A1"},
	{"F20SchemaUnderLoad", "F20"}, {"H4Undo", "H4"}, {"H6Import", "H6"},
	{"P1AtLeastOnce", "P1"}, {"P3NoRuleWithoutACommit", "P3"}, {"P9LatencyAfterADeath", "P9"},
}

// TestAShortTorture is `make torture` for half a minute, and for as long as it
// takes until enough has happened to say something.
func TestAShortTorture(t *testing.T) {
	t.Parallel()
	o := Options{Binary: program(t), Seed: seed(t), For: 30 * time.Second, Round: 15 * time.Second, Rate: 8, Writers: 16, Readers: 12,
		Pace: 300 * time.Millisecond, Slack: 6, Detail: true, Out: lines{t}}
	few := func(v *Verdict) (out []string) {
		for _, enough := range []struct {
			what     string
			got, min int
		}{
			{"faults", v.FaultCount(), 100}, {"kinds of faults", len(v.Faults), 10}, {"commits", v.Counts[cCommits], 150}, {"copies", v.Counts[cCopies], 300},
			{"resumes", v.Counts[cResumes], 20}, {"resets", v.Counts[cResets], 5}, {"refusals", v.Counts[cRefused], 50}, {"leavings", v.Counts[cLeft], 20}, {"runs of rules", v.Counts[cRuns], 10},
		} {
			if enough.got < enough.min {
				out = append(out, fmt.Sprintf("%d %s", enough.got, enough.what))
			}
		}
		return out
	}
	o.Enough = func(v *Verdict) bool { return len(few(v)) == 0 }
	ctx, cancel := context.WithTimeout(t.Context(), 7*time.Minute)
	defer cancel()
	v, err := Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	v.Print(lines{t})
	for _, g := range guarantees {
		t.Run(g.name, func(t *testing.T) {
			for _, x := range v.Violations {
				if check, _, _ := strings.Cut(x.Check, " "); check == g.check {
					t.Errorf("after %s: %s", x.After, x.Text)
				}
			}
		})
	}
	if !v.Good() {
		t.Errorf("broken: %v; again with %s=%d", v.Broken(), seedEnv, o.Seed)
	}
	if missing := few(v); v.Good() && len(missing) > 0 {
		t.Errorf("too few to say anything: %s", strings.Join(missing, ", "))
	}
}

func seed(t *testing.T) uint64 {
	t.Helper()
	if s := os.Getenv(seedEnv); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return rand.Uint64()
}

// program gives what is tortured.
func program(t *testing.T) string {
	t.Helper()
	path, err := testbin.Program(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// lines is a test's log as a writer.
type lines struct{ t *testing.T }

func (l lines) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}
