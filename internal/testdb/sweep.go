package testdb

import (
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// folders is the pattern of the folders of private servers.
const folders = "gt-test-*"

// sweep removes what test binaries left that panicked or were killed: folders
// some time old whose lock nobody holds. Whatever goes wrong is left for the next
// time.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), folders)) // the pattern is well formed
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil || time.Since(info.ModTime()) < 10*time.Minute {
			continue
		}
		if lock, err := os.Open(filepath.Join(dir, "graphtide.lock")); err == nil {
			held := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
			lock.Close()
			if held {
				continue
			}
		}
		os.RemoveAll(dir)
	}
}
