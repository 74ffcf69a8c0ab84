package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

type schemaDiffCmd struct {
	serverOptions
	schemaFile
}

// Help teaches the command.
func (*schemaDiffCmd) Help() string {
	return `Prints, as JSON, how the file's schema differs from the server's ("changes", a JSON Patch from the one to the other), and whether it could be applied: "ok", and if not, the stored objects that would break. Status 1 where it could not. Nothing is changed.

Example:

    graphtide schema diff app.yaml | jq .changes`
}

func (c *schemaDiffCmd) Run(a *app) error {
	doc, reg, err := c.read(a)
	if err != nil {
		return err
	}
	res, err := c.do(a.ctx, request{method: http.MethodGet, path: "/v1/schema", header: map[string]string{"Accept": "application/json"}})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	served, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	verdict, err := c.ask(a, request{method: http.MethodPut, path: "/v1/schema?dryRun=true", contentType: "application/yaml", body: doc})
	if err != nil {
		return err
	}
	text, err := json.Marshal(struct {
		Changes json.RawMessage `json:"changes"`
		*schemaVerdict
	}{patch.AppendOps(nil, "", patch.Diff(served, reg.Doc)), verdict})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(a.stdout, "%s\n", text); err != nil {
		return err
	}
	return verdict.fault()
}

// schemaVerdict is what the server says of a schema in a dry run.
type schemaVerdict struct {
	OK       bool              `json:"ok"`
	Problems []graph.Violation `json:"problems"`
	Count    int               `json:"count"`
	Objects  []graph.Offender  `json:"objects"`
}

// ask sends a dry run of a schema.
func (o *serverOptions) ask(a *app, r request) (*schemaVerdict, error) {
	res, err := o.do(a.ctx, r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var v schemaVerdict
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil {
		return nil, fmt.Errorf("read what the server says of the schema: %w", err)
	}
	return &v, nil
}

// fault is nil where the schema could be applied.
func (v *schemaVerdict) fault() error {
	switch {
	case v.OK:
		return nil
	case v.Count > 0:
		e := graph.Errf(graph.CodeSchemaInUse, "%d stored object(s) would break; change them first, or add a `migrate` entry to their type", v.Count)
		e.Objects = v.Objects
		return e
	}
	e := graph.Errf(graph.CodeInvalidSchema, "the server would not take it")
	e.Errors = v.Problems
	return e
}
