package access

import "github.com/graphtide/graphtide/graph"

// The rights that every type has.
const (
	Read   = "read"
	Write  = "write"
	Manage = "manage"
)

// MaxInherit is how many edges a chain of inherit entries may have.
const MaxInherit = 16

// OpensGraph reports whether the principal's graphs claim opens the graph: a
// name, or a prefix with a trailing *; without the claim, main alone. It holds
// for admins as well.
func OpensGraph(p *graph.Principal, name string) bool {
	if p.Graphs == nil {
		return name == graph.MainGraph
	}
	for _, g := range p.Graphs {
		if g == name {
			return true
		}
		if n := len(g) - 1; n >= 0 && g[n] == '*' && len(name) >= n && name[:n] == g[:n] {
			return true
		}
	}
	return false
}
