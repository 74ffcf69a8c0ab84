// Package testbin gives tests the program graphtide, for those that start, kill
// and stop it.
//
// `make test` builds it once for all packages and names it with GRAPHTIDE_BIN:
// linking takes longer than most tests. Where the variable is not set, it is built
// from the tree. Either way it has no race detector, which would make each start
// five times as dear.
package testbin

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Env names the variable with the path of a program that was built beforehand.
const Env = "GRAPHTIDE_BIN"

// Program gives the absolute path of the program: the one that Env names, or one
// that it builds in dir, which is the caller's to remove.
func Program(dir string) (string, error) {
	if path := os.Getenv(Env); path != "" {
		info, err := os.Stat(path)
		if err != nil {
			return "", fmt.Errorf("%s: %w", Env, err)
		}
		if !info.Mode().IsRegular() {
			return "", fmt.Errorf("%s: %s is no program", Env, path)
		}
		return filepath.Abs(path)
	}
	path := filepath.Join(dir, "graphtide")
	cmd := exec.Command("go", "build", "-o", path, "github.com/graphtide/graphtide/cmd/graphtide")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return filepath.Abs(path)
}
