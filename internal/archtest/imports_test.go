// Package archtest holds the project's layout and import table, and keeps SQL in
// its place.
//
// It reads the files with go/parser: a test that asks the go command passes
// stale from the test cache, because the files that decide are not among its
// inputs.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
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
	{"graph/...", []string{"graph", "graph/access", "patch"}},
	{"schema/...", []string{"graph", "graph/access", "patch", "schema/..."}},
	{"server/protocol", []string{"graph", "graph/access", "patch"}},
	{"patch/pipeline", []string{"graph", "graph/access", "graph/replica", "patch", "schema"}},
	{"postprocess/...", []string{"graph", "graph/access", "graph/replica", "patch", "schema", "postprocess/..."}},
	{"server/...", []string{"graph", "graph/access", "graph/replica", "patch", "schema", "server/..."}},
	{"internal/testserver", []string{"..."}},
	{"internal/testdb", []string{"graph", "graph/...", "migrations", "internal/embedded"}},
	{"internal/node", []string{"..."}},
	{"internal/...", nil},
	{".", []string{"..."}},
	{"examples/...", []string{"."}},
	{"cmd/...", []string{"..."}},
	{"bench/...", []string{"..."}},
	{"systest/...", []string{"..."}},
}

// forTests is what tests may import besides: stores to stand on, and helpers. A
// server's tests meet the real write path through internal/testserver alone.
var forTests = []struct {
	folder  string
	imports []string
}{
	{"postprocess", []string{"patch/pipeline"}},
	{"...", []string{"graph", "graph/access", "graph/memstore", "graph/pgstore", "graph/replica", "graph/storetest", "migrations", "patch", "schema",
		"internal/testdb", "internal/testserver", "internal/embedded"}},
}

// folders are the ones that the layout promises.
var folders = []string{
	"cmd/graphtide", "graph", "graph/access", "graph/pgstore", "graph/memstore", "graph/storetest", "graph/replica",
	"graph/rediscache", "schema", "patch", "patch/pipeline", "postprocess", "server", "server/protocol", "server/fanout",
	"clientjs", "migrations", "internal", "bench", "examples", "systest", "docs",
}

// source is one Go file of the project.
type source struct {
	name   string // from the root, with slashes
	folder string
	test   bool
	parsed *ast.File
}

// sources gives every Go file, read once.
func sources(t *testing.T) []source {
	t.Helper()
	all, err := read()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d Go files were found: the test looks in the wrong place", len(all))
	}
	return all
}

var read = sync.OnceValues(func() ([]source, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	top := filepath.Dir(filepath.Dir(dir))
	var all []source
	err = filepath.WalkDir(top, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "node_modules" || name == "testdata" || strings.HasPrefix(name, ".") && file != top {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		rel, err := filepath.Rel(top, file)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return err
		}
		all = append(all, source{name, path.Dir(name), strings.HasSuffix(name, "_test.go"), parsed})
		return nil
	})
	return all, err
})

func matches(pattern, folder string) bool {
	if pattern == "..." {
		return true
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return folder == base || strings.HasPrefix(folder, base+"/")
	}
	return pattern == folder
}

// everywhere are the leaves that any folder may import: sabotage is code that a
// normal build leaves out.
var everywhere = []string{"internal/sabotage"}

func mayImport(folder, imported string) bool {
	if anyMatches(everywhere, imported) {
		return true
	}
	for _, row := range allowed {
		if matches(row.folder, folder) {
			return anyMatches(row.imports, imported)
		}
	}
	return false
}

func testMayImport(folder, imported string) bool {
	if imported == folder || mayImport(folder, imported) { // a test beside its package
		return true
	}
	for _, row := range forTests {
		if matches(row.folder, folder) && anyMatches(row.imports, imported) {
			return true
		}
	}
	return false
}

func anyMatches(patterns []string, folder string) bool {
	for _, pattern := range patterns {
		if matches(pattern, folder) {
			return true
		}
	}
	return false
}

func TestImportsKeepToTheTable(t *testing.T) {
	t.Parallel()
	for _, file := range sources(t) {
		may := mayImport
		if file.test {
			may = testMayImport
		}
		for _, spec := range file.parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			ours, ok := strings.CutPrefix(name, module+"/")
			if name == module { // what programs embed
				ours, ok = ".", true
			}
			if ok && !may(file.folder, ours) {
				t.Errorf("%s imports %s, which the import table does not allow", file.name, ours)
			}
		}
	}
}

func TestTheTableRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ folder, imported string }{
		{"graph", "patch"}, {"patch", "graph"}, {"migrations", "graph"}, {"server", "patch/pipeline"}, {"server/fanout", "patch/pipeline"},
		{"postprocess", "patch/pipeline"}, {"graph/replica", "schema"}, {"schema", "graph/replica"}, {"server/protocol", "server"},
		{"patch/pipeline", "graph/pgstore"}, {"examples/workbook", "server"}, {"server", "graph/pgstore"}, {"internal/embedded", "graph"}, {"unknown", "graph"},
	} {
		if mayImport(c.folder, c.imported) {
			t.Errorf("%s may import %s", c.folder, c.imported)
		}
	}
	for _, c := range []struct{ folder, imported string }{
		{"server", "patch/pipeline"}, {"server", "internal/node"}, {"graph", "server"}, {"schema", "cmd/graphtide"},
	} {
		if testMayImport(c.folder, c.imported) {
			t.Errorf("tests of %s may import %s", c.folder, c.imported)
		}
	}
}

// A row about a folder that is no more would let a new one of the name in.
func TestEveryRowOfTheTableIsAboutAFolderThatIsThere(t *testing.T) {
	t.Parallel()
	all := sources(t)
	for _, row := range allowed {
		used := false
		for _, file := range all {
			used = used || matches(row.folder, file.folder)
		}
		if !used {
			t.Errorf("nothing is in %s", row.folder)
		}
	}
}

func TestTheLayoutIsThere(t *testing.T) {
	t.Parallel()
	for _, folder := range folders {
		if info, err := os.Stat(filepath.Join("../..", filepath.FromSlash(folder))); err != nil || !info.IsDir() {
			t.Errorf("the folder %s is missing", folder)
		}
	}
}

// statement finds SQL in a string of a program.
var statement = regexp.MustCompile(`(?s)^\s*(-- name:|SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|CREATE\s+(TABLE|INDEX|FUNCTION|TYPE|DATABASE)\s|ALTER\s|DROP\s|TRUNCATE\s|WITH\s+\S+\s+AS\s*\()`)

// Only graph/pgstore and migrations hold SQL. Two others administer a whole
// server of ours rather than the graph's data: they make and drop databases.
// The benchmark's floor is a server of its own.
func TestSQLStaysInItsPlace(t *testing.T) {
	t.Parallel()
	home := []string{"graph/pgstore", "migrations", "internal/embedded", "internal/testdb", "bench/..."}
	for _, file := range sources(t) {
		if file.test || anyMatches(home, file.folder) {
			continue
		}
		ast.Inspect(file.parsed, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(lit.Value); err == nil && statement.MatchString(text) {
				t.Errorf("%s holds SQL: %.60q", file.name, text)
			}
			return true
		})
	}
}

func TestSQLIsKnownWhenSeen(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"\n\t\t-- name: state.objects\n\t\tSELECT id": true, "SELECT 1 FROM x": true, "INSERT INTO t VALUES (1)": true,
		"UPDATE graphs SET epoch = 1": true, "DELETE FROM t": true, "CREATE TABLE x (y int)": true, "WITH a AS (SELECT 1) SELECT": true,
		"update the schema": false, "the table t": false, "SELECTED": false, "ALTERNATIVE": false, "with a word": false, "": false,
	} {
		if statement.MatchString(text) != want {
			t.Errorf("%q is SQL: %v", text, !want)
		}
	}
}
