package replica

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// sortByID sorts items by id and takes repeats out. The ids are copied next to
// each other first: comparing through pointers costs several times more.
func sortByID[T any](items []T, id func(T) [16]byte) []T {
	type entry struct {
		hi, lo uint64
		item   T
	}
	if len(items) < 2 {
		return items
	}
	entries := make([]entry, len(items))
	for i, item := range items {
		b := id(item)
		entries[i] = entry{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), item}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		if c := cmp.Compare(a.hi, b.hi); c != 0 {
			return c
		}
		return cmp.Compare(a.lo, b.lo)
	})
	n := 0
	for i, e := range entries {
		if i > 0 && e.hi == entries[i-1].hi && e.lo == entries[i-1].lo {
			continue
		}
		items[n] = e.item
		n++
	}
	clear(items[n:])
	return items[:n]
}
