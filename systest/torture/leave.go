package torture

// leavings gives what the reasons claim for which entities left views.
func (j *judge) leavings(all []leaving) (out []claim) {
	w := j.w
	for _, l := range all {
		w.count(cLeft, 1)
		out = append(out, claim{l.lo, l.hi, func() bool { return j.leaves(l.part, l.id, l.why) }, func() {
			w.violate("S7 convergent", "the %s tells %s at %d that %s %s left as %q, which is not why from version %d on: it is there: %v; lately %v",
				l.source, w.notes.people[l.who[0]], l.hi, l.part, l.id, l.why, l.lo, j.model.of(l.part)[l.id] != nil, j.trail[l.id])
		}})
	}
	return out
}

// leaves reports whether this can be why an entity is out of a view: it is no
// more; or it is there, and not reached, or not for everybody to read. A view that
// several users share has the reason of one of them: that another one of them may
// or may not read what left all of them is not held against it.
func (j *judge) leaves(part, id, why string) bool {
	there := j.model.of(part)[id] != nil
	switch why {
	case "deleted":
		return !there
	case "unlinked":
		return there
	case "forbidden":
		if !there {
			return true // the least that may be told
		}
		for _, p := range j.w.notes.people {
			if !j.model.reads(p, part, id) {
				return true
			}
		}
	}
	return false
}
