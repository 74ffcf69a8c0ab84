package main

import (
	"fmt"

	"github.com/graphtide/graphtide/migrations"
)

type migrateCmd struct{ databaseOptions }

// Help teaches the command.
func (*migrateCmd) Help() string {
	return `Run it once for each release, before the servers: these refuse a database that is older than they are. Running it again, or on several machines at once, does no harm.

Example:

    graphtide migrate --database-url postgres://owner:…@db/app`
}

// Validate refuses what is no address.
func (c *migrateCmd) Validate() error { return c.databaseOptions.check() }

func (c *migrateCmd) Run(a *app) error {
	if err := migrations.Up(a.ctx, c.DatabaseURL); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.stdout, "the database is up to date")
	return err
}
