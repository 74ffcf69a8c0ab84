package patch

// The tree: a document taken apart only where operations touch it, and put
// together once at the end. An item is raw text until something inside it is
// needed; then it gets a box, whose items are raw text in their turn.

type item struct {
	raw []byte // its text; stale once there is a box
	box *box
}

// box is an array or an object that has been taken apart.
type box struct {
	kind byte // '{' or '['
	size int  // bytes of its text
	obj  members
	arr  seq
}

// eagerLevel is how deep containers are taken apart one level at a time. Each
// level scans its text again, so the levels below are taken apart at once:
// a document of 10,000 levels must not cost 10,000 scans.
const eagerLevel = 64

// split takes the container at i apart and gives the offset behind it; with
// deep, the containers in it as well.
func split(b []byte, i int, deep bool) (*box, int) {
	x := &box{kind: b[i], size: 2}
	var elements []item
	for i = skipSpace(b, i+1); b[i] != '}' && b[i] != ']'; i = skipSpace(b, i) {
		if b[i] == ',' {
			i = skipSpace(b, i+1)
			x.size++
		}
		var key []byte
		if x.kind == '{' {
			end := skipString(b, i)
			key = b[i:end]
			i = skipSpace(b, skipSpace(b, end)+1) // over the colon
			x.size += len(key) + 1
		}
		var it item
		if deep && (b[i] == '{' || b[i] == '[') {
			it.box, i = split(b, i, true)
		} else {
			end := skipValue(b, i)
			it.raw, i = b[i:end], end
		}
		x.size += it.size()
		if x.kind == '{' {
			x.obj.list = append(x.obj.list, member{key: key, it: it})
		} else {
			elements = append(elements, it)
		}
	}
	x.obj.live = len(x.obj.list)
	x.arr = newSeq(elements)
	return x, i + 1
}

// open gives the item's box, taking its text apart; nil for a scalar.
func (it *item) open(level int) *box {
	if it.box == nil && (it.raw[0] == '{' || it.raw[0] == '[') {
		it.box, _ = split(it.raw, 0, level >= eagerLevel)
		it.raw = nil
	}
	return it.box
}

func (it *item) size() int {
	if it.box != nil {
		return it.box.size
	}
	return len(it.raw)
}

func (x *box) len() int {
	if x.kind == '{' {
		return x.obj.live
	}
	return x.arr.n
}

// text gives the item as text that may be shared.
func (it *item) text() []byte {
	if it.box == nil {
		return it.raw
	}
	return it.box.append(make([]byte, 0, it.box.size))
}

func (it *item) append(dst []byte) []byte {
	if it.box == nil {
		return append(dst, it.raw...)
	}
	return it.box.append(dst)
}

func (x *box) append(dst []byte) []byte {
	dst = append(dst, x.kind)
	first := true
	if x.kind == '{' {
		for i := range x.obj.list {
			m := &x.obj.list[i]
			if m.dead {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(dst, m.key...)
			dst = append(dst, ':')
			dst = m.it.append(dst)
		}
		return append(dst, '}')
	}
	for _, chunk := range x.arr.chunks {
		for i := range chunk {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = chunk[i].append(dst)
		}
	}
	return append(dst, ']')
}

// height is that of the item's text.
func (it *item) height() int {
	if it.box == nil {
		return height(it.raw)
	}
	most := 0
	for i := range it.box.obj.list {
		if m := &it.box.obj.list[i]; !m.dead {
			most = max(most, m.it.height())
		}
	}
	for _, chunk := range it.box.arr.chunks {
		for i := range chunk {
			most = max(most, chunk[i].height())
		}
	}
	return most + 1
}
