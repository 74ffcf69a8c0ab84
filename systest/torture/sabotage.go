package torture

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/graphtide/graphtide/internal/sabotage"
)

// Caught is what the harness found of one break.
type Caught struct {
	Break   sabotage.Break
	Verdict *Verdict
}

// bound is how much chaos a break may survive.
const bound = 3 * time.Minute

// Sabotage tortures a program built with -tags sabotage once for each break, and
// once sound, for control; o.For bounds each. It writes a table as it goes. bad is
// how many breaks were not noticed, or noticed where there was none.
func Sabotage(ctx context.Context, o Options, breaks []sabotage.Break, table io.Writer) (all []Caught, bad int, err error) {
	if o.For <= 0 {
		o.For = bound
	}
	if o.Round <= 0 {
		o.Round = 12 * time.Second
	}
	if o.Rate <= 0 {
		o.Rate = 2
	}
	if o.Pace <= 0 {
		o.Pace = 150 * time.Millisecond
	}
	fmt.Fprintf(table, "| break | noticed as | after | |\n|---|---|---|---|\n")
	for _, b := range append([]sabotage.Break{""}, breaks...) {
		run := o
		run.Break = string(b)
		if b == "" {
			run.For = 2 * o.Round // for control
		}
		v, err := Run(ctx, run)
		if v == nil || err != nil && v.Good() {
			return all, bad, fmt.Errorf("break %q: %w", b, err)
		}
		all = append(all, Caught{b, v})
		name, noticed, after, note := "`"+string(b)+"`", "**nothing**", "", ""
		if b == "" {
			name, noticed = "none", "nothing"
		}
		if !v.Good() {
			first := v.Violations[0]
			noticed, after, note = strings.Join(v.Broken(), ", "), first.After.Round(100*time.Millisecond).String(), short(first.Text)
		}
		if v.Good() != (b == "") {
			bad++
		}
		fmt.Fprintf(table, "| %s | %s | %s | %s |\n", name, noticed, after, note)
	}
	return all, bad, nil
}

// short cuts a text to what fits into a table.
func short(s string) string {
	if len(s) > 160 {
		return s[:160] + "…"
	}
	return s
}
