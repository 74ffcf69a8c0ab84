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
	return commits, fillBefore(ctx, store, r.Key(), commits)
}

// fillBefore looks up what consecutive commits of the log changed, all at once: a
// node that starts finds there what was committed while none was. Where history does
// not reach back any more, before stays empty.
func fillBefore(ctx context.Context, store graph.Store, g graph.GraphKey, commits []*graph.Commit) error {
	var asked []graph.RefVersion
	var open []*graph.Change
	last := map[graph.Ref]*graph.Change{}
	for _, c := range commits {
		for i := range c.Changes {
			ch := &c.Changes[i]
			if ch.Event == graph.Modified && ch.ObjBefore == nil && ch.EdgeBefore == nil {
				if was := last[ch.Ref]; was != nil {
					ch.ObjBefore, ch.EdgeBefore = was.ObjAfter, was.EdgeAfter
				} else {
					asked, open = append(asked, graph.RefVersion{Ref: ch.Ref, Version: c.Version}), append(open, ch)
				}
			}
			last[ch.Ref] = ch
		}
	}
	for len(asked) > 0 {
		n := min(len(asked), beforesAtOnce)
		if err := befores(ctx, store, g, asked[:n], open[:n]); err != nil {
			return err
		}
		asked, open = asked[n:], open[n:]
	}
	return nil
}

// beforesAtOnce bounds what one look-up brings.
const beforesAtOnce = 1000

// befores fills in what was before some changes.
func befores(ctx context.Context, store graph.Store, g graph.GraphKey, asked []graph.RefVersion, open []*graph.Change) error {
	snaps, err := store.Befores(ctx, g, asked)
	switch {
	case graph.CodeOf(err) == graph.CodeGone && len(asked) > 1: // of one of them: the half without it is told
		half := len(asked) / 2
		if err := befores(ctx, store, g, asked[:half], open[:half]); err != nil {
			return err
		}
		return befores(ctx, store, g, asked[half:], open[half:])
	case graph.CodeOf(err) == graph.CodeGone:
		return nil
	case err != nil:
		return fmt.Errorf("read what was before version %d: %w", asked[len(asked)-1].Version, err)
	}
	for i, ch := range open {
		ch.ObjBefore, ch.EdgeBefore = snaps[i].Object, snaps[i].Edge
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
	return commits[0], fillBefore(ctx, store, r.Key(), commits[:1])
}
