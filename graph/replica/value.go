package replica

import (
	"strconv"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// ValueAt gives the JSON text that a path points to in an object, nil where there
// is nothing, and for a path into an edge.
func ValueAt(p graph.Path, o *graph.Object) []byte { return valueAt(p, o, nil) }

// valueAt gives the JSON text that a path of a projection points to, nil where
// there is nothing. The access of an object is nothing here: what a condition
// can tell apart, it tells.
func valueAt(p graph.Path, o *graph.Object, e *graph.Edge) []byte {
	if len(p.Tokens) == 0 {
		return nil
	}
	head, rest := p.Tokens[0], p.Tokens[1:]
	if p.Edge {
		return edgeValue(e, head, rest)
	}
	switch head {
	case "body":
		return bodyValue(o.Body, rest)
	case "meta":
		return metaValue(&o.Meta, rest)
	case "type":
		return leaf(rest, graph.AppendString(nil, o.Type))
	case "id":
		return leaf(rest, quoteID(o.ID))
	}
	return nil
}

func edgeValue(e *graph.Edge, head string, rest []string) []byte {
	if e == nil {
		return nil
	}
	switch head {
	case "body":
		return bodyValue(e.Body, rest)
	case "meta":
		return metaValue(&e.Meta, rest)
	case "label":
		return leaf(rest, graph.AppendString(nil, e.Label))
	case "from":
		return leaf(rest, quoteID(e.From))
	case "to":
		return leaf(rest, quoteID(e.To))
	case "id":
		return leaf(rest, quoteID(graph.ObjectID(e.ID)))
	}
	return nil
}

func bodyValue(body []byte, rest []string) []byte {
	v, ok := patch.Get(body, patch.Pointer(rest))
	if !ok {
		return nil
	}
	return v
}

// metaValue reads the members that lists are ordered by without writing the
// whole of meta as text.
func metaValue(m *graph.Meta, rest []string) []byte {
	if len(rest) == 1 {
		switch rest[0] {
		case "version":
			return strconv.AppendInt(nil, int64(m.Version), 10)
		case "createdVersion":
			return strconv.AppendInt(nil, int64(m.CreatedVersion), 10)
		}
	}
	return bodyValue(m.AppendJSON(nil), rest)
}

// leaf gives a text that has nothing below it.
func leaf(rest []string, text []byte) []byte {
	if len(rest) > 0 {
		return nil
	}
	return text
}

func quoteID(id graph.ObjectID) []byte {
	return append(id.AppendTo(append(make([]byte, 0, 38), '"')), '"')
}
