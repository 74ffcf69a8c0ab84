package replica

import (
	"context"
	"hash/maphash"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/graphtide/graphtide/graph"
)

const (
	// trailReach is how many commits back an entry of the second level may be
	// stamped and still be trusted, once nothing has touched it since.
	trailReach = 100_000
	// maxTrail bounds the units remembered: some 30 MB.
	maxTrail = 600_000
)

// trail remembers which units a stretch of the log touched last, and when. The
// stretch ends at the replica's version. It begins where somebody needed it, and
// is read from the log once; from then on Apply keeps it up. Units stand in it
// by a hash: two that share one look touched when the other is, which costs a
// load and nothing else.
type trail struct {
	reading singleflight.Group

	mu   sync.Mutex // guards the fields below
	seed maphash.Seed
	on   bool
	from graph.Version // the commits after from are in
	to   graph.Version
	gone graph.Version // the log does not reach back to here
	era  int
	last map[uint64]graph.Version
}

func (t *trail) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on, t.last, t.gone = false, nil, 0
	t.era++
}

// follow adds a commit. The caller holds the replica's lock.
func (t *trail) follow(c *graph.Commit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.on {
		return
	}
	for i := range c.Changes {
		f := graph.FootOf(c.Version, &c.Changes[i])
		t.add(&f)
	}
	t.to = c.Version
	if len(t.last) > maxTrail {
		t.shorten()
	}
}

// add notes what was touched. The caller holds mu.
func (t *trail) add(f *graph.Foot) {
	touchedUnits(f, func(u unit) {
		if h := maphash.Comparable(t.seed, u); t.last[h] < f.Version {
			t.last[h] = f.Version
		}
	})
}

// shorten forgets the older half of the stretch.
func (t *trail) shorten() {
	t.from = t.to - (t.to-t.from)/2
	for h, v := range t.last {
		if v <= t.from {
			delete(t.last, h)
		}
	}
}

// begin makes sure that commits are being followed. The caller holds the
// replica's read lock, so that head is its version.
func (t *trail) begin(head graph.Version) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.on {
		t.on, t.from, t.to, t.gone = true, head, head, -1
		t.seed, t.last = maphash.MakeSeed(), map[uint64]graph.Version{}
	}
}

// reach reads back until the commits after since are known, or as far back as
// the log goes.
func (t *trail) reach(ctx context.Context, r *Replica, since graph.Version) error {
	for {
		t.mu.Lock()
		from, on, era, gone := t.from, t.on, t.era, t.gone
		t.mu.Unlock()
		if since <= gone {
			since = gone + (from-gone+1)/2
		}
		if !on || from <= since {
			return nil
		}
		read := t.reading.DoChan("", r.set.held(func() (any, error) { return nil, t.read(r, since, from, era) }))
		select {
		case res := <-read:
			if res.Err != nil {
				return res.Err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (t *trail) read(r *Replica, since, from graph.Version, era int) error {
	var found []graph.Foot
	err := r.set.cfg.Store.Trail(r.set.ctx, r.key, since, from, func(f graph.Foot) { found = append(found, f) })
	t.mu.Lock()
	defer t.mu.Unlock()
	if graph.CodeOf(err) == graph.CodeGone {
		t.gone = max(t.gone, since) // the caller tries the half of it
		return nil
	}
	if err != nil {
		return err
	}
	if t.era != era || !t.on || t.from != from {
		return nil // the caller looks again
	}
	for i := range found {
		t.add(&found[i])
	}
	t.from = since
	return nil
}

// untouched reports whether it is known that nothing has touched a unit since a
// version, up to the trail's end.
func (t *trail) untouched(u unit, since graph.Version) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.on && (since >= t.to || since >= t.from && t.last[maphash.Comparable(t.seed, u)] <= since)
}
