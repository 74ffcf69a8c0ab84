package replica

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// entry is an item with its id beside it: comparing ids through pointers costs
// several times more.
type entry[T any] struct {
	hi, lo uint64
	item   T
}

// sortByID sorts items by id and takes repeats out, in place.
func sortByID[T any](items []T, id func(T) [16]byte) []T {
	if len(items) < 2 {
		return items
	}
	entries := make([]entry[T], len(items))
	for i, item := range items {
		b := id(item)
		entries[i] = entry[T]{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), item}
	}
	entries = sortEntries(entries)
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

// manyEntries is the number from which on sorting by digits is the faster way:
// it took a quarter of the time of a comparing sort for 10,000 entries.
const manyEntries = 500

func sortEntries[T any](entries []entry[T]) []entry[T] {
	if len(entries) >= manyEntries {
		entries = sortByDigits(entries)
	}
	// What is in order already costs one pass; of many entries, those with equal
	// halves are left to be put in order.
	slices.SortFunc(entries, func(a, b entry[T]) int {
		if c := cmp.Compare(a.hi, b.hi); c != 0 {
			return c
		}
		return cmp.Compare(a.lo, b.lo)
	})
	return entries
}

// sortByDigits sorts by the first half of the ids, from the least byte to the
// greatest. A byte that all share, as ids of one day do, is passed over.
func sortByDigits[T any](entries []entry[T]) []entry[T] {
	var counts [8][256]int32
	for i := range entries {
		for d := range counts {
			counts[d][byte(entries[i].hi>>(8*d))]++
		}
	}
	other := make([]entry[T], len(entries))
	for d := range counts {
		if int(counts[d][byte(entries[0].hi>>(8*d))]) == len(entries) {
			continue
		}
		var at int32
		for b, n := range counts[d] {
			counts[d][b] = at
			at += n
		}
		for i := range entries {
			b := byte(entries[i].hi >> (8 * d))
			other[counts[d][b]] = entries[i]
			counts[d][b]++
		}
		entries, other = other, entries
	}
	return entries
}
