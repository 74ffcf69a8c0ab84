package patch

// tree is a document under change.
type tree struct {
	root item
	path []*box // those from the root to the place of the present operation
	lim  JSONLimits
}

func applyTree(doc []byte, ops []Op, lim JSONLimits) ([]byte, *Error) {
	t := tree{root: item{raw: trim(doc)}, lim: lim}
	if len(t.root.raw) == 0 {
		return nil, missing(nil).at(0)
	}
	for i := range ops {
		before := t.root.size()
		f := t.apply(&ops[i])
		if after := t.root.size(); f.reason == 0 && after > before && lim.Bytes > 0 && after > lim.Bytes {
			f = tooManyBytes(ops[i].Path, lim)
		}
		if f.reason != 0 {
			return nil, f.at(i)
		}
	}
	return t.root.text(), nil
}

func (t *tree) apply(op *Op) fault {
	if f := static(op); f.reason != 0 {
		return f
	}
	switch op.Kind {
	case Add:
		return t.add(op.Path, item{raw: op.Value})
	case Remove:
		_, f := t.remove(op.Path)
		return f
	case Replace:
		it, f := t.existing(op.Path)
		if f.reason != 0 {
			return f
		}
		return t.set(it, op.Path, item{raw: op.Value})
	case Test:
		it, f := t.existing(op.Path)
		if f.reason != 0 {
			return f
		}
		return failedTest(op, it.text())
	case Copy:
		it, f := t.existing(op.From)
		if f.reason != 0 {
			return f
		}
		return t.add(op.Path, item{raw: it.text()})
	}
	// move; static has refused that of the root into itself
	if len(op.Path) == len(op.From) && op.Path.hasPrefix(op.From) {
		_, f := t.existing(op.From) // onto itself
		return f
	}
	it, f := t.remove(op.From)
	if f.reason != 0 {
		return f
	}
	return t.add(op.Path, it)
}

// parent gives the container of p's last token, noting it and those above it
// in t.path.
func (t *tree) parent(p Pointer) (*box, fault) {
	t.path = t.path[:0]
	it := &t.root
	for level, token := range p {
		x := it.open(level)
		if x == nil {
			return nil, missing(p)
		}
		t.path = append(t.path, x)
		if level == len(p)-1 {
			return x, fault{}
		}
		var f fault
		if it, f = x.child(token, p); f.reason != 0 {
			return nil, f
		}
	}
	return nil, missing(p)
}

// child gives the member or element of a token.
func (x *box) child(token string, p Pointer) (*item, fault) {
	if x.kind == '{' {
		if i := x.obj.find(token); i >= 0 {
			return &x.obj.list[i].it, fault{}
		}
		return nil, missing(p)
	}
	n, o := position(token)
	switch {
	case o != reached:
		return nil, badIndex(p)
	case n == behindLast || n >= x.arr.n:
		return nil, missing(p)
	}
	return x.arr.at(n), fault{}
}

// existing gives the item at p, with the containers above it in t.path.
func (t *tree) existing(p Pointer) (*item, fault) {
	if len(p) == 0 {
		t.path = t.path[:0]
		return &t.root, fault{}
	}
	x, f := t.parent(p)
	if f.reason != 0 {
		return nil, f
	}
	return x.child(p[len(p)-1], p)
}

// grow adds to the size of every container in t.path.
func (t *tree) grow(by int) {
	for _, x := range t.path {
		x.size += by
	}
}

// set puts a value in the place of an item found by existing.
func (t *tree) set(at *item, p Pointer, value item) fault {
	if len(p)+value.height() > t.lim.depth() {
		return tooDeep(p, t.lim)
	}
	t.grow(value.size() - at.size())
	*at = value
	return fault{}
}

func (t *tree) add(p Pointer, value item) fault {
	if len(p) == 0 {
		t.path = t.path[:0]
		return t.set(&t.root, p, value)
	}
	x, f := t.parent(p)
	if f.reason != 0 {
		return f
	}
	token := p[len(p)-1]
	comma := min(x.len(), 1)
	if x.kind == '{' {
		if i := x.obj.find(token); i >= 0 {
			return t.set(&x.obj.list[i].it, p, value)
		}
		if len(p)+value.height() > t.lim.depth() {
			return tooDeep(p, t.lim)
		}
		key := appendString(make([]byte, 0, len(token)+2), token)
		x.obj.add(token, key, value)
		t.grow(len(key) + 1 + value.size() + comma)
		return fault{}
	}
	n, o := position(token)
	switch {
	case o != reached:
		return badIndex(p)
	case n == behindLast:
		n = x.arr.n
	case n > x.arr.n:
		return missing(p)
	}
	if len(p)+value.height() > t.lim.depth() {
		return tooDeep(p, t.lim)
	}
	x.arr.insert(n, value)
	t.grow(value.size() + comma)
	return fault{}
}

// remove takes the item at p, which is not the root, out and gives it.
func (t *tree) remove(p Pointer) (item, fault) {
	at, f := t.existing(p)
	if f.reason != 0 {
		return item{}, f
	}
	it := *at
	token, x := p[len(p)-1], t.path[len(t.path)-1]
	by := it.size()
	if x.len() > 1 {
		by++ // the comma
	}
	if x.kind == '{' {
		i := x.obj.find(token)
		by += len(x.obj.list[i].key) + 1
		x.obj.remove(i, token)
	} else {
		n, _ := position(token)
		x.arr.remove(n)
	}
	t.grow(-by)
	return it, fault{}
}
