package torture

import (
	"fmt"
	"slices"

	"github.com/graphtide/graphtide/systest/plain"
)

// sub is a subscription and what is held of it.
type sub struct {
	name    string
	query   int
	view    string
	key     string
	epoch   string
	version int // that the copy is at
	held    held
	loaded  bool // on this connection
	asked   int  // the version that it was resumed at; -1: from the start
	whole   bool // nothing but a reset is right
	frames  int  // entities of the load so far
	total   int
	pasts   []past
}

// past is what was held some time ago.
type past struct {
	version    int
	held       held
	key, epoch string
}

// resubscribe asks for a view again, from some version that the reader claims
// to hold, and does; false where this is not the time to.
func (r *reader) resubscribe(s *sub, how string) bool {
	if !s.loaded || r.partial || r.was != nil {
		return false
	}
	delete(r.views, s.view)
	for _, other := range r.subs { // it may share the view
		if other != s && other.view == s.view {
			r.views[s.view] = append(r.views[s.view], other)
		}
	}
	s.loaded, s.view, s.whole = false, "", false
	version, epoch, key := max(s.version, 0), s.epoch, s.key
	switch how {
	case "resume-past":
		if len(s.pasts) > 0 {
			p := s.pasts[r.rng.IntN(len(s.pasts))]
			s.held, version, epoch, key = p.held.clone(), p.version, p.epoch, p.key
		}
	case "resume-zero":
		s.held, version = newHeld(), 0
	case "resume-beyond":
		version, s.whole = r.last+1_000_000, true
	case "resume-other-epoch":
		epoch, s.whole = newID(), true
	case "resume-other-key":
		key, s.whole = "another", true
	}
	s.version = version
	// Under its old name something may be on its way that is no answer to this.
	r.say(map[string]any{"t": "unsub", "sub": s.name})
	r.names++
	s.name = fmt.Sprintf("s%d", r.names)
	r.subscribe(s, version, epoch, key)
	return true
}

func (r *reader) subscribe(s *sub, since int, epoch, key string) {
	m := map[string]any{"t": "sub", "sub": s.name, "projection": r.w.things.queries[s.query].doc}
	if s.asked = since; since >= 0 {
		m["since"], m["epoch"], m["key"] = since, epoch, key
	}
	s.epoch, s.key, s.frames = epoch, key, 0
	r.say(m)
}

func (r *reader) load(m map[string]any, version int) *fault {
	name, _ := m["sub"].(string)
	if name != "" && name == r.fence {
		r.was, r.fence = nil, ""
		r.say(map[string]any{"t": "unsub", "sub": name})
		r.last = max(r.last, version)
		return nil
	}
	i := slices.IndexFunc(r.subs, func(s *sub) bool { return s.name == name })
	if i < 0 {
		return nil // a fence of before
	}
	s := r.subs[i]
	view, _ := m["view"].(string)
	reset := m["reset"] == true
	if s.frames == 0 {
		switch {
		case s.loaded && !reset: // other rights: the difference from what was held
		case s.asked < 0 || reset:
			if s.asked >= 0 {
				r.w.count(cResets, 1)
			}
			s.held = newHeld()
		case s.whole:
			return &fault{"S5 resumable", fmt.Sprintf("query %d, resumed with what cannot be built on (since %d, epoch %s of %s), was not reset", s.query, s.asked, s.epoch, r.epoch)}
		default:
			r.w.count(cResumes, 1)
		}
		if version < s.version && !reset {
			return &fault{"S9 monotone", fmt.Sprintf("query %d goes back from %d to %d", s.query, s.version, version)}
		}
		s.total = toInt(m["total"])
		if view != s.view {
			r.views[s.view] = slices.DeleteFunc(r.views[s.view], func(o *sub) bool { return o == s })
			if len(r.views[s.view]) == 0 {
				delete(r.views, s.view)
			}
			r.views[view] = append(r.views[view], s)
		}
		s.view, s.asked, s.whole = view, -1, false
	}
	s.key, _ = m["key"].(string)
	s.epoch = r.epoch
	n, f := r.entries(s, m, version)
	if f != nil {
		return f
	}
	s.frames += n
	s.version, s.loaded, r.last = version, true, version
	if r.partial = m["done"] != true; r.partial {
		return nil
	}
	if s.frames != s.total {
		return &fault{"S2 gap-free", fmt.Sprintf("a load of %d entities says %d", s.frames, s.total)}
	}
	s.frames = 0
	if got := fmt.Sprint(s.held.digest); got != fmt.Sprint(m["digest"]) {
		return &fault{"S7 convergent", fmt.Sprintf("after a load of query %d at %d the digest is %v, the copy has %s: %v", s.query, version, m["digest"], got, s.held.versions())}
	}
	return nil
}

func (r *reader) delta(m map[string]any, version int) *fault {
	view, _ := m["view"].(string)
	subs := r.views[view]
	if len(subs) == 0 {
		return nil // of a subscription that was ended
	}
	for _, s := range subs {
		if version < s.version || version == s.version && !r.partial {
			return &fault{"S3 unique", fmt.Sprintf("a delta of %d for query %d, which is at %d", version, s.query, s.version)}
		}
		if _, f := r.entries(s, m, version); f != nil {
			return f
		}
	}
	for _, s := range subs {
		s.version = version
	}
	r.last, r.partial = version, m["done"] != true
	return nil
}

// entries takes in what leads a copy to a version.
func (r *reader) entries(s *sub, m map[string]any, version int) (n int, f *fault) {
	h := &s.held
	for _, part := range []string{"objects", "edges"} {
		all, _ := m[part].(map[string]any)
		for id, e := range all {
			entry, _ := e.(map[string]any)
			if f := h.take(part, id, entry, version); f != nil {
				return n, f
			}
			if why, leaves := entry["leave"]; leaves {
				// Of several commits that became one message any may be the reason.
				r.w.notes.left(leaving{min(s.version+1, version), version, r.who(), part, id, text(why), fmt.Sprintf("%v to %s", m["t"], r.name)})
			}
			n++
		}
	}
	if m["roots"] != nil {
		h.roots = texts(m["roots"])
	}
	return n, nil
}

// boundary is a moment at which an application would look: all views of the
// session are at one version, whole.
func (r *reader) boundary() *fault {
	for _, s := range r.subs {
		if !s.loaded {
			continue
		}
		if f := s.held.closed(); f != nil {
			return f
		}
		for _, pair := range r.w.things.twins {
			a, b := s.held.objects[pair[0]], s.held.objects[pair[1]]
			if a == nil || b == nil {
				continue
			}
			x, _ := plain.At(a, "/body/pair")
			y, _ := plain.At(b, "/body/pair")
			if !plain.Equal(x, y) {
				return &fault{"S4 atomic", fmt.Sprintf("query %d shows one half of a version: %v and %v", s.query, x, y)}
			}
		}
		s.version = max(s.version, r.last)
		if settled := r.target > 0 && r.at >= r.target; settled || r.rng.IntN(4) == 0 {
			r.w.note(&s.held, s.query, s.version, r.who(), r.name)
		}
		if r.rng.IntN(40) == 0 && r.was == nil {
			if len(s.pasts) == 4 {
				s.pasts = slices.Delete(s.pasts, 0, 1)
			}
			s.pasts = append(s.pasts, past{s.version, s.held.clone(), s.key, s.epoch})
		}
	}
	return nil
}
