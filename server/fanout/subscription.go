package fanout

import "github.com/graphtide/graphtide/graph"

// subscription is one session's interest in a projection.
type subscription struct {
	session   *session
	name      string // the client's
	canonical string // names the projection
	proj      *graph.Projection
	since     *graph.Version // of the request: what the client holds
	epoch     string
	key       string
	// replaces: the client ended another one by giving its name to this one, and
	// may yet receive something of that.
	replaces bool

	// principal is whom the view is for. The relay's goroutine owns it.
	principal graph.Principal
	tried     uint8 // ways to find again what the client holds; the relay's as well
	// view and cursor change with relay.feedMu and session.mu held; the relay's
	// goroutine, which alone sets view, may read view without.
	view   *view         // nil until attached
	cursor graph.Version // everything up to it has been taken out of the feed
	// served: what was asked for is there, or will not come. session.mu guards it.
	served bool
}
