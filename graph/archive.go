package graph

import "context"

// Archive is what export and import ask of a store beyond Store: what is left of
// the log below its floor, and a graph that is filled out of sight.
//
// A prepared graph has a key and no name that anybody can ask for: Graphs and
// Graph do not know it, and no rule looks at its log. Append and the readers
// take its key. It becomes a graph at Publish, whole, and before that leaves no
// trace but rows, which the next Prepare of the same name gives up.
type Archive interface {
	// Floor gives the version from which log and states are kept.
	Floor(ctx context.Context, g GraphKey) (Version, error)
	// Marks gives up to limit commits after since, oldest first, however old,
	// as far as no compaction forgets them: without Asked, Done and Changes.
	Marks(ctx context.Context, g GraphKey, since Version, limit int) ([]*Commit, error)

	// IdleKeys gives up to limit keys of transactions without effect, in the order
	// of key and author, after one.
	IdleKeys(ctx context.Context, g GraphKey, after MutationKey, limit int) ([]KeptKey, error)

	// Prepare makes an empty graph out of sight, to become the graph of this
	// name; CodeExists where that one is there and not empty. An earlier one that
	// was prepared for the name and never published is dropped: what still
	// writes to it gets CodeNotFound.
	Prepare(ctx context.Context, name string) (GraphInfo, error)
	// Ground lays what a log with a floor begins with, into a prepared graph that
	// has no other commits: first the marks, from version 1 on, in one or more
	// calls, then what lived at the last mark, which is the floor. The entities'
	// versions are those of marks; their times and authors are not compared with
	// the marks'.
	Ground(ctx context.Context, g GraphKey, marks []*Commit, objects []*Object, edges []*Edge) error
	// Publish gives a prepared graph its name, in place of an empty one, which is
	// dropped; CodeExists where that one is not empty any more. Rules go on from
	// the head: what was imported fires none.
	Publish(ctx context.Context, g GraphKey, name string) error
}

// KeptKey is the key of a transaction without effect, with what was answered.
type KeptKey struct {
	IdleKey // without Fence
	Version Version
}

// PreparedName is the name under which a store keeps the graph prepared for a
// name. No request can ask for it: names begin with a letter or a digit.
func PreparedName(name string) string { return "." + name }

// Occupied refuses an import into a graph with a history, also where all that it
// held was removed: the log would be lost.
func Occupied(name string, at Version) *Error {
	remedy := "delete the graph, or import under another name"
	if name == MainGraph { // it always exists
		remedy = "import under another name"
	}
	return Errf(CodeExists, "the graph %s is not empty: its history, up to version %d, would be lost; %s", name, at, remedy)
}
