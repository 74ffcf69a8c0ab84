package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/patch"
)

// The keys of an edge on either side.
var (
	outKeys = []string{"to", "max", "whenFull", "required", "needs", "onDelete", "body", "description"}
	inKeys  = []string{"from", "as", "max", "whenFull", "needs", "onDelete", "body", "description"}
)

// buildEdges compiles the type's own declarations into t.Out and t.In, which
// hold the inherited ones.
func (c *compiler) buildEdges(t *Type, s *typeSource) {
	t.Required = nil
	if edges, ok := s.field("edges"); ok && edges.isMap() {
		edges.only("out", "in")
		if v, ok := edges.field("out"); ok {
			for _, e := range v.fields() {
				if d := c.buildEdge(t, e, true, t.Out[e.name()]); d != nil {
					if t.Out[d.Label] == nil {
						t.outOrder = append(t.outOrder, d.Label)
					}
					t.Out[d.Label] = d
				}
			}
		}
		if v, ok := edges.field("in"); ok {
			for _, e := range v.fields() {
				if d := c.buildEdge(t, e, false, t.In[e.name()]); d != nil {
					if t.In[d.Label] == nil {
						t.inOrder = append(t.inOrder, d.Label)
					}
					t.In[d.Label] = d
				}
			}
		}
	}
	for _, label := range sortedKeys(t.Out) {
		if t.Out[label].Required {
			t.Required = append(t.Required, t.Out[label])
		}
	}
}

// buildEdge compiles one declaration; inherited is the parent's, or nil.
func (c *compiler) buildEdge(t *Type, e cursor, out bool, inherited *EdgeDecl) *EdgeDecl {
	d := &EdgeDecl{Label: e.name(), Owner: t.Name, Needs: access.Write, at: e}
	if err := checkName(d.Label); err != nil {
		e.fault("%v", err)
		return nil
	}
	if !e.isMap() {
		return nil
	}
	if inherited != nil && inherited.Owner == objectName && t.Name != objectName {
		e.fault("the inbound edge %q is declared by the built-in type %s", d.Label, objectName)
		return nil
	}
	end, keys := "from", inKeys
	if out {
		end, keys = "to", outKeys
	}
	if _, wrong := e.field("required"); wrong && !out {
		e.fault("`required` stands on the outbound side: no object could be made that already has an inbound edge")
		keys = append(slices.Clone(keys), "required")
	}
	if _, wrong := e.field("as"); wrong && out {
		e.fault("`as` stands on the inbound side, where it names the inverse")
		keys = append(slices.Clone(keys), "as")
	}
	e.only(keys...)
	c.edgeEnds(d, e, end)
	if v, ok := e.field("max"); ok {
		d.Max, _ = v.int(1, 1<<31-1)
	}
	if v, ok := e.field("whenFull"); ok {
		d.Replace = v.oneOf("refuse", "replace") == "replace"
		if d.Replace && e.n.get("max") == nil {
			v.fault("without `max` it is never full")
		}
	}
	if v, ok := e.field("needs"); ok {
		if right, ok := v.text(); ok {
			if err := checkName(right); err != nil {
				v.fault("%v", err)
			}
			d.Needs = right
		}
	}
	if v, ok := e.field("onDelete"); ok {
		switch v.oneOf("unlink", "cascade", "restrict") {
		case "cascade":
			d.OnDelete = Cascade
		case "restrict":
			d.OnDelete = Restrict
		}
	}
	if v, ok := e.field("as"); ok && !out {
		if as, ok := v.text(); ok {
			if err := checkName(as); err != nil {
				v.fault("%v", err)
			}
			d.As = as
		}
	}
	if v, ok := e.field("required"); ok && out {
		if d.Required = v.bool(); d.Required && d.OnDelete == Unlink {
			v.fault("an edge that is required needs `onDelete: cascade` or `restrict`: when the object at the other end goes, %s could not stay without it", t.Name)
		}
	}
	if v, ok := e.field("body"); ok {
		c.edgeBody(d, v)
	}
	c.narrowEdge(d, inherited, e)
	return d
}

func (c *compiler) edgeEnds(d *EdgeDecl, e cursor, end string) {
	v, ok := e.field(end)
	if !ok {
		e.fault("the type at the other end is missing: say `%s: <type>`", end)
		return
	}
	for _, item := range v.items() {
		name, ok := c.knownType(item)
		switch {
		case !ok:
		case slices.Contains(d.Types, name):
			item.fault("%s stands twice", name)
		default:
			d.Types = append(d.Types, name)
		}
	}
	if v.n.kind == listKind && len(v.n.items) == 0 {
		v.fault("must not be empty")
	}
}

// edgeBody compiles `body`: a map of properties, or {properties, required, open}.
func (c *compiler) edgeBody(d *EdgeDecl, v cursor) {
	if !v.isMap() {
		return
	}
	props, long := longBody(v)
	before := len(v.f.list)
	src := &shapeSource{props: map[string]any{}}
	var walk schemaWalk
	d.bodyAt = map[string]cursor{}
	if o, ok := v.field("open"); ok && !long && o.n.kind == boolKind {
		c.warn(o, "this is a property named open; for a body that is open say {properties: {…}, open: true}, and for such a property {}")
	}
	if long {
		v.only("properties", "required", "open")
		if o, ok := v.field("open"); ok {
			src.open = o.bool()
		}
	}
	for _, p := range props {
		name := p.name()
		if err := checkName(name); err != nil {
			p.fault("%v", err)
			continue
		}
		walk.schema(p)
		d.bodyAt[name] = p
		src.order = append(src.order, name)
		src.props[name] = p.n.plain()
	}
	if long {
		for _, r := range requiredOf(v) {
			name, ok := r.text()
			if ok && src.props[name] == nil && !src.open {
				r.fault("there is no property %s%s", quoteShort(name), didYouMean(name, src.order))
			}
			src.required = append(src.required, name)
		}
	}
	if len(v.f.list) > before {
		return
	}
	walk.checkRefs(src.document())
	if len(v.f.list) > before {
		return
	}
	d.source = src
	d.shape = c.build(src, v, d.bodyAt)
	d.HasBody = len(src.order) > 0 || src.open
}

// longBody tells {properties: {…}} from a map of properties one of which has
// that name: what stands below `properties` is then schemas. {open: true} alone
// is a body that is open, with no properties of its own.
func longBody(v cursor) (props []cursor, long bool) {
	p, ok := v.field("properties")
	if !ok {
		o, ok := v.field("open")
		if ok && o.n.kind == boolKind && len(v.n.members) == 1 {
			return nil, true
		}
		return v.fields(), false
	}
	if p.n.kind != mapKind {
		return v.fields(), false
	}
	for _, m := range p.n.members {
		if m.value.kind != mapKind && m.value.kind != boolKind {
			return v.fields(), false
		}
	}
	return p.fields(), true
}

// narrowEdge holds a child's declaration to its parent's.
func (c *compiler) narrowEdge(d, parent *EdgeDecl, e cursor) {
	if parent == nil {
		return
	}
	for _, name := range d.Types {
		allowed := false
		for s := c.sources[name]; s != nil; s = s.parent {
			allowed = allowed || slices.Contains(parent.Types, s.name)
		}
		if !allowed {
			e.fault("widens the edge that %s declares: %s is not %s", parent.Owner, name, strings.Join(parent.Types, " or "))
		}
	}
	if parent.Max > 0 && (d.Max == 0 || d.Max > parent.Max) {
		e.fault("widens the edge that %s declares: `max` is %d there", parent.Owner, parent.Max)
	}
	if parent.Required && !d.Required {
		e.fault("widens the edge that %s declares: it is required there", parent.Owner)
	}
	if parent.As != "" && d.As != parent.As {
		e.fault("the edge that %s declares is called %q there; say `as: %s` here too", parent.Owner, parent.As, parent.As)
	}
	if parent.source != nil && d.source == nil {
		d.source, d.shape, d.HasBody = parent.source, parent.shape, parent.HasBody
	}
}

// checkEdges checks what needs all types: the double opt-in, and the rights of
// edges that rights flow through.
func (c *compiler) checkEdges(t *Type) {
	for _, label := range t.outOrder {
		d := t.Out[label]
		if d.Owner != t.Name {
			continue
		}
		if !c.opposite(d, true) {
			c.warn(d.at, "no type at the other end declares this edge under `in`, so it is never legal")
		}
	}
	for _, label := range t.inOrder {
		d := t.In[label]
		if d.Owner == t.Name && !c.opposite(d, false) {
			c.warn(d.at, "no type at the other end declares this edge under `out`, so it is never legal")
		}
	}
	if t.template == nil {
		return
	}
	for _, label := range t.template.labels() {
		d := t.Out[label]
		if d == nil || d.guardsRights() || d.Owner != t.Name && t.template.owner != t.Name {
			continue
		}
		at := d.at
		if at.f == t.template.at.f && t.template.owner == t.Name && d.Owner != t.Name {
			at = t.template.at
		} else if v, ok := d.at.field("needs"); ok {
			at = v
		}
		at.fault("%s inherits rights through the edge %q, so changing it needs `write` or more on this side: whoever may point it elsewhere gives rights away", t.Name, label)
	}
}

// guardsRights reports whether changing the edge asks enough of this side for
// rights to flow through it.
func (d *EdgeDecl) guardsRights() bool {
	return d.Needs == access.Write || d.Needs == access.Manage
}

// opposite reports whether some pair of types makes the declaration legal.
func (c *compiler) opposite(d *EdgeDecl, out bool) bool {
	for _, far := range d.Types {
		t := c.reg.Types[far]
		if t == nil {
			continue
		}
		for _, name := range t.subtypes {
			sub := c.reg.Types[name]
			decl := sub.In[d.Label]
			if !out {
				decl = sub.Out[d.Label]
			}
			if decl == nil {
				continue
			}
			for _, near := range c.reg.Types[d.Owner].subtypes {
				if allows(decl, c.reg.Types[near]) {
					return true
				}
			}
		}
	}
	return false
}

// allows reports whether a type may stand at the far end of a declaration.
func allows(d *EdgeDecl, far *Type) bool {
	for _, name := range d.Types {
		if far.ancestors[name] {
			return true
		}
	}
	return false
}

// EdgeBetween judges the double opt-in: the declarations of both sides, or
// CodeEdgeNotAllowed with Side set: the side whose type does not allow it.
func (r *Registry) EdgeBetween(label, fromType, toType string) (out, in *EdgeDecl, err *graph.Error) {
	from, to := r.Types[fromType], r.Types[toType]
	fromOK := from != nil && to != nil
	toOK := fromOK
	if fromOK {
		out, in = from.Out[label], to.In[label]
		fromOK = out != nil && allows(out, to)
		toOK = in != nil && allows(in, from)
	}
	if fromOK && toOK {
		return out, in, nil
	}
	err = graph.Errf(graph.CodeEdgeNotAllowed, "the schema has no edge %s from %s to %s: ", quoteShort(label), quoteShort(fromType), quoteShort(toType))
	switch {
	case fromOK:
		err.Side = "to"
		err.Message += toType + " does not declare it under `in`"
	case toOK:
		err.Side = "from"
		err.Message += fromType + " does not declare it under `out`"
	default:
		err.Side = "both"
		err.Message += "neither side declares it"
	}
	return nil, nil, err
}

// EdgeBody judges an edge's body and fills in its defaults, where the
// declaration of either side has properties; where both do, both are asked.
// Sides that declare none allow {} alone. An empty text counts as {}.
func (r *Registry) EdgeBody(out, in *EdgeDecl, body json.RawMessage) (filled json.RawMessage, ops []patch.Op, violations []graph.Violation) {
	if len(body) == 0 {
		body = json.RawMessage(`{}`)
	}
	s := r.edgeShape(out, in)
	filled, ops = s.fill.fill(body, nil, nil)
	return filled, ops, s.validate(filled, nil)
}

// CheckEdgeBody judges an edge's body as it stands, without its defaults.
func (r *Registry) CheckEdgeBody(out, in *EdgeDecl, body json.RawMessage) []graph.Violation {
	return r.edgeShape(out, in).validate(body, nil)
}

func (r *Registry) edgeShape(out, in *EdgeDecl) *shape {
	var a, b *shape
	if out != nil {
		a = out.shape
	}
	if in != nil {
		b = in.shape
	}
	switch {
	case a == nil && b == nil:
		return noShape
	case a == nil:
		return b
	case b == nil || a == b:
		return a
	}
	key := [2]*EdgeDecl{out, in}
	if s, ok := r.edgeShapes.Load(key); ok {
		return s.(*shape)
	}
	src := &shapeSource{props: map[string]any{}, open: out.source.open && in.source.open}
	for _, side := range []*shapeSource{out.source, in.source} {
		for _, name := range side.order {
			if _, ok := src.props[name]; !ok {
				src.order = append(src.order, name)
				src.props[name] = side.props[name]
				continue
			}
			src.props[name], _ = narrow(src.props[name], side.props[name])
		}
		for _, name := range side.required {
			if !slices.Contains(src.required, name) {
				src.required = append(src.required, name)
			}
		}
	}
	s, err := src.build()
	if err != nil { // each side compiled, so this cannot be; refuse rather than let pass
		s = &shape{whole: &native{never: true}}
	}
	actual, _ := r.edgeShapes.LoadOrStore(key, s)
	return actual.(*shape)
}

// String names the policy as the schema does.
func (o OnDelete) String() string {
	switch o {
	case Cascade:
		return "cascade"
	case Restrict:
		return "restrict"
	}
	return "unlink"
}

// MarshalText is String.
func (o OnDelete) MarshalText() ([]byte, error) { return fmt.Append(nil, o.String()), nil }
