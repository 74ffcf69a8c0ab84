package pgstore

import "github.com/graphtide/graphtide/graph"

// plan is what a batch says about itself: which rows the database has to look
// at, and the hits among the batch's own commits. An entity is looked up at its
// first touch; later commits of the batch are judged here, against the earlier
// ones.
type plan struct {
	rows    []planRow
	first   []int    // index in rows of each commit's first change
	delta   [2]int64 // how many more live objects and edges there are
	touched [2]bool  // whether any object, any edge is touched
	hits    []graph.Hit
}

// planRow is one change. The fields are those of append_change.
type planRow struct {
	look   bool
	expect int64
	free   bool
	last   bool
}

const (
	expectNever = 0
	expectLive  = -1
	expectDead  = -2
)

type triple struct {
	label    string
	from, to graph.ObjectID
}

func buildPlan(b *graph.Batch) *plan {
	n := 0
	for _, c := range b.Commits {
		n += len(c.Changes)
	}
	p := &plan{rows: make([]planRow, 0, n), first: make([]int, len(b.Commits))}
	if n == 1 {
		p.lone(&b.Commits[0].Changes[0])
		return p
	}
	type touch struct {
		row     int
		version graph.Version
		deleted bool
	}
	seen := make(map[graph.Ref]touch, n)
	keys := make(map[graph.MutationKey][]byte, len(b.Commits))
	between := map[triple]bool{} // of the triples that the batch takes or frees: whether taken
	for i, c := range b.Commits {
		k := graph.MutationKey{Author: c.Author.User, Key: c.Mutation}
		if hash, ok := keys[k]; ok {
			p.hits = append(p.hits, graph.Hit{Commit: i, Kind: graph.HitMutation, Hash: hash})
		}
		keys[k] = c.Hash
		p.first[i] = len(p.rows)
		for j := range c.Changes {
			ch := &c.Changes[j]
			before, again := seen[ch.Ref]
			row := planRow{last: true}
			if again {
				p.rows[before.row].last = false
				if kind := judge(ch, before.version, before.deleted); kind != 0 {
					p.hits = append(p.hits, graph.Hit{Commit: i, Kind: kind, Ref: ch.Ref})
				}
			} else {
				row.look, row.expect = true, expected(ch)
			}
			if ch.Event == graph.Deleted && ch.EdgeBefore != nil {
				between[tripleOf(ch.EdgeBefore)] = false
			}
			seen[ch.Ref] = touch{len(p.rows), c.Version, ch.Event == graph.Deleted}
			p.count(ch)
			p.rows = append(p.rows, row)
		}
		// A commit is judged as a whole: it may put an edge in the place of one
		// that it removes, in whichever order it names them.
		for j := range c.Changes {
			ch := &c.Changes[j]
			if ch.Event != graph.Created || ch.EdgeAfter == nil {
				continue
			}
			t := tripleOf(ch.EdgeAfter)
			switch taken, known := between[t]; {
			case !known:
				p.rows[p.first[i]+j].free = true
			case taken:
				p.hits = append(p.hits, graph.Hit{Commit: i, Kind: graph.HitBetween, Ref: ch.Ref})
			}
			between[t] = true
		}
	}
	return p
}

// lone is the plan of a single change.
func (p *plan) lone(ch *graph.Change) {
	p.count(ch)
	p.rows = append(p.rows, planRow{
		look: true, expect: expected(ch), last: true,
		free: ch.Event == graph.Created && ch.EdgeAfter != nil,
	})
}

func (p *plan) count(ch *graph.Change) {
	p.touched[ch.Ref.Kind] = true
	switch ch.Event {
	case graph.Created:
		p.delta[ch.Ref.Kind]++
	case graph.Deleted:
		p.delta[ch.Ref.Kind]--
	}
}

// expected is what the present row must be for the change.
func expected(ch *graph.Change) int64 {
	if ch.Revived {
		return expectDead
	}
	if ch.Event == graph.Created {
		return expectNever
	}
	if m := ch.MetaBefore(); m != nil {
		return int64(m.Version)
	}
	return expectLive
}

// judge gives the hit of a change of an entity that the batch has touched, or 0.
func judge(ch *graph.Change, version graph.Version, deleted bool) graph.HitKind {
	switch {
	case ch.Revived && deleted:
		return 0
	case ch.Event == graph.Created && ch.Ref.Kind == graph.KindObject:
		return graph.HitObject
	case ch.Event == graph.Created:
		return graph.HitEdge
	case deleted:
		return graph.HitConflict
	}
	if m := ch.MetaBefore(); m != nil && m.Version != version {
		return graph.HitConflict
	}
	return 0
}

func tripleOf(e *graph.Edge) triple { return triple{e.Label, e.From, e.To} }
