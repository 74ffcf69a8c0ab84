package replica

import (
	"math"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
)

// Result is a projection's answer. Objects and Edges are sorted by id, without
// repeats. Roots has those shown: in the order named, or in the order of the
// type root's list (by id, where it has none).
type Result struct {
	Roots   []graph.ObjectID
	Objects []*graph.Object
	Edges   []*graph.Edge
}

// Types answers which types count as a type: itself and all below it; nil for
// an unknown one.
type Types interface{ Subtypes(name string) []string }

// Source is what Evaluate walks: a State, or the state at an older version.
type Source interface {
	graph.Reader
	OfType(typ string, yield func(*graph.Object) bool)
}

// Evaluate computes a projection as p may see it: unreadable objects are
// neither shown nor walked through, nor are their edges. rights judges the
// present state where src is an older one ("the past is judged by today's
// rights"; see Past), else it is src. Named roots that are absent or unreadable
// are left out without a word. CodeTooLarge over lim.ViewEntities or
// lim.Candidates, of which only what p may read counts.
func Evaluate(src Source, rights graph.Reader, types Types, p *graph.Principal, proj *graph.Projection, lim graph.Limits) (*Result, *graph.Error) {
	w := &walk{src: src}
	walker := access.NewWalker(rights, p, nil)
	switch {
	case rights != graph.Reader(src):
		w.mayRead = func(o *graph.Object, _ *graph.Edge) bool { return walker.Holds(o.ID, access.Read) }
	case p.Admin:
		w.mayRead = func(*graph.Object, *graph.Edge) bool { return true }
	default:
		w.mayRead = (&reading{walker: walker}).mayRead
	}
	return w.run(types, proj, lim)
}

// EvaluateAs is Evaluate with the question of rights left to the caller: mayRead
// is asked about every object before anything else is, and may be asked again.
func EvaluateAs(src Source, mayRead func(graph.ObjectID) bool, types Types, proj *graph.Projection, lim graph.Limits) (*Result, *graph.Error) {
	w := &walk{src: src, mayRead: func(o *graph.Object, _ *graph.Edge) bool { return mayRead(o.ID) }}
	return w.run(types, proj, lim)
}

func (w *walk) run(types Types, proj *graph.Projection, lim graph.Limits) (*Result, *graph.Error) {
	w.lim, w.seen = lim.WithDefaults(), map[visit]int{}
	w.bound = w.lim.ViewEntities
	if err := w.roots(types, proj); err != nil {
		return nil, err
	}
	return w.finish()
}

// finish follows all that was asked for, and what that asks for.
func (w *walk) finish() (*Result, *graph.Error) {
	for len(w.queue) > 0 {
		t := w.queue[0]
		w.queue = w.queue[1:]
		if err := w.follow(t); err != nil {
			return nil, err
		}
	}
	if err := w.settle(); err != nil {
		return nil, err
	}
	return &w.result, nil
}

// endless is a repeat of `true`.
const endless = math.MaxInt

// visit names the following of one step from one object. A graph with cycles
// has no more of them than objects times steps, so that a walk ends.
type visit struct {
	from graph.ObjectID
	step *graph.Step
}

// task is a visit to be made, with the levels that the step may still repeat.
type task struct {
	visit
	levels int
}

type walk struct {
	src     Source
	mayRead func(o *graph.Object, only *graph.Edge) bool // only: o's one outbound edge, or nil
	lim     graph.Limits
	result  Result
	seen    map[visit]int // the most levels with which a visit was asked for
	queue   []task        // breadth first, so that a visit is rarely asked for with more levels later
	list    list          // reused from visit to visit
	bound   int           // entities gathered, repeats included, at which to count again
}

func (w *walk) roots(types Types, proj *graph.Projection) *graph.Error {
	if proj.Type == nil {
		for _, id := range proj.Roots {
			if o := w.src.Object(id); o != nil && w.mayRead(o, nil) {
				w.root(o, &proj.Node)
			}
		}
		return w.checkSize()
	}
	l := w.list.start(&proj.Type.List, &w.lim)
	for _, typ := range types.Subtypes(proj.Type.Type) {
		w.src.OfType(typ, func(o *graph.Object) bool {
			return !w.mayRead(o, nil) || l.offer(o, nil)
		})
	}
	members, err := l.window()
	if err != nil {
		return err
	}
	for _, m := range members {
		w.root(m.obj, &proj.Node)
	}
	if len(proj.Type.Order) == 0 {
		w.result.Roots = sortByID(w.result.Roots, func(id graph.ObjectID) [16]byte { return id })
	}
	return w.checkSize()
}

func (w *walk) root(o *graph.Object, node *graph.Node) {
	w.result.Roots = append(w.result.Roots, o.ID)
	w.result.Objects = append(w.result.Objects, o)
	for _, s := range node.Steps {
		w.visit(o.ID, s, levelsOf(s))
	}
}

func levelsOf(s *graph.Step) int {
	if s.Repeat < 0 {
		return endless
	}
	return s.Repeat
}

// visit asks for a step to be followed from an object, unless that was asked
// for already with as many levels.
func (w *walk) visit(from graph.ObjectID, s *graph.Step, levels int) {
	v := visit{from, s}
	if most, ok := w.seen[v]; ok && most >= levels {
		return
	}
	w.seen[v] = levels
	w.queue = append(w.queue, task{v, levels})
}

// reacher is a Source that gives the objects along with the edges, and tells
// whether the edge is the one outbound edge of the object reached.
type reacher interface {
	reach(id graph.ObjectID, label string, in bool, yield func(e *graph.Edge, far *graph.Object, only bool) bool)
}

func (w *walk) reach(id graph.ObjectID, label string, in bool, yield func(e *graph.Edge, far *graph.Object, only bool) bool) {
	if src, ok := w.src.(reacher); ok {
		src.reach(id, label, in, yield)
		return
	}
	along, far := w.src.Out, func(e *graph.Edge) graph.ObjectID { return e.To }
	if in {
		along, far = w.src.In, func(e *graph.Edge) graph.ObjectID { return e.From }
	}
	along(id, label, func(e *graph.Edge) bool {
		o := w.src.Object(far(e))
		return o == nil || yield(e, o, false)
	})
}

func (w *walk) follow(t task) *graph.Error {
	l := w.list.start(&t.step.List, &w.lim)
	w.reach(t.from, t.step.Label, t.step.In, func(e *graph.Edge, far *graph.Object, isOnly bool) bool {
		var only *graph.Edge
		if isOnly {
			only = e
		}
		return !w.mayRead(far, only) || l.offer(far, e)
	})
	members, err := l.window()
	if err != nil {
		return err
	}
	for _, m := range members {
		w.reached(t, m)
	}
	return w.checkSize()
}

// reached adds an object that a task shows, and asks for what is to be followed
// from it.
func (w *walk) reached(t task, m member) {
	w.result.Objects = append(w.result.Objects, m.obj)
	w.result.Edges = append(w.result.Edges, m.edge)
	for _, s := range t.step.Steps {
		w.visit(m.obj.ID, s, levelsOf(s))
	}
	switch t.levels {
	case 0:
	case endless:
		w.visit(m.obj.ID, t.step, endless)
	default:
		w.visit(m.obj.ID, t.step, t.levels-1)
	}
}

// checkSize refuses a result that has grown too large. Repeats are cleared away
// only when there are as many entities as the limit allows, again.
func (w *walk) checkSize() *graph.Error {
	if len(w.result.Objects)+len(w.result.Edges) <= w.bound {
		return nil
	}
	return w.settle()
}

// settle sorts the result, takes repeats out, and counts.
func (w *walk) settle() *graph.Error {
	r := &w.result
	r.Objects = sortByID(r.Objects, func(o *graph.Object) [16]byte { return o.ID })
	r.Edges = sortByID(r.Edges, func(e *graph.Edge) [16]byte { return e.ID })
	n := len(r.Objects) + len(r.Edges)
	if n > w.lim.ViewEntities {
		return viewTooLarge(w.lim.ViewEntities)
	}
	w.bound = n + w.lim.ViewEntities
	return nil
}

func viewTooLarge(limit int) *graph.Error {
	return graph.TooLarge("viewEntities", int64(limit), "objects and edges in one view; ask for less, with where or limit")
}
