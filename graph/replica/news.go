package replica

import "sync"

// news tells who waits and who watches that a replica changed.
type news struct {
	closed chan struct{}

	mu       sync.Mutex
	changed  chan struct{} // closed at the next change; nil while nobody waits
	watchers []*watcher    // copied on write, so that tell calls them outside the lock
	gone     bool
}

type watcher struct{ fn func() }

// next gives a channel that is closed at the next change.
func (n *news) next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changed == nil {
		n.changed = make(chan struct{})
	}
	return n.changed
}

func (n *news) watch(fn func()) (stop func()) {
	w := &watcher{fn}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watchers = append(n.watchers[:len(n.watchers):len(n.watchers)], w)
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		kept := make([]*watcher, 0, len(n.watchers))
		for _, other := range n.watchers {
			if other != w {
				kept = append(kept, other)
			}
		}
		n.watchers = kept
	}
}

// tell wakes who waits and calls who watches. The caller holds no lock.
func (n *news) tell() {
	n.mu.Lock()
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
	watchers := n.watchers
	n.mu.Unlock()
	for _, w := range watchers {
		w.fn()
	}
}

// end closes the replica, once.
func (n *news) end() {
	n.mu.Lock()
	gone := n.gone
	n.gone = true
	n.mu.Unlock()
	if !gone {
		close(n.closed)
		n.tell()
	}
}
