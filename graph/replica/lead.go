package replica

import (
	"sync"

	"github.com/graphtide/graphtide/graph"
)

// lead is word of those who are about to bring the next commits themselves. The
// follower need not read the same ones for a hint.
type lead struct {
	mu    sync.Mutex // guards the fields below
	count int
	upto  graph.Version // the newest version that was hinted at meanwhile
}

// Lead says that the caller is about to read the log to its head and to Apply
// what it finds. Until end is called, hints do not make the follower read it as
// well; what they told of and the caller did not bring, the follower reads then.
func (r *Replica) Lead() (end func()) {
	l := &r.lead
	l.mu.Lock()
	l.count++
	l.mu.Unlock()
	return sync.OnceFunc(func() {
		l.mu.Lock()
		l.count--
		missed := l.count == 0 && l.upto > r.Head().Version
		if l.count == 0 {
			l.upto = 0
		}
		l.mu.Unlock()
		if missed {
			r.wake()
		}
	})
}

// leaves reports whether a hint of version v is left to who leads.
func (l *lead) leaves(v graph.Version) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == 0 {
		return false
	}
	l.upto = max(l.upto, v)
	return true
}
