package script

import (
	"fmt"
	"strings"

	"github.com/dop251/goja"
	"github.com/evanw/esbuild/pkg/api"
)

// Program is a compiled script: immutable, shared by any number of runs.
type Program struct {
	name string
	prog *goja.Program
}

// Compile reads a script. name ends in .ts, .mts or .cts for TypeScript,
// anything else is JavaScript; it appears in stack traces. The error says where
// the fault is.
func Compile(name, source string) (*Program, error) {
	res := api.Transform(source, api.TransformOptions{
		Loader:     loaderOf(name),
		Format:     api.FormatCommonJS,
		Target:     api.ES2017,
		Platform:   api.PlatformNeutral,
		Sourcefile: name,
		Sourcemap:  api.SourceMapInline,
		LogLevel:   api.LogLevelSilent,
	})
	if len(res.Errors) > 0 {
		m := res.Errors[0]
		if m.Location == nil {
			return nil, fmt.Errorf("%s: %s", name, m.Text)
		}
		return nil, fmt.Errorf("%s:%d:%d: %s", name, m.Location.Line, m.Location.Column+1, m.Text)
	}
	// One line in front, so that the lines of the source map stay true.
	src := "(function (module, exports, require) {" + string(res.Code) + "\n})"
	prog, err := goja.Compile(name, src, true)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &Program{name: name, prog: prog}, nil
}

func loaderOf(name string) api.Loader {
	for _, ext := range []string{".ts", ".mts", ".cts"} {
		if strings.HasSuffix(name, ext) {
			return api.LoaderTS
		}
	}
	return api.LoaderJS
}
