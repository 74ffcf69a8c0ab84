package bundle

import (
	"os"
	"path/filepath"
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
