package patch

import (
	"encoding/json"
	"fmt"
)

// Parse reads a patch whose text has passed Check. maxOps bounds the number of
// operations; 0 is no bound. Members that an operation does not need are
// ignored. Values come out compact.
func Parse(text []byte, maxOps int) ([]Op, *Error) {
	ops, faults, err := ParseEach(text, maxOps)
	if err == nil && len(faults) > 0 {
		err = faults[0]
	}
	if err != nil {
		return nil, err
	}
	return ops, nil
}

// ParseEach is Parse for a caller that judges operation by operation: it goes on
// behind one that is malformed. Such a one has its fault in faults, which are in
// order, and what could be read of its Kind and Path in ops; where its path could
// not be, it has neither.
func ParseEach(text []byte, maxOps int) (ops []Op, faults []*Error, err *Error) {
	i := skipSpace(text, 0)
	if i == len(text) || text[i] != '[' {
		return nil, nil, &Error{Reason: InvalidPatch, Op: -1, Message: "a patch is an array of operations"}
	}
	for i = skipSpace(text, i+1); text[i] != ']'; {
		if text[i] == ',' {
			i = skipSpace(text, i+1)
		}
		if maxOps > 0 && len(ops) == maxOps {
			return nil, nil, &Error{Reason: TooLarge, Op: -1, Limit: "operations", Message: fmt.Sprintf("more than %d operations", maxOps)}
		}
		end := skipValue(text, i)
		op, at, message := parseOp(text[i:end])
		if message != "" {
			path := Pointer{fmt.Sprint(len(ops))}
			if at != "" {
				path = append(path, at)
			}
			faults = append(faults, &Error{Reason: InvalidPatch, Op: len(ops), Path: path.String(), Message: message})
		}
		ops = append(ops, op)
		i = skipSpace(text, end)
	}
	return ops, faults, nil
}

// parseOp reads one operation; message says what is wrong with which member.
func parseOp(b []byte) (op Op, at, message string) {
	if b[0] != '{' {
		return op, "", "an operation is an object"
	}
	var name, path, from, value []byte
	for i := skipSpace(b, 1); b[i] != '}'; {
		if b[i] == ',' {
			i = skipSpace(b, i+1)
		}
		end := skipString(b, i)
		key := unescape(b[i:end])
		i = skipSpace(b, skipSpace(b, end)+1) // over the colon
		end = skipValue(b, i)
		switch string(key) {
		case "op":
			name = b[i:end]
		case "path":
			path = b[i:end]
		case "from":
			from = b[i:end]
		case "value":
			value = b[i:end]
		}
		i = skipSpace(b, end)
	}
	var ok bool
	op.Path, ok = pointerMember(path)
	switch kind := opKind(name); {
	case kind == 0:
		return op, "op", "op must be add, remove, replace, move, copy or test"
	case ok:
		op.Kind = kind
	default:
		return op, "path", "path must be a JSON Pointer: empty, or /-separated with ~0 and ~1 as the only escapes"
	}
	switch op.Kind {
	case Add, Replace, Test:
		if value == nil {
			return op, "value", op.Kind.String() + " needs a value"
		}
		op.Value = json.RawMessage(Compact(value))
	case Move, Copy:
		if op.From, ok = pointerMember(from); !ok {
			return op, "from", op.Kind.String() + " needs a from that is a JSON Pointer"
		}
	}
	return op, "", ""
}

func opKind(raw []byte) OpKind {
	if len(raw) == 0 || raw[0] != '"' {
		return 0
	}
	name := unescape(raw)
	for k := Add; k <= Test; k++ {
		if string(name) == opNames[k] {
			return k
		}
	}
	return 0
}

func pointerMember(raw []byte) (Pointer, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return nil, false
	}
	return ParsePointer(string(unescape(raw)))
}

// AppendOp appends an operation as JSON, its paths below prefix (already
// escaped text, for instance "/objects/<id>").
func AppendOp(dst []byte, prefix string, op Op) []byte {
	dst = append(dst, `{"op":"`...)
	dst = append(dst, op.Kind.String()...)
	dst = append(dst, `","path":`...)
	dst = appendPointer(dst, prefix, op.Path)
	switch op.Kind {
	case Move, Copy:
		dst = append(dst, `,"from":`...)
		dst = appendPointer(dst, prefix, op.From)
	case Add, Replace, Test:
		dst = append(dst, `,"value":`...)
		dst = append(dst, op.Value...)
	}
	return append(dst, '}')
}

// appendPointer appends the pointer as a JSON string.
func appendPointer(dst []byte, prefix string, p Pointer) []byte {
	dst = append(dst, '"')
	dst = appendEscaped(dst, prefix)
	for _, token := range p {
		dst = append(dst, '/')
		from := len(dst)
		dst = appendToken(dst, token)
		for _, c := range dst[from:] {
			if c < 0x20 || c == '"' || c == '\\' { // rare: escape the token's text as JSON
				text := string(dst[from:])
				dst = appendEscaped(dst[:from], text)
				break
			}
		}
	}
	return append(dst, '"')
}

// AppendOps appends operations as a patch; see AppendOp.
func AppendOps(dst []byte, prefix string, ops []Op) []byte {
	dst = append(dst, '[')
	for i, op := range ops {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendOp(dst, prefix, op)
	}
	return append(dst, ']')
}

// Concat joins the texts of patches, each an array, into one: what the first
// does, then what the second does, and so on.
func Concat(patches ...[]byte) []byte {
	n := 2
	for _, p := range patches {
		n += len(p)
	}
	out := append(make([]byte, 0, n), '[')
	for _, p := range patches {
		p = trim(p)
		if len(p) < 2 {
			continue
		}
		ops := p[skipSpace(p, 1) : len(p)-1]
		if len(ops) == 0 {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, ops...)
	}
	return append(out, ']')
}
