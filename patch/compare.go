package patch

import "bytes"

// Rank is the place of a value's kind in the order of values.
type Rank uint8

// The ranks, in their order.
const (
	RankMissing Rank = iota
	RankNull
	RankFalse
	RankTrue
	RankNumber
	RankString
	RankOther // objects and arrays, equal among themselves
)

// RankOf gives the rank of a JSON value without white space before it; nil is a
// missing one.
func RankOf(v []byte) Rank {
	if len(v) == 0 {
		return RankMissing
	}
	switch v[0] {
	case 'n':
		return RankNull
	case 'f':
		return RankFalse
	case 't':
		return RankTrue
	case '"':
		return RankString
	case '{', '[':
		return RankOther
	}
	return RankNumber
}

// Compare orders two JSON values: missing (nil), null, false, true, numbers by
// value, strings by code point, then anything else (equal among themselves).
// Both must have passed Check, without white space around them.
func Compare(a, b []byte) int {
	x, y := RankOf(a), RankOf(b)
	if x != y {
		return int(x) - int(y)
	}
	switch x {
	case RankNumber:
		return compareNumbers(a, b)
	case RankString:
		return bytes.Compare(unescape(a), unescape(b)) // UTF-8 keeps the order of code points
	}
	return 0
}
