package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/graphtide/graphtide/graph"
)

// What pages of other origins may send and see.
const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Type, Accept, If-Match, If-None-Match, Idempotency-Key, Last-Event-ID, " +
		"Graphtide-Base, Graphtide-Group, Graphtide-Note, Graphtide-Min-Version"
	corsExposed = "ETag, Retry-After, Location, X-Request-Id, Graphtide-Epoch"
	corsMaxAge  = "600"
)

// cors lets pages of the allowed origins in, by exact match, without cookies.
// A request without a token that comes from another page and would change
// something is refused: where no token means rights (dev, anonymous), the
// user's browser must not lend them to a foreign page.
func (s *Server) cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if origin == "" {
			next.ServeHTTP(w, r)
			return
		}
		same, known := sameOrigin(origin, r.Host), s.OriginAllowed(origin)
		if known {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", corsExposed)
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			if known {
				h.Set("Access-Control-Allow-Methods", corsMethods)
				h.Set("Access-Control-Allow-Headers", corsHeaders)
				h.Set("Access-Control-Max-Age", corsMaxAge)
			}
			w.WriteHeader(http.StatusNoContent)
			return
		}
		safe := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
		if !safe && !same && !known && len(r.Header.Values("Authorization")) == 0 {
			s.problem(w, r, graph.Errf(graph.CodeForbidden, "pages of this origin may not change anything here; see --allowed-origins"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// OriginAllowed reports whether pages of the origin, as browsers write it, may
// use the API; the server's own origin aside. The websocket asks it too.
func (s *Server) OriginAllowed(origin string) bool { return s.cfg.OriginAllowed(origin) }

// OriginAllowed is the rule behind Server.OriginAllowed.
func (c *Config) OriginAllowed(origin string) bool {
	for _, o := range c.AllowedOrigins {
		if strings.EqualFold(o, origin) {
			return true
		}
	}
	if !c.Dev {
		return false
	}
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && loopbackHost(u.Host)
}

// sameOrigin reports whether the origin is the host that was asked. The scheme
// is not known behind a proxy that ends TLS, and both belong to one operator.
func sameOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && strings.EqualFold(u.Host, host)
}
