package torture

import (
	"maps"
	"slices"
)

// leavings gives what the reasons claim for which entities left views.
func (j *judge) leavings(all []leaving) (out []claim) {
	w := j.w
	for _, l := range all {
		w.count(cLeft, 1)
		out = append(out, claim{l.lo, l.hi, func() bool { return j.leaves(l) }, func() {
			there := j.model.of(l.part)[l.id] != nil
			w.violate("S7 convergent", "the %s tells %s at %d that %s %s left as %q, which is true at no version from %d on: it is there: %v, readable: %v, until it was deleted: %v; lately %v; it hangs on: %s",
				l.source, w.notes.people[l.who[0]], l.hi, l.part, l.id, l.why, l.lo, there, j.readable(l), j.buried(l), j.trail[l.id], j.hangs(l))
		}})
	}
	return out
}

// leaves reports whether the reason is true, in the model's present state, for
// the user who is told it: deleted is what is no more and was for the user to read
// until then, or an edge whose ends are; unlinked, what is there to be read;
// forbidden, what is not to be read, where nothing is told of whether it is there.
func (j *judge) leaves(l leaving) bool {
	switch l.why {
	case "deleted":
		return j.model.of(l.part)[l.id] == nil && j.buried(l)
	case "unlinked":
		return j.readable(l) || j.readUntil(l)
	case "forbidden":
		return slices.ContainsFunc(l.who, func(who int) bool { return !j.model.reads(j.w.notes.people[who], l.part, l.id) })
	}
	return false
}

func (j *judge) readable(l leaving) bool {
	return slices.ContainsFunc(l.who, func(who int) bool { return j.model.reads(j.w.notes.people[who], l.part, l.id) })
}

// readUntil reports whether the user could read what is no more until its deletion, and
// that was after what he held: it may have left his view before, in a round that is
// judged already.
func (j *judge) readUntil(l leaving) bool {
	g := j.graves[l.part+"/"+l.id]
	return g.at > l.lo && slices.ContainsFunc(l.who, func(who int) bool { return g.holders["read"][j.w.notes.people[who].String()] })
}

// grave is what there is to know of an entity that is no more.
type grave struct {
	holders map[string]map[string]bool // of each right, until it was deleted
	ends    []string                   // of an edge
	at      int                        // the version of the deletion
	last    *entity
	out     map[string]*entity // the edges that left an object
}

// buried reports whether the user could read what is no more until its deletion.
func (j *judge) buried(l leaving) bool {
	g := j.graves[l.part+"/"+l.id]
	return slices.ContainsFunc(l.who, func(who int) bool {
		p := j.w.notes.people[who]
		hidden := func(end string) bool { return !j.model.holds(p, end, "read") }
		return g.holders["read"][p.String()] || len(g.ends) > 0 && !slices.ContainsFunc(g.ends, hidden)
	})
}

// bury notes who holds which rights on what a commit is about to delete.
func (j *judge) bury(c *commit) {
	for _, raw := range c.patch {
		op, _ := raw.(map[string]any)
		part, id, rest, _ := split(op["path"])
		if rest != "" || op["op"] != "remove" {
			continue
		}
		g := grave{at: c.version, holders: map[string]map[string]bool{}, last: j.model.of(part)[id], out: maps.Clone(j.model.out[id])}
		ids := []string{id}
		if e := j.model.edges[id]; part == "edges" && e != nil {
			g.ends = []string{e.str("from"), e.str("to")}
			ids = g.ends
		}
		for _, right := range []string{"read", "write", "manage"} {
			g.holders[right] = map[string]bool{}
			for _, p := range everybody {
				if !slices.ContainsFunc(ids, func(id string) bool { return !j.model.holds(p, id, right) }) {
					g.holders[right][p.String()] = true
				}
			}
		}
		j.graves[part+"/"+id] = g
	}
}

// hangs says what the rights on what left rest on.
func (j *judge) hangs(l leaving) string {
	if e := j.model.edges[l.id]; l.part == "edges" && e != nil {
		return j.chain(e.str("from"), 0) + "; " + j.chain(e.str("to"), 0)
	}
	return j.chain(l.id, 0)
}
