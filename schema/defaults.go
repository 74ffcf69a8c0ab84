package schema

import (
	"encoding/json"
	"fmt"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// filler holds the defaults of an object's properties. Defaults of nested
// objects are filled in where the nested object exists (or is a default itself);
// those behind $ref, in list items and in alternatives are not.
type filler struct {
	members []fillMember
	index   map[string]int
}

type fillMember struct {
	name  string
	value json.RawMessage // nil: no default
	sub   *filler         // nil: nothing below
}

// newFiller gives nil where there are no defaults.
func newFiller(order []string, props map[string]any) *filler {
	f := &filler{index: map[string]int{}}
	for _, name := range order {
		m, ok := props[name].(map[string]any)
		if !ok {
			continue
		}
		member := fillMember{name: name}
		if sub, ok := m["properties"].(map[string]any); ok {
			member.sub = newFiller(sortedKeys(sub), sub)
		}
		if v, ok := m["default"]; ok {
			member.value = encode(v)
			member.value, _ = member.sub.fill(member.value, nil, nil)
		}
		if member.value != nil || member.sub != nil {
			f.index[name] = len(f.members)
			f.members = append(f.members, member)
		}
	}
	if len(f.members) == 0 {
		return nil
	}
	return f
}

// fill gives obj with the defaults of what is absent, and appends the
// operations that add them below at. Anything but an object stays as it is.
func (f *filler) fill(obj json.RawMessage, at patch.Pointer, ops []patch.Op) (json.RawMessage, []patch.Op) {
	if f == nil {
		return obj, ops
	}
	present := make([]bool, len(f.members))
	var out []byte // the copy, from the first difference on
	last := 0      // how much of obj is in out
	count := 0
	ok := eachMember(obj, func(key, value []byte) bool {
		count++
		i, known := f.index[string(key)]
		if !known {
			if i, known = f.index[unquote(key)]; !known {
				return true
			}
		}
		present[i] = true
		if sub := f.members[i].sub; sub != nil && typeOf(value) == objectType {
			before := len(ops)
			filled, more := sub.fill(value, join(at, f.members[i].name), ops)
			if ops = more; len(ops) > before {
				start := offsetOf(obj, value)
				out = append(append(out, obj[last:start]...), filled...)
				last = start + len(value)
			}
		}
		return true
	})
	if !ok {
		return obj, ops
	}
	end := len(obj) - 1
	for end > last && obj[end] != '}' {
		end--
	}
	for i, member := range f.members {
		if present[i] || member.value == nil {
			continue
		}
		out = append(out, obj[last:end]...)
		last = end
		if count > 0 {
			out = append(out, ',')
		}
		count++
		out = graph.AppendString(out, member.name)
		out = append(out, ':')
		out = append(out, member.value...)
		ops = append(ops, patch.Op{Kind: patch.Add, Path: join(at, member.name), Value: member.value})
	}
	if out == nil {
		return obj, ops
	}
	return append(out, obj[last:]...), ops
}

// offsetOf gives where part, a slice of whole, begins in it.
func offsetOf(whole, part []byte) int { return cap(whole) - cap(part) }

func join(at patch.Pointer, name string) patch.Pointer {
	p := make(patch.Pointer, len(at)+1)
	copy(p, at)
	p[len(at)] = name
	return p
}

// checkDefaults judges the defaults by their own schemas.
func (s *shape) checkDefaults(fault func(property, message string)) {
	if s.fill == nil {
		return
	}
	for _, m := range s.fill.members {
		if m.value == nil {
			continue
		}
		var out []graph.Violation
		s.props[m.name].check.check(m.value, "", &out)
		for _, v := range out {
			fault(m.name, fmt.Sprintf("the default is not valid: %s%s", atPath(v.Path), v.Message))
		}
	}
}

func atPath(path string) string {
	if path == "" {
		return ""
	}
	return "at " + path + ": "
}
