package archive

import (
	"fmt"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// mending is an object that cannot stay as it stood in the archive.
type mending struct {
	obj *graph.Object
	ops []patch.Op
}

// consider asks whether an object has to be mended.
func (im *importer) consider(o *graph.Object) {
	if im.opt.Mend == nil {
		return
	}
	if ops := im.opt.Mend(o); len(ops) > 0 {
		im.mends = append(im.mends, mending{o, ops})
	}
}

// mend writes what has to be mended, behind all that was read.
func (im *importer) mend() error {
	if len(im.mends) == 0 {
		return nil
	}
	c := im.own()
	done := []byte{'['}
	for i, m := range im.mends {
		ref := graph.ObjectRef(m.obj.ID)
		after, fault := patch.Apply(fmt.Appendf(nil, `{"body":%s}`, m.obj.Body), m.ops, patch.JSONLimits{})
		if fault != nil {
			return &LineError{im.lines[ref], fmt.Sprintf("object %s cannot be mended: %v", m.obj.ID, fault)}
		}
		o := *m.obj
		o.Body, _ = patch.Get(after, patch.Pointer{"body"})
		o.Meta.Version, o.Meta.UpdatedAt, o.Meta.UpdatedBy = c.Version, c.At, c.Author.User
		c.Changes = append(c.Changes, graph.Change{
			Ref: ref, Event: graph.Modified, ObjBefore: m.obj, ObjAfter: &o, BodyChanged: true, Patch: patch.AppendOps(nil, "", m.ops),
		})
		for j, op := range m.ops {
			if i+j > 0 {
				done = append(done, ',')
			}
			done = patch.AppendOp(done, ref.Pointer(), op)
		}
	}
	im.sign(c, append(done, ']'))
	return im.append(c, im.in.line)
}
