package torture

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/graphtide/graphtide/systest/plain"
)

// model is the graph as the patches of its log make it: the judge's own.
type model struct {
	version int
	objects map[string]*entity
	edges   map[string]*entity
	taken   map[string]bool    // every id that ever was
	dead    map[string]*entity // the last states of what is no more, by part and id
	out, in map[string]map[string]*entity
	ofType  map[string]map[string]*entity
}

// entity is an object or an edge at one version. It is replaced, never changed.
type entity struct {
	id   string
	doc  map[string]any // type, body, access; or label, from, to, body
	meta meta
	sum  uint64 // of what a client may see of it
}

type meta struct {
	version, created     int
	createdAt, updatedAt string
	createdBy, updatedBy string
}

func (e *entity) str(member string) string { s, _ := e.doc[member].(string); return s }

func (e *entity) body() map[string]any { b, _ := e.doc["body"].(map[string]any); return b }

func newModel() *model {
	return &model{objects: map[string]*entity{}, edges: map[string]*entity{}, taken: map[string]bool{}, dead: map[string]*entity{},
		out: map[string]map[string]*entity{}, in: map[string]map[string]*entity{}, ofType: map[string]map[string]*entity{}}
}

// commit is an entry of the log, as an administrator reads it, and whom the
// database has its author stand for.
type commit struct {
	version  int
	at, by   string
	time     time.Time
	mutation string
	patch    []any
	author   principal
	session  string
	cause    string // its kind
	causedBy int    // the version that the cause names; 0: none
	law      int    // the schema's version under which it was made
	// generation is that of the law's sheets.
	generation int
}

// apply brings the model to the next version.
func (m *model) apply(c *commit) error {
	if c.version != m.version+1 {
		return fmt.Errorf("version %d follows %d", c.version, m.version)
	}
	touched := map[string]bool{}
	for i, raw := range c.patch {
		op, ok := raw.(map[string]any)
		if !ok {
			return fmt.Errorf("operation %d is no object", i)
		}
		part, id, rest, ok := split(op["path"])
		if !ok {
			return fmt.Errorf("operation %d has the path %v", i, op["path"])
		}
		next, err := m.after(m.of(part)[id], op, id, rest)
		if last := m.dead[part+id]; err != nil && last != nil && c.cause == "revert" && rest == "" && op["op"] == "add" {
			next, err = last.again(op["value"]), nil
		}
		if err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
		if next != nil && !touched[part+id] {
			next.meta.version, next.meta.updatedAt, next.meta.updatedBy = c.version, c.at, c.by
			if next.meta.created == 0 {
				next.meta.created, next.meta.createdAt, next.meta.createdBy = c.version, c.at, c.by
			}
		}
		touched[part+id] = true
		m.put(part, id, next)
	}
	m.version = c.version
	return nil
}

func (m *model) of(part string) map[string]*entity {
	if part == "edges" {
		return m.edges
	}
	return m.objects
}

// split takes a path over the graph apart.
func split(path any) (part, id, rest string, ok bool) {
	s, _ := path.(string)
	p := strings.SplitN(s, "/", 4)
	if len(p) < 3 || p[0] != "" || p[1] != "objects" && p[1] != "edges" {
		return "", "", "", false
	}
	if len(p) == 4 {
		rest = "/" + p[3]
	}
	return p[1], p[2], rest, true
}

// after gives what an operation makes of an entity; nil: it is no more.
func (m *model) after(old *entity, op map[string]any, id, rest string) (*entity, error) {
	switch {
	case rest == "" && op["op"] == "add":
		if old != nil || m.taken[id] {
			return nil, fmt.Errorf("%s is created again", id)
		}
		doc, ok := plain.Copy(op["value"]).(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s is made of %v", id, op["value"])
		}
		if doc["body"] == nil {
			doc["body"] = map[string]any{}
		}
		return &entity{id: id, doc: doc}, nil
	case old == nil:
		return nil, fmt.Errorf("%v of %s, which is not there", op["op"], id)
	case rest == "" && op["op"] == "remove":
		return nil, nil
	}
	relative := map[string]any{"op": op["op"], "path": rest, "value": op["value"]}
	if from, ok := op["from"].(string); ok {
		_, _, relative["from"], _ = split(from)
	}
	doc, err := plain.Apply(plain.Copy(old.doc), []any{relative})
	if err != nil {
		return nil, err
	}
	return &entity{id: id, doc: doc.(map[string]any), meta: old.meta}, nil
}

// again gives what comes back of an entity that was no more: when and by whom it
// was made stays.
func (e *entity) again(value any) *entity {
	doc, _ := plain.Copy(value).(map[string]any)
	if doc["body"] == nil {
		doc["body"] = map[string]any{}
	}
	return &entity{id: e.id, doc: doc, meta: meta{created: e.meta.created, createdAt: e.meta.createdAt, createdBy: e.meta.createdBy}}
}

// put makes e what the model holds under the id.
func (m *model) put(part, id string, e *entity) {
	all := m.of(part)
	old := all[id]
	index := func(of map[string]map[string]*entity, key string, e *entity) {
		if of[key] == nil {
			of[key] = map[string]*entity{}
		}
		if e == nil {
			delete(of[key], id)
		} else {
			of[key][id] = e
		}
	}
	both := func(e, as *entity) {
		if part == "objects" {
			index(m.ofType, e.str("type"), as)
			return
		}
		index(m.out, e.str("from"), as)
		index(m.in, e.str("to"), as)
	}
	if old != nil {
		both(old, nil)
	}
	if e == nil {
		delete(all, id)
		if old != nil {
			m.dead[part+id] = old
		}
		return
	}
	m.taken[id] = true
	e.sum = sumOf(id, e.shown())
	all[id] = e
	both(e, e)
}

// shown gives the entity as a view shows it.
func (e *entity) shown() map[string]any {
	v := map[string]any{"body": e.doc["body"], "meta": map[string]any{
		"version": number(e.meta.version), "createdVersion": number(e.meta.created),
		"createdAt": e.meta.createdAt, "createdBy": e.meta.createdBy, "updatedAt": e.meta.updatedAt, "updatedBy": e.meta.updatedBy,
	}}
	for _, k := range []string{"type", "label", "from", "to"} {
		if e.doc[k] != nil {
			v[k] = e.doc[k]
		}
	}
	return v
}

func number(n int) json.Number { return json.Number(fmt.Sprint(n)) }

// members of an entity that a view shows.
var shownMembers = []string{"type", "label", "from", "to", "body", "meta"}

// sumOf names what is shown of an entity by one number.
func sumOf(id string, shown map[string]any) uint64 {
	only := make(map[string]any, len(shownMembers))
	for _, k := range shownMembers {
		if v, ok := shown[k]; ok {
			only[k] = v
		}
	}
	if only["body"] == nil {
		only["body"] = map[string]any{}
	}
	text, err := json.Marshal(only) // members sorted by name
	if err != nil {
		panic(err) // it was decoded from JSON
	}
	h := fnv.New64a()
	h.Write([]byte(id))
	h.Write(text)
	return h.Sum64()
}

// digestOf is the part of an entity in a view's digest.
func digestOf(id string, version any) uint32 {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s:%v", id, version)
	return h.Sum32()
}

// sorted gives the entities of an index by id, so that a walk is the same each time.
func sorted(of map[string]*entity) []*entity {
	out := make([]*entity, 0, len(of))
	for _, e := range of {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *entity) int { return strings.Compare(a.id, b.id) })
	return out
}
