package schema

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
)

// template is a type's `access`: what is filled in when an object is created.
type template struct {
	rights map[string]*grant // every right of the type
	owner  string            // the type that says it
	at     cursor
}

// grant says who gets one right.
type grant struct {
	user, team, org, public bool // the creator, and the creator's own
	users, teams, orgs      []string
	inherit                 []string // outbound labels
}

// labels gives the edges that rights flow through.
func (t *template) labels() []string {
	var labels []string
	for _, right := range sortedKeys(t.rights) {
		for _, l := range t.rights[right].inherit {
			if !slices.Contains(labels, l) {
				labels = append(labels, l)
			}
		}
	}
	return labels
}

// inheritKey is the key of `access: {inherit: x}`.
const inheritKey = "inherit"

// buildAccess compiles the template, and gathers the rights of the type.
func (c *compiler) buildAccess(t *Type, s *typeSource) {
	if v, ok := s.field("access"); ok {
		t.accessSource = &accessSource{owner: t.Name, at: v, own: map[string]*grant{}}
		c.readAccess(t.accessSource, v)
	} else if t.Parent != nil {
		t.accessSource = t.Parent.accessSource
	}
	rights := map[string]bool{access.Read: true, access.Write: true, access.Manage: true}
	if t.accessSource != nil {
		for right := range t.accessSource.own {
			rights[right] = true
		}
	}
	named := sortedKeys(rights)
	for _, decls := range []map[string]*EdgeDecl{t.Out, t.In} {
		for _, label := range sortedKeys(decls) {
			d := decls[label]
			if v, ok := d.at.field("needs"); ok && d.Owner == t.Name && !rights[d.Needs] {
				if near := didYouMean(d.Needs, named); near != "" {
					c.warn(v, "the right %s is named nowhere else%s", quoteShort(d.Needs), near)
				}
			}
			rights[d.Needs] = true
		}
	}
	t.Rights = sortedKeys(rights)
	t.template = t.accessSource.complete(t.Rights)
	if t.accessSource == nil {
		return
	}
	for _, label := range t.template.labels() {
		if t.Out[label] == nil {
			at := t.accessSource.at
			if t.accessSource.owner != t.Name {
				at = s.cursor
			}
			at.fault("rights are inherited through the outbound edge %s, which %s does not declare%s", quoteShort(label), t.Name, didYouMean(label, sortedKeys(t.Out)))
		}
	}
}

// accessSource is `access` as it stands, before the rights are known.
type accessSource struct {
	owner string
	at    cursor
	own   map[string]*grant
	every []string // access: {inherit: x}
}

// complete gives every right its grant: named, inherited as a whole, or the
// creator's. A nil source says nothing.
func (a *accessSource) complete(rights []string) *template {
	t := &template{rights: make(map[string]*grant, len(rights))}
	if a != nil {
		t.owner, t.at = a.owner, a.at
	}
	for _, right := range rights {
		switch {
		case a != nil && a.own[right] != nil:
			t.rights[right] = a.own[right]
		case a != nil && len(a.every) > 0:
			t.rights[right] = &grant{inherit: a.every}
		default:
			t.rights[right] = &grant{user: true}
		}
	}
	return t
}

func (c *compiler) readAccess(a *accessSource, v cursor) {
	for _, r := range v.fields() {
		right := r.name()
		if right == inheritKey {
			a.every = r.texts()
			continue
		}
		if err := checkName(right); err != nil {
			r.fault("%v", err)
			continue
		}
		if right == "create" {
			r.fault("who may create objects is said by `create` beside `access`")
			continue
		}
		g := &grant{}
		for _, item := range r.items() {
			g.read(item)
		}
		a.own[right] = g
	}
}

// read adds one element of a right's list.
func (g *grant) read(item cursor) {
	if item.n.kind == stringKind {
		switch item.oneOf("user", "team", "org", "public") {
		case "user":
			g.user = true
		case "team":
			g.team = true
		case "org":
			g.org = true
		case "public":
			g.public = true
		}
		return
	}
	if item.n.kind != mapKind {
		item.fault("must be user, team, org, public, {users: […]}, {teams: […]}, {orgs: […]} or {inherit: <label>}, here it is %s", item.n.kind)
		return
	}
	item.only("users", "teams", "orgs", inheritKey)
	for key, list := range map[string]*[]string{"users": &g.users, "teams": &g.teams, "orgs": &g.orgs, inheritKey: &g.inherit} {
		if v, ok := item.field(key); ok {
			for _, s := range v.texts() {
				if !slices.Contains(*list, s) {
					*list = append(*list, s)
				}
			}
		}
	}
}

// createRule says who may create objects of a type. The zero rule lets anyone
// who is signed in.
type createRule struct {
	admins      bool // admins alone, and who is named
	teams, orgs []string
}

// buildCreate compiles `create`.
func (c *compiler) buildCreate(t *Type, s *typeSource) {
	v, ok := s.field("create")
	if !ok {
		return
	}
	rule := createRule{admins: true}
	for _, item := range v.items() {
		if item.n.kind == mapKind {
			item.only("teams", "orgs")
			if l, ok := item.field("teams"); ok {
				rule.teams = append(rule.teams, l.texts()...)
			}
			if l, ok := item.field("orgs"); ok {
				rule.orgs = append(rule.orgs, l.texts()...)
			}
			continue
		}
		if item.oneOf("user", "admin") == "user" {
			rule.admins = false
		}
	}
	t.create = rule
}

// MayCreate reports whether the principal may create objects of the type.
func (t *Type) MayCreate(p *graph.Principal) bool {
	switch {
	case p.Admin:
		return true
	case p.Anonymous || p.User == "":
		return false
	case !t.create.admins:
		return true
	}
	for _, team := range p.Teams {
		if slices.Contains(t.create.teams, team) {
			return true
		}
	}
	return p.Org != "" && slices.Contains(t.create.orgs, p.Org)
}

// Access gives the access of a new object: explicit (nil for none) or the
// type's default for this creator, completed to the full form, in which every
// right of the type has its holders. `manage` goes to the creator unless the
// explicit access names it; other rights that it leaves out go to nobody.
// CodeSchema where the explicit access is malformed, or where the default says
// `team` and the creator is in several.
func (t *Type) Access(explicit json.RawMessage, creator *graph.Principal) (*graph.ACL, *graph.Error) {
	if explicit != nil {
		return t.explicitAccess(explicit, creator)
	}
	holders := make(map[string]*graph.Holders, len(t.Rights))
	for right, g := range t.template.rights {
		h := &graph.Holders{Public: g.public, Inherit: g.inherit, Users: setOf(g.users), Teams: setOf(g.teams), Orgs: setOf(g.orgs)}
		if g.user && creator.User != "" {
			h.Users[creator.User] = true
		}
		if g.org && creator.Org != "" {
			h.Orgs[creator.Org] = true
		}
		if g.team {
			if len(creator.Teams) > 1 {
				return nil, t.nameAccess(right, len(creator.Teams))
			}
			for _, team := range creator.Teams { // none: nobody, as for a creator without an org
				h.Teams[team] = true
			}
		}
		holders[right] = h
	}
	return t.parseAccess(t.writeAccess(holders))
}

// nameAccess refuses a creation whose default access cannot be filled in.
func (t *Type) nameAccess(right string, teams int) *graph.Error {
	message := fmt.Sprintf("the right %q of a new %s goes to the creator's team, and you are in %d; name the access of the object", right, t.Name, teams)
	e := graph.Errf(graph.CodeSchema, "%s", message).At("/access")
	e.Errors = []graph.Violation{{Path: "/access", Message: message}}
	return e
}

func (t *Type) explicitAccess(explicit json.RawMessage, creator *graph.Principal) (*graph.ACL, *graph.Error) {
	acl, violations := access.Parse(explicit)
	if len(violations) == 0 {
		violations = t.CheckAccess(acl)
	}
	if len(violations) > 0 {
		e := graph.Errf(graph.CodeSchema, "the access is not valid: %s", violations[0].Message).At("/access" + violations[0].Path)
		for _, v := range violations {
			e.Errors = append(e.Errors, graph.Violation{Path: "/access" + v.Path, Message: v.Message})
		}
		return nil, e
	}
	holders := make(map[string]*graph.Holders, len(t.Rights))
	for _, right := range t.Rights {
		h := acl.Rights[right]
		if h == nil {
			h = &graph.Holders{}
			if right == access.Manage && creator.User != "" {
				h.Users = map[string]bool{creator.User: true}
			}
		}
		holders[right] = h
	}
	return t.parseAccess(t.writeAccess(holders))
}

// CheckAccess judges an access that has been parsed by what the type knows:
// its rights and its outbound edges. Paths are relative to the access.
func (t *Type) CheckAccess(acl *graph.ACL) []graph.Violation {
	var out []graph.Violation
	for _, right := range sortedKeys(acl.Rights) {
		path := "/" + escapeToken(right)
		if !slices.Contains(t.Rights, right) {
			out = append(out, graph.Violation{Path: path, Message: fmt.Sprintf("%s has no right %s%s", t.Name, quoteShort(right), didYouMean(right, t.Rights))})
			continue
		}
		for _, label := range acl.Rights[right].Inherit {
			at := path + "/inherit/" + escapeToken(label)
			switch d := t.Out[label]; {
			case d == nil:
				out = append(out, graph.Violation{Path: at, Message: fmt.Sprintf("%s has no outbound edge %s%s", t.Name, quoteShort(label), didYouMean(label, sortedKeys(t.Out)))})
			case !d.guardsRights():
				out = append(out, graph.Violation{Path: at, Message: fmt.Sprintf("rights cannot be inherited through %s: changing that edge needs less than `write`", quoteShort(label))})
			}
		}
	}
	return out
}

func (t *Type) parseAccess(raw json.RawMessage) (*graph.ACL, *graph.Error) {
	acl, violations := access.Parse(raw)
	if len(violations) > 0 {
		e := graph.Errf(graph.CodeSchema, "the access is not valid: %s", violations[0].Message).At("/access" + violations[0].Path)
		e.Errors = violations
		return nil, e
	}
	return acl, nil
}

// writeAccess writes the full form, sorted, so that equal access is equal text.
func (t *Type) writeAccess(holders map[string]*graph.Holders) json.RawMessage {
	dst := []byte{'{'}
	for i, right := range t.Rights {
		if i > 0 {
			dst = append(dst, ',')
		}
		h := holders[right]
		dst = graph.AppendString(dst, right)
		dst = append(dst, `:{"users":`...)
		dst = appendSet(dst, sortedKeys(h.Users))
		dst = append(dst, `,"teams":`...)
		dst = appendSet(dst, sortedKeys(h.Teams))
		dst = append(dst, `,"orgs":`...)
		dst = appendSet(dst, sortedKeys(h.Orgs))
		if h.Public {
			dst = append(dst, `,"public":true`...)
		} else {
			dst = append(dst, `,"public":false`...)
		}
		if len(h.Inherit) > 0 {
			labels := slices.Clone(h.Inherit)
			slices.Sort(labels)
			dst = append(dst, `,"inherit":`...)
			dst = appendSet(dst, labels)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func appendSet(dst []byte, keys []string) []byte {
	dst = append(dst, '{')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = graph.AppendString(dst, k)
		dst = append(dst, ":true"...)
	}
	return append(dst, '}')
}

func setOf(keys []string) map[string]bool {
	m := make(map[string]bool, len(keys)+1)
	for _, k := range keys {
		m[k] = true
	}
	return m
}
