// Package storetest is the conformance suite of graph.Store: what the port
// promises, and every implementation has to show.
//
// A world builds commits the way the pipeline does and remembers what they must
// lead to; the tests compare a store with it.
package storetest
