package schema

import (
	"regexp"
	"slices"
	"sort"

	"github.com/graphtide/graphtide/graph"
)

// Bounds of a schema.
const (
	maxTypes      = 2000
	maxChain      = 32      // of extends
	maxProperties = 100_000 // of all types, inherited ones counted at each
)

var typeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// compiler turns one document into a registry.
type compiler struct {
	f          *faults
	warnings   *faults
	reg        *Registry
	sources    map[string]*typeSource
	labels     map[string]bool // every edge label that somebody declares
	properties int             // of all types so far
	lacking    map[string]string

	warnOfCycles func() // once the rules are sorted by what they listen to
}

// typeSource is a type as it stands in the document.
type typeSource struct {
	cursor
	name    string
	parent  *typeSource
	builtin bool
	state   uint8 // of the walk that finds cycles: 0 unseen, 1 under way, 2 done
	depth   int
}

// compile reads a document. lacking are the handlers that cannot be had, each
// with the reason.
func compile(file string, doc []byte, version int64, lacking map[string]string) (*Registry, *graph.Error) {
	f := newFaults(file, doc)
	root := parseDocument(f, doc)
	if err := f.err(); err != nil {
		return nil, err
	}
	c := &compiler{
		f: f, warnings: newFaults(file, doc), lacking: lacking, sources: map[string]*typeSource{}, labels: map[string]bool{},
		reg: &Registry{
			Version: version, Types: map[string]*Type{}, Operations: map[string]*Operation{},
			Projections: map[string]*Projection{}, Scripts: map[string]string{},
		},
	}
	c.builtin()
	top := cursor{f: f, n: root, line: 1, col: 1}
	if root.kind != mapKind {
		top.fault("a schema is a map that begins with `graphtide: 1`, here it is %s", root.kind)
		return nil, f.err()
	}
	top.line, top.col = root.line, root.col
	c.document(top)
	if err := f.err(); err != nil {
		return nil, err
	}
	c.reg.Doc = root.appendJSON(nil)
	c.finish()
	return c.reg, nil
}

// topKeys are the keys of a document.
var topKeys = []string{"graphtide", "types", "rules", "operations", "projections", "scripts"}

func (c *compiler) document(top cursor) {
	top.only(topKeys...)
	switch v, ok := top.field("graphtide"); {
	case !ok:
		top.fault("the key graphtide is missing; a schema begins with `graphtide: 1`")
	case v.n.kind != numberKind || v.n.text != "1":
		v.fault("this server reads version 1 of the schema language")
	}
	for _, key := range topKeys[1:5] {
		if v, ok := top.field(key); ok {
			checkEnv(v.named(""))
		}
	}
	if v, ok := top.field("scripts"); ok {
		c.scripts(v)
	}
	if v, ok := top.field("types"); ok {
		c.collect(v, false)
	}
	c.types()
	if v, ok := top.field("rules"); ok {
		c.rules(v)
	}
	if v, ok := top.field("operations"); ok {
		c.operations(v)
	}
	if v, ok := top.field("projections"); ok {
		c.projections(v)
	}
}

// builtin adds the sources of the built-in types.
func (c *compiler) builtin() {
	f := newFaults("builtin", []byte(builtinDocument))
	root := builtinRoot()
	c.collect(cursor{f: f, n: root.get("types").value, pointer: "/types"}, true)
}

// collect notes the types of a document.
func (c *compiler) collect(types cursor, builtin bool) {
	fields := types.fields()
	if len(fields) > maxTypes {
		types.fault("a schema has at most %d types, this one has %d", maxTypes, len(fields))
		return
	}
	for _, t := range fields {
		name := t.name()
		t = t.named("type " + name)
		switch {
		case !typeName.MatchString(name) || len(name) > maxName:
			t.fault("a type's name is letters, digits and _, begins with a letter and has at most %d characters", maxName)
		case slices.Contains(reservedNames, name):
			t.fault("the name %q is JavaScript's own", name)
		case c.sources[name] != nil:
			t.fault("%s is a built-in type", name)
		case t.isMap():
			c.sources[name] = &typeSource{cursor: t, name: name, builtin: builtin}
		}
	}
}

// types builds every type, parents first.
func (c *compiler) types() {
	names := sortedKeys(c.sources)
	sort.SliceStable(names, func(i, j int) bool { // built-in ones, then in the order of the document
		a, b := c.sources[names[i]], c.sources[names[j]]
		if a.builtin != b.builtin {
			return a.builtin
		}
		return a.line < b.line
	})
	for _, name := range names {
		c.noteLabels(c.sources[name])
	}
	for _, name := range names {
		c.resolve(c.sources[name])
	}
	for _, name := range names {
		c.buildChain(c.sources[name])
	}
	c.lineage()
	for _, name := range names {
		if t := c.reg.Types[name]; t != nil {
			c.checkEdges(t)
		}
	}
}

// noteLabels gathers the labels for checks that come before the types are built.
func (c *compiler) noteLabels(s *typeSource) {
	edges := s.n.get("edges")
	if edges == nil {
		return
	}
	for _, side := range edges.value.members {
		for _, m := range side.value.members {
			c.labels[m.key] = true
		}
	}
}

// resolve finds the parent and refuses cycles and long chains.
func (c *compiler) resolve(s *typeSource) {
	if s.state != 0 {
		return
	}
	s.state = 1
	defer func() { s.state = 2 }()
	if s.name == objectName {
		return
	}
	s.parent = c.sources[objectName]
	e, ok := s.field("extends")
	if ok {
		name, isText := e.text()
		if !isText {
			return
		}
		parent := c.sources[name]
		switch {
		case parent == nil:
			e.fault("there is no type %s%s", quoteShort(name), didYouMean(name, sortedKeys(c.sources)))
			return
		case parent.name == operationName:
			e.fault("%s cannot be extended", operationName)
			return
		case parent.state == 1:
			e.fault("%s extends itself, by way of %s", s.name, name)
			return
		}
		c.resolve(parent)
		s.parent = parent
	}
	s.depth = s.parent.depth + 1
	if s.depth > maxChain {
		e.fault("the chain of extends is longer than %d", maxChain)
		s.parent = c.sources[objectName]
		s.depth = 1
	}
}

func (c *compiler) buildChain(s *typeSource) *Type {
	if t := c.reg.Types[s.name]; t != nil {
		return t
	}
	var parent *Type
	if s.parent != nil {
		parent = c.buildChain(s.parent)
	}
	t := c.buildType(s, parent)
	c.reg.Types[s.name] = t
	return t
}

// lineage fills in who descends from whom.
func (c *compiler) lineage() {
	for name, t := range c.reg.Types {
		t.ancestors = map[string]bool{}
		for a := t; a != nil; a = a.Parent {
			t.ancestors[a.Name] = true
			a.subtypes = append(a.subtypes, name)
		}
	}
	for _, t := range c.reg.Types {
		slices.Sort(t.subtypes)
	}
}

// finish sorts the rules, gathers the warnings and lets go of the document.
func (c *compiler) finish() {
	c.reg.index()
	if c.warnOfCycles != nil {
		c.warnOfCycles()
	}
	c.warnings.err() // sorts
	for _, w := range c.warnings.list {
		c.reg.Warnings = append(c.reg.Warnings, w.violation)
	}
	c.release()
}

// release lets go of the document: a registry lives long, its text need not.
func (c *compiler) release() {
	for _, t := range c.reg.Types {
		t.at, t.refs, t.accessSource = nil, nil, nil
		t.template.at = cursor{}
		for _, decls := range []map[string]*EdgeDecl{t.Out, t.In} {
			for _, d := range decls {
				d.at, d.bodyAt = cursor{}, nil
			}
		}
	}
}

// warn notes what is allowed but hardly meant.
func (c *compiler) warn(at cursor, format string, args ...any) {
	if at.f != c.f { // the built-in document warns nobody
		return
	}
	at.f = c.warnings
	at.fault(format, args...)
}

// knownType gives a type named at a cursor, or refuses it.
func (c *compiler) knownType(at cursor) (string, bool) {
	name, ok := at.text()
	if !ok {
		return "", false
	}
	if c.sources[name] == nil {
		at.fault("there is no type %s%s", quoteShort(name), didYouMean(name, sortedKeys(c.sources)))
		return "", false
	}
	return name, true
}

// scripts takes the sources of handlers.
func (c *compiler) scripts(v cursor) {
	for _, s := range v.fields() {
		if s.n.kind != stringKind {
			s.fault("must be the text of the script, here it is %s", s.n.kind)
			continue
		}
		c.reg.Scripts[s.name()] = s.n.text
	}
}

// params reads a map of named JSON Schemas: the parameters of something.
func (c *compiler) params(v cursor, required []cursor) *shape {
	before := len(v.f.list)
	src := &shapeSource{props: map[string]any{}}
	var walk schemaWalk
	at := map[string]cursor{}
	for _, p := range v.fields() {
		name := p.name()
		if err := checkName(name); err != nil {
			p.fault("%v", err)
			continue
		}
		walk.schema(p)
		at[name] = p
		src.order = append(src.order, name)
		src.props[name] = p.n.plain()
	}
	for _, r := range required {
		name, ok := r.text()
		if ok && at[name].n == nil {
			r.fault("there is no parameter %s%s", quoteShort(name), didYouMean(name, src.order))
		}
		src.required = append(src.required, name)
	}
	if len(v.f.list) > before {
		return nil
	}
	walk.checkRefs(src.document())
	if len(v.f.list) > before {
		return nil
	}
	return c.build(src, v, at)
}

// build compiles a shape; what only then shows up is reported at the property.
func (c *compiler) build(src *shapeSource, whole cursor, at map[string]cursor) *shape {
	s, err := src.build()
	if err != nil {
		place := whole
		if p, ok := at[err.property]; ok {
			place = p
		}
		place.fault("%s", err.message)
		return s
	}
	s.checkDefaults(func(property, message string) {
		place, ok := at[property]
		if !ok {
			place = whole
		}
		if d, ok := place.field("default"); ok {
			place = d
		}
		place.fault("%s", message)
	})
	return s
}

// requiredOf gives the elements of the `required` list beside something.
func requiredOf(c cursor) []cursor {
	r, ok := c.field("required")
	if !ok {
		return nil
	}
	return r.list()
}
