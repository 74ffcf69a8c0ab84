package fanout

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// The request that became a session ends while the session goes on: what it
// holds of memory is not the session's.
func TestARequestEndsWhereItsSessionBegins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ended := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		defer close(ended)
		w.handler().ServeHTTP(rw, r)
	}))
	t.Cleanup(func() {
		w.hub.Stop()
		srv.Close()
	})
	p := dial(t, srv.URL, dialing{})
	p.greet(ann, sessionA)
	select {
	case <-ended:
	case <-soon(t).Done():
		t.Fatal("the request lives as long as its session")
	}
	p.send(`{"t":"ping"}`)
	p.await("at")
}
