package schema

import (
	"strings"

	"github.com/goccy/go-yaml/token"
)

// joinPlain mends how the lexer takes plain scalars with a colon in them apart
// where a list stands inside of braces: in `{enum: [09:00, https://a.b]}` both
// are text, for a colon separates a key only where space or the end of the entry
// follows (YAML 1.2.2, section 7.3.3), or where the key is quoted (7.4.2).
func joinPlain(tokens token.Tokens) token.Tokens {
	var out token.Tokens
	var open []token.Type
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			open = append(open, t.Type)
		case token.MappingEndType, token.SequenceEndType:
			open = open[:max(0, len(open)-1)]
		case token.MappingValueType:
			inList := len(open) > 0 && open[len(open)-1] == token.SequenceStartType
			if inList && len(out) > 0 && i+1 < len(tokens) && plain(out[len(out)-1]) && adjoins(tokens[i+1]) {
				key, value := out[len(out)-1], tokens[i+1]
				joined := key.Clone()
				joined.Type = token.StringType
				joined.Origin += t.Origin + value.Origin
				joined.Value = strings.TrimSpace(joined.Origin)
				if strings.Contains(joined.Value, "\n") { // lines of a plain scalar are folded
					joined.Value = strings.Join(strings.Fields(joined.Value), " ")
				}
				out[len(out)-1] = joined
				i++
				continue
			}
		}
		out = append(out, t)
	}
	for i, t := range out {
		t.Prev, t.Next = nil, nil
		if i > 0 {
			t.Prev, out[i-1].Next = out[i-1], t
		}
	}
	return out
}

// plain reports whether a token is a scalar without quotes.
func plain(t *token.Token) bool {
	switch t.Type {
	case token.StringType, token.IntegerType, token.FloatType, token.BoolType, token.NullType,
		token.BinaryIntegerType, token.OctetIntegerType, token.HexIntegerType, token.InfinityType, token.NanType:
		return true
	}
	return false
}

// adjoins reports whether a token follows the one before it without a space,
// and is none that ends an entry.
func adjoins(t *token.Token) bool {
	if o := t.Origin; o == "" || strings.TrimLeft(o, " \t\r\n") != o {
		return false
	}
	return plain(t) || quoted(t)
}
