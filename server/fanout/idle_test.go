package fanout

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

// idlers makes n sessions that have subscribed to a view that others have, and have been
// sent all there is: as ServeSync does it, but for the sockets and the goroutines. leave
// lets them go.
func (w *world) idlers(n int) (list []*session, leave func()) {
	w.t.Helper()
	for i := range n {
		conn := &connection{socket: &silent{}, address: addressOf(&http.Request{RemoteAddr: fmt.Sprintf("192.0.2.1:%d", i)})}
		if err := w.hub.enter(conn); err != nil {
			w.t.Fatal(err)
		}
		hello, err := protocol.Decode([]byte(fmt.Sprintf(`{"t":"hello","token":"bob's","session":"%s"}`, oid(i))))
		if err != nil {
			w.t.Fatal(err)
		}
		s, err := w.hub.begin(context.Background(), conn, hello.(*protocol.Hello), graph.MainGraph)
		if err != nil {
			w.t.Fatal(err)
		}
		s.line([]byte(`{"t":"sub","sub":"s1","projection":` + childrenOf1 + `}`))
		list = append(list, s)
	}
	for _, s := range list {
		s.relay.settle()
		for s.collect().more {
		}
	}
	return list, func() {
		for _, s := range list {
			s.abandon()
			s.relay.leave(s)
			w.hub.release(s)
			w.hub.exit(s.conn)
		}
	}
}

// A node has thousands of sessions that only listen. The websocket library's part of
// them is not counted. It does not run beside other tests, whose memory would be.
func TestAnIdleSessionMoreOfAViewTakesAKilobyte(t *testing.T) {
	// What comes of a token belongs to the session, how it is read does not.
	w := newWorld(t, func(c *Config) {
		c.Authenticate = func(context.Context, string, string) (graph.Principal, time.Time, error) {
			p := bob
			p.User = strings.Clone(p.User)
			return p, time.Now().Add(time.Hour), nil
		}
	})
	w.crowd(100)
	first := w.connect(bob)
	first.sub("s1", childrenOf1)
	if err := first.drain(); err != nil {
		t.Fatal(err)
	}
	// So many that the maps are as full as they are on average: they double.
	const many = 2500
	before := heap()
	list, leave := w.idlers(many)
	defer leave()
	each := (heap() - before) / many
	t.Logf("%d bytes", each)
	if each > 1024 {
		t.Errorf("%d bytes for each of %d more", each, many)
	}
	runtime.KeepAlive(list)
}
