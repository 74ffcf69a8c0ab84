package server

import (
	"context"
	"net/http"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/sabotage"
)

// minVersion makes a read wait for what the caller has seen elsewhere.
func (s *Server) minVersion(r *http.Request, c *call) error {
	text, set, err := single(r.Header, headerMinVersion)
	if err == nil && !set {
		return nil
	}
	v, ok := parseVersion(text)
	if err != nil || !ok {
		return graph.Errf(graph.CodeInvalidVersion, "the header %s takes a version", headerMinVersion)
	}
	if sabotage.On(sabotage.IgnoreMinVersion) {
		return nil
	}
	// A version is one of an incarnation of the graph: a replica of another one
	// may be further on and know nothing of it.
	if c.rep, err = s.Replicas.Confirm(r.Context(), c.rep); err != nil {
		return hideGraph(err)
	}
	return s.reach(r.Context(), c, v)
}

// reach returns when the node is at version v or later: CodeInvalidVersion
// where the graph has no such version, CodeUnavailable where it does not arrive
// in time.
func (s *Server) reach(ctx context.Context, c *call, v graph.Version) error {
	if v <= c.rep.Head().Version || sabotage.On(sabotage.IgnoreMinVersion) {
		return nil
	}
	heads, err := s.Store.Heads(ctx, []graph.GraphKey{c.rep.Key()})
	if err != nil {
		return err
	}
	head, ok := heads[c.rep.Key()]
	if !ok {
		return graph.NotFound("graph")
	}
	if v > head.Version {
		return graph.Errf(graph.CodeInvalidVersion, "version %d is beyond the head, %d", v, head.Version)
	}
	wait, cancel := context.WithTimeout(ctx, s.cfg.Wait)
	defer cancel()
	if err := c.rep.Wait(wait, v); err != nil {
		if wait.Err() != nil && ctx.Err() == nil {
			return graph.Errf(graph.CodeUnavailable, "this node has not seen version %d yet", v)
		}
		return err
	}
	return nil
}
