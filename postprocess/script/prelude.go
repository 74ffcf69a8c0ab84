package script

import (
	_ "embed"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/dop251/goja"
)

func init() {
	// Expressions with look-around or back references go to a backtracking
	// engine, which only this bound can stop. Nothing else here uses it.
	regexp2.DefaultMatchTimeout = 250 * time.Millisecond
}

//go:embed prelude.js
var preludeSource string

var preludeProgram = goja.MustCompile("prelude.js", preludeSource, true)

// prelude prepares the globals before any code of the script runs.
func (r *run) prelude() error {
	json := r.vm.Get("JSON").ToObject(r.vm)
	// For what the server says, which is bounded already.
	r.parse, _ = goja.AssertFunction(json.Get("parse"))
	fn, err := r.vm.RunProgram(preludeProgram)
	if err != nil {
		return err
	}
	call, _ := goja.AssertFunction(fn)
	if _, err := call(goja.Undefined(), r.vm.ToValue(r.lim.Memory/8), r.vm.ToValue(nesting)); err != nil {
		return err
	}
	// Bounded, for what the script says. Taken now: it may replace it.
	r.stringify, _ = goja.AssertFunction(json.Get("stringify"))
	return r.vm.Set("sleep", r.sleep)
}

// nesting gives how deep the lists and objects of a JSON text are nested.
func nesting(text string) int {
	depth, most, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
			most = max(most, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	return most
}
