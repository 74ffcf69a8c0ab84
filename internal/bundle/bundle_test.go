package bundle

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

const app = `graphtide: 1
rules:
  tidy:
    on: {object: Thing, events: [modify]}
    handler: {script: handlers/tidy.js}
`

func TestScriptsTravelWithWhatTheyImport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "handlers/tidy.js", "import { two } from './two.js'\nimport data from './data.json'\nexport default () => two + data.n\n")
	write(t, dir, "handlers/two.js", "export const two = 'deux — \"2\"'\n")
	write(t, dir, "handlers/data.json", `{"n": 3}`)
	out, err := Schema(filepath.Join(dir, "app.yaml"), []byte(app))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(out), strings.TrimSpace(app)) {
		t.Error("the document's own lines moved")
	}
	var doc struct {
		Scripts map[string]string `yaml:"scripts"`
	}
	if err := yaml.Unmarshal(out, &doc); err != nil {
		t.Fatal(err)
	}
	source := doc.Scripts["handlers/tidy.js"]
	for _, want := range []string{`deux — \"2\"`, "n: 3", "as default"} {
		if !strings.Contains(source, want) && !strings.Contains(source, strings.ReplaceAll(want, `\"`, `"`)) {
			t.Errorf("the bundle lacks %q:\n%s", want, source)
		}
	}
}

func TestAMissingHandlerIsNamed(t *testing.T) {
	t.Parallel()
	_, err := Schema(filepath.Join(t.TempDir(), "app.yaml"), []byte(app))
	if err == nil || !strings.Contains(err.Error(), "handlers/tidy.js") {
		t.Fatalf("got %v", err)
	}
}

func TestAScriptStaysBelowItsSchema(t *testing.T) {
	t.Parallel()
	_, err := Schema(filepath.Join(t.TempDir(), "app.yaml"), []byte(strings.ReplaceAll(app, "handlers/tidy.js", "../../etc/passwd")))
	if err == nil || !strings.Contains(err.Error(), "below the schema file") {
		t.Fatalf("got %v", err)
	}
}

func TestJSONDocumentsAndGivenScriptsAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "b.js", "export default () => 2")
	text := `{"graphtide": 1, "scripts": {"a.js": "export default () => 1"}, "rules": {
		"a": {"handler": {"script": "a.js"}}, "b": {"handler": {"script": "b.js"}}}}`
	out, err := Schema(filepath.Join(dir, "app.json"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Scripts map[string]string `yaml:"scripts"`
	}
	if err := yaml.Unmarshal(out, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Scripts["a.js"] != "export default () => 1" || !strings.Contains(doc.Scripts["b.js"], "2") {
		t.Errorf("scripts: %v", doc.Scripts)
	}
}

func TestABundleNamesEveryFileItIsMadeOf(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "app.yaml", app)
	look := func(mended bool, want ...string) {
		t.Helper()
		b, err := Read(filepath.Join(dir, "app.yaml"))
		if (err == nil) != mended {
			t.Errorf("the bundle fails with %v", err)
		}
		for i, name := range want {
			want[i] = filepath.Join(dir, name)
		}
		slices.Sort(b.Files)
		if !slices.Equal(b.Files, want) {
			t.Errorf("got the files %v, want %v", b.Files, want)
		}
	}
	look(false, "app.yaml", "handlers/tidy.js")
	write(t, dir, "handlers/tidy.js", "import { two } from './lib/two.js'\nexport default () => two\n")
	write(t, dir, "handlers/lib/two.js", "export const two =\n")
	look(false, "app.yaml", "handlers/lib/two.js", "handlers/tidy.js")
	write(t, dir, "handlers/lib/two.js", "export const two = 2\n")
	look(true, "app.yaml", "handlers/lib/two.js", "handlers/tidy.js")
}

func TestAFaultOfAHandlerNamesItsFileAndLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "handlers/tidy.js", "export default () => 1\nconst =\n")
	_, err := Schema(filepath.Join(dir, "app.yaml"), []byte(app))
	if err == nil || !strings.Contains(err.Error(), "tidy.js:2:") {
		t.Fatalf("got %v", err)
	}
}

func TestWithScriptsOfItsOwnTheLinesStayToo(t *testing.T) {
	t.Parallel()
	const rules = "rules:\n  b: {handler: {script: b.js}}\n  a: {handler: {script: a.js}}\n"
	for name, text := range map[string]string{
		"indented":          "graphtide: 1\nscripts:\n  # ours\n  a.js: |\n    // {one}\n    export default () => \"1}\"\n\n  'c.js': x\ntypes:\n  T: {}\n" + rules,
		"indented and last": rules + "types:\n  T: {}\nscripts:\n  a.js: x\n  c.js: >-\n    y\n    z\n",
		"in braces":         "scripts: {a.js: \"x\",\n  c.js: y}\ntypes:\n  T: {}\n" + rules,
		"empty":             rules + "scripts: {}\ntypes:\n  T: {}\n",
		"none":              rules + "types:\n  T: {}\n",
		"JSON":              "{\n  \"scripts\": {\n    \"a.js\": \"x\"\n  },\n  \"types\":\n  {\"T\":{}},\n\"rules\": {\"b\": {\"handler\": {\"script\": \"b.js\"}}}}",
		"JSON with none":    "\n{\"graphtide\": 1,\n  \"types\":\n  {\"T\":{}},\n\"rules\": {\"b\": {\"handler\": {\"script\": \"b.js\"}}}}",
		"Windows lines":     strings.ReplaceAll("scripts:\n  a.js: x\ntypes:\n  T: {}\n"+rules, "\n", "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, "a.js", "export default () => 'a'")
			write(t, dir, "b.js", "export default () => 'b'")
			out, err := Schema(filepath.Join(dir, "app.yaml"), []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if was, is := lineOf(text, "types"), lineOf(string(out), "types"); was != is || was == 0 {
				t.Errorf("line %d became %d:\n%s", was, is, out)
			}
			var before, after struct {
				Types   map[string]any    `yaml:"types"`
				Scripts map[string]string `yaml:"scripts"`
			}
			if err := yaml.Unmarshal([]byte(text), &before); err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal(out, &after); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for name, source := range before.Scripts {
				if after.Scripts[name] != source {
					t.Errorf("%s is %q, was %q", name, after.Scripts[name], source)
				}
				if was, is := lineOf(text, name), lineOf(string(out), name); was > lineOf(text, "scripts") && was < lineOf(text, "rules") && was != is {
					t.Errorf("%s was in line %d, is in %d:\n%s", name, was, is, out)
				}
			}
			if !strings.Contains(after.Scripts["b.js"], `"b"`) || len(after.Types) != 1 {
				t.Errorf("got %s", out)
			}
		})
	}
}

// lineOf gives the first line that has the word, from 1 on, or 0.
func lineOf(text, word string) int {
	return 1 + slices.IndexFunc(strings.Split(text, "\n"), func(l string) bool { return strings.Contains(l, word) })
}
