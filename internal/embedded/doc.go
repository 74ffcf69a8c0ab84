// Package embedded brings up what the server stands on, for `graphtide dev` and
// for tests: a private Postgres as a child process, and a Redis as a child or
// in this process.
//
//	          StartPostgres            Stop, or the server exits
//	(nothing) ─────────────► running ──────────────────────────► stopped
//
// Promises. Nothing listens on the network. A data folder has one owner at a
// time: a second process is told who holds it, and where that one serves.
// Postgres never runs as root. A child dies with its parent: at Stop, and on
// Linux however else the parent ends. Stop may be called twice.
package embedded
