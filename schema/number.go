package schema

import (
	"bytes"
	"math/big"
	"strconv"

	"github.com/graphtide/graphtide/patch"
)

// saneNumber holds numbers to what bodies hold: 64 digits and the range of a
// double, from either end. Exact arithmetic on others would take all memory.
func saneNumber(text string) bool {
	return saneExponent([]byte(text)) && patch.Check([]byte(text), patch.JSONLimits{}) == nil
}

// saneExponent reports whether exact arithmetic on the number is cheap.
func saneExponent(raw []byte) bool {
	i := bytes.IndexAny(raw, "eE")
	if i < 0 {
		return len(raw) <= 1024
	}
	exp, err := strconv.Atoi(string(raw[i+1:]))
	return err == nil && exp >= -1024 && exp <= 1024 && len(raw) <= 1024
}

// bound is a number that others are compared with.
type bound struct {
	text  string
	rat   *big.Rat
	f     float64
	short bool // f orders correctly against other short numbers
}

func newBound(text string) *bound {
	rat, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil
	}
	b := &bound{text: text, rat: rat, short: short([]byte(text))}
	b.f, _ = strconv.ParseFloat(text, 64)
	return b
}

// short reports a number of at most 15 digits without an exponent: two of them
// compare as doubles as they compare by value.
func short(raw []byte) bool {
	return len(raw) <= 15 && bytes.IndexAny(raw, "eE") < 0
}

// compare gives the sign of the number minus the bound.
func (b *bound) compare(raw []byte) int {
	if b.short && short(raw) {
		f, err := strconv.ParseFloat(string(raw), 64)
		if err == nil {
			switch {
			case f < b.f:
				return -1
			case f > b.f:
				return 1
			}
			return 0
		}
	}
	r, ok := new(big.Rat).SetString(string(raw))
	if !ok {
		return 0
	}
	return r.Cmp(b.rat)
}

// whole reports a number without a fraction: 1, 1.0 and 1e2, not 1.5.
func whole(raw []byte) bool {
	if bytes.IndexAny(raw, ".eE") < 0 {
		return true
	}
	r, ok := new(big.Rat).SetString(string(raw))
	return ok && r.IsInt()
}
