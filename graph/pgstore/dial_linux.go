package pgstore

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// giveUp has the kernel end a connection whose data is not acknowledged for so
// long. Keepalives do not see that: they are sent on idle connections alone.
func giveUp(after time.Duration) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			// Where it is not TCP the option is refused, and not needed.
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(after.Milliseconds()))
		})
	}
}
