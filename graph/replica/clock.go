package replica

import "github.com/graphtide/graphtide/graph"

// clock holds the nodes of which something is known, in the order in which they
// are looked at for eviction: one that was used since the hand passed it last is
// passed over once more.
type clock struct {
	nodes []*node
	hand  int
}

func (k *clock) add(n *node) {
	if n.clockAt < 0 {
		n.clockAt = int32(len(k.nodes))
		k.nodes = append(k.nodes, n)
	}
}

func (k *clock) remove(n *node) {
	if n.clockAt < 0 {
		return
	}
	last := len(k.nodes) - 1
	k.nodes[n.clockAt] = k.nodes[last]
	k.nodes[n.clockAt].clockAt = n.clockAt
	k.nodes[last] = nil
	k.nodes = k.nodes[:last]
	n.clockAt = -1
}

// evict moves the hand over so many nodes, and forgets those that are neither
// pinned nor were used since it passed them last, until bytes have been freed.
// It gives how many nodes it forgot.
func (c *core) evict(steps int, bytes int64, pinned func(graph.ObjectID) bool) (evicted int) {
	if c.complete && len(c.clock.nodes) > 0 {
		// From here on what is not held is unknown. All types are known so far.
		c.complete = false
	}
	goal := c.bytes - bytes
	k := &c.clock
	for ; steps > 0 && c.bytes > goal && len(k.nodes) > 0; steps-- {
		if k.hand >= len(k.nodes) {
			k.hand = 0
			c.evictTypes()
			if len(k.nodes) == 0 {
				break
			}
		}
		n := k.nodes[k.hand]
		switch {
		case n.used.Load():
			n.used.Store(false)
			k.hand++
		case pinned(n.id):
			k.hand++
		default:
			c.forget(n)
			evicted++
		}
	}
	return evicted
}

// forget makes everything about a node unknown. It may stay as a stand-in.
func (c *core) forget(n *node) {
	for i := range n.sets {
		set := &n.sets[i]
		for _, l := range set.links {
			l.far.refs--
			c.bytes -= linkBytes
			if l.far == n || !l.far.hasEdge(l.edge, !set.in) {
				c.dropEdge(l.edge)
			}
			if l.far != n {
				c.prune(l.far)
			}
		}
	}
	n.sets = nil
	c.clearObject(n)
	if n.typ != nil && !n.typ.known {
		c.dropMember(n)
	}
	n.has = 0
	c.clock.remove(n)
	c.prune(n)
}

// evictTypes forgets which objects are of a type where nobody asked since the
// last time: the stand-ins of objects that were evicted go.
func (c *core) evictTypes() {
	for name, t := range c.types {
		if t.used.Swap(false) || !t.known {
			continue
		}
		t.known = false
		for i := len(t.nodes) - 1; i >= 0; i-- {
			if n := t.nodes[i]; n.has&knows == 0 {
				c.dropMember(n)
				c.prune(n)
			}
		}
		if len(t.nodes) == 0 {
			delete(c.types, name)
		}
	}
}
