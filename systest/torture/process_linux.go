package torture

import "syscall"

// diesWithUs has the kernel end a process whose harness was killed.
func diesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
