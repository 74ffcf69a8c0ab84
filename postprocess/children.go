package postprocess

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// An operation that another one started is joined to it by an edge, which the
// write path makes, and ends with it. Whoever has the child in hand sees to
// that: its executor watches the parent and ends the handler at once; an attempt
// that begins later finds the parent final and ends the object instead of
// calling the handler. So there is one way to the end, fenced like every other,
// whatever dies. What nobody has in hand, because it waits for a retry or for
// reports, is made due by the follower that sees the parent's end.
//
// That an operation is asked to stop is handed down by the follower that sees
// it: it sets `cancel` on the children as a user would have, so that every kind
// of handler hears of it in the way it knows, and their children in turn.

// startedBy is the edge from an operation to the one that started it.
const startedBy = "startedBy"

// childrenAtOnce is how many children are asked to stop at a time.
const childrenAtOnce = 16

// reachTime is how long the replica may take to know what was matched.
const reachTime = 10 * time.Second

// parent is the operation that started another one, as its executor sees it.
type parent struct {
	id   graph.ObjectID
	done chan struct{} // closed once it has ended, or is gone
	once sync.Once

	mu   sync.Mutex // guards the field below
	last parentState
}

// parentState is what a look at a parent finds.
type parentState struct {
	there bool
	raw   json.RawMessage
}

// parentBody is what matters of a parent's body.
type parentBody struct {
	Operation string `json:"operation"`
	Done      bool   `json:"done"`
	State     string `json:"state"`
}

// findParent looks for the operation that started this one. It is called before
// anything else waits for it.
func (o *Operation) findParent(ctx context.Context) error {
	var above graph.ObjectID
	var found bool
	err := o.graph.replica.Read(ctx, func(s *replica.State) {
		found = false
		s.Out(o.id, startedBy, func(e *graph.Edge) bool {
			above, found = e.To, true
			return false
		})
	})
	if err != nil || !found {
		return err
	}
	p := &parent{id: above, done: make(chan struct{})}
	var state parentState
	if err := o.graph.replica.Read(ctx, func(s *replica.State) { state = p.read(s) }); err != nil {
		return err
	}
	p.look(state)
	o.parent = p
	return nil
}

// read looks at the parent; nil has none.
func (p *parent) read(s *replica.State) (out parentState) {
	if p == nil {
		return out
	}
	if obj := s.Object(p.id); obj != nil {
		out.there, out.raw = true, obj.Body
	}
	return out
}

// look notes what was found.
func (p *parent) look(s parentState) {
	p.mu.Lock()
	p.last = s
	p.mu.Unlock()
	var b parentBody
	if !s.there || json.Unmarshal(s.raw, &b) == nil && b.Done {
		p.once.Do(func() { close(p.done) })
	}
}

// ended gives a channel that is closed once the parent has ended; without a
// parent one that never is.
func (p *parent) ended() <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.done
}

// isOrphaned reports whether the operation that started this one has ended.
func (o *Operation) isOrphaned() bool {
	select {
	case <-o.parent.ended():
		return true
	default:
		return false
	}
}

// orphanedBy says why an operation ends with the one that started it.
func (o *Operation) orphanedBy() *graph.RunError {
	o.parent.mu.Lock()
	last := o.parent.last
	o.parent.mu.Unlock()
	why := fmt.Sprintf("the operation that started this one, %s, was deleted", o.parent.id)
	var b parentBody
	if last.there && json.Unmarshal(last.raw, &b) == nil {
		why = fmt.Sprintf("the operation that started this one, %s (%s), has ended as %s", b.Operation, o.parent.id, b.State)
	}
	return &graph.RunError{Code: "parent-ended", Message: clip(why)}
}

// reach waits until the replica knows what was matched, which may come from the
// store: the children of operations are looked up in it. A version that never
// comes, because the log was cut meanwhile, is a fault: matching begins anew.
func (f *follower) reach(ctx context.Context, v graph.Version) error {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	return f.replica.Wait(ctx, v)
}

// askToStop tells the runs of operations that they are asked to stop, and asks
// their children. The cursor moves after it: doing it twice does no harm.
func (f *follower) askToStop(ctx context.Context, asked []askedToStop) error {
	ids := make([]graph.ObjectID, len(asked))
	for i, a := range asked {
		ids[i] = a.id
	}
	ready, err := f.deps.Runs.AskToStop(ctx, f.key, ids, f.cfg.CancelGrace)
	if err != nil {
		return err
	}
	f.ready(ready)
	for _, a := range asked {
		if err := f.askChildren(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// askChildren asks the children of an operation to stop that it had when it was
// asked itself. What it starts after that, to tidy up for instance, may go on
// until it ends.
func (f *follower) askChildren(ctx context.Context, parent askedToStop) error {
	var children []graph.ObjectID
	var made graph.Version // when the parent was
	err := f.replica.Read(ctx, func(s *replica.State) {
		children = children[:0]
		if o := s.Object(parent.id); o != nil {
			made = o.Meta.CreatedVersion
		}
		s.In(parent.id, startedBy, func(e *graph.Edge) bool {
			var b operationBody
			child := s.Object(e.From)
			if e.Meta.CreatedVersion < parent.at && child != nil && json.Unmarshal(child.Body, &b) == nil && !b.Done && !b.Cancel {
				children = append(children, e.From)
			}
			return true
		})
	})
	if err != nil || len(children) == 0 {
		return err
	}
	runs, _, err := f.deps.Runs.Fired(ctx, f.key, made)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(runs, func(r *graph.Run) bool {
		return r.Kind == graph.RunOperation && r.Entity == graph.ObjectRef(parent.id)
	})
	if i < 0 {
		return nil // forgotten, long after its end
	}
	var all errgroup.Group
	all.SetLimit(childrenAtOnce)
	for _, child := range children {
		all.Go(func() error { return f.askChild(ctx, runs[i], child) })
	}
	return all.Wait()
}

// askChild sets cancel on the object of an operation, with the run of its parent
// as the cause.
func (f *follower) askChild(ctx context.Context, parent *graph.Run, child graph.ObjectID) error {
	o := &Operation{id: child}
	_, err := f.deps.Submitter.Submit(ctx, f.name, &graph.Mutation{
		Key: writeKey(parent.ID, "cancel:"+child.String()), Patch: o.patch(nil, member{"cancel", "true"}),
		Author: authorOf(parent, false), Depth: parent.Depth + 1, ReplayAny: true, Executor: true,
		Cause: graph.Cause{Kind: graph.CauseOperation, Version: parent.Version, Run: parent.ID},
	})
	switch graph.CodeOf(err) {
	case "", graph.CodeNotFound, graph.CodeTestFailed:
		return nil // asked, gone, or ended meanwhile
	case graph.CodeUnavailable, graph.CodeInternal: // the end of ctx too
		return fmt.Errorf("ask operation %s to stop: %w", child, err)
	}
	// Trying again does not help, and matching must go on.
	f.cfg.Log.Error("ask a child operation to stop", "operation", child, "error", err)
	return nil
}

// endChildren makes the runs of children due that nobody has in hand. The
// cursor moves after it: doing it twice does no harm.
func (f *follower) endChildren(ctx context.Context, ended []graph.ObjectID) error {
	var children []graph.ObjectID
	err := f.replica.Read(ctx, func(s *replica.State) {
		children = children[:0]
		for _, id := range ended {
			s.In(id, startedBy, func(e *graph.Edge) bool {
				children = append(children, e.From)
				return true
			})
		}
	})
	if err != nil || len(children) == 0 {
		return err
	}
	ready, err := f.deps.Runs.AskToStop(ctx, f.key, children, 0)
	if err != nil {
		return err
	}
	f.ready(ready)
	return nil
}
