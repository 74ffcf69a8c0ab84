package pgstore

import (
	"encoding/json"
	"fmt"

	"github.com/graphtide/graphtide/graph"
)

// principals is a commit's author beside the user, as commits.principals holds
// it.
type principals struct {
	Teams     []string `json:"teams,omitzero"`
	Org       string   `json:"org,omitzero"`
	Graphs    []string `json:"graphs,omitzero"`
	Admin     bool     `json:"admin,omitzero"`
	Anonymous bool     `json:"anonymous,omitzero"`
}

// appendPrincipals writes what json.Marshal would; by hand, as every commit has
// one.
func appendPrincipals(dst []byte, p *graph.Principal) []byte {
	dst = append(dst, '{')
	key := func(name string) {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, name...)
		dst = append(dst, '"', ':')
	}
	list := func(name string, values []string) {
		if values == nil { // an empty list of graphs opens none, no list opens main
			return
		}
		key(name)
		dst = append(dst, '[')
		for i, v := range values {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = graph.AppendString(dst, v)
		}
		dst = append(dst, ']')
	}
	list("teams", p.Teams)
	if p.Org != "" {
		key("org")
		dst = graph.AppendString(dst, p.Org)
	}
	list("graphs", p.Graphs)
	if p.Admin {
		key("admin")
		dst = append(dst, "true"...)
	}
	if p.Anonymous {
		key("anonymous")
		dst = append(dst, "true"...)
	}
	return append(dst, '}')
}

func parsePrincipals(user string, text []byte) (graph.Principal, error) {
	var p principals
	if err := json.Unmarshal(text, &p); err != nil {
		return graph.Principal{}, fmt.Errorf("read a commit's principals: %w", err)
	}
	return graph.Principal{User: user, Teams: p.Teams, Org: p.Org, Graphs: p.Graphs, Admin: p.Admin, Anonymous: p.Anonymous}, nil
}
