package patch

import (
	"encoding/binary"
	"math/bits"
)

// The functions of this file walk text that has passed Check. They judge
// nothing, which is what makes them fast.

// skipSpace gives the offset of the first byte at or after i that is no white
// space.
func skipSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' {
		i++
	}
	return i
}

// skipString gives the offset behind the string that begins at i.
func skipString(b []byte, i int) int { return skipStringRest(b, i+1) }

// skipStringRest is skipString from within the string.
func skipStringRest(b []byte, i int) int {
	for {
		for i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			if m := equals(x, '"') | equals(x, '\\'); m != 0 {
				i += firstMark(m)
				break
			}
			i += 8
		}
		switch {
		case i >= len(b):
			return len(b)
		case b[i] == '"':
			return i + 1
		case b[i] == '\\':
			i++
		}
		i++
	}
}

// skipPlain gives the offset of the first byte at or after i that needs a
// second look inside a string: a quote, a backslash, a control character, or
// one that is not ASCII.
func skipPlain(b []byte, i int) int {
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		control := (x - 0x20*ones) &^ x // high bit: below 0x20
		if m := equals(x, '"') | equals(x, '\\') | (control|x)&highs; m != 0 {
			return i + firstMark(m)
		}
		i += 8
	}
	for i < len(b) && b[i] >= 0x20 && b[i] < 0x80 && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// Eight bytes at a time: a mark is the high bit of a byte. The first mark of a
// word is exact; those above it may be false, since a borrow runs upward.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// equals marks the bytes of x that are c.
func equals(x uint64, c byte) uint64 {
	x ^= uint64(c) * ones
	return (x - ones) &^ x & highs
}

// firstMark gives the index of the first byte that is marked.
func firstMark(m uint64) int { return bits.TrailingZeros64(m) >> 3 }

// skipValue gives the offset behind the value that begins at i.
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipContainer(b, i)
	}
	for i < len(b) {
		switch b[i] {
		case ',', ']', '}', ' ', '\t', '\n', '\r':
			return i
		}
		i++
	}
	return i
}

// skipContainer gives the offset behind the array or object at i. While there
// are 64 bytes left, it takes them as bits: no branch depends on where strings
// begin and end, which is what costs most in going from one to the next.
func skipContainer(b []byte, i int) int {
	depth := 0
	for i+64 <= len(b) {
		quotes, opens, closes, plain := classify(b[i : i+64])
		if !plain {
			var done bool
			if i, depth, done = stepContainer(b, i, i+64, depth); done {
				return i
			}
			continue
		}
		strings := prefixXor(quotes) // inside, with the opening quote
		within := int(strings >> 63)
		opens &^= strings
		closes &^= strings
		if n := bits.OnesCount64(closes); depth > n || n == 0 {
			depth += bits.OnesCount64(opens) - n
		} else {
			for rest := closes; rest != 0; rest &= rest - 1 {
				upTo := rest & -rest
				at := bits.OnesCount64(opens & (upTo - 1))
				done := bits.OnesCount64(closes & (upTo - 1))
				if depth+at == done+1 {
					return i + bits.TrailingZeros64(rest) + 1
				}
			}
			depth += bits.OnesCount64(opens) - n
		}
		i += 64
		if within != 0 { // the block ends inside a string
			i = skipStringRest(b, i)
		}
	}
	i, _, _ = stepContainer(b, i, len(b), depth)
	return i
}

// classify gives a bit for each of 64 bytes that is a quote, opens or closes a
// container; plain is false where there is a backslash among them.
func classify(b []byte) (quotes, opens, closes uint64, plain bool) {
	_ = b[63]
	var backslashes uint64
	for k := 0; k < 64; k += 8 {
		x := binary.LittleEndian.Uint64(b[k:])
		backslashes |= equals(x, '\\')
		quotes |= gather(exactly(x, '"')) << k
		x |= 0x20 * ones // [ and ] become { and }; no other byte outside strings does
		opens |= gather(exactly(x, '{')) << k
		closes |= gather(exactly(x, '}')) << k
	}
	return quotes, opens, closes, backslashes == 0
}

// exactly is equals without false marks.
func exactly(x uint64, c byte) uint64 {
	x ^= uint64(c) * ones
	return ^((x&^highs + (highs - ones)) | x) & highs
}

// gather brings the marks of eight bytes together in the lowest eight bits.
func gather(m uint64) uint64 { return (m >> 7) * 0x0102040810204080 >> 56 }

// prefixXor gives for each bit the exclusive or of all bits up to it.
func prefixXor(m uint64) uint64 {
	m ^= m << 1
	m ^= m << 2
	m ^= m << 4
	m ^= m << 8
	m ^= m << 16
	m ^= m << 32
	return m
}

// stepContainer goes on one by one, outside strings, from where depth containers
// are open, at least to until; done tells that the outermost has ended.
func stepContainer(b []byte, i, until, depth int) (at, nowDepth int, done bool) {
	for i < until {
		if i = nextStructural(b, i); i >= len(b) {
			break
		}
		switch b[i] {
		case '"':
			i = skipString(b, i)
			continue
		case '{', '[':
			depth++
		default:
			if depth--; depth == 0 {
				return i + 1, 0, true
			}
		}
		i++
	}
	return i, depth, false
}

// nextStructural gives the offset of the first quote or bracket at or after i,
// outside strings; len(b) where there is none.
func nextStructural(b []byte, i int) int {
	// The brackets are, but for bits of brackets, one byte; so are Y, y, _ and
	// DEL, which do not occur there.
	const brackets = '[' & ']' & '{' & '}'
	const vary = 0x7F &^ brackets
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		if m := equals(x, '"') | equals(x|vary*ones, 0x7F); m != 0 {
			return i + firstMark(m)
		}
		i += 8
	}
	for i < len(b) && b[i] != '"' && b[i]|vary != 0x7F {
		i++
	}
	return i
}

// height gives how many containers are within each other in the value at the
// start of b; 0 for a scalar.
func height(b []byte) int {
	if len(b) == 0 || b[0] != '{' && b[0] != '[' {
		return 0
	}
	depth, most := 0, 0
	for i := nextStructural(b, 0); i < len(b); i = nextStructural(b, i) {
		switch b[i] {
		case '"':
			i = skipString(b, i)
			continue
		case '{', '[':
			depth++
			most = max(most, depth)
		default:
			depth--
		}
		i++
	}
	return most
}

// trim gives the one value of a text, without white space around it.
func trim(b []byte) []byte {
	i := skipSpace(b, 0)
	if i == len(b) {
		return nil
	}
	return b[i:skipValue(b, i)]
}
