package main

import (
	"context"
	"fmt"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/migrations"
	"github.com/graphtide/graphtide/schema"
)

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
	if err := migrations.Check(a.ctx, c.DatabaseURL); err != nil {
		return err
	}
	store, err := pgstore.Open(a.ctx, pgstore.Config{URL: c.DatabaseURL, Log: a.log})
	if err != nil {
		return err
	}
	defer store.Close()
	found, err := store.Verify(a.ctx, c.Graph)
	if err != nil {
		return err
	}
	law := &lawfulness{}
	if err := law.judge(a.ctx, store, c.Graph); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "graph %s at version %d: %d commits replayed, %d objects and edges\n", found.Graph, found.Version, found.Commits, found.Entities)
	for _, f := range append(found.Faults, law.faults...) {
		fmt.Fprintln(a.stdout, "fault:", f)
	}
	if n := found.Count + law.count; n > 0 {
		return fmt.Errorf("%d fault(s) in graph %s", n, c.Graph)
	}
	_, err = fmt.Fprintln(a.stdout, "no faults: the log is dense, snapshots are what the patches lead to, the state is the last snapshots, bodies and edges are legal")
	return err
}

// lawfulness judges a graph's present state by the active schema.
type lawfulness struct {
	count  int
	faults []string // the first of them

	types map[graph.ObjectID]string
	edges map[edgeEnd]int // how many an object has
}

// edgeEnd is one side of the edges of one label.
type edgeEnd struct {
	object graph.ObjectID
	label  string
	in     bool
}

// maxSpelled is how many faults are spelled out.
const maxSpelled = 100

func (l *lawfulness) fault(format string, args ...any) {
	l.count++
	if len(l.faults) < maxSpelled {
		l.faults = append(l.faults, fmt.Sprintf(format, args...))
	}
}

func (l *lawfulness) judge(ctx context.Context, store *pgstore.Store, name string) error {
	live := schema.NewLive(store)
	if err := live.Refresh(ctx); err != nil {
		return err
	}
	reg := live.Current()
	info, err := store.Graph(ctx, name)
	if err != nil {
		return err
	}
	l.types, l.edges = map[graph.ObjectID]string{}, map[edgeEnd]int{}
	// The objects come before the edges.
	if _, err := store.State(ctx, info.Key, func(objects []*graph.Object, edges []*graph.Edge) error {
		for _, o := range objects {
			l.object(reg, o)
		}
		for _, e := range edges {
			l.edge(reg, e)
		}
		return nil
	}); err != nil {
		return err
	}
	l.bounds(reg)
	return nil
}

func (l *lawfulness) object(reg *schema.Registry, o *graph.Object) {
	l.types[o.ID] = o.Type
	t := reg.TypeOf(o.Type)
	switch {
	case t == nil:
		l.fault("object %s has the type %s, which the schema does not know", o.ID, o.Type)
		return
	case t.Abstract:
		l.fault("object %s has the abstract type %s", o.ID, o.Type)
	}
	for _, v := range t.Validate(o.Body, nil) {
		l.fault("object %s, a %s, at /body%s: %s", o.ID, o.Type, v.Path, v.Message)
	}
}

func (l *lawfulness) edge(reg *schema.Registry, e *graph.Edge) {
	from, ok := l.types[e.From]
	if !ok {
		l.fault("edge %s (%s) comes from %s, which does not exist", e.ID, e.Label, e.From)
	}
	to, ok2 := l.types[e.To]
	if !ok2 {
		l.fault("edge %s (%s) goes to %s, which does not exist", e.ID, e.Label, e.To)
	}
	if !ok || !ok2 {
		return
	}
	if _, _, err := reg.EdgeBetween(e.Label, from, to); err != nil {
		l.fault("edge %s: %s", e.ID, err.Message)
	}
	l.edges[edgeEnd{e.From, e.Label, false}]++
	l.edges[edgeEnd{e.To, e.Label, true}]++
}

// bounds compares the numbers of edges with `max` and `required`.
func (l *lawfulness) bounds(reg *schema.Registry) {
	for end, n := range l.edges {
		t := reg.TypeOf(l.types[end.object])
		if t == nil {
			continue
		}
		decl, way := t.Out[end.label], "outbound"
		if end.in {
			decl, way = t.In[end.label], "inbound"
		}
		if decl != nil && decl.Max > 0 && n > decl.Max {
			l.fault("object %s has %d %s edges %s, at most %d are allowed", end.object, n, way, end.label, decl.Max)
		}
	}
	for id, name := range l.types {
		t := reg.TypeOf(name)
		if t == nil {
			continue
		}
		for _, decl := range t.Required {
			if l.edges[edgeEnd{id, decl.Label, false}] == 0 {
				l.fault("object %s, a %s, lacks the required edge %s", id, name, decl.Label)
			}
		}
	}
}
