package patch

import "bytes"

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
func skipString(b []byte, i int) int {
	start := i + 1
	for i = start; ; {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			return len(b)
		}
		i += j
		// The quote ends the string unless an odd run of backslashes precedes.
		k := i
		for k > start && b[k-1] == '\\' {
			k--
		}
		i++
		if (i-1-k)%2 == 0 {
			return i
		}
	}
}

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

// structural marks the bytes at which skipContainer has to stop.
var structural = [256]bool{'"': true, '{': true, '}': true, '[': true, ']': true}

func skipContainer(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		if !structural[b[i]] {
			i++
			continue
		}
		switch b[i] {
		case '"':
			i = skipString(b, i)
			continue
		case '{', '[':
			depth++
		default:
			if depth--; depth == 0 {
				return i + 1
			}
		}
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
	for i := 0; i < len(b); {
		switch b[i] {
		case '"':
			i = skipString(b, i)
			continue
		case '{', '[':
			depth++
			most = max(most, depth)
		case '}', ']':
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
