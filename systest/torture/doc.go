// Package torture breaks a whole deployment for as long as one likes and judges
// what its clients were told meanwhile.
//
//	seed ─► plan ─► [ chaos ─► heal ─► judge ] … ─► verdict
//
// Two nodes, a worker that alone runs the rule of the schema, a Postgres that
// really syncs, and a Redis run as processes. Writers
// write, each noting what it sent and every answer before the answer counts;
// readers hold views, rebuilt from what they receive by code that shares nothing
// with the server or with clientjs. In the chaos phase, about once a second,
// something is killed, stopped, flushed, cut or stalled, or a user's rights
// change. In the heal phase everything works again, and all that is under way
// must come to its end within 30 seconds. Then the log is replayed, commit by
// commit, by a model of its own (model.go, rights.go, project.go), and everything
// that any client noted is held against the model at the version it was noted at:
//
//   - each commit was asked for once, follows from the state before it, and is
//     where its author was told it is; nothing acknowledged is missing
//   - each refusal is justified by a state between the request and the answer
//   - each copy that a reader had was what its user might see at that version
//   - no byte of an object went to a user who could not read it
//   - why something left a copy is true for the user who was told
//   - the rule has run for every commit that it is about, and for nothing else
//
// A seed gives the same plan and the same choices again; the interleaving of
// processes it cannot give.
package torture
