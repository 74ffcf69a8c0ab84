package systest

import "github.com/graphtide/graphtide/systest/plain"

// The tests' own RFC 6902.
var (
	applyPatch = plain.Apply
	copied     = plain.Copy
	equal      = plain.Equal
)
