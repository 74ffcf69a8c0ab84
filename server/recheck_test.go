package server

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
)

// flat is a state of objects without edges.
type flat map[graph.ObjectID]*graph.Object

func (f flat) Object(id graph.ObjectID) *graph.Object                     { return f[id] }
func (f flat) Edge(graph.EdgeID) *graph.Edge                              { return nil }
func (f flat) Between(string, graph.ObjectID, graph.ObjectID) *graph.Edge { return nil }
func (f flat) Out(graph.ObjectID, string, func(*graph.Edge) bool)         {}
func (f flat) In(graph.ObjectID, string, func(*graph.Edge) bool)          {}
func (f flat) CountOut(graph.ObjectID, string) int                        { return 0 }
func (f flat) CountIn(graph.ObjectID, string) int                         { return 0 }

// The first check let through what the second must hold back.
func TestSecondCheckHoldsBackWhatTheFirstLetThrough(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m, err := newMetrics(reg)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Deps: Deps{Log: slog.New(slog.DiscardHandler)}, metrics: m}
	object := func(n byte, access string) *graph.Object {
		return &graph.Object{ID: graph.ObjectID{n}, Access: aclOf(t, access)}
	}
	open := `{"read":{"users":{"ann":true}}}`
	a, hidden, c := object(1, open), object(2, `{"read":{"users":{"bob":true}}}`), object(3, open)
	state := flat{a.ID: a, hidden.ID: hidden, c.ID: c}
	edge := func(from, to *graph.Object) *graph.Edge { return &graph.Edge{From: from.ID, To: to.ID} }
	ann := &graph.Principal{User: "ann"}

	good := &replica.Result{Roots: []graph.ObjectID{a.ID}, Objects: []*graph.Object{a, c}, Edges: []*graph.Edge{edge(a, c)}}
	s.disagreed(t.Context(), recheck(state, ann, good))
	if len(good.Roots) != 1 || len(good.Objects) != 2 || len(good.Edges) != 1 || disagreements(t, reg) != 0 {
		t.Errorf("what may be read is held back: %+v", good)
	}
	leak := &replica.Result{
		Roots:   []graph.ObjectID{hidden.ID, a.ID},
		Objects: []*graph.Object{a, hidden, c},
		Edges:   []*graph.Edge{edge(a, hidden), edge(a, c), edge(hidden, c)},
	}
	s.disagreed(t.Context(), recheck(state, ann, leak))
	if len(leak.Roots) != 1 || leak.Roots[0] != a.ID || len(leak.Objects) != 2 || leak.Objects[1] != c || len(leak.Edges) != 1 || leak.Edges[0].To != c.ID {
		t.Errorf("%+v", leak)
	}
	if got := disagreements(t, reg); got != 3 {
		t.Errorf("the alarm counts %v", got)
	}
	edgeAlone := &replica.Result{Roots: []graph.ObjectID{}, Objects: []*graph.Object{a}, Edges: []*graph.Edge{edge(a, hidden)}}
	s.disagreed(t.Context(), recheck(state, ann, edgeAlone))
	if len(edgeAlone.Edges) != 0 {
		t.Error("an edge to a hidden object gets through")
	}
}

func aclOf(t *testing.T, text string) *graph.ACL {
	t.Helper()
	acl, faults := access.Parse([]byte(text))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return acl
}

func disagreements(t *testing.T, reg prometheus.Gatherer) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "graphtide_read_check_disagreements_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("the alarm is not registered")
	return 0
}
