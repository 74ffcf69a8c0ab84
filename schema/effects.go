package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// The static map: what a rule or an operation may change, and which rules that
// may fire. A rule says it with `writes`; of a script that does not, its source
// is looked at. What neither tells is not known, and warned of by nobody.

// Write is something that a handler may change.
type Write struct {
	Object string        // a type, or "" for an edge
	Edge   string        // a label
	Path   patch.Pointer // only this and what is below it; nil: anything

	events [4]bool
}

// String gives it as `writes` has it.
func (w Write) String() string {
	name := w.Object
	if w.Edge != "" {
		name = "edge:" + w.Edge
	}
	if w.Path != nil {
		name += w.Path.String()
	}
	return name
}

// anyChange is what a declared write without a path may do.
var anyChange = [4]bool{graph.Created: true, graph.Modified: true, graph.Deleted: true}

// writes compiles `writes`; known is false where it is missing.
func (c *compiler) writes(owner cursor) (out []Write, known bool) {
	v, ok := owner.field("writes")
	if !ok {
		return nil, false
	}
	for _, item := range v.items() {
		s, ok := item.text()
		if !ok {
			continue
		}
		w := Write{events: anyChange}
		name, path, hasPath := s, "", false
		if i := strings.IndexByte(s, '/'); i >= 0 {
			name, path, hasPath = s[:i], s[i:], true
		}
		if label, isEdge := strings.CutPrefix(name, "edge:"); isEdge {
			if w.Edge = label; !c.labels[label] {
				item.fault("no type declares an edge %s%s", quoteShort(label), didYouMean(label, sortedKeys(c.labels)))
				continue
			}
		} else {
			if w.Object = name; c.reg.Types[name] == nil {
				item.fault("there is no type %s%s; write a type, edge:<label>, or one of them with a path such as Task/body/title", quoteShort(name), didYouMean(name, sortedKeys(c.reg.Types)))
				continue
			}
		}
		if hasPath {
			p, ok := patch.ParsePointer(path)
			if !ok || len(p) == 0 || p[0] != "body" && p[0] != "access" {
				item.fault("the path of %s is relative to the entity: it begins with /body", quoteShort(s))
				continue
			}
			w.Path, w.events = p, [4]bool{graph.Modified: true}
		}
		out = append(out, w)
	}
	return out, true
}

var (
	nameInQuotes = regexp.MustCompile("['\"`]([A-Za-z_][A-Za-z0-9_-]*)['\"`]")
	writtenPlace = regexp.MustCompile("/body/([A-Za-z_][A-Za-z0-9_]*)")
	ownEntity    = regexp.MustCompile(`\bevent\.entity\b|\bafter\.id\b|\{[^}]*\bentity\b[^}]*\}`)
)

// readWrites gives what the source of a script shows: names of types in quotes
// are taken for what it makes, and places in bodies, where it speaks of the
// entity of its event, for what it changes there.
func (c *compiler) readWrites(h Handler, own *Rule) (out []Write, known bool) {
	source := c.reg.Scripts[h.Script]
	if h.Script == "" || source == "" {
		return nil, false
	}
	seen := map[string]bool{}
	add := func(w Write) {
		if name := w.String(); !seen[name] {
			seen[name] = true
			out = append(out, w)
		}
	}
	for _, m := range nameInQuotes.FindAllStringSubmatch(source, -1) {
		if t := c.reg.Types[m[1]]; t != nil && !t.Abstract {
			add(Write{Object: m[1], events: [4]bool{graph.Created: true}})
		} else if c.labels[m[1]] {
			add(Write{Edge: m[1], events: [4]bool{graph.Created: true}})
		}
	}
	if own != nil && own.Object != "" && ownEntity.MatchString(source) {
		for _, m := range writtenPlace.FindAllStringSubmatch(source, -1) {
			add(Write{Object: own.Object, Path: patch.Pointer{"body", m[1]}, events: [4]bool{graph.Modified: true}})
		}
	}
	return out, true
}

// Fires gives the names of the rules that may fire when something is written,
// what goes along with removals included.
func (r *Registry) Fires(writes []Write) []string {
	out := []string{}
	writes = r.withCascades(writes)
	for _, rule := range r.Rules {
		if slices.ContainsFunc(writes, func(w Write) bool { return r.mayFire(w, rule) }) {
			out = append(out, rule.Name)
		}
	}
	return out
}

// Changing is a write of one place of a type by anybody: path nil is the whole
// of it.
func Changing(typ string, path patch.Pointer) Write {
	w := Write{Object: typ, Path: path, events: anyChange}
	if path != nil {
		w.events = [4]bool{graph.Modified: true}
	}
	return w
}

// withCascades adds what goes along with the removal of objects: their edges,
// and what the schema lets go with them, however far.
func (r *Registry) withCascades(writes []Write) []Write {
	gone := [4]bool{graph.Deleted: true}
	out := slices.Clone(writes)
	told := map[removal]bool{}
	add := func(object, edge string) {
		if k := (removal{object, edge}); !told[k] {
			told[k] = true
			out = append(out, Write{Object: object, Edge: edge, events: gone})
		}
	}
	for i := 0; i < len(out); i++ { // grows on the way
		if out[i].Object == "" || !out[i].events[graph.Deleted] {
			continue
		}
		near := func(typ string) bool { return r.IsA(typ, out[i].Object) || r.IsA(out[i].Object, typ) }
		for _, name := range sortedKeys(r.Types) {
			t := r.Types[name]
			for _, side := range []map[string]*EdgeDecl{t.Out, t.In} {
				for label, decl := range side {
					far := slices.ContainsFunc(decl.Types, near)
					if far || near(name) {
						add("", label)
					}
					if far && decl.OnDelete == Cascade {
						add(name, "")
					}
				}
			}
		}
	}
	return out
}

// removal names what goes: objects of a type, or edges of a label.
type removal struct{ object, edge string }

func (r *Registry) mayFire(w Write, rule *Rule) bool {
	switch {
	case w.Edge != rule.Edge:
		return false
	case w.Edge == "" && !r.IsA(w.Object, rule.Object) && !r.IsA(rule.Object, w.Object):
		return false
	case w.events[graph.Created] && rule.events[graph.Created], w.events[graph.Deleted] && rule.events[graph.Deleted]:
		return true
	case !w.events[graph.Modified] || !rule.events[graph.Modified]:
		return false
	}
	return w.Path == nil || len(rule.Paths) == 0 || slices.ContainsFunc(rule.Paths, func(p patch.Pointer) bool {
		n := min(len(p), len(w.Path))
		return slices.Equal(p[:n], w.Path[:n])
	})
}

// cycles warns of rules that may cause themselves, or each other: one way round
// for each group of them.
func (c *compiler) cycles(at map[string]cursor) {
	next := map[string][]string{}
	for _, rule := range c.reg.Rules {
		next[rule.Name] = c.reg.Fires(rule.Writes)
	}
	told := map[string]bool{}
	for _, rule := range c.reg.Rules {
		if told[rule.Name] {
			continue
		}
		way := wayRound(rule.Name, next)
		if way == nil {
			continue
		}
		for _, name := range way {
			told[name] = true
		}
		what := fmt.Sprintf("rules %s may cause each other without end", strings.Join(way, " → "))
		if len(way) == 2 {
			what = fmt.Sprintf("rule %s may cause itself", rule.Name)
		}
		var why []string
		for i := range len(way) - 1 {
			why = append(why, fmt.Sprintf("%s writes %s", way[i], c.writeThatFires(way[i], way[i+1])))
		}
		c.warn(at[rule.Name], "%s: %s. A chain is stopped after eight runs, and at a second visit of a rule to an entity", what, strings.Join(why, ", "))
	}
}

func (c *compiler) writeThatFires(from, to string) string {
	target := c.reg.Rule(to)
	for _, w := range c.reg.withCascades(c.reg.Rule(from).Writes) {
		if c.reg.mayFire(w, target) {
			return w.String()
		}
	}
	return ""
}

// wayRound gives the shortest way from a rule back to itself, both ends named;
// nil for none.
func wayRound(start string, next map[string][]string) []string {
	from := map[string]string{}
	queue := []string{start}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		for _, n := range next[name] {
			if n == start {
				way := []string{start}
				for at := name; at != start; at = from[at] {
					way = append(way, at)
				}
				way = append(way, start)
				slices.Reverse(way)
				return way
			}
			if _, seen := from[n]; !seen {
				from[n] = name
				queue = append(queue, n)
			}
		}
	}
	return nil
}

// WritesOf gives what a rule or an operation declares that it writes; declared
// is false where it says nothing, or is not there.
func (r *Registry) WritesOf(kind graph.RunKind, name string) (writes []Write, declared bool) {
	if kind == graph.RunOperation {
		if op := r.Operations[name]; op != nil {
			return op.Writes, op.WritesDeclared
		}
		return nil, false
	}
	if rule := r.Rule(name); rule != nil {
		return rule.Writes, rule.WritesDeclared
	}
	return nil, false
}
