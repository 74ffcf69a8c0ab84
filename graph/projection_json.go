package graph

import (
	"encoding/json"
	"strconv"
)

// AppendJSON appends the projection as JSON that ParseProjection reads. Equal
// projections give equal texts, however they were written: it can be the key of
// a view.
func (p *Projection) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"root":`...)
	switch {
	case p.Type != nil:
		dst = append(dst, `{"type":`...)
		dst = AppendString(dst, p.Type.Type)
		dst = p.Type.appendMembers(dst, true)
		dst = append(dst, '}')
	case len(p.Roots) == 1:
		dst = appendID(dst, p.Roots[0])
	default:
		dst = append(dst, '[')
		for i, id := range p.Roots {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendID(dst, id)
		}
		dst = append(dst, ']')
	}
	dst = p.Node.appendMembers(dst, true)
	return append(dst, '}')
}

func appendID(dst []byte, id ObjectID) []byte {
	dst = append(dst, '"')
	dst = id.AppendTo(dst)
	return append(dst, '"')
}

// appendName appends a member's name, with a comma in front if one is needed.
func appendName(dst []byte, comma bool, name string) []byte {
	if comma {
		dst = append(dst, ',')
	}
	dst = AppendString(dst, name)
	return append(dst, ':')
}

func (n *Node) appendMembers(dst []byte, comma bool) []byte {
	for _, in := range []bool{false, true} {
		open := false
		for _, s := range n.Steps {
			if s.In != in {
				continue
			}
			if !open {
				name := "out"
				if in {
					name = "in"
				}
				dst = append(appendName(dst, comma, name), '{')
			}
			dst = appendName(dst, open, s.Label)
			dst = s.appendJSON(dst)
			open, comma = true, true
		}
		if open {
			dst = append(dst, '}')
		}
	}
	return dst
}

func (s *Step) appendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	start := len(dst)
	dst = s.List.appendMembers(dst, false)
	dst = s.Node.appendMembers(dst, len(dst) > start)
	if s.Repeat != 0 {
		dst = appendName(dst, len(dst) > start, "repeat")
		if s.Repeat < 0 {
			dst = append(dst, "true"...)
		} else {
			dst = strconv.AppendInt(dst, int64(s.Repeat), 10)
		}
	}
	return append(dst, '}')
}

func (l *List) appendMembers(dst []byte, comma bool) []byte {
	if l.Where != nil {
		dst = appendName(dst, comma, "where")
		dst = l.Where.appendJSON(dst)
		comma = true
	}
	if len(l.Order) > 0 {
		dst = append(appendName(dst, comma, "order"), '[')
		for i, k := range l.Order {
			if i > 0 {
				dst = append(dst, ',')
			}
			text := k.Path.String()
			if k.Desc {
				text = "-" + text
			}
			dst = AppendString(dst, text)
		}
		dst = append(dst, ']')
		comma = true
	}
	if l.Limit > 0 {
		dst = appendName(dst, comma, "limit")
		dst = strconv.AppendInt(dst, int64(l.Limit), 10)
		comma = true
	}
	if l.After != nil {
		dst = append(appendName(dst, comma, "after"), `{"values":`...)
		dst = appendValues(dst, l.After.Values)
		dst = append(dst, `,"id":`...)
		dst = appendID(dst, l.After.ID)
		dst = append(dst, '}')
	}
	return dst
}

func appendValues(dst []byte, values []json.RawMessage) []byte {
	dst = append(dst, '[')
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		if v == nil {
			dst = append(dst, missingValue...)
		}
		dst = append(dst, v...)
	}
	return append(dst, ']')
}

// String gives the path as an order writes it, always as a pointer.
func (p Path) String() string {
	var text []byte
	if p.Edge {
		text = append(text, "edge:"...)
	}
	for _, token := range p.Tokens {
		text = append(text, '/')
		text = append(text, escapeToken(token)...)
	}
	return string(text)
}

var condNames = [...]string{
	CondAnd: "and", CondOr: "or", CondNot: "not", CondEq: "eq", CondNe: "ne", CondLt: "lt", CondLte: "lte",
	CondGt: "gt", CondGte: "gte", CondIn: "in", CondPrefix: "prefix", CondExists: "exists",
}

func (c *Cond) appendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	switch c.Op {
	case CondAnd, CondOr:
		if len(c.Sub) == 0 {
			break // {} holds always
		}
		dst = append(appendName(dst, false, condNames[c.Op]), '[')
		for i, sub := range c.Sub {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = sub.appendJSON(dst)
		}
		dst = append(dst, ']')
	case CondNot:
		dst = c.Sub[0].appendJSON(appendName(dst, false, "not"))
	default:
		dst = append(appendName(dst, false, c.Path.String()), '{')
		dst = appendName(dst, false, condNames[c.Op])
		switch c.Op {
		case CondExists:
			dst = strconv.AppendBool(dst, c.Bool)
		case CondIn:
			dst = appendValues(dst, c.Values)
		default:
			dst = append(dst, c.Values[0]...)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}
