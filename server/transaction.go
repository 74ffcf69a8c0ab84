package server

import (
	"net/http"

	"github.com/graphtide/graphtide/graph"
)

// patchGraph takes a transaction over the whole graph.
func (s *Server) patchGraph(w http.ResponseWriter, r *http.Request, c *call) error {
	if tags, any, ok := parseTags(r.Header.Values("If-Match")); len(tags) > 0 || (!ok && !any && len(r.Header.Values("If-Match")) > 0) {
		// Ignoring it would lose an update that the caller believes guarded.
		return graph.Errf(graph.CodeInvalidVersion, "If-Match belongs to the routes of one entity; here, test /objects/<id>/meta/version")
	}
	return s.transact(w, r, c, nil)
}

// transact reads a patch and its headers, lets complete add to the mutation,
// and submits it, or judges it where a dry run is asked for.
func (s *Server) transact(w http.ResponseWriter, r *http.Request, c *call, complete func(*graph.Mutation) error) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	dry, err := q.flag("dryRun")
	if err != nil {
		return err
	}
	m, err := mutation(r.Header, c)
	if err != nil {
		return err
	}
	if complete != nil {
		if err := complete(m); err != nil {
			return err
		}
	}
	if m.Patch, err = readBody(w, r, int64(s.cfg.Limits.TransactionBytes), "transactionBytes", typePatch); err != nil {
		return err
	}
	if dry {
		return s.dryRun(w, r, c, m)
	}
	return s.submit(w, r, c, m)
}

func (s *Server) submit(w http.ResponseWriter, r *http.Request, c *call, m *graph.Mutation) error {
	receipt, err := s.Submitter.Submit(r.Context(), c.graph, m)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag(receipt.Version))
	return answerJSON(w, http.StatusOK, receipt)
}
