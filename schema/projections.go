package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/graphtide/graphtide/graph"
)

// projections compiles `projections`.
func (c *compiler) projections(v cursor) {
	for _, p := range v.fields() {
		name := p.name()
		p = p.named("projection " + name)
		if err := checkName(name); err != nil {
			p.fault("%v", err)
			continue
		}
		if p.isMap() {
			c.projection(name, p)
		}
	}
}

func (c *compiler) projection(name string, p cursor) {
	before := len(p.f.list)
	proj := &Projection{Name: name, Args: map[string]json.RawMessage{}}
	args := cursor{f: p.f, n: &node{kind: mapKind}}
	if a, ok := p.field("args"); ok && a.isMap() {
		args = a
		for _, m := range a.n.members {
			proj.Args[m.key] = m.value.appendJSON(nil)
		}
	}
	proj.shape = c.params(args, nil)
	body := *p.n
	body.members = nil
	for _, m := range p.n.members {
		if m.key != "args" && m.key != "description" {
			body.members = append(body.members, m)
		}
	}
	content := p
	content.n = &body
	used := map[string]bool{}
	eachMarker(content, "$arg", func(at cursor, arg string) {
		used[arg] = true
		if args.n.get(arg) == nil {
			at.fault("there is no argument %s%s", quoteShort(arg), didYouMean(arg, keysOf(args.n)))
		}
	})
	for _, a := range args.n.members {
		if !used[a.key] {
			c.warn(args.child(&a), "the argument is not used")
		}
	}
	c.projectionNames(content)
	proj.Raw = body.appendJSON(nil)
	proj.parts = cut(&body)
	if len(p.f.list) > before {
		return
	}
	if sample, ok := c.sample(content, args); ok {
		if _, err := graph.ParseProjection(sample); err != nil {
			at := content.find(err.Path)
			at.fault("%s", err.Message)
			return
		}
	}
	c.reg.Projections[name] = proj
}

// projectionNames refuses types and labels that nothing declares.
func (c *compiler) projectionNames(p cursor) {
	if root, ok := p.field("root"); ok && root.n.kind == mapKind {
		if t, ok := root.field("type"); ok && t.n.kind == stringKind {
			c.knownType(t)
		}
	}
	c.projectionLabels(p)
}

func (c *compiler) projectionLabels(p cursor) {
	if p.n.kind != mapKind {
		return
	}
	for _, side := range []string{"out", "in"} {
		v, ok := p.field(side)
		if !ok || v.n.kind != mapKind {
			continue
		}
		for _, step := range v.fields() {
			if label := step.name(); !c.labels[label] {
				step.fault("no type declares an edge %s%s", quoteShort(label), didYouMean(label, sortedKeys(c.labels)))
			}
			c.projectionLabels(step)
		}
	}
}

// find gives the cursor at a pointer relative to this one, or the nearest above.
func (c cursor) find(pointer string) cursor {
	for _, token := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		next, ok := c.field(token)
		if !ok {
			break
		}
		c = next
	}
	return c
}

// sampleID stands in for an argument when a projection is tried out.
const sampleID = "00000000-0000-7000-8000-000000000000"

// sample fills the arguments in with made-up values, so that the projection can
// be parsed when the schema is compiled. ok is false where an argument stands
// at a place for which no value can be made up.
func (c *compiler) sample(p, args cursor) (raw []byte, ok bool) {
	ok = true
	var write func(n *node, path []string) *node
	write = func(n *node, path []string) *node {
		if n.kind == mapKind && n.get("$arg") != nil {
			switch {
			case len(path) > 0 && path[len(path)-1] == "root":
				return &node{kind: stringKind, text: sampleID}
			case len(path) > 0 && (path[len(path)-1] == "limit" || path[len(path)-1] == "repeat"):
				return &node{kind: numberKind, text: "1"}
			case slices.Contains(path, "where") && !slices.Contains([]string{"in", "exists", "where", "and", "or", "not"}, path[len(path)-1]):
				return &node{kind: stringKind, text: "x"}
			}
			ok = false
			return n
		}
		out := *n
		out.members, out.items = nil, nil
		for _, m := range n.members {
			m.value = write(m.value, append(slices.Clone(path), m.key))
			out.members = append(out.members, m)
		}
		for _, item := range n.items {
			out.items = append(out.items, write(item, append(slices.Clone(path), "-")))
		}
		return &out
	}
	n := write(p.n, nil)
	return n.appendJSON(nil), ok
}

// part is a piece of a projection's text: text, or the place of an argument.
type part struct {
	text []byte
	arg  string
}

// cut takes the text of a value apart at its {"$arg": name} places.
func cut(n *node) []part {
	var parts []part
	var walk func(n *node, dst []byte) []byte
	walk = func(n *node, dst []byte) []byte {
		if m := n.get("$arg"); n.kind == mapKind && m != nil {
			parts = append(parts, part{text: dst}, part{arg: m.value.text})
			return nil
		}
		switch n.kind {
		case mapKind:
			dst = append(dst, '{')
			for i, m := range n.members {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = graph.AppendString(dst, m.key)
				dst = walk(m.value, append(dst, ':'))
			}
			return append(dst, '}')
		case listKind:
			dst = append(dst, '[')
			for i, item := range n.items {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = walk(item, dst)
			}
			return append(dst, ']')
		}
		return n.appendJSON(dst)
	}
	rest := walk(n, nil)
	return append(parts, part{text: rest})
}

// Instantiate fills the arguments in and parses the result. args must be
// checked JSON; nothing counts as {}. Every fault is CodeInvalidProjection
// (CodeInvalidID for a root that is no UUID), with its path in the arguments
// (/args/…) or in the projection.
func (p *Projection) Instantiate(args json.RawMessage) (*graph.Projection, *graph.Error) {
	if len(args) == 0 || string(args) == "null" {
		args = json.RawMessage(`{}`)
	}
	filled, _ := p.shape.fill.fill(args, nil, nil)
	values := map[string]json.RawMessage{}
	eachMember(filled, func(key, value []byte) bool {
		values[unquote(key)] = value
		return true
	})
	violations := p.shape.validate(filled, nil)
	for _, name := range p.shape.order {
		if _, ok := values[name]; !ok {
			violations = append(violations, graph.Violation{Path: "/" + escapeToken(name), Message: fmt.Sprintf("the argument %q is required", name)})
		}
	}
	if len(violations) > 0 {
		e := graph.Errf(graph.CodeInvalidProjection, "the arguments of the projection %s are not valid: %s%s", p.Name, atPath(violations[0].Path), violations[0].Message).At("/args" + violations[0].Path)
		for _, v := range violations {
			e.Errors = append(e.Errors, graph.Violation{Path: "/args" + v.Path, Message: v.Message})
		}
		return nil, e
	}
	var text []byte
	for _, part := range p.parts {
		if part.arg != "" {
			text = append(text, values[part.arg]...)
		} else {
			text = append(text, part.text...)
		}
	}
	return graph.ParseProjection(text)
}
