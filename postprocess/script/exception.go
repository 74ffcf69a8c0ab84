package script

import (
	"bytes"
	"errors"
	"strings"

	"github.com/dop251/goja"
)

// exception gives the error for whatever was thrown, and from where; a rejected
// promise has no frames but its reason's own. To describe it runs code of the
// script, which may throw again, or have to be stopped.
func (r *run) exception(v goja.Value, frames []goja.StackFrame) (err error) {
	out := &Error{Message: "an exception that cannot be described", Where: framesOf(frames)}
	defer func() {
		var stopped *goja.InterruptedError
		if x, ok := recover().(error); ok && errors.As(x, &stopped) {
			err = r.failure(stopped)
		} else if err == nil {
			err = out
		}
	}()
	r.vm.Try(func() {
		out.Message = clip(r.describe(v))
		if o, ok := v.(*goja.Object); ok && out.Where == "" {
			if stack := o.Get("stack"); stack != nil && !goja.IsUndefined(stack) {
				out.Where = clip(ownFrames(stack.String()))
			}
		}
	})
	return out
}

// describe gives the text of a value, and the JSON of an object that has none of
// its own.
func (r *run) describe(v goja.Value) string {
	text := v.String()
	if _, ok := v.(*goja.Object); !ok || !strings.HasPrefix(text, "[object ") {
		return text
	}
	raw, err := r.toJSON(v, "exception")
	var stopped *goja.InterruptedError
	switch {
	case errors.As(err, &stopped):
		panic(stopped) // said once: who goes on is not stopped again
	case err == nil && raw != nil:
		return string(raw)
	}
	return text
}

// framesOf writes the innermost of a script's calls, one a line.
func framesOf(stack []goja.StackFrame) string {
	const most = 10
	var b bytes.Buffer
	for _, f := range stack[:min(len(stack), most)] {
		b.WriteString("\tat ")
		f.Write(&b)
		b.WriteByte('\n')
	}
	return ownFrames(b.String())
}

// ownFrames gives the lines of a stack that name calls of the script: the
// server's own code is nobody's business.
func ownFrames(text string) string {
	var kept []string
	for l := range strings.Lines(text) {
		frame := strings.TrimSpace(l)
		if strings.HasPrefix(frame, "at ") && !strings.HasSuffix(frame, "(native)") {
			kept = append(kept, frame)
		}
	}
	return strings.Join(kept, "\n")
}
