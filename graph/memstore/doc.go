// Package memstore keeps graphs, their logs and their states in memory.
//
// It is graph.Store to the letter, with everything but durability: tests and
// fuzzing use it where a database would only slow them down, and the
// conformance suite in graph/storetest holds it to what graph/pgstore does.
// History is kept whole.
//
// A Store is safe for concurrent use; several nodes of a test share one.
package memstore
