// Package testserver wires a whole server in memory for tests: the real
// pipeline, replica and routes over graph/memstore.
//
//	s := testserver.New(t, testserver.Options{Schema: schema})
//	s.As("ann").Patch("/v1/graphs/main", `[…]`).Want(200)
//
// Everything ends with the test.
package testserver

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/patch/pipeline"
	"github.com/graphtide/graphtide/schema"
	"github.com/graphtide/graphtide/server"
	"github.com/graphtide/graphtide/server/auth"
)

// Secret signs the tokens of the server.
var Secret = []byte("the secret of the test servers, long enough")

// Options are what a test wants otherwise than by default.
type Options struct {
	Schema string // put before the test begins; "" is the built-in types alone
	Store  graph.Store
	Server server.Config
	Auth   auth.Config
	// Deps, if set, changes the wiring before the server is made.
	Deps func(*server.Deps)
}

// Server is a running server with everything behind it.
type Server struct {
	URL      string
	Store    graph.Store
	Live     *schema.Live
	Replicas *replica.Set
	Pipeline *pipeline.Pipeline
	HTTP     *server.Server

	t   testing.TB
	log logBuffer
}

// New makes a server that ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{t: t, Store: o.Store}
	if s.Store == nil {
		s.Store = memstore.New()
	}
	log := slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.Live = schema.NewLive(s.Store)
	s.Replicas = replica.New(replica.Config{Store: s.Store, Poll: 20 * time.Millisecond, Log: log})
	if err := s.Replicas.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Pipeline = pipeline.New(pipeline.Config{Store: s.Store, Replicas: s.Replicas, Live: s.Live, Limits: o.Server.Limits, Log: log})
	if o.Schema != "" {
		if _, err := s.Pipeline.PutSchema(t.Context(), &graph.Principal{User: "setup", Admin: true, Graphs: []string{"*"}}, "test.yaml", []byte(o.Schema), false); err != nil {
			t.Fatalf("put the schema: %v", detail(err))
		}
	}
	if o.Auth.Secret == nil {
		o.Auth.Secret = Secret
	}
	a, err := auth.New(o.Auth)
	if err != nil {
		t.Fatal(err)
	}
	deps := server.Deps{Submitter: s.Pipeline, Schemas: s.Pipeline, Live: s.Live, Replicas: s.Replicas, Store: s.Store, Auth: a, Log: log}
	if o.Deps != nil {
		o.Deps(&deps)
	}
	if s.HTTP, err = server.New(o.Server, deps); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.HTTP.Handler())
	s.URL = web.URL
	t.Cleanup(func() {
		s.HTTP.StopAccepting()
		web.Close()
		s.Pipeline.Stop()
		if err := s.Replicas.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Logged gives what the server has logged so far.
func (s *Server) Logged() string {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.text.String()
}

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func detail(err error) string {
	b, _ := json.MarshalIndent(graph.AsError(err), "", "  ")
	return string(b)
}

// Client sends requests as one user.
type Client struct {
	s      *Server
	header http.Header
}

// As gives a client with a token for the user, who opens the graph main.
func (s *Server) As(user string) *Client { return s.With(auth.Claims{User: user}) }

// Admin gives a client that may do everything.
func (s *Server) Admin() *Client {
	return s.With(auth.Claims{User: "root", Graphs: []string{"*"}, Admin: true})
}

// With gives a client with these claims.
func (s *Server) With(c auth.Claims) *Client {
	s.t.Helper()
	tok, err := auth.Mint(Secret, c, time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	return &Client{s: s, header: http.Header{"Authorization": {"Bearer " + tok}}}
}

// Nobody gives a client without a token.
func (s *Server) Nobody() *Client { return &Client{s: s, header: http.Header{}} }

// Header gives a client that sends a header more, as "Name: value".
func (c *Client) Header(lines ...string) *Client {
	h := c.header.Clone()
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h.Add(name, value)
	}
	return &Client{s: c.s, header: h}
}

// Get, Post, Put, Patch and Delete send a request. Post sends JSON, Put a
// schema as YAML where it is one, Patch a JSON Patch, unless a Content-Type was
// set before.
func (c *Client) Get(path string) *Answer { return c.Do(http.MethodGet, path, "", "") }

// Post sends JSON.
func (c *Client) Post(path, body string) *Answer {
	return c.Do(http.MethodPost, path, "application/json", body)
}

// Put sends YAML.
func (c *Client) Put(path, body string) *Answer {
	return c.Do(http.MethodPut, path, "application/yaml", body)
}

// Patch sends a JSON Patch.
func (c *Client) Patch(path, body string) *Answer {
	return c.Do(http.MethodPatch, path, "application/json-patch+json", body)
}

// Delete sends no body.
func (c *Client) Delete(path string) *Answer { return c.Do(http.MethodDelete, path, "", "") }

// Do sends any request; kind is its Content-Type unless the client has one.
func (c *Client) Do(method, path, kind, body string) *Answer {
	c.s.t.Helper()
	r, err := http.NewRequestWithContext(c.s.t.Context(), method, c.s.URL+path, strings.NewReader(body))
	if err != nil {
		c.s.t.Fatal(err)
	}
	r.Header = c.header.Clone()
	if kind != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", kind)
	}
	return c.Send(r)
}

// Send sends a request as it is.
func (c *Client) Send(r *http.Request) *Answer {
	c.s.t.Helper()
	resp, err := (&http.Transport{DisableKeepAlives: true, DisableCompression: true}).RoundTrip(r) // no redirects
	if err != nil {
		c.s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.s.t.Fatal(err)
	}
	return &Answer{t: c.s.t, what: r.Method + " " + r.URL.Path, Status: resp.StatusCode, Header: resp.Header, Body: body}
}

// Answer is what came back.
type Answer struct {
	t      testing.TB
	what   string
	Status int
	Header http.Header
	Body   []byte
}

// Want fails the test where the status is another.
func (a *Answer) Want(status int) *Answer {
	a.t.Helper()
	if a.Status != status {
		a.t.Fatalf("%s: status %d, want %d: %s", a.what, a.Status, status, a.Body)
	}
	return a
}

// WantCode fails the test where the answer is not this problem.
func (a *Answer) WantCode(code graph.Code) *Answer {
	a.t.Helper()
	var p struct {
		Type   string     `json:"type"`
		Code   graph.Code `json:"code"`
		Title  string     `json:"title"`
		Status int        `json:"status"`
		Detail string     `json:"detail"`
	}
	err := json.Unmarshal(a.Body, &p)
	if err != nil || p.Code != code || a.Status != code.Status() || p.Status != a.Status || p.Title == "" ||
		p.Type != "urn:graphtide:problem:"+string(code) || a.Header.Get("Content-Type") != "application/problem+json" {
		a.t.Fatalf("%s: status %d, %s, want the problem %s: %s", a.what, a.Status, a.Header.Get("Content-Type"), code, a.Body)
	}
	return a
}

// JSON decodes the body.
func (a *Answer) JSON(into any) *Answer {
	a.t.Helper()
	if err := json.Unmarshal(a.Body, into); err != nil {
		a.t.Fatalf("%s: %v in %s", a.what, err, a.Body)
	}
	return a
}

// Map decodes the body as an object.
func (a *Answer) Map() map[string]any {
	a.t.Helper()
	var m map[string]any
	a.JSON(&m)
	return m
}

// Version gives the version that a transaction was answered with.
func (a *Answer) Version() graph.Version {
	a.t.Helper()
	var r graph.Receipt
	a.Want(http.StatusOK).JSON(&r)
	return r.Version
}

// Token gives the client's Authorization header.
func (c *Client) Token() string { return c.header.Get("Authorization") }

// Headers gives a copy of what the client sends, for requests made by hand.
func (c *Client) Headers() http.Header { return c.header.Clone() }
