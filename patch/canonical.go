package patch

import (
	"bytes"
	"slices"
	"strconv"
)

// AppendCanonical appends the canonical text of a JSON value that has passed
// Check: two values have the same one exactly where Equal finds them equal.
// Members come by the code points of their keys, strings with as few escapes as
// may be, numbers without point and exponent where they are whole and have at
// most 64 digits.
func AppendCanonical(dst, value []byte) []byte {
	c := canonical{out: dst}
	if i := skipSpace(value, 0); i < len(value) {
		c.value(value, i)
	}
	return c.out
}

// AppendCanonicalOp is AppendOp with the operation's value in its canonical text.
func AppendCanonicalOp(dst []byte, op Op) []byte {
	value := op.Value
	op.Value = nil
	dst = AppendOp(dst, "", op)
	if len(value) == 0 {
		return dst
	}
	return append(AppendCanonical(dst[:len(dst)-1], value), '}')
}

// canonical writes a value in one walk. Members that come in another order are
// put into theirs when the object is complete, so that depth costs no second walk.
type canonical struct {
	out     []byte
	members []placed // of the objects that are open
	moved   []byte   // a copy of the members that change places
}

// placed is a member as written: out[from:to], without the comma.
type placed struct {
	key      []byte // what it stands for
	from, to int
}

// value writes the value at b[i] and gives the offset behind it.
func (c *canonical) value(b []byte, i int) int {
	switch b[i] {
	case '{':
		return c.object(b, i)
	case '[':
		c.out = append(c.out, '[')
		for i = skipSpace(b, i+1); b[i] != ']'; {
			i = comma(b, c.value(b, i))
			if b[i] != ']' {
				c.out = append(c.out, ',')
			}
		}
		c.out = append(c.out, ']')
		return i + 1
	}
	end := skipValue(b, i)
	switch RankOf(b[i:]) {
	case RankString:
		c.text(b[i:end])
	case RankNumber:
		c.number(b[i:end])
	default:
		c.out = append(c.out, b[i:end]...)
	}
	return end
}

func (c *canonical) text(raw []byte) {
	if bytes.IndexByte(raw, '\\') < 0 {
		c.out = append(c.out, raw...)
		return
	}
	c.out = appendString(c.out, string(unescape(raw)))
}

// number writes whole numbers as such, for as long as Check lets them be written
// so; others as their digits, times a power of ten.
func (c *canonical) number(raw []byte) {
	if raw[0] != '-' && bytes.IndexFunc(raw, func(r rune) bool { return r < '0' || r > '9' }) < 0 {
		c.out = append(c.out, raw...)
		return
	}
	d := parseDecimal(raw)
	if len(d.digits) == 0 {
		c.out = append(c.out, '0')
		return
	}
	if d.neg {
		c.out = append(c.out, '-')
	}
	start := len(c.out)
	for _, digit := range d.digits {
		if digit != '.' {
			c.out = append(c.out, digit)
		}
	}
	n := int64(len(c.out) - start)
	if n <= d.exp && d.exp <= maxDigits {
		for ; n < d.exp; n++ {
			c.out = append(c.out, '0')
		}
		return
	}
	c.out = strconv.AppendInt(append(c.out, 'e'), d.exp-n, 10)
}

func (c *canonical) object(b []byte, i int) int {
	c.out = append(c.out, '{')
	first, sorted := len(c.members), true
	for i = skipSpace(b, i+1); b[i] != '}'; {
		if len(c.members) > first {
			c.out = append(c.out, ',')
		}
		raw, value := key(b, i)
		m := placed{key: unescape(raw), from: len(c.out)}
		c.text(raw)
		c.out = append(c.out, ':')
		i = comma(b, c.value(b, value))
		m.to = len(c.out)
		if n := len(c.members); n > first && bytes.Compare(c.members[n-1].key, m.key) > 0 {
			sorted = false
		}
		c.members = append(c.members, m)
	}
	if !sorted {
		c.sort(c.members[first:])
	}
	c.members = c.members[:first]
	c.out = append(c.out, '}')
	return i + 1
}

// sort puts members, which are the end of out, into the order of their keys.
func (c *canonical) sort(members []placed) {
	start := members[0].from
	c.moved = append(c.moved[:0], c.out[start:]...)
	slices.SortFunc(members, func(a, b placed) int { return bytes.Compare(a.key, b.key) })
	c.out = c.out[:start]
	for i, m := range members {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		c.out = append(c.out, c.moved[m.from-start:m.to-start]...)
	}
}
