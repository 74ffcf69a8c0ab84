package fanout

// fewViews is how many views a set keeps in a list: most places in a graph
// concern one or two.
const fewViews = 8

// viewSet is a set of views. The zero set is empty.
type viewSet struct {
	few  []*view
	many map[*view]struct{} // instead of few
}

func (s *viewSet) add(v *view) {
	if s.many != nil {
		s.many[v] = struct{}{}
		return
	}
	for _, w := range s.few {
		if w == v {
			return
		}
	}
	if len(s.few) < fewViews {
		s.few = append(s.few, v)
		return
	}
	s.many = make(map[*view]struct{}, 2*fewViews)
	for _, w := range s.few {
		s.many[w] = struct{}{}
	}
	s.many[v] = struct{}{}
	s.few = nil
}

func (s *viewSet) remove(v *view) {
	delete(s.many, v)
	for i, w := range s.few {
		if w == v {
			last := len(s.few) - 1
			s.few[i] = s.few[last]
			s.few[last] = nil
			s.few = s.few[:last]
			return
		}
	}
}

func (s *viewSet) empty() bool { return len(s.few) == 0 && len(s.many) == 0 }

func (s *viewSet) each(found func(*view)) {
	for _, v := range s.few {
		found(v)
	}
	for v := range s.many {
		found(v)
	}
}

// viewSets are sets of views by what concerns them.
type viewSets[K comparable] map[K]*viewSet

// add reports whether the key's set was empty.
func (m viewSets[K]) add(k K, v *view) (first bool) {
	s := m[k]
	if s == nil {
		s = &viewSet{}
		m[k] = s
		first = true
	}
	s.add(v)
	return first
}

// remove reports whether it took the last view out of the key's set.
func (m viewSets[K]) remove(k K, v *view) (last bool) {
	s := m[k]
	if s == nil {
		return false
	}
	if s.remove(v); s.empty() {
		delete(m, k)
		return true
	}
	return false
}

func (m viewSets[K]) each(k K, found func(*view)) {
	if s := m[k]; s != nil {
		s.each(found)
	}
}
