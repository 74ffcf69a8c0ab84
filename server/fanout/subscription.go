package fanout

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
)

// subscription is one session's interest in a projection.
type subscription struct {
	session *session
	name    string // the client's
	*query         // the view's own, once there is one
	held    *claim // of the request, until there is a view; nil: the client holds nothing
	// principal is whom the view is for. The relay's goroutine owns the pointer;
	// what it points to never changes.
	principal *graph.Principal
	// view and cursor change with relay.feedMu and session.mu held; the relay's
	// goroutine, which alone sets view, may read view without.
	view   *view         // nil until attached
	cursor graph.Version // everything up to it has been taken out of the feed
	// served: what was asked for is there, or will not come. session.mu guards it.
	served bool
	// replaces: the client ended another one by giving its name to this one, and
	// may yet receive something of that.
	replaces bool
}

// claim is what a client says that it holds already.
type claim struct {
	since graph.Version
	epoch string
	key   string
	tried uint8 // ways to find it again; the relay's goroutine owns it
}

// query is a projection that views are of.
type query struct {
	text string // canonical: the views of one text differ in rights
	proj *graph.Projection
}

func newQuery(proj *graph.Projection) *query { return &query{string(proj.AppendJSON(nil)), proj} }

// key names what a view depends on beside the graph: a client that comes back
// with another key holds something that cannot be built on. It is the same on
// every node, and after a restart. Of the schema, only which types are below
// that of the roots matters.
func (q *query) key(types replica.Types, p *graph.Principal) string {
	text := make([]byte, 0, len(q.text)+64)
	text = graph.AppendString(text, q.text)
	if q.proj.Type != nil {
		for _, name := range types.Subtypes(q.proj.Type.Type) {
			text = graph.AppendString(text, name)
		}
	}
	text = strconv.AppendBool(text, p.Admin)
	if !p.Admin {
		for _, n := range access.PrincipalNames(p) {
			text = append(text, '0'+byte(n.Kind))
			text = graph.AppendString(text, n.ID)
		}
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
