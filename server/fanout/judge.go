package fanout

import (
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
)

// judge answers, with p's rights, which objects may be read, and notes what it
// looked at. Objects that are kin are judged once: thousands of records under
// one parent differ in nothing that rights depend on.
type judge struct {
	r      graph.Reader
	p      *graph.Principal
	walker *access.Walker
	deps   *deps
	kin    map[kin]bool
	alone  map[graph.ObjectID]bool // those judged for themselves, one of each kin among them
	labels map[*graph.ACL][]string // over which the right to read is inherited
}

// kin is all that the right to read an object rests on, for most objects: its
// access, and the one object that it inherits from, or else its creator.
type kin struct {
	access *graph.ACL
	from   graph.ObjectID
	heir   string
}

func newJudge(r graph.Reader, p *graph.Principal, room int) *judge {
	j := &judge{r: r, p: p, deps: newDeps(room), kin: map[kin]bool{}, alone: map[graph.ObjectID]bool{}, labels: map[*graph.ACL][]string{}}
	j.walker = access.NewWalker(r, p, j.deps.object)
	return j
}

func (j *judge) mayRead(id graph.ObjectID) bool {
	j.deps.object(id)
	if read, known := j.alone[id]; known {
		return read
	}
	o := j.r.Object(id)
	if o == nil {
		return false
	}
	k, ok := j.kinOf(o)
	if !ok {
		return j.ask(id)
	}
	read, known := j.kin[k]
	if !known {
		read = j.ask(id)
		j.kin[k] = read
	}
	return read
}

func (j *judge) ask(id graph.ObjectID) bool {
	read := j.walker.Holds(id, access.Read)
	j.alone[id] = read
	return read
}

// kinOf gives the kin of an object; false where it inherits from several.
func (j *judge) kinOf(o *graph.Object) (k kin, ok bool) {
	k.access = o.Access
	labels, known := j.labels[o.Access]
	if !known {
		labels = inheritedOver(o.Access)
		j.labels[o.Access] = labels
	}
	if len(labels) == 0 {
		return k, true
	}
	if len(labels) > 1 {
		return k, false
	}
	n := 0
	j.r.Out(o.ID, labels[0], func(e *graph.Edge) bool {
		k.from = e.To
		n++
		return n < 2
	})
	if n == 0 {
		k.heir = o.Meta.CreatedBy
	}
	return k, n < 2
}

// inheritedOver gives the labels over which the right to read comes.
func inheritedOver(a *graph.ACL) []string {
	var labels []string
	for _, right := range implying(access.Read) {
		if h := a.Rights[right]; h != nil {
			labels = append(labels, h.Inherit...)
		}
	}
	slices.Sort(labels)
	return slices.Compact(labels)
}

func (j *judge) survey() *grounds { return survey(j.r, j.walker, j.p, j.alone) }

// recheck is the second check of rights: by direct evaluation, in code apart
// from that which computed the result. What fails it is taken out.
func (l *lens) recheck(r graph.Reader, p *graph.Principal, res *replica.Result) {
	if p.Admin {
		return // every right: there is nothing to judge
	}
	c := &checker{r: r, p: p, like: map[likeness]bool{}}
	var out map[graph.ObjectID]bool
	for _, o := range res.Objects {
		if !c.readable(o.ID) {
			if out == nil {
				out = map[graph.ObjectID]bool{}
			}
			out[o.ID] = true
			l.disagree(o.ID)
		}
	}
	if out == nil {
		return
	}
	res.Objects = slices.DeleteFunc(res.Objects, func(o *graph.Object) bool { return out[o.ID] })
	res.Edges = slices.DeleteFunc(res.Edges, func(e *graph.Edge) bool { return out[e.From] || out[e.To] })
	res.Roots = slices.DeleteFunc(res.Roots, func(id graph.ObjectID) bool { return out[id] })
}

// checker asks access.Direct about many objects. Two that have the same access
// and creator, and lead to the same object over the same one edge label and over
// no other, are asked about once.
type checker struct {
	r    graph.Reader
	p    *graph.Principal
	like map[likeness]bool
}

type likeness struct {
	access  *graph.ACL
	creator string
	label   string
	to      graph.ObjectID
}

func (c *checker) readable(id graph.ObjectID) bool {
	o := c.r.Object(id) // as rights are judged: the result may be an older state
	if o == nil || c.r.CountOut(id, "") > 1 {
		return access.Direct(c.r, c.p, id, access.Read)
	}
	k := likeness{access: o.Access, creator: o.Meta.CreatedBy}
	c.r.Out(id, "", func(e *graph.Edge) bool {
		k.label, k.to = e.Label, e.To
		return true
	})
	read, known := c.like[k]
	if !known {
		read = access.Direct(c.r, c.p, id, access.Read)
		c.like[k] = read
	}
	return read
}

// readable is the second check for one object.
func (l *lens) readable(r graph.Reader, p *graph.Principal, id graph.ObjectID) bool {
	if access.Direct(r, p, id, access.Read) {
		return true
	}
	l.disagree(id)
	return false
}

func (l *lens) disagree(id graph.ObjectID) {
	l.metrics.disagreed.Inc()
	l.refused(id)
}
