package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/graphtide/graphtide/internal/bundle"
	"github.com/graphtide/graphtide/schema"
)

type schemaCmd struct {
	Check schemaCheckCmd `cmd:"" help:"Validate a schema file: every fault with file, line, type and key."`
	Diff  schemaDiffCmd  `cmd:"" help:"Ask the server what applying a file would change and break, without applying it."`
	Apply schemaApplyCmd `cmd:"" help:"Make a file the server's schema; handler files travel with it."`
	Types schemaTypesCmd `cmd:"" help:"Write TypeScript declarations of a schema to standard output."`
}

// schemaFile is the file that the commands about schemas work on.
type schemaFile struct {
	File string `arg:"" optional:"" default:"app.yaml" help:"The schema, YAML or JSON (default: ${default}); - is standard input." type:"path"`
}

// read gives the document with its handler files bundled in, compiled. The
// document's own lines stay where they are, so that faults name the file's.
func (f schemaFile) read(a *app) (doc []byte, reg *schema.Registry, err error) {
	name := f.File
	if name == "-" {
		name = "standard input"
		text, err := a.input(f.File)
		if err != nil {
			return nil, nil, err
		}
		if doc, err = bundle.Schema("stdin", text); err != nil {
			return nil, nil, handlerFaults(name, err)
		}
	} else {
		made, err := readSchema(f.File)
		if err != nil {
			return nil, nil, asUsage(err)
		}
		doc = made.Doc
	}
	reg, fault := schema.Compile(name, doc, 1)
	if fault != nil {
		return nil, nil, fault
	}
	return doc, reg, nil
}

// readSchema reads a schema file with the handlers that it names. The Bundle is
// never nil.
func readSchema(file string) (*bundle.Bundle, error) {
	made, err := bundle.Read(file)
	return made, handlerFaults(file, err)
}

// handlerFaults makes of handlers that cannot be had what it is for the author
// of the schema: faults with their places, beside all the others.
func handlerFaults(name string, err error) error {
	var lacking *bundle.HandlersError
	if errors.As(err, &lacking) {
		if fault := schema.Faults(name, lacking.Doc, lacking.Faults); fault != nil {
			return fault
		}
	}
	return err
}

type schemaCheckCmd struct{ schemaFile }

// Help teaches the command.
func (*schemaCheckCmd) Help() string {
	return `Needs no server. Handler scripts are bundled too, so that a fault in one is found here.

Example:

    graphtide schema check app.yaml`
}

func (c *schemaCheckCmd) Run(a *app) error {
	_, reg, err := c.read(a)
	if err != nil {
		return err
	}
	for _, w := range reg.Warnings {
		fmt.Fprintf(a.stderr, "warning: %s\n", w.Message)
	}
	_, err = fmt.Fprintf(a.stdout, "%s: %d types, %d rules, %d operations, %d projections; no faults\n",
		c.File, len(reg.Types), len(reg.Rules), len(reg.Operations), len(reg.Projections))
	return err
}

type schemaApplyCmd struct {
	serverOptions
	schemaFile
	DryRun bool `help:"Say what would break, and change nothing; status 1 where it would be refused."`
}

// Help teaches the command.
func (*schemaApplyCmd) Help() string {
	return `Needs a token with admin over every graph. What would make stored data invalid is refused, with the list of objects; a migrate entry on the type maps it.

Examples:

    graphtide schema apply --dry-run app.yaml
    graphtide schema apply app.yaml`
}

func (c *schemaApplyCmd) Run(a *app) error {
	doc, _, err := c.read(a)
	if err != nil {
		return err
	}
	r := request{method: http.MethodPut, path: "/v1/schema", contentType: "application/yaml", body: doc}
	if !c.DryRun {
		return c.print(a, r)
	}
	r.path += "?dryRun=true"
	verdict, err := c.ask(a, r)
	if err != nil {
		return err
	}
	text, err := json.Marshal(verdict)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(a.stdout, "%s\n", text); err != nil {
		return err
	}
	return verdict.fault()
}

type schemaTypesCmd struct{ schemaFile }

// Help teaches the command.
func (*schemaTypesCmd) Help() string {
	return `For the client's classes and for editors: one interface for each type, with its edges and inverse names.

Example:

    graphtide schema types app.yaml > src/graph.d.ts`
}

func (c *schemaTypesCmd) Run(a *app) error {
	_, reg, err := c.read(a)
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(reg.TypeScript())
	return err
}
