package main

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/pgstore"
)

// unmatched knows how much of a log rules have yet to see, which keeps it from
// being forgotten.
type unmatched struct {
	store *pgstore.Store
	runs  *pgstore.Runs
	idle  bool // the schema has nothing that a commit could fire
}

// look gives how many versions of a graph rules have yet to see. Where no rule
// needs them it passes over them, as a worker would: perhaps there is none.
func (u *unmatched) look(ctx context.Context, name string) (left graph.Version, err error) {
	info, err := u.store.Graph(ctx, name)
	if err != nil {
		return 0, err
	}
	cursor, err := u.runs.Cursor(ctx, info.Key)
	if err != nil || cursor.Version >= info.Head.Version {
		return 0, err
	}
	left = info.Head.Version - cursor.Version
	if !u.idle {
		return left, nil
	}
	node := "compact " + uuid.NewString()
	done, err := u.runs.Dispatch(ctx, &graph.Dispatch{
		Graph: info.Key, Node: node, Lease: time.Second, From: cursor.Version, To: info.Head.Version, Epoch: info.Head.Epoch,
	})
	if err != nil || !done.Moved { // a worker holds the cursor, and is about to see them
		return left, err
	}
	return 0, u.runs.Release(ctx, info.Key, node)
}
