package script

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/dop251/goja"
)

// Graph is what a script may do with the graph. The errors it gives reach the
// script as exceptions with a message, and a code where it has one.
type Graph interface {
	// Get gives an object as {"id", "type", "body", "meta"}, or null.
	Get(ctx context.Context, id string) (json.RawMessage, error)
	// Load evaluates a projection, or {"name", "args"}.
	Load(ctx context.Context, projection json.RawMessage) (json.RawMessage, error)
	// Patch commits a transaction; key names it among those of the run, ""
	// takes its number.
	Patch(ctx context.Context, patch json.RawMessage, key string) (json.RawMessage, error)
}

// Operation is what the script of an operation may tell.
type Operation interface {
	Status(ctx context.Context, message string, progress *float64) error
	Warn(ctx context.Context, message string) error
	Fail(ctx context.Context, message string) error
	Complete(ctx context.Context, result, patch json.RawMessage) error
	Cancelled() bool
	Params() json.RawMessage
}

// Limits bound a run.
type Limits struct {
	Memory int64         // growth of the heap; 0: 256 MiB
	Answer int           // bytes of the answer and of each argument of a call; 0: 4 MiB
	Stack  int           // calls deep; 0: 2,000
	Grace  time.Duration // for a script that cannot be stopped at once; 0: 2 s
}

func (l Limits) withDefaults() Limits {
	if l.Memory == 0 {
		l.Memory = 256 << 20
	}
	if l.Answer == 0 {
		l.Answer = 4 << 20
	}
	if l.Stack == 0 {
		l.Stack = 2000
	}
	if l.Grace == 0 {
		l.Grace = 2 * time.Second
	}
	return l
}

// Error is a script's own failure: an exception, or a bound it hit.
type Error struct {
	Message string // for whoever waits for what the script does
	Where   string // places in the source, for whoever wrote it; "" where there are none
}

// Error gives the message and the places.
func (e *Error) Error() string {
	if e.Where == "" {
		return e.Message
	}
	return e.Message + "\n" + e.Where
}

// ErrMemory ends a run that holds too much memory.
var ErrMemory = errors.New("the script holds too much memory")

// Run calls the script's function with the event and the graph, and gives what
// it returned as JSON; nil for undefined. The error is ctx's cause once ctx has
// ended, ErrMemory, or an *Error. op is nil for a rule.
func (p *Program) Run(ctx context.Context, event json.RawMessage, g Graph, op Operation, lim Limits) (json.RawMessage, error) {
	lim = lim.withDefaults()
	type outcome struct {
		answer json.RawMessage
		err    error
	}
	r := &run{ctx: ctx, graph: g, op: op, lim: lim, vm: goja.New()}
	done := make(chan outcome, 1)
	release := guard.watch(r, lim.Memory)
	go func() {
		defer release() // it is watched to its end, also where nobody waits for that
		answer, err := r.main(p, event)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx) // to say what was wrong may be what took so long
		}
		done <- outcome{answer, err}
	}()
	select {
	case o := <-done:
		return o.answer, o.err
	case <-ctx.Done():
	}
	r.vm.Interrupt(context.Cause(ctx))
	grace := time.NewTimer(lim.Grace)
	defer grace.Stop()
	select {
	case o := <-done:
		return o.answer, o.err
	case <-grace.C:
		// One step of the language that cannot be stopped. The goroutine ends
		// with that step; its writes are fenced off.
		return nil, context.Cause(ctx)
	}
}

// run is one call of a script; its fields belong to the goroutine of main.
type run struct {
	ctx       context.Context // of the run: its life is the run's
	vm        *goja.Runtime
	graph     Graph
	op        Operation
	lim       Limits
	stringify goja.Callable
	parse     goja.Callable
}

func (r *run) main(p *Program, event json.RawMessage) (answer json.RawMessage, err error) {
	defer func() {
		// goja turns its own panics into exceptions; what is left is a fault of
		// the interpreter, and must not take the server along.
		if x := recover(); x != nil {
			err = &Error{Message: "the interpreter failed", Where: fmt.Sprint(x)}
		}
	}()
	r.vm.SetMaxCallStackSize(r.lim.Stack)
	if err := r.prelude(); err != nil {
		return nil, err
	}
	fn, err := r.load(p)
	if err != nil {
		return nil, r.failure(err)
	}
	ev, err := r.fromJSON(event)
	if err != nil {
		return nil, r.failure(err)
	}
	if r.op != nil {
		if err := ev.ToObject(r.vm).Set("operation", r.operation()); err != nil {
			return nil, r.failure(err)
		}
	}
	v, err := fn(goja.Undefined(), ev, r.graphObject())
	if err != nil {
		return nil, r.failure(err)
	}
	v, err = settled(v)
	if err != nil {
		return nil, r.failure(err)
	}
	answer, err = r.toJSON(v, "answer")
	if err != nil {
		return nil, r.failure(err)
	}
	return answer, nil
}

// load evaluates the module and gives its default export.
func (r *run) load(p *Program) (goja.Callable, error) {
	wrapped, err := r.vm.RunProgram(p.prog)
	if err != nil {
		return nil, err
	}
	call, _ := goja.AssertFunction(wrapped)
	module := r.vm.NewObject()
	exports := r.vm.NewObject()
	if err := module.Set("exports", exports); err != nil {
		return nil, err
	}
	require := func(goja.FunctionCall) goja.Value {
		panic(r.vm.NewTypeError("a handler is one file: it cannot import others"))
	}
	if _, err := call(goja.Undefined(), module, exports, r.vm.ToValue(require)); err != nil {
		return nil, err
	}
	fn, ok := goja.AssertFunction(module.Get("exports").ToObject(r.vm).Get("default"))
	if !ok {
		return nil, &Error{Message: "there is no `export default function (event, graph)`", Where: p.name}
	}
	return fn, nil
}

// settled unwraps a promise. All jobs have run by now, and no timer can run
// more: a promise still pending stays so for ever.
func settled(v goja.Value) (goja.Value, error) {
	// To export anything else would copy all of it.
	if v.ExportType() != reflect.TypeFor[*goja.Promise]() {
		return v, nil
	}
	p, ok := v.Export().(*goja.Promise)
	if !ok {
		return v, nil
	}
	switch p.State() {
	case goja.PromiseStateFulfilled:
		return p.Result(), nil
	case goja.PromiseStateRejected:
		return nil, &rejection{p.Result()}
	}
	return nil, &Error{Message: "the handler waits for a promise that nothing can settle any more"}
}

// rejection carries the reason of a rejected promise.
type rejection struct{ reason goja.Value }

func (e *rejection) Error() string { return "a promise was rejected" }

// failure maps what goja gives to the errors of Run.
func (r *run) failure(err error) error {
	var mine *Error
	var reason *rejection
	var thrown *goja.Exception
	var stopped *goja.InterruptedError
	var deep *goja.StackOverflowError
	switch {
	case errors.As(err, &mine):
		return mine
	case errors.As(err, &stopped):
		if cause, ok := stopped.Value().(error); ok {
			return cause
		}
		return &Error{Message: "the script was stopped"}
	case r.ctx.Err() != nil:
		return context.Cause(r.ctx)
	case errors.As(err, &deep):
		return &Error{Message: "the script called itself too deeply", Where: framesOf(deep.Stack())}
	case errors.As(err, &reason):
		return r.exception(reason.reason, nil)
	case errors.As(err, &thrown):
		return r.exception(thrown.Value(), thrown.Stack())
	}
	return &Error{Message: clip(err.Error())}
}

// clip keeps messages to a size that can be shown.
func clip(s string) string {
	const most = 2048
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
