package fanout

import (
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/sabotage"
	"github.com/graphtide/graphtide/server/protocol"
)

// maxResumed bounds the differences kept for one view.
const maxResumed = 16

// resumed is the way from what was held at since to a view as it is: found once
// for all who held the same.
type resumed struct {
	since graph.Version
	why   *grounds // of what was held
	// only, where set, is whose the reasons are for which something left: others are
	// to be told others.
	only *graph.Principal
	diff *difference
	load *body

	delta   *body         // nil until a lagging session needs it …
	deltaAt graph.Version // … at this version
}

// heldAt gives, for who is told, the difference between what p held at since and v, which is at
// the step's version; nil where that cannot be found out. far: it might be with
// more of the log than is at hand.
func (s *step) heldAt(v *view, p, told *graph.Principal, since graph.Version) (held *resumed, far bool) {
	if since < v.floor || since > s.head.Version {
		return nil, false
	}
	if sabotage.On(sabotage.ResumeOffByOne) && since < s.head.Version {
		since++
	}
	if sabotage.On(sabotage.ResumeRepeats) && since > 1 {
		since--
	}
	for _, r := range v.diffs {
		if r.since == since && r.why.admits(p) && (r.only == nil || samePrincipals(r.only, told)) {
			return r, false
		}
	}
	r := &resumed{since: since, why: v.why}
	if r.diff = s.replay(v, p, since); r.diff == nil {
		then := s.earlierAt(since)
		if then == nil {
			return nil, true
		}
		held, err := s.lens.compute(then.state, p, v.proj, v.size())
		if err != nil || s.short() {
			return nil, false
		}
		r.why = held.why
		bye := s.farewell(told, v.why, then.of)
		if r.diff = s.between(held, v, then.of, bye); s.short() {
			return nil, false
		}
		if len(bye.parted) > 0 {
			r.only = told
		}
	}
	v.remember(r)
	return r, false
}

// replay gives the difference from the trails of the view's own deltas, which
// costs what these hold; nil where they do not tell. Who sees the view now saw
// it at since as well, if no right in it has changed.
func (s *step) replay(v *view, p *graph.Principal, since graph.Version) *difference {
	if since < v.grounded || !v.why.admits(p) {
		return nil
	}
	if since >= v.last {
		return &difference{}
	}
	if since < v.feed.forgotten {
		return nil
	}
	trails, known := s.trailsSince(v, since)
	if !known {
		return nil
	}
	d := &difference{}
	for _, t := range trails {
		d.mutations = append(d.mutations, t.mutations...)
		d.at, d.by = t.at, t.by
		d.rerooted = d.rerooted || t.rerooted
	}
	if !d.retrace(v, trails) {
		return nil
	}
	if d.rerooted {
		d.roots = v.roots
	}
	commits, known := s.replica.Since(since)
	d.of = &stretch{commits: commits, known: known}
	return d
}

// trailsSince gives the trails of a view's deltas after a version, oldest first; false
// where one of them began before it.
func (s *step) trailsSince(v *view, since graph.Version) (trails []trail, known bool) {
	follow := func(from, to graph.Version, t trail) bool {
		if to > since {
			trails = append(trails, t)
		}
		return to <= since || from >= since
	}
	for _, f := range v.feed.after(since) {
		if !follow(f.from, f.to, f.trail) {
			return nil, false
		}
	}
	for _, delta := range s.deltas { // of this step: not in the feed yet
		if delta.view == v {
			if from, to := s.span(delta.difference); !follow(from, to, delta.trail()) {
				return nil, false
			}
		}
	}
	return trails, true
}

// retrace enters what became of each entity that the trails touch, from what was held
// before them to what the view shows; false where they do not tell.
func (d *difference) retrace(v *view, trails []trail) bool {
	last := map[graph.Ref]mark{}
	for _, t := range trails {
		for _, m := range t.marks {
			last[m.ref] = m
		}
	}
	seen := map[graph.Ref]bool{}
	for _, t := range trails {
		for _, m := range t.marks {
			if seen[m.ref] {
				continue
			}
			seen[m.ref] = true
			e := entry{ref: m.ref, was: m.was}
			if m.ref.Kind == graph.KindObject {
				e.obj = v.objects[graph.ObjectID(m.ref.ID)]
			} else {
				e.edge = v.edges[graph.EdgeID(m.ref.ID)]
			}
			held, there := m.was != 0 || m.why != "", e.version() != 0
			switch {
			case there && m.why != "" && m.was == 0:
				return false // it left and came back: which version was held is not known
			case !there && !held, there && e.version() == m.was: // it came back as it was
				continue
			case !there && last[m.ref].mixed:
				return false // somebody, perhaps, was told something else
			case !there:
				e.why = last[m.ref].why
			}
			d.entries = append(d.entries, e)
		}
	}
	return true
}

// between gives the difference from what was held to a view.
func (s *step) between(held *computed, v *view, of *stretch, bye *farewell) *difference {
	d := &difference{of: &stretch{commits: of.commits, known: of.known}}
	had := make(map[graph.Ref]bool, len(held.Objects)+len(held.Edges))
	for _, o := range held.Objects {
		ref := graph.ObjectRef(o.ID)
		had[ref] = true
		switch now := v.objects[o.ID]; {
		case now == nil:
			d.entries = append(d.entries, bye.entry(ref, nil))
		case now.Meta.Version != o.Meta.Version:
			d.entries = append(d.entries, entry{ref: ref, obj: now, was: o.Meta.Version})
		}
	}
	for _, e := range held.Edges {
		ref := graph.EdgeRef(e.ID)
		had[ref] = true
		switch now := v.edges[e.ID]; {
		case now == nil:
			d.entries = append(d.entries, bye.entry(ref, e))
		case now.Meta.Version != e.Meta.Version:
			d.entries = append(d.entries, entry{ref: ref, edge: now, was: e.Meta.Version})
		}
	}
	for id, o := range v.objects {
		if ref := graph.ObjectRef(id); !had[ref] {
			d.entries = append(d.entries, entry{ref: ref, obj: o})
		}
	}
	for id, e := range v.edges {
		if ref := graph.EdgeRef(id); !had[ref] {
			d.entries = append(d.entries, entry{ref: ref, edge: e})
		}
	}
	if !slices.Equal(held.Roots, v.roots) {
		d.roots, d.rerooted = v.roots, true
	}
	if !of.known {
		d.at = s.head.At
	}
	d.covers(of.commits, func(ref graph.Ref) bool { return had[ref] || v.shows(ref) })
	if sabotage.On(sabotage.ForgetRevocation) {
		d.entries = slices.DeleteFunc(d.entries, func(e entry) bool { return e.why == protocol.Forbidden })
	}
	return d
}

func (v *view) remember(r *resumed) {
	if len(v.diffs) == maxResumed {
		v.diffs = slices.Delete(v.diffs, 0, 1)
	}
	r.load = differenceBody(r.diff, v.roots, v.digest)
	v.diffs = append(v.diffs, r)
}

// deltaOf gives the difference as a delta of the view at a version.
func (r *resumed) deltaOf(v *view, at graph.Version) *body {
	if r.delta == nil || r.deltaAt != at {
		r.delta, r.deltaAt = deltaBody(r.diff, v.id, at), at
	}
	return r.delta
}

func (s *step) resumable(sub *subscription, v *view) (held *resumed, far bool) {
	if sub.held.epoch != s.head.Epoch && !sabotage.On(sabotage.TrustOldEpoch) || sub.held.key != sub.key(s.reg, sub.principal) {
		return nil, false
	}
	return s.heldAt(v, sub.principal, sub.principal, sub.held.since)
}

// heldFrom is heldAt for a session that held old, with p's rights, until now.
func (s *step) heldFrom(old, v *view, p, told *graph.Principal, cursor graph.Version) *resumed {
	if cursor < old.floor {
		return nil
	}
	r, _ := s.heldAt(v, p, told, cursor)
	return r
}
