package systest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// This is RFC 6902 written down once more, as plainly as possible: what the
// server says it has done is applied with it and compared with what it shows.

var errPatch = errors.New("the patch does not apply")

// applyPatch gives doc with every operation of the patch done. doc may be
// changed.
func applyPatch(doc any, patch []any) (any, error) {
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
			return nil, errPatch
		}
		return addAt(doc, path, copied(v))
	case "remove":
		return removeAt(doc, path)
	case "replace":
		v, ok := op["value"]
		if _, err := lookup(doc, path); err != nil || !ok {
			return nil, errPatch
		}
		if len(path) == 0 {
			return copied(v), nil
		}
		if doc, err = removeAt(doc, path); err != nil {
			return nil, err
		}
		return addAt(doc, path, copied(v))
	case "move", "copy":
		from, err := pointer(op["from"])
		if err != nil {
			return nil, err
		}
		v, err := lookup(doc, from)
		if err != nil {
			return nil, err
		}
		v = copied(v)
		if op["op"] == "move" {
			if doc, err = removeAt(doc, from); err != nil {
				return nil, err
			}
		}
		return addAt(doc, path, v)
	case "test":
		v, err := lookup(doc, path)
		if err != nil || !equal(v, op["value"]) {
			return nil, errPatch
		}
		return doc, nil
	}
	return nil, errPatch
}

func pointer(v any) ([]string, error) {
	s, ok := v.(string)
	if !ok || s != "" && s[0] != '/' {
		return nil, errPatch
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
		return 0, errPatch
	}
	i, err := strconv.Atoi(token)
	if err != nil || i >= length {
		return 0, errPatch
	}
	return i, nil
}

func lookup(doc any, path []string) (any, error) {
	for _, token := range path {
		switch c := doc.(type) {
		case map[string]any:
			v, ok := c[token]
			if !ok {
				return nil, errPatch
			}
			doc = v
		case []any:
			i, err := index(token, len(c))
			if err != nil {
				return nil, err
			}
			doc = c[i]
		default:
			return nil, errPatch
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
		return nil, errPatch
	}, v)
}

func removeAt(doc any, path []string) (any, error) {
	if len(path) == 0 {
		return nil, errPatch
	}
	return changeAt(doc, path, func(parent any, token string) (any, error) {
		switch c := parent.(type) {
		case map[string]any:
			if _, ok := c[token]; !ok {
				return nil, errPatch
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
		return nil, errPatch
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
			return nil, errPatch
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
	return nil, errPatch
}

func copied(v any) any {
	switch c := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(c))
		for k, v := range c {
			m[k] = copied(v)
		}
		return m
	case []any:
		l := make([]any, len(c))
		for i, v := range c {
			l[i] = copied(v)
		}
		return l
	}
	return v
}

// equal compares JSON values, numbers by value.
func equal(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k, v := range x {
			w, ok := y[k]
			if !ok || !equal(v, w) {
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
			if !equal(x[i], y[i]) {
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
