// Package rediscache carries hints of new commits between nodes over Redis, and
// keeps the second level of their replicas there.
//
// A hint says that a graph has a version; the content comes from the log alone.
// Hints may be lost, repeated and late, and everything works without them: a
// node that hears nothing finds new commits by its own poll of heads. So
// nothing here may hold up a commit. Announce takes a lock for an instant and
// never fails; while Redis is slow or dead, hints wait for it in a bounded
// table, the newest for each graph, and are dropped when they have waited too
// long or when there are too many.
//
// The second level is worth waiting for: what it does not give is read from the
// database. What is to be kept waits while Redis gives signs of life, however slow
// it is; a request that needs something waits no longer than Config.Patience in all.
// Nobody waits once it gives none. What it gives is for its caller to doubt.
package rediscache
