package archive

import (
	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// withoutHistory reads the present state, and writes it in as few commits as
// their bound lets.
func (im *importer) withoutHistory() error {
	w := &stateWriter{importer: im, objects: map[graph.ObjectID]bool{}}
	for {
		l, err := im.in.next()
		if err != nil {
			return err
		}
		switch {
		case l.Object != nil:
			err = w.object(l.Object)
		case l.Edge != nil:
			err = w.edge(l.Edge)
		case l.End != nil:
			return w.end(l.End)
		default:
			err = im.in.fault("commits are in archives with history alone; the first line says that this is none")
		}
		if err != nil {
			return err
		}
	}
}

// stateWriter makes commits of entities.
type stateWriter struct {
	*importer
	objects map[graph.ObjectID]bool
	next    *graph.Commit // being made
	ops     []byte
	from    int // its first line
}

func (w *stateWriter) object(l *objectLine) error {
	if w.count.Edges > 0 {
		return w.in.fault("objects come before edges")
	}
	o, err := w.in.object(l)
	if err != nil {
		return err
	}
	ref := graph.ObjectRef(o.ID)
	if err := w.note(ref); err != nil {
		return err
	}
	if err := w.judged(ref, w.opt.Law.Object(o)); err != nil {
		return err
	}
	w.count.Objects++
	w.objects[o.ID] = true
	w.stamp(&o.Meta)
	w.consider(o)
	return w.add(graph.Change{Ref: ref, Event: graph.Created, ObjAfter: o, BodyChanged: true, AccessChanged: true}, objectValue(o))
}

func (w *stateWriter) edge(l *edgeLine) error {
	e, err := w.in.edge(l)
	if err != nil {
		return err
	}
	ref := graph.EdgeRef(e.ID)
	if err := w.note(ref); err != nil {
		return err
	}
	for _, end := range []graph.ObjectID{e.From, e.To} {
		if !w.objects[end] {
			return w.in.fault("edge %s has an end at object %s, which the archive does not have", e.ID, end)
		}
	}
	if err := w.judged(ref, w.opt.Law.Edge(e)); err != nil {
		return err
	}
	w.count.Edges++
	w.stamp(&e.Meta)
	return w.add(graph.Change{Ref: ref, Event: graph.Created, EdgeAfter: e, BodyChanged: true}, edgeValue(e))
}

func (w *stateWriter) end(l *endLine) error {
	if err := w.ended(l); err != nil {
		return err
	}
	if ref, err := w.opt.Law.End(); err != nil {
		return w.judged(ref, err)
	}
	return w.finish()
}

// stamp gives an entity the version, the time and the author of the commit that
// is being made. When and by whom it was made stays as it was.
func (w *stateWriter) stamp(m *graph.Meta) {
	if w.next == nil {
		w.begin()
	}
	c := w.next
	m.Version, m.CreatedVersion, m.UpdatedAt, m.UpdatedBy = c.Version, c.Version, c.At, c.Author.User
}

func (w *stateWriter) begin() {
	w.next, w.ops, w.from = w.own(), []byte{'['}, w.in.line
}

// importBytes is how large the patch of one commit grows.
const importBytes = 8 << 20

// add adds a creation to the commit that is being made.
func (w *stateWriter) add(ch graph.Change, value []byte) error {
	if len(w.ops) > 1 {
		w.ops = append(w.ops, ',')
	}
	w.ops = patch.AppendOp(w.ops, "", patch.Op{Kind: patch.Add, Path: patch.Pointer{ch.Ref.Kind.Collection(), ch.Ref.IDString()}, Value: value})
	w.next.Changes = append(w.next.Changes, ch)
	if len(w.next.Changes) < w.opt.Touched && len(w.ops) < importBytes {
		return nil
	}
	return w.finish()
}

// finish hands on the commit that is being made.
func (w *stateWriter) finish() error {
	c := w.next
	if c == nil {
		return nil
	}
	w.next = nil
	w.sign(c, append(w.ops, ']'))
	return w.append(c, w.from)
}

// objectValue and edgeValue give what an add of the entity holds.
func objectValue(o *graph.Object) []byte {
	b := append([]byte(`{"type":`), graph.AppendString(nil, o.Type)...)
	b = append(b, `,"body":`...)
	b = append(b, o.Body...)
	b = append(b, `,"access":`...)
	b = append(b, o.Access.Raw...)
	return append(b, '}')
}

func edgeValue(e *graph.Edge) []byte {
	b := append([]byte(`{"label":`), graph.AppendString(nil, e.Label)...)
	b = append(b, `,"from":"`...)
	b = e.From.AppendTo(b)
	b = append(b, `","to":"`...)
	b = e.To.AppendTo(b)
	b = append(b, `","body":`...)
	b = append(b, e.Body...)
	return append(b, '}')
}
