package script

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dop251/goja"

	"github.com/graphtide/graphtide/graph"
)

// graphObject makes the handler's second argument.
func (r *run) graphObject() goja.Value {
	o := r.vm.NewObject()
	r.method(o, "get", func(c goja.FunctionCall) goja.Value {
		return r.value(r.graph.Get(r.ctx, c.Argument(0).String()))
	})
	r.method(o, "load", func(c goja.FunctionCall) goja.Value {
		return r.value(r.graph.Load(r.ctx, r.argument(c.Argument(0), "projection")))
	})
	r.method(o, "patch", func(c goja.FunctionCall) goja.Value {
		key := ""
		if opt, ok := c.Argument(1).(*goja.Object); ok {
			if k := opt.Get("key"); k != nil && !goja.IsUndefined(k) && !goja.IsNull(k) {
				key = k.String()
			}
		}
		return r.value(r.graph.Patch(r.ctx, r.argument(c.Argument(0), "patch"), key))
	})
	return o
}

// operation makes event.operation.
func (r *run) operation() goja.Value {
	o := r.vm.NewObject()
	params, err := r.fromJSON(r.op.Params())
	if err != nil {
		params = r.vm.NewObject()
	}
	r.must(o.Set("params", params))
	r.must(o.DefineAccessorProperty("cancelled", r.vm.ToValue(func(goja.FunctionCall) goja.Value {
		return r.vm.ToValue(r.op.Cancelled())
	}), nil, goja.FLAG_FALSE, goja.FLAG_TRUE))
	r.method(o, "status", func(c goja.FunctionCall) goja.Value {
		var progress *float64
		if p := c.Argument(1); !goja.IsUndefined(p) && !goja.IsNull(p) {
			f := p.ToFloat()
			progress = &f
		}
		return r.nothing(r.op.Status(r.ctx, r.text(c.Argument(0)), progress))
	})
	r.method(o, "warn", func(c goja.FunctionCall) goja.Value {
		return r.nothing(r.op.Warn(r.ctx, r.text(c.Argument(0))))
	})
	r.method(o, "fail", func(c goja.FunctionCall) goja.Value {
		return r.nothing(r.op.Fail(r.ctx, r.text(c.Argument(0))))
	})
	r.method(o, "complete", func(c goja.FunctionCall) goja.Value {
		return r.nothing(r.op.Complete(r.ctx, r.argument(c.Argument(0), "result"), r.argument(c.Argument(1), "patch")))
	})
	return o
}

// sleep waits, and gives a promise that is settled already: both `await
// sleep(10)` and `sleep(10)` wait.
func (r *run) sleep(c goja.FunctionCall) goja.Value {
	ms := c.Argument(0).ToFloat()
	if !(ms > 0) { // NaN too
		return r.nothing(r.ctx.Err())
	}
	const longest = float64(time.Hour / time.Millisecond)
	t := time.NewTimer(time.Duration(min(ms, longest) * float64(time.Millisecond)))
	defer t.Stop()
	select {
	case <-t.C:
		return r.nothing(nil)
	case <-r.ctx.Done():
		return r.nothing(r.ctx.Err())
	}
}

func (r *run) method(o *goja.Object, name string, fn func(goja.FunctionCall) goja.Value) {
	r.must(o.Set(name, fn))
}

// must panics with an exception where the interpreter refuses to build its own
// objects; main gives it as the run's error.
func (r *run) must(err error) {
	if err != nil {
		panic(r.vm.NewGoError(err))
	}
}

// value gives an answer of the server to the script, or throws.
func (r *run) value(raw json.RawMessage, err error) goja.Value {
	if err != nil {
		r.throw(err)
	}
	v, err := r.fromJSON(raw)
	if err != nil {
		r.throw(err)
	}
	return v
}

// nothing gives a promise of undefined, or throws.
func (r *run) nothing(err error) goja.Value {
	if err != nil {
		r.throw(err)
	}
	p, resolve, _ := r.vm.NewPromise()
	r.must(resolve(goja.Undefined()))
	return r.vm.ToValue(p)
}

// throw raises err in the script. Once the run's time is over the script is
// stopped instead: it cannot catch that.
func (r *run) throw(err error) {
	if r.ctx.Err() != nil {
		r.vm.Interrupt(context.Cause(r.ctx))
	}
	var pub *graph.Error
	message, code := "the server could not do this; its log says why", string(graph.CodeInternal)
	if errors.As(err, &pub) {
		message, code = pub.Error(), string(pub.Code)
	}
	o, nerr := r.vm.New(r.vm.Get("Error"), r.vm.ToValue(message))
	r.must(nerr)
	r.must(o.Set("code", code))
	if pub != nil {
		if problem, err := pub.MarshalJSON(); err == nil {
			if v, err := r.fromJSON(problem); err == nil {
				r.must(o.Set("problem", v))
			}
		}
	}
	panic(o)
}

func (r *run) text(v goja.Value) string {
	s := v.String()
	if len(s) > 10000 {
		s = s[:10000]
	}
	return s
}

// argument gives a value that the script hands over as JSON; nil for undefined.
func (r *run) argument(v goja.Value, what string) json.RawMessage {
	raw, err := r.toJSON(v, what)
	if err != nil {
		var mine *Error
		if errors.As(err, &mine) {
			panic(r.vm.NewTypeError(mine.Message))
		}
		panic(r.vm.NewGoError(err))
	}
	return raw
}

func (r *run) fromJSON(raw json.RawMessage) (goja.Value, error) {
	if len(raw) == 0 {
		return goja.Undefined(), nil
	}
	return r.parse(goja.Undefined(), r.vm.ToValue(string(raw)))
}

func (r *run) toJSON(v goja.Value, what string) (json.RawMessage, error) {
	if v == nil || goja.IsUndefined(v) {
		return nil, nil
	}
	s, err := r.stringify(goja.Undefined(), v)
	if err != nil {
		return nil, err
	}
	if goja.IsUndefined(s) { // a function, for instance
		return nil, nil
	}
	text := s.String()
	if len(text) > r.lim.Answer {
		return nil, &Error{Message: fmt.Sprintf("the %s is larger than %d bytes", what, r.lim.Answer)}
	}
	return json.RawMessage(text), nil
}
