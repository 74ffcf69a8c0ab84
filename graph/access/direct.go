package access

import "github.com/graphtide/graphtide/graph"

// Direct judges one question from scratch: does p hold right on the object?
// False where the object does not exist, and where read is missing.
//
// It shares no code with Walker. It works from the bottom up: it gathers every
// object that a chain of inherit entries reaches, marks what each gives by
// itself, and lets the marks move up, one edge a round, for MaxInherit rounds.
// Work is bounded by the rounds times the edges gathered.
func Direct(r graph.Reader, p *graph.Principal, id graph.ObjectID, right string) bool {
	o := r.Object(id)
	if o == nil {
		return false
	}
	if p.Admin {
		return true
	}
	d := direct{r: r, p: p, rights: [...]string{Read, Manage, right}}
	goal := marks(1 << 2)
	if right == Read || right == Manage {
		d.rights[2] = "" // no document has such an entry
		goal = 1
		if right == Manage {
			goal = 2
		}
	}
	// Most objects answer by themselves.
	first := d.visit(o, 0)
	if held(first.marks)&goal != 0 {
		return true
	}
	if len(first.up) == 0 {
		return false
	}
	d.gather(first)
	for range MaxInherit {
		if !d.round() {
			return false
		}
		if held(d.nodes[0].marks)&goal != 0 {
			return true
		}
	}
	return false
}

// marks is a set of granted rights: bit i stands for direct.rights[i].
type marks uint8

const (
	markRead   marks = 1
	markManage marks = 2
	markAll    marks = 7
)

// held gives the rights that a principal really holds: manage implies all, and
// without read there is none.
func held(m marks) marks {
	switch {
	case m&markManage != 0:
		return markAll
	case m&markRead != 0:
		return m
	}
	return 0
}

type direct struct {
	r      graph.Reader
	p      *graph.Principal
	rights [3]string
	nodes  []node // nodes[0] is the object asked for
}

// node is one object of the chains.
type node struct {
	id    graph.ObjectID
	depth int
	marks marks
	up    []source
}

// source says that the mark comes from another object, if that holds it.
type source struct {
	mark marks
	id   graph.ObjectID
	node int // index in direct.nodes once gathered; -1 beyond the reach
}

// visit marks what the object gives by itself and notes what it inherits.
func (d *direct) visit(o *graph.Object, depth int) node {
	n := node{id: o.ID, depth: depth}
	for i, right := range d.rights {
		entry, ok := o.Access.Rights[right]
		if !ok || right == "" {
			continue
		}
		mark := marks(1) << i
		if d.named(entry) {
			n.marks |= mark
			continue
		}
		before := len(n.up)
		for _, label := range entry.Inherit {
			d.r.Out(o.ID, label, func(e *graph.Edge) bool {
				n.up = append(n.up, source{mark: mark, id: e.To, node: -1})
				return true
			})
		}
		orphan := len(entry.Inherit) > 0 && len(n.up) == before
		if orphan && !d.p.Anonymous && d.p.User != "" && o.Meta.CreatedBy == d.p.User {
			n.marks |= mark
		}
	}
	return n
}

// named reports whether an entry names the principal itself.
func (d *direct) named(entry *graph.Holders) bool {
	switch {
	case entry.Public:
		return true
	case d.p.Anonymous:
		return false
	case d.p.User != "" && entry.Users[d.p.User]:
		return true
	case d.p.Org != "" && entry.Orgs[d.p.Org]:
		return true
	}
	for _, t := range d.p.Teams {
		if entry.Teams[t] {
			return true
		}
	}
	return false
}

// gather visits breadth first what can be reached over MaxInherit edges.
func (d *direct) gather(first node) {
	d.nodes = append(d.nodes, first)
	seen := map[graph.ObjectID]int{first.id: 0}
	for i := 0; i < len(d.nodes); i++ {
		if d.nodes[i].depth == MaxInherit {
			continue
		}
		for k := range d.nodes[i].up {
			up := &d.nodes[i].up[k]
			at, ok := seen[up.id]
			if !ok {
				o := d.r.Object(up.id)
				if o == nil {
					continue
				}
				at = len(d.nodes)
				seen[up.id] = at
				depth := d.nodes[i].depth + 1
				up.node = at
				d.nodes = append(d.nodes, d.visit(o, depth))
				continue
			}
			up.node = at
		}
	}
}

// round moves marks up over one edge and reports whether any moved. All rounds
// look at the marks of the round before: a chain must not run ahead within one.
func (d *direct) round() bool {
	type gain struct {
		node int
		mark marks
	}
	var gains []gain
	for i := range d.nodes {
		for _, up := range d.nodes[i].up {
			if d.nodes[i].marks&up.mark == 0 && up.node >= 0 && held(d.nodes[up.node].marks)&up.mark != 0 {
				gains = append(gains, gain{i, up.mark})
			}
		}
	}
	for _, g := range gains {
		d.nodes[g.node].marks |= g.mark
	}
	return len(gains) > 0
}
