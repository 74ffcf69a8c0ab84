//go:build sabotage

package sabotage

import (
	"fmt"
	"os"
	"slices"
	"sync/atomic"
)

// Enabled reports whether this build can be broken.
const Enabled = true

var (
	chosen = choose()
	asked  atomic.Int64
)

func choose() Break {
	b := Break(os.Getenv(Env))
	if b != "" && !slices.Contains(Breaks, b) {
		panic(fmt.Sprintf("%s names %q, which is no break", Env, b))
	}
	return b
}

// On reports whether the program breaks this promise.
func On(b Break) bool { return b == chosen }

// Nth is On, once in n times.
func Nth(b Break, n int) bool { return b == chosen && asked.Add(1)%int64(n) == 0 }
