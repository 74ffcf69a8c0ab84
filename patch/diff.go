package patch

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// Diff gives a patch that turns a into b, equal by value; empty where they are
// equal already. Objects are compared member by member. Of arrays, the elements
// that begin and end both alike stay, and those in between are changed one by
// one. Both must have passed Check.
func Diff(a, b []byte) []Op {
	var d differ
	d.values(trim(a), trim(b))
	return d.ops
}

type differ struct {
	ops  []Op
	path Pointer
}

func (d *differ) emit(kind OpKind, value []byte) {
	op := Op{Kind: kind, Path: append(Pointer{}, d.path...)}
	if kind != Remove {
		op.Value = json.RawMessage(Compact(value))
	}
	d.ops = append(d.ops, op)
}

// under runs fn one token deeper.
func (d *differ) under(token string, fn func()) {
	d.path = append(d.path, token)
	fn()
	d.path = d.path[:len(d.path)-1]
}

func (d *differ) values(a, b []byte) {
	switch {
	case bytes.Equal(a, b):
	case a[0] == '{' && b[0] == '{':
		d.objects(a, b)
	case a[0] == '[' && b[0] == '[':
		d.arrays(a, b)
	case !Equal(a, b):
		d.emit(Replace, b)
	}
}

func (d *differ) objects(a, b []byte) {
	x, _ := split(a, 0, false)
	y, _ := split(b, 0, false)
	for i := range x.obj.list {
		token := string(unescape(x.obj.list[i].key))
		j := y.obj.find(token)
		d.under(token, func() {
			if j < 0 {
				d.emit(Remove, nil)
			} else {
				d.values(x.obj.list[i].it.raw, y.obj.list[j].it.raw)
			}
		})
	}
	for i := range y.obj.list {
		if token := string(unescape(y.obj.list[i].key)); x.obj.find(token) < 0 {
			d.under(token, func() { d.emit(Add, y.obj.list[i].it.raw) })
		}
	}
}

func (d *differ) arrays(a, b []byte) {
	x, y := elements(a), elements(b)
	offset := 0
	for len(x) > 0 && len(y) > 0 && Equal(x[0], y[0]) {
		x, y, offset = x[1:], y[1:], offset+1
	}
	for len(x) > 0 && len(y) > 0 && Equal(x[len(x)-1], y[len(y)-1]) {
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	both := min(len(x), len(y))
	for i := range both {
		d.under(strconv.Itoa(offset+i), func() { d.values(x[i], y[i]) })
	}
	// From the end, so that what moves up has been dealt with.
	for i := len(x) - 1; i >= both; i-- {
		d.under(strconv.Itoa(offset+i), func() { d.emit(Remove, nil) })
	}
	for i := both; i < len(y); i++ {
		d.under(strconv.Itoa(offset+i), func() { d.emit(Add, y[i]) })
	}
}

// elements gives the texts of an array's elements.
func elements(a []byte) [][]byte {
	var out [][]byte
	for i := skipSpace(a, 1); a[i] != ']'; i = comma(a, i) {
		end := skipValue(a, i)
		out = append(out, a[i:end])
		i = end
	}
	return out
}
