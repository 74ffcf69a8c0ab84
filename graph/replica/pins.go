package replica

import (
	"sync"

	"github.com/graphtide/graphtide/graph"
)

// pins counts who needs an object to stay.
type pins struct {
	mu     sync.Mutex
	counts map[graph.ObjectID]int32
}

func (p *pins) hold(ids []graph.ObjectID) {
	if len(ids) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counts == nil {
		p.counts = make(map[graph.ObjectID]int32)
	}
	for _, id := range ids {
		p.counts[id]++
	}
}

func (p *pins) release(ids []graph.ObjectID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		if p.counts[id]--; p.counts[id] <= 0 {
			delete(p.counts, id)
		}
	}
}

// has is called with mu held.
func (p *pins) has(id graph.ObjectID) bool { return p.counts[id] > 0 }
