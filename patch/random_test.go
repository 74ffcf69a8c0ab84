package patch

import (
	"encoding/json"
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// Random documents and patches. Keys and indices come from a small stock, so
// that most operations hit something.

var keyStock = []string{"a", "b", "c", "", "0", "1", "-", "01", "a/b", "m~n", "é", "x\"y"}

func drawValue(t *rapid.T, depth int) string {
	most := 8
	if depth == 0 {
		most = 5
	}
	switch rapid.IntRange(0, most).Draw(t, "kind") {
	case 0:
		return "null"
	case 1:
		return rapid.SampledFrom([]string{"true", "false"}).Draw(t, "bool")
	case 2, 3:
		return rapid.SampledFrom([]string{"0", "1", "1.0", "10e-1", "-0", "2", "12345678901234567890"}).Draw(t, "number")
	case 4, 5:
		return rapid.SampledFrom([]string{`""`, `"a"`, `"\u0061"`, `"]}\","`, `"<&>"`, `"é\n"`}).Draw(t, "string")
	case 6, 7:
		var members []string
		n := rapid.IntRange(0, 4).Draw(t, "members")
		if rapid.IntRange(0, 9).Draw(t, "large") == 0 {
			for i := range 20 {
				members = append(members, fmt.Sprintf(`"k%d":%d`, i, i))
			}
		}
		for _, k := range rapid.Permutation(keyStock).Draw(t, "keys")[:n] {
			members = append(members, quote(k)+":"+drawValue(t, depth-1))
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	var elements []string
	for range rapid.IntRange(0, 4).Draw(t, "elements") {
		elements = append(elements, drawValue(t, depth-1))
	}
	return "[" + strings.Join(elements, ",") + "]"
}

// places gives the pointers of everything in a document.
func places(doc []byte) []Pointer {
	var out []Pointer
	var walk func(p Pointer, raw []byte)
	walk = func(p Pointer, raw []byte) {
		out = append(out, append(Pointer{}, p...))
		switch raw[0] {
		case '{':
			x, _ := split(raw, 0, false)
			for i := range x.obj.list {
				walk(append(p, string(unescape(x.obj.list[i].key))), x.obj.list[i].it.raw)
			}
		case '[':
			for i, e := range elements(raw) {
				walk(append(p, fmt.Sprint(i)), e)
			}
		}
	}
	walk(Pointer{}, doc)
	return out
}

// drawPointer points at, beside or below something that is there.
func drawPointer(t *rapid.T, there []Pointer, name string) Pointer {
	p := append(Pointer{}, rapid.SampledFrom(there).Draw(t, name)...)
	switch rapid.IntRange(0, 4).Draw(t, name+" moved") {
	case 0:
		p = append(p, rapid.SampledFrom(append(keyStock, "k3", "2", "5")).Draw(t, name+" below"))
	case 1:
		if len(p) > 0 {
			p[len(p)-1] = rapid.SampledFrom(append(keyStock, "k3", "2", "5")).Draw(t, name+" beside")
		}
	}
	return p
}

// drawOps draws operations that mostly fit, each to the document that those
// before it made.
func drawOps(t *rapid.T, doc []byte, most int) []Op {
	var ops []Op
	for range rapid.IntRange(1, most).Draw(t, "operations") {
		there := places(doc)
		op := Op{Kind: OpKind(rapid.IntRange(int(Add), int(Test)).Draw(t, "kind")), Path: drawPointer(t, there, "path")}
		switch op.Kind {
		case Move, Copy:
			op.From = drawPointer(t, there, "from")
		case Add, Replace:
			op.Value = json.RawMessage(drawValue(t, 2))
		case Test:
			op.Value = json.RawMessage(drawValue(t, 1))
			if found, ok := Get(doc, op.Path); ok && rapid.IntRange(0, 9).Draw(t, "holds") > 0 {
				op.Value = found
			}
		}
		ops = append(ops, op)
		if next, e := Apply(doc, ops[len(ops)-1:], JSONLimits{}); e == nil {
			doc = next
		} else if rapid.IntRange(0, 3).Draw(t, "keep the failing one") > 0 {
			ops = ops[:len(ops)-1]
		}
	}
	return ops
}
