package fanout

// fewViews is how many views a set keeps in a list.
const fewViews = 8

// viewSet is a set of views. The zero set is empty. Most places in a graph
// concern one view, and there are as many sets as there are such places: that
// one costs no memory of its own.
type viewSet struct {
	one  *view
	more *moreViews // nil for a set of one
}

// moreViews are those beside the first.
type moreViews struct {
	few  []*view
	many map[*view]struct{} // instead of few
}

func (s *viewSet) add(v *view) {
	switch {
	case s.one == v:
	case s.one == nil:
		s.one = v
	case s.more == nil:
		s.more = &moreViews{few: []*view{v}}
	default:
		s.more.add(v)
	}
}

func (m *moreViews) add(v *view) {
	if m.many != nil {
		m.many[v] = struct{}{}
		return
	}
	for _, w := range m.few {
		if w == v {
			return
		}
	}
	if m.few = append(m.few, v); len(m.few) <= fewViews {
		return
	}
	m.many = make(map[*view]struct{}, 2*fewViews)
	for _, w := range m.few {
		m.many[w] = struct{}{}
	}
	m.few = nil
}

func (s *viewSet) remove(v *view) {
	switch {
	case s.one == v:
		if s.one = nil; s.more != nil {
			s.one = s.more.any()
			s.removeMore(s.one)
		}
	case s.more != nil:
		s.removeMore(v)
	}
}

// any gives a view of a set that is not empty.
func (m *moreViews) any() *view {
	if len(m.few) > 0 {
		return m.few[0]
	}
	for v := range m.many {
		return v
	}
	return nil
}

func (s *viewSet) removeMore(v *view) {
	m := s.more
	delete(m.many, v)
	for i, w := range m.few {
		if w == v {
			last := len(m.few) - 1
			m.few[i] = m.few[last]
			m.few[last] = nil
			m.few = m.few[:last]
			break
		}
	}
	if len(m.few)+len(m.many) == 0 {
		s.more = nil
	}
}

func (s *viewSet) empty() bool { return s.one == nil }

func (s *viewSet) each(found func(*view)) {
	if s.one == nil {
		return
	}
	found(s.one)
	if s.more == nil {
		return
	}
	for _, v := range s.more.few {
		found(v)
	}
	for v := range s.more.many {
		found(v)
	}
}

// viewSets are sets of views by what concerns them.
type viewSets[K comparable] map[K]viewSet

// add reports whether the key's set was empty.
func (m viewSets[K]) add(k K, v *view) (first bool) {
	s := m[k]
	first = s.empty()
	if s.one == v {
		return false
	}
	s.add(v)
	m[k] = s
	return first
}

// remove reports whether it took the last view out of the key's set.
func (m viewSets[K]) remove(k K, v *view) (last bool) {
	s, ok := m[k]
	if !ok {
		return false
	}
	if s.remove(v); s.empty() {
		delete(m, k)
		return true
	}
	m[k] = s
	return false
}

func (m viewSets[K]) each(k K, found func(*view)) {
	if s, ok := m[k]; ok {
		s.each(found)
	}
}
