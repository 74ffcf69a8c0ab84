package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/graphtide/graphtide/graph"
)

// Explain says why a rule does not fire for a change; "" where it does. It asks
// what Match asks, in the same order.
func (r *Registry) Explain(rule *Rule, c *graph.Commit, ch *graph.Change, typeOf func(graph.ObjectID) string) string {
	x := r.rulesFor(ch)
	if x == nil || !slices.Contains(x.all, rule) {
		what := "objects of type " + rule.Object
		if rule.Edge != "" {
			what = "edges " + rule.Edge
		}
		return "it is on " + what
	}
	if !rule.events[ch.Event] {
		var names []string
		for _, e := range rule.Events {
			names = append(names, e.String())
		}
		return fmt.Sprintf("it listens to %s, and this is a %s", strings.Join(names, ", "), ch.Event)
	}
	if rule.Edge != "" && !r.endsMatch(rule, &edgeEnds{change: ch, typeOf: typeOf}) {
		return "an end of the edge is of another type"
	}
	if !slices.Contains(x.concerned(ch), rule) {
		var paths []string
		for _, p := range rule.Paths {
			paths = append(paths, p.String())
		}
		return "none of its paths changed: " + strings.Join(paths, ", ")
	}
	ok, err := rule.holds(&conditionInput{commit: c, change: ch})
	switch {
	case err != nil:
		return fmt.Sprintf("its condition cannot be evaluated: %v", err)
	case !ok:
		return "its condition is false: " + rule.WhenSrc
	}
	return ""
}

// Rule gives a rule by its name, or nil.
func (r *Registry) Rule(name string) *Rule {
	i, found := slices.BinarySearchFunc(r.Rules, name, func(o *Rule, name string) int { return strings.Compare(o.Name, name) })
	if !found {
		return nil
	}
	return r.Rules[i]
}

// OnJSON gives what a rule listens to, as the schema declares it.
func (r *Registry) OnJSON(name string) json.RawMessage {
	var doc struct {
		Rules map[string]struct {
			On json.RawMessage `json:"on"`
		} `json:"rules"`
	}
	if json.Unmarshal(r.Doc, &doc) != nil || doc.Rules[name].On == nil {
		return json.RawMessage("{}")
	}
	return doc.Rules[name].On
}

// WithRule compiles the registry's document with another declaration of one
// rule.
func (r *Registry) WithRule(name string, declaration json.RawMessage) (*Registry, *graph.Error) {
	doc, rules := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if len(r.Doc) > 0 && json.Unmarshal(r.Doc, &doc) != nil || doc["rules"] != nil && json.Unmarshal(doc["rules"], &rules) != nil {
		return nil, graph.Errf(graph.CodeInvalidSchema, "the schema holds no rules")
	}
	if doc["graphtide"] == nil {
		doc["graphtide"] = json.RawMessage("1")
	}
	rules[name] = declaration
	var err error
	if doc["rules"], err = json.Marshal(rules); err != nil {
		return nil, graph.Errf(graph.CodeInvalidSchema, "the rule is not JSON")
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, graph.Errf(graph.CodeInvalidSchema, "the rule is not JSON")
	}
	return Compile("rule", text, r.Version)
}
