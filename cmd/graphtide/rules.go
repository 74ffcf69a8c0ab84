package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/graphtide/graphtide/graph"
)

// rulesCmd looks after the rules of a graph. Its commands print text to read,
// and with --json the API's answers.
type rulesCmd struct {
	List   rulesListCmd   `cmd:"" default:"withargs" help:"Each rule with what it waits for, and its last matches and failures."`
	Map    rulesMapCmd    `cmd:"" help:"What each rule writes, and which rules that may fire."`
	Pause  rulesPauseCmd  `cmd:"" help:"Keep the runs of a rule from starting; they are made, and wait."`
	Resume rulesResumeCmd `cmd:"" help:"Let them start."`
	Test   rulesTestCmd   `cmd:"" help:"Say whether a rule would have fired for a past commit, and why not."`
	Replay rulesReplayCmd `cmd:"" help:"Run a rule for past commits, as if they were made now."`
}

// rulesOptions are of every command about rules.
type rulesOptions struct {
	remoteOptions
	JSON bool `name:"json" help:"Print the API's answer."`
}

// rulePath gives the path of a request about one rule.
func (o *rulesOptions) rulePath(rule, act string) string {
	return o.graphPath("/rules/" + url.PathEscape(rule) + "/" + act)
}

type rulesListCmd struct{ rulesOptions }

// Help teaches the command.
func (*rulesListCmd) Help() string {
	return `Each with its runs that are open or dead, its last match, and what went wrong last.

Example:

    graphtide rules list`
}

func (c *rulesListCmd) Run(a *app) error {
	rules, err := c.rules(a, "")
	if err != nil || rules == nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RULE\tHANDLER\tOPEN\tDEAD\tLAST MATCH\tLAST FAILURE")
	for _, r := range rules {
		name := r.Name
		if r.Paused != nil {
			name += " (paused by " + r.Paused.By + ")"
		}
		open := r.Open[string(graph.RunPending)] + r.Open[string(graph.RunRunning)] + r.Open[string(graph.RunRetrying)]
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\n", name, r.Handler, open, r.Open[string(graph.RunDead)], lastOf(r.Matches), failureOf(r))
	}
	return w.Flush()
}

func lastOf(runs []graph.RunSummary) string {
	if len(runs) == 0 {
		return "–"
	}
	r := runs[0]
	text := fmt.Sprintf("version %d, %s", r.Version, r.State)
	if r.Error != nil {
		text += ": " + reason(r.Error)
	}
	return text
}

// reason gives why something failed, and where, on one line.
func reason(e *graph.RunError) string {
	return strings.ReplaceAll(strings.TrimSpace(e.Message+"\n"+e.Where), "\n", " ")
}

// failureOf gives the last thing that went wrong with a rule.
func failureOf(r graph.RuleInfo) string {
	if len(r.Faults) > 0 && (len(r.Failures) == 0 || r.Faults[0].Version > r.Failures[0].Version) {
		return fmt.Sprintf("version %d: %s", r.Faults[0].Version, strings.ReplaceAll(r.Faults[0].Error, "\n", " "))
	}
	return lastOf(r.Failures)
}

// rules asks for the rules; nil where the answer was printed as it is.
func (o *rulesOptions) rules(a *app, query string) ([]graph.RuleInfo, error) {
	ask := request{method: http.MethodGet, path: o.graphPath("/rules" + query)}
	if o.JSON {
		return nil, o.print(a, ask)
	}
	answer := struct {
		Rules []graph.RuleInfo `json:"rules"`
	}{}
	err := o.decode(a, ask, &answer)
	return answer.Rules, err
}

type rulesMapCmd struct {
	rulesOptions
	Type string `help:"Only the rules that a change of this type may fire." placeholder:"TYPE"`
	Path string `help:"… and only of this place, a JSON Pointer such as /body/title." placeholder:"POINTER"`
}

// Help teaches the command.
func (*rulesMapCmd) Help() string {
	return `What a rule writes is what it declares with ` + "`writes`" + `, to which its runs are held, or (marked with ?) what the source of its script shows.

Examples:

    graphtide rules map
    graphtide rules map --type Task --path /body/title`
}

func (c *rulesMapCmd) Run(a *app) error {
	query := url.Values{}
	if c.Type != "" {
		query.Set("type", c.Type)
	}
	if c.Path != "" {
		query.Set("path", c.Path)
	}
	suffix := ""
	if len(query) > 0 {
		suffix = "?" + query.Encode()
	}
	rules, err := c.rules(a, suffix)
	if err != nil || rules == nil {
		return err
	}
	for _, r := range rules {
		fmt.Fprintf(a.stdout, "%s, on %s\n", r.Name, r.On)
		writes := "what it writes is not known"
		switch {
		case r.Writes != nil && len(r.Writes) == 0:
			writes = "writes nothing"
		case r.Writes != nil:
			writes = "writes " + strings.Join(r.Writes, ", ")
		}
		if r.Writes != nil && !r.Declared {
			writes += " ?"
		}
		fmt.Fprintf(a.stdout, "  %s\n", writes)
		if len(r.Fires) > 0 {
			fmt.Fprintf(a.stdout, "  may fire %s\n", strings.Join(r.Fires, ", "))
		}
	}
	return nil
}

type rulesPauseCmd struct {
	rulesOptions
	Rule string `arg:"" help:"The rule's name."`
}

// Help teaches the command.
func (*rulesPauseCmd) Help() string {
	return `What matches meanwhile waits, and is run in order once the rule goes on.

Example:

    graphtide rules pause column-removed`
}

func (c *rulesPauseCmd) Run(a *app) error { return c.change(a, c.Rule, "pause", "is paused") }

type rulesResumeCmd struct {
	rulesOptions
	Rule string `arg:"" help:"The rule's name."`
}

// Help teaches the command.
func (*rulesResumeCmd) Help() string {
	return `What matched while it was paused is run first.

Example:

    graphtide rules resume column-removed`
}

func (c *rulesResumeCmd) Run(a *app) error { return c.change(a, c.Rule, "resume", "goes on") }

func (o *rulesOptions) change(a *app, rule, act, said string) error {
	ask := request{method: http.MethodPost, path: o.rulePath(rule, act)}
	if o.JSON {
		return o.print(a, ask)
	}
	var info graph.RuleInfo
	if err := o.decode(a, ask, &info); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "rule %s %s; %d runs wait\n", info.Name, said, info.Open[string(graph.RunPending)])
	return err
}

type rulesTestCmd struct {
	rulesOptions
	As      string `name:"with" help:"A declaration of the rule to try instead, a JSON file; - is standard input." placeholder:"FILE"`
	Rule    string `arg:"" help:"The rule's name."`
	Version int64  `arg:"" help:"The commit's version."`
}

// Help teaches the command.
func (*rulesTestCmd) Help() string {
	return `Nothing runs.

Examples:

    graphtide rules test total 42
    graphtide rules test total 42 --with rule.json`
}

func (c *rulesTestCmd) Run(a *app) error {
	in := graph.RuleTest{Version: graph.Version(c.Version)}
	if c.As != "" {
		text, err := a.input(c.As)
		if err != nil {
			return err
		}
		if !json.Valid(text) {
			return wrongUsage("%s is not JSON", c.As)
		}
		in.Rule = bytes.TrimSpace(text)
	}
	ask, err := c.post(c.rulePath(c.Rule, "test"), in)
	if err != nil {
		return err
	}
	if c.JSON {
		return c.print(a, ask)
	}
	var v graph.RuleVerdict
	if err := c.decode(a, ask, &v); err != nil {
		return err
	}
	if !v.Fires {
		fmt.Fprintf(a.stdout, "rule %s does not fire for version %d\n", v.Rule, v.Version)
	} else {
		fmt.Fprintf(a.stdout, "rule %s fires for version %d\n", v.Rule, v.Version)
	}
	for _, ch := range v.Changes {
		why := "it fires"
		if !ch.Fires {
			why = ch.Why
		}
		fmt.Fprintf(a.stdout, "  %s of %s %s: %s\n", ch.Event, ch.Type, ch.Entity, why)
	}
	return nil
}

type rulesReplayCmd struct {
	rulesOptions
	From int64  `help:"Replay the commits after this version." required:"" placeholder:"VERSION"`
	To   int64  `help:"… up to this one; 0 is the last." default:"0" placeholder:"VERSION"`
	ID   string `name:"id" help:"A UUID that names the replay: sent again, it makes nothing twice." placeholder:"UUID"`
	Rule string `arg:"" help:"The rule's name."`
}

// Help teaches the command.
func (*rulesReplayCmd) Help() string {
	return `The runs are new ones, and write anew. If the command fails half-way, repeat it with the same --id.

Example:

    graphtide rules replay total --from 100 --to 200`
}

func (c *rulesReplayCmd) Run(a *app) error {
	ask, err := c.post(c.rulePath(c.Rule, "replay"), graph.RuleReplay{From: graph.Version(c.From), To: graph.Version(c.To), ID: c.ID})
	if err != nil {
		return err
	}
	if c.JSON {
		return c.print(a, ask)
	}
	var done graph.RuleReplayed
	if err := c.decode(a, ask, &done); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "versions %d to %d: %d changes match, %d runs were made (replay %s)\n", done.From+1, done.To, done.Matched, done.Made, done.ID)
	return err
}

// post gives a request with a JSON body.
func (o *rulesOptions) post(path string, body any) (request, error) {
	text, err := json.Marshal(body)
	return request{method: http.MethodPost, path: path, contentType: "application/json", body: text}, err
}
