// Package archtest holds the project's layout and import table.
package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/graphtide/graphtide"

// allowed says what the files of a folder may import of the project, tests
// apart. A name with a trailing /... covers the folder and all below it. The
// first matching row holds. ARCHITECTURE.md explains the table.
var allowed = []struct {
	folder  string
	imports []string
}{
	{"graph", nil},
	{"patch", nil},
	{"migrations", nil},
	{"graph/access", []string{"graph", "patch"}},
	{"graph/pgstore", []string{"graph", "graph/access", "patch", "migrations"}},
	{"graph/storetest", []string{"graph", "graph/access", "patch"}},
	{"graph/...", []string{"graph", "graph/access", "patch"}},
	{"schema/...", []string{"graph", "graph/access", "patch", "schema/..."}},
	{"server/protocol", []string{"graph", "graph/access", "patch"}},
	{"patch/pipeline", []string{"graph", "graph/access", "graph/replica", "patch", "schema"}},
	{"postprocess/...", []string{"graph", "graph/access", "graph/replica", "patch", "schema", "postprocess/..."}},
	{"server/...", []string{"graph", "graph/access", "graph/replica", "patch", "schema", "server/..."}},
	{"internal/testserver", []string{"..."}},
	{"internal/testdb", []string{"graph", "graph/...", "migrations", "internal/embedded", "internal/testdb"}},
	{"internal/embedded", nil},
	{"internal/bundle", nil},
	{"internal/node", []string{"..."}},
	{"internal/deps", nil},
	{"examples/...", []string{"embed/..."}},
	{"cmd/...", []string{"..."}},
	{"bench/...", []string{"..."}},
	{"systest/...", []string{"..."}},
}

// folders are the ones that the layout promises.
var folders = []string{
	"cmd/graphtide", "graph", "graph/access", "graph/pgstore", "graph/memstore", "graph/storetest", "graph/replica",
	"graph/rediscache", "schema", "patch", "patch/pipeline", "postprocess", "server", "server/protocol", "server/fanout",
	"clientjs", "migrations", "internal", "bench", "examples", "docs",
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(filepath.Dir(dir))
}

func matches(pattern, folder string) bool {
	if pattern == "..." {
		return true
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return folder == base || strings.HasPrefix(folder, base+"/")
	}
	return pattern == folder
}

func TestImportsKeepToTheTable(t *testing.T) {
	top := root(t)
	seen := 0
	err := filepath.WalkDir(top, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "node_modules" || name == "testdata" || strings.HasPrefix(name, ".") && file != top {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		rel, _ := filepath.Rel(top, file)
		folder := path.Dir(filepath.ToSlash(rel))
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		seen++
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			ours, ok := strings.CutPrefix(name, module+"/")
			if !ok {
				continue
			}
			if !mayImport(folder, ours) {
				t.Errorf("%s imports %s, which the import table does not allow", rel, ours)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 50 {
		t.Errorf("only %d Go files were looked at; the test looks in the wrong place", seen)
	}
}

func mayImport(folder, imported string) bool {
	for _, row := range allowed {
		if !matches(row.folder, folder) {
			continue
		}
		for _, pattern := range row.imports {
			if matches(pattern, imported) {
				return true
			}
		}
		return false
	}
	return false
}

func TestTheTableRefuses(t *testing.T) {
	for _, c := range []struct{ folder, imported string }{
		{"graph", "patch"}, {"server", "patch/pipeline"}, {"server/fanout", "patch/pipeline"},
		{"postprocess", "patch/pipeline"}, {"graph/replica", "schema"}, {"unknown", "graph"},
	} {
		if mayImport(c.folder, c.imported) {
			t.Errorf("%s may import %s", c.folder, c.imported)
		}
	}
}

func TestTheLayoutIsThere(t *testing.T) {
	top := root(t)
	for _, folder := range folders {
		if info, err := os.Stat(filepath.Join(top, folder)); err != nil || !info.IsDir() {
			t.Errorf("the folder %s is missing", folder)
		}
	}
}

// Only graph/pgstore and migrations hold SQL.
func TestSQLStaysInItsPlace(t *testing.T) {
	top := root(t)
	err := filepath.WalkDir(top, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(top, file)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if name := d.Name(); name == "node_modules" || name == "bench" || strings.HasPrefix(name, ".") && file != top {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") ||
			strings.HasPrefix(rel, "graph/pgstore/") || strings.HasPrefix(rel, "migrations/") {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, mark := range []string{"-- name:", "SELECT 1 FROM", "INSERT INTO ", "DELETE FROM "} {
			if strings.Contains(string(text), mark) {
				t.Errorf("%s holds SQL (%q)", rel, mark)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
