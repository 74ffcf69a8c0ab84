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
