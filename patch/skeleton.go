package patch

import "encoding/json"

// The functions that the other packages rely on.

// Check judges one JSON text: strict RFC 8259, valid UTF-8, no duplicate keys,
// no NUL character and no lone surrogate in any string or key, numbers within
// the range of a double and of at most 64 significant digits, and the limits.
func Check(text []byte, lim JSONLimits) *Error { panic("skeleton") }

// Compact gives text without insignificant white space; text must have passed
// Check. It returns text itself where there is none.
func Compact(text []byte) []byte { panic("skeleton") }

// Parse reads a patch whose text has passed Check. Unknown members are ignored.
func Parse(text []byte, maxOps int) ([]Op, *Error) { panic("skeleton") }

// ParsePointer reads a JSON Pointer.
func ParsePointer(s string) (Pointer, bool) { panic("skeleton") }

// String gives the pointer's text, escaped.
func (p Pointer) String() string { panic("skeleton") }

// AppendOp appends an operation as JSON, its paths below prefix (already
// escaped text, for instance "/objects/<id>").
func AppendOp(dst []byte, prefix string, op Op) []byte { panic("skeleton") }

// Get gives the value at p, ok false where there is none.
func Get(doc []byte, p Pointer) (json.RawMessage, bool) { panic("skeleton") }

// Apply applies ops in order to doc and gives the new document; doc is not
// changed. lim bounds the result. An Error has Op set to the index in ops.
// Work and memory are bounded by len(doc) + len(values), and by lim, for each
// operation.
func Apply(doc []byte, ops []Op, lim JSONLimits) ([]byte, *Error) { panic("skeleton") }

// Equal compares two JSON values as RFC 6902 4.6 does: numbers by value.
func Equal(a, b []byte) bool { panic("skeleton") }

// Compare orders two JSON values: missing (nil), null, false, true, numbers by
// value, strings by code point, then anything else (equal among themselves).
func Compare(a, b []byte) int { panic("skeleton") }

// Diff gives a patch that turns a into b.
func Diff(a, b []byte) []Op { panic("skeleton") }
