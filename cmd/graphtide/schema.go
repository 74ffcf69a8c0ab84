package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"

	"github.com/graphtide/graphtide/internal/bundle"
	"github.com/graphtide/graphtide/schema"
)

type schemaCmd struct {
	Check schemaCheckCmd `cmd:"" help:"Validate a schema file: every fault with file, line, type and key."`
	Apply schemaApplyCmd `cmd:"" help:"Make a file the server's schema; handler files travel with it."`
	Diff  schemaDiffCmd  `cmd:"" help:"Ask the server what applying a file would break, without applying it."`
	Types schemaTypesCmd `cmd:"" help:"Write TypeScript declarations of a schema to standard output."`
}

type schemaFile struct {
	File string `arg:"" optional:"" default:"app.yaml" help:"The schema, YAML or JSON (default: app.yaml)." type:"path"`
}

// read gives the document with its handler files bundled in. The faults of the
// text are found first, so that they name the file's own lines.
func (f schemaFile) read() ([]byte, *schema.Registry, error) {
	text, err := os.ReadFile(f.File)
	if err != nil {
		return nil, nil, usageError{err}
	}
	doc, err := bundle.Schema(f.File, text)
	if err != nil {
		return nil, nil, err
	}
	reg, fault := schema.Compile(f.File, doc, 1)
	if fault != nil {
		return nil, nil, fault
	}
	return doc, reg, nil
}

type schemaCheckCmd struct{ schemaFile }

func (c *schemaCheckCmd) Run(a *app) error {
	_, reg, err := c.read()
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s: %d types, %d rules, %d operations, %d projections; no faults\n",
		c.File, len(reg.Types), len(reg.Rules), len(reg.Operations), len(reg.Projections))
	return nil
}

type schemaApplyCmd struct {
	remote
	schemaFile
	DryRun bool `help:"Say what would break and change nothing."`
}

func (c *schemaApplyCmd) Run(a *app) error { return put(a, &c.remote, c.schemaFile, c.DryRun) }

type schemaDiffCmd struct {
	remote
	schemaFile
}

func (c *schemaDiffCmd) Run(a *app) error { return put(a, &c.remote, c.schemaFile, true) }

func put(a *app, r *remote, f schemaFile, dryRun bool) error {
	doc, _, err := f.read()
	if err != nil {
		return err
	}
	path := "/v1/schema"
	if dryRun {
		path += "?dryRun=true"
	}
	res, err := r.call(a.ctx, http.MethodPut, path, "application/yaml", bytes.NewReader(doc))
	return r.print(a, res, err)
}

type schemaTypesCmd struct{ schemaFile }

func (c *schemaTypesCmd) Run(a *app) error {
	_, reg, err := c.read()
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(reg.TypeScript())
	return err
}
