package protocol

import (
	"encoding/json"
	"strconv"

	"github.com/graphtide/graphtide/graph"
)

// fields are the members of one JSON object, as they were written.
type fields map[string]json.RawMessage

// readFields takes an object apart. encoding/json alone would match names
// whatever their case and let the last of two equal names win.
func readFields(text []byte) (fields, bool) {
	if !json.Valid(text) {
		return nil, false
	}
	f := make(fields, 8)
	i := skipSpace(text, 1) // behind the brace: Split made sure of it
	for text[i] != '}' {
		end := valueEnd(text, i)
		name, ok := unquote(text[i:end])
		if !ok {
			return nil, false
		}
		i = skipSpace(text, end) // at the colon
		i = skipSpace(text, i+1) // at the value
		end = valueEnd(text, i)  // behind it
		if _, twice := f[name]; twice {
			return nil, false
		}
		f[name] = text[i:end:end]
		if i = skipSpace(text, end); text[i] == ',' {
			i = skipSpace(text, i+1)
		}
	}
	return f, true
}

func skipSpace(s []byte, i int) int {
	for isSpace(s[i]) {
		i++
	}
	return i
}

// valueEnd gives the end of the value at i of a text that is valid JSON.
func valueEnd(s []byte, i int) int {
	depth, quoted := 0, false
	for ; i < len(s); i++ {
		c := s[i]
		if quoted {
			switch c {
			case '\\':
				i++
			case '"':
				quoted = false
				if depth == 0 {
					return i + 1
				}
			}
			continue
		}
		switch c {
		case '"':
			quoted = true
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // of the enclosing object: a bare value ends here
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		case ':':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

// value gives a member that may be missing. A null says that it is: nothing here has
// a null for its value.
func (f fields) value(name string) (raw json.RawMessage, there bool) {
	raw, there = f[name]
	if !there || string(raw) == "null" {
		return nil, false
	}
	return raw, true
}

// text gives a string member; absent is "". ok is false for another kind.
func (f fields) text(name string) (s string, ok bool) {
	raw, there := f.value(name)
	if !there {
		return "", true
	}
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return unquote(raw)
}

// unquote reads a string of a text that is valid JSON. Nearly all of them are plain
// ASCII: for these encoding/json would take most of the time that a message takes.
func unquote(raw []byte) (s string, ok bool) {
	for _, c := range raw {
		if c < ' ' || c > '~' || c == '\\' {
			err := json.Unmarshal(raw, &s)
			return s, err == nil
		}
	}
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	return string(raw[1 : len(raw)-1]), true
}

// version gives an integer from 0 on; absent is nil.
func (f fields) version(name string) (v *graph.Version, ok bool) {
	raw, there := f.value(name)
	if !there {
		return nil, true
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 || raw[0] == '+' || raw[0] == '-' {
		return nil, false
	}
	w := graph.Version(n)
	return &w, true
}

// texts gives an array of strings; absent is nil.
func (f fields) texts(name string) (list []string, ok bool) {
	raw, there := f.value(name)
	if !there {
		return nil, true
	}
	var ptrs []*string // a null among them must not pass for ""
	if raw[0] != '[' || json.Unmarshal(raw, &ptrs) != nil {
		return nil, false
	}
	for _, p := range ptrs {
		if p == nil {
			return nil, false
		}
		list = append(list, *p)
	}
	return list, true
}
