// Package pgstore keeps graphs in Postgres: the one place, beside migrations,
// that holds SQL.
//
// Appending is one call of a function in the database, one round trip, one short
// transaction: it locks the graph's row, compares the head, looks for what
// stands in the way, and writes the commits, their history and the present
// rows, or nothing.
//
//	graphs    one row a graph: the head, and the lock under which the log grows
//	commits   the log: who, when, why, the patch as asked and as done
//	history   a row for each entity that a commit touched, with its state after
//	objects   the present rows, and those of deleted ones: an id is taken once
//	edges     likewise
//
// Every statement is whole, stands beside the function that runs it, and begins
// with a comment that names it, so that it can be told in the database's own
// statistics and pasted into psql.
//
// Errors. What may be tried again carries graph.CodeUnavailable; a write that
// ends so has an unknown outcome, which the same mutation keys resolve. An error
// without a code is a fault of ours or of the database's shape; its text is for
// the log alone.
package pgstore
