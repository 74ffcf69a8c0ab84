package access

import (
	"encoding/json"

	"github.com/graphtide/graphtide/graph"
)

// The rights that every type has.
const (
	Read   = "read"
	Write  = "write"
	Manage = "manage"
)

// Parse reads an access document, strictly: right → {users, teams, orgs:
// {"<id>": true}, public: bool, inherit: {"<label>": true}}. Equal texts give
// one shared ACL. Violations are relative to the access.
func Parse(raw json.RawMessage) (*graph.ACL, []graph.Violation) { panic("skeleton") }

// Direct judges one question from scratch: does p hold right on the object?
// False where the object does not exist, and where read is missing.
func Direct(r graph.Reader, p *graph.Principal, id graph.ObjectID, right string) bool {
	panic("skeleton")
}

// OpensGraph reports whether the principal's graphs claim opens the graph.
func OpensGraph(p *graph.Principal, name string) bool { panic("skeleton") }

// Walker answers many questions of one principal over one state, and remembers.
type Walker struct{}

// NewWalker makes a Walker. touched, if not nil, is called with every object
// whose access or edges were consulted.
func NewWalker(r graph.Reader, p *graph.Principal, touched func(graph.ObjectID)) *Walker {
	panic("skeleton")
}

// Holds is Direct, remembered.
func (w *Walker) Holds(id graph.ObjectID, right string) bool { panic("skeleton") }

// Rights gives the rights held out of those asked, in order.
func (w *Walker) Rights(id graph.ObjectID, among []string) []string { panic("skeleton") }
