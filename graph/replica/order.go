package replica

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strconv"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// key is a value made ready to be compared often: missing, null, false, true,
// numbers by value, strings by code point, then anything else.
type key struct {
	text []byte  // of a number as written, of a string decoded
	num  float64 // of a number the nearest double, which never reverses an order
	kind patch.Rank
}

// keyOf reads a JSON value; nil is a missing one.
func keyOf(v []byte) key {
	k := key{kind: patch.RankOf(v)}
	switch k.kind {
	case patch.RankString:
		k.text = decodeString(v)
	case patch.RankNumber:
		k.text = v
		k.num, _ = strconv.ParseFloat(string(v), 64) // checked text: within the range of a double
	}
	return k
}

// decodeString gives the UTF-8 text of a JSON string, whose order by bytes is
// that by code points.
func decodeString(v []byte) []byte {
	if inner := v[1 : len(v)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var s string
	if json.Unmarshal(v, &s) != nil {
		return nil
	}
	return []byte(s)
}

func compareKeys(a, b key) int {
	if a.kind != b.kind {
		return cmp.Compare(a.kind, b.kind)
	}
	switch a.kind {
	case patch.RankNumber:
		// Two doubles that differ have the order of the numbers. Two that are
		// equal may stand for numbers that a double cannot tell apart.
		if a.num != b.num || bytes.Equal(a.text, b.text) {
			return cmp.Compare(a.num, b.num)
		}
		return patch.Compare(a.text, b.text)
	case patch.RankString:
		return bytes.Compare(a.text, b.text)
	}
	return 0
}

// Position is a place in an ordered list: the values of its order, and an id.
type Position struct {
	keys []key
	ID   graph.ObjectID
}

// PositionOf gives the place of an object that was reached over edge (nil for a
// root). It keeps parts of the bodies alive; Clone gives one that does not.
func PositionOf(order []graph.OrderKey, o *graph.Object, edge *graph.Edge) Position {
	return Position{appendKeys(nil, order, o, edge), o.ID}
}

func appendKeys(dst []key, order []graph.OrderKey, o *graph.Object, edge *graph.Edge) []key {
	for _, k := range order {
		dst = append(dst, keyOf(valueAt(k.Path, o, edge)))
	}
	return dst
}

// PositionAfter gives the place that an `after` names.
func PositionAfter(a *graph.After) Position {
	p := Position{make([]key, len(a.Values)), a.ID}
	for i, v := range a.Values {
		p.keys[i] = keyOf(v)
	}
	return p
}

// Clone gives a copy that shares nothing with a body.
func (p Position) Clone() Position {
	keys := make([]key, len(p.keys))
	for i, k := range p.keys {
		keys[i] = key{text: bytes.Clone(k.text), num: k.num, kind: k.kind}
	}
	return Position{keys, p.ID}
}

// ComparePositions orders two places of one list. Descending reverses the order
// of the values, missing ones included; the id breaks ties, ascending always. A
// place with too few values has missing ones in their stead.
func ComparePositions(order []graph.OrderKey, a, b Position) int {
	for i, k := range order {
		var x, y key
		if i < len(a.keys) {
			x = a.keys[i]
		}
		if i < len(b.keys) {
			y = b.keys[i]
		}
		if c := compareKeys(x, y); c != 0 {
			if k.Desc {
				return -c
			}
			return c
		}
	}
	return bytes.Compare(a.ID[:], b.ID[:])
}
