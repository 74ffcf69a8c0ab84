package fanout

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/sabotage"
	"github.com/graphtide/graphtide/patch"
	"github.com/graphtide/graphtide/server/protocol"
)

// entry is what a difference says about one entity: it left (why is set), it
// entered (was is 0), or it changed from version was. Of what left, was is the
// version that the view showed, once it has been carried out.
type entry struct {
	ref  graph.Ref
	obj  *graph.Object
	edge *graph.Edge
	was  graph.Version
	why  protocol.Reason
	// mixed: others who share the view may have to be told another reason.
	mixed bool
}

// difference is what lies between two states of what a session holds. It is
// put together under the replica's read lock and encoded after it.
type difference struct {
	version   graph.Version // 0: the step's
	entries   []entry
	roots     []graph.ObjectID
	rerooted  bool
	mutations []string
	at        time.Time
	by        string
	of        *stretch // what it is encoded from, where that is not the step's own
}

func (d *difference) empty() bool { return len(d.entries) == 0 && !d.rerooted }

// merge joins differences of consecutive commits into one of the step.
func merge(list []*difference) *difference {
	out := &difference{}
	at := map[graph.Ref]int{}
	for _, d := range list {
		out.mutations = append(out.mutations, d.mutations...)
		out.at, out.by = d.at, d.by
		for _, e := range d.entries {
			if i, again := at[e.ref]; again {
				if e.why == "" {
					e.was = out.entries[i].was
				}
				out.entries[i] = e
				continue
			}
			at[e.ref] = len(out.entries)
			out.entries = append(out.entries, e)
		}
	}
	return out
}

// covers notes the commits that the difference covers: those that touched an
// entity for which concerns is true.
func (d *difference) covers(commits []*graph.Commit, concerns func(graph.Ref) bool) {
	for _, c := range commits {
		for i := range c.Changes {
			if concerns(c.Changes[i].Ref) {
				d.commit(c)
				break
			}
		}
	}
}

func (d *difference) commit(c *graph.Commit) {
	if c.Mutation != "" {
		d.mutations = append(d.mutations, c.Mutation)
	}
	d.at, d.by = c.At, c.Author.User
}

// stretch is a run of commits, oldest first, that a difference is encoded from.
type stretch struct {
	commits []*graph.Commit
	known   bool    // false: earlier commits are not at hand; bodies are sent whole
	gone    graves  // what earlier ones deleted that are not at hand
	buried  *graves // these and what the commits deleted
	changes map[graph.Ref][]*graph.Change
	touched map[graph.Ref][]*graph.Commit
	swaying *bool // see farewell.sways; nil: not known yet
	patches map[*graph.Change]*patched
	encoded map[entryName]protocol.Entry // shared by all views
}

type entryName struct {
	ref      graph.Ref
	was, now graph.Version
}

// version gives that of the entity now.
func (e *entry) version() graph.Version {
	switch {
	case e.obj != nil:
		return e.obj.Meta.Version
	case e.edge != nil:
		return e.edge.Meta.Version
	}
	return 0
}

// of gives the changes of one entity, oldest first.
func (s *stretch) of(ref graph.Ref) []*graph.Change {
	if s.changes == nil {
		s.changes = map[graph.Ref][]*graph.Change{}
		for _, c := range s.commits {
			for i := range c.Changes {
				ch := &c.Changes[i]
				s.changes[ch.Ref] = append(s.changes[ch.Ref], ch)
			}
		}
	}
	return s.changes[ref]
}

// size counts the changes.
func (s *stretch) size() (n int) {
	for _, c := range s.commits {
		n += len(c.Changes)
	}
	return n
}

// graves gives what the stretch deleted, as it was last.
func (s *stretch) graves() graves {
	if s.buried == nil {
		g := s.gone.with(s.commits)
		s.buried = &g
	}
	return *s.buried
}

// deletedFirst reports whether the first commit after a known state deleted an
// object.
func (s *stretch) deletedFirst(id graph.ObjectID) bool {
	if !s.known || len(s.commits) == 0 {
		return false
	}
	last := s.touching(graph.ObjectRef(id))
	return len(last) > 0 && last[len(last)-1] == s.commits[0]
}

// sways reports whether the stretch changes rights of objects that it neither makes
// nor deletes with that: what they are now, they need not have been before. r finds
// deleted objects as well. Of commits that are not at hand nothing is known.
func (s *stretch) sways(r graph.Reader) bool {
	return slices.ContainsFunc(s.commits, func(c *graph.Commit) bool { return sways(c, r) })
}

func sways(c *graph.Commit, r graph.Reader) bool {
	whole := map[graph.ObjectID]bool{} // made or deleted
	for i := range c.Changes {
		ch := &c.Changes[i]
		if ch.Ref.Kind == graph.KindObject && ch.Event != graph.Modified {
			whole[graph.ObjectID(ch.Ref.ID)] = true
		}
	}
	return slices.ContainsFunc(c.Changes, func(ch graph.Change) bool {
		e := ch.EdgeAfter
		switch {
		case ch.Event == graph.Modified:
			return ch.Ref.Kind == graph.KindObject && ch.AccessChanged
		case ch.Event == graph.Deleted:
			e = ch.EdgeBefore
		}
		return e != nil && !whole[e.From] && inherits(r.Object(e.From), e.Label)
	})
}

// rights gives the objects whose own rights, or what these rest on, the stretch
// has changed.
func (s *stretch) rights(r graph.Reader) map[graph.ObjectID]bool {
	var out map[graph.ObjectID]bool
	note := func(id graph.ObjectID) {
		if out == nil {
			out = map[graph.ObjectID]bool{}
		}
		out[id] = true
	}
	for _, c := range s.commits {
		for i := range c.Changes {
			ch := &c.Changes[i]
			switch {
			case ch.Ref.Kind == graph.KindObject:
				if ch.AccessChanged || ch.Event == graph.Deleted {
					note(graph.ObjectID(ch.Ref.ID))
				}
			case ch.Event == graph.Deleted:
				note(ch.EdgeBefore.From)
			case ch.Event == graph.Created && inherits(r.Object(ch.EdgeAfter.From), ch.EdgeAfter.Label):
				note(ch.EdgeAfter.From)
			}
		}
	}
	return out
}

// touching gives the commits that touched an entity, oldest first.
func (s *stretch) touching(ref graph.Ref) []*graph.Commit {
	if s.touched == nil {
		s.touched = map[graph.Ref][]*graph.Commit{}
		for _, c := range s.commits {
			for i := range c.Changes {
				s.touched[c.Changes[i].Ref] = append(s.touched[c.Changes[i].Ref], c)
			}
		}
	}
	return s.touched[ref]
}

// patched is the patch of a change, read.
type patched struct {
	ops   []patch.Op
	known bool // false: it could not be read
}

// ops gives the operations of a change, which are read once for all views.
func (t touch) ops() (ops []patch.Op, known bool) {
	p := t.of.patches[t.change]
	if p == nil {
		ops, err := patch.Parse(t.change.Patch, 0)
		p = &patched{ops, err == nil && len(ops) > 0}
		if t.of.patches == nil {
			t.of.patches = map[*graph.Change]*patched{}
		}
		t.of.patches[t.change] = p
	}
	return p.ops, p.known
}

// encode gives the wire form of the entries. A changed entity is encoded once,
// however many views show it.
func (s *stretch) encode(list []entry) protocol.Entries {
	var out protocol.Entries
	for i := range list {
		e := &list[i]
		if e.why != "" {
			out.Add(e.ref.Kind, protocol.LeaveEntry(e.ref, e.why))
			continue
		}
		name := entryName{e.ref, e.was, e.version()}
		text, ok := s.encoded[name]
		if !ok {
			text = s.entry(e)
			if s.encoded == nil {
				s.encoded = map[entryName]protocol.Entry{}
			}
			s.encoded[name] = text
		}
		out.Add(e.ref.Kind, text)
	}
	return out
}

// encoded gives the entries of a difference that has a stretch of its own. It
// may be called by several sessions at once, and so caches nothing.
func (d *difference) encoded() protocol.Entries {
	if d.of == nil {
		return protocol.Entries{}
	}
	of := stretch{commits: d.of.commits, known: d.of.known}
	return of.encode(d.entries)
}

func (s *stretch) entry(e *entry) protocol.Entry {
	switch {
	case e.was == 0 && e.obj != nil:
		return protocol.EnterObject(e.obj)
	case e.was == 0:
		return protocol.EnterEdge(e.edge)
	case e.obj != nil:
		return protocol.PatchEntry(e.ref, e.was, s.patch(e, e.obj.Body), &e.obj.Meta)
	}
	return protocol.PatchEntry(e.ref, e.was, s.patch(e, e.edge.Body), &e.edge.Meta)
}

// patch joins the patches of all changes since the entry's was; where that is
// longer than the body, or the changes are not at hand, it replaces the body.
func (s *stretch) patch(e *entry, body json.RawMessage) json.RawMessage {
	if ops, ok := s.joined(e, len(body)+wholeBodyRoom); ok {
		return ops
	}
	whole := make([]byte, 0, len(body)+wholeBodyRoom)
	whole = append(whole, `[{"op":"replace","path":"/body","value":`...)
	whole = append(whole, body...)
	return append(whole, '}', ']')
}

// joined gives the patches as one; false where they are not at hand, or not as short
// as that. An undone deletion brings back a state that no patch leads to.
func (s *stretch) joined(e *entry, room int) (ops json.RawMessage, ok bool) {
	if !s.known {
		return nil, false
	}
	ops = []byte{'['}
	for _, ch := range s.of(e.ref) {
		if v := versionAfter(ch); v <= e.was || v > e.version() {
			continue
		}
		if ch.Event == graph.Created {
			return nil, false
		}
		part := bytes.TrimSpace(bodyOnly(ch))
		if len(part) <= 2 || sabotage.On(sabotage.MisMerge) && len(ops) > 1 {
			continue
		}
		if len(ops) > 1 {
			ops = append(ops, ',')
		}
		ops = append(ops, part[1:len(part)-1]...)
	}
	if len(ops) > room {
		return nil, false
	}
	return append(ops, ']'), true
}

// wholeBodyRoom is what replacing a body takes beside the body.
const wholeBodyRoom = 48

func versionAfter(ch *graph.Change) graph.Version {
	switch {
	case ch.ObjAfter != nil:
		return ch.ObjAfter.Meta.Version
	case ch.EdgeAfter != nil:
		return ch.EdgeAfter.Meta.Version
	}
	return 0
}
