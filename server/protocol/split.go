package protocol

import (
	"iter"
	"unicode/utf8"
)

// Malformed is a message that cannot be answered: the connection is closed.
type Malformed struct{ Message string }

// Error gives what is wrong.
func (e *Malformed) Error() string { return e.Message }

// Split gives the JSON objects of a websocket message, in order: one that may
// span lines, or several, each beginning on a line of its own. Only the
// brackets are looked at; Decode judges the rest. The last pair has an error
// where the text goes wrong.
func Split(msg []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if !utf8.Valid(msg) {
			yield(nil, &Malformed{"the message is not valid UTF-8"})
			return
		}
		for {
			msg = trimSpace(msg)
			if len(msg) == 0 {
				return
			}
			n := objectEnd(msg)
			if n == 0 || !lineEnds(msg[n:]) {
				yield(nil, &Malformed{"a message holds JSON objects, one per line"})
				return
			}
			if !yield(msg[:n], nil) {
				return
			}
			msg = msg[n:]
		}
	}
}

// objectEnd gives the length of the object that s begins with, 0 for none.
func objectEnd(s []byte) int {
	if s[0] != '{' {
		return 0
	}
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if quoted {
			switch c {
			case '\\':
				i++
			case '"':
				quoted = false
			}
			continue
		}
		switch c {
		case '"':
			quoted = true
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

func lineEnds(s []byte) bool {
	for _, c := range s {
		switch c {
		case ' ', '\t', '\r':
		case '\n':
			return true
		default:
			return false
		}
	}
	return true
}

func trimSpace(s []byte) []byte {
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	return s
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
