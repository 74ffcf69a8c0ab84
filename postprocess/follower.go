package postprocess

import (
	"context"
	"errors"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// follower matches one graph's log from the durable cursor on.
//
// Of all nodes one holds the cursor at a time: whoever moved it last, for as
// long as its lease lasts. The others stand by: they drop the follower, and the
// dispatcher makes one again when the cursor falls behind and nobody holds it.
type follower struct {
	cfg     Config
	deps    Deps
	key     graph.GraphKey
	name    string
	ready   func([]graph.RunRef) // takes runs that may start
	reserve func([]*graph.Run) *reservation
	replica *replica.Replica
	match   *matcher
	news    chan struct{} // the replica changed; one waiting is as good as many

	// cursor is the durable one as far as known; at is where matching stands,
	// with nothing matched between the two.
	cursor graph.RunCursor
	at     graph.Version
	moved  time.Time // when the cursor was moved last
}

// errStandBy ends a follower whose cursor another node holds.
var errStandBy = errors.New("another node follows this graph")

// run follows until ctx ends, the graph is gone, another node holds the cursor,
// or nothing has happened for a while. An error is a fault worth another try.
func (f *follower) run(ctx context.Context) error {
	r, err := f.deps.Replicas.Open(ctx, f.name)
	if err != nil {
		return err
	}
	if r.Key() != f.key {
		return nil // made again under the same name meanwhile
	}
	f.replica = r
	f.news = make(chan struct{}, 1)
	f.match = &matcher{key: f.key, name: f.name, schema: f.deps.Schema, runs: f.deps.Runs, typesOf: typesOf(f.deps.Store, r)}
	defer r.Watch(f.tell)()
	if err := f.recall(ctx); err != nil {
		return err
	}
	idle := time.NewTimer(followerIdle)
	defer idle.Stop()
	pause := time.NewTimer(cursorPause)
	defer pause.Stop()
	for {
		progressed, err := f.step(ctx)
		if err != nil {
			return err
		}
		if progressed {
			idle.Reset(followerIdle)
			continue
		}
		select {
		case <-f.news:
		case <-pause.C:
			pause.Reset(cursorPause)
			if err := f.flush(ctx); err != nil {
				return err
			}
		case <-r.Closed():
			return nil
		case <-idle.C:
			return nil
		case <-ctx.Done():
			// Another node goes on at once.
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), cursorPause)
			defer cancel()
			return errors.Join(f.flush(last), f.deps.Runs.Release(last, f.key, f.cfg.Node))
		}
	}
}

func (f *follower) tell() {
	select {
	case f.news <- struct{}{}:
	default:
	}
}

// recall reads the durable cursor: whatever was matched beyond it, with no
// result, is matched again.
func (f *follower) recall(ctx context.Context) error {
	c, err := f.deps.Runs.Cursor(ctx, f.key)
	if err != nil {
		return err
	}
	f.cursor, f.at = c, c.Version
	// The database decides; this spares the matching where it is clear.
	if c.Holder != "" && c.Holder != f.cfg.Node && c.Until.After(time.Now()) {
		return errStandBy
	}
	return nil
}

// step matches the next piece of the log; false where there is none.
func (f *follower) step(ctx context.Context) (bool, error) {
	head := f.replica.Head()
	if head.Version < f.cursor.Version {
		// The log was cut: it begins again from where it is now.
		return false, f.move(ctx, head.Version, head.Epoch, matched{})
	}
	if head.Version <= f.at {
		f.at = min(f.at, head.Version)
		return false, nil
	}
	commits, err := commitsSince(ctx, f.deps.Store, f.replica, f.at)
	if err != nil || len(commits) == 0 {
		return false, err
	}
	return true, f.pass(ctx, commits)
}

// pass matches commits, the next ones, and does what they ask for.
func (f *follower) pass(ctx context.Context, commits []*graph.Commit) error {
	found, err := f.match.match(ctx, commits)
	if err != nil {
		return err
	}
	last := commits[len(commits)-1]
	if len(found.asked)+len(found.ended) > 0 {
		if err := f.reach(ctx, last.Version); err != nil {
			return err
		}
	}
	if len(found.asked) > 0 {
		if err := f.askToStop(ctx, found.asked); err != nil {
			return err
		}
	}
	if len(found.ended) > 0 {
		if err := f.endChildren(ctx, found.ended); err != nil {
			return err
		}
	}
	if len(found.runs) == 0 && len(found.faults) == 0 {
		f.at = last.Version
		if time.Since(f.moved) >= cursorPause {
			err = f.flush(ctx)
		}
		return err
	}
	return f.move(ctx, last.Version, last.Epoch, found)
}

// flush makes the place that was reached durable.
func (f *follower) flush(ctx context.Context) error {
	if f.at == f.cursor.Version {
		return nil
	}
	return f.move(ctx, f.at, f.replica.Head().Epoch, matched{})
}

// move moves the cursor and makes the runs. Where another node was faster, what
// it did stands.
func (f *follower) move(ctx context.Context, to graph.Version, epoch string, found matched) error {
	places := f.reserve(found.runs)
	claims := places.claims()
	if len(claims) > 0 {
		// What is begun has to be known: it is not given up in the middle.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), finishPatience)
		defer cancel()
	}
	got, err := f.deps.Runs.Dispatch(ctx, &graph.Dispatch{
		Graph: f.key, Node: f.cfg.Node, Lease: f.cfg.Lease, From: f.cursor.Version, To: to, Epoch: epoch,
		Runs: found.runs, Faults: found.faults, Claims: claims,
	})
	if err != nil {
		places.find()
		return err
	}
	places.settle(got.Begun)
	f.cursor, f.at = got.Cursor, got.Cursor.Version
	if !got.Moved {
		if got.Cursor.Holder != f.cfg.Node {
			return errStandBy
		}
		return nil
	}
	f.moved = time.Now()
	if len(got.Ready) > 0 {
		f.ready(got.Ready)
	}
	return nil
}
