// Package bundle makes a schema file whole: handler scripts, which are files
// beside it, become part of the document, each with what it imports.
package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/evanw/esbuild/pkg/api"
	"github.com/goccy/go-yaml"
)

// Bundle is a schema document made whole.
type Bundle struct {
	Doc []byte
	// Files are the files that the document is made of, as absolute paths: the
	// schema file, the handlers and what these import. Where the bundle fails
	// they are those looked at until then, the missing ones included: changing
	// one of them may mend it.
	Files []string
}

// Read reads a schema file and bundles it. The Bundle is never nil.
func Read(file string) (*Bundle, error) {
	b := &Bundle{}
	path, err := filepath.Abs(file)
	if err != nil {
		return b, err
	}
	b.Files = append(b.Files, path)
	text, err := os.ReadFile(path)
	if err != nil {
		return b, err
	}
	return b, b.add(file, text)
}

// Schema gives the document with `scripts` filled in for every handler that
// names a script file which the document does not have already. Paths are
// relative to the schema file. The document's own lines stay where they are, so
// that later faults name the file's lines.
func Schema(file string, text []byte) ([]byte, error) {
	var b Bundle
	if err := b.add(file, text); err != nil {
		return nil, err
	}
	return b.Doc, nil
}

func (b *Bundle) add(file string, text []byte) error {
	var doc struct {
		Rules      map[string]section `yaml:"rules"`
		Operations map[string]section `yaml:"operations"`
		Scripts    map[string]string  `yaml:"scripts"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		b.Doc = text // the schema's own reader says what is wrong, and better
		return nil
	}
	missing := map[string]bool{}
	for _, sections := range []map[string]section{doc.Rules, doc.Operations} {
		for _, s := range sections {
			if _, there := doc.Scripts[s.Handler.Script]; s.Handler.Script != "" && !there {
				missing[s.Handler.Script] = true
			}
		}
	}
	if len(missing) == 0 {
		b.Doc = text
		return nil
	}
	names := make([]string, 0, len(missing))
	for name := range missing {
		names = append(names, name)
	}
	sort.Strings(names)
	scripts := doc.Scripts
	if scripts == nil {
		scripts = map[string]string{}
	}
	faults := map[string]string{}
	for _, name := range names {
		source, err := b.script(filepath.Dir(file), name)
		if err != nil {
			faults[name] = err.Error()
			continue
		}
		scripts[name] = source
	}
	var err error
	if b.Doc, err = withScripts(text, scripts); err == nil && len(faults) > 0 {
		err = &HandlersError{File: file, Doc: b.Doc, Faults: faults}
	}
	return err
}

// HandlersError tells of the handlers that a schema names and that cannot be had.
type HandlersError struct {
	File   string
	Doc    []byte            // the document with the others
	Faults map[string]string // by the handler's name, what is wrong with it
}

// Error gives all that is wrong.
func (e *HandlersError) Error() string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(e.Faults)) {
		lines = append(lines, fmt.Sprintf("%s: handler %s", e.File, e.Faults[name]))
	}
	return strings.Join(lines, "\n")
}

type section struct {
	Handler struct {
		Script string `yaml:"script"`
	} `yaml:"handler"`
}

// script gives a handler with what it imports, as one module.
func (b *Bundle) script(dir, name string) (string, error) {
	if !filepath.IsLocal(name) {
		return "", fmt.Errorf("%s: a script is named by a path below the schema file", name)
	}
	path, err := filepath.Abs(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return "", err
	}
	b.Files = append(b.Files, path)
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s: there is no such file beside the schema", name)
	case err != nil:
		return "", fmt.Errorf("%s: %w", name, err)
	case info.IsDir():
		return "", fmt.Errorf("%s: this is a folder", name)
	}
	res := api.Build(api.BuildOptions{
		EntryPoints: []string{path}, Bundle: true, Write: false, Format: api.FormatESModule,
		Platform: api.PlatformNeutral, Target: api.ES2020, Charset: api.CharsetUTF8, LogLevel: api.LogLevelSilent,
		Plugins: []api.Plugin{{Name: "files", Setup: b.note}},
	})
	if len(res.Errors) > 0 {
		lines := api.FormatMessages(res.Errors, api.FormatMessagesOptions{Kind: api.ErrorMessage})
		return "", fmt.Errorf("%s:\n%s", name, strings.TrimSpace(strings.Join(lines, "\n")))
	}
	return string(res.OutputFiles[0].Contents), nil
}

// note writes down each file that a bundle reads, also of one that fails.
func (b *Bundle) note(build api.PluginBuild) {
	var mu sync.Mutex // files are read in parallel
	build.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: "file"}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(b.Files, args.Path) {
			b.Files = append(b.Files, args.Path)
		}
		return api.OnLoadResult{}, nil // and is read as it would be without us
	})
}
