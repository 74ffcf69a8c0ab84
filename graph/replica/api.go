// Package replica is the in-process read model: for every open graph it holds
// the entities and the edge lists from both ends, at one version. It changes
// only by applying the log in order.
package replica

import (
	"context"

	"github.com/graphtide/graphtide/graph"
)

// Set holds the replicas of this process.
type Set struct{}

// Open gives the replica of a graph, loading it once for all who wait;
// CodeNotFound where there is no such graph.
func (s *Set) Open(ctx context.Context, name string) (*Replica, error) { panic("skeleton") }

// Replica is one graph's state at one version.
type Replica struct{}

// Key gives the graph's internal number.
func (r *Replica) Key() graph.GraphKey { panic("skeleton") }

// Name gives the graph's name.
func (r *Replica) Name() string { panic("skeleton") }

// Head gives the version that the replica is at.
func (r *Replica) Head() graph.Head { panic("skeleton") }

// Read calls fn with the present state under the read lock. The State must not
// be used after fn returns, the entities may. fn must not call Read or Apply.
func (r *Replica) Read(fn func(*State)) { panic("skeleton") }

// Apply adds the next commits of the log, in order; those that it has already
// are passed over. It fills in the commits' Before fields. A gap is an error
// and changes nothing.
func (r *Replica) Apply(commits []*graph.Commit) error { panic("skeleton") }

// CatchUp reads the log until the store's head.
func (r *Replica) CatchUp(ctx context.Context) error { panic("skeleton") }

// Wait returns when the replica is at v or later. It wakes the follower where
// v is ahead.
func (r *Replica) Wait(ctx context.Context, v graph.Version) error { panic("skeleton") }

// Watch calls fn after each Apply, outside all locks; fn must not block.
func (r *Replica) Watch(fn func()) (stop func()) { panic("skeleton") }

// Since gives the commits after v up to Head, with Before and After filled in;
// ok is false where the ring of recent commits does not reach back to v.
// It may be called inside Read, and is then exactly what led to the State.
func (r *Replica) Since(v graph.Version) (commits []*graph.Commit, ok bool) { panic("skeleton") }

// State is a graph.Reader over the replica's present state, with what
// projections need beyond it.
type State struct{ graph.Reader }

// Head gives the state's version.
func (s *State) Head() graph.Head { panic("skeleton") }

// OfType calls yield for every object of exactly this type.
func (s *State) OfType(typ string, yield func(*graph.Object) bool) { panic("skeleton") }

// Result is a projection's answer. Objects and Edges are sorted by id.
type Result struct {
	Roots   []graph.ObjectID
	Objects []*graph.Object
	Edges   []*graph.Edge
}

// Types answers which types count as a type.
type Types interface{ Subtypes(name string) []string }

// Source is what Evaluate walks: a State, or the state at an older version.
type Source interface {
	graph.Reader
	OfType(typ string, yield func(*graph.Object) bool)
}

// Evaluate computes a projection as p may see it: unreadable objects are
// neither shown nor walked through. rights judges the present state where src
// is an older one ("the past is judged by today's rights"), else it is src.
// CodeTooLarge over lim.ViewEntities or lim.Candidates.
func Evaluate(src Source, rights graph.Reader, types Types, p *graph.Principal, proj *graph.Projection, lim graph.Limits) (*Result, *graph.Error) {
	panic("skeleton")
}

// Matches judges a condition on an object (edge is the one it was reached by,
// nil for a root).
func Matches(c *graph.Cond, o *graph.Object, edge *graph.Edge) bool { panic("skeleton") }
