package replica

import "github.com/graphtide/graphtide/graph"

// absorb takes a piece in that is right at the core's version: afterwards the
// units are held. What is held already stays as it is. It gives the ids of all
// nodes that the piece is about.
func (c *core) absorb(p *piece) []graph.ObjectID {
	list, objects, edges := p.units, p.Objects, p.Edges
	ids := make([]graph.ObjectID, 0, len(objects)+len(list))
	fresh := make([]*node, 0, len(objects))
	for _, o := range objects {
		ids = append(ids, o.ID)
		n := c.node(o.ID)
		if n.has&(knows|arriving) != 0 {
			continue
		}
		n.has |= arriving
		c.setObject(n, o)
		fresh = append(fresh, n)
	}
	in := map[unit]*node{}
	for _, u := range list {
		if u.kind == unitIn {
			n := c.node(u.id)
			if !n.holds(u.label, true) {
				in[u] = n
			}
		}
	}
	for _, e := range edges {
		if held := c.edges[e.ID]; held != nil {
			e = held
		}
		if from := c.nodes[e.From]; from != nil && from.has&arriving != 0 {
			c.link(from, c.node(e.To), e, false)
		}
		if to := in[inUnit(e.To, e.Label)]; to != nil {
			c.link(to, c.node(e.From), e, true)
		}
		if to := in[inUnit(e.To, "")]; to != nil {
			c.link(to, c.node(e.From), e, true)
		}
	}
	for _, n := range fresh {
		n.has &^= arriving
		c.learn(n, knows)
	}
	for typ, members := range p.members {
		c.addMembers(typ, members)
	}
	for _, u := range list {
		ids = append(ids, c.conclude(u)...)
	}
	return ids
}

// addMembers puts stand-ins for those objects of a type into its list that are
// not held.
func (c *core) addMembers(typ string, ids []graph.ObjectID) {
	t := c.typeOf(typ)
	for _, id := range ids {
		if n := c.node(id); n.has&knows == 0 && n.typ == nil {
			n.typ, n.typePos = t, int32(len(t.nodes))
			t.nodes = append(t.nodes, n)
		}
	}
}

// conclude notes that all there is of a unit has been taken in.
func (c *core) conclude(u unit) (ids []graph.ObjectID) {
	switch u.kind {
	case unitObject:
		n := c.node(u.id)
		if n.has&knows == 0 {
			c.learn(n, knows|knowsIn) // it is absent, and so are edges at it
		}
		ids = append(ids, n.id)
	case unitIn:
		n := c.node(u.id)
		if u.label == "" {
			c.learn(n, knowsIn)
		} else {
			n.ensure(u.label, true).known = true
			c.learn(n, 0)
		}
		ids = append(ids, n.id)
	case unitType:
		t := c.typeOf(u.label)
		t.known = true
		t.used.Store(true)
	case unitEdge:
		if e := c.edges[u.id]; e != nil {
			ids = append(ids, e.From)
		} else {
			n := c.node(u.id)
			c.learn(n, noEdge)
			ids = append(ids, n.id)
		}
	}
	return ids
}

// holds reports whether a unit is held.
func (c *core) holds(u unit) bool {
	if c.complete {
		return true
	}
	n := c.nodes[u.id]
	switch u.kind {
	case unitObject:
		return n != nil && n.has&knows != 0
	case unitIn:
		return n != nil && n.holds(u.label, true)
	case unitType:
		t := c.types[u.label]
		return t != nil && t.known
	}
	return c.edges[u.id] != nil || n != nil && n.has&noEdge != 0
}

// forward brings a piece from its version to a later one by what the commits
// between did to it.
func (p *piece) forward(commits []*graph.Commit) *piece {
	if len(commits) == 0 {
		return p
	}
	c := newCore(false)
	c.absorb(p)
	for _, commit := range commits {
		c.change(commit)
	}
	out := &piece{units: p.units}
	for _, n := range c.nodes {
		if n.obj != nil {
			out.Objects = append(out.Objects, n.obj)
		}
	}
	for _, e := range c.edges {
		out.Edges = append(out.Edges, e)
	}
	for typ := range p.members {
		if out.members == nil {
			out.members = map[string][]graph.ObjectID{}
		}
		for _, n := range c.types[typ].nodes {
			out.members[typ] = append(out.members[typ], n.id)
		}
	}
	return out
}
