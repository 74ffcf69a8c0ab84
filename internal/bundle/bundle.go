// Package bundle makes a schema file whole: handler scripts, which are files
// beside it, become part of the document, each with what it imports.
package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
	"github.com/goccy/go-yaml"
)

// Schema gives the document with `scripts` filled in for every handler that
// names a script file which the document does not have already. Paths are
// relative to the schema file. The document's own lines stay where they are, so
// that later faults name the file's lines.
func Schema(file string, text []byte) ([]byte, error) {
	var doc struct {
		Rules      map[string]section `yaml:"rules"`
		Operations map[string]section `yaml:"operations"`
		Scripts    map[string]string  `yaml:"scripts"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return text, nil // the schema's own reader says what is wrong, and better
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
		return text, nil
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
	for _, name := range names {
		source, err := script(filepath.Dir(file), name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s names the handler %s, but there is no such file beside it", file, name)
		}
		if err != nil {
			return nil, err
		}
		scripts[name] = source
	}
	return withScripts(text, scripts, doc.Scripts != nil)
}

type section struct {
	Handler struct {
		Script string `yaml:"script"`
	} `yaml:"handler"`
}

// script gives a handler with what it imports, as one module.
func script(dir, name string) (string, error) {
	if !filepath.IsLocal(name) {
		return "", fmt.Errorf("handler %s: a script is named by a path below the schema file", name)
	}
	path, err := filepath.Abs(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", err
	}
	res := api.Build(api.BuildOptions{
		EntryPoints: []string{path}, Bundle: true, Write: false, Format: api.FormatESModule,
		Platform: api.PlatformNeutral, Target: api.ES2020, Charset: api.CharsetUTF8, LogLevel: api.LogLevelSilent,
		MinifyWhitespace: false,
	})
	if len(res.Errors) > 0 {
		lines := api.FormatMessages(res.Errors, api.FormatMessagesOptions{Kind: api.ErrorMessage})
		return "", fmt.Errorf("handler %s:\n%s", name, strings.TrimSpace(strings.Join(lines, "\n")))
	}
	return string(res.OutputFiles[0].Contents), nil
}

// withScripts puts the scripts into the text: as a last line of a YAML document
// that has none, else by writing the whole document anew as JSON.
func withScripts(text []byte, scripts map[string]string, had bool) ([]byte, error) {
	encoded, err := json.Marshal(scripts)
	if err != nil {
		return nil, err
	}
	if trimmed := strings.TrimSpace(string(text)); !had && !strings.HasPrefix(trimmed, "{") {
		return []byte(strings.TrimRight(string(text), "\n") + "\nscripts: " + string(encoded) + "\n"), nil
	}
	raw, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	doc["scripts"] = encoded
	return json.Marshal(doc)
}
