package fanout

import (
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/internal/sabotage"
)

// judge answers, with p's rights, which objects may be read, and notes what the
// answers rest on beside the objects themselves. Objects that are kin are judged
// once: thousands of records under one parent differ in nothing that rights
// depend on.
type judge struct {
	r      graph.Reader
	p      *graph.Principal
	walker *access.Walker
	kin    map[kin]bool
	alone  map[graph.ObjectID]bool // those judged for themselves, one of each kin among them
	labels map[*graph.ACL][]string // over which the right to read is inherited
	// rights are all objects that those judged inherit from, directly or over
	// others, whether or not the answer needed them: who else may read rests on
	// them too. fresh are those that the judge has found.
	rights map[graph.ObjectID]struct{}
	fresh  []graph.ObjectID
	// missed counts what r was asked for and does not hold; nil where that makes
	// everything void.
	missed func() int
}

// kin is all that the right to read an object rests on, for most objects: its
// access, and the one object that it inherits from, or else its creator.
type kin struct {
	access *graph.ACL
	from   graph.ObjectID
	heir   string
}

// newJudge makes a judge that adds to rights.
func newJudge(r graph.Reader, p *graph.Principal, rights map[graph.ObjectID]struct{}) *judge {
	j := &judge{r: r, p: p, kin: map[kin]bool{}, alone: map[graph.ObjectID]bool{}, labels: map[*graph.ACL][]string{}, rights: rights}
	j.walker = access.NewWalker(r, p, nil)
	return j
}

func (j *judge) mayRead(o *graph.Object) bool {
	if j.p.Admin {
		return true
	}
	if read, known := j.alone[o.ID]; known {
		return read
	}
	k, ok := j.kinOf(o)
	if !ok {
		return j.ask(o)
	}
	read, known := j.kin[k]
	if !known {
		read = j.ask(o)
		j.kin[k] = read
	}
	return read
}

func (j *judge) ask(o *graph.Object) bool {
	missed := 0
	if j.missed != nil {
		missed = j.missed()
	}
	read := j.walker.Holds(o.ID, access.Read) || sabotage.On(sabotage.SkipFirstCheck) || sabotage.On(sabotage.SkipBothChecks)
	j.rest(o)
	if j.missed == nil || j.missed() == missed { // else it will be asked about again
		j.alone[o.ID] = read
	}
	return read
}

// rest notes what the right to read an object rests on. What is known already
// has been followed; where that changes, everything is judged anew.
func (j *judge) rest(o *graph.Object) {
	if len(j.over(o.Access)) == 0 {
		return
	}
	for next := []*graph.Object{o}; len(next) > 0; {
		o := next[len(next)-1]
		next = next[:len(next)-1]
		for _, label := range j.over(o.Access) {
			j.r.Out(o.ID, label, func(e *graph.Edge) bool {
				if _, known := j.rights[e.To]; known {
					return true
				}
				if far := j.r.Object(e.To); far != nil {
					j.rights[e.To] = struct{}{}
					j.fresh = append(j.fresh, e.To)
					next = append(next, far)
				}
				return true
			})
		}
	}
}

// rests reports whether the right to read an object rests on one of those given.
func rests(r graph.Reader, id graph.ObjectID, on map[graph.ObjectID]bool) bool {
	seen := map[graph.ObjectID]bool{id: true}
	for next := []graph.ObjectID{id}; len(next) > 0; {
		id := next[len(next)-1]
		next = next[:len(next)-1]
		if on[id] {
			return true
		}
		o := r.Object(id)
		if o == nil {
			continue
		}
		for _, label := range inheritedOver(o.Access) {
			r.Out(id, label, func(e *graph.Edge) bool {
				if !seen[e.To] {
					seen[e.To] = true
					next = append(next, e.To)
				}
				return true
			})
		}
	}
	return false
}

// over is inheritedOver, remembered.
func (j *judge) over(a *graph.ACL) []string {
	labels, known := j.labels[a]
	if !known {
		if labels = inheritedOver(a); labels != nil { // as quickly found out again
			j.labels[a] = labels
		}
	}
	return labels
}

// kinOf gives the kin of an object; false where it inherits from several.
func (j *judge) kinOf(o *graph.Object) (k kin, ok bool) {
	k.access = o.Access
	labels := j.over(o.Access)
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
		if h := a.Rights[right]; h != nil && len(h.Inherit) > 0 {
			labels = append(labels, h.Inherit...)
		}
	}
	if len(labels) < 2 {
		return labels
	}
	slices.Sort(labels)
	return slices.Compact(labels)
}

func (j *judge) survey() *grounds { return survey(j.r, j.walker, j.p, j.alone) }

// recheck is the second check of rights: by direct evaluation, in code apart
// from that which computed the result. What fails it is taken out.
func (l *lens) recheck(r graph.Reader, p *graph.Principal, res *replica.Result) {
	if p.Admin || sabotage.On(sabotage.SkipBothChecks) {
		return // every right: there is nothing to judge
	}
	c := l.checker(r, p)
	var out map[graph.ObjectID]bool
	for _, o := range res.Objects {
		if !c.passes(o.ID) {
			if out == nil {
				out = map[graph.ObjectID]bool{}
			}
			out[o.ID] = true
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
	lens *lens
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

func (l *lens) checker(r graph.Reader, p *graph.Principal) *checker {
	return &checker{lens: l, r: r, p: p}
}

// passes reports whether an object may go out, and counts where it may not.
func (c *checker) passes(id graph.ObjectID) bool {
	if c.p.Admin || c.readable(id) || sabotage.On(sabotage.SkipBothChecks) {
		return true
	}
	c.lens.disagree(id)
	return false
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
		if c.like == nil {
			c.like = map[likeness]bool{}
		}
		c.like[k] = read
	}
	return read
}

// readable is the second check for one object.
func (l *lens) readable(r graph.Reader, p *graph.Principal, id graph.ObjectID) bool {
	if access.Direct(r, p, id, access.Read) || sabotage.On(sabotage.SkipBothChecks) {
		return true
	}
	l.disagree(id)
	return false
}

func (l *lens) disagree(id graph.ObjectID) {
	l.metrics.disagreed.Inc()
	l.refused(id)
}
