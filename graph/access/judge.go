package access

import "github.com/graphtide/graphtide/graph"

// Judge asks Direct many questions of one principal over one state. It answers
// once for objects that differ in nothing that the answer can hang on: the same
// access, inherited over one label from the same object, and the same relation
// to their creator. A load of a thousand records of one workbook asks once.
type Judge struct {
	r     graph.Reader
	p     *graph.Principal
	known map[ground]bool
	last  ground // of the last answer: those of a load come in long runs alike
	held  bool
}

// ground is all that an answer hangs on, for an object that inherits over at
// most one edge.
type ground struct {
	acl    *graph.ACL
	right  string
	mine   bool // made by the principal: counts where there is no edge to inherit over
	linked bool
	from   graph.ObjectID
}

// NewJudge makes a Judge. It must not outlive the state that r reads.
func NewJudge(r graph.Reader, p *graph.Principal) *Judge {
	return &Judge{r: r, p: p, known: make(map[ground]bool)}
}

// Holds is Direct.
func (j *Judge) Holds(id graph.ObjectID, right string) bool {
	o := j.r.Object(id)
	if o == nil {
		return false
	}
	g, ok := j.groundOf(o, right)
	if !ok {
		return Direct(j.r, j.p, id, right)
	}
	if g == j.last {
		return j.held
	}
	held, ok := j.known[g]
	if !ok {
		held = Direct(j.r, j.p, id, right)
		j.known[g] = held
	}
	j.last, j.held = g, held
	return held
}

// groundOf gives the ground of an object; ok is false where one edge does not
// tell all.
func (j *Judge) groundOf(o *graph.Object, right string) (g ground, ok bool) {
	g = ground{acl: o.Access, right: right, mine: o.Meta.CreatedBy == j.p.User}
	label := ""
	for _, name := range [...]string{Read, Manage, right} {
		entry := o.Access.Rights[name]
		if entry == nil {
			continue
		}
		for _, l := range entry.Inherit {
			if label != "" && l != label {
				return g, false
			}
			label = l
		}
	}
	if label == "" {
		return g, true
	}
	edges := 0
	j.r.Out(o.ID, label, func(e *graph.Edge) bool {
		edges++
		g.linked, g.from = true, e.To
		return edges < 2
	})
	return g, edges < 2
}
