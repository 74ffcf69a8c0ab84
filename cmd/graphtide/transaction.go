package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/graphtide/graphtide/graph"
)

// headerOptions go with every transaction.
type headerOptions struct {
	Key   string `help:"Idempotency key: sent again with the same key, it is not applied again." placeholder:"UUID"`
	Base  string `help:"The version that you saw; what others did since is taken into account." placeholder:"VERSION"`
	Group string `help:"Joins transactions of one action, to be undone together." placeholder:"UUID"`
	Note  string `help:"A note for the log, up to 200 characters." placeholder:"TEXT"`
}

func (o *headerOptions) header() map[string]string {
	return map[string]string{"Idempotency-Key": o.Key, "Graphtide-Base": o.Base, "Graphtide-Group": o.Group, "Graphtide-Note": o.Note}
}

type patchCmd struct {
	remoteOptions
	headerOptions
	DryRun bool   `help:"Judge it and write nothing; status 1 where it would be refused."`
	File   string `arg:"" optional:"" help:"A JSON Patch over the graph; - or none is standard input."`
}

// Help teaches the command.
func (*patchCmd) Help() string {
	return `The patch (RFC 6902) is applied whole or not at all, and becomes one commit of the log; the answer names its version. Paths are those of the graph's document: /objects/<id>, /objects/<id>/body/…, /edges/<id>.

Examples:

    graphtide patch --dry-run change.json
    echo '[{"op":"replace","path":"/objects/018f…/body/name","value":"Q3"}]' | graphtide patch --note 'new name'`
}

func (c *patchCmd) Run(a *app) error {
	text, err := a.input(c.File)
	if err != nil {
		return err
	}
	r := request{method: http.MethodPatch, path: c.graphPath(""), contentType: "application/json-patch+json", body: text, header: c.header()}
	if !c.DryRun {
		return c.print(a, r)
	}
	r.path += "?dryRun=true"
	return c.judge(a, r)
}

// judge sends a dry run and prints the answer. It fails where the transaction
// would be refused, so that a script may ask before it goes on.
func (c *patchCmd) judge(a *app, r request) error {
	res, err := c.do(a.ctx, r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(a.stdout, "%s\n", text); err != nil {
		return err
	}
	var verdict struct {
		OK       bool      `json:"ok"`
		Problems []problem `json:"problems"`
	}
	if err := json.Unmarshal(text, &verdict); err != nil {
		return fmt.Errorf("read the dry run: %w", err)
	}
	if verdict.OK {
		return nil
	}
	for i, p := range verdict.Problems {
		if i == len(verdict.Problems)-1 {
			return p.asError()
		}
		report(a.stderr, p.asError())
	}
	return errors.New("it would be refused")
}

type revertCmd struct {
	remoteOptions
	Caused   bool    `help:"Undo what rules did because of them as well."`
	Mutation string  `help:"Undo the transaction of this key." placeholder:"UUID"`
	Group    string  `name:"of-group" help:"Undo the transactions of this group." placeholder:"UUID"`
	Note     string  `help:"A note for the log, up to 200 characters." placeholder:"TEXT"`
	Versions []int64 `arg:"" optional:"" name:"version" help:"The versions of the commits to undo."`
}

// Help teaches the command.
func (*revertCmd) Help() string {
	return `Nothing is taken out of the log: the undo is a commit of its own, and can be undone. It is refused where later commits changed the same paths; the answer says which.

Examples:

    graphtide revert 42
    graphtide revert 42 43 --caused --note 'wrong import'`
}

// Validate refuses to undo nothing, or two things at once.
func (c *revertCmd) Validate() error {
	said := 0
	for _, set := range []bool{len(c.Versions) > 0, c.Mutation != "", c.Group != ""} {
		if set {
			said++
		}
	}
	if said != 1 {
		return fmt.Errorf("say what to undo: versions, --mutation or --of-group, one of them")
	}
	return c.serverOptions.Validate()
}

func (c *revertCmd) Run(a *app) error {
	body, err := json.Marshal(struct {
		Versions []int64 `json:"versions,omitempty"`
		Mutation string  `json:"mutation,omitempty"`
		Group    string  `json:"group,omitempty"`
		Caused   bool    `json:"caused,omitempty"`
	}{c.Versions, c.Mutation, c.Group, c.Caused})
	if err != nil {
		return err
	}
	return c.print(a, request{method: http.MethodPost, path: c.graphPath("/revert"), contentType: "application/json", body: body,
		header: map[string]string{"Graphtide-Note": c.Note}})
}

type loadCmd struct {
	remoteOptions
	At   *graph.Version `help:"Load the state as of this version." placeholder:"VERSION"`
	File string         `arg:"" optional:"" help:"The projection, or {\"name\", \"args\"}; - or none is standard input."`
}

// Help teaches the command.
func (*loadCmd) Help() string {
	return `Answers what a projection holds at one version of the graph: objects and edges by id, as the token's user may read them.

Examples:

    echo '{"root":{"type":"DataStore"},"in":{"dataStore":{"limit":10}}}' | graphtide load
    graphtide load --at 41 projection.json`
}

func (c *loadCmd) Run(a *app) error {
	text, err := a.input(c.File)
	if err != nil {
		return err
	}
	path := c.graphPath("/load")
	if c.At != nil {
		path += "?at=" + strconv.FormatInt(int64(*c.At), 10)
	}
	return c.print(a, request{method: http.MethodPost, path: path, contentType: "application/json", body: text})
}
