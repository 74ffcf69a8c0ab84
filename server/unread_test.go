package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// deadlines notes the read deadline that a handler sets on its connection.
type deadlines struct {
	*httptest.ResponseRecorder
	read time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error { d.read = t; return nil }

// The web server reads what a handler has left of a small body before it
// answers, and sets no bound of its own to how long that takes.
func TestABodyThatNobodyReadsHoldsNoConnection(t *testing.T) {
	t.Parallel()
	h := newServer(t).HTTP.Handler()
	for _, c := range []struct{ method, path string }{
		{http.MethodPatch, main}, // no token: 401
		{http.MethodGet, "/healthz"},
		{http.MethodPost, "/healthz"}, // 405
		{http.MethodPut, "/nowhere"},  // 404
		{http.MethodOptions, main},
	} {
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, strings.NewReader("[")))
		if left := time.Until(w.read); left <= 0 || left > time.Minute {
			t.Errorf("%s %s: its body may come until %v", c.method, c.path, w.read)
		}
		bare := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(bare, httptest.NewRequest(c.method, c.path, nil))
		if !bare.read.IsZero() {
			t.Errorf("%s %s: a deadline for no body: %v", c.method, c.path, bare.read)
		}
	}
}

// Many clients send their whole request before they look for an answer; a
// connection that is closed under them tells them nothing.
func TestWhoSendsTooMuchHearsWhy(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const size = 16 << 20
	body := bytes.Repeat([]byte(" "), size)
	for name, framing := range map[string]string{
		"with its length": fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, body),
		"in chunks":       fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, body),
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		head := "PATCH " + main + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json-patch+json\r\n" +
			"Authorization: " + s.As("ann").Token() + "\r\n"
		if _, err := conn.Write([]byte(head + framing)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		a, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer a.Body.Close()
		if a.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %s", name, a.Status)
		}
	}
}
