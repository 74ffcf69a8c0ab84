package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
)

type traceCmd struct {
	remoteOptions
	JSON bool   `name:"json" xor:"form" help:"Print the answer as it came; what a pipe or a file gets anyway."`
	Tree bool   `xor:"form" help:"Print a tree to read; what a terminal gets anyway."`
	Of   string `arg:"" name:"version" help:"The commit's version, or the id of an object, an edge, an operation or a run."`
}

// Help teaches the command.
func (*traceCmd) Help() string {
	return `The tree of causes around a commit: what caused it, the rules it fired, their runs with every step and its time, and the commits these made. Of an object (an operation is one) or an edge: the commits that touched it, newest first, each with what followed. In the tree, a step's +ms is the time since the step before it.

Examples:

    graphtide trace 42
    graphtide trace --tree 0198c0de-0000-7000-8000-000000000001`
}

func (c *traceCmd) Run(a *app) error {
	if _, err := uuid.Parse(c.Of); err != nil {
		if v, err := strconv.ParseInt(c.Of, 10, 64); err != nil || v < 1 {
			return wrongUsage("<version> is %q: say a commit's version, or an id", c.Of)
		}
	}
	ask := request{method: http.MethodGet, path: c.graphPath("/trace/" + url.PathEscape(c.Of))}
	if c.JSON || !c.Tree && !isTerminal(a.stdout) {
		return c.print(a, ask)
	}
	var trace struct { // a graph.Trace or a graph.EntityTrace
		Commit  *graph.TraceNode   `json:"commit"`
		Causes  []graph.TraceCause `json:"causes"`
		Commits []*graph.TraceNode `json:"commits"`
	}
	if err := c.decode(a, ask, &trace); err != nil {
		return err
	}
	t := &tree{}
	for i, cause := range trace.Causes {
		what := "because of"
		if i > 0 {
			what = "which was because of"
		}
		t.line("", "%s commit %d, by %s", what, cause.Version, causeOf(cause))
	}
	if trace.Commit != nil {
		t.commit("", "", "", trace.Commit, time.Time{})
	}
	for _, n := range trace.Commits {
		t.commit("", "", "", n, time.Time{})
	}
	_, err := io.WriteString(a.stdout, t.String())
	return err
}

// decode sends a request and reads its JSON answer.
func (o *serverOptions) decode(a *app, r request, into any) error {
	res, err := o.do(a.ctx, r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("read the answer of %s: %w", r.path, err)
	}
	return nil
}

// isTerminal reports whether somebody reads along.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func causeOf(c graph.TraceCause) string {
	switch {
	case c.Run != "":
		return fmt.Sprintf("%s %s", c.Kind, c.Run)
	case c.Kind == "":
		return "somebody"
	}
	return "a " + string(c.Kind)
}

// tree is a trace as text: a line for each commit, run and step, with its time
// and the milliseconds since what came before it.
type tree struct{ strings.Builder }

func (t *tree) line(indent, format string, args ...any) {
	t.WriteString(indent)
	fmt.Fprintf(t, format, args...)
	t.WriteByte('\n')
}

// The marks of a branch, and what stands below them.
const (
	someBranch, someBelow = "├─ ", "│  "
	lastBranch, lastBelow = "└─ ", "   "
)

// marks gives those of the i-th of n branches.
func marks(i, n int) (mark, indent string) {
	if i == n-1 {
		return lastBranch, lastBelow
	}
	return someBranch, someBelow
}

// commit writes a commit with all that followed from it. since is the time of
// what came before it, or zero.
func (t *tree) commit(indent, mark, under string, n *graph.TraceNode, since time.Time) {
	at := timeOf(n.At)
	text := fmt.Sprintf("commit %d  %s%s", n.Version, clock(at), gap(since, at))
	if n.By != "" {
		text += "  by " + n.By
	}
	if n.Cause.Kind != "" && n.Cause.Kind != graph.CauseClient {
		text += "  (" + string(n.Cause.Kind) + ")"
	}
	t.line(indent+mark, "%s", text)
	indent += under
	for i, r := range n.Rules {
		mark, under := marks(i, len(n.Rules))
		t.rule(indent, mark, under, &r, at)
	}
}

// rule writes a rule's or an operation's run with its steps, and the commits
// that it made, in the order of their times.
func (t *tree) rule(indent, mark, under string, r *graph.TraceRule, since time.Time) {
	if r.Run == nil {
		t.line(indent+mark, "rule %s on %s: %s", r.Rule, r.Entity, r.Error)
		return
	}
	t.line(indent+mark, "%s %s on %s  %s  %s  run %s", r.Run.Kind, r.Rule, r.Entity, r.Event, r.Run.State, r.Run.ID)
	indent += under
	type row struct {
		at     time.Time
		text   string
		commit *graph.TraceNode
	}
	var rows []row
	made := map[graph.Version]*graph.TraceNode{}
	for _, c := range r.Commits {
		made[c.Version] = c
	}
	for _, s := range stepsOf(r.Run) {
		if s.Hop == graph.HopCommitted && made[s.Version] != nil {
			continue // it stands there with what followed
		}
		rows = append(rows, row{at: s.At, text: stepText(s)})
	}
	for _, c := range r.Commits {
		rows = append(rows, row{at: timeOf(c.At), commit: c})
	}
	// Steps come in order; a commit goes before the first step that is later.
	for i := 1; i < len(rows); i++ {
		for j := i; j > 0 && rows[j].commit != nil && rows[j-1].commit == nil && rows[j].at.Before(rows[j-1].at); j-- {
			rows[j], rows[j-1] = rows[j-1], rows[j]
		}
	}
	for i, row := range rows {
		mark, under := marks(i, len(rows))
		if row.commit != nil {
			t.commit(indent, mark, under, row.commit, since)
		} else {
			t.line(indent+mark, "%s%s  %s", clock(row.at), gap(since, row.at), row.text)
		}
		since = row.at
	}
	if r.Run.NextAt != "" {
		t.line(indent, "   next attempt at %s", clock(timeOf(r.Run.NextAt)))
	}
}

// stepsOf gives the steps of a run; who may not see them all sees those of its
// attempts.
func stepsOf(r *graph.RunDetail) []graph.Hop {
	if len(r.Hops) > 0 {
		return r.Hops
	}
	var out []graph.Hop
	for _, a := range r.Attempts {
		out = append(out, graph.Hop{At: timeOf(a.StartedAt), Hop: graph.HopStarted, Attempt: a.Attempt, Node: a.Node})
		if a.EndedAt != "" {
			out = append(out, graph.Hop{At: timeOf(a.EndedAt), Hop: "ended", Attempt: a.Attempt})
		}
	}
	return out
}

// stepText says what a step was.
func stepText(h graph.Hop) string {
	text := string(h.Hop)
	if h.Attempt > 0 {
		text += fmt.Sprintf("  attempt %d", h.Attempt)
	}
	if h.Node != "" {
		text += "  on " + h.Node
	}
	if h.Version > 0 {
		text += fmt.Sprintf("  version %d", h.Version)
	}
	if h.Error != nil {
		text += fmt.Sprintf("  %s: %s", h.Error.Code, reason(h.Error))
		for _, l := range h.Error.Chain {
			text += fmt.Sprintf(" → %s (%s)", l.Rule, l.Entity)
		}
	}
	return text
}

func timeOf(s string) time.Time {
	at, err := time.Parse(graph.TimeFormat, s)
	if err != nil {
		return time.Time{}
	}
	return at
}

// clock gives a time of day, in UTC as in every other answer.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// gap gives the milliseconds between two steps.
func gap(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return ""
	}
	return fmt.Sprintf("  %+d ms", to.Sub(from).Round(time.Millisecond).Milliseconds())
}
