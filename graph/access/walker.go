package access

import "github.com/graphtide/graphtide/graph"

// Walker answers many questions of one principal over one state, and remembers.
//
// It asks from the top down: does the object, or with n edges left any object
// that an entry inherits from, give the right? For each (object, right) it
// remembers the fewest edges known to suffice and the most known not to. So a
// cycle ends when no edges are left, and no object is looked at more than
// MaxInherit+1 times for a right, however densely they inherit.
type Walker struct {
	r       graph.Reader
	p       *graph.Principal
	touched func(graph.ObjectID)
	memo    map[question]bounds
}

type question struct {
	id    graph.ObjectID
	right string
}

// bounds are what is known of one question: it is granted with `yes` edges or
// more left, and not granted with `no` or fewer.
type bounds struct{ yes, no int }

var unknown = bounds{yes: MaxInherit + 1, no: -1}

// NewWalker makes a Walker. touched, if not nil, is called with every object
// whose access or edges were consulted, at least once.
func NewWalker(r graph.Reader, p *graph.Principal, touched func(graph.ObjectID)) *Walker {
	if touched == nil {
		touched = func(graph.ObjectID) {}
	}
	return &Walker{r: r, p: p, touched: touched, memo: map[question]bounds{}}
}

// Holds is Direct, remembered.
func (w *Walker) Holds(id graph.ObjectID, right string) bool {
	if w.p.Admin {
		return w.r.Object(id) != nil
	}
	return w.holds(id, right, MaxInherit)
}

// Rights gives the rights held out of those asked, in order.
func (w *Walker) Rights(id graph.ObjectID, among []string) []string {
	var out []string
	for _, right := range among {
		if w.Holds(id, right) {
			out = append(out, right)
		}
	}
	return out
}

// holds answers with at most left edges to follow.
func (w *Walker) holds(id graph.ObjectID, right string, left int) bool {
	if !w.implied(id, Read, left) {
		return false
	}
	return right == Read || w.implied(id, right, left)
}

// implied is granted, or manage is.
func (w *Walker) implied(id graph.ObjectID, right string, left int) bool {
	return w.granted(id, right, left) || right != Manage && w.granted(id, Manage, left)
}

// granted looks at the entry of this one right.
func (w *Walker) granted(id graph.ObjectID, right string, left int) bool {
	q := question{id, right}
	known, ok := w.memo[q]
	if !ok {
		known = unknown
	}
	switch {
	case left >= known.yes:
		return true
	case left <= known.no:
		return false
	}
	granted, final := w.look(id, right, left)
	switch {
	case final && left == MaxInherit:
		// Asked for itself, and answered by itself: as quickly found out again as
		// looked up, and thousands of such are asked about once each.
		return granted
	case granted && final:
		known.yes = 0
	case granted:
		known.yes = left
	case final:
		known.no = MaxInherit
	default:
		known.no = left
	}
	w.memo[q] = known
	return granted
}

// look consults the object; final tells that the answer does not depend on how
// many edges are left.
func (w *Walker) look(id graph.ObjectID, right string, left int) (granted, final bool) {
	w.touched(id)
	o := w.r.Object(id)
	if o == nil {
		return false, true
	}
	h := o.Access.Rights[right]
	switch {
	case h == nil:
		return false, true
	case names(h, w.p):
		return true, true
	case len(h.Inherit) == 0:
		return false, true
	}
	edges := false
	for _, label := range h.Inherit {
		w.r.Out(id, label, func(e *graph.Edge) bool {
			edges = true
			granted = left > 0 && w.holds(e.To, right, left-1)
			return !granted && left > 0
		})
		if granted {
			return true, false
		}
	}
	if edges {
		return false, false
	}
	return isUser(w.p, o.Meta.CreatedBy), true
}

// names reports whether the holders name the principal. Anonymous ones are
// public alone.
func names(h *graph.Holders, p *graph.Principal) bool {
	if h.Public {
		return true
	}
	if p.Anonymous {
		return false
	}
	if p.User != "" && h.Users[p.User] || p.Org != "" && h.Orgs[p.Org] {
		return true
	}
	for _, team := range p.Teams {
		if h.Teams[team] {
			return true
		}
	}
	return false
}

func isUser(p *graph.Principal, user string) bool {
	return !p.Anonymous && p.User != "" && p.User == user
}
