package main

import "fmt"

type epochCmd struct {
	databaseOptions
	Graph string `help:"The graph." default:"main"`
	New   bool   `help:"Give it a new one."`
}

// Help teaches the command.
func (*epochCmd) Help() string {
	return `An epoch is the id of a graph's log. Clients hold (epoch, version); a new epoch makes them load anew. Give one after a restore that the servers could not notice themselves: one that put back an older state of the same database. Nodes notice within their --poll.

Example:

    graphtide epoch --new --database-url postgres://app:…@db/app --graph main`
}

// Validate refuses what is no address.
func (c *epochCmd) Validate() error { return c.databaseOptions.check() }

// Run prints the epoch, the new one with --new.
func (c *epochCmd) Run(a *app) error {
	store, err := c.open(a)
	if err != nil {
		return err
	}
	defer store.Close()
	info, err := store.Graph(a.ctx, c.Graph)
	if err != nil {
		return err
	}
	epoch := info.Head.Epoch
	if c.New {
		if epoch, err = store.NewEpoch(a.ctx, c.Graph); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(a.stdout, epoch)
	return err
}
