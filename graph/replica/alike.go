package replica

import (
	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
)

// reading answers for Evaluate which objects a principal may read. It asks a
// Walker, save for objects that nothing can tell from the one asked about
// before: the thousands of records under one parent, which differ in nothing
// that rights depend on.
//
// The right to read an object depends on its access, and where that inherits,
// on the far ends of its outbound edges; where there are none, on its creator.
// So two objects are alike if they share their access and it inherits nothing,
// or if they share access, creator, and their one outbound edge's label and end.
type reading struct {
	walker *access.Walker

	last     *graph.ACL // of the object asked about before; nil: none
	answer   bool
	inherits bool // last does
	// Where last inherits, the answer is for objects with one outbound edge:
	creator string
	label   string
	end     graph.ObjectID
}

// mayRead answers for an object; only is its one outbound edge, nil where it
// may have others or none.
func (r *reading) mayRead(o *graph.Object, only *graph.Edge) bool {
	if o.Access == r.last && (!r.inherits || only != nil && r.creator == o.Meta.CreatedBy && r.end == only.To && r.label == only.Label) {
		return r.answer
	}
	r.ask(o)
	switch {
	case only != nil:
		r.creator, r.label, r.end = o.Meta.CreatedBy, only.Label, only.To
	case r.inherits:
		r.last = nil // nobody is known to be like it
	}
	return r.answer
}

func (r *reading) ask(o *graph.Object) {
	r.answer = r.walker.Holds(o.ID, access.Read)
	if o.Access == r.last {
		return
	}
	r.last, r.inherits = o.Access, false
	for _, h := range o.Access.Rights {
		if len(h.Inherit) > 0 {
			r.inherits = true
		}
	}
}
