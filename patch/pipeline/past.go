package pipeline

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/patch"
)

// pastReader tells how things were at the version that an author saw. It is
// asked only where `base` is given and the plain reading of an operation fails
// or depends on an array's length.
type pastReader interface {
	// EntityAt gives an entity as of a version, and the commit that removed it
	// since, if one did.
	EntityAt(ref graph.Ref, at graph.Version) (graph.Snapshot, *graph.Commit, error)
	// Since gives what commits after at did to the entity, oldest first; ok is
	// false where that reaches further back than what is in memory.
	Since(ref graph.Ref, at graph.Version) (steps []step, ok bool)
}

// step is what one commit did to an entity that existed before and after.
type step struct {
	session       string
	before, after []byte // bodies
	patch         []byte // how the one became the other, paths from the entity on; nil where only they are known
}

// removedSince reports whether the operation is a removal whose target another
// transaction has removed since base. What the author could not read when it
// was removed stays not-found.
func (d *Draft) removedSince(o *op) bool {
	if d.in.m.Base == nil || o.Kind != patch.Remove || d.past == nil {
		return false
	}
	exists := d.read.Object(o.ref.ID) != nil
	if o.ref.Kind == graph.KindEdge {
		exists = d.read.Edge(graph.EdgeID(o.ref.ID)) != nil
	}
	if exists {
		return false
	}
	was, removal, err := d.past.EntityAt(o.ref, *d.in.m.Base)
	if err != nil || was.Deleted || was.Object == nil && was.Edge == nil {
		return false
	}
	if d.trusted() {
		return true
	}
	if removal == nil {
		return false
	}
	// Rights are those of the moment before the removal, with what went with it.
	before := newOverlay(d.read)
	for i := range removal.Changes {
		c := &removal.Changes[i]
		if c.Event != graph.Deleted {
			continue
		}
		if c.ObjBefore != nil {
			before.putObject(c.ObjBefore.ID, c.ObjBefore)
		}
		if c.EdgeBefore != nil {
			before.addEdge(c.EdgeBefore)
		}
	}
	p := &d.in.m.Author
	if was.Object != nil {
		return access.Direct(before, p, was.Object.ID, access.Read)
	}
	return access.Direct(before, p, was.Edge.From, access.Read) && access.Direct(before, p, was.Edge.To, access.Read)
}

// bodyAtBase gives the body as the author saw it; nil where the entity was not
// there, or has not changed since.
func (d *Draft) bodyAtBase(t *touch) []byte {
	base := d.in.m.Base
	if base == nil || d.past == nil || t.created || t.meta().Version <= *base {
		return nil
	}
	was, _, err := d.past.EntityAt(t.ref, *base)
	switch {
	case err != nil || was.Deleted:
		return nil
	case was.Object != nil:
		return was.Object.Body
	case was.Edge != nil:
		return was.Edge.Body
	}
	return nil
}

// movedIndex gives the first array on the way of p whose length another
// transaction has changed since base, be it for a moment: an index into it may
// mean another element than the author saw. The author's own session does not
// count: it knows what it sent.
func (d *Draft) movedIndex(t *touch, was []byte, p patch.Pointer) (patch.Pointer, bool) {
	steps, ok := d.past.Since(t.ref, *d.in.m.Base)
	if !ok {
		steps = []step{{before: was, after: t.obj0Body()}}
	}
	for i, token := range p {
		if _, err := strconv.ParseUint(token, 10, 32); err != nil {
			continue
		}
		for _, s := range steps {
			if (s.session == "" || s.session != d.in.m.Session) && s.moved(p[:i], token) {
				return p[:i], true
			}
		}
	}
	return nil, false
}

// moved reports whether an index into the array may mean another element after
// the step than before it. One that took an element and added another leaves the
// length as it was, so the operations tell. Where the list was set anew, or its
// operations are not known, an element is moved that stands at another place.
func (s *step) moved(array patch.Pointer, index string) bool {
	before, okB := patch.Get(s.before, array)
	after, okA := patch.Get(s.after, array)
	if !okB || !okA || before[0] != '[' || after[0] != '[' {
		return false
	}
	if elements(before) != elements(after) {
		return true
	}
	ops, err := patch.Parse(s.patch, 0)
	anew := err != nil
	full := append(patch.Pointer{"body"}, array...)
	for _, o := range ops {
		switch {
		case o.Kind != patch.Replace && isElement(o.Path, full), o.Kind == patch.Move && isElement(o.From, full):
			return true
		case len(o.Path) <= len(full) && slices.Equal(o.Path, full[:len(o.Path)]):
			anew = true
		}
	}
	return anew && wentElsewhere(before, after, index)
}

// wentElsewhere reports whether the element of a list at an index has left it for
// a place where its like was not before. The lists have the same length.
func wentElsewhere(before, after []byte, index string) bool {
	at, err := strconv.Atoi(index)
	var was, is []json.RawMessage
	if err != nil || json.Unmarshal(before, &was) != nil || json.Unmarshal(after, &is) != nil || at >= len(was) || bytes.Equal(was[at], is[at]) {
		return false
	}
	for i := range is {
		if bytes.Equal(is[i], was[at]) && !bytes.Equal(was[i], was[at]) {
			return true
		}
	}
	return false
}

// isElement reports whether p is that of an element of the array itself.
func isElement(p, array patch.Pointer) bool {
	return len(p) == len(array)+1 && slices.Equal(p[:len(array)], array)
}

// elements counts the elements of a checked JSON array.
func elements(array []byte) int {
	n, depth, inString, empty := 0, 0, false, true
	for i := 0; i < len(array); i++ {
		c := array[i]
		if inString {
			switch c {
			case '\\':
				i++
			case '"':
				inString = false
			}
			continue
		}
		switch c {
		case '"':
			inString, empty = true, false
		case '[', '{':
			depth++
			if depth > 1 {
				empty = false
			}
		case ']', '}':
			depth--
		case ',':
			if depth == 1 {
				n++
			}
		case ' ', '\t', '\r', '\n':
		default:
			empty = false
		}
	}
	if empty {
		return 0
	}
	return n + 1
}
