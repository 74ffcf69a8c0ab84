package memstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/graphtide/graphtide/graph"
)

// Store is a graph.Store in memory.
type Store struct {
	// write lets one writer in at a time, for as long as an activation of a
	// schema takes, or a turn; taken before mu.
	write gate

	mu      sync.RWMutex // guards the fields below
	names   map[string]*graphState
	keys    map[graph.GraphKey]*graphState
	lastKey graph.GraphKey
	schemas [][]byte // version 1 first

	// fence reports whether a run's attempt may still write; nil lets none.
	// It is called with write and mu held.
	fence func(g graph.GraphKey, f graph.Fence) bool
	// matched gives how far rules have seen a log; nil is not at all. It is
	// called with write and mu held.
	matched func(g graph.GraphKey) graph.Version
	// skip lets rules go on from a head; nil where there are none. It is called
	// with write and mu held.
	skip func(g graph.GraphKey, head graph.Head)
}

var _ graph.Store = (*Store)(nil)

// New gives a Store that holds the empty graph `main`.
func New() *Store {
	s := &Store{write: make(gate, 1), names: map[string]*graphState{}, keys: map[graph.GraphKey]*graphState{}}
	s.add(graph.MainGraph)
	return s
}

// add makes a graph; the caller holds mu, or nobody else knows s.
func (s *Store) add(name string) *graphState {
	s.lastKey++
	g := newGraphState(s.lastKey, name, int64(len(s.schemas)))
	s.names[name], s.keys[g.key] = g, g
	return g
}

// EnsureGraph makes the graph if it does not exist.
func (s *Store) EnsureGraph(_ context.Context, name string) (graph.GraphInfo, bool, error) {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if g, ok := s.names[name]; ok {
		return g.info(), false, nil
	}
	return s.add(name).info(), true, nil
}

// Graph gives a graph by its name.
func (s *Store) Graph(_ context.Context, name string) (graph.GraphInfo, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, ok := s.names[name]
	if !ok {
		return graph.GraphInfo{}, graph.NotFound("graph")
	}
	return g.info(), nil
}

// Graphs lists the graphs by name, without those that are only prepared.
func (s *Store) Graphs(context.Context) ([]graph.GraphInfo, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.DeleteFunc(s.list(), func(g graph.GraphInfo) bool { return g.Name[0] == '.' }), nil
}

// list gives the graphs sorted by name; the caller holds mu.
func (s *Store) list() []graph.GraphInfo {
	out := make([]graph.GraphInfo, 0, len(s.names))
	for _, g := range s.names {
		out = append(out, g.info())
	}
	slices.SortFunc(out, func(a, b graph.GraphInfo) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// DeleteGraph removes a graph with all that it holds; `main` stays.
func (s *Store) DeleteGraph(_ context.Context, name string) error {
	if name == graph.MainGraph {
		return graph.Errf(graph.CodeForbidden, "the graph %s always exists", graph.MainGraph)
	}
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.names[name]
	if !ok {
		return graph.NotFound("graph")
	}
	delete(s.names, name)
	delete(s.keys, g.key)
	return nil
}

// NewEpoch gives the graph a new random epoch and returns it.
func (s *Store) NewEpoch(_ context.Context, name string) (string, error) {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.names[name]
	if !ok {
		return "", graph.NotFound("graph")
	}
	g.head.Epoch = newEpoch()
	return g.head.Epoch, nil
}

// Heads gives the heads of those graphs that exist.
func (s *Store) Heads(_ context.Context, keys []graph.GraphKey) (map[graph.GraphKey]graph.Head, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make(map[graph.GraphKey]graph.Head, len(keys))
	for _, k := range keys {
		if g, ok := s.keys[k]; ok {
			out[k] = g.head
		}
	}
	return out, nil
}

// Ping succeeds.
func (s *Store) Ping(context.Context) error { return nil }

// Close does nothing: the store is gone when nobody holds it.
func (s *Store) Close() {}

// graphOf gives a graph by its key; the caller holds mu.
func (s *Store) graphOf(key graph.GraphKey) (*graphState, error) {
	g, ok := s.keys[key]
	if !ok {
		return nil, graph.NotFound("graph")
	}
	return g, nil
}

// triple is what at most one live edge has.
type triple struct {
	label    string
	from, to graph.ObjectID
}

// row is the present state of an entity; a tombstone where it is deleted.
type row struct {
	obj     *graph.Object
	edge    *graph.Edge
	version graph.Version
	deleted bool
}

// graphState is one graph: log, history, present rows and indexes. Its methods
// are called with Store.mu held. What it points to is immutable.
type graphState struct {
	key       graph.GraphKey
	name      string
	head      graph.Head
	objects   int64
	edges     int64
	floor     graph.Version   // log and states below it cannot be had any more
	log       []*graph.Commit // version 1 first
	rows      map[graph.Ref]row
	history   map[graph.Ref][]row // oldest first; a deletion repeats the last state
	between   map[triple]graph.EdgeID
	mutations map[graph.MutationKey]graph.Recorded
}

func newGraphState(key graph.GraphKey, name string, schema int64) *graphState {
	return &graphState{
		key: key, name: name,
		head:      graph.Head{Epoch: newEpoch(), SchemaVer: schema},
		rows:      map[graph.Ref]row{},
		history:   map[graph.Ref][]row{},
		between:   map[triple]graph.EdgeID{},
		mutations: map[graph.MutationKey]graph.Recorded{},
	}
}

// clone gives a copy that can be appended to while g stays as it is.
func (g *graphState) clone() *graphState {
	c := *g
	c.log = slices.Clip(g.log)
	c.rows = maps.Clone(g.rows)
	c.between = maps.Clone(g.between)
	c.mutations = maps.Clone(g.mutations)
	c.history = make(map[graph.Ref][]row, len(g.history))
	for ref, h := range g.history {
		c.history[ref] = slices.Clip(h)
	}
	return &c
}

func (g *graphState) info() graph.GraphInfo {
	return graph.GraphInfo{Key: g.key, Name: g.name, Head: g.head, Objects: g.objects, Edges: g.edges}
}

func newEpoch() string {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}
