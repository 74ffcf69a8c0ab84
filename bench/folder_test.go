package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTheChildOfAKilledRunEndsAndClearsUp(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp(t.TempDir(), "run")
	if err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(dir, "node", "data", "postmaster.pid")
	if err := os.MkdirAll(filepath.Dir(lock), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	in, parent := io.Pipe()
	ctx := withParent(t.Context(), in)
	if ctx.Err() != nil {
		t.Fatal("it ends before its parent")
	}
	parent.Close()
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), errOrphan) {
		t.Errorf("it ends because of %v", context.Cause(ctx))
	}
	cleared := make(chan error)
	go func() { cleared <- clearUp(dir, time.Minute) }()
	select {
	case err := <-cleared:
		t.Fatalf("the folder of a database that runs is cleared: %v", err)
	default:
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if err := <-cleared; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}
