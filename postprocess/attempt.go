package postprocess

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/postprocess/script"
	"github.com/graphtide/graphtide/schema"
)

// The ends of an attempt's context.
var (
	errTimedOut = &failure{code: "timed-out", message: "the handler did not end in time"}
	errStopping = errors.New("this node stops")
	errCutOff   = errors.New("the operation was asked to stop and its handler did not")
	errOrphaned = errors.New("the operation that started this one has ended")
)

// attempt is one try of a run on this node, from the claim to the end.
type attempt struct {
	svc       *Service
	run       *graph.Run
	token     string
	handler   schema.Handler
	registry  *schema.Registry
	graph     *handle
	operation *Operation // nil for a rule
	event     []byte     // see appendEvent
	request   json.RawMessage
	vacate    func() // gives up the slot that the handler had; nil without one

	mu        sync.Mutex // guards the field below
	committed []graph.Version
}

// try claims a run and, where that succeeds, tries it.
func (s *Service) try(ref graph.RunRef, vacate func()) {
	token, hash := newToken(ref.Run)
	began := time.Now()
	run, err := s.claims.do(s.life, ref.Graph, graph.RunClaim{Run: ref.Run, TokenHash: hash})
	if err != nil {
		if s.life.Err() == nil {
			s.cfg.Log.Warn("claim a run", "run", ref.Run, "error", err)
		}
		return // it stays due: the sweeper finds it
	}
	if run != nil {
		s.attempt(run, token, began, vacate)
	}
}

// attempt tries a run that has been claimed, which was asked for at began.
func (s *Service) attempt(run *graph.Run, token string, began time.Time, vacate func()) {
	if run.Open { // nobody reported in time
		a := &attempt{svc: s, run: run, vacate: vacate}
		late := graph.LostAttempt(true)
		a.report(a.fail(s.life, &failure{code: late.Code, message: late.Message}))
		return
	}
	life, cancel := context.WithCancelCause(s.life)
	defer cancel(nil)
	defer s.leases.hold(run, began, cancel)()
	a := &attempt{svc: s, run: run, token: token, vacate: vacate}
	a.end(life, a.do(life))
}

// do prepares the attempt and calls the handler. A nil error means that the
// attempt has been ended, or is parked.
func (a *attempt) do(life context.Context) error {
	r, err := a.svc.deps.Replicas.Open(life, a.run.GraphName)
	switch {
	case graph.CodeOf(err) == graph.CodeNotFound || err == nil && r.Key() != a.run.Graph:
		return a.finish(life, graph.RunCancelled, &graph.RunError{Code: string(graph.CodeNotFound), Message: "the graph was deleted"})
	case err != nil:
		return infrastructure(err)
	}
	if err := r.Wait(life, a.run.Version); err != nil {
		return infrastructure(err)
	}
	asUser, err := a.declared(life)
	if err != nil {
		return infrastructure(err)
	}
	a.graph = a.svc.handleOf(a.run, r, a.registry, asUser)
	a.graph.committed = func(_ context.Context, v graph.Version) { a.noteCommit(v) }
	if a.run.Kind == graph.RunOperation {
		return a.operate(life, r)
	}
	return a.react(life, r)
}

// infrastructure marks a fault that is not the handler's: it costs no retry.
func infrastructure(err error) error { return &infraError{err} }

type infraError struct{ err error }

func (e *infraError) Error() string { return e.err.Error() }
func (e *infraError) Unwrap() error { return e.err }

// declared finds the handler: as the schema has it now, so that a mended
// handler serves what waits for it, or else as it was when the run was matched.
func (a *attempt) declared(ctx context.Context) (asUser bool, err error) {
	current := a.svc.deps.Schema.Current()
	past, err := a.svc.deps.Schema.At(ctx, a.run.SchemaVer)
	if err != nil {
		return false, fmt.Errorf("read schema version %d: %w", a.run.SchemaVer, err)
	}
	for _, reg := range []*schema.Registry{current, past} {
		a.registry = reg
		if a.run.Kind == graph.RunOperation {
			if op := reg.Operations[a.run.Rule]; op != nil {
				a.handler = op.Handler
				return op.AsUser, nil
			}
			continue
		}
		if i := slices.IndexFunc(reg.Rules, func(r *schema.Rule) bool { return r.Name == a.run.Rule }); i >= 0 {
			a.handler = reg.Rules[i].Handler
			return reg.Rules[i].AsUser, nil
		}
	}
	return false, nil
}

// prepare makes the event.
func (a *attempt) prepare(ctx context.Context, r *replica.Replica) error {
	c, err := commitAt(ctx, a.svc.deps.Store, r, a.run.Version)
	if err != nil {
		if graph.CodeOf(err) == graph.CodeGone {
			return &failure{code: string(graph.CodeGone), message: "history does not reach back to the change any more", permanent: true}
		}
		return infrastructure(err)
	}
	a.event = appendEvent(nil, a.run, c)
	return nil
}

// remaining is how long the attempt may take, by the database's clock: the
// claim was made one lease before WakeAt.
func (a *attempt) remaining() time.Duration {
	return a.run.Deadline.Sub(a.run.WakeAt.Add(-a.svc.cfg.Lease))
}

// react runs the handler of a rule.
func (a *attempt) react(life context.Context, r *replica.Replica) error {
	if a.run.RetriesLeft < 0 {
		return a.finish(life, graph.RunDead, graph.LostAttempt(false))
	}
	if err := a.prepare(life, r); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(life, a.remaining(), errTimedOut)
	defer cancel()
	out, err := a.handle(ctx)
	if err != nil {
		return err
	}
	if out.accepted {
		return a.park(life, out)
	}
	if out.patch != nil {
		if _, err := a.graph.submit(ctx, a.run.ID, out.patch, false); err != nil {
			return err
		}
	}
	return a.finish(life, graph.RunSucceeded, nil, a.answered(out))
}

// operate runs the handler of an operation.
func (a *attempt) operate(life context.Context, r *replica.Replica) error {
	a.operation = newOperation(a.graph)
	if err := a.operation.findParent(life); err != nil {
		return infrastructure(err)
	}
	if a.run.Attempt > 1 || a.operation.parent != nil && !a.operation.isOrphaned() {
		// It may be due because of what others said meanwhile, or of its parent's
		// end, and this node need not have heard of that yet.
		if err := r.CatchUp(life); err != nil {
			return infrastructure(err)
		}
		if err := a.operation.findParent(life); err != nil {
			return infrastructure(err)
		}
	}
	b, ok, err := a.operation.body(life)
	switch {
	case err != nil:
		return infrastructure(err)
	case !ok:
		return a.finish(life, graph.RunCancelled, &graph.RunError{Code: string(graph.CodeNotFound), Message: "the operation's object was deleted"})
	case b.Done:
		return a.finish(life, runStateOf(b.State), nil)
	}
	// What ends the operation below waits for nothing.
	ending := func(state string, why *graph.RunError) error {
		close(a.operation.begun)
		return a.conclude(life, state, why)
	}
	switch {
	case a.operation.isOrphaned():
		return ending(opCancelled, a.operation.orphanedBy())
	case b.Cancel:
		return ending(opCancelled, nil)
	case a.remaining() <= 0:
		return ending(opTimedOut, graph.LostAttempt(true))
	case a.run.RetriesLeft < 0:
		return ending(opFailed, graph.LostAttempt(false))
	}
	if err := a.prepare(life, r); err != nil {
		close(a.operation.begun)
		return err
	}
	ctx, cancel := context.WithTimeoutCause(life, a.remaining(), errTimedOut)
	defer cancel()
	a.operation.begin(ctx, b, a.svc.expectedEnd)
	defer a.operation.watch(ctx)()
	ctx, released := a.operation.cutOff(ctx, a.svc.cfg.CancelGrace)
	defer released()
	out, err := a.handle(ctx)
	<-a.operation.begun
	if v := a.verdict(); v != "" {
		return a.finish(life, runStateOf(v), nil, a.answered(out))
	}
	switch {
	case errors.Is(err, errOrphaned):
		return a.conclude(life, opCancelled, a.operation.orphanedBy(), graph.Hop{Hop: graph.HopFailed, Request: storable(a.request), Error: runError(err)})
	case err != nil && a.operation.Cancelled() && life.Err() == nil && !errors.Is(err, errTimedOut):
		// It did not end well, but it was not to go on either.
		return a.conclude(life, opCancelled, nil, graph.Hop{Hop: graph.HopFailed, Request: storable(a.request), Error: runError(err)})
	case err != nil:
		return err
	case out.accepted:
		return a.park(life, out)
	case out.patch == nil && out.result == nil && a.operation.Cancelled():
		return a.conclude(life, opCancelled, nil, a.answered(out))
	}
	if err := a.operation.Complete(ctx, out.result, out.patch); err != nil {
		return err
	}
	return a.finish(life, graph.RunSucceeded, nil, a.answered(out))
}

func (a *attempt) verdict() string {
	a.operation.mu.Lock()
	defer a.operation.mu.Unlock()
	return a.operation.verdict
}

// operationForScript gives event.operation, or nil for a rule.
func (a *attempt) operationForScript() script.Operation {
	if a.operation == nil {
		return nil
	}
	return a.operation
}

// runStateOf maps the final state of an operation's object to its run's.
func runStateOf(state string) graph.RunState {
	switch state {
	case opSucceeded:
		return graph.RunSucceeded
	case opCancelled:
		return graph.RunCancelled
	}
	return graph.RunDead
}

// conclude ends the operation's object, and then the run: in this order, so
// that a death between the two leaves a run that finds its object final.
func (a *attempt) conclude(life context.Context, state string, why *graph.RunError, hops ...graph.Hop) error {
	var p json.RawMessage
	if why != nil {
		p = problem(why.Code, "The operation did not end well", why.Message)
	}
	err := a.operation.end(life, state, nil, nil, p)
	if err != nil && !errors.Is(err, errEnded) {
		return infrastructure(err)
	}
	return a.finish(life, runStateOf(state), why, hops...)
}

// end deals with what do could not: a failed handler, a node that stops, a
// lease that is lost.
func (a *attempt) end(life context.Context, err error) {
	var infra *infraError
	switch {
	case err == nil:
		return
	case errors.Is(err, errLeaseLost) || errors.Is(context.Cause(life), errLeaseLost):
		return // it is another's now
	case errors.Is(err, errOrphaned):
		a.report(a.conclude(life, opCancelled, a.operation.orphanedBy()))
	case errors.Is(context.Cause(life), errStopping):
		ctx, cancel := context.WithTimeout(context.WithoutCancel(life), a.svc.cfg.Lease)
		defer cancel()
		a.report(a.back(ctx, graph.HopReleased, 0))
	case errors.Is(err, errEnded):
		b, _, err := a.operation.body(life)
		if err != nil {
			a.report(err)
			return
		}
		a.report(a.finish(life, runStateOf(b.State), nil))
	case errors.As(err, &infra) || isInfrastructure(err):
		a.svc.cfg.Log.Warn("a run could not be tried", "run", a.run.ID, "rule", a.run.Rule, "error", err)
		a.report(a.back(life, graph.HopFailed, a.svc.cfg.RetryDelay))
	default:
		a.report(a.fail(life, err))
	}
}

func isInfrastructure(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// report logs what could not even be written down: the lease runs out, and the
// run is tried again.
func (a *attempt) report(err error) {
	if err != nil && !errors.Is(err, errLeaseLost) {
		a.svc.cfg.Log.Warn("end an attempt", "run", a.run.ID, "error", err)
	}
}

// fail counts a failure: another try is due later, or the run is dead.
func (a *attempt) fail(life context.Context, err error) error {
	why := runError(err)
	if why.Code == string(graph.CodeInternal) {
		a.svc.cfg.Log.Error("a handler failed within the server", "run", a.run.ID, "rule", a.run.Rule, "error", err)
	}
	failedHop := graph.Hop{Hop: graph.HopFailed, Request: storable(a.request), Error: why}
	var f *failure
	permanent := errors.As(err, &f) && f.permanent
	late := a.operation != nil && errors.Is(err, errTimedOut)
	if !permanent && !late && a.run.RetriesLeft > 0 {
		delay := a.svc.delay(a.run)
		if err := a.finishWith(life, graph.RunEnd{State: graph.RunRetrying, Delay: delay, Error: why, Hops: []graph.Hop{failedHop}}); err != nil {
			return err
		}
		a.svc.retryLater(graph.RunRef{Graph: a.run.Graph, Run: a.run.ID, Rule: a.run.Rule, Attempt: a.run.Attempt}, delay)
		return nil
	}
	if a.operation != nil {
		state := opFailed
		if late {
			state = opTimedOut
		}
		return a.conclude(life, state, why, failedHop)
	}
	return a.finish(life, graph.RunDead, why, failedHop)
}

// back gives the run back: the try is not counted.
func (a *attempt) back(ctx context.Context, hop graph.HopKind, delay time.Duration) error {
	h := graph.Hop{Hop: hop}
	if hop == graph.HopFailed {
		h.Error = runError(&graph.Error{Code: graph.CodeUnavailable, Message: "a part of the server did not answer"})
	}
	err := a.finishWith(ctx, graph.RunEnd{State: graph.RunRetrying, Delay: delay, Refund: true, Hops: []graph.Hop{h}})
	if err == nil && hop == graph.HopFailed {
		a.svc.retryLater(graph.RunRef{Graph: a.run.Graph, Run: a.run.ID, Rule: a.run.Rule, Attempt: a.run.Attempt}, delay)
	}
	return err
}

// park leaves the attempt open: its reports are awaited, for no longer than the
// grace if it was asked to stop meanwhile.
func (a *attempt) park(life context.Context, out answer) error {
	hops := append([]graph.Hop{a.answered(out)}, a.commitHops()...)
	_, err := a.svc.deps.Runs.Park(life, a.run.Graph, a.run.ID, a.run.Attempt, hops)
	if err != nil {
		return infrastructure(err)
	}
	return nil // false: a report has ended it meanwhile
}

func (a *attempt) answered(out answer) graph.Hop {
	return graph.Hop{Hop: graph.HopAnswered, Node: a.svc.cfg.Node, Request: storable(a.request), Answer: out.raw}
}

// finish ends the run.
func (a *attempt) finish(ctx context.Context, state graph.RunState, why *graph.RunError, hops ...graph.Hop) error {
	return a.finishWith(ctx, graph.RunEnd{State: state, Error: why, Hops: hops})
}

// finishWith writes the end of the attempt, for as long as it takes and the
// lease lasts.
func (a *attempt) finishWith(ctx context.Context, e graph.RunEnd) error {
	if a.vacate != nil {
		a.vacate()
	}
	e.Run, e.Attempt = a.run.ID, a.run.Attempt
	e.Hops = append(e.Hops, a.commitHops()...)
	if e.State.Final() {
		e.Hops = append(e.Hops, graph.Hop{Hop: graph.HopKind(e.State), Node: a.svc.cfg.Node})
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		held, err := a.svc.ends.do(ctx, a.run.Graph, e)
		if err == nil {
			if !held {
				return errLeaseLost
			}
			a.svc.count(e.State)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		pause(ctx, wait)
	}
}

func (a *attempt) noteCommit(v graph.Version) {
	const most = 100 // the log has them all
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.committed) < most && !slices.Contains(a.committed, v) {
		a.committed = append(a.committed, v)
	}
}

func (a *attempt) commitHops() []graph.Hop {
	a.mu.Lock()
	defer a.mu.Unlock()
	hops := make([]graph.Hop, len(a.committed))
	for i, v := range a.committed {
		hops[i] = graph.Hop{Hop: graph.HopCommitted, Node: a.svc.cfg.Node, Version: v}
	}
	return hops
}

// scriptError maps what the sandbox gives to a failure.
func (a *attempt) scriptError(ctx context.Context, err error) error {
	var mine *script.Error
	switch {
	case errors.As(err, &mine):
		return &failure{code: "handler-failed", message: mine.Message, where: mine.Where}
	case errors.Is(err, script.ErrMemory):
		return failed("%s", err)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return err
}

// delay is the pause before the next try: doubling, and a little apart from
// others that failed together.
func (s *Service) delay(run *graph.Run) time.Duration {
	n := max(0, run.Retries-run.RetriesLeft)
	d := s.cfg.RetryDelay << min(n, 20)
	if d > maxDelay || d <= 0 {
		d = maxDelay
	}
	return d + rand.N(d/10+1)
}
