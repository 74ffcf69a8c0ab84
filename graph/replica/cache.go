package replica

import (
	"context"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// Cache is a second level that nodes share, and that may lose, mix up or keep
// too long whatever it is given: nothing that comes from it is believed before
// the log has been asked. Put waits for a cache that is slow, Get for no longer than
// a request may; both return at once where it is dead. It judges that itself, by
// signs of life.
type Cache interface {
	// Get gives the values of keys, in their order; nil for one that is not
	// there, or that could not be had. Waited is for how long the request has
	// waited for the cache already, total with what this Get adds to it.
	Get(ctx context.Context, keys []string, waited time.Duration) (values [][]byte, total time.Duration)
	// Put keeps values for a while. It reports whether they got there; where not,
	// it is worth trying again a while later.
	Put(ctx context.Context, keys []string, values [][]byte) bool
}

// fromCache looks units up in the second level. It gives what of it is right at
// a version that the replica has reached, and the units to ask the store for:
// what was not found, and the objects that what was found names and that are
// neither held nor found. It notes for how long that was waited for.
func (r *Replica) fromCache(ctx context.Context, f *flight, head graph.Head, list []unit) (found []*piece, rest []unit) {
	if r.set.cfg.Cache == nil {
		return nil, list
	}
	p := &piece{}
	p.Head.Epoch = head.Epoch
	rest = r.lookUp(ctx, f, p, list)
	// Edges that arrive and types name objects that are asked for next.
	var named units
	r.mu.RLock()
	name := func(id graph.ObjectID) {
		if u := objectUnit(id); !r.core.holds(u) {
			named.add(u)
		}
	}
	for _, ids := range p.members {
		for _, id := range ids {
			name(id)
		}
	}
	have := map[unit]bool{}
	for _, u := range p.units {
		have[u] = true
	}
	for _, e := range p.Edges {
		if have[inUnit(e.To, e.Label)] {
			name(e.From)
		}
	}
	r.mu.RUnlock()
	far := named.list[:0:0]
	for _, u := range named.list {
		if !have[u] {
			far = append(far, u)
		}
	}
	if len(far) > 0 {
		rest = append(rest, r.lookUp(ctx, f, p, far)...)
	}
	if len(p.units) == 0 {
		return nil, rest
	}
	return []*piece{p}, rest
}

// lookUp adds to p what the second level has and the log confirms, and gives the
// units that are missing.
func (r *Replica) lookUp(ctx context.Context, f *flight, p *piece, list []unit) (missing []unit) {
	m := r.set.metrics
	asked, keys := make([]unit, 0, len(list)), make([]string, 0, len(list))
	for _, u := range list {
		if cacheable(u) {
			asked, keys = append(asked, u), append(keys, entryKey(r.key, p.Head.Epoch, u))
		} else {
			missing = append(missing, u)
		}
	}
	if len(asked) == 0 {
		return missing
	}
	var entries []*cached
	var found [][]byte
	found, f.waited = r.set.cfg.Cache.Get(ctx, keys, f.waited)
	for i, text := range found {
		if text == nil {
			missing = append(missing, asked[i])
			continue
		}
		e, err := parseEntry(text, r.key, p.Head.Epoch, asked[i])
		if err != nil {
			m.rejected.Inc()
			missing = append(missing, asked[i])
			continue
		}
		entries = append(entries, e)
	}
	hits := 0
	at := r.confirmable(ctx, entries)
	for _, e := range entries {
		if e.stamp > at || !r.trail.untouched(e.unit, e.stamp) {
			missing = append(missing, e.unit)
			continue
		}
		hits++
		p.add(e)
		if at-e.stamp > trailReach/2 {
			r.dirty.add(r.set, false, e.unit) // stamped anew, before it is too old
		}
	}
	// What was confirmed up to a later version was right at an earlier one too,
	// but what was confirmed earlier may have been touched since: the piece keeps
	// the earlier, and is brought forward from there.
	if p.Head.Version == 0 || at < p.Head.Version {
		p.Head.Version = at
	}
	m.units.WithLabelValues(levelRedis, "hit").Add(float64(hits))
	m.units.WithLabelValues(levelRedis, "miss").Add(float64(len(asked) - hits))
	return missing
}

// confirmable makes the trail reach back to the stamps of entries, as far as it
// may, and gives the version up to which it can confirm them: the replica's,
// which is brought up to the newest stamp first.
func (r *Replica) confirmable(ctx context.Context, entries []*cached) graph.Version {
	ctx, cancel := context.WithTimeout(ctx, flightTime)
	defer cancel()
	head := r.Head().Version
	for _, e := range entries {
		if e.stamp > head {
			// Another node was ahead; or somebody lies, and then the store tells.
			_ = r.CatchUp(ctx) // where it fails the entry counts as a miss
			break
		}
	}
	r.mu.RLock()
	head = r.core.head.Version
	r.trail.begin(head)
	r.mu.RUnlock()
	oldest := head
	for _, e := range entries {
		if e.stamp >= head-trailReach {
			oldest = min(oldest, e.stamp)
		}
	}
	if err := r.trail.reach(ctx, r, oldest); err != nil && ctx.Err() == nil {
		r.set.cfg.Log.Debug("the second level cannot be judged by the log", "graph", r.name, "since", oldest, "err", err)
	}
	return head
}

// add takes a confirmed entry in.
func (p *piece) add(e *cached) {
	p.units = append(p.units, e.unit)
	if e.object != nil {
		p.Objects = append(p.Objects, e.object)
	}
	p.Edges = append(p.Edges, e.edges...)
	if e.unit.kind == unitType {
		if p.members == nil {
			p.members = map[string][]graph.ObjectID{}
		}
		p.members[e.unit.label] = e.ids
	}
}
