package fanout

import "github.com/graphtide/graphtide/graph"

// subscription is one session's interest in a projection.
type subscription struct {
	session   *session
	name      string // the client's
	canonical string // names the projection
	proj      *graph.Projection
	held      *claim // of the request, until there is a view; nil: the client holds nothing
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
