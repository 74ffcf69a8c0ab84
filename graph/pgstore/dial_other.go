//go:build !linux

package pgstore

import (
	"syscall"
	"time"
)

// giveUp is left to the system's own patience: silence ends the connection.
func giveUp(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
