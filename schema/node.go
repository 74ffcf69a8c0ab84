package schema

import (
	"encoding/json"
	"strconv"

	"github.com/graphtide/graphtide/graph"
)

// kind is the kind of a JSON value.
type kind uint8

const (
	nullKind kind = iota
	boolKind
	numberKind
	stringKind
	mapKind
	listKind
)

// String names the kind for messages.
func (k kind) String() string {
	return [...]string{"nothing", "true or false", "a number", "text", "a map", "a list"}[k]
}

// node is a value of the document with the place where it stands. Numbers keep
// their text.
type node struct {
	kind    kind
	text    string // numberKind: as JSON writes it; stringKind
	yes     bool   // boolKind
	members []member
	items   []*node
	line    int
	col     int // in bytes, from 1
}

// member is a key of a map and its value.
type member struct {
	key       string
	line, col int
	value     *node
}

// get gives a member of a map, or nil.
func (n *node) get(key string) *member {
	if n == nil {
		return nil
	}
	for i := range n.members {
		if n.members[i].key == key {
			return &n.members[i]
		}
	}
	return nil
}

// appendJSON appends the value as JSON, members in their order.
func (n *node) appendJSON(dst []byte) []byte {
	switch n.kind {
	case boolKind:
		return strconv.AppendBool(dst, n.yes)
	case numberKind:
		return append(dst, n.text...)
	case stringKind:
		return graph.AppendString(dst, n.text)
	case mapKind:
		dst = append(dst, '{')
		for i, m := range n.members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = graph.AppendString(dst, m.key)
			dst = append(dst, ':')
			dst = m.value.appendJSON(dst)
		}
		return append(dst, '}')
	case listKind:
		dst = append(dst, '[')
		for i, item := range n.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = item.appendJSON(dst)
		}
		return append(dst, ']')
	}
	return append(dst, "null"...)
}

// plain gives the value as encoding/json would decode it with UseNumber.
func (n *node) plain() any {
	switch n.kind {
	case boolKind:
		return n.yes
	case numberKind:
		return json.Number(n.text)
	case stringKind:
		return n.text
	case mapKind:
		m := make(map[string]any, len(n.members))
		for _, e := range n.members {
			m[e.key] = e.value.plain()
		}
		return m
	case listKind:
		l := make([]any, len(n.items))
		for i, item := range n.items {
			l[i] = item.plain()
		}
		return l
	}
	return nil
}
