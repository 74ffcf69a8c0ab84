package embedded

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// child is a process that we started and wait for.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has been waited for
	err  error         // of the wait; read after done
}

// startChild starts cmd in a process group of its own, so that a Ctrl-C in the
// terminal reaches us alone and we stop our children in our order. One
// goroutine starts it and waits for it on one locked thread: the kernel's
// parent-death signal follows the thread that forked, not the process.
func startChild(cmd *exec.Cmd, cred *syscall.Credential) (*child, error) {
	cmd.SysProcAttr = sysProcAttr(cred)
	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// exited reports whether the process is gone.
func (c *child) exited() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// grace is how long a child has to follow a signal.
const grace = 5 * time.Second

// stop sends the signals in turn, each after a grace, and SIGKILL at last. It
// returns when the process has been waited for.
func (c *child) stop(signals ...syscall.Signal) error {
	for _, sig := range append(signals, syscall.SIGKILL) {
		if c.exited() {
			break
		}
		if err := c.cmd.Process.Signal(sig); err != nil && !c.exited() && !isGone(err) {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		select {
		case <-c.done:
		case <-ctx.Done():
		}
		cancel()
	}
	<-c.done
	return nil
}

func isGone(err error) bool {
	return errors.Is(err, syscall.ESRCH) || err.Error() == "os: process already finished"
}
