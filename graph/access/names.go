package access

import "github.com/graphtide/graphtide/graph"

// NameKind is the kind of a principal's name in an access.
type NameKind uint8

// The kinds of name.
const (
	NameUser NameKind = iota
	NameTeam
	NameOrg
	NamePublic // everybody; ID is ""
)

// Name is one principal as an access names it. It may be a map's key.
type Name struct {
	Kind NameKind
	ID   string
}

// Names calls yield with every principal that the access names for any right,
// in no order; the same one may come again.
func Names(acl *graph.ACL, yield func(Name)) {
	for _, h := range acl.Rights {
		for id := range h.Users {
			yield(Name{NameUser, id})
		}
		for id := range h.Teams {
			yield(Name{NameTeam, id})
		}
		for id := range h.Orgs {
			yield(Name{NameOrg, id})
		}
		if h.Public {
			yield(Name{NamePublic, ""})
		}
	}
}

// ObjectNames is Names for an object in a state: it adds the creator where an
// entry inherits and the object has no such edge, since then the answer depends
// on who the creator is.
func ObjectNames(r graph.Reader, o *graph.Object, yield func(Name)) {
	Names(o.Access, yield)
	for _, h := range o.Access.Rights {
		edges := 0
		for _, label := range h.Inherit {
			edges += r.CountOut(o.ID, label)
		}
		if len(h.Inherit) > 0 && edges == 0 && o.Meta.CreatedBy != "" {
			yield(Name{NameUser, o.Meta.CreatedBy})
			return
		}
	}
}

// PrincipalNames gives the names that a principal answers to; public, which all
// answer to, is left out.
func PrincipalNames(p *graph.Principal) []Name {
	if p.Anonymous {
		return nil
	}
	out := make([]Name, 0, 2+len(p.Teams))
	if p.User != "" {
		out = append(out, Name{NameUser, p.User})
	}
	for _, t := range p.Teams {
		out = append(out, Name{NameTeam, t})
	}
	if p.Org != "" {
		out = append(out, Name{NameOrg, p.Org})
	}
	return out
}
