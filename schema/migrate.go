package schema

import (
	"encoding/json"
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// migration is a type's `migrate`: how bodies stored under an older schema
// become valid. It is applied to its subtypes as well.
type migration struct {
	rename   [][2]string // old, new; in the order of the document
	drop     []string
	defaults []fillMember
}

// buildMigrate compiles `migrate`.
func (c *compiler) buildMigrate(t *Type, s *typeSource) {
	v, ok := s.field("migrate")
	if !ok || !v.isMap() {
		return
	}
	v.only("rename", "default", "drop")
	m := &migration{}
	known := func(at cursor, name string) {
		if t.source.props[name] == nil && !t.Open {
			at.fault("%s has no property %s%s", t.Name, quoteShort(name), didYouMean(name, t.source.order))
		}
	}
	gone := func(at cursor, name string) {
		if t.source.props[name] != nil {
			at.fault("%s still has the property %s", t.Name, quoteShort(name))
		}
	}
	if r, ok := v.field("rename"); ok {
		targets := map[string]bool{}
		for _, f := range r.fields() {
			to, ok := f.text()
			if !ok {
				continue
			}
			gone(f, f.name())
			known(f, to)
			if targets[to] {
				f.fault("two properties would become %s", quoteShort(to))
			}
			targets[to] = true
			m.rename = append(m.rename, [2]string{f.name(), to})
		}
	}
	if d, ok := v.field("drop"); ok {
		for _, item := range d.items() {
			if name, ok := item.text(); ok {
				gone(item, name)
				m.drop = append(m.drop, name)
			}
		}
	}
	if d, ok := v.field("default"); ok {
		for _, f := range d.fields() {
			known(f, f.name())
			value := f.n.appendJSON(nil)
			if p := t.shape.props[f.name()]; p != nil {
				var out []graph.Violation
				p.check.check(value, "", &out)
				for _, violation := range out {
					f.fault("the default is not valid: %s%s", atPath(violation.Path), violation.Message)
				}
			}
			m.defaults = append(m.defaults, fillMember{name: f.name(), value: value})
		}
	}
	t.migrations = append(t.migrations, m)
}

// MigrateObject maps a body stored under an older schema by the `migrate`
// entries of the type and its ancestors; ok is false where there are none or
// nothing changes. Ops are relative to the body. A renamed property never
// overwrites another: where both are there, the body stays invalid and is
// reported as such.
func (r *Registry) MigrateObject(typ string, body json.RawMessage) (migrated json.RawMessage, ops []patch.Op, ok bool) {
	t := r.Types[typ]
	if t == nil || len(t.migrations) == 0 {
		return body, nil, false
	}
	present := map[string]bool{}
	if !eachMember(body, func(key, _ []byte) bool {
		present[unquote(key)] = true
		return true
	}) {
		return body, nil, false
	}
	for _, m := range t.migrations {
		for _, rename := range m.rename {
			old, name := rename[0], rename[1]
			if present[old] && !present[name] {
				ops = append(ops, patch.Op{Kind: patch.Move, From: patch.Pointer{old}, Path: patch.Pointer{name}})
				delete(present, old)
				present[name] = true
			}
		}
		for _, name := range m.drop {
			if present[name] {
				ops = append(ops, patch.Op{Kind: patch.Remove, Path: patch.Pointer{name}})
				delete(present, name)
			}
		}
		for _, d := range m.defaults {
			if !present[d.name] {
				ops = append(ops, patch.Op{Kind: patch.Add, Path: patch.Pointer{d.name}, Value: slices.Clone(d.value)})
				present[d.name] = true
			}
		}
	}
	if len(ops) == 0 {
		return body, nil, false
	}
	migrated, err := patch.Apply(body, ops, patch.JSONLimits{})
	if err != nil {
		return body, nil, false
	}
	return migrated, ops, true
}
