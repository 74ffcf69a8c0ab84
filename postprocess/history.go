package postprocess

import (
	"context"
	"fmt"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// pieceOfLog is how many commits are matched at once: it bounds the transaction
// that makes their runs.
const pieceOfLog = 200

// commitsSince gives the next commits after v with before and after filled in:
// from the replica's recent commits, or, where these do not reach back, from
// the store.
func commitsSince(ctx context.Context, store graph.Store, r *replica.Replica, v graph.Version) ([]*graph.Commit, error) {
	if commits, ok := r.Since(v); ok {
		return commits[:min(len(commits), pieceOfLog)], nil
	}
	commits, err := store.Log(ctx, r.Key(), v, pieceOfLog)
	if err != nil {
		return nil, fmt.Errorf("read the log after %d: %w", v, err)
	}
	for _, c := range commits {
		if err := fillBefore(ctx, store, r.Key(), c); err != nil {
			return nil, err
		}
	}
	return commits, nil
}

// fillBefore looks up what a commit of the log changed. Where history does not
// reach back any more, before stays empty.
func fillBefore(ctx context.Context, store graph.Store, g graph.GraphKey, c *graph.Commit) error {
	for i := range c.Changes {
		ch := &c.Changes[i]
		if ch.Event != graph.Modified || ch.ObjBefore != nil || ch.EdgeBefore != nil {
			continue
		}
		was, err := store.EntityAt(ctx, g, ch.Ref, c.Version-1)
		if graph.CodeOf(err) == graph.CodeGone {
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s before version %d: %w", ch.Ref.Pointer(), c.Version, err)
		}
		ch.ObjBefore, ch.EdgeBefore = was.Object, was.Edge
	}
	return nil
}

// commitToShow is commitAt for who shows it: what a compaction has forgotten is
// CodeGone, though the replica may have it yet.
func commitToShow(ctx context.Context, store graph.Store, r *replica.Replica, v graph.Version) (*graph.Commit, error) {
	if floor := r.Floor(); v > 0 && v <= floor {
		return nil, graph.Errf(graph.CodeGone, "the log begins after version %d", floor)
	}
	return commitAt(ctx, store, r, v)
}

// commitAt gives one commit with before and after filled in; CodeGone or
// CodeInvalidVersion where it cannot be had.
func commitAt(ctx context.Context, store graph.Store, r *replica.Replica, v graph.Version) (*graph.Commit, error) {
	if v < 1 {
		return nil, graph.Errf(graph.CodeInvalidVersion, "versions count from 1")
	}
	if commits, ok := r.Since(v - 1); ok && len(commits) > 0 {
		return commits[0], nil
	}
	commits, err := store.Log(ctx, r.Key(), v-1, 1)
	if err != nil {
		return nil, fmt.Errorf("read commit %d: %w", v, err)
	}
	if len(commits) == 0 || commits[0].Version != v {
		return nil, graph.Errf(graph.CodeInvalidVersion, "there is no version %d yet", v)
	}
	return commits[0], fillBefore(ctx, store, r.Key(), commits[0])
}
