package replica

import (
	"context"
	"sync"
	"time"

	"github.com/graphtide/graphtide/graph"
)

const (
	// writePause is how long units that were loaded wait before they are written
	// to the second level; changed ones wait so many times as long, as they may
	// change again.
	writePause   = 200 * time.Millisecond
	changedTicks = 15
	// writePauseMost is the longest pause after a write that failed.
	writePauseMost = 5 * time.Second
	// writeUnits and writeBytes bound one write.
	writeUnits = 256
	writeBytes = 1 << 20
	// maxDirty bounds what the queues of all replicas take, and dirtyBytes is what
	// a unit takes there.
	maxDirty   = 128 << 20
	dirtyBytes = 128
)

// dirty holds the units of a replica that the second level does not have as they
// are: loaded from the store, or changed since. They are written a little later,
// in batches, by whoever holds them then; nobody waits for it. What could not be
// written stays here until it could. Where more wait than may, the new ones are
// forgotten: an entry that was not written is a miss, and an old one is told by
// its stamp.
type dirty struct {
	mu      sync.Mutex // guards the fields below
	loaded  units
	changed units
	all     bool // all that a large graph held when it grew large was noted
	ended   bool // the graph is no more
}

func (d *dirty) add(s *Set, changed bool, list ...unit) {
	if s.cfg.Cache == nil || len(list) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return
	}
	into := &d.loaded
	if changed {
		into = &d.changed
	}
	for _, u := range list {
		if !cacheable(u) || into.knows(u) {
			continue
		}
		if s.dirty.Load() >= s.maxDirty {
			s.metrics.dropped.Inc()
			continue
		}
		s.dirty.Add(dirtyBytes)
		into.add(u)
	}
}

func (d *dirty) clear(s *Set) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clearLocked(s)
}

func (d *dirty) clearLocked(s *Set) {
	s.dirty.Add(-dirtyBytes * int64(len(d.loaded.list)+len(d.changed.list)))
	d.loaded, d.changed, d.all = units{}, units{}, false
}

// end clears it for good.
func (d *dirty) end(s *Set) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clearLocked(s)
	d.ended = true
}

// ripen makes the changed units ready to be written.
func (d *dirty) ripen(s *Set) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range d.changed.list {
		if d.loaded.knows(u) {
			s.dirty.Add(-dirtyBytes)
			continue
		}
		d.loaded.add(u)
	}
	d.changed = units{}
}

// take gives the units to be written next.
func (d *dirty) take(s *Set) []unit {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.loaded.take(writeUnits)
	s.dirty.Add(-dirtyBytes * int64(len(list)))
	return list
}

// noteLoaded notes what has come from the store.
func (r *Replica) noteLoaded(p *piece) {
	if r.set.cfg.Cache == nil {
		return
	}
	r.dirty.add(r.set, false, p.units...)
	all := make([]unit, len(p.Objects))
	for i, o := range p.Objects {
		all[i] = objectUnit(o.ID)
	}
	r.dirty.add(r.set, false, all...)
}

// noteChanged notes what a commit changed of what is held. A graph that is small
// enough to be read whole needs no second level. The caller holds mu.
func (r *Replica) noteChanged(c *graph.Commit) {
	if r.set.cfg.Cache == nil || r.core.complete && r.core.objects+len(r.core.edges) <= r.set.cfg.Eager {
		return
	}
	if r.core.complete && !r.dirty.all {
		r.dirty.all = true // written under mu alone
		r.dirty.add(r.set, false, r.core.everything()...)
	}
	for i := range c.Changes {
		f := graph.FootOf(c.Version, &c.Changes[i])
		touchedUnits(&f, func(u unit) {
			if r.core.holds(u) {
				r.dirty.add(r.set, true, u)
			}
		})
	}
}

// everything gives the units of a complete core that say something.
func (c *core) everything() []unit {
	var list []unit
	for typ := range c.types {
		list = append(list, typeUnit(typ))
	}
	for id, n := range c.nodes {
		list = append(list, objectUnit(id))
		for i := range n.sets {
			if n.sets[i].in {
				list = append(list, inUnit(id, n.sets[i].label))
			}
		}
	}
	return list
}

// writeLoop writes to the second level what waits for it. Where that fails it
// tries again after a pause that grows.
func (s *Set) writeLoop(ctx context.Context) {
	ticker := time.NewTicker(writePause)
	defer ticker.Stop()
	pause, skip := 0, 0 // ticks
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if n%changedTicks == 0 {
			s.ripen()
		}
		if skip > 0 {
			skip--
			continue
		}
		if s.write(ctx) {
			pause = 0
			continue
		}
		pause = min(2*pause+1, int(writePauseMost/writePause))
		skip = pause
	}
}

func (s *Set) ripen() {
	for _, r := range s.Opened() {
		r.dirty.ripen(s)
	}
}

// write writes what is ready, of all replicas; false where the second level did
// not take it.
func (s *Set) write(ctx context.Context) bool {
	for _, r := range s.Opened() {
		for {
			list := r.dirty.take(s)
			if len(list) == 0 {
				break
			}
			for len(list) > 0 {
				n, keys, values := r.entries(list)
				if len(keys) > 0 && (ctx.Err() != nil || !s.cfg.Cache.Put(ctx, keys, values)) {
					r.dirty.add(s, false, list...)
					return false
				}
				list = list[n:]
			}
		}
	}
	return true
}

// finish writes all that waits, for as long as ctx lasts and the second level
// takes it.
func (s *Set) finish(ctx context.Context) {
	s.ripen()
	if !s.write(ctx) {
		lost := s.dirty.Load() / dirtyBytes
		s.metrics.dropped.Add(float64(lost))
		s.cfg.Log.Warn("the second level did not take all that this node held; the next start reads it from the store", "parts", lost)
	}
}

// entries puts the first n units of a list, those that are held, into the words
// of the second level.
func (r *Replica) entries(list []unit) (n int, keys []string, values [][]byte) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for bytes := 0; n < len(list) && bytes < writeBytes; n++ {
		u := list[n]
		if r.core.holds(u) {
			keys = append(keys, entryKey(r.key, r.core.head.Epoch, u))
			values = append(values, r.core.appendEntry(nil, r.key, u))
			bytes += len(values[len(values)-1])
		}
	}
	return n, keys, values
}
