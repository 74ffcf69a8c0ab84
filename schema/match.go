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
// other types cost nothing.
func (r *Registry) Match(c *graph.Commit, ch *graph.Change, typeOf func(graph.ObjectID) string) []Match {
	rules := r.candidates(ch)
	if len(rules) == 0 {
		return nil
	}
	var matches []Match
	touched := touchedPaths{change: ch}
	input := conditionInput{commit: c, change: ch}
	for _, rule := range rules {
		if !rule.events[ch.Event] || rule.Edge != "" && !r.endsMatch(rule, ch, typeOf) {
			continue
		}
		if ch.Event == graph.Modified && len(rule.Paths) > 0 && !touched.any(rule.Paths) {
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

func (r *Registry) candidates(ch *graph.Change) []*Rule {
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

func (r *Registry) endsMatch(rule *Rule, ch *graph.Change, typeOf func(graph.ObjectID) string) bool {
	e := ch.EdgeAfter
	if e == nil {
		e = ch.EdgeBefore
	}
	return (rule.From == "" || r.IsA(typeOf(e.From), rule.From)) && (rule.To == "" || r.IsA(typeOf(e.To), rule.To))
}

// touchedPaths are the pointers that the change's patch writes, read once.
type touchedPaths struct {
	change *graph.Change
	read   bool
	paths  []patch.Pointer
}

// any reports whether the value at one of the pointers changed. An operation at
// a pointer or below it changes it; one above it (the body replaced whole) does
// where the values before and after differ.
func (t *touchedPaths) any(pointers []patch.Pointer) bool {
	if !t.read {
		t.read = true
		t.parse()
	}
	for _, p := range pointers {
		for _, at := range t.paths {
			n := min(len(at), len(p))
			if !slices.Equal(at[:n], p[:n]) {
				continue
			}
			if len(at) >= len(p) || t.differs(p) {
				return true
			}
		}
	}
	return false
}

func (t *touchedPaths) parse() {
	var ops []struct {
		Op   string
		Path string
		From string
	}
	if err := json.Unmarshal(t.change.Patch, &ops); err != nil {
		t.paths = []patch.Pointer{{}} // unknown: compare the states
		return
	}
	for _, op := range ops {
		if p, ok := patch.ParsePointer(op.Path); ok && op.Op != "test" {
			t.paths = append(t.paths, p)
		}
		if p, ok := patch.ParsePointer(op.From); ok && op.Op == "move" {
			t.paths = append(t.paths, p)
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
