package patch

import "bytes"

// Equal compares two JSON values as RFC 6902, section 4.6 does: numbers by
// value, strings by what they stand for, objects whatever the order of their
// keys. Both must have passed Check. An empty text equals only another one.
func Equal(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	i, j := skipSpace(a, 0), skipSpace(b, 0)
	if i == len(a) || j == len(b) {
		return i == len(a) && j == len(b)
	}
	_, _, ok := equalAt(a, i, b, j)
	return ok
}

// equalAt compares the values at a[i] and b[j] and gives the offsets behind
// them.
func equalAt(a []byte, i int, b []byte, j int) (int, int, bool) {
	switch rank := RankOf(a[i:]); {
	case rank != RankOf(b[j:]):
		return 0, 0, false
	case rank != RankOther:
	case a[i] != b[j]:
		return 0, 0, false
	case a[i] == '{':
		return equalObjects(a, i, b, j)
	default:
		return equalArrays(a, i, b, j)
	}
	end, endB := skipValue(a, i), skipValue(b, j)
	return end, endB, equalScalars(a[i:end], b[j:endB])
}

func equalScalars(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	switch RankOf(a) {
	case RankString:
		return bytes.Equal(unescape(a), unescape(b))
	case RankNumber:
		return compareNumbers(a, b) == 0
	}
	return false
}

func equalArrays(a []byte, i int, b []byte, j int) (int, int, bool) {
	i, j = skipSpace(a, i+1), skipSpace(b, j+1)
	for a[i] != ']' && b[j] != ']' {
		var ok bool
		if i, j, ok = equalAt(a, i, b, j); !ok {
			return 0, 0, false
		}
		i, j = comma(a, i), comma(b, j)
	}
	return i + 1, j + 1, a[i] == b[j]
}

// comma goes from behind an item to the next one, or to the closing bracket.
func comma(b []byte, i int) int {
	if i = skipSpace(b, i); b[i] == ',' {
		return skipSpace(b, i+1)
	}
	return i
}

// key reads the key at i and gives the offset of its value.
func key(b []byte, i int) ([]byte, int) {
	end := skipString(b, i)
	return b[i:end], skipSpace(b, skipSpace(b, end)+1) // over the colon
}

// equalObjects walks both in step for as long as their keys come in the same
// order, which is nearly always to the end, and looks the others up.
func equalObjects(a []byte, i int, b []byte, j int) (int, int, bool) {
	i, j = skipSpace(a, i+1), skipSpace(b, j+1)
	for a[i] != '}' && b[j] != '}' {
		keyA, valueA := key(a, i)
		keyB, valueB := key(b, j)
		if !equalScalars(keyA, keyB) {
			return equalUnordered(a, i, b, j)
		}
		var ok bool
		if i, j, ok = equalAt(a, valueA, b, valueB); !ok {
			return 0, 0, false
		}
		i, j = comma(a, i), comma(b, j)
	}
	return i + 1, j + 1, a[i] == b[j]
}

// equalUnordered compares the members from a[i] and b[j] on as sets.
func equalUnordered(a []byte, i int, b []byte, j int) (int, int, bool) {
	values := make(map[string]int)
	for a[i] != '}' {
		k, value := key(a, i)
		values[string(unescape(k))] = value
		i = comma(a, skipValue(a, value))
	}
	n := 0
	for b[j] != '}' {
		k, value := key(b, j)
		other, ok := values[string(unescape(k))]
		if !ok {
			return 0, 0, false
		}
		n++
		if _, j, ok = equalAt(a, other, b, value); !ok {
			return 0, 0, false
		}
		j = comma(b, j)
	}
	return i + 1, j + 1, n == len(values)
}
