package postprocess

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/patch"
	"github.com/graphtide/graphtide/postprocess/script"
)

// statusKept is how many status entries an operation's object holds; the oldest
// go first.
const statusKept = 200

// The states of an operation's object that an executor writes.
const (
	opRunning   = "running"
	opSucceeded = "succeeded"
	opFailed    = "failed"
	opCancelled = "cancelled"
	opTimedOut  = "timed-out"
)

// errEnded says that the operation's object is final already, or gone.
var errEnded = errors.New("the operation has ended")

// Operation is the object of an operation in the hands of its executor. What it
// writes holds only while the object is not final, and the attempt is the
// run's.
type Operation struct {
	graph   *handle
	id      graph.ObjectID
	begun   chan struct{} // closed when the object says that it runs
	asked   chan struct{} // closed when somebody asked it to stop
	askOnce sync.Once
	parent  *parent // nil: no operation started it

	mu      sync.Mutex      // guards the fields below
	verdict string          // the final state that the handler chose, or ""
	params  json.RawMessage // as last read
}

var _ script.Operation = (*Operation)(nil)

func newOperation(h *handle) *Operation {
	return &Operation{
		graph: h, id: graph.ObjectID(h.run.Entity.ID), begun: make(chan struct{}), asked: make(chan struct{}),
	}
}

// operationBody is what the executor reads of the object.
type operationBody struct {
	Params json.RawMessage   `json:"params"`
	Status []json.RawMessage `json:"status"`
	Done   bool              `json:"done"`
	State  string            `json:"state"`
	Cancel bool              `json:"cancel"`
}

// body reads the object; ok is false where it is gone.
func (o *Operation) body(ctx context.Context) (b operationBody, ok bool, err error) {
	var raw json.RawMessage
	err = o.graph.replica.Read(ctx, func(s *replica.State) { raw, ok = o.raw(s) })
	return o.parse(raw, ok), ok, err
}

func (o *Operation) raw(s *replica.State) (json.RawMessage, bool) {
	if obj := s.Object(o.id); obj != nil {
		return obj.Body, true
	}
	return nil, false
}

// parse reads a body, and remembers what the operation was asked for with: that
// never changes.
func (o *Operation) parse(raw json.RawMessage, ok bool) (b operationBody) {
	if !ok || json.Unmarshal(raw, &b) != nil {
		return operationBody{}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.params = b.Params
	return b
}

// begin says in the object that it runs, beside the handler: nothing waits for
// it but the next thing that is written.
func (o *Operation) begin(ctx context.Context, b operationBody, expected func(context.Context, *graph.Run) string) {
	if b.State == opRunning {
		close(o.begun)
		return
	}
	go func() {
		defer close(o.begun)
		members := []member{{"state", `"running"`}}
		if at := expected(ctx, o.graph.run); at != "" {
			members = append(members, member{"expectedEnd", `"` + at + `"`})
		}
		p := o.patch(nil, members...)
		// A refusal or the end of the attempt shows at the next write.
		_, _ = o.graph.submit(ctx, writeKey(o.graph.run.ID, "running:"+strconv.Itoa(o.graph.run.Attempt)), p, true)
	}()
}

// watch notes when somebody asks the operation to stop, and when the one that
// started it ends.
func (o *Operation) watch(ctx context.Context) (stop func()) {
	held := []graph.ObjectID{o.id}
	if o.parent != nil {
		held = append(held, o.parent.id)
	}
	for _, id := range held {
		o.graph.replica.Hold(id)
	}
	look := func(raw json.RawMessage, ok bool, above parentState) {
		if !ok || o.parse(raw, ok).Cancel {
			o.askOnce.Do(func() { close(o.asked) })
		}
		if o.parent != nil {
			o.parent.look(above)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var loads sync.WaitGroup
	check := func() {
		var raw json.RawMessage
		var ok bool
		var above parentState
		read := func(s *replica.State) {
			raw, ok = o.raw(s)
			above = o.parent.read(s)
		}
		reading := o.graph.replica.Begin()
		defer reading.End()
		if reading.Try(read) {
			look(raw, ok, above)
			return
		}
		// Who tells of a change must not be kept waiting for a load.
		loads.Go(func() {
			if o.graph.replica.Read(ctx, read) == nil {
				look(raw, ok, above)
			}
		})
	}
	stopped := o.graph.replica.Watch(check)
	check()
	return func() {
		stopped()
		cancel()
		loads.Wait()
		for _, id := range held {
			o.graph.replica.Release(id)
		}
	}
}

// cutOff gives a context that ends grace after the operation was asked to stop:
// a handler that looks has ended by then, and one that does not look is ended.
// Once the operation that started this one has ended there is nothing to wait
// for: the context ends at once.
func (o *Operation) cutOff(parent context.Context, grace time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-o.asked:
		case <-o.parent.ended():
			cancel(errOrphaned)
			return
		case <-ctx.Done():
			return
		}
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel(errCutOff)
		case <-o.parent.ended():
			cancel(errOrphaned)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// Asked is closed once somebody asked the operation to stop.
func (o *Operation) Asked() <-chan struct{} { return o.asked }

// Cancelled reports whether somebody asked the operation to stop.
func (o *Operation) Cancelled() bool {
	select {
	case <-o.asked:
		return true
	default:
		return false
	}
}

// Params gives what the operation was asked for with, as JSON.
func (o *Operation) Params() json.RawMessage {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.params == nil {
		return json.RawMessage("{}")
	}
	return o.params
}

// Status appends a status entry; progress is between 0 and 1, or nil to leave
// it as it is.
func (o *Operation) Status(ctx context.Context, message string, progress *float64) error {
	return o.tell(ctx, "info", message, progress)
}

// Warn appends a warning.
func (o *Operation) Warn(ctx context.Context, message string) error {
	return o.tell(ctx, "warning", message, nil)
}

func (o *Operation) tell(ctx context.Context, level, message string, progress *float64) error {
	if err := o.open(ctx); err != nil {
		return err
	}
	b, ok, err := o.body(ctx)
	if err != nil {
		return err
	}
	if !ok || b.Done {
		return o.ended()
	}
	p := o.patch(nil)
	p = p[:len(p)-1]
	if len(b.Status) >= statusKept {
		p = o.op(append(p, ','), "remove", "status/0", "")
	}
	p = o.op(append(p, ','), "add", "status/-", statusEntry(level, message, progress))
	if level == "warning" {
		p = o.op(append(p, ','), "add", "warnings/-", string(graph.AppendString(nil, clip(message))))
	}
	if progress != nil {
		p = o.op(append(p, ','), "add", "progress", formatProgress(*progress))
	}
	p = append(p, ']')
	// A key of its own: a handler that is called again tells anew.
	_, err = o.graph.submit(ctx, uuid.NewString(), p, true)
	return o.judge(ctx, err)
}

// Fail ends the operation as failed.
func (o *Operation) Fail(ctx context.Context, message string) error {
	return o.end(ctx, opFailed, nil, nil, problem("handler-failed", "The handler failed", message))
}

// Complete ends the operation as succeeded: its result and the changes that it
// describes are committed together. Both may be nil.
func (o *Operation) Complete(ctx context.Context, result, changes json.RawMessage) error {
	return o.end(ctx, opSucceeded, result, changes, nil)
}

// end makes the object final, once. The error is errEnded where it is final
// already, and a refusal of the changes where they are refused: then it is not.
func (o *Operation) end(ctx context.Context, state string, result, changes, problem json.RawMessage) error {
	if err := o.open(ctx); err != nil {
		return err
	}
	if len(changes) > 0 && string(changes) != "null" {
		if err := o.mayChange(ctx, changes); err != nil {
			return err
		}
	}
	p := o.finalPatch(state, result, changes, problem)
	key := o.graph.run.ID
	if state != opSucceeded {
		key = writeKey(o.graph.run.ID, "end:"+state)
	}
	if _, err := o.graph.submit(ctx, key, p, true); err != nil {
		return o.judge(ctx, err)
	}
	o.mu.Lock()
	o.verdict = state
	o.mu.Unlock()
	return nil
}

// finalPatch gives the patch that makes the object final, with the changes in
// front.
func (o *Operation) finalPatch(state string, result, changes, problem json.RawMessage) json.RawMessage {
	members := []member{{"state", `"` + state + `"`}, {"done", "true"}}
	if state == opSucceeded {
		members = append(members, member{"progress", "1"})
	}
	if len(result) > 0 {
		members = append(members, member{"result", string(result)})
	}
	if problem != nil {
		members = append(members, member{"error", string(problem)})
	}
	return o.patch(changes, members...)
}

// mayChange refuses changes that the author of an operation that runs as its
// user has no right to: the executor's own fields need none, the changes do.
func (o *Operation) mayChange(ctx context.Context, changes json.RawMessage) error {
	if o.graph.author.Admin {
		return nil
	}
	dry, err := o.graph.submitter.DryRun(ctx, o.graph.run.GraphName, &graph.Mutation{Patch: changes, Author: o.graph.author})
	if err != nil {
		return err
	}
	if !dry.OK && len(dry.Problems) > 0 {
		return dry.Problems[0]
	}
	return nil
}

// open waits for begin's commit; errEnded after a verdict.
func (o *Operation) open(ctx context.Context) error {
	select {
	case <-o.begun:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.verdict != "" {
		return o.ended()
	}
	return nil
}

// judge tells the end of the object from other refusals.
func (o *Operation) judge(ctx context.Context, err error) error {
	var pub *graph.Error
	if !errors.As(err, &pub) {
		return err
	}
	gone := pub.Code == graph.CodeNotFound || pub.Code == graph.CodeTestFailed
	if !gone {
		return err
	}
	if b, ok, unread := o.body(ctx); unread == nil && (!ok || b.Done) {
		return o.ended()
	}
	return err
}

func (o *Operation) ended() error {
	e := graph.Errf(graph.CodeTestFailed, "%s", errEnded.Error())
	e.Err = errEnded
	return e
}

type member struct{ name, value string }

// patch gives a patch that holds only while the object is not final: changes,
// then members of the body.
func (o *Operation) patch(changes json.RawMessage, members ...member) json.RawMessage {
	head := append(o.op([]byte{'['}, "test", "done", "false"), ']')
	tail := []byte{'['}
	for i, m := range members {
		tail = o.op(separate(tail, i), "add", m.name, m.value)
	}
	tail = append(tail, ']')
	if len(changes) == 0 || string(changes) == "null" {
		changes = json.RawMessage("[]")
	}
	return patch.Concat(head, changes, tail)
}

// op appends an operation on a member of the object's body.
func (o *Operation) op(dst []byte, op, path, value string) []byte {
	dst = append(dst, `{"op":"`...)
	dst = append(dst, op...)
	dst = append(dst, `","path":"/objects/`...)
	dst = o.id.AppendTo(dst)
	dst = append(dst, "/body/"...)
	dst = append(dst, path...)
	dst = append(dst, '"')
	if value != "" {
		dst = append(dst, `,"value":`...)
		dst = append(dst, value...)
	}
	return append(dst, '}')
}

func statusEntry(level, message string, progress *float64) string {
	dst := append([]byte(nil), `{"at":"`...)
	dst = time.Now().UTC().AppendFormat(dst, graph.TimeFormat)
	dst = append(dst, `","level":"`...)
	dst = append(dst, level...)
	dst = append(dst, `","message":`...)
	dst = graph.AppendString(dst, clip(message))
	dst = append(dst, `,"progress":`...)
	if progress == nil {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, formatProgress(*progress)...)
	}
	return string(append(dst, '}'))
}

// formatProgress writes a number that JSON knows.
func formatProgress(p float64) string {
	b, err := json.Marshal(p)
	if err != nil { // NaN or an infinity
		return "0"
	}
	return string(b)
}

// problem gives the error of an operation, in the form of every other problem.
func problem(code, title, detail string) json.RawMessage {
	dst := append([]byte(nil), `{"type":"urn:graphtide:problem:`...)
	dst = append(dst, code...)
	dst = append(dst, `","code":"`...)
	dst = append(dst, code...)
	dst = append(dst, `","title":`...)
	dst = graph.AppendString(dst, title)
	dst = append(dst, `,"status":500,"detail":`...)
	dst = graph.AppendString(dst, clip(detail))
	return append(dst, '}')
}
