package schema

import (
	"slices"
	"strings"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// ruleIndex finds among the rules of one type, or of one edge label, those that
// a change may concern: by its event, and by the paths that it touches. What a
// change does not concern costs it nothing, however many rules there are.
type ruleIndex struct {
	all    []*Rule                 // by name
	events map[graph.Event][]*Rule // by what they listen to, by name; not those below
	paths  *pathNode               // rules on modify that name paths; nil for none
}

// pathNode is a place in a body, or in an access, that rules name.
type pathNode struct {
	rules []*Rule // that name this very place
	below map[string]*pathNode
}

func (x *ruleIndex) add(rule *Rule) {
	x.all = append(x.all, rule)
	if x.events == nil {
		x.events = map[graph.Event][]*Rule{}
	}
	for _, e := range rule.Events {
		if e != graph.Modified || len(rule.Paths) == 0 {
			x.events[e] = append(x.events[e], rule)
			continue
		}
		for _, p := range rule.Paths {
			x.at(p).add(rule)
		}
	}
}

// at gives the place of a pointer, made where it is new.
func (x *ruleIndex) at(p patch.Pointer) *pathNode {
	if x.paths == nil {
		x.paths = &pathNode{}
	}
	n := x.paths
	for _, name := range p {
		next := n.below[name]
		if next == nil {
			next = &pathNode{}
			if n.below == nil {
				n.below = map[string]*pathNode{}
			}
			n.below[name] = next
		}
		n = next
	}
	return n
}

func (n *pathNode) add(rule *Rule) {
	if !slices.Contains(n.rules, rule) {
		n.rules = append(n.rules, rule)
	}
}

// concerned gives the rules that a change may concern, by name. Their conditions
// and the ends of edges are the caller's affair. The list is not the caller's to
// change.
func (x *ruleIndex) concerned(ch *graph.Change) []*Rule {
	if x == nil {
		return nil
	}
	plain := x.events[ch.Event]
	if ch.Event != graph.Modified || x.paths == nil {
		return plain
	}
	touched := touchedPaths{change: ch}
	var more []*Rule
	for _, p := range touched.list() {
		more = x.paths.touched(p, &touched, more)
	}
	if len(more) == 0 {
		return plain
	}
	more = append(more, plain...)
	slices.SortFunc(more, func(a, b *Rule) int { return strings.Compare(a.Name, b.Name) })
	return slices.Compact(more)
}

// touched appends the rules that a write at a pointer concerns. A write at a
// place or below it changes its value; one above it (the body replaced whole)
// does where the values before and after differ, and so does one that may shift
// the elements of a list.
func (n *pathNode) touched(by touch, t *touchedPaths, out []*Rule) []*Rule {
	for i, name := range by.at {
		if by.shifts && i == len(by.at)-1 && isIndex(name) {
			out = n.shifted(by.at, t, out)
		}
		if n = n.below[name]; n == nil {
			return out
		}
		out = append(out, n.rules...)
	}
	return n.differing(by.at, t, out)
}

// differing appends the rules below a place whose values differ.
func (n *pathNode) differing(at patch.Pointer, t *touchedPaths, out []*Rule) []*Rule {
	for name, next := range n.below {
		p := append(slices.Clip(at), name)
		if len(next.rules) > 0 && t.differs(p) {
			out = append(out, next.rules...)
		}
		out = next.differing(p, t, out)
	}
	return out
}

// shifted appends the rules on and below the elements of a list, one of which was
// put in or taken out, whose values differ. Of the element itself the caller knows.
func (n *pathNode) shifted(at patch.Pointer, t *touchedPaths, out []*Rule) []*Rule {
	list, mine := at[:len(at)-1], at[len(at)-1]
	for name, next := range n.below {
		if name == mine || !isIndex(name) {
			continue
		}
		p := append(slices.Clip(list), name)
		if len(next.rules) > 0 && t.differs(p) {
			out = append(out, next.rules...)
		}
		out = next.differing(p, t, out)
	}
	return out
}

// isIndex reports whether a name of a pointer may stand for an element of a list.
func isIndex(name string) bool {
	return name == "-" || name != "" && strings.Trim(name, "0123456789") == ""
}
