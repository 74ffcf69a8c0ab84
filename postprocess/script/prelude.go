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
	// Taken now: the script may replace them.
	r.parse, _ = goja.AssertFunction(json.Get("parse"))
	r.stringify, _ = goja.AssertFunction(json.Get("stringify"))
	fn, err := r.vm.RunProgram(preludeProgram)
	if err != nil {
		return err
	}
	call, _ := goja.AssertFunction(fn)
	if _, err := call(goja.Undefined(), r.vm.ToValue(r.lim.Memory/8)); err != nil {
		return err
	}
	return r.vm.Set("sleep", r.sleep)
}
