package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/migrations"
	"github.com/graphtide/graphtide/schema"
)

// open opens the database, which must be as this program knows it.
func (o *databaseOptions) open(a *app) (*pgstore.Store, error) {
	if err := migrations.Check(a.ctx, o.DatabaseURL); err != nil {
		return nil, err
	}
	return pgstore.Open(a.ctx, pgstore.Config{URL: o.DatabaseURL, Log: a.log})
}

type compactCmd struct {
	databaseOptions
	Graph string        `help:"Graph to compact (default: all)." placeholder:"NAME"`
	Grace time.Duration `help:"Spare what was replaced less than this ago, for who is just reading it." default:"0s"`
}

// Help teaches the command.
func (*compactCmd) Help() string {
	return `What goes is said by history.keep of each type: all (the default), a number of versions, or an age. What rules have yet to look at stays, where the schema has rules or operations, and with --grace what is young. Log and states below the oldest version that is still whole answer "gone"; idempotency keys stay. It also removes what is left of deleted graphs.

Run it by cron, as often as you like; the servers may run meanwhile. Cut off, it goes on at the next run.

Example:

    graphtide compact --database-url postgres://app:…@db/app`
}

// Validate refuses what is no address, and a grace that looks ahead.
func (c *compactCmd) Validate() error {
	if c.Grace < 0 {
		return errors.New("--grace is not below zero")
	}
	return c.databaseOptions.check()
}

// Run compacts one graph or all.
func (c *compactCmd) Run(a *app) error {
	store, err := c.open(a)
	if err != nil {
		return err
	}
	defer store.Close()
	live := schema.NewLive(store)
	if err := live.Refresh(a.ctx); err != nil {
		return err
	}
	names := []string{c.Graph}
	if c.Graph == "" {
		graphs, err := store.Graphs(a.ctx)
		if err != nil {
			return err
		}
		names = names[:0]
		for _, g := range graphs {
			names = append(names, g.Name)
		}
		if err := store.Purge(a.ctx); err != nil {
			return fmt.Errorf("remove deleted graphs: %w", err)
		}
	}
	if err := store.Thin(a.ctx, live.Current().Snapshots(), c.Grace); err != nil {
		return fmt.Errorf("thin history: %w", err)
	}
	keep := policies(live.Current())
	if len(keep) == 0 {
		fmt.Fprintln(a.stdout, "no type bounds its history: there is nothing to forget")
	}
	seen := unmatched{store: store, runs: pgstore.NewRuns(store.Pool()), idle: len(live.Current().Rules)+len(live.Current().Operations) == 0}
	for _, name := range names {
		left, err := seen.look(a.ctx, name)
		if c.Graph == "" && graph.CodeOf(err) == graph.CodeNotFound {
			continue // deleted since
		}
		if err != nil {
			return fmt.Errorf("look how far rules have seen graph %s: %w", name, err)
		}
		done, err := store.Compact(a.ctx, name, keep, c.Grace)
		if c.Graph == "" && graph.CodeOf(err) == graph.CodeNotFound {
			continue // deleted since
		}
		if err != nil {
			return fmt.Errorf("compact graph %s: %w", name, err)
		}
		fmt.Fprintf(a.stdout, "graph %s: %d states forgotten; log and states are whole from version %d on\n", name, done.Rows, done.Floor)
		if left > 0 && len(keep) > 0 {
			fmt.Fprintf(a.stdout, "graph %s: the last %d versions stay until rules have seen them; a server without --no-worker does that\n", name, left)
		}
	}
	return nil
}

// policies gives the types that do not keep all.
func policies(reg *schema.Registry) map[string]graph.Keep {
	out := map[string]graph.Keep{}
	for name, t := range reg.Types {
		if k := (graph.Keep{Versions: t.History.Versions, Age: t.History.Age}); k != (graph.Keep{}) {
			out[name] = k
		}
	}
	return out
}
