package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/patch/pipeline"
)

// countingStore counts what a partial replica asks it for.
type countingStore struct {
	graph.Store
	pieces atomic.Int64
}

func (s *countingStore) Piece(ctx context.Context, g graph.GraphKey, want *graph.Want) (*graph.Piece, error) {
	s.pieces.Add(1)
	return s.Store.Piece(ctx, g, want)
}

// A transaction on a graph of which the node holds nothing waits for a load per
// step of the way to the rights, not for one per entity.
func TestEntitiesNamedByAPatchAreLoadedTogether(t *testing.T) {
	t.Parallel()
	s := setup(t)
	var stores, records, edges []string
	for range 8 {
		stores = append(stores, s.dataStore())
		r, e := s.record(stores[len(stores)-1])
		records, edges = append(records, r), append(edges, e)
	}

	store := &countingStore{Store: s.store}
	set := replica.New(replica.Config{Store: store, Eager: -1})
	if err := set.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Stop(context.Background()) })
	p := pipeline.New(pipeline.Config{Store: store, Replicas: set, Live: s.live})
	t.Cleanup(p.Stop)

	var ops []string
	for i, r := range records {
		ops = append(ops, fmt.Sprintf(`{"op":"add","path":"/objects/%s/body/rank","value":%d}`, r, i))
		ops = append(ops, fmt.Sprintf(`{"op":"test","path":"/edges/%s/label","value":"dataStore"}`, edges[i]))
	}
	for i := range 4 {
		r, e := id(), id()
		ops = append(ops, strings.Trim(addRecord(r, e, stores[i]), "[]"))
	}
	if _, err := p.Submit(t.Context(), s.graph, &graph.Mutation{Author: ann, Patch: []byte("[" + strings.Join(ops, ",") + "]")}); err != nil {
		t.Fatal(err)
	}
	// The entities, and what the records inherit from; the stages may want a little more.
	if n := store.pieces.Load(); n > 4 {
		t.Errorf("%d loads for %d entities", n, 3*len(records))
	}
}
