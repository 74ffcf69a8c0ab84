package server

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// Media types that the routes take.
const (
	typeJSON  = "application/json"
	typePatch = "application/json-patch+json"
	typeYAML  = "application/yaml"
)

// readBody reads a request's body: one of the media types (the first is named
// in the refusal), not encoded, at most max bytes. limit names the bound.
func readBody(w http.ResponseWriter, r *http.Request, max int64, limit string, types ...string) ([]byte, error) {
	if err := mediaType(w, r, types); err != nil {
		return nil, err
	}
	if r.ContentLength > max {
		return nil, graph.TooLarge(limit, max, "bytes")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, max))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, graph.TooLarge(limit, max, "bytes")
	case err != nil:
		e := graph.Errf(graph.CodeInvalidJSON, "the body ended before it was whole")
		e.Err = err
		return nil, e
	}
	return body, nil
}

// bodies bounds the time that a body may take to come, whoever reads it: what a
// handler leaves of it the web server reads before it answers, so that a client
// without any right could dribble it and hold the connection. And it hears out
// a body that is too large, up to a bound: a client that sends all of it before
// it looks for an answer would find the connection broken, and not be told why.
func bodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		conn := http.NewResponseController(w)
		// Where the connection has no deadlines (tests), there is nothing to hold.
		_ = conn.SetReadDeadline(time.Now().Add(bodyTimeout))
		next.ServeHTTP(w, r)
		ww, ok := w.(middleware.WrapResponseWriter)
		if !ok || ww.Status() != http.StatusRequestEntityTooLarge || r.Header.Get("Expect") != "" {
			return // who expects to be told waits with the body
		}
		_ = conn.Flush()
		_, _ = io.CopyN(io.Discard, r.Body, hearOutBytes)
	})
}

func mediaType(w http.ResponseWriter, r *http.Request, types []string) error {
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return graph.Errf(graph.CodeUnsupportedMedia, "send the body as it is, without Content-Encoding")
	}
	mt, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if cs := params["charset"]; err == nil && (cs == "" || strings.EqualFold(cs, "utf-8")) {
		for _, t := range types {
			if mt == t {
				return nil
			}
		}
	}
	if types[0] == typePatch {
		w.Header().Set("Accept-Patch", typePatch)
	}
	return graph.Errf(graph.CodeUnsupportedMedia, "send Content-Type: %s", types[0])
}

// checkJSON judges a request's JSON text strictly.
func checkJSON(text []byte, depth int) error { return checkDepth(text, depth, "bodyDepth") }

// checkDepth is checkJSON where another limit than a body's bounds the depth.
func checkDepth(text []byte, depth int, limit string) error {
	if err := patch.Check(text, patch.JSONLimits{Depth: depth}); err != nil {
		if err.Reason == patch.TooLarge {
			e := graph.Errf(graph.CodeTooLarge, "%s", err.Message).At(err.Path)
			e.Limit = limit
			return e
		}
		return graph.Errf(graph.CodeInvalidJSON, "%s", err.Message).At(err.Path)
	}
	return nil
}
