package server

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
)

// dryRun tells what a transaction would do, as far as its author may read it:
// what exists is judged before it, what it makes after it.
func (s *Server) dryRun(w http.ResponseWriter, r *http.Request, c *call, m *graph.Mutation) error {
	dry, err := s.Submitter.DryRun(r.Context(), c.graph, m)
	if err != nil {
		return err
	}
	out := struct {
		OK       bool                       `json:"ok"`
		Problems []*graph.Error             `json:"problems"`
		Objects  map[string]json.RawMessage `json:"objects"`
		Edges    map[string]json.RawMessage `json:"edges"`
		Rules    []string                   `json:"rules"`
	}{dry.OK, dry.Problems, map[string]json.RawMessage{}, map[string]json.RawMessage{}, []string{}}
	if out.Problems == nil {
		out.Problems = []*graph.Error{}
	}
	err = c.rep.Read(r.Context(), func(st *replica.State) {
		clear(out.Objects)
		clear(out.Edges)
		out.Rules = out.Rules[:0]
		after := newPlanned(st, dry.Changes)
		for i, ch := range dry.Changes {
			switch ch.Ref.Kind {
			case graph.KindObject:
				id := graph.ObjectID(ch.Ref.ID)
				if !access.Direct(after, c.p, id, access.Read) {
					continue
				}
				out.Objects[id.String()] = json.RawMessage("null")
				if ch.ObjAfter != nil {
					out.Objects[id.String()] = ch.ObjAfter.AppendJSON(nil, access.Direct(after, c.p, id, access.Manage))
				}
			case graph.KindEdge:
				e := edgeOf(ch)
				if e == nil || !readableEdge(after, c.p, e) {
					continue
				}
				out.Edges[e.ID.String()] = json.RawMessage("null")
				if ch.EdgeAfter != nil {
					out.Edges[e.ID.String()] = ch.EdgeAfter.AppendJSON(nil)
				}
			}
			for _, rule := range dry.Rules[i] {
				if !slices.Contains(out.Rules, rule) {
					out.Rules = append(out.Rules, rule)
				}
			}
		}
	})
	if err != nil {
		return err
	}
	return answerJSON(w, http.StatusOK, out)
}

// planned is the present state with what a dry run would make beside it.
type planned struct {
	graph.Reader
	objects map[graph.ObjectID]*graph.Object
	out     map[graph.ObjectID][]*graph.Edge
}

func newPlanned(r graph.Reader, changes []*graph.Change) *planned {
	p := &planned{Reader: r, objects: map[graph.ObjectID]*graph.Object{}, out: map[graph.ObjectID][]*graph.Edge{}}
	for _, ch := range changes {
		if ch.Event != graph.Created {
			continue
		}
		if o := ch.ObjAfter; o != nil {
			p.objects[o.ID] = o
		}
		if e := ch.EdgeAfter; e != nil {
			p.out[e.From] = append(p.out[e.From], e)
		}
	}
	return p
}

// Object gives the present object, else the one that would be made.
func (p *planned) Object(id graph.ObjectID) *graph.Object {
	if o := p.Reader.Object(id); o != nil {
		return o
	}
	return p.objects[id]
}

// Out walks the present edges of what exists, and the edges to be made of what
// would be made: an edge yet to be made gives nobody rights on what exists.
func (p *planned) Out(id graph.ObjectID, label string, yield func(*graph.Edge) bool) {
	if p.Reader.Object(id) != nil {
		p.Reader.Out(id, label, yield)
		return
	}
	for _, e := range p.out[id] {
		if (label == "" || e.Label == label) && !yield(e) {
			return
		}
	}
}

// CountOut counts what Out walks.
func (p *planned) CountOut(id graph.ObjectID, label string) int {
	n := 0
	p.Out(id, label, func(*graph.Edge) bool { n++; return true })
	return n
}
