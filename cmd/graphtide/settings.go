package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// settings are the keys of graphtide.yaml. A key is a flag's name, or its parts
// nested (`log: {format: json}` for --log-format). Flags and the environment
// win over it.
type settings struct {
	file   string
	values map[string]any
}

// readSettings reads the file named by --config or GRAPHTIDE_CONFIG, or
// graphtide.yaml where it exists.
func readSettings(args []string) (*settings, error) {
	file, named := "graphtide.yaml", false
	if v := os.Getenv("GRAPHTIDE_CONFIG"); v != "" {
		file, named = v, true
	}
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--config="); ok {
			file, named = v, true
		} else if a == "--config" && i+1 < len(args) {
			file, named = args[i+1], true
		}
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return &settings{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	s := &settings{file: file, values: map[string]any{}}
	s.flatten("", doc)
	return s, nil
}

func (s *settings) flatten(prefix string, m map[string]any) {
	for k, v := range m {
		name := prefix + strings.ReplaceAll(k, "_", "-")
		if sub, ok := v.(map[string]any); ok {
			s.flatten(name+"-", sub)
			continue
		}
		s.values[name] = v
	}
}

// Validate refuses keys that no flag of the program has.
func (s *settings) Validate(app *kong.Application) error {
	known := map[string]bool{}
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			known[f.Name] = true
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	walk(app.Node)
	for k := range s.values {
		if !known[k] {
			return fmt.Errorf("%s: unknown key %q; keys are the names of flags, see graphtide serve --help", s.file, k)
		}
	}
	return nil
}

// Resolve implements kong.Resolver.
func (s *settings) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, env := range flag.Envs { // the environment wins over the file
		if os.Getenv(env) != "" {
			return nil, nil
		}
	}
	v, ok := s.values[flag.Name]
	if !ok {
		return nil, nil
	}
	if list, ok := v.([]any); ok {
		parts := make([]string, len(list))
		for i, e := range list {
			parts[i] = fmt.Sprint(e)
		}
		return strings.Join(parts, ","), nil
	}
	return fmt.Sprint(v), nil
}
