package main

import "fmt"

type verifyCmd struct {
	databaseOptions
	Graph string `help:"Graph to check." default:"main"`
}

// Help teaches the command.
func (*verifyCmd) Help() string {
	return `Replays the whole log and compares: the log is dense, each snapshot is what the patches lead to, the present state is the last snapshots, the counts are right, and bodies and edges are as the schema has them. It reads only; the servers may run meanwhile. Status 1 where it finds a fault.

Example:

    graphtide verify --database-url postgres://reader:…@db/app --graph main`
}

// Validate refuses what is no address.
func (c *verifyCmd) Validate() error { return c.databaseOptions.check() }

// Run checks what the database holds, then what the schema says of it.
func (c *verifyCmd) Run(a *app) error {
	store, err := c.open(a)
	if err != nil {
		return err
	}
	defer store.Close()
	found, err := store.Verify(a.ctx, c.Graph)
	if err != nil {
		return err
	}
	law, err := lawOf(a.ctx, store)
	if err != nil {
		return err
	}
	if err := law.judge(a.ctx, store, c.Graph); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "graph %s at version %d: %d commits replayed, %d objects and edges\n", found.Graph, found.Version, found.Commits, found.Entities)
	for _, f := range found.Faults {
		fmt.Fprintln(a.stdout, "fault:", f)
	}
	for _, f := range law.faults {
		fmt.Fprintln(a.stdout, "fault:", f)
	}
	if n := found.Count + law.count; n > 0 {
		return fmt.Errorf("%d fault(s) in graph %s", n, c.Graph)
	}
	_, err = fmt.Fprintln(a.stdout, "no faults: the log is dense, snapshots are what the patches lead to, the state is the last snapshots, bodies and edges are legal")
	return err
}
