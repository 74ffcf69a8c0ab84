package server

import (
	"net/http"
	"regexp"

	"github.com/go-chi/chi/v5"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/server/auth"
)

// call is one request, as far as it is known who asks about which graph.
type call struct {
	id    *auth.Identity
	p     *graph.Principal // of id
	graph string
	rep   *replica.Replica // nil on routes without a graph
}

// handler answers a request or gives the refusal.
type handler func(w http.ResponseWriter, r *http.Request, c *call) error

// plain answers without asking who it is.
func (s *Server) plain(h func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.problem(w, r, err)
		}
	}
}

// asUser finds out who asks. The graph, if the route names one, is not opened.
func (s *Server) asUser(h handler) http.HandlerFunc {
	return s.plain(func(w http.ResponseWriter, r *http.Request) error {
		c, err := s.who(r)
		if err != nil {
			return err
		}
		return h(w, r, c)
	})
}

// inGraph finds out who asks, and opens the route's graph for him: a graph that
// is absent, and one that his token does not open, are not-found alike, before
// anything else of the request is looked at.
func (s *Server) inGraph(h handler) http.HandlerFunc {
	return s.asUser(func(w http.ResponseWriter, r *http.Request, c *call) error {
		if !c.opens() {
			return graph.NotFound("graph")
		}
		r = r.WithContext(replica.OneRequest(r.Context()))
		rep, err := s.Replicas.Open(r.Context(), c.graph)
		if err != nil {
			if graph.CodeOf(err) == graph.CodeNotFound {
				return graph.NotFound("graph")
			}
			return err
		}
		c.rep = rep
		if err := s.minVersion(r, c); err != nil {
			return err
		}
		return h(w, r, c)
	})
}

func (s *Server) who(r *http.Request) (*call, error) {
	c := &call{graph: chi.URLParam(r, "graph")}
	id, err := s.Auth.FromRequest(r, c.graph)
	if err != nil {
		return nil, err
	}
	c.id, c.p = id, &id.Principal
	return c, s.limiter.take(c.p, r)
}

// opens reports whether the route's graph is one that the caller may know of.
func (c *call) opens() bool { return validGraphName(c.graph) && access.OpensGraph(c.p, c.graph) }

// governs reports whether the caller may change the schema, and make and delete
// graphs: an admin of all graphs.
func (c *call) governs() bool {
	if !c.p.Admin {
		return false
	}
	for _, g := range c.p.Graphs {
		if g == "*" {
			return true
		}
	}
	return false
}

var graphName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func validGraphName(s string) bool { return graphName.MatchString(s) }

// needAdmin refuses who is no admin, of whatever graphs.
func (c *call) needAdmin() error {
	if c.p.Admin {
		return nil
	}
	e := graph.Errf(graph.CodeForbidden, "this needs a token with admin")
	e.Right = "admin"
	return e
}

// needGovern refuses who may not govern.
func (c *call) needGovern() error {
	if c.governs() {
		return nil
	}
	e := graph.Errf(graph.CodeForbidden, `this needs a token with admin and graphs ["*"]`)
	e.Right = "admin"
	return e
}
