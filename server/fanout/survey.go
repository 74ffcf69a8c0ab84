package fanout

import (
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
)

// surveyor finds the grounds of a view, after it was computed.
type surveyor struct {
	r       graph.Reader
	walker  *access.Walker
	p       *graph.Principal
	mine    []access.Name
	g       *grounds
	refused map[judgement]struct{} // looked at by refuse
	found   map[judgement]ground
	path    []judgement // those that found is being asked about
	steps   int
}

type judgement struct {
	id    graph.ObjectID
	right string
}

// ground is one name that gives a right, here or at the far end of a chain.
type ground struct {
	name  access.Name
	edges int // of the chain
	some  bool
}

// wider prefers the ground that more users share.
func (g ground) wider(than ground) bool {
	if !than.some || !g.some {
		return g.some
	}
	if g.name.Kind != than.name.Kind {
		return g.name.Kind > than.name.Kind // user, team, org, public
	}
	return g.edges < than.edges
}

// maxSurvey bounds the steps of the search for grounds.
const maxSurvey = 1_000_000

// survey gives the grounds on which p may or may not read the objects judged.
func survey(r graph.Reader, w *access.Walker, p *graph.Principal, judged map[graph.ObjectID]bool) *grounds {
	g := &grounds{admin: p.Admin}
	if p.Admin {
		return g
	}
	g.granted, g.refused = map[access.Name]struct{}{}, map[access.Name]struct{}{}
	s := &surveyor{
		r: r, walker: w, p: p, mine: access.PrincipalNames(p), g: g,
		refused: map[judgement]struct{}{}, found: make(map[judgement]ground, len(judged)),
	}
	for id, read := range judged {
		if read {
			s.grant(id)
		} else {
			s.refuse(judgement{id, access.Read})
		}
		if len(g.granted)+len(g.refused) > maxNamed || s.steps > maxSurvey {
			g.exact = p
		}
		if g.exact != nil {
			g.granted, g.refused = nil, nil
			break
		}
	}
	return g
}

// grant notes why p may read an object: one ground is enough for everybody who
// has it as well.
func (s *surveyor) grant(id graph.ObjectID) {
	best, _ := s.ground(judgement{id, access.Read})
	switch {
	case !best.some || best.edges > access.MaxInherit:
		s.g.exact = s.p
	case best.name.Kind != access.NamePublic:
		s.g.granted[best.name] = struct{}{}
	}
}

// implying gives the rights that give a right: itself and manage.
func implying(right string) []string {
	if right == access.Manage {
		return []string{access.Manage}
	}
	return []string{right, access.Manage}
}

// ground gives the widest ground on which p holds a right; whole is false where
// a cycle kept it from looking everywhere.
func (s *surveyor) ground(j judgement) (best ground, whole bool) {
	if known, ok := s.found[j]; ok {
		return known, true
	}
	if slices.Contains(s.path, j) || len(s.path) > access.MaxInherit {
		return ground{}, false
	}
	o := s.r.Object(j.id)
	if s.steps++; o == nil || s.steps > maxSurvey {
		return ground{}, true
	}
	s.path = append(s.path, j)
	whole = true
	for _, right := range implying(j.right) {
		h := o.Access.Rights[right]
		if h == nil {
			continue
		}
		if own := s.own(o, h); own.wider(best) {
			best = own
		}
		for _, label := range h.Inherit {
			s.r.Out(o.ID, label, func(e *graph.Edge) bool {
				far, all := s.ground(judgement{e.To, right})
				far.edges++
				whole = whole && all
				if far.wider(best) {
					best = far
				}
				return true
			})
		}
	}
	s.path = s.path[:len(s.path)-1]
	if whole {
		s.found[j] = best
	}
	return best, whole
}

// own gives the widest of p's names that an entry gives the right to.
func (s *surveyor) own(o *graph.Object, h *graph.Holders) (best ground) {
	if h.Public {
		return ground{name: access.Name{Kind: access.NamePublic}, some: true}
	}
	for _, m := range s.mine {
		if names(h, m) || m == s.heir(o, h) {
			if g := (ground{name: m, some: true}); g.wider(best) {
				best = g
			}
		}
	}
	return best
}

// heir gives the creator of an object that should inherit and has nothing to
// inherit from: the right is his. The zero Name stands for nobody.
func (s *surveyor) heir(o *graph.Object, h *graph.Holders) access.Name {
	if len(h.Inherit) == 0 || o.Meta.CreatedBy == "" ||
		slices.ContainsFunc(h.Inherit, func(label string) bool { return s.r.CountOut(o.ID, label) > 0 }) {
		return access.Name{}
	}
	return access.Name{Kind: access.NameUser, ID: o.Meta.CreatedBy}
}

// refuse notes everybody who would hold a right that p does not: all who are
// named, here and along the chains.
func (s *surveyor) refuse(j judgement) {
	if _, done := s.refused[j]; done {
		return
	}
	s.refused[j] = struct{}{}
	o := s.r.Object(j.id)
	if s.steps++; o == nil {
		return
	}
	for _, right := range implying(j.right) {
		h := o.Access.Rights[right]
		if h == nil {
			continue
		}
		s.refuseNames(o, h)
		for _, label := range h.Inherit {
			s.r.Out(o.ID, label, func(e *graph.Edge) bool {
				if s.walker.Holds(e.To, right) {
					// Held there and not here: the chain is too long. Who else
					// might hold it is not worth finding out.
					s.g.exact = s.p
					return false
				}
				s.refuse(judgement{e.To, right})
				return true
			})
		}
	}
}

func (s *surveyor) refuseNames(o *graph.Object, h *graph.Holders) {
	for name := range h.Users {
		s.g.refused[access.Name{Kind: access.NameUser, ID: name}] = struct{}{}
	}
	for name := range h.Teams {
		s.g.refused[access.Name{Kind: access.NameTeam, ID: name}] = struct{}{}
	}
	for name := range h.Orgs {
		s.g.refused[access.Name{Kind: access.NameOrg, ID: name}] = struct{}{}
	}
	if heir := s.heir(o, h); heir.ID != "" {
		s.g.refused[heir] = struct{}{}
	}
}

func names(h *graph.Holders, m access.Name) bool {
	switch m.Kind {
	case access.NameUser:
		return h.Users[m.ID]
	case access.NameTeam:
		return h.Teams[m.ID]
	}
	return h.Orgs[m.ID]
}
