package pgstore

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"

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

// parsePrincipals gives an author. Authors with the same text share their lists.
func parsePrincipals(user string, text []byte) (graph.Principal, error) {
	p, known := authors.get(text)
	if !known {
		if err := json.Unmarshal(text, &p); err != nil {
			return graph.Principal{}, fmt.Errorf("read a commit's principals: %w", err)
		}
		p.Teams, p.Graphs = slices.Clip(p.Teams), slices.Clip(p.Graphs)
		authors.put(text, p)
	}
	return graph.Principal{User: user, Teams: p.Teams, Org: p.Org, Graphs: p.Graphs, Admin: p.Admin, Anonymous: p.Anonymous}, nil
}

// authors has what was parsed a while ago: commits by the thousand have the same
// few authors.
var authors = principalsCache{perGeneration: 1024, maxText: 4096}

// principalsCache has two generations. A full young one becomes the old one, and
// what was old and not asked for is forgotten.
type principalsCache struct {
	perGeneration int
	maxText       int // longer texts are not kept

	mu         sync.Mutex // guards the fields below
	young, old map[string]principals
}

func (c *principalsCache) get(text []byte) (p principals, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, known = c.young[string(text)]; known {
		return p, true
	}
	if p, known = c.old[string(text)]; known {
		c.keep(text, p)
	}
	return p, known
}

func (c *principalsCache) put(text []byte, p principals) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(text, p)
}

// keep puts an entry into the young generation. The caller holds mu.
func (c *principalsCache) keep(text []byte, p principals) {
	if len(text) > c.maxText {
		return
	}
	if c.young == nil || len(c.young) >= c.perGeneration {
		c.young, c.old = make(map[string]principals), c.young
	}
	c.young[string(text)] = p
}
