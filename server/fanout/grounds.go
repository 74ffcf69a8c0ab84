package fanout

import (
	"maps"
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
)

// maxNamed bounds the principals that a view's grounds name. Above it, the view
// is for users with exactly the same principals.
const maxNamed = 256

// grounds say why a view is what it is: which of the user's principals opened
// what it shows, and which ones, that the user lacks, would have opened more.
// Whoever has all of the first and none of the second sees the same view, to
// the byte: nothing in it tells the two apart.
type grounds struct {
	admin   bool
	granted map[access.Name]struct{}
	refused map[access.Name]struct{}
	exact   *graph.Principal // set: too many are named, only the same principals will do
}

// admits reports whether p sees what the view shows.
func (g *grounds) admits(p *graph.Principal) bool {
	if p.Admin || g.admin {
		return p.Admin == g.admin
	}
	if g.exact != nil {
		return samePrincipals(p, g.exact)
	}
	granted := 0
	for _, n := range access.PrincipalNames(p) {
		if _, ok := g.refused[n]; ok {
			return false
		}
		if _, ok := g.granted[n]; ok {
			granted++
		}
	}
	return granted == len(g.granted)
}

// equal reports whether two grounds admit the same principals, for sure.
func (g *grounds) equal(o *grounds) bool {
	if g.exact != nil || o.exact != nil {
		return g.exact != nil && o.exact != nil && samePrincipals(g.exact, o.exact)
	}
	return g.admin == o.admin && maps.Equal(g.granted, o.granted) && maps.Equal(g.refused, o.refused)
}

// samePrincipals reports whether two principals hold the same rights everywhere
// in this graph.
func samePrincipals(a, b *graph.Principal) bool {
	return a.Admin == b.Admin && slices.Equal(access.PrincipalNames(a), access.PrincipalNames(b))
}

// surveyor finds the grounds of a view, after it was computed.
type surveyor struct {
	r      graph.Reader
	walker *access.Walker
	p      *graph.Principal
	mine   []access.Name // of p, widest first
	g      *grounds
	seen   map[judgement]struct{}
}

type judgement struct {
	id    graph.ObjectID
	right string
}

// widestFirst gives p's names, those that most others share first: the ground
// that is taken where an object has several.
func widestFirst(p *graph.Principal) []access.Name {
	names := access.PrincipalNames(p)
	slices.SortStableFunc(names, func(a, b access.Name) int { return int(b.Kind) - int(a.Kind) }) // org, team, user
	return names
}

// survey gives the grounds on which p may or may not read the objects judged.
func survey(r graph.Reader, w *access.Walker, p *graph.Principal, judged map[graph.ObjectID]bool) *grounds {
	g := &grounds{admin: p.Admin}
	if p.Admin {
		return g
	}
	g.granted, g.refused = map[access.Name]struct{}{}, map[access.Name]struct{}{}
	s := &surveyor{r: r, walker: w, p: p, mine: widestFirst(p), g: g, seen: make(map[judgement]struct{}, len(judged))}
	for id := range judged {
		s.judge(id, access.Read)
		if len(g.granted)+len(g.refused) > maxNamed {
			s.g.exact = p
		}
		if g.exact != nil {
			g.granted, g.refused = nil, nil
			return g
		}
	}
	return g
}

// judge adds the grounds of one answer. A right that is held needs one ground:
// the object's own access where that names the user, else what it inherits. A
// right that is not held needs all that are named, here and along the chain, to
// be refused.
func (s *surveyor) judge(id graph.ObjectID, right string) {
	j := judgement{id, right}
	if _, done := s.seen[j]; done {
		return
	}
	s.seen[j] = struct{}{}
	o := s.r.Object(id)
	if o == nil || o.Access == nil {
		return
	}
	holds := s.walker.Holds(id, right)
	rights := []string{right}
	if right != access.Manage {
		rights = append(rights, access.Manage) // implies every right
	}
	if holds && s.own(o, rights) {
		return
	}
	for _, r := range rights {
		h := o.Access.Rights[r]
		if h == nil {
			continue
		}
		if !holds {
			s.refuse(o, h)
		}
		for _, label := range h.Inherit {
			s.inherited(o, label, r, holds)
		}
	}
}

// own looks for a ground in the object's own access and takes the widest.
func (s *surveyor) own(o *graph.Object, rights []string) bool {
	for _, r := range rights {
		if h := o.Access.Rights[r]; h != nil && h.Public {
			return true
		}
	}
	for _, m := range s.mine {
		for _, r := range rights {
			if h := o.Access.Rights[r]; h != nil && (names(h, m) || s.creates(o, h, m)) {
				s.g.granted[m] = struct{}{}
				return true
			}
		}
	}
	return false
}

// creates reports whether m is the creator of an object that should inherit
// and has nothing to inherit from.
func (s *surveyor) creates(o *graph.Object, h *graph.Holders, m access.Name) bool {
	return m.Kind == access.NameUser && m.ID == o.Meta.CreatedBy && s.orphan(o, h)
}

func (s *surveyor) orphan(o *graph.Object, h *graph.Holders) bool {
	return len(h.Inherit) > 0 && !slices.ContainsFunc(h.Inherit, func(label string) bool { return s.r.CountOut(o.ID, label) > 0 })
}

// inherited judges what o inherits the right from.
func (s *surveyor) inherited(o *graph.Object, label, right string, holds bool) {
	s.r.Out(o.ID, label, func(e *graph.Edge) bool {
		far := s.walker.Holds(e.To, right)
		if far && !holds {
			// Held there and not here: the chain ended, at its length or in a
			// cycle. Who else might hold it is not worth finding out.
			s.g.exact = s.p
			return false
		}
		if far == holds {
			s.judge(e.To, right)
		}
		return true
	})
}

// refuse notes everybody to whom the object itself would give the right.
func (s *surveyor) refuse(o *graph.Object, h *graph.Holders) {
	for name := range h.Users {
		s.g.refused[access.Name{Kind: access.NameUser, ID: name}] = struct{}{}
	}
	for name := range h.Teams {
		s.g.refused[access.Name{Kind: access.NameTeam, ID: name}] = struct{}{}
	}
	for name := range h.Orgs {
		s.g.refused[access.Name{Kind: access.NameOrg, ID: name}] = struct{}{}
	}
	if s.orphan(o, h) && o.Meta.CreatedBy != "" {
		s.g.refused[access.Name{Kind: access.NameUser, ID: o.Meta.CreatedBy}] = struct{}{}
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
