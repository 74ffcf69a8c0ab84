package replica

import (
	"context"
	"fmt"

	"github.com/graphtide/graphtide/graph"
)

// loader builds a State from a stream of the store.
type loader struct{ state *State }

func newLoader() *loader { return &loader{state: newState()} }

// add is a graph.StateFunc. An edge whose ends the stream has not given is
// refused: a state with a dangling edge is not one that the log can have made.
func (l *loader) add(objects []*graph.Object, edges []*graph.Edge) error {
	for _, o := range objects {
		l.state.putObject(o)
	}
	for _, e := range edges {
		if l.state.nodes[e.From] == nil || l.state.nodes[e.To] == nil {
			return fmt.Errorf("load edge %s: one of its ends is not in the state", e.ID)
		}
		l.state.putEdge(e)
	}
	return nil
}

// loadState reads the present state of a graph.
func loadState(ctx context.Context, store graph.Store, key graph.GraphKey) (*State, error) {
	l := newLoader()
	head, err := store.State(ctx, key, l.add)
	if err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	l.state.head = head
	return l.state, nil
}
