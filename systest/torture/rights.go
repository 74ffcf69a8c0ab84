package torture

import (
	"slices"
	"strings"
)

// principal is whom a token stands for.
type principal struct {
	user, org string
	teams     []string
	admin     bool
}

func (p principal) String() string {
	if p.admin {
		return p.user + " (admin)"
	}
	return p.user + "/" + p.org + "/" + strings.Join(slices.Sorted(slices.Values(p.teams)), "+")
}

// chain is how many edges a right is inherited over at most.
const chain = 16

// holds reports whether p has a right on an object, as the documentation says:
// manage implies all, and without read there is none.
func (m *model) holds(p principal, id, right string) bool { return m.held(p, id, right, 0) }

func (m *model) held(p principal, id, right string, depth int) bool {
	if m.objects[id] == nil {
		return false
	}
	if p.admin {
		return true
	}
	return m.granted(p, id, "manage", depth) ||
		m.granted(p, id, "read", depth) && (right == "read" || m.granted(p, id, right, depth))
}

// granted reports whether an entry of the access names p, or somebody whose
// place p takes by inheriting.
func (m *model) granted(p principal, id, right string, depth int) bool {
	o := m.objects[id]
	access, _ := o.doc["access"].(map[string]any)
	entry, _ := access[right].(map[string]any)
	if entry == nil {
		return false
	}
	has := func(set, name string) bool {
		s, _ := entry[set].(map[string]any)
		return name != "" && s[name] == true
	}
	if entry["public"] == true || has("users", p.user) || has("orgs", p.org) || slices.ContainsFunc(p.teams, func(t string) bool { return has("teams", t) }) {
		return true
	}
	labels, _ := entry["inherit"].(map[string]any)
	if len(labels) == 0 {
		return false
	}
	orphan := true
	for _, e := range m.out[id] {
		if labels[e.str("label")] != true {
			continue
		}
		orphan = false
		if depth < chain && m.held(p, e.str("to"), right, depth+1) {
			return true
		}
	}
	return orphan && p.user == o.meta.createdBy
}

// reads reports whether p may read an entity: an edge, if both its ends.
func (m *model) reads(p principal, part, id string) bool {
	if part == "objects" {
		return m.holds(p, id, "read")
	}
	e := m.edges[id]
	return e != nil && m.holds(p, e.str("from"), "read") && m.holds(p, e.str("to"), "read")
}
