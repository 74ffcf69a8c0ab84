package fanout

import (
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/internal/sabotage"
	"github.com/graphtide/graphtide/server/protocol"
)

// farewell tells why p no longer sees what p saw before a stretch, and whether that
// is so for all who share a view with p. Whoever could not read an object any more
// when it was deleted, or taken off the view, is not told that it was.
type farewell struct {
	s      *step
	of     *stretch
	p      *graph.Principal
	with   *grounds // those of the view; nil: p alone is told
	parted []parting

	// The rest is there once something has left: mostly nothing does.
	ends   map[graph.ObjectID]verdict
	kin    map[kin]verdict // of objects that are still there
	judge  *judge          // tells who is kin
	deaths map[graph.Version]*past
	// common holds what all who share the view hold, for sure.
	common *graph.Principal
}

// verdict is why an object is not seen any more; mixed where it is not known to be
// so for all.
type verdict struct {
	why   protocol.Reason
	mixed bool
}

// parting is a leaving that p is told of, and that others may have to be told of
// otherwise.
type parting struct {
	ref  graph.Ref
	edge *graph.Edge
	why  protocol.Reason
}

func (s *step) farewell(p *graph.Principal, with *grounds, of *stretch) *farewell {
	return &farewell{s: s, of: of, p: p, with: with}
}

func (f *farewell) begin() {
	f.ends, f.kin, f.judge = map[graph.ObjectID]verdict{}, map[kin]verdict{}, newJudge(f.s.st, f.p, nil)
	if f.with != nil {
		f.common = f.with.common(f.p)
	}
}

// common gives a principal who holds no more than everybody does whom the grounds
// admit; p is one of them.
func (g *grounds) common(p *graph.Principal) *graph.Principal {
	if g.admin || g.exact != nil {
		return p
	}
	c := &graph.Principal{}
	for n := range g.granted {
		switch n.Kind {
		case access.NameUser:
			c.User = n.ID
		case access.NameTeam:
			c.Teams = append(c.Teams, n.ID)
		case access.NameOrg:
			c.Org = n.ID
		}
	}
	return c
}

// entry gives the leaving of an entity; edge where it is one.
func (f *farewell) entry(ref graph.Ref, edge *graph.Edge) entry {
	v := f.verdict(ref, edge)
	if v.mixed {
		f.parted = append(f.parted, parting{ref, edge, v.why})
	}
	return entry{ref: ref, why: v.why, mixed: v.mixed}
}

func (f *farewell) verdict(ref graph.Ref, edge *graph.Edge) verdict {
	if sabotage.On(sabotage.MistellLeaving) {
		return verdict{why: protocol.Unlinked}
	}
	if ref.Kind == graph.KindObject {
		return f.object(graph.ObjectID(ref.ID))
	}
	// Of an edge to what p could not read any more, p is not told either that it
	// went with it.
	from, to := f.object(edge.From), f.object(edge.To)
	for _, end := range []verdict{from, to} {
		if end.why == protocol.Forbidden && !end.mixed {
			return end
		}
	}
	v := verdict{protocol.Unlinked, from.mixed || to.mixed}
	switch {
	case from.why == protocol.Forbidden || to.why == protocol.Forbidden:
		v.why = protocol.Forbidden
	case f.s.st.Edge(edge.ID) == nil:
		v.why = protocol.Deleted
	}
	return v
}

func (f *farewell) object(id graph.ObjectID) verdict {
	if f.ends == nil {
		f.begin()
	}
	v, known := f.ends[id]
	if known {
		return v
	}
	if o := f.s.st.Object(id); o == nil {
		v = f.deleted(id)
	} else if k, ok := f.judge.kinOf(o); !ok {
		v = f.by(f.s.st, id, protocol.Unlinked)
	} else if v, known = f.kin[k]; !known {
		v = f.by(f.s.st, id, protocol.Unlinked)
		f.kin[k] = v
	}
	f.ends[id] = v
	return v
}

// deleted judges a deleted object by what it was last, and by what its rights hung
// on then.
func (f *farewell) deleted(id graph.ObjectID) verdict {
	// Before the first commit it was there to be read.
	if f.of.deletedFirst(id) {
		return verdict{why: protocol.Deleted}
	}
	buried := f.of.graves().over(f.s.st)
	if !f.sways(buried) {
		return f.by(buried, id, protocol.Deleted)
	}
	then := f.atDeathOf(id)
	if then == nil {
		return verdict{why: protocol.Forbidden} // the least that can be said
	}
	return f.by(then, id, protocol.Deleted)
}

// sways is that of the stretch, found out once for all, where what it asks for is held.
func (f *farewell) sways(r graph.Reader) bool {
	if known := f.of.swaying; known != nil {
		return *known
	}
	missed := f.s.st.Missed()
	yes := f.of.sways(r)
	if f.s.st.Missed() == missed {
		f.of.swaying = &yes
	}
	return yes
}

// maxDeaths bounds the states that one farewell goes back to: each costs as much
// as what has been committed since.
const maxDeaths = 16

// atDeathOf gives the state before the commit that deleted an object; nil where
// that is not at hand, or too many others were asked for.
func (f *farewell) atDeathOf(id graph.ObjectID) *past {
	all := f.of.touching(graph.ObjectRef(id))
	if !f.of.known || len(all) == 0 {
		return nil
	}
	death := all[len(all)-1].Version
	p, known := f.deaths[death]
	if !known && len(f.deaths) < maxDeaths {
		at := slices.IndexFunc(f.of.commits, func(c *graph.Commit) bool { return c.Version == death })
		p = before(f.s.st, f.of.commits[at:])
		if f.deaths == nil {
			f.deaths = map[graph.Version]*past{}
		}
		f.deaths[death] = p
	}
	return p
}

// by gives the reason that those are told who may read the object, to those.
func (f *farewell) by(r graph.Reader, id graph.ObjectID, why protocol.Reason) verdict {
	v := verdict{why: why}
	if f.common != nil && access.Direct(r, f.common, id, access.Read) {
		return v
	}
	read := access.Direct(r, f.p, id, access.Read)
	if !read {
		v.why = protocol.Forbidden
	}
	v.mixed = f.with != nil && (read || !f.hiddenFromAll(r, id))
	return v
}

// hiddenFromAll reports whether nobody who shares the view may read what p may
// not: whom that would open it to, none of them is.
func (f *farewell) hiddenFromAll(r graph.Reader, id graph.ObjectID) bool {
	if f.p.Admin || f.with.exact != nil {
		return true
	}
	found := survey(r, access.NewWalker(r, f.p, nil), f.p, map[graph.ObjectID]bool{id: false})
	if found.exact != nil {
		return false
	}
	for name := range found.refused {
		if _, lacked := f.with.refused[name]; !lacked {
			return false
		}
	}
	return true
}

// differs reports whether p has to be told otherwise of some of these.
func (f *farewell) differs(list []parting) bool {
	for _, l := range list {
		if f.verdict(l.ref, l.edge).why != l.why {
			return true
		}
	}
	return false
}
