package fanout

import (
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// book is how a view's answer comes about: which lists are followed from which
// objects, what each of them shows, and how many lists show an object. It is
// kept up to date with commits at a cost that depends on what these change and
// not on how much the view shows.
//
// An object is in the view while a list shows it; a list is followed while
// something asks for it: a root, or an object that another list shows. Both are
// counted. Counts alone would leak where a list can ask for itself, on the cycles
// of an endless repeat; there sweep looks at what hangs together. A step that
// repeats a number of times counts by the levels left, which only fall along a
// cycle.
//
// A book runs ahead of what its view has published. Where an update meets
// something that the replica does not hold, it leaves out what hangs on that,
// and is called again with the same changes and more: what it did stays done.
// An update that could not be done makes the book void, but for telling what the
// index knows of it.
type book struct {
	proj  *graph.Projection
	hops  []*hop
	types []string // those that a type root takes
	shown map[graph.ObjectID]int32
	// rights are the objects on which the rights to read others rest.
	rights map[graph.ObjectID]struct{}
	begun  int                         // how many rights there were when the book was new
	named  map[graph.ObjectID]struct{} // as roots
	void   bool                        // see above

	filter replica.Filter
	seats  int // of all lists
	adds   []ask
	drops  []ask
	loose  []*visit // lists of endless repeats that lost one who asked for them
	closed []*visit // lists that wait for what they are made of
	reader reading
	fault  *graph.Error

	// gather has what a new book shows; nil once it has been taken.
	gather *gathered
	// changed is what was touched since the view took it.
	changed changes
}

// needs reports whether changes of an object concern the view, beside whether
// it shows it.
func (b *book) needs(id graph.ObjectID) bool {
	if _, ok := b.rights[id]; ok {
		return true
	}
	_, ok := b.named[id]
	return ok
}

// ask is somebody asking for a list to be followed, or no longer.
type ask struct {
	hop    *hop
	id     graph.ObjectID
	levels int
	again  bool // as a further level of the step
}

// reading is what a book reads from, for one update.
type reading struct {
	src    replica.Source
	judge  *judge
	limits graph.Limits
	// missed counts what the source was asked for and does not hold; nil where
	// the whole answer is dropped if there is such a thing.
	missed func() int
}

// misses gives the reading's count.
func (r *reading) misses() int {
	if r.missed == nil {
		return 0
	}
	return r.missed()
}

type gathered struct {
	objects []*graph.Object
	edges   []*graph.Edge
}

// changes are the entities that an update may have brought into a view or taken
// out of it, and the lists that are followed since, or no longer.
type changes struct {
	objects map[graph.ObjectID]struct{}
	edges   map[graph.EdgeID]tie
	lists   map[listID]int8 // 1: opened, -1: closed
	rights  []graph.ObjectID
	roots   bool
	judged  map[graph.ObjectID]bool // whose rights the grounds do not know yet
}

// listID names a list of a book.
type listID struct {
	hop  *hop
	from graph.ObjectID
}

// tie says between what an edge is shown.
type tie struct {
	label    string
	from, to graph.ObjectID
}

func (c *changes) nothing() bool {
	return len(c.objects)+len(c.edges)+len(c.lists)+len(c.rights)+len(c.judged) == 0 && !c.roots
}

func (b *book) reset() {
	b.changed = changes{objects: map[graph.ObjectID]struct{}{}, edges: map[graph.EdgeID]tie{}, lists: map[listID]int8{}, judged: map[graph.ObjectID]bool{}}
}

// newBook evaluates a projection; room is about how much it may show.
func newBook(proj *graph.Projection, types []string, r reading, room int) (*book, *graph.Error) {
	b := &book{
		proj: proj, hops: hopsOf(proj), types: types, reader: r,
		shown: make(map[graph.ObjectID]int32, room), rights: r.judge.rights, gather: &gathered{},
		named: map[graph.ObjectID]struct{}{},
	}
	for _, id := range proj.Roots {
		b.named[id] = struct{}{}
	}
	b.reset()
	b.adds = append(b.adds, ask{hop: b.hops[0]})
	b.run()
	if b.fault == nil && len(b.shown) > r.limits.ViewEntities {
		b.fault = viewTooLarge(r.limits.ViewEntities)
	}
	if b.fault != nil {
		return nil, b.fault
	}
	b.reader, b.begun = reading{}, len(b.rights)
	return b, nil
}

// overgrown reports whether so many rights have been added that most are, perhaps,
// of no account any more: they are not taken out one by one.
func (b *book) overgrown() bool { return len(b.rights) > 2*b.begun+rightsRoom }

const rightsRoom = 1024

// answer gives what a new book shows; it may be asked for once.
func (b *book) answer() *replica.Result {
	res := &replica.Result{Roots: b.roots(), Objects: b.gather.objects, Edges: b.gather.edges}
	if len(b.hops) > 2 { // two lists may show one edge
		seen := make(map[graph.EdgeID]struct{}, len(res.Edges))
		res.Edges = slices.DeleteFunc(res.Edges, func(e *graph.Edge) bool {
			_, again := seen[e.ID]
			seen[e.ID] = struct{}{}
			return again
		})
	}
	b.gather = nil
	return res
}

func viewTooLarge(limit int) *graph.Error {
	return graph.TooLarge("viewEntities", int64(limit), "objects and edges in one view; ask for less, with where or limit")
}

// run follows all that was asked for, and what that asks for, and then gives up
// what nobody asks for any more: in this order, so that what moves from one list
// to another is not taken apart and built again.
//
// On a cycle that nothing leads to any more, a step that repeats a number of
// times is given up level by level. Where that takes more than beginning anew
// would, the update is given up instead.
func (b *book) run() {
	left := workRoom + workPerSeat*len(b.hops)*(b.seats+len(b.shown))
	for b.fault == nil {
		if left--; left < 0 && b.gather == nil {
			b.fault = errTooMuchWork
			return
		}
		switch {
		case len(b.adds) > 0:
			for i := 0; i < len(b.adds) && b.fault == nil; i++ { // breadth first: see visit.byLevels
				b.support(b.adds[i], 1)
				left--
			}
			b.adds = b.adds[:0]
		case len(b.drops) > 0:
			last := b.drops[len(b.drops)-1]
			b.drops = b.drops[:len(b.drops)-1]
			b.support(last, -1)
		case len(b.loose) > 0:
			b.sweep()
		default:
			return
		}
	}
}

// What an update may do before it is given up, in asks.
const (
	workRoom    = 100_000
	workPerSeat = 8
)

// errTooMuchWork is never told: the projection is evaluated anew.
var errTooMuchWork = graph.Errf(graph.CodeInternal, "an update takes more than beginning anew")

// support counts that a list is asked for once more, or once less.
func (b *book) support(a ask, by int32) {
	v := a.hop.visits[a.id]
	if v == nil {
		if by < 0 {
			return
		}
		v = &visit{hop: a.hop, from: a.id, levels: -1}
		a.hop.visits[a.id] = v
		v.levels = v.count(a.levels, a.again, by)
		b.note(v, 1)
		b.open(v)
		return
	}
	was := v.levels
	now := v.count(a.levels, a.again, by)
	v.levels = now
	switch {
	case now < 0:
		b.close(v, was)
	case now != was:
		// What is reached from here may be followed further than before, or less.
		v.each(func(s seat) bool {
			if now > 0 {
				b.adds = append(b.adds, ask{v.hop, s.id, less(now), true})
			}
			if was > 0 {
				b.drops = append(b.drops, ask{v.hop, s.id, less(was), true})
			}
			return true
		})
	case by < 0 && now == endless && v.first == 0:
		b.loose = append(b.loose, v)
	}
}

// note tells the index of a list.
func (b *book) note(v *visit, by int8) {
	if b.gather != nil {
		return // a new book is told of whole
	}
	id := listID{v.hop, v.from}
	if b.changed.lists[id] += by; b.changed.lists[id] == 0 {
		delete(b.changed.lists, id)
	}
}

// close gives a list up that nobody asks for.
func (b *book) close(v *visit, levels int) {
	delete(v.hop.visits, v.from)
	v.levels = -1
	b.note(v, -1)
	v.each(func(s seat) bool { b.hide(v, s, levels); return true })
}

// show notes that a list shows an object.
func (b *book) show(v *visit, s seat, o *graph.Object, e *graph.Edge) {
	n := b.shown[s.id]
	b.shown[s.id] = n + 1
	b.seats++
	if b.gather != nil {
		if n == 0 {
			b.gather.objects = append(b.gather.objects, o)
		}
		if e != nil {
			b.gather.edges = append(b.gather.edges, e)
		}
		// An edge is in at most one list of each hop.
		if limit := b.reader.limits.ViewEntities; len(b.shown) > limit || b.seats > limit*len(b.hops) {
			b.fault = viewTooLarge(limit)
			return
		}
	} else {
		if n == 0 {
			b.changed.objects[s.id] = struct{}{}
		}
		b.tie(v, s)
	}
	for _, h := range v.hop.subs {
		b.adds = append(b.adds, ask{h, s.id, h.levels, false})
	}
	if v.levels > 0 {
		b.adds = append(b.adds, ask{v.hop, s.id, less(v.levels), true})
	}
}

// hide notes that a list, which had levels left, no longer shows an object.
func (b *book) hide(v *visit, s seat, levels int) {
	n := b.shown[s.id] - 1
	b.seats--
	if n > 0 {
		b.shown[s.id] = n
	} else {
		delete(b.shown, s.id)
		b.changed.objects[s.id] = struct{}{}
	}
	b.tie(v, s)
	for _, h := range v.hop.subs {
		b.drops = append(b.drops, ask{h, s.id, h.levels, false})
	}
	if levels > 0 {
		b.drops = append(b.drops, ask{v.hop, s.id, less(levels), true})
	}
}

func (b *book) tie(v *visit, s seat) {
	switch step := v.hop.step; {
	case step == nil:
		b.changed.roots = true
	case step.In:
		b.changed.edges[s.edge] = tie{step.Label, s.id, v.from}
	default:
		b.changed.edges[s.edge] = tie{step.Label, v.from, s.id}
	}
}

// showsEdge reports whether a list shows an edge.
func (b *book) showsEdge(id graph.EdgeID, t tie) bool {
	for _, h := range b.hops[1:] {
		if h.step.Label != t.label {
			continue
		}
		near, far := t.from, t.to
		if h.step.In {
			near, far = far, near
		}
		if v := h.visits[near]; v != nil {
			if e, ok := v.shows(far); ok && e == id {
				return true
			}
		}
	}
	return false
}

// roots gives the roots shown: in the order named, or in that of the list, or
// by id. The caller may keep the slice.
func (b *book) roots() []graph.ObjectID {
	v := b.hops[0].visits[graph.ObjectID{}]
	if v == nil {
		return nil
	}
	var ids []graph.ObjectID
	if b.proj.Type == nil {
		for _, id := range b.proj.Roots {
			if _, ok := v.shows(id); ok {
				ids = append(ids, id)
			}
		}
		return ids
	}
	v.each(func(s seat) bool { ids = append(ids, s.id); return true })
	if len(b.proj.Type.Order) == 0 {
		sortIDs(ids)
	}
	return ids
}
