// Package graph holds the nouns of Graphtide and the ports that others implement.
//
// A graph is an isolated space of objects and directed edges with one log of
// its own. Every change is a Mutation (an RFC 6902 JSON Patch over the graph
// seen as one JSON document); a mutation that is accepted becomes one Commit,
// and the version of a commit is the version of the one before it plus one.
// The log is the truth: a state of a graph is what its commits 1…N made, and
// everything that holds a state (the current rows, the replicas, the views)
// follows the log and can be rebuilt from it.
//
//	Mutation ──► Submitter (the pipeline) ──► Store.Append ──► log ──► Replica, Hub, Dispatcher
//
// Entities (Object, Edge) and everything they point to are immutable once they
// have been handed to anybody: a change makes a new one. They may be shared
// between goroutines without locks.
//
// The package imports nothing else of the project.
package graph
