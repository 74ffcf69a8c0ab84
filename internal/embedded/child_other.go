//go:build unix && !linux

package embedded

import "syscall"

// sysProcAttr has no death signal here: the next start ends what was left.
func sysProcAttr(cred *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: cred, Setpgid: true}
}
