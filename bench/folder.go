package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A run keeps all its files in one folder: the databases, what the children write for
// it to read, and the folders of what it starts. It removes the folder at its end. A run
// that is killed cannot: then its children, which see the pipe from it close, end and do.

// folderVar is the variable that tells the children of the folder.
const folderVar = "GRAPHTIDE_BENCH_FOLDER"

// makeFolder makes the folder and has it used for all temporary files from here on.
func makeFolder() (remove func(), err error) {
	dir, err := os.MkdirTemp("", "gt-bench-")
	if err != nil {
		return nil, err
	}
	before := os.Getenv("TMPDIR")
	os.Setenv("TMPDIR", dir)
	os.Setenv(folderVar, dir)
	remove = func() {
		os.Setenv("TMPDIR", before)
		os.RemoveAll(dir)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // Postgres may run as another user
		remove()
		return nil, err
	}
	return remove, nil
}

var errOrphan = errors.New("the run has been killed")

// withParent ends the context, with errOrphan, when the other end of in is closed.
func withParent(ctx context.Context, in io.Reader) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		io.Copy(io.Discard, in)
		cancel(errOrphan)
	}()
	return ctx
}

// clearUp removes the folder of a run that was killed, once its databases, which the
// system ends with it, are down. They get so much time.
func clearUp(dir string, limit time.Duration) error {
	if dir == "" {
		return nil
	}
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if up, _ := filepath.Glob(filepath.Join(dir, "*", "data", "postmaster.pid")); len(up) == 0 { // the pattern is well formed
			break
		}
	}
	return os.RemoveAll(dir)
}
