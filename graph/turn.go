package graph

import "context"

// MaxTail bounds the commits that come with a turn.
const MaxTail = 512

// Turn is the right to append to a graph's log next. While it lasts nobody
// else appends, on any node, so an append on its head cannot find that the head
// has moved.
//
// A turn ends with its first Append or with Release, and by itself once its
// holder has been silent for some 2.5 seconds: a node that is stalled or cut off
// holds up nobody longer. What it tries afterwards is refused with
// CodeUnavailable and was not written.
//
// A Turn is used by one goroutine.
type Turn interface {
	// Head is where the log stands for as long as the turn lasts.
	Head() Head
	// Tail is what Store.Log gives after the version that the turn was asked
	// with: as far as Head, or the first MaxTail commits.
	Tail() []*Commit
	// Append is Store.Append, with all its answers, and ends the turn.
	Append(ctx context.Context, b *Batch) (AppendResult, error)
	// Release ends the turn with nothing written. After the end it does nothing.
	Release()
}
