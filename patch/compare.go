package patch

import "bytes"

// kind is the place of a value's kind in the order of values.
type kind uint8

const (
	kindMissing kind = iota
	kindNull
	kindFalse
	kindTrue
	kindNumber
	kindString
	kindContainer // objects and arrays; kindOf parts them
	kindArray
)

// kindOf tells a value's kind from its first byte.
func kindOf(c byte) kind {
	switch c {
	case 'n':
		return kindNull
	case 'f':
		return kindFalse
	case 't':
		return kindTrue
	case '"':
		return kindString
	case '{':
		return kindContainer
	case '[':
		return kindArray
	}
	return kindNumber
}

// Compare orders two JSON values: missing (nil), null, false, true, numbers by
// value, strings by code point, then anything else (equal among themselves).
// Both must have passed Check, without white space around them.
func Compare(a, b []byte) int {
	x, y := rank(a), rank(b)
	if x != y {
		return int(x) - int(y)
	}
	switch x {
	case kindNumber:
		return compareNumbers(a, b)
	case kindString:
		return bytes.Compare(unescape(a), unescape(b)) // UTF-8 keeps the order of code points
	}
	return 0
}

func rank(v []byte) kind {
	if len(v) == 0 {
		return kindMissing
	}
	return min(kindOf(v[0]), kindContainer)
}
