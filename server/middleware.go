package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
)

type requestIDKey struct{}

// requestID gives the id under which the request stands in our log.
func requestID(r *http.Request) string {
	id, _ := r.Context().Value(requestIDKey{}).(string)
	return id
}

// observe gives the request an id, measures it and logs it. Neither the query
// nor a header is logged: both may hold secrets.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := uuid.NewString()
		w.Header().Set("X-Request-Id", id)
		r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() {
			route := routeOf(r)
			if strings.HasSuffix(route, "/sync") {
				return // a session's length says nothing about requests
			}
			took, status := time.Since(start), ww.Status()
			if status == 0 {
				status = http.StatusOK
			}
			s.metrics.request(route, r.Method, status, took)
			s.Log.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "status", status,
				"bytes", ww.BytesWritten(), "took", took, "request", id)
		}()
		next.ServeHTTP(ww, r)
	})
}

// routeOf gives the route's pattern: a bounded set of names for metrics.
func routeOf(r *http.Request) string {
	if rc := chi.RouteContext(r.Context()); rc != nil {
		if p := strings.TrimSuffix(rc.RoutePattern(), "/"); p != "" && p != "/*" {
			return p
		}
	}
	return "other"
}

// recover turns a panic into `internal`.
func (s *Server) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler {
				panic(v)
			}
			s.Log.ErrorContext(r.Context(), "panic", "method", r.Method, "path", r.URL.Path, "request", requestID(r),
				"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			s.metrics.panics.Inc()
			if ww, ok := w.(middleware.WrapResponseWriter); ok && ww.Status() != 0 {
				panic(http.ErrAbortHandler) // half an answer is out: cut it, it must not look whole
			}
			s.problem(w, r, graph.AsError(fmt.Errorf("panic: %v", v)))
		}()
		next.ServeHTTP(w, r)
	})
}

// headers sets what every answer carries.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

// hosts refuses foreign Host headers in dev, where no token means admin: a page
// that rebinds its own name to 127.0.0.1 must not get in.
func (s *Server) hosts(next http.Handler) http.Handler {
	if !s.cfg.Dev {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopbackHost(r.Host) {
			s.problem(w, r, graph.Errf(graph.CodeForbidden, "the development server answers to localhost alone"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopbackHost reports whether host, with or without a port, is this machine's
// loopback.
func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Loopback reports whether an address to listen on is of this machine alone,
// which is what dev is held to.
func Loopback(address string) bool { return loopbackHost(address) }

// trimSlash routes /v1/graphs/ as /v1/graphs. It does not redirect: a redirect
// made of a path is a hole in itself.
func trimSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if r.URL.RawPath != "" {
			path = r.URL.RawPath
		}
		if len(path) > 1 && strings.HasSuffix(path, "/") && !strings.HasPrefix(path, "/console") {
			chi.RouteContext(r.Context()).RoutePath = strings.TrimRight(path, "/")
		}
		next.ServeHTTP(w, r)
	})
}

// methods are those that a route may have.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// allowed gives the methods of the request's path.
func allowed(r *http.Request) []string {
	rc := chi.RouteContext(r.Context())
	path := rc.RoutePath
	if path == "" {
		path = r.URL.Path
	}
	var out []string
	for _, m := range methods {
		probe := m
		if m == http.MethodHead {
			probe = http.MethodGet
		}
		if rc.Routes.Match(chi.NewRouteContext(), probe, path) {
			out = append(out, m)
		}
	}
	return out
}

// options answers a plain OPTIONS with what the path allows.
func (s *Server) options(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodOptions {
			next.ServeHTTP(w, r)
			return
		}
		may := allowed(r)
		if len(may) == 0 {
			s.problem(w, r, graph.NotFound("route"))
			return
		}
		w.Header().Set("Allow", strings.Join(append(may, http.MethodOptions), ", "))
		w.WriteHeader(http.StatusNoContent)
	})
}

func (s *Server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	may := strings.Join(append(allowed(r), http.MethodOptions), ", ")
	w.Header().Set("Allow", may)
	s.problem(w, r, graph.Errf(graph.CodeMethodNotAllowed, "this path takes %s", may))
}

// notFound serves the site at / where there is one; otherwise no such route.
func (s *Server) notFound(w http.ResponseWriter, r *http.Request) error {
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	if s.Site != nil && get && !strings.HasPrefix(r.URL.Path, "/v1/") && (site{files: s.Site, prefix: "/"}).serve(w, r) {
		return nil
	}
	return graph.NotFound("route")
}
