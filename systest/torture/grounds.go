package torture

import (
	"fmt"
	"slices"
	"strings"
)

// need is a right that a transaction needs on an object in the state before it.
type need struct{ id, right string }

// needs gives what each operation of a patch needs of its author. Of what the
// transaction makes itself, nothing is needed in the state before.
func (m *model) needs(patch []any) (out []need) {
	made := map[string]bool{}
	for _, raw := range patch {
		op := raw.(map[string]any)
		part, id, rest, _ := split(op["path"])
		value, _ := op["value"].(map[string]any)
		creates := rest == "" && op["op"] == "add"
		right := "write"
		switch {
		case strings.HasPrefix(rest, "/access"):
			right = "manage"
		case op["op"] == "test":
			right = "read"
		}
		ids := []string{id}
		switch {
		case part == "edges" && creates:
			ids = []string{text(value["from"]), text(value["to"])}
		case part == "edges" && m.edges[id] != nil:
			ids = []string{m.edges[id].str("from"), m.edges[id].str("to")}
		case part == "edges" || creates:
			ids = nil
		}
		for _, id := range ids {
			if !made[id] {
				out = append(out, need{id, right})
			}
		}
		if creates {
			made[id] = true
		}
	}
	return out
}

func text(v any) string { s, _ := v.(string); return s }

// lacks gives a right that a commit needed and its author did not have in the
// state before it.
func (j *judge) lacks(c *commit, r *record) *need {
	for _, n := range j.model.needs(r.patch) {
		if !j.model.holds(c.author, n.id, n.right) {
			return &n
		}
	}
	return nil
}

// trail has, by object, the last commits that touched what rights on it hang on.
type trail map[string][]string

// trailed is how many commits of an object are kept.
const trailed = 6

// add notes what a commit is about to change of the model's rights.
func (t trail) add(c *commit, m *model) {
	for _, raw := range c.patch {
		op, _ := raw.(map[string]any)
		part, id, rest, _ := split(op["path"])
		value, _ := op["value"].(map[string]any)
		what := ""
		switch {
		case part == "objects" && rest == "":
			what = fmt.Sprintf("%v with access %v", op["op"], value["access"])
		case part == "objects" && strings.HasPrefix(rest, "/access"):
			what = fmt.Sprintf("%v %s %v", op["op"], rest, op["value"])
		case part == "edges" && rest == "" && op["op"] == "add":
			what = fmt.Sprintf("%v to %v", value["label"], value["to"])
			id = text(value["from"])
		case part == "edges" && rest == "" && m.edges[id] != nil:
			e := m.edges[id]
			what = fmt.Sprintf("no more %s to %s", e.str("label"), e.str("to"))
			id = e.str("from")
		}
		if what == "" {
			continue
		}
		list := append(t[id], fmt.Sprintf("%d by %s: %s", c.version, c.author, what))
		t[id] = list[max(0, len(list)-trailed):]
	}
}

// told says all that is known of a commit, and of what rights on an object hang on.
func (j *judge) told(c *commit, r *record, id string) string {
	session := "no session"
	if c.session != "" {
		session = "session " + c.session
	}
	return fmt.Sprintf("%s in %s, made at %s, sent as %v, answered %v %v; the state before: %s; it did %v", r.id, session, c.at, r.sent, r.acks, r.refusals,
		j.chain(id, 0), c.patch)
}

// grounds says what the rights that a mutation needs hang on.
func (j *judge) grounds(r *record) string {
	var out []string
	for _, n := range j.model.needs(r.patch) {
		if s := j.chain(n.id, 0); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return strings.Join(out, "; ")
}

// chain describes the access of an object, and of those that it may inherit from.
func (j *judge) chain(id string, depth int) string {
	o := j.model.objects[id]
	if o == nil {
		return fmt.Sprintf("%s is not there (%s)", id, strings.Join(j.trail[id], ", "))
	}
	out := fmt.Sprintf("%s is a %s of %s with access %v, lately %v", id, o.str("type"), o.meta.createdBy, o.doc["access"], j.trail[id])
	for _, e := range sorted(j.model.out[id]) {
		if e.str("label") == "on" && depth < 3 {
			out += "; it is on: " + j.chain(e.str("to"), depth+1)
		}
	}
	return out
}
