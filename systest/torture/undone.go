package torture

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/graphtide/graphtide/systest/plain"
)

// stood is how an entity stood after a commit that touched it; nil: it was no more.
type stood struct {
	version int
	entity  *entity
}

// annals have, by part and id, how every entity stood, oldest first.
type annals map[string][]stood

// add notes what a commit made of what it touched, once the model has it, and says
// what that was.
func (p annals) add(c *commit, m *model) (touched []string) {
	for _, raw := range c.patch {
		op, _ := raw.(map[string]any)
		part, id, _, _ := split(op["path"])
		k := part + "/" + id
		if n := len(p[k]); n > 0 && p[k][n-1].version == c.version {
			continue
		}
		p[k] = append(p[k], stood{c.version, m.of(part)[id]})
		touched = append(touched, k)
	}
	return touched
}

// undo is what the judge expects of one: what becomes of all that the undone
// commits touched, and whether something is in the way.
type undo struct {
	docs     map[string]any // nil: it is no more
	changed  map[string]bool
	conflict string
}

// undoing works out, in the model's present state, what undoing some commits comes
// to: value by value, where a list is one value. Nobody's later value is
// overwritten.
func (j *judge) undoing(versions []int) *undo {
	u := &undo{docs: map[string]any{}, changed: map[string]bool{}}
	for _, k := range j.touchedBy(versions) {
		steps := j.past[k]
		was := docOf(steps[len(steps)-1].entity)
		doc, ok := back(steps, versions)
		if !ok && u.conflict == "" {
			u.conflict = k
		}
		u.docs[k] = doc
		if !plain.Equal(was, doc) {
			u.changed[k] = true
		}
	}
	return u
}

// touchedBy gives what some commits touched.
func (j *judge) touchedBy(versions []int) (keys []string) {
	for _, v := range versions {
		for _, k := range j.touched[v] {
			if !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// docOf is what an undo may change of an entity; nil where there is none.
func docOf(e *entity) any {
	if e == nil {
		return nil
	}
	doc := map[string]any{"body": e.doc["body"]}
	if a, ok := e.doc["access"]; ok {
		doc["access"] = a
	}
	return doc
}

// back goes back through an entity's states and takes out what the versions did.
func back(steps []stood, versions []int) (doc any, ok bool) {
	before := func(i int) any {
		if i == 0 {
			return nil
		}
		return docOf(steps[i-1].entity)
	}
	undone := func(i int) bool { return slices.Contains(versions, steps[i].version) }
	// What was made, and removed by others since, is as if it had not been made.
	if docOf(steps[len(steps)-1].entity) == nil {
		for i := len(steps) - 1; i >= 0; i-- {
			after := docOf(steps[i].entity)
			if undone(i) && after == nil {
				break
			}
			if undone(i) && before(i) == nil {
				if i == 0 {
					return nil, true
				}
				return back(steps[:i], versions)
			}
		}
	}
	doc = docOf(steps[len(steps)-1].entity)
	for i := len(steps) - 1; i >= 0; i-- {
		if !undone(i) {
			continue
		}
		if doc, ok = without(doc, before(i), docOf(steps[i].entity)); !ok {
			return doc, false
		}
	}
	return doc, true
}

// without takes the change from before to after out of now; false where now is not
// what the change made of it.
func without(now, before, after any) (any, bool) {
	if same(before, after) {
		return now, true
	}
	b, ok1 := before.(map[string]any)
	a, ok2 := after.(map[string]any)
	n, ok3 := now.(map[string]any)
	if !ok1 || !ok2 || !ok3 {
		return before, same(now, after)
	}
	out := maps.Clone(n)
	names := maps.Clone(b)
	maps.Copy(names, a)
	for name := range names {
		x, inB := b[name]
		y, inA := a[name]
		z, inN := n[name]
		if inB && inA && same(x, y) {
			continue
		}
		if inA != inN {
			return out, false
		}
		v, ok := without(z, x, y)
		if !inA { // it was taken out: nothing stands there
			v, ok = x, true
		}
		if !ok {
			return out, false
		}
		if inB {
			out[name] = v
		} else {
			delete(out, name)
		}
	}
	return out, true
}

// same is equality where nothing equals nothing alone.
func same(a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return plain.Equal(a, b)
}

// undid judges a commit that undoes others, once the model has it: expected is what
// was worked out in the state before.
func (j *judge) undid(c *commit, r *record, expected *undo) {
	w := j.w
	w.count(cUndone, 1)
	if c.cause != "revert" || !slices.Contains(r.undo, c.causedBy) {
		w.violate("H4 undo", "version %d undoes %v, and its cause is %q of %d", c.version, r.undo, c.cause, c.causedBy)
	}
	if expected.conflict != "" {
		w.violate("H4 undo", "version %d undoes %v though others have changed %s since: %v", c.version, r.undo, expected.conflict, j.lately(expected.conflict))
		return
	}
	for k, want := range expected.docs {
		part, id, _ := strings.Cut(k, "/")
		e := j.model.of(part)[id]
		if !same(docOf(e), want) {
			w.violate("H4 undo", "version %d undoes %v and leaves %s as %v instead of %v; it did %v", c.version, r.undo, k, docOf(e), want, c.patch)
			return
		}
		if n := len(j.past[k]); n > 1 && j.past[k][n-1].version == c.version && j.past[k][n-2].entity == nil && e != nil {
			w.count(cRevived, 1)
		}
	}
	for _, k := range j.touched[c.version] {
		if _, ok := expected.docs[k]; !ok {
			w.violate("H4 undo", "version %d undoes %v, which did nothing to %s, and changes that", c.version, r.undo, k)
		}
	}
}

// lately gives the versions that touched an entity last.
func (j *judge) lately(k string) (out []int) {
	steps := j.past[k]
	for _, s := range steps[max(0, len(steps)-trailed):] {
		out = append(out, s.version)
	}
	return out
}

// idle reports whether undoing some commits changes nothing in the present state.
func (j *judge) idle(versions []int) bool {
	u := j.undoing(versions)
	return u.conflict == "" && len(u.changed) == 0
}

// resolve has an undo that names transactions undo those of them that made a commit. One
// without effect was answered with the head, which is somebody else's.
func (j *judge) resolve(r *record) {
	if r.named == nil {
		return
	}
	made := []int{}
	for i, id := range r.named {
		if v := r.undo[i]; j.in[id] == v || j.at[id] == v {
			made = append(made, v)
		}
	}
	r.undo, r.named = made, nil
}

// undoJustified reports whether the present state refuses an undo so.
func (j *judge) undoJustified(r *record, x refused) bool {
	if len(r.undo) == 0 { // see resolve
		return x.code == "not-found"
	}
	keys := j.touchedBy(r.undo)
	holds := func(who principal, k, right string, all bool) bool {
		part, id, _ := strings.Cut(k, "/")
		return j.held(who, part, id, right, all)
	}
	any := func(ask func(k string) bool) bool { return slices.ContainsFunc(keys, ask) }
	switch x.code {
	case "undo-conflict":
		return len(x.conflicts) > 0 && !slices.ContainsFunc(x.conflicts, func(c conflict) bool { return !j.inTheWay(r, c) })
	case "not-found":
		return any(func(k string) bool { return !holds(x.who, k, "read", true) })
	case "forbidden":
		return any(func(k string) bool { return !holds(x.who, k, "write", true) || !holds(x.who, k, "manage", true) })
	case "edge-exists", "cardinality":
		return any(func(k string) bool { return j.taken(k) })
	case "schema":
		return any(func(k string) bool { return j.wasSheet(k) })
	case "gone":
		return any(func(k string) bool { return j.thinned(k) })
	}
	return false
}

// wasSheet reports whether something is or was of the type that schemas change.
func (j *judge) wasSheet(k string) bool {
	return slices.ContainsFunc(j.past[k], func(s stood) bool { return s.entity != nil && s.entity.str("type") == "Sheet" })
}

// conflict is a change that is said to be in the way of an undo.
type conflict struct {
	path    string
	version int
}

// inTheWay reports whether a conflict is one: the version touched what the path
// names, or joined it to something, and is none of those to be undone.
func (j *judge) inTheWay(r *record, c conflict) bool {
	part, id, rest, ok := split(c.path)
	if !ok || slices.Contains(r.undo, c.version) || c.version <= slices.Min(r.undo) {
		return false
	}
	k := part + "/" + id
	for _, t := range j.touched[c.version] {
		e := j.edgeOf(t)
		if t == k && j.overlaps(k, rest, c.version, r.undo) || e != nil && (e.str("from") == id || e.str("to") == id) {
			return true
		}
	}
	return false
}

// edgeOf gives an edge, or the last state of one that is no more.
func (j *judge) edgeOf(k string) *entity {
	part, id, _ := strings.Cut(k, "/")
	if part != "edges" {
		return nil
	}
	if e := j.model.edges[id]; e != nil {
		return e
	}
	return j.model.dead[part+id]
}

// overlaps reports whether what a version did to an entity lies at, above or below a
// path, and what the undone did to it does so as well. An entity that is told of for
// the sake of another, as the lost end of an edge, was not among what these did.
func (j *judge) overlaps(k, path string, version int, undone []int) bool {
	near := func(v int) (found, touched bool) {
		for i, s := range j.past[k] {
			if s.version != v {
				continue
			}
			touched = true
			var before *entity
			if i > 0 {
				before = j.past[k][i-1].entity
			}
			for _, p := range differ("", docOf(before), docOf(s.entity)) {
				found = found || strings.HasPrefix(p+"/", path+"/") || strings.HasPrefix(path+"/", p+"/")
			}
		}
		return found, touched
	}
	if found, _ := near(version); !found {
		return false
	}
	among := false
	for _, v := range undone {
		found, touched := near(v)
		if found {
			return true
		}
		among = among || touched
	}
	return !among
}

// differ gives the pointers at which two values differ. A list is one value.
func differ(at string, a, b any) (out []string) {
	x, ok1 := a.(map[string]any)
	y, ok2 := b.(map[string]any)
	if !ok1 || !ok2 {
		if same(a, b) {
			return nil
		}
		return []string{at}
	}
	names := maps.Clone(x)
	maps.Copy(names, y)
	for name := range names {
		v, inX := x[name]
		z, inY := y[name]
		to := at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		if inX != inY {
			out = append(out, to)
			continue
		}
		out = append(out, differ(to, v, z)...)
	}
	return out
}

// taken reports whether an edge that is no more finds its place filled.
func (j *judge) taken(k string) bool {
	_, id, _ := strings.Cut(k, "/")
	e := j.edgeOf(k)
	if e == nil || j.model.edges[id] != nil {
		return false
	}
	return j.model.joined(e.doc) || slices.ContainsFunc(sorted(j.model.out[e.str("from")]), func(o *entity) bool { return o.str("label") == e.str("label") })
}

// kept is how many versions of an object the schema keeps, where it bounds them.
const kept = 60

// thinned reports whether old versions of an entity may be gone.
func (j *judge) thinned(k string) bool { return len(j.past[k]) >= kept }

// held reports whether somebody holds a right on what is, or, of what is no more, on
// what it was last: as its parents are now, and as they were. With all, both have to
// be true.
func (j *judge) held(p principal, part, id, right string, all bool) bool {
	m := j.model
	k := part + "/" + id
	if m.of(part)[id] != nil {
		if part == "edges" {
			e := m.edges[id]
			return m.holds(p, e.str("from"), right) && m.holds(p, e.str("to"), right)
		}
		return m.holds(p, id, right)
	}
	g, ok := j.graves[k]
	if !ok {
		return false
	}
	then := p.admin || g.holders[right][p.String()]
	now := false
	if part == "edges" {
		now = len(g.ends) == 2 && j.held(p, "objects", g.ends[0], right, all) && j.held(p, "objects", g.ends[1], right, all)
	} else {
		now = j.ghost(g, id, func() bool { return m.holds(p, id, right) })
	}
	if all {
		return then && now
	}
	return then || now
}

// ghost asks something of the model while what was deleted stands in it again.
func (j *judge) ghost(g grave, id string, ask func() bool) bool {
	m, out := j.model, j.model.out[id]
	m.objects[id], m.out[id] = g.last, g.out
	defer func() {
		delete(m.objects, id)
		m.out[id] = out
	}()
	return ask()
}

// undoLacks gives a right that an undo needed and its author did not have.
func (j *judge) undoLacks(c *commit) *need {
	made := map[string]bool{}
	for _, raw := range c.patch {
		op, _ := raw.(map[string]any)
		if part, id, rest, _ := split(op["path"]); part == "objects" && rest == "" && op["op"] == "add" {
			made[id] = true
		}
	}
	for id := range made {
		if !j.held(c.author, "objects", id, "write", false) {
			return &need{id, "write"}
		}
	}
	for _, n := range j.model.needs(c.patch) {
		if !made[n.id] && j.model.objects[n.id] != nil && !j.model.holds(c.author, n.id, n.right) && !j.comesBack(c, n.id, made) {
			return &n
		}
	}
	return nil
}

// comesBack reports whether all that a commit does to an object is to join it to
// what comes back: that was judged by the right on the latter.
func (j *judge) comesBack(c *commit, id string, made map[string]bool) bool {
	for _, raw := range c.patch {
		op, _ := raw.(map[string]any)
		part, target, rest, _ := split(op["path"])
		value, _ := op["value"].(map[string]any)
		from, to := text(value["from"]), text(value["to"])
		if part == "objects" && target == id {
			return false
		}
		if e := j.model.edges[target]; part == "edges" && e != nil && (e.str("from") == id || e.str("to") == id) {
			return false
		}
		if part == "edges" && rest == "" && op["op"] == "add" && (from == id || to == id) && !made[from] && !made[to] {
			return false
		}
	}
	return true
}

// conflictsOf reads what a refusal says to be in the way.
func conflictsOf(problem map[string]any) (out []conflict) {
	list, _ := problem["conflicts"].([]any)
	for _, raw := range list {
		m, _ := raw.(map[string]any)
		out = append(out, conflict{text(m["path"]), toInt(m["version"])})
	}
	return out
}

// undoSaid says what is known of an undo that was refused.
func (j *judge) undoSaid(r *record, x refused) string {
	if r.undo == nil {
		return ""
	}
	out := fmt.Sprintf("an undo of %v, with conflicts %v", r.undo, x.conflicts)
	for _, k := range j.touchedBy(r.undo) {
		out += fmt.Sprintf("; %s was touched by %v, is there: %v", k, j.lately(k), docOf(j.past[k][len(j.past[k])-1].entity) != nil)
	}
	return out
}

// idles gives what an undo claims that was acknowledged and is not in the log: at
// some version since it was sent there was nothing to undo.
func (j *judge) idles(r *record) (out []claim) {
	w := j.w
	if r.undo == nil || len(r.acks) == 0 || j.in[r.id] > 0 {
		return nil
	}
	v := r.acks[0]
	if slices.ContainsFunc(r.acks, func(a int) bool { return a != v }) {
		w.violate("W3 exactly once", "%s, an undo of %v without a commit, was acknowledged at %v", r.id, r.undo, r.acks)
	}
	return append(out, claim{min(r.floor, v), v, func() bool {
		if j.idle(r.undo) {
			w.count(cIdle, 1)
			return true
		}
		return false
	}, func() {
		w.violate("W2 durable", "%s, an undo of %v, was acknowledged at %d, is not in the log, and had something to undo from version %d on", r.id, r.undo, v, r.floor)
	}})
}
