//go:build !sabotage

package sabotage

// Enabled reports whether this build can be broken.
const Enabled = false

// On reports whether the program breaks this promise.
func On(Break) bool { return false }

// Nth is On, once in n times.
func Nth(Break, int) bool { return false }
