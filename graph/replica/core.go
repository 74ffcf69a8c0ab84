package replica

import (
	"sync/atomic"

	"github.com/graphtide/graphtide/graph"
)

// core is what a replica holds of a graph, at one version. The whole graph, and
// then it is complete, or those units that somebody asked for and that have not
// been evicted. What is held is right at the version; what is not held is
// unknown, which is not the same as absent. Its owner locks it: what changes it
// needs the write lock, what reads it the read lock.
type core struct {
	head     graph.Head
	complete bool
	nodes    map[graph.ObjectID]*node
	edges    map[graph.EdgeID]*graph.Edge // those in some set of a node
	types    map[string]*members
	objects  int   // nodes with an object
	bytes    int64 // about what all of it takes
	clock    clock
}

// members are the objects of one type that are held, and while it is known which
// objects are of the type, stand-ins for those that were evicted.
type members struct {
	known bool
	used  atomic.Bool // asked for since the clock looked last
	nodes []*node     // in no order
}

// node is what is known of one id: the object with its adjacency. One slice
// holds the few edge sets of both directions: a map per object would cost more
// than the object. A node of which nothing is known stands at the far end of a
// link, or in the list of its type.
type node struct {
	id      graph.ObjectID
	obj     *graph.Object // nil where there is none, or it is unknown
	typ     *members      // whose list it is in, or nil
	sets    []edgeSet
	refs    int32 // links that have this node at their far end
	typePos int32 // in typ.nodes
	clockAt int32 // in clock.nodes, -1 where nothing is known
	has     knowledge
	used    atomic.Bool // asked for since the clock passed
}

// knowledge says what is known of a node, beside the single sets of arriving
// edges that are.
type knowledge uint8

const (
	knows    knowledge = 1 << iota // the object, or its absence, and all edges that leave it
	knowsIn                        // all edges that arrive at it
	noEdge                         // that no edge has this id
	arriving                       // it has come with the piece that is being taken in
)

// use notes that somebody needs the node. Most nodes in use are marked already,
// and a look is cheaper than a write that other processors must hear of.
func (n *node) use() {
	if !n.used.Load() {
		n.used.Store(true)
	}
}

// set gives the edge set of a label and direction, or nil.
func (n *node) set(label string, in bool) *edgeSet {
	for i := range n.sets {
		if s := &n.sets[i]; s.in == in && s.label == label {
			return s
		}
	}
	return nil
}

// ensure is set, made where there is none.
func (n *node) ensure(label string, in bool) *edgeSet {
	if set := n.set(label, in); set != nil {
		return set
	}
	n.sets = append(n.sets, edgeSet{label: label, in: in})
	return &n.sets[len(n.sets)-1]
}

// holds reports whether all edges of a label ("" for every label) and direction
// are known.
func (n *node) holds(label string, in bool) bool {
	if !in {
		return n.has&knows != 0
	}
	if n.has&knowsIn != 0 {
		return true
	}
	set := n.set(label, true)
	return set != nil && set.known && label != ""
}

// knowsAnything reports whether the node is more than a stand-in.
func (n *node) knowsAnything() bool {
	if n.has != 0 {
		return true
	}
	for i := range n.sets {
		if n.sets[i].known {
			return true
		}
	}
	return false
}

// leaves counts the edges that leave the object.
func (n *node) leaves() int { return n.count("", false) }

func (n *node) count(label string, in bool) int {
	count := 0
	for i := range n.sets {
		if set := &n.sets[i]; set.in == in && (label == "" || set.label == label) {
			count += len(set.links)
		}
	}
	return count
}

// What things take beside their bodies, roughly: with their place in maps.
const (
	nodeBytes   = 180
	objectBytes = 260
	edgeBytes   = 260
	linkBytes   = 24
)

func newCore(complete bool) *core {
	return &core{
		complete: complete,
		nodes:    make(map[graph.ObjectID]*node),
		edges:    make(map[graph.EdgeID]*graph.Edge),
		types:    make(map[string]*members),
	}
}

// node gives the node of an id, made where there is none. What is made in a
// complete core is about to be an object: all of it is known.
func (c *core) node(id graph.ObjectID) *node {
	n := c.nodes[id]
	if n == nil {
		n = &node{id: id, clockAt: -1}
		c.nodes[id] = n
		c.bytes += nodeBytes
		if c.complete {
			c.learn(n, knows|knowsIn)
		}
	}
	return n
}

// learn notes that more of a node is known.
func (c *core) learn(n *node, has knowledge) {
	n.has |= has
	c.clock.add(n)
	n.used.Store(true)
}

// prune takes a node out that says nothing.
func (c *core) prune(n *node) {
	if n.refs > 0 || n.typ != nil || n.has != 0 || len(n.sets) > 0 {
		return
	}
	c.clock.remove(n)
	delete(c.nodes, n.id)
	c.bytes -= nodeBytes
}

// typeOf gives the list of a type, made where there is none.
func (c *core) typeOf(typ string) *members {
	t := c.types[typ]
	if t == nil {
		t = &members{known: c.complete}
		c.types[typ] = t
	}
	return t
}

// setObject puts an object into its node, in the place of the one before.
func (c *core) setObject(n *node, o *graph.Object) {
	if n.obj != nil {
		c.bytes += int64(len(o.Body) - len(n.obj.Body))
	} else {
		c.bytes += objectBytes + int64(len(o.Body))
		c.objects++
	}
	n.obj = o
	t := c.typeOf(o.Type)
	if n.typ == t {
		return
	}
	c.dropMember(n)
	n.typ, n.typePos = t, int32(len(t.nodes))
	t.nodes = append(t.nodes, n)
}

// clearObject takes the object out of its node, which stays a member of its
// type.
func (c *core) clearObject(n *node) {
	if n.obj == nil {
		return
	}
	c.bytes -= objectBytes + int64(len(n.obj.Body))
	c.objects--
	n.obj = nil
}

func (c *core) dropMember(n *node) {
	t := n.typ
	if t == nil {
		return
	}
	last := len(t.nodes) - 1
	t.nodes[n.typePos] = t.nodes[last]
	t.nodes[n.typePos].typePos = n.typePos
	t.nodes[last] = nil
	t.nodes = t.nodes[:last]
	n.typ = nil
}

// link puts an edge into a set of one of its ends, or into the place of the one
// between the same ends.
func (c *core) link(n, far *node, e *graph.Edge, in bool) {
	if old := c.edges[e.ID]; old == nil {
		c.bytes += edgeBytes + int64(len(e.Body))
	} else if old != e {
		c.bytes += int64(len(e.Body) - len(old.Body))
	}
	c.edges[e.ID] = e
	if n.ensure(e.Label, in).put(link{e, far}) {
		far.refs++
		c.bytes += linkBytes
	}
}

// unlink takes an edge out of a set of one of its ends, where it is in.
func (c *core) unlink(n, far *node, e *graph.Edge, in bool) {
	set := n.set(e.Label, in)
	if set == nil || !set.remove(e) {
		return
	}
	far.refs--
	c.bytes -= linkBytes
	if len(set.links) == 0 && !set.known {
		n.dropSet(set)
	}
}

func (n *node) dropSet(set *edgeSet) {
	last := len(n.sets) - 1
	*set = n.sets[last]
	n.sets[last] = edgeSet{}
	n.sets = n.sets[:last]
}

// hasEdge reports whether an edge is in the node's set of that direction.
func (n *node) hasEdge(e *graph.Edge, in bool) bool {
	set := n.set(e.Label, in)
	if set == nil {
		return false
	}
	i := set.find(set.far(e))
	return i >= 0 && set.links[i].edge.ID == e.ID
}

func (c *core) dropEdge(e *graph.Edge) {
	if held := c.edges[e.ID]; held != nil {
		delete(c.edges, e.ID)
		c.bytes -= edgeBytes + int64(len(held.Body))
	}
}

// putObject adds an object, or puts it in the place of the one with its id, in a
// complete core.
func (c *core) putObject(o *graph.Object) { c.setObject(c.node(o.ID), o) }

// putEdge adds an edge to those sets of its ends that are known, or puts it in
// the place of the one with its id.
func (c *core) putEdge(e *graph.Edge) {
	from, to := c.nodes[e.From], c.nodes[e.To]
	if from != nil && from.holds(e.Label, false) {
		if to == nil {
			to = c.node(e.To)
		}
		c.link(from, to, e, false)
	}
	if to != nil && to.holds(e.Label, true) {
		if from == nil {
			from = c.node(e.From)
		}
		c.link(to, from, e, true)
	}
	if n := c.nodes[graph.ObjectID(e.ID)]; n != nil && n.has&noEdge != 0 {
		n.has &^= noEdge
		c.settle(n)
	}
}

// removeEdge takes an edge out of the sets that it is in.
func (c *core) removeEdge(e *graph.Edge) {
	from, to := c.nodes[e.From], c.nodes[e.To]
	if from != nil && to != nil {
		c.unlink(from, to, e, false)
		c.unlink(to, from, e, true)
	}
	c.dropEdge(e)
	if from != nil {
		c.prune(from)
	}
	if to != nil && to != from {
		c.prune(to)
	}
}

// removeObject notes that an object is no more; its edges are out already.
func (c *core) removeObject(id graph.ObjectID) {
	n := c.nodes[id]
	if n == nil {
		return
	}
	c.dropMember(n)
	c.forget(n)
	if !c.complete {
		c.learn(c.node(id), knows|knowsIn) // it is absent, and no edge is at it
	}
}

// settle keeps the clock true after something of a node is known no longer.
func (c *core) settle(n *node) {
	if !n.knowsAnything() {
		c.clock.remove(n)
	}
	c.prune(n)
}
