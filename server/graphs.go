package server

import (
	"context"
	"net/http"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
)

// graphJSON is a graph as the routes show it.
type graphJSON struct {
	Name    string        `json:"name"`
	Epoch   string        `json:"epoch"`
	Version graph.Version `json:"version"`
	Objects int64         `json:"objects"`
	Edges   int64         `json:"edges"`
}

func showGraph(g graph.GraphInfo) graphJSON {
	return graphJSON{Name: g.Name, Epoch: g.Head.Epoch, Version: g.Head.Version, Objects: g.Objects, Edges: g.Edges}
}

// listGraphs gives the graphs that the caller may open.
func (s *Server) listGraphs(w http.ResponseWriter, r *http.Request, c *call) error {
	all, err := s.Store.Graphs(r.Context())
	if err != nil {
		return err
	}
	list := []graphJSON{}
	for _, g := range all {
		if access.OpensGraph(c.p, g.Name) {
			list = append(list, showGraph(g))
		}
	}
	return answerJSON(w, http.StatusOK, map[string]any{"graphs": list})
}

func (s *Server) getGraph(w http.ResponseWriter, r *http.Request, c *call) error {
	g, err := s.Store.Graph(r.Context(), c.graph)
	if err != nil {
		return hideGraph(err)
	}
	// The version told is one that can be read here.
	if err := s.reach(r.Context(), c, g.Head.Version); err != nil {
		return hideGraph(err)
	}
	return answerJSON(w, http.StatusOK, showGraph(g))
}

// putGraph makes a graph; one that exists is left as it is.
func (s *Server) putGraph(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := c.mayGovern(); err != nil {
		return err
	}
	if !validGraphName(c.graph) {
		return graph.Errf(graph.CodeInvalidID, "a graph's name is up to 63 of a-z, 0-9 and -, and does not begin with -")
	}
	g, created, err := s.Store.EnsureGraph(r.Context(), c.graph)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		w.Header().Set("Location", "/v1/graphs/"+g.Name)
	}
	return answerJSON(w, status, showGraph(g))
}

func (s *Server) deleteGraph(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := c.mayGovern(); err != nil {
		return err
	}
	if c.graph == graph.MainGraph {
		return graph.Errf(graph.CodeRestricted, "the graph main always exists")
	}
	g, err := s.Store.Graph(r.Context(), c.graph)
	if err != nil {
		return hideGraph(err)
	}
	if err := s.Store.DeleteGraph(r.Context(), c.graph); err != nil {
		return hideGraph(err)
	}
	// Read no more, also where the caller has gone: a graph made again under the
	// name is another one.
	if err := s.Replicas.Removed(context.WithoutCancel(r.Context()), g); err != nil {
		s.Log.Warn("a deleted graph is read until the next poll", "graph", c.graph, "err", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// mayGovern refuses who may not make and delete graphs. Who may not even open
// this one hears the same as if it did not exist.
func (c *call) mayGovern() error {
	if !c.governs() && !c.opens() {
		return graph.NotFound("graph")
	}
	return c.needGovern()
}

// hideGraph gives every not-found of a graph one form.
func hideGraph(err error) error {
	if graph.CodeOf(err) == graph.CodeNotFound {
		return graph.NotFound("graph")
	}
	return err
}
