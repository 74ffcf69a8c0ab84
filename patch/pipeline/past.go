package pipeline

import (
	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/patch"
)

// pastReader tells how things were at the version that an author saw. It is
// asked only where `base` is given and the plain reading of an operation fails
// or depends on an array's length.
type pastReader interface {
	// EntityAt gives an entity as of a version, and the commit that removed it
	// since, if one did.
	EntityAt(ref graph.Ref, at graph.Version) (graph.Snapshot, *graph.Commit, error)
	// Since gives what commits after at did to the entity, oldest first; ok is
	// false where that reaches further back than what is in memory.
	Since(ref graph.Ref, at graph.Version) (steps []step, ok bool)
}

// step is what one commit did to an entity that existed before and after.
type step struct {
	session       string
	before, after []byte // bodies
	patch         []byte // how the one became the other, paths from the entity on; nil where only they are known
}

// removedSince reports whether the operation is a removal whose target another
// transaction has removed since base. What the author could not read when it
// was removed stays not-found.
func (d *Draft) removedSince(o *op) bool {
	if d.in.m.Base == nil || o.Kind != patch.Remove || d.past == nil {
		return false
	}
	exists := d.read.Object(o.ref.ID) != nil
	if o.ref.Kind == graph.KindEdge {
		exists = d.read.Edge(graph.EdgeID(o.ref.ID)) != nil
	}
	if exists {
		return false
	}
	was, removal, err := d.past.EntityAt(o.ref, *d.in.m.Base)
	if err != nil || was.Deleted || was.Object == nil && was.Edge == nil {
		return false
	}
	if d.trusted() {
		return true
	}
	if removal == nil {
		return false
	}
	// Rights are those of the moment before the removal, with what went with it.
	before := newOverlay(d.read)
	for i := range removal.Changes {
		c := &removal.Changes[i]
		if c.Event != graph.Deleted {
			continue
		}
		if c.ObjBefore != nil {
			before.putObject(c.ObjBefore.ID, c.ObjBefore)
		}
		if c.EdgeBefore != nil {
			before.addEdge(c.EdgeBefore)
		}
	}
	p := &d.in.m.Author
	if was.Object != nil {
		return access.Direct(before, p, was.Object.ID, access.Read)
	}
	return access.Direct(before, p, was.Edge.From, access.Read) && access.Direct(before, p, was.Edge.To, access.Read)
}

// bodyAtBase gives the body as the author saw it; nil where the entity was not
// there, or has not changed since.
func (d *Draft) bodyAtBase(t *touch) []byte {
	base := d.in.m.Base
	if base == nil || d.past == nil || t.created || t.meta().Version <= *base {
		return nil
	}
	was, _, err := d.past.EntityAt(t.ref, *base)
	switch {
	case err != nil || was.Deleted:
		return nil
	case was.Object != nil:
		return was.Object.Body
	case was.Edge != nil:
		return was.Edge.Body
	}
	return nil
}
