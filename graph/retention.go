package graph

import (
	"context"
	"time"
)

// Keep is how much history the objects of a type keep: so many versions, or the
// states they had within an age. Zero fields do not bound.
type Keep struct {
	Versions int
	Age      time.Duration
}

// Compacted tells what a compaction did.
type Compacted struct {
	Rows  int64   `json:"rows"`  // states removed
	Floor Version `json:"floor"` // log and states of the graph are kept from here on
}

// Compactor forgets history.
type Compactor interface {
	// Compact applies a retention policy to the history of a graph's objects, by
	// type; types that are not named, and edges, keep all. It may be cut off at
	// any point and run again, by several at once, while the graph is written.
	//
	// A state goes when it was replaced at least grace ago, the rules have seen
	// it, the log has gone on since, and the policy does not keep it. The last state of a living object
	// stays, and so do a removal and the state that it removed; they go together
	// once they are older than the type's age.
	//
	// The graph's Floor rises to the newest version at which a state that went
	// was still replaced: Log before it and StateAt below it are CodeGone, and so
	// is EntityAt where the entity's own history does not reach back. What is
	// left of an entity's history can be read below the floor. Commits keep their
	// place, author, cause and key for ever; their patches go once no history
	// needs them. Ids stay taken.
	Compact(ctx context.Context, name string, keep map[string]Keep, grace time.Duration) (Compacted, error)
}

// PastState is what the rule of retention looks at: one state of an object.
type PastState struct {
	Version Version
	At      time.Time // when it began
	Deleted bool      // the removal
}

// Settled says what a compaction may touch: what was replaced by a state from
// before Until, at Upto at the latest.
type Settled struct {
	Until time.Time
	Upto  Version
}

func (s Settled) holds(p PastState) bool { return !p.At.After(s.Until) && p.Version <= s.Upto }

// Removable gives how many of an object's oldest states may go, and the version
// from which on its states are known afterwards. states are the oldest first;
// total is how many there are, as they need not all be given.
func (k Keep) Removable(states []PastState, total int, now time.Time, settled Settled) (n int, from Version) {
	if len(states) == 0 || k == (Keep{}) {
		return 0, 0
	}
	for {
		// A removal shows the state before it: the two go together, where the
		// object came back.
		j := n + 1
		if j < len(states) && states[j].Deleted {
			j++
		}
		if j >= len(states) || !settled.holds(states[j]) {
			break
		}
		many := k.Versions > 0 && total-j >= k.Versions
		old := k.Age > 0 && now.Sub(states[j].At) >= k.Age
		if !many && !old {
			break
		}
		n = j
	}
	last := states[len(states)-1]
	if len(states) == total && last.Deleted && n >= total-2 && k.Age > 0 && now.Sub(last.At) >= k.Age && settled.holds(last) {
		return total, last.Version
	}
	if n == 0 {
		return 0, 0
	}
	return n, states[n].Version
}
