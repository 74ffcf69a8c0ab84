// Package plain is JSON and RFC 6902 written down once more, as plainly as
// possible, for checkers that must share no code with the server: what the
// server says it has done is applied with it and compared with what it shows.
package plain

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
)

// ErrPatch is an operation that does not apply.
var ErrPatch = errors.New("the patch does not apply")

// Apply gives doc with every operation of the patch done. doc may be
// changed.
func Apply(doc any, patch []any) (any, error) {
	for i, p := range patch {
		op, ok := p.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("operation %d is no object", i)
		}
		next, err := applyOp(doc, op)
		if err != nil {
			b, _ := json.Marshal(op)
			return nil, fmt.Errorf("operation %d %s: %w", i, b, err)
		}
		doc = next
	}
	return doc, nil
}

func applyOp(doc any, op map[string]any) (any, error) {
	path, err := pointer(op["path"])
	if err != nil {
		return nil, err
	}
	switch op["op"] {
	case "add":
		v, ok := op["value"]
		if !ok {
			return nil, ErrPatch
		}
		return addAt(doc, path, Copy(v))
	case "remove":
		return removeAt(doc, path)
	case "replace":
		v, ok := op["value"]
		if _, err := lookup(doc, path); err != nil || !ok {
			return nil, ErrPatch
		}
		if len(path) == 0 {
			return Copy(v), nil
		}
		if doc, err = removeAt(doc, path); err != nil {
			return nil, err
		}
		return addAt(doc, path, Copy(v))
	case "move", "copy":
		from, err := pointer(op["from"])
		if err != nil {
			return nil, err
		}
		v, err := lookup(doc, from)
		if err != nil {
			return nil, err
		}
		v = Copy(v)
		if op["op"] == "move" {
			if doc, err = removeAt(doc, from); err != nil {
				return nil, err
			}
		}
		return addAt(doc, path, v)
	case "test":
		v, err := lookup(doc, path)
		if err != nil || !Equal(v, op["value"]) {
			return nil, ErrPatch
		}
		return doc, nil
	}
	return nil, ErrPatch
}

func pointer(v any) ([]string, error) {
	s, ok := v.(string)
	if !ok || s != "" && s[0] != '/' {
		return nil, ErrPatch
	}
	if s == "" {
		return nil, nil
	}
	parts := strings.Split(s[1:], "/")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~")
	}
	return parts, nil
}

func index(token string, length int) (int, error) {
	if token == "" || token != "0" && token[0] == '0' || strings.Trim(token, "0123456789") != "" {
		return 0, ErrPatch
	}
	i, err := strconv.Atoi(token)
	if err != nil || i >= length {
		return 0, ErrPatch
	}
	return i, nil
}

// lookup finds what stands at a path.
func lookup(doc any, path []string) (any, error) {
	for _, token := range path {
		switch c := doc.(type) {
		case map[string]any:
			v, ok := c[token]
			if !ok {
				return nil, ErrPatch
			}
			doc = v
		case []any:
			i, err := index(token, len(c))
			if err != nil {
				return nil, err
			}
			doc = c[i]
		default:
			return nil, ErrPatch
		}
	}
	return doc, nil
}

func addAt(doc any, path []string, v any) (any, error) {
	return changeAt(doc, path, func(parent any, token string) (any, error) {
		switch c := parent.(type) {
		case map[string]any:
			c[token] = v
			return c, nil
		case []any:
			i := len(c)
			if token != "-" {
				var err error
				if i, err = index(token, len(c)+1); err != nil {
					return nil, err
				}
			}
			return append(c[:i:i], append([]any{v}, c[i:]...)...), nil
		}
		return nil, ErrPatch
	}, v)
}

func removeAt(doc any, path []string) (any, error) {
	if len(path) == 0 {
		return nil, ErrPatch
	}
	return changeAt(doc, path, func(parent any, token string) (any, error) {
		switch c := parent.(type) {
		case map[string]any:
			if _, ok := c[token]; !ok {
				return nil, ErrPatch
			}
			delete(c, token)
			return c, nil
		case []any:
			i, err := index(token, len(c))
			if err != nil {
				return nil, err
			}
			return append(c[:i:i], c[i+1:]...), nil
		}
		return nil, ErrPatch
	}, nil)
}

func changeAt(doc any, path []string, change func(any, string) (any, error), whole any) (any, error) {
	if len(path) == 0 {
		return whole, nil
	}
	if len(path) == 1 {
		return change(doc, path[0])
	}
	switch c := doc.(type) {
	case map[string]any:
		child, ok := c[path[0]]
		if !ok {
			return nil, ErrPatch
		}
		next, err := changeAt(child, path[1:], change, whole)
		if err != nil {
			return nil, err
		}
		c[path[0]] = next
		return c, nil
	case []any:
		i, err := index(path[0], len(c))
		if err != nil {
			return nil, err
		}
		next, err := changeAt(c[i], path[1:], change, whole)
		if err != nil {
			return nil, err
		}
		c[i] = next
		return c, nil
	}
	return nil, ErrPatch
}

// Copy gives a value that shares nothing with v.
func Copy(v any) any {
	switch c := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(c))
		for k, v := range c {
			m[k] = Copy(v)
		}
		return m
	case []any:
		l := make([]any, len(c))
		for i, v := range c {
			l[i] = Copy(v)
		}
		return l
	}
	return v
}

// Equal compares JSON values, numbers by value.
func Equal(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k, v := range x {
			w, ok := y[k]
			if !ok || !Equal(v, w) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !Equal(x[i], y[i]) {
				return false
			}
		}
		return true
	case json.Number:
		y, ok := b.(json.Number)
		if !ok {
			return false
		}
		r, ok1 := new(big.Rat).SetString(x.String())
		s, ok2 := new(big.Rat).SetString(y.String())
		return ok1 && ok2 && r.Cmp(s) == 0
	}
	return a == b
}

// Decode reads one JSON value, with the digits of its numbers as they stand.
func Decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the value")
	}
	return v, nil
}

// At gives what stands at a JSON Pointer.
func At(doc any, at string) (any, bool) {
	path, err := pointer(at)
	if err != nil {
		return nil, false
	}
	v, err := lookup(doc, path)
	return v, err == nil
}
