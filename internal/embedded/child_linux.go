package embedded

import "syscall"

// sysProcAttr also asks the kernel to stop the child when we die: SIGINT is
// Postgres's fast shutdown, and ends Redis too.
func sysProcAttr(cred *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: cred, Setpgid: true, Pdeathsig: syscall.SIGINT}
}
