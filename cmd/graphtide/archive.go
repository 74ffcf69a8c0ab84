package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/archive"
	"github.com/graphtide/graphtide/patch"
	"github.com/graphtide/graphtide/patch/pipeline"
)

type exportCmd struct {
	databaseOptions
	Graph   string `help:"Graph to export." default:"main"`
	History bool   `help:"With the whole log, not the present state alone."`
}

// Help teaches the command.
func (*exportCmd) Help() string {
	return `The first line says which graph it is, at which version, and holds the schema; then comes an object, an edge or a commit a line; the last line counts them. It reads one state, however long it takes; the servers may run meanwhile. Everything is in it, with access: keep it as you keep the database.

Examples:

    graphtide export --history > main.jsonl
    graphtide export --graph main | head -1 | jq .schema > schema.json`
}

// Validate refuses what is no address.
func (c *exportCmd) Validate() error { return c.databaseOptions.check() }

// Run writes the archive to standard output.
func (c *exportCmd) Run(a *app) error {
	store, err := c.open(a)
	if err != nil {
		return err
	}
	defer store.Close()
	return archive.Export(a.ctx, store, c.Graph, c.History, a.stdout)
}

type importCmd struct {
	databaseOptions
	Graph string `help:"Graph to fill: absent, or empty." default:"main"`
	As    string `help:"Author of the import's own commits." default:"import" placeholder:"USER"`
	File  string `arg:"" help:"The archive; - is standard input." type:"path"`
}

// Help teaches the command.
func (*importCmd) Help() string {
	return `The archive is one of graphtide export. What it leads to must be as the active schema has it; a fault names its line. The graph appears whole, with a new epoch, when the last line is read; after a failure it is as it was. No rule fires.

With history the log comes back as it was. Without, objects and edges keep their ids, access, and when and by whom they were made, and come in commits of cause import.

Examples:

    graphtide import main.jsonl --graph copy
    graphtide export --database-url postgres://…@old/app | graphtide import - --database-url postgres://…@new/app`
}

var graphName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Validate refuses what no graph can be called.
func (c *importCmd) Validate() error {
	if !graphName.MatchString(c.Graph) {
		return fmt.Errorf("--graph %q: a name has up to 63 of a-z, 0-9 and -, and does not begin with -", c.Graph)
	}
	if c.As == "" {
		return errors.New("--as is empty")
	}
	return c.databaseOptions.check()
}

// Run reads the archive into the graph.
func (c *importCmd) Run(a *app) error {
	from := a.stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return asUsage(err)
		}
		defer f.Close()
		from = f
	}
	store, err := c.open(a)
	if err != nil {
		return err
	}
	defer store.Close()
	law, err := lawOf(a.ctx, store)
	if err != nil {
		return err
	}
	res, err := archive.Import(a.ctx, store, c.Graph, from, archive.Options{Law: law, SchemaVer: law.reg.Version, Mend: endOperation, By: c.As})
	if err != nil {
		var fault *archive.LineError
		if errors.As(err, &fault) && c.File != "-" {
			return fmt.Errorf("%s: %w", c.File, err)
		}
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "graph %s: %d objects and %d edges, at version %d of epoch %s\n", res.Graph, res.Objects, res.Edges, res.Version, res.Epoch)
	return err
}

// endOperation fails an operation that was under way when its graph was
// exported: what worked on it is not there any more, and each one has to end.
func endOperation(o *graph.Object) []patch.Op {
	if o.Type != pipeline.OperationRequest {
		return nil
	}
	if done, ok := patch.Get(o.Body, patch.Pointer{"done"}); ok && string(done) == "true" {
		return nil
	}
	problem, err := json.Marshal(graph.Errf(graph.CodeUnavailable, "the graph was exported and imported while this was under way; ask for it again"))
	if err != nil {
		return nil // not reached: a problem always is JSON
	}
	add := func(name, value string) patch.Op {
		return patch.Op{Kind: patch.Add, Path: patch.Pointer{"body", name}, Value: json.RawMessage(value)}
	}
	return []patch.Op{add("state", `"failed"`), add("done", "true"), add("error", string(problem))}
}

var _ archive.Law = (*lawfulness)(nil)
