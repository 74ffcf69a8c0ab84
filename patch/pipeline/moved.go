package pipeline

import (
	"encoding/json"
	"strconv"

	"github.com/graphtide/graphtide/patch"
)

// mostCompared bounds, in bytes, what one transaction has compared to learn where
// the elements of lists went that others set anew. Beyond it, an index into such a
// list counts as moved: its author looks again, and then sees what is there.
const mostCompared = 16 << 20

// since is what others did to an entity since an author's base. It is found out
// once for all operations on the entity.
type since struct {
	was    []byte // the body that the author saw; nil where it is as it was
	asked  bool   // steps are known
	steps  []theirs
	arrays map[string]*moves
}

// theirs is a step of another session, with the operations that made it; known is
// false where only the states are at hand.
type theirs struct {
	step
	ops   []patch.Op
	known bool
}

// moves tells which indexes into an array others have moved.
type moves struct {
	all  bool
	some map[int]bool // where not all
}

func (m *moves) has(index string) bool {
	if m == nil || m.all {
		return m != nil
	}
	i, err := strconv.Atoi(index)
	return err == nil && m.some[i]
}

// movedIndex gives the first array on the way of p whose length another
// transaction has changed since base, be it for a moment: an index into it may
// mean another element than the author saw. The author's own session does not
// count: it knows what it sent.
func (d *Draft) movedIndex(t *touch, p patch.Pointer) (patch.Pointer, bool) {
	for i, token := range p {
		if _, err := strconv.ParseUint(token, 10, 32); err != nil {
			continue
		}
		if d.movesIn(t, p[:i]).has(token) {
			return p[:i], true
		}
	}
	return nil, false
}

// movesIn finds out, once, what others moved in an array; nil where what the
// author saw there is none.
func (d *Draft) movesIn(t *touch, array patch.Pointer) *moves {
	s := t.since
	key := array.String()
	if m, ok := s.arrays[key]; ok {
		return m
	}
	if s.arrays == nil {
		s.arrays = map[string]*moves{}
	}
	var m *moves
	if seen, ok := patch.Get(s.was, array); ok && seen[0] == '[' {
		m = &moves{}
		for _, step := range d.theirs(t) {
			if m.all {
				break
			}
			d.moved(m, &step, array)
		}
	}
	s.arrays[key] = m
	return m
}

// theirs gives what other sessions did to the entity since base, oldest first.
func (d *Draft) theirs(t *touch) []theirs {
	s := t.since
	if s.asked {
		return s.steps
	}
	s.asked = true
	steps, ok := d.past.Since(t.ref, *d.in.m.Base)
	if !ok {
		steps = []step{{before: s.was, after: t.obj0Body()}}
	}
	for _, st := range steps {
		if st.session != "" && st.session == d.in.m.Session {
			continue
		}
		ops, err := patch.Parse(st.patch, 0)
		s.steps = append(s.steps, theirs{st, ops, err == nil})
	}
	return s.steps
}

// moved adds to m what a step moved in an array. One that took an element and
// added another leaves the length as it was, so the operations tell. Where the
// list was set anew, or its operations are not known, an element is moved that
// stands at another place.
func (d *Draft) moved(m *moves, s *theirs, array patch.Pointer) {
	anew := !s.known
	for _, o := range s.ops {
		switch {
		case o.Kind != patch.Replace && isElement(o.Path, array), o.Kind == patch.Move && isElement(o.From, array):
			m.all = true
			return
		case isAbove(o.Path, array):
			anew = true
		}
	}
	if !anew {
		return
	}
	if d.compared += len(s.before) + len(s.after); d.compared > mostCompared {
		m.all = true
		return
	}
	var was, is []json.RawMessage
	if !list(s.before, array, &was) || !list(s.after, array, &is) {
		return // what is no list any more fails by itself
	}
	if len(was) != len(is) {
		m.all = true
		return
	}
	came := map[string]bool{} // what stands where it did not stand before
	for i := range is {
		if string(is[i]) != string(was[i]) {
			came[string(is[i])] = true
		}
	}
	for i := range was {
		if string(is[i]) != string(was[i]) && came[string(was[i])] {
			if m.some == nil {
				m.some = map[int]bool{}
			}
			m.some[i] = true
		}
	}
}

// list gives the elements of an array of a body; false where there is none.
func list(body []byte, array patch.Pointer, to *[]json.RawMessage) bool {
	text, ok := patch.Get(body, array)
	return ok && text[0] == '[' && json.Unmarshal(text, to) == nil
}

// The paths of a commit's operations begin with the part of the entity.
const partBody = "body"

// isElement reports whether path is that of an element of the array itself.
func isElement(path, array patch.Pointer) bool {
	return len(path) == len(array)+2 && path[0] == partBody && startsWith(path[1:], array)
}

// isAbove reports whether path is the array's, or that of something that holds it.
func isAbove(path, array patch.Pointer) bool {
	return len(path) > 0 && len(path) <= len(array)+1 && path[0] == partBody && startsWith(array, path[1:])
}

func startsWith(p, start patch.Pointer) bool {
	for i := range start {
		if p[i] != start[i] {
			return false
		}
	}
	return true
}
