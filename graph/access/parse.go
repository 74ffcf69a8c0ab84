package access

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// Parse reads an access document, strictly: right → {users, teams, orgs:
// {"<id>": true}, public: bool, inherit: {"<label>": true}}; every member may
// be left out. Equal texts give one shared ACL, most of the time. Violations
// are relative to the access; with one there is no ACL. raw is not kept.
func Parse(raw json.RawMessage) (*graph.ACL, []graph.Violation) {
	if acl := interned.get(raw); acl != nil {
		return acl, nil
	}
	if e := patch.Check(raw, patch.JSONLimits{Depth: accessDepth}); e != nil {
		return nil, []graph.Violation{{Path: e.Path, Message: e.Message}}
	}
	text := bytes.Clone(patch.Compact(raw))
	p := parser{}
	acl := &graph.ACL{Raw: text, Rights: map[string]*graph.Holders{}}
	for _, m := range p.members("", text) {
		path := "/" + escape(m.key)
		if m.key == "" {
			p.fault(path, "a right needs a name")
			continue
		}
		acl.Rights[m.key] = p.holders(path, m.value)
	}
	if len(p.faults) > 0 {
		return nil, p.faults
	}
	interned.put(acl)
	return acl, nil
}

// accessDepth is what a well-formed access needs: rights, holders, sets.
const accessDepth = 3

type parser struct{ faults []graph.Violation }

func (p *parser) fault(path, message string) {
	p.faults = append(p.faults, graph.Violation{Path: path, Message: message})
}

func (p *parser) holders(path string, raw json.RawMessage) *graph.Holders {
	h := &graph.Holders{}
	for _, m := range p.members(path, raw) {
		at := path + "/" + escape(m.key)
		switch m.key {
		case "users":
			h.Users = p.set(at, m.value)
		case "teams":
			h.Teams = p.set(at, m.value)
		case "orgs":
			h.Orgs = p.set(at, m.value)
		case "inherit":
			for label := range p.set(at, m.value) {
				h.Inherit = append(h.Inherit, label)
			}
			slices.Sort(h.Inherit)
		case "public":
			switch string(m.value) {
			case "true":
				h.Public = true
			case "false":
			default:
				p.fault(at, "public is true or false")
			}
		default:
			p.fault(at, "unknown member; a right is held by users, teams, orgs, public and inherit")
		}
	}
	return h
}

// set reads {"<id>": true, …}; nil for an empty one.
func (p *parser) set(path string, raw json.RawMessage) map[string]bool {
	var out map[string]bool
	for _, m := range p.members(path, raw) {
		at := path + "/" + escape(m.key)
		switch {
		case m.key == "":
			p.fault(at, "an id is not empty")
		case string(m.value) != "true":
			p.fault(at, "an entry is true; remove it to take the right away")
		default:
			if out == nil {
				out = map[string]bool{}
			}
			out[m.key] = true
		}
	}
	return out
}

type member struct {
	key   string
	value json.RawMessage
}

// members gives those of an object in the order of their keys, so that the same
// faults are told in the same order.
func (p *parser) members(path string, raw json.RawMessage) []member {
	if len(raw) == 0 || raw[0] != '{' {
		p.fault(path, "must be an object")
		return nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		p.fault(path, "must be an object")
		return nil
	}
	out := make([]member, 0, len(m))
	for k, v := range m {
		out = append(out, member{k, v})
	}
	slices.SortFunc(out, func(a, b member) int { return strings.Compare(a.key, b.key) })
	return out
}

func escape(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
}
