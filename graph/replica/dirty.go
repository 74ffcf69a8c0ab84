package replica

import (
	"context"
	"sync"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// dirty holds the units of a replica that the second level does not have as they
// are: loaded from the store, or changed since. They are written a little later,
// in batches, by whoever holds them then; nobody waits for it. Where more wait
// than may, they are forgotten: an entry that was not written is a miss, and an
// old one is told by its stamp.
type dirty struct {
	mu      sync.Mutex // guards the fields below
	loaded  units
	changed units
	all     bool // all that a large graph held when it grew large was noted
}

func (d *dirty) add(s *Set, changed bool, list ...unit) {
	if s.cfg.Cache == nil || len(list) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	into, limit := &d.loaded, maxDirty
	if changed {
		into, limit = &d.changed, maxChanged
	}
	for _, u := range list {
		if !cacheable(u) {
			continue
		}
		if len(into.list) >= limit {
			s.metrics.dropped.Inc()
			continue
		}
		into.add(u)
	}
}

func (d *dirty) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.loaded, d.changed, d.all = units{}, units{}, false
}

func (d *dirty) take(changed bool) []unit {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.loaded.list
	d.loaded = units{}
	if changed {
		list = append(list, d.changed.list...)
		d.changed = units{}
	}
	return list
}

// noteLoaded notes what has come from the store.
func (r *Replica) noteLoaded(list []unit, objects []*graph.Object) {
	if r.set.cfg.Cache == nil {
		return
	}
	r.dirty.add(r.set, false, list...)
	all := make([]unit, len(objects))
	for i, o := range objects {
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

// writeLoop writes to the second level what waits for it.
func (s *Set) writeLoop(ctx context.Context) {
	ticker := time.NewTicker(writePause)
	defer ticker.Stop()
	for tick := 1; ; tick++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s.write(ctx, tick%changedTicks == 0)
	}
}

// write writes what waits, of all replicas.
func (s *Set) write(ctx context.Context, changed bool) {
	for _, r := range s.Opened() {
		r.write(ctx, r.dirty.take(changed))
	}
}

func (r *Replica) write(ctx context.Context, list []unit) {
	for len(list) > 0 {
		n := min(len(list), writeBatch)
		keys, values := r.entries(list[:n])
		if len(keys) > 0 && (ctx.Err() != nil || !r.set.cfg.Cache.Put(ctx, keys, values)) {
			r.set.metrics.dropped.Add(float64(len(list)))
			return
		}
		list = list[n:]
	}
}

// entries puts those units that are held into the words of the second level.
func (r *Replica) entries(list []unit) (keys []string, values [][]byte) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, u := range list {
		if r.core.holds(u) {
			keys = append(keys, entryKey(r.key, r.core.head.Epoch, u))
			values = append(values, r.core.appendEntry(nil, r.key, u))
		}
	}
	return keys, values
}
