//go:build !linux

package torture

import "syscall"

func diesWithUs() *syscall.SysProcAttr { return nil }
