// Package fanout decides which session hears of which commit.
//
//	log ──► replica ──► follower (one per graph) ──► view ──► feed ──► session ──► client
//
// A view is a projection as seen with one set of rights, kept for all sessions
// that nothing in it tells apart. One goroutine per graph follows the replica:
// it takes the commits since its last step, looks up which views they concern,
// brings these to the replica's version and publishes one delta for each, whose
// bytes all sessions of the view share. It never waits for a session.
//
// A view keeps a book of the lists that its projection follows, so that a commit
// costs what it changes in them. A step computes first, then carries out, then
// publishes; where the replica does not hold all that is asked for, nothing has
// been published yet, and the step begins again once it does.
//
// A session has a cursor per subscription, not a queue:
//
//	live ──── it has a lot to read, or the feed no longer has it ──► lagging
//	  ▲                                                                │
//	  └──── one merged delta, from its cursor to now, is queued ───────┘
//
// so that what a slow session costs is bounded, and nobody else waits for it.
// It never misses a version and gets none twice. What differs between what a
// session holds at an older version and now is told from what the view's deltas
// since did, which a feed keeps for longer than their texts; or, where they do not
// tell (rights have changed), by evaluating the projection over the state that the
// recent commits' before-images give back. Resuming after a reconnect and the
// parting of sessions whose rights come to differ work the same way. Where neither
// reaches back, the session is sent the whole view, as a reset.
//
// Promises, in one session: deltas and loads come in version order; those of
// one version travel together; an acknowledgement comes after every delta up to
// its version; answers to mutations come in the order in which these were sent.
//
// Every entity that goes out is judged twice: by the evaluation of the view, and
// by access.Direct when a frame is put together.
package fanout
