package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

var update = flag.Bool("update", false, "write the generated part of docs/configuration.md anew")

const (
	configurationDoc = "../../docs/configuration.md"
	generatedBegin   = "<!-- generated: go test ./cmd/graphtide -run Configuration -update -->\n"
	generatedEnd     = "<!-- end -->\n"
)

// option is a flag with the commands that have it, and what each says of it.
type option struct {
	name, fallback string
	texts          []string
	commands       map[string][]string // by text
}

// optionTables writes the options under the headings of the help.
func optionTables(t *testing.T) string {
	byGroup := map[string][]*option{}
	known := map[string]*option{}
	eachFlag(model(t).Model.Node, func(n *kong.Node, f *kong.Flag) {
		if f.Name == "help" {
			return
		}
		group := ""
		if f.Group != nil {
			group = f.Group.Key
		}
		key := group + "/" + f.Name
		o := known[key]
		if o == nil {
			o = &option{name: f.Name, fallback: f.Default, commands: map[string][]string{}}
			known[key] = o
			byGroup[group] = append(byGroup[group], o)
		}
		if o.commands[f.Help] == nil {
			o.texts = append(o.texts, f.Help)
		}
		path := strings.TrimPrefix(strings.TrimPrefix(n.FullPath(), "graphtide"), " ")
		o.commands[f.Help] = append(o.commands[f.Help], path)
	})
	headings := map[string]string{"": "Each command's own:"}
	order := []string{""}
	for _, g := range groups {
		headings[g.Key] = g.Title
		order = append(order, g.Key)
	}
	var out strings.Builder
	for _, group := range order {
		if len(byGroup[group]) == 0 {
			continue
		}
		fmt.Fprintf(&out, "\n### %s\n\n| option | default | |\n|---|---|---|\n", strings.TrimSuffix(headings[group], ":"))
		for _, o := range byGroup[group] {
			var what []string
			for _, text := range o.texts {
				where := o.commands[text]
				slices.Sort(where)
				if where[0] == "" {
					what = append(what, text)
				} else {
					what = append(what, text+" <sub>"+strings.Join(where, ", ")+"</sub>")
				}
			}
			fallback := ""
			if o.fallback != "" {
				fallback = "`" + o.fallback + "`"
			}
			fmt.Fprintf(&out, "| `%s` | %s | %s |\n", o.name, fallback, strings.Join(what, "<br>"))
		}
	}
	return out.String() + "\n"
}

func TestConfigurationReferenceIsTheProgramsOwn(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(configurationDoc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := bytes.Cut(text, []byte(generatedBegin))
	old, after, ok2 := bytes.Cut(rest, []byte(generatedEnd))
	if !ok || !ok2 {
		t.Fatalf("%s lacks the marks of its generated part", configurationDoc)
	}
	made := optionTables(t)
	if string(old) == made {
		return
	}
	if !*update {
		t.Fatalf("%s differs from the program's flags; run go test ./cmd/graphtide -run Configuration -update", configurationDoc)
	}
	if err := os.WriteFile(configurationDoc, slices.Concat(before, []byte(generatedBegin+made+generatedEnd), after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The example of a graphtide.yaml has every option of a server, at its default
// where it has one, and the program takes it.
func TestConfigurationExampleIsComplete(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(configurationDoc)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	sample, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("there is no example")
	}
	var doc map[string]any
	if err := yaml.Unmarshal([]byte(sample), &doc); err != nil {
		t.Fatal(err)
	}
	s := &settings{file: "the example", values: map[string]any{}}
	if err := s.flatten("", doc); err != nil {
		t.Fatal(err)
	}
	parser := model(t)
	if err := s.Validate(parser.Model); err != nil {
		t.Fatal(err)
	}
	eachFlag(parser.Model.Node, func(n *kong.Node, f *kong.Flag) {
		switch n.Name {
		case "dev", "serve", "worker", "graphtide":
		default:
			return
		}
		value, there := s.values[f.Name]
		switch {
		case f.Name == "help" || f.Name == "config":
		case !there:
			t.Errorf("the example lacks %s", f.Name)
		case f.HasDefault && fmt.Sprint(value) != f.Default:
			t.Errorf("the example has %s: %v, the default is %s", f.Name, value, f.Default)
		}
	})
	sh := newShell(t)
	sh.write("graphtide.yaml", strings.Replace(sample, "postgres://app:…@db/app", "postgres://127.0.0.1:1/app", 1))
	sh.write("app.yaml", noteSchema)
	sh.run("serve").ends(exitFailed, "127.0.0.1:1") // every value is good; only that Postgres is not there
}
