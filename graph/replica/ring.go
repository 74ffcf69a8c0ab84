package replica

import (
	"slices"

	"github.com/graphtide/graphtide/graph"
)

// ring keeps the newest commits, oldest first and without gaps, up to a number
// and a weight. Its owner locks it.
type ring struct {
	commits []*graph.Commit // commits[start:] are held; what is before it is nil
	start   int
	weight  int
	limit   int // commits
	bytes   int // weight
}

func (r *ring) push(c *graph.Commit) {
	r.commits = append(r.commits, c)
	r.weight += weigh(c)
	for n := len(r.commits) - r.start; n > 1 && (n > r.limit || r.weight > r.bytes); n-- {
		r.weight -= weigh(r.commits[r.start])
		r.commits[r.start] = nil
		r.start++
	}
	// Moving the rest down once it is the smaller half costs one step a push.
	if r.start > len(r.commits)/2 {
		n := copy(r.commits, r.commits[r.start:])
		clear(r.commits[n:])
		r.commits, r.start = r.commits[:n], 0
	}
}

// last gives the newest commit, or nil.
func (r *ring) last() *graph.Commit {
	if r.start == len(r.commits) {
		return nil
	}
	return r.commits[len(r.commits)-1]
}

// since gives the commits after v of a log whose head is at head.
func (r *ring) since(v, head graph.Version) ([]*graph.Commit, bool) {
	n := int64(head) - int64(v)
	if n < 0 || n > int64(len(r.commits)-r.start) {
		return nil, false
	}
	if n == 0 {
		return nil, true
	}
	return slices.Clone(r.commits[len(r.commits)-int(n):]), true
}

func (r *ring) clear() {
	r.commits, r.start, r.weight = nil, 0, 0
}

// weigh estimates the memory that a commit alone keeps: its patches and the
// states before it. What came after belongs to the next commit, or to the state.
func weigh(c *graph.Commit) int {
	const perCommit, perChange = 400, 250
	w := perCommit + len(c.Asked) + len(c.Done)
	for i := range c.Changes {
		ch := &c.Changes[i]
		w += perChange + len(ch.Patch)
		if ch.ObjBefore != nil {
			w += len(ch.ObjBefore.Body)
		}
		if ch.EdgeBefore != nil {
			w += len(ch.EdgeBefore.Body)
		}
	}
	return w
}
