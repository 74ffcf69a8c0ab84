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
	asked bool // last and held are set

	form  form // of the last object's access
	edges int  // that count has seen
	to    graph.ObjectID
	count func(*graph.Edge) bool // made once: one for each object took a tenth of a load
}

// form is what an access says of a right, apart from names.
type form struct {
	acl    *graph.ACL
	right  string
	label  string // of the edge that it inherits over; "": it does not
	labels bool   // over several: one edge does not tell all
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
	j := &Judge{r: r, p: p, known: make(map[ground]bool)}
	j.count = func(e *graph.Edge) bool {
		j.edges++
		j.to = e.To
		return j.edges < 2
	}
	return j
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
	if j.asked && g == j.last {
		return j.held
	}
	held, ok := j.known[g]
	if !ok {
		held = Direct(j.r, j.p, id, right)
		j.known[g] = held
	}
	j.last, j.held, j.asked = g, held, true
	return held
}

// groundOf gives the ground of an object; ok is false where one edge does not
// tell all.
func (j *Judge) groundOf(o *graph.Object, right string) (g ground, ok bool) {
	g = ground{acl: o.Access, right: right, mine: o.Meta.CreatedBy == j.p.User}
	if j.form.acl != o.Access || j.form.right != right {
		j.form = formOf(o.Access, right)
	}
	switch {
	case j.form.labels:
		return g, false
	case j.form.label == "":
		return g, true
	}
	j.edges = 0
	j.r.Out(o.ID, j.form.label, j.count)
	if j.edges > 0 {
		g.linked, g.from = true, j.to
	}
	return g, j.edges < 2
}

func formOf(acl *graph.ACL, right string) form {
	f := form{acl: acl, right: right}
	for _, name := range [...]string{Read, Manage, right} {
		entry := acl.Rights[name]
		if entry == nil {
			continue
		}
		for _, l := range entry.Inherit {
			f.labels = f.labels || f.label != "" && l != f.label
			f.label = l
		}
	}
	return f
}
