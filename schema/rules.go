package schema

import (
	"encoding/json"
	"slices"
	"sort"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

var ruleKeys = []string{"on", "when", "handler", "writes", "timeout", "retries", "as", "description"}

var events = map[string]graph.Event{"create": graph.Created, "modify": graph.Modified, "delete": graph.Deleted}

// rules compiles `rules`.
func (c *compiler) rules(v cursor) {
	at := map[string]cursor{}
	for _, r := range v.fields() {
		name := r.name()
		r = r.named("rule " + name)
		at[name] = r
		if err := checkName(name); err != nil {
			r.fault("%v", err)
			continue
		}
		if !r.isMap() {
			continue
		}
		r.only(ruleKeys...)
		rule := &Rule{Name: name}
		c.on(rule, r)
		if w, ok := r.field("when"); ok {
			if src, ok := w.text(); ok {
				rule.WhenSrc = src
				program, err := compileCondition(src)
				if err != nil {
					w.fault("the condition is not valid CEL: %v", err)
				}
				rule.When = program
			}
		}
		rule.Handler = c.handler(r)
		if rule.Writes, rule.WritesDeclared = c.writes(r); rule.WritesDeclared {
			rule.WritesKnown = true
		} else {
			rule.Writes, rule.WritesKnown = c.readWrites(rule.Handler, rule)
		}
		rule.Timeout, rule.Retries, rule.AsUser = c.run(r, DefaultRuleTimeout)
		c.reg.Rules = append(c.reg.Rules, rule)
	}
	sort.Slice(c.reg.Rules, func(i, j int) bool { return c.reg.Rules[i].Name < c.reg.Rules[j].Name })
	c.warnOfCycles = func() { c.cycles(at) }
}

// on compiles what a rule listens to.
func (c *compiler) on(rule *Rule, r cursor) {
	on, ok := r.field("on")
	if !ok {
		r.fault("`on` is missing: {object: <type>} or {edge: <label>}")
		return
	}
	if !on.isMap() {
		return
	}
	object, isObject := on.field("object")
	edge, isEdge := on.field("edge")
	switch {
	case isObject == isEdge:
		on.fault("a rule is on an object or on an edge: say one of `object` and `edge`")
	case isObject:
		on.only("object", "events", "paths")
		rule.Object, _ = c.knownType(object)
	default:
		on.only("edge", "from", "to", "events", "paths")
		if label, ok := edge.text(); ok {
			if rule.Edge = label; !c.labels[label] {
				edge.fault("no type declares an edge %s%s", quoteShort(label), didYouMean(label, sortedKeys(c.labels)))
			}
		}
		if v, ok := on.field("from"); ok {
			rule.From, _ = c.knownType(v)
		}
		if v, ok := on.field("to"); ok {
			rule.To, _ = c.knownType(v)
		}
	}
	rule.Events = []graph.Event{graph.Created, graph.Modified, graph.Deleted}
	if v, ok := on.field("events"); ok {
		rule.Events = nil
		if v.n.kind == listKind && len(v.n.items) == 0 {
			v.fault("must not be empty: the rule would never fire")
		}
		for _, item := range v.items() {
			e := events[item.oneOf("create", "modify", "delete")]
			if e != 0 && !slices.Contains(rule.Events, e) {
				rule.Events = append(rule.Events, e)
			}
		}
	}
	for _, e := range rule.Events {
		rule.events[e] = true
	}
	if v, ok := on.field("paths"); ok {
		c.paths(rule, v)
	}
}

// paths compiles the pointers that narrow `modify`.
func (c *compiler) paths(rule *Rule, v cursor) {
	if !rule.events[graph.Modified] {
		v.fault("paths narrow the event `modify`, which this rule does not listen to")
	}
	for _, item := range v.items() {
		s, ok := item.text()
		if !ok {
			continue
		}
		p, ok := patch.ParsePointer(s)
		switch {
		case !ok:
			item.fault("%s is not a JSON Pointer", quoteShort(s))
		case len(p) == 0 || p[0] != "body" && (p[0] != "access" || rule.Edge != ""):
			item.fault("paths are relative to the entity: they begin with /body%s", map[bool]string{true: " or /access"}[rule.Edge == ""])
		default:
			rule.Paths = append(rule.Paths, p)
			c.pathLeadsSomewhere(rule, p, item)
		}
	}
}

// pathLeadsSomewhere refuses a property that no type concerned can have.
func (c *compiler) pathLeadsSomewhere(rule *Rule, p patch.Pointer, at cursor) {
	if rule.Object == "" || len(p) < 2 || p[0] != "body" {
		return
	}
	root := c.reg.Types[rule.Object]
	if root == nil {
		return
	}
	for _, name := range root.subtypes {
		t := c.reg.Types[name]
		if t.Open || len(t.shape.patterns) > 0 || t.source.props[p[1]] != nil {
			return
		}
	}
	at.fault("%s has no property %s%s", rule.Object, quoteShort(p[1]), didYouMean(p[1], root.source.order))
}

// index sorts the rules by what they listen to.
func (r *Registry) index() {
	r.objectRules, r.edgeRules = map[string]*ruleIndex{}, map[string]*ruleIndex{}
	add := func(to map[string]*ruleIndex, name string, rule *Rule) {
		if to[name] == nil {
			to[name] = &ruleIndex{}
		}
		to[name].add(rule)
	}
	for _, rule := range r.Rules {
		if rule.Edge != "" {
			add(r.edgeRules, rule.Edge, rule)
			continue
		}
		for _, name := range r.Subtypes(rule.Object) {
			add(r.objectRules, name, rule)
		}
	}
}

var operationKeys = []string{"params", "required", "target", "needs", "handler", "writes", "timeout", "retries", "as", "description"}

// operations compiles `operations`.
func (c *compiler) operations(v cursor) {
	for _, o := range v.fields() {
		name := o.name()
		o = o.named("operation " + name)
		if err := checkName(name); err != nil {
			o.fault("%v", err)
			continue
		}
		if !o.isMap() {
			continue
		}
		o.only(operationKeys...)
		op := &Operation{Name: name, Params: json.RawMessage(`{}`)}
		params := cursor{f: o.f, n: &node{kind: mapKind}}
		if p, ok := o.field("params"); ok {
			params = p
			op.Params = p.n.appendJSON(nil)
		}
		op.shape = c.params(params, requiredOf(o))
		if t, ok := o.field("target"); ok {
			op.Target, _ = c.knownType(t)
			op.Needs = "write"
		}
		if n, ok := o.field("needs"); ok {
			right, isText := n.text()
			switch t := c.reg.Types[op.Target]; {
			case !isText:
			case op.Target == "":
				n.fault("without `target` there is nothing to have a right on")
			case t != nil && !slices.Contains(t.Rights, right):
				n.fault("%s has no right %s%s; it has %v", t.Name, quoteShort(right), didYouMean(right, t.Rights), t.Rights)
			default:
				op.Needs = right
			}
		}
		op.Handler = c.handler(o)
		if op.Writes, op.WritesDeclared = c.writes(o); op.WritesDeclared {
			op.WritesKnown = true
		} else {
			op.Writes, op.WritesKnown = c.readWrites(op.Handler, nil)
		}
		op.Timeout, op.Retries, op.AsUser = c.run(o, DefaultOperationTimeout)
		c.reg.Operations[name] = op
	}
}

// CheckParams judges the params of an operation; nothing counts as {}. Paths
// are relative to the params.
func (o *Operation) CheckParams(params json.RawMessage) []graph.Violation {
	return checkArgs(o.shape, params)
}

// FillParams gives the params with the defaults of absent ones.
func (o *Operation) FillParams(params json.RawMessage) json.RawMessage {
	if len(params) == 0 {
		params = json.RawMessage(`{}`)
	}
	filled, _ := o.shape.fill.fill(params, nil, nil)
	return filled
}

// checkArgs judges arguments with their defaults filled in.
func checkArgs(s *shape, args json.RawMessage) []graph.Violation {
	if len(args) == 0 {
		args = json.RawMessage(`{}`)
	}
	filled, _ := s.fill.fill(args, nil, nil)
	return s.validate(filled, nil)
}
