//go:build !linux

package systest

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
