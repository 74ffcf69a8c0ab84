package graph

// Encoder appends many entities as members of the graph document's `objects` and
// `edges`, `"<id>":{…}`, without the access of objects. What some have in common
// it writes once: the entities of one commit have the same meta, which took a
// third of a load. The zero value is ready; it is not safe for concurrent use.
type Encoder struct {
	recent [recentMetas]struct {
		meta Meta
		text []byte // of meta; empty: none yet
	}
}

// recentMetas is how many are kept, by version. A load goes by id, in which the
// commits of an import may lie mixed.
const recentMetas = 64

// Object appends `"<id>":{…}`.
func (c *Encoder) Object(dst []byte, o *Object) []byte {
	return c.meta(o.appendOwn(appendKey(dst, o.ID), false), &o.Meta)
}

// Edge appends `"<id>":{…}`.
func (c *Encoder) Edge(dst []byte, e *Edge) []byte {
	return c.meta(e.appendOwn(appendKey(dst, e.ID)), &e.Meta)
}

func appendKey(dst []byte, id [16]byte) []byte {
	return append(appendUUID(append(dst, '"'), id), '"', ':')
}

func (c *Encoder) meta(dst []byte, m *Meta) []byte {
	r := &c.recent[uint64(m.Version)%recentMetas]
	if len(r.text) == 0 || *m != r.meta {
		r.meta, r.text = *m, append(m.AppendJSON(r.text[:0]), '}')
	}
	return append(dst, r.text...)
}
