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

// maxGrown bounds the principals that grounds come to name while their view
// lives: those who are named for what is gone stay named until the view is
// evaluated anew, which happens above this.
const maxGrown = 2 * maxNamed

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

// names counts the principals that are named.
func (g *grounds) names() int { return len(g.granted) + len(g.refused) }

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

// and gives the grounds of a view that also rests on more.
func (g *grounds) and(more *grounds) *grounds {
	switch {
	case g.exact != nil:
		return g
	case more.exact != nil:
		return more
	}
	out := &grounds{admin: g.admin, granted: union(g.granted, more.granted), refused: union(g.refused, more.refused)}
	return out
}

// union gives a itself where it has all of b.
func union(a, b map[access.Name]struct{}) map[access.Name]struct{} {
	out := a
	for n := range b {
		if _, ok := out[n]; ok {
			continue
		}
		if len(out) == len(a) {
			out = maps.Clone(a)
		}
		if out == nil {
			out = map[access.Name]struct{}{}
		}
		out[n] = struct{}{}
	}
	return out
}
