package replica

import (
	"context"
	"fmt"

	"github.com/graphtide/graphtide/graph"
)

// loader builds a complete core from a stream of the store.
type loader struct{ core *core }

func newLoader() *loader { return &loader{core: newCore(true)} }

// add is a graph.StateFunc. An edge whose ends the stream has not given is
// refused: a state with a dangling edge is not one that the log can have made.
func (l *loader) add(objects []*graph.Object, edges []*graph.Edge) error {
	for _, o := range objects {
		l.core.putObject(o)
	}
	for _, e := range edges {
		if l.core.nodes[e.From] == nil || l.core.nodes[e.To] == nil {
			return fmt.Errorf("load edge %s: one of its ends is not in the state", e.ID)
		}
		l.core.putEdge(e)
	}
	return nil
}

// loadWhole reads the present state of a graph.
func loadWhole(ctx context.Context, store graph.Store, key graph.GraphKey) (*core, error) {
	l := newLoader()
	head, err := store.State(ctx, key, l.add)
	if err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	l.core.head = head
	return l.core, nil
}
