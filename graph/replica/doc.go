// Package replica is the in-process read model: for every open graph it holds
// the entities and the edge lists from both ends, at one version, and answers
// projections over them.
//
//	Store.State ──► Replica ◄── Apply ◄── the pipeline (its own commits, at once)
//	                   │           ◄── the follower (hints, and a slow poll of heads)
//	                   ├─► Read      the State at one version, under the read lock
//	                   ├─► Since     the recent commits that led to it, with before-images
//	                   └─► Watch     a call after each change
//
// A replica changes only by applying the log in order: it never skips a
// version, never goes back within an epoch, and never takes content from
// anywhere but the log or a whole state of the store. A hint may be lost: the
// poll finds what it spoke of at most Config.Poll later.
//
// A replica is open, and then closed for good: when its graph was deleted, or
// made again under the same name. The next Open loads what is there now. When
// the epoch changes, the replica stays open, loads the state anew and tells its
// watchers; Head().Epoch differs from then on.
//
// Entities are immutable and may be kept after Read returns. Nothing outside
// this package knows whether a State holds the whole graph: a caller asks a
// graph.Reader, for one id at a time.
package replica
