package schema

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// Match is a rule that a change concerns. Err is set where its condition could
// not be evaluated; such a rule does not match, and the trace says so.
type Match struct {
	Rule *Rule
	Err  error
}

// Match gives the rules that a change of a commit fires, and those whose
// condition failed, by name. typeOf gives the type of an object that exists
// before or after the commit ("" for none), for the ends of edges. Rules of
// other types, events and paths cost nothing.
func (r *Registry) Match(c *graph.Commit, ch *graph.Change, typeOf func(graph.ObjectID) string) []Match {
	rules := r.rulesFor(ch).concerned(ch)
	if len(rules) == 0 {
		return nil
	}
	var matches []Match
	ends := edgeEnds{change: ch, typeOf: typeOf}
	input := conditionInput{commit: c, change: ch}
	for _, rule := range rules {
		if rule.Edge != "" && !r.endsMatch(rule, &ends) {
			continue
		}
		ok, err := rule.holds(&input)
		switch {
		case err != nil:
			matches = append(matches, Match{rule, fmt.Errorf("rule %s: evaluate when: %w", rule.Name, err)})
		case ok:
			matches = append(matches, Match{Rule: rule})
		}
	}
	return matches
}

// rulesFor gives the rules on the type, or the label, of what was changed; nil
// for none.
func (r *Registry) rulesFor(ch *graph.Change) *ruleIndex {
	switch {
	case ch.ObjAfter != nil:
		return r.objectRules[ch.ObjAfter.Type]
	case ch.ObjBefore != nil:
		return r.objectRules[ch.ObjBefore.Type]
	case ch.EdgeAfter != nil:
		return r.edgeRules[ch.EdgeAfter.Label]
	case ch.EdgeBefore != nil:
		return r.edgeRules[ch.EdgeBefore.Label]
	}
	return nil
}

// edgeEnds are the types of a changed edge's ends, looked up once.
type edgeEnds struct {
	change   *graph.Change
	typeOf   func(graph.ObjectID) string
	read     bool
	from, to string
}

// AsksForEnds reports whether Match or Explain may ask for the types of a change's
// ends.
func (r *Registry) AsksForEnds(ch *graph.Change) bool {
	if ch.EdgeBefore == nil && ch.EdgeAfter == nil {
		return false
	}
	x := r.rulesFor(ch)
	return x != nil && slices.ContainsFunc(x.all, func(rule *Rule) bool {
		return rule.events[ch.Event] && (rule.From != "" || rule.To != "")
	})
}

func (r *Registry) endsMatch(rule *Rule, ends *edgeEnds) bool {
	if rule.From == "" && rule.To == "" {
		return true
	}
	if !ends.read {
		e := ends.change.EdgeAfter
		if e == nil {
			e = ends.change.EdgeBefore
		}
		ends.from, ends.to, ends.read = ends.typeOf(e.From), ends.typeOf(e.To), true
	}
	return (rule.From == "" || r.IsA(ends.from, rule.From)) && (rule.To == "" || r.IsA(ends.to, rule.To))
}

// touchedPaths are the pointers that the change's patch writes, read once.
type touchedPaths struct {
	change *graph.Change
	read   bool
	paths  []touch
}

// touch is a place that the patch writes. Where shifts is set and the place is an
// element of a list, what comes after it has another index than before.
type touch struct {
	at     patch.Pointer
	shifts bool
}

// list gives them.
func (t *touchedPaths) list() []touch {
	if !t.read {
		t.read = true
		t.parse()
	}
	return t.paths
}

func (t *touchedPaths) parse() {
	var ops []struct {
		Op   string
		Path string
		From string
	}
	if err := json.Unmarshal(t.change.Patch, &ops); err != nil {
		t.paths = []touch{{}} // unknown: compare the states
		return
	}
	for _, op := range ops {
		if p, ok := patch.ParsePointer(op.Path); ok && op.Op != "test" {
			t.paths = append(t.paths, touch{p, op.Op != "replace"})
		}
		if p, ok := patch.ParsePointer(op.From); ok && op.Op == "move" {
			t.paths = append(t.paths, touch{p, true})
		}
	}
}

// differs compares the values at a pointer before and after the change. Where
// one of the states is not at hand, they count as different.
func (t *touchedPaths) differs(p patch.Pointer) bool {
	before, ok1 := t.part(p[0], t.change.ObjBefore, t.change.EdgeBefore)
	after, ok2 := t.part(p[0], t.change.ObjAfter, t.change.EdgeAfter)
	if !ok1 || !ok2 {
		return true
	}
	a, has1 := patch.Get(before, p[1:])
	b, has2 := patch.Get(after, p[1:])
	return has1 != has2 || has1 && !patch.Equal(a, b)
}

func (t *touchedPaths) part(name string, o *graph.Object, e *graph.Edge) (json.RawMessage, bool) {
	switch {
	case o != nil && name == "body":
		return o.Body, true
	case o != nil && name == "access" && o.Access != nil:
		return o.Access.Raw, true
	case e != nil && name == "body":
		return e.Body, true
	}
	return nil, false
}
