package patch

// Compact gives text without insignificant white space; text must have passed
// Check. It returns text itself where there is none.
//
// Numbers keep their text, save a zero with an exponent, which loses it: JSONB
// refuses or blows up 0e-99999.
func Compact(text []byte) []byte {
	var out []byte // nil while nothing had to go
	kept := 0      // text[:kept] is in out
	drop := func(from, to int) {
		if out == nil {
			out = make([]byte, 0, len(text))
		}
		out = append(out, text[kept:from]...)
		kept = to
	}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			i = skipString(text, i)
		case c <= ' ':
			end := skipSpace(text, i)
			drop(i, end)
			i = end
		case '0' <= c && c <= '9':
			end := skipValue(text, i)
			if at := zeroExponent(text[i:end]); at >= 0 {
				drop(i+at, end)
			}
			i = end
		default:
			i++
		}
	}
	if out == nil {
		return text
	}
	return append(out, text[kept:]...)
}

// zeroExponent gives where the exponent of a zero begins; -1 if the number is
// no zero or has none.
func zeroExponent(s []byte) int {
	for i, c := range s {
		switch c {
		case '0', '.':
		case 'e', 'E':
			return i
		default:
			return -1
		}
	}
	return -1
}
