package server

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// retryDefault is what a client is told to wait where the refusal does not say.
const retryDefault = time.Second

// problem writes a refusal (RFC 9457). What is not a *graph.Error is ours: it is
// logged, and the caller sees `internal`.
func (s *Server) problem(w http.ResponseWriter, r *http.Request, err error) {
	e := public(err)
	switch {
	case e.Code == graph.CodeInternal:
		s.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "request", requestID(r), "err", err)
	case e.Err != nil:
		s.Log.DebugContext(r.Context(), "request refused", "method", r.Method, "path", r.URL.Path, "request", requestID(r), "code", e.Code, "err", e.Err)
	}
	h := w.Header()
	status := e.Code.Status()
	switch status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	h.Del("ETag")
	h.Del("Content-Length")
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	body, merr := json.Marshal(e)
	if merr != nil { // an `actual` that is not JSON: a fault of ours, but not the caller's loss
		s.Log.ErrorContext(r.Context(), "encode a problem", "err", merr)
		body, _ = json.Marshal(&graph.Error{Code: e.Code, Message: e.Message})
	}
	w.WriteHeader(status)
	w.Write(body)
}

// public gives what a caller may see of an error.
func public(err error) *graph.Error {
	var e *graph.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled): // Canceled: nobody is listening any more
		e = &graph.Error{Code: graph.CodeUnavailable, Message: "this took too long; try again", Err: err}
	default:
		e = graph.AsError(err)
	}
	if (e.Code == graph.CodeUnavailable || e.Code == graph.CodeRateLimited) && e.RetryAfter <= 0 {
		c := *e // errors may be shared
		c.RetryAfter = retryDefault
		e = &c
	}
	return e
}

// answer writes JSON.
func answer(w http.ResponseWriter, status int, body []byte) error {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	answerHead(w, status)
	w.Write(body) // an error here means that the reader has gone
	return nil
}

// answerHead begins an answer in JSON that follows piece by piece.
func answerHead(w http.ResponseWriter, status int) {
	h := w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	if h.Get("Cache-Control") == "" {
		// What may be read changes with rights: a cache must ask again.
		h.Set("Cache-Control", "private, no-cache")
	}
	w.WriteHeader(status)
}

// answerJSON encodes v and writes it.
func answerJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return answer(w, status, body)
}
