package patch

import (
	"bytes"
	"math"
	"strconv"
)

// maxDigits is how many significant digits a number may be written with.
const maxDigits = 64

// decimal is a number's text taken apart without computing its value, so that
// an exponent of any size costs nothing.
type decimal struct {
	neg    bool
	digits []byte // from the first digit that is not 0 to the last, with the point in between; empty for zero
	count  int    // significant digits as written: trailing zeros count, and all digits of a zero
	exp    int64  // the value is 0.d1d2d3… × 10^exp; saturated far beyond any double
}

// parseDecimal reads text that has the grammar of a JSON number.
func parseDecimal(s []byte) decimal {
	var d decimal
	if s[0] == '-' {
		d.neg = true
		s = s[1:]
	}
	mantissa, exponent := s, []byte(nil)
	for i, c := range s {
		if c == 'e' || c == 'E' {
			mantissa, exponent = s[:i], s[i+1:]
			break
		}
	}
	point := bytes.IndexByte(mantissa, '.')
	whole := len(mantissa)
	d.count = whole
	if point >= 0 {
		whole = point
		d.count--
	}
	first := bytes.IndexFunc(mantissa, func(r rune) bool { return r != '0' && r != '.' })
	if first < 0 {
		return d
	}
	last := len(mantissa) - 1
	for mantissa[last] == '0' || mantissa[last] == '.' {
		last--
	}
	d.digits = mantissa[first : last+1]
	d.count = len(mantissa) - first
	if first < whole {
		d.exp = int64(whole - first)
		if point >= 0 {
			d.count--
		}
	} else {
		d.exp = int64(point + 1 - first)
	}
	d.exp += saturatedInt(exponent)
	return d
}

// saturatedInt reads an integer with an optional sign; beyond 10^17 it stops
// counting.
func saturatedInt(s []byte) int64 {
	neg := false
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		neg = s[0] == '-'
		s = s[1:]
	}
	var v int64
	for _, c := range s {
		if v < 1e16 {
			v = v*10 + int64(c-'0')
		}
	}
	if neg {
		return -v
	}
	return v
}

// numberFault says what is wrong with a number of the right grammar; "" if it
// can be kept.
func numberFault(s []byte) string {
	d := parseDecimal(s)
	if d.count > maxDigits {
		return "a number has more than 64 significant digits"
	}
	if len(d.digits) == 0 || -300 < d.exp && d.exp < 300 {
		return ""
	}
	const beyond = "a number is beyond the range of a double"
	if d.exp < -400 || d.exp > 400 {
		return beyond
	}
	f, err := strconv.ParseFloat(string(s), 64)
	if err != nil || f == 0 || math.IsInf(f, 0) {
		return beyond
	}
	return ""
}

// compareNumbers orders two numbers by value, exactly.
func compareNumbers(a, b []byte) int {
	if bytes.Equal(a, b) {
		return 0
	}
	x, y := parseDecimal(a), parseDecimal(b)
	if s, t := x.sign(), y.sign(); s != t || s == 0 {
		return s - t
	}
	order := x.compareMagnitude(y)
	if x.neg {
		return -order
	}
	return order
}

func (d decimal) sign() int {
	switch {
	case len(d.digits) == 0:
		return 0
	case d.neg:
		return -1
	}
	return 1
}

func (d decimal) compareMagnitude(e decimal) int {
	if d.exp != e.exp {
		if d.exp < e.exp {
			return -1
		}
		return 1
	}
	i, j := 0, 0
	for {
		if i < len(d.digits) && d.digits[i] == '.' {
			i++
		}
		if j < len(e.digits) && e.digits[j] == '.' {
			j++
		}
		switch {
		case i == len(d.digits) && j == len(e.digits):
			return 0
		case i == len(d.digits): // the other goes on, and its last digit is not 0
			return -1
		case j == len(e.digits):
			return 1
		case d.digits[i] != e.digits[j]:
			return int(d.digits[i]) - int(e.digits[j])
		}
		i++
		j++
	}
}
