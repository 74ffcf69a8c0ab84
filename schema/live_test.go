package schema_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/schema"
)

// documents is the schema part of a store.
type documents struct {
	graph.Store
	mu     sync.Mutex
	docs   [][]byte
	reads  int
	broken error
}

func (d *documents) Schema(context.Context) (int64, []byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil || len(d.docs) == 0 {
		return 0, nil, d.broken
	}
	return int64(len(d.docs)), d.docs[len(d.docs)-1], nil
}

func (d *documents) SchemaAt(_ context.Context, version int64) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads++
	if version < 1 || version > int64(len(d.docs)) {
		return nil, graph.NotFound("schema")
	}
	return d.docs[version-1], nil
}

func (d *documents) put(doc string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.docs = append(d.docs, []byte("graphtide: 1\n"+doc))
}

func TestLiveFollowsTheStore(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store := &documents{}
	live := schema.NewLive(store)
	var seen []int64
	stop := live.OnChange(func(r *schema.Registry) { seen = append(seen, r.Version) })
	refresh := func(want int64) {
		t.Helper()
		if err := live.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		if got := live.Current().Version; got != want {
			t.Errorf("version %d, want %d", got, want)
		}
	}
	refresh(0)
	store.put("types: {A: {}}")
	refresh(1)
	refresh(1)
	store.put("types: {A: {}, B: {}}")
	refresh(2)
	stop()
	store.put("types: {A: {}, B: {}, C: {}}")
	refresh(3)
	if fmt.Sprint(seen) != "[1 2]" {
		t.Errorf("listeners saw %v", seen)
	}
	if live.Current().TypeOf("C") == nil {
		t.Error("the current schema has no C")
	}
	store.put("types: {A: {extends: X}}")
	if err := live.Refresh(ctx); err == nil || live.Current().Version != 3 {
		t.Errorf("a stored document that does not compile: %v, version %d", err, live.Current().Version)
	}
	store.broken = errors.New("down")
	if err := live.Refresh(ctx); !errors.Is(err, store.broken) {
		t.Errorf("got %v", err)
	}
}

func TestOlderVersionsAreCompiledOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store := &documents{}
	for i := range 3 {
		store.put(fmt.Sprintf("types: {T%d: {}}", i+1))
	}
	live := schema.NewLive(store)
	if err := live.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	first, err := live.At(ctx, 1)
	if err != nil || first.TypeOf("T1") == nil || first.Version != 1 {
		t.Fatalf("got %v, %v", first, err)
	}
	again, err := live.At(ctx, 1)
	if err != nil || again != first || store.reads != 1 {
		t.Errorf("version 1 was read %d times, %v", store.reads, err)
	}
	if r, err := live.At(ctx, 0); err != nil || r.Version != 0 || len(r.Types) != 2 {
		t.Errorf("version 0: %v, %v", r, err)
	}
	if r, err := live.At(ctx, 3); err != nil || r != live.Current() {
		t.Errorf("version 3: %v, %v", r, err)
	}
	if _, err := live.At(ctx, 9); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("version 9: %v", err)
	}
}

func TestLiveIsSharedBetweenGoroutines(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store := &documents{}
	for i := range 50 {
		store.put(fmt.Sprintf("types: {T%d: {}}", i+1))
	}
	live := schema.NewLive(store)
	defer live.OnChange(func(*schema.Registry) {})()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 50 {
				v := int64(1 + (i*7+g)%50)
				r, err := live.At(ctx, v)
				if err != nil || r.Version != v {
					t.Errorf("version %d: %v", v, err)
				}
				if err := live.Refresh(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
