package schema

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// typeKeys are the keys of a type.
var typeKeys = []string{"abstract", "extends", "properties", "required", "open", "schema", "access", "create", "edges", "methods", "history", "migrate", "description"}

// buildType compiles a type whose parent is built. It always gives a type, so
// that more faults can be found.
func (c *compiler) buildType(s *typeSource, parent *Type) *Type {
	t := &Type{
		Name: s.name, Parent: parent, Out: map[string]*EdgeDecl{}, In: map[string]*EdgeDecl{}, Methods: map[string]*Method{},
		source: &shapeSource{props: map[string]any{}}, shape: noShape, at: map[string]cursor{},
	}
	if c.properties > maxProperties { // reported already; the rest would only take time
		return t
	}
	if parent != nil {
		t.Open, t.History, t.create = parent.Open, parent.History, parent.create
		maps.Copy(t.Out, parent.Out)
		maps.Copy(t.In, parent.In)
		maps.Copy(t.Methods, parent.Methods)
		maps.Copy(t.source.props, parent.source.props)
		maps.Copy(t.at, parent.at)
		t.source.order = slices.Clone(parent.source.order)
		t.source.required = slices.Clone(parent.source.required)
		t.source.keywords = slices.Clone(parent.source.keywords)
		t.refs = slices.Clone(parent.refs)
		t.migrations = slices.Clone(parent.migrations)
		t.outOrder, t.inOrder = slices.Clone(parent.outOrder), slices.Clone(parent.inOrder)
	}
	s.only(typeKeys...)
	if v, ok := s.field("abstract"); ok {
		t.Abstract = v.bool()
	}
	if v, ok := s.field("description"); ok {
		t.description, _ = v.text()
	}
	c.buildBody(t, s)
	c.buildEdges(t, s)
	c.checkNames(t, s)
	c.buildAccess(t, s)
	c.buildCreate(t, s)
	c.buildMethods(t, s)
	c.buildHistory(t, s)
	c.buildMigrate(t, s)
	return t
}

// buildBody compiles what judges bodies.
func (c *compiler) buildBody(t *Type, s *typeSource) {
	before := len(s.f.list)
	walk := schemaWalk{refs: t.refs}
	if v, ok := s.field("open"); ok {
		t.Open = v.bool()
	}
	if v, ok := s.field("properties"); ok {
		for _, p := range v.fields() {
			c.property(t, p, &walk)
		}
	}
	t.source.open = t.Open
	if v, ok := s.field("schema"); ok {
		if m := walk.bodyKeywords(v, t.Open); m != nil {
			c.shared(t, v)
			t.source.keywords = append(t.source.keywords, m)
		}
	}
	for _, r := range requiredOf(s.cursor) {
		name, ok := r.text()
		switch {
		case !ok:
		case t.source.props[name] == nil && !t.Open:
			r.fault("there is no property %s%s", quoteShort(name), didYouMean(name, t.source.order))
		case !slices.Contains(t.source.required, name):
			t.source.required = append(t.source.required, name)
		}
	}
	t.refs = walk.refs
	c.properties += len(t.source.order)
	if c.properties > maxProperties {
		s.fault("the types have more than %d properties together, inherited ones counted at each", maxProperties)
	}
	if len(s.f.list) > before {
		return
	}
	own := schemaWalk{refs: walk.refs}
	own.checkRefs(t.source.document())
	if len(s.f.list) > before {
		return
	}
	if shape := c.build(t.source, s.cursor, t.at); shape != nil {
		t.shape = shape
	}
}

// property adds one of the type's own properties, narrowing the inherited one.
func (c *compiler) property(t *Type, p cursor, walk *schemaWalk) {
	name := p.name()
	if err := checkName(name); err != nil {
		p.fault("%v", err)
		return
	}
	before := len(p.f.list)
	walk.schema(p)
	if len(p.f.list) > before {
		return
	}
	schema := p.n.plain()
	parent, inherited := t.source.props[name]
	t.at[name] = p
	if !inherited {
		t.source.order = append(t.source.order, name)
		t.source.props[name] = schema
		return
	}
	merged, found := narrow(parent, schema)
	t.source.props[name] = merged
	for _, w := range found {
		at := p
		if k, ok := p.field(w.keyword); ok {
			at = k
		}
		at.fault("widens the property that %s inherits from %s: %s", t.Name, c.declarer(t.Parent, name), w.message)
	}
}

// declarer names the nearest type that declares a property.
func (c *compiler) declarer(t *Type, property string) string {
	for ; t != nil; t = t.Parent {
		if s := c.sources[t.Name]; s != nil && s.n.get("properties") != nil && s.n.get("properties").value.get(property) != nil {
			return t.Name
		}
	}
	return "its parent"
}

// shared refuses $defs that would change what inherited properties refer to.
func (c *compiler) shared(t *Type, schema cursor) {
	defs, ok := schema.field("$defs")
	if !ok {
		return
	}
	for _, d := range defs.fields() {
		if d.name() == wholeName {
			d.fault("this name is taken")
		}
		for _, keywords := range t.source.keywords {
			if m, ok := keywords["$defs"].(map[string]any); ok && m[d.name()] != nil {
				d.fault("the parent has $defs of this name; its properties may refer to it, so it cannot change")
			}
		}
	}
}

// checkNames refuses that two things of a type have one name: on the client all
// of them are properties of the object.
func (c *compiler) checkNames(t *Type, s *typeSource) {
	const property, outbound = "a property", "an outbound edge"
	taken := map[string]string{}
	for _, name := range t.source.order {
		taken[name] = property
	}
	claim := func(name, what string, at cursor) {
		if other := taken[name]; other != "" {
			if t.Parent != nil && at.n == nil { // inherited: the fault is the type's own member of that name
				at = s.cursor
				for _, k := range []string{"properties", "methods"} {
					if m, ok := s.field(k); ok {
						if own, ok := m.field(name); ok {
							at = own
						}
					}
				}
			}
			at.fault("the name %q is %s of %s and %s as well; on the client they would be one", name, other, t.Name, what)
			return
		}
		taken[name] = what
	}
	edges := func(side string) map[string]cursor {
		own := map[string]cursor{}
		if e, ok := s.field("edges"); ok && e.n.kind == mapKind {
			if v, ok := e.field(side); ok && v.n.kind == mapKind {
				for _, d := range v.fields() {
					own[d.name()] = d
				}
			}
		}
		return own
	}
	own := edges("out")
	for _, label := range sortedKeys(t.Out) {
		claim(label, outbound, own[label])
	}
	own = edges("in")
	for _, label := range sortedKeys(t.In) {
		d := t.In[label]
		at := own[label]
		if d.As == "" {
			if taken[label] == outbound {
				if at.n == nil {
					at = s.cursor
				}
				at.fault("the label %q stands under `out` and `in` of %s: the inbound one needs an `as` name", label, t.Name)
				continue
			}
			claim(label, "an inbound edge", at)
			continue
		}
		claim(d.As, "the `as` name of an inbound edge", at)
		if taken[label] == property && d.Owner != objectName {
			claim(label, "an inbound edge", at)
		}
	}
	if m, ok := s.field("methods"); ok && m.n.kind == mapKind {
		for _, d := range m.fields() {
			claim(d.name(), "a method", d)
		}
	}
	for name := range t.Methods { // those of the parents
		taken[name] = "a method"
	}
	for _, name := range t.source.order {
		delete(taken, name)
	}
	if t.shape != noShape {
		t.shape.taken = map[string]bool{}
		for name := range taken {
			t.shape.taken[name] = true
		}
	}
}

// buildMethods compiles the methods.
func (c *compiler) buildMethods(t *Type, s *typeSource) {
	v, ok := s.field("methods")
	if !ok {
		return
	}
	for _, m := range v.fields() {
		name := m.name()
		if err := checkName(name); err != nil {
			m.fault("%v", err)
			continue
		}
		if !m.isMap() {
			continue
		}
		m.only("params", "required", "patch", "description")
		method := &Method{Name: name, Params: json.RawMessage(`{}`)}
		params := cursor{f: m.f, n: &node{kind: mapKind}}
		if p, ok := m.field("params"); ok {
			params = p
			method.Params = p.n.appendJSON(nil)
		}
		method.shape = c.params(params, requiredOf(m))
		p, ok := m.field("patch")
		if !ok {
			m.fault("a method has a patch")
			continue
		}
		c.checkMethodPatch(p, params)
		method.Patch = p.n.appendJSON(nil)
		t.Methods[name] = method
	}
}

// checkMethodPatch looks over a patch with {$param: name} in its values.
func (c *compiler) checkMethodPatch(p, params cursor) {
	for _, op := range p.list() {
		if !op.isMap() {
			continue
		}
		op.only("op", "path", "from", "value")
		kind := ""
		if k, ok := op.field("op"); ok {
			kind = k.oneOf("add", "remove", "replace", "move", "copy", "test")
		} else {
			op.fault("an operation has an `op`")
		}
		for _, key := range []string{"path", "from"} {
			v, ok := op.field(key)
			needed := key == "path" || kind == "move" || kind == "copy"
			if !ok && needed {
				op.fault("the operation needs a `%s`", key)
			}
			if !ok {
				continue
			}
			if path, isText := v.text(); isText && path != "/body" && !strings.HasPrefix(path, "/body/") && path != "/access" && !strings.HasPrefix(path, "/access/") &&
				!(kind == "test" && (path == "/type" || strings.HasPrefix(path, "/meta/"))) {
				v.fault("a method changes its own object: paths begin with /body or /access")
			}
		}
		if v, ok := op.field("value"); ok {
			eachMarker(v, "$param", func(at cursor, name string) {
				if params.n.get(name) == nil {
					at.fault("there is no parameter %s%s", quoteShort(name), didYouMean(name, keysOf(params.n)))
				}
			})
		} else if kind == "add" || kind == "replace" || kind == "test" {
			op.fault("the operation needs a `value`")
		}
	}
}

func keysOf(n *node) []string {
	var keys []string
	for _, m := range n.members {
		keys = append(keys, m.key)
	}
	return keys
}

// eachMarker calls fn for every map {marker: name} in the value.
func eachMarker(c cursor, marker string, fn func(at cursor, name string)) {
	switch c.n.kind {
	case listKind:
		for _, item := range c.items() {
			eachMarker(item, marker, fn)
		}
	case mapKind:
		if m, ok := c.field(marker); ok {
			if len(c.n.members) > 1 {
				m.fault("%s stands alone in its map", marker)
				return
			}
			if name, ok := m.text(); ok {
				fn(m, name)
			}
			return
		}
		for _, f := range c.fields() {
			eachMarker(f, marker, fn)
		}
	}
}

// buildHistory compiles the retention.
func (c *compiler) buildHistory(t *Type, s *typeSource) {
	v, ok := s.field("history")
	if !ok || !v.isMap() {
		return
	}
	v.only("keep", "snapshot")
	t.History = History{}
	if k, ok := v.field("keep"); ok {
		c.keep(t, k)
	}
	if k, ok := v.field("snapshot"); ok {
		if k.n.kind == stringKind && k.n.text == "every" {
			t.History.Snapshot = 1
		} else if k.n.kind == stringKind {
			k.fault("must be `every` or a number k, for a snapshot with every k-th version")
		} else if i, ok := k.int(1, 10_000); ok {
			t.History.Snapshot = i
		}
	}
}

// keep reads `all`, `<n> versions` (or a number), or a duration.
func (c *compiler) keep(t *Type, k cursor) {
	if k.n.kind == numberKind {
		t.History.Versions, _ = k.int(1, 1<<31-1)
		return
	}
	s, ok := k.text()
	if !ok || s == "all" {
		return
	}
	if count, ok := strings.CutSuffix(strings.TrimSuffix(s, "s"), " version"); ok {
		if n, err := strconv.Atoi(strings.TrimSpace(count)); err == nil && n >= 1 && n < 1<<31 {
			t.History.Versions = n
			return
		}
	} else if d, ok := parseDuration(s); ok && d >= time.Second {
		t.History.Age = d
		return
	}
	k.fault("must be `all`, a number of versions such as `100 versions`, or a duration such as `30d`, here it is %s", quoteShort(s))
}

// Describe gives the type's description, or "".
func (t *Type) Describe() string { return t.description }

// CheckParams judges the arguments of a method.
func (m *Method) CheckParams(params json.RawMessage) []graph.Violation {
	return checkArgs(m.shape, params)
}

// Snapshots gives k of the types that store a snapshot with every k-th version,
// by name.
func (r *Registry) Snapshots() map[string]int {
	out := map[string]int{}
	for name, t := range r.Types {
		if t.History.Snapshot > 1 && !t.Abstract {
			out[name] = t.History.Snapshot
		}
	}
	return out
}
