package access

import (
	"sync"

	"github.com/graphtide/graphtide/graph"
)

// interned shares parsed ACLs between objects: a workbook of 10,000 records has
// one or two texts.
var interned = cache{perGeneration: 4096, maxText: 4096}

// cache has two generations. A full young one becomes the old one, and what was
// old and not asked for is forgotten: bounded, without bookkeeping per use.
type cache struct {
	perGeneration int
	maxText       int // longer texts are not kept

	mu         sync.RWMutex // guards the fields below
	young, old map[string]*graph.ACL
}

func (c *cache) get(text []byte) *graph.ACL {
	c.mu.RLock()
	acl, fresh := c.young[string(text)]
	if !fresh {
		acl = c.old[string(text)]
	}
	c.mu.RUnlock()
	if acl != nil && !fresh {
		c.put(acl)
	}
	return acl
}

func (c *cache) put(acl *graph.ACL) {
	if len(acl.Raw) > c.maxText {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= c.perGeneration {
		c.young, c.old = make(map[string]*graph.ACL), c.young
	}
	c.young[string(acl.Raw)] = acl
}
