package patch

// Splicing: each operation finds its place in the text and copies the text once
// with the change in it. For one operation nothing can be cheaper.

func applySplice(doc []byte, ops []Op, lim JSONLimits) ([]byte, *Error) {
	for i := range ops {
		next, f := spliceOp(doc, &ops[i], lim)
		if f.reason == 0 && len(next) > len(doc) && lim.Bytes > 0 && len(next) > lim.Bytes {
			f = tooManyBytes(ops[i].Path, lim)
		}
		if f.reason != 0 {
			return nil, f.at(i)
		}
		doc = next
	}
	return doc, nil
}

func spliceOp(doc []byte, op *Op, lim JSONLimits) ([]byte, fault) {
	if f := static(op); f.reason != 0 {
		return nil, f
	}
	switch op.Kind {
	case Add:
		return spliceAdd(doc, op.Path, op.Value, lim)
	case Remove:
		s, f := existing(doc, op.Path)
		if f.reason != 0 {
			return nil, f
		}
		return cut(doc, s), fault{}
	case Replace:
		s, f := existing(doc, op.Path)
		if f.reason != 0 {
			return nil, f
		}
		return overwrite(doc, s, op.Path, op.Value, lim)
	case Test:
		s, f := existing(doc, op.Path)
		if f.reason != 0 {
			return nil, f
		}
		return doc, failedTest(op, doc[s.start:s.end])
	}
	// move and copy
	s, f := existing(doc, op.From)
	if f.reason != 0 {
		return nil, f
	}
	value := doc[s.start:s.end]
	if op.Kind == Move {
		if len(op.Path) == len(op.From) && op.Path.hasPrefix(op.From) {
			return doc, fault{} // onto itself
		}
		doc = cut(doc, s)
	}
	return spliceAdd(doc, op.Path, value, lim)
}

// existing finds a value that has to be there.
func existing(doc []byte, p Pointer) (site, fault) {
	s, o := locate(doc, p)
	if o != reached {
		return s, notReached(o, p)
	}
	if !s.found {
		return s, missing(p)
	}
	return s, fault{}
}

func spliceAdd(doc []byte, p Pointer, value []byte, lim JSONLimits) ([]byte, fault) {
	s, o := locate(doc, p)
	if o != reached {
		return nil, notReached(o, p)
	}
	if s.found && s.parent != '[' {
		return overwrite(doc, s, p, value, lim)
	}
	if len(p)+height(value) > lim.depth() {
		return nil, tooDeep(p, lim)
	}
	key := ""
	if s.parent == '{' {
		key = p[len(p)-1]
	}
	out := make([]byte, 0, len(doc)+len(value)+len(key)+len(`,"":`))
	if s.found { // in front of an element
		out = append(out, doc[:s.item]...)
		out = append(out, value...)
		out = append(out, ',')
		return append(out, doc[s.item:]...), fault{}
	}
	out = append(out, doc[:s.prev]...)
	if !s.first {
		out = append(out, ',')
	}
	if s.parent == '{' {
		out = appendString(out, key)
		out = append(out, ':')
	}
	out = append(out, value...)
	return append(out, doc[s.prev:]...), fault{}
}

func overwrite(doc []byte, s site, p Pointer, value []byte, lim JSONLimits) ([]byte, fault) {
	if len(p)+height(value) > lim.depth() {
		return nil, tooDeep(p, lim)
	}
	out := make([]byte, 0, len(doc)-(s.end-s.start)+len(value))
	out = append(out, doc[:s.start]...)
	out = append(out, value...)
	return append(out, doc[s.end:]...), fault{}
}

// cut takes an item out, with the comma that goes with it.
func cut(doc []byte, s site) []byte {
	from, to := s.prev, s.end
	if s.first {
		from = s.item
		if i := skipSpace(doc, s.end); doc[i] == ',' {
			to = skipSpace(doc, i+1)
		}
	}
	out := make([]byte, 0, len(doc)-(to-from))
	out = append(out, doc[:from]...)
	return append(out, doc[to:]...)
}
