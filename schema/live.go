package schema

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/graphtide/graphtide/graph"
)

// maxKept is how many older registries Live keeps.
const maxKept = 32

// Live holds the active registry of this process and older ones by version.
// It is safe for concurrent use.
type Live struct {
	store   graph.Store
	current atomic.Pointer[Registry]

	refresh sync.Mutex // held while the store is asked and the registry swapped; taken before mu

	mu        sync.Mutex // guards the fields below
	kept      map[int64]*Registry
	listeners map[int]func(*Registry)
	next      int
}

// NewLive makes a Live that reads documents from the store. It starts with Empty.
func NewLive(store graph.Store) *Live {
	l := &Live{store: store, kept: map[int64]*Registry{}, listeners: map[int]func(*Registry){}}
	empty := Empty()
	l.kept[0] = empty
	l.current.Store(empty)
	return l
}

// Current gives the active registry; one atomic load.
func (l *Live) Current() *Registry { return l.current.Load() }

// At gives the registry of a version, compiling it once. The error is the
// store's, or says that a stored document does not compile.
func (l *Live) At(ctx context.Context, version int64) (*Registry, error) {
	if r := l.Current(); r.Version == version {
		return r, nil
	}
	l.mu.Lock()
	r := l.kept[version]
	l.mu.Unlock()
	if r != nil {
		return r, nil
	}
	doc, err := l.store.SchemaAt(ctx, version)
	if err != nil {
		return nil, fmt.Errorf("read schema %d: %w", version, err)
	}
	return l.keep(version, doc)
}

// keep compiles a stored document, or gives the registry that is there already.
func (l *Live) keep(version int64, doc []byte) (*Registry, error) {
	r, fault := Compile(fmt.Sprintf("schema version %d", version), doc, version)
	if fault != nil {
		return nil, fmt.Errorf("compile schema %d: %w", version, fault)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if other := l.kept[version]; other != nil {
		return other, nil
	}
	if len(l.kept) >= maxKept {
		oldest := int64(-1)
		for v := range l.kept {
			if v != 0 && (oldest < 0 || v < oldest) {
				oldest = v
			}
		}
		delete(l.kept, oldest)
	}
	l.kept[version] = r
	return r, nil
}

// Refresh makes the store's active schema the current one. A registry that is
// newer than what the store answered stays.
func (l *Live) Refresh(ctx context.Context) error {
	l.refresh.Lock()
	defer l.refresh.Unlock()
	version, doc, err := l.store.Schema(ctx)
	if err != nil {
		return fmt.Errorf("read the active schema: %w", err)
	}
	if version <= l.Current().Version {
		return nil
	}
	r, err := l.keep(version, doc)
	if err != nil {
		return err
	}
	l.current.Store(r)
	l.mu.Lock()
	fns := make([]func(*Registry), 0, len(l.listeners))
	for i := range l.next {
		if fn := l.listeners[i]; fn != nil {
			fns = append(fns, fn)
		}
	}
	l.mu.Unlock()
	for _, fn := range fns {
		fn(r)
	}
	return nil
}

// OnChange calls fn after each swap, in order, until stop. fn must not call
// Refresh.
func (l *Live) OnChange(fn func(*Registry)) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := l.next
	l.next++
	l.listeners[id] = fn
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.listeners, id)
	}
}
