package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/graphtide/graphtide/internal/embedded"
)

// parentEnv makes the test binary a program that starts a Postgres on the folder
// it names, says so, and waits for its standard input to end.
const parentEnv = "GRAPHTIDE_TEST_PARENT"

func TestMain(m *testing.M) {
	dir := os.Getenv(parentEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	p, err := embedded.StartPostgres(context.Background(), embedded.PostgresConfig{DataDir: dir, NoSync: true})
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("running", p.PID())
	bufio.NewReader(os.Stdin).ReadString('\n')
	p.Stop()
}

// A kill -9 of the parent must leave neither a server that runs on nor a folder
// that the next start finds taken.
func TestServerOfAKilledParentGivesItsFolderBack(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentEnv+"="+dir)
	parent.Stderr = os.Stderr
	stdin, err := parent.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	var server int
	if _, err := fmt.Sscanf(line, "running %d", &server); err != nil {
		t.Fatalf("the parent says %q", line)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	parent.Wait()

	p := startPostgres(t, dir)
	if p.PID() == server {
		t.Error("the old server was taken for ours")
	}
	if got := query(t, p.URL(), `SELECT 'ok'`); got != "ok" {
		t.Error(got)
	}
	if alive(server) {
		t.Errorf("the old server, pid %d, runs on", server)
	}
}

// alive reports whether the process runs; one that nobody has waited for does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return err != nil && !os.IsNotExist(err)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

func TestCtrlCReachesUsAlone(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, dataDir(t))
	group, err := syscall.Getpgid(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	if group == syscall.Getpgrp() {
		t.Error("the server is in our process group")
	}
}

func TestStartGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if p, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{DataDir: dir, NoSync: true}); err == nil {
		p.Stop()
		t.Fatal("started within a millisecond")
	}
	startPostgres(t, dir) // and nothing half made is in the way
}
