package patch

import "slices"

// members are those of one object, in order.
type members struct {
	list []member
	live int
	// index finds a key in list once there are many; nil until then. With it,
	// removed members stay in list as dead ones until they are the greater part.
	index map[string]int
}

type member struct {
	key  []byte // as JSON text
	it   item
	dead bool
}

// find gives the place of a key in list, -1 where there is none.
func (m *members) find(key string) int {
	if m.index == nil && len(m.list) > linearKeys {
		m.reindex()
	}
	if m.index != nil {
		if i, ok := m.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range m.list {
		if keyIs(m.list[i].key, key) {
			return i
		}
	}
	return -1
}

// reindex drops the dead and builds the index.
func (m *members) reindex() {
	m.list = slices.DeleteFunc(m.list, func(e member) bool { return e.dead })
	m.index = make(map[string]int, len(m.list))
	for i := range m.list {
		m.index[string(unescape(m.list[i].key))] = i
	}
}

// add puts a new key behind the others.
func (m *members) add(key string, text []byte, it item) {
	if m.index != nil {
		m.index[key] = len(m.list)
	}
	m.list = append(m.list, member{key: text, it: it})
	m.live++
}

// remove takes the i-th of list out.
func (m *members) remove(i int, key string) {
	m.live--
	if m.index == nil {
		m.list = slices.Delete(m.list, i, i+1)
		return
	}
	delete(m.index, key)
	m.list[i] = member{dead: true}
	if len(m.list) > 2*m.live+linearKeys {
		m.reindex()
	}
}
