package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
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
	file, named := configFile(args)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return &settings{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %s", file, yaml.FormatError(err, false, true))
	}
	s := &settings{file: file, values: map[string]any{}}
	return s, s.flatten("", doc)
}

// configFile finds the file's name before the arguments are parsed.
func configFile(args []string) (file string, named bool) {
	file = "graphtide.yaml"
	if v := os.Getenv(envPrefix + "_CONFIG"); v != "" {
		file, named = v, true
	}
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--config="); ok {
			file, named = v, true
		} else if a == "--config" && i+1 < len(args) {
			file, named = args[i+1], true
		} else if a == "--" {
			break
		}
	}
	return file, named
}

func (s *settings) flatten(prefix string, m map[string]any) error {
	for k, v := range m {
		name := prefix + strings.ReplaceAll(k, "_", "-")
		switch v := v.(type) {
		case nil: // `redis-url:` with nothing behind it says nothing
		case map[string]any:
			if err := s.flatten(name+"-", v); err != nil {
				return err
			}
		case []any:
			parts := make([]string, len(v))
			for i, e := range v {
				parts[i] = fmt.Sprint(e)
			}
			s.values[name] = strings.Join(parts, ",")
		default:
			if _, twice := s.values[name]; twice {
				return fmt.Errorf("%s: the key %s stands there twice, nested and in one piece", s.file, name)
			}
			s.values[name] = fmt.Sprint(v)
		}
	}
	return nil
}

// Validate implements kong.Resolver: keys that no command has are refused.
func (s *settings) Validate(app *kong.Application) error {
	known := map[string]bool{}
	eachFlag(app.Node, func(_ *kong.Node, f *kong.Flag) { known[f.Name] = true })
	delete(known, "help")
	delete(known, "config") // a file that names another would be half a feature
	var unknown []string
	for k := range s.values {
		if !known[k] {
			unknown = append(unknown, k)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	remedy := "keys are the names of flags, see graphtide serve --help"
	if near := nearest(unknown[0], known); near != "" {
		remedy = "did you mean " + near + "?"
	}
	return fmt.Errorf("%s: unknown key %s: %s", s.file, unknown[0], remedy)
}

// eachFlag walks the flags of every command.
func eachFlag(n *kong.Node, fn func(*kong.Node, *kong.Flag)) {
	for _, f := range n.Flags {
		fn(n, f)
	}
	for _, c := range n.Children {
		eachFlag(c, fn)
	}
}

// Resolve implements kong.Resolver.
func (s *settings) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, env := range flag.Envs {
		if os.Getenv(env) != "" {
			return nil, nil // the environment wins over the file
		}
	}
	v, ok := s.values[flag.Name]
	if !ok {
		return nil, nil
	}
	return v, nil
}

// explain adds to an error about a flag that the flag's value may be the file's.
func (s *settings) explain(err error) error {
	for name := range s.values {
		if strings.Contains(err.Error(), "--"+name+":") || strings.Contains(err.Error(), "--"+name+"=") {
			return fmt.Errorf("%w (%s sets %s too)", err, s.file, name)
		}
	}
	return err
}

// nearest gives the known name that is at most two letters away, or one that the
// word is a part of; "" where there is none.
func nearest(word string, known map[string]bool) string {
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	best, least := "", 3
	for _, name := range names {
		if d := distance(word, name); d < least {
			best, least = name, d
		}
	}
	if best != "" {
		return best
	}
	for _, name := range names {
		if strings.Contains(name, word) || strings.Contains(word, name) {
			return name
		}
	}
	return ""
}

// distance counts the letters to insert, delete and replace between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost = 1 + min(last, row[j], row[j+1])
			}
			last, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
