package patch

import (
	"encoding/json"
	"strings"
)

// Pointer is a JSON Pointer as decoded reference tokens; empty is the whole
// document.
type Pointer []string

// ParsePointer reads a JSON Pointer (RFC 6901): empty, or tokens that each
// begin with a slash, in which `~` stands as `~0` and `/` as `~1`.
func ParsePointer(s string) (Pointer, bool) {
	if s == "" {
		return Pointer{}, true
	}
	if s[0] != '/' {
		return nil, false
	}
	p := make(Pointer, 0, strings.Count(s, "/"))
	for s != "" {
		s = s[1:]
		end := strings.IndexByte(s, '/')
		if end < 0 {
			end = len(s)
		}
		token, ok := decodeToken(s[:end])
		if !ok {
			return nil, false
		}
		p = append(p, token)
		s = s[end:]
	}
	return p, true
}

func decodeToken(s string) (string, bool) {
	i := strings.IndexByte(s, '~')
	if i < 0 {
		return s, true
	}
	out := append(make([]byte, 0, len(s)), s[:i]...)
	for ; i < len(s); i++ {
		c := s[i]
		if c == '~' {
			i++
			switch {
			case i < len(s) && s[i] == '0':
			case i < len(s) && s[i] == '1':
				c = '/'
			default:
				return "", false
			}
		}
		out = append(out, c)
	}
	return string(out), true
}

// String gives the pointer's text, escaped.
func (p Pointer) String() string { return string(p.append(nil)) }

func (p Pointer) append(dst []byte) []byte {
	for _, token := range p {
		dst = append(dst, '/')
		dst = appendToken(dst, token)
	}
	return dst
}

func appendToken(dst []byte, token string) []byte {
	for i := 0; i < len(token); i++ {
		switch c := token[i]; c {
		case '~':
			dst = append(dst, '~', '0')
		case '/':
			dst = append(dst, '~', '1')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// hasPrefix reports whether q is p or an ancestor of p.
func (p Pointer) hasPrefix(q Pointer) bool {
	if len(p) < len(q) {
		return false
	}
	for i := range q {
		if p[i] != q[i] {
			return false
		}
	}
	return true
}

// index reads a token as an array index. ok is false where the grammar of RFC
// 6901 does not allow it: signs, leading zeros, anything but digits. An index
// beyond any array is given as a very large one.
func index(token string) (n int, ok bool) {
	if token == "" || token[0] == '0' && len(token) > 1 {
		return 0, false
	}
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		if n < 1<<48 {
			n = n*10 + int(c-'0')
		}
	}
	return n, true
}

// Get gives the value at p in a checked document, ok false where there is none.
func Get(doc []byte, p Pointer) (json.RawMessage, bool) {
	s, found := locate(doc, p)
	if found != reached || !s.found {
		return nil, false
	}
	return doc[s.start:s.end:s.end], true
}
