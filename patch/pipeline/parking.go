package pipeline

import (
	"context"
	"maps"
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// inlineMisses is how often a mutation may miss something when it is to be
// settled before the sequencer waits for the load: until then it is sent back,
// and others go first.
const inlineMisses = 3

// parking knows who is parked: the mutations that wait for something to be
// loaded, and behind them those that must not overtake them, of the same session
// or with the same key. When it is there the whole lot goes to the front of the
// queue, in its order. Guarded by sequencer.mu.
type parking struct {
	sessions map[string]*lot
	keys     map[graph.MutationKey]*lot
	lots     int
}

// lot is what is parked for one load.
type lot struct {
	list []*waiting
	gone bool // they are back in the queue
}

// snapshot gives a parking that does not change; nil where nobody is parked.
func (s *sequencer) snapshot() *parking {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parked.lots == 0 {
		return nil
	}
	return &parking{sessions: maps.Clone(s.parked.sessions), keys: maps.Clone(s.parked.keys)}
}

// of gives the lot that a mutation must not overtake, or nil.
func (p *parking) of(w *waiting) *lot {
	if p == nil {
		return nil
	}
	if l := p.sessions[w.m.Session]; l != nil && w.m.Session != "" {
		return l
	}
	if w.keyed {
		return p.keys[w.key()]
	}
	return nil
}

func (p *parking) add(l *lot, w *waiting) {
	if p.sessions == nil {
		p.sessions, p.keys = map[string]*lot{}, map[graph.MutationKey]*lot{}
	}
	l.list = append(l.list, w)
	p.sessions[w.m.Session], p.keys[w.key()] = l, l
}

// apart tells, within one placement, who has to wait for somebody that missed
// something.
type apart struct {
	sessions map[string]bool
	keys     map[graph.MutationKey]bool
}

func (a *apart) waitsFor(w *waiting) bool {
	return w.m.Session != "" && a.sessions[w.m.Session] || w.keyed && a.keys[w.key()]
}

func (a *apart) hold(w *waiting) {
	if a.sessions == nil {
		a.sessions, a.keys = map[string]bool{}, map[graph.MutationKey]bool{}
	}
	a.sessions[w.m.Session], a.keys[w.key()] = true, true
}

// park takes those out of the batch that wait for something to be loaded, begins
// the load, and gives the rest.
func (s *sequencer) park(batch []*waiting, placed *placement) (rest []*waiting) {
	if len(placed.missed)+len(placed.behind) == 0 {
		return batch
	}
	out := make(map[*waiting]bool, len(placed.missed)+len(placed.behind))
	made := &lot{}
	s.mu.Lock()
	for _, b := range placed.behind {
		out[b.w] = true
		if l := b.lot; !l.gone {
			s.parked.add(l, b.w)
		} else { // it has come back meanwhile
			at := slices.Index(s.queue, l.list[len(l.list)-1]) + 1
			s.queue = slices.Insert(s.queue, at, b.w)
			l.list = append(l.list, b.w)
			s.rouse()
		}
	}
	for _, w := range placed.missed {
		out[w] = true
		s.parked.add(made, w)
	}
	if len(made.list) > 0 {
		s.parked.lots++
	}
	s.mu.Unlock()
	for _, w := range batch {
		if !out[w] {
			rest = append(rest, w)
		}
	}
	if len(made.list) == 0 {
		return rest
	}
	reading := placed.missing
	placed.missing = nil
	s.loads.Go(func() {
		ctx, cancel := context.WithTimeout(s.p.ctx, s.p.cfg.Patience)
		defer cancel()
		// A fault shows again when they are settled: for the third time the
		// sequencer itself waits for the load.
		_ = reading.Load(ctx)
		s.unpark(made)
	})
	return rest
}

// unpark puts a lot back into the queue, in front.
func (s *sequencer) unpark(l *lot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range l.list {
		if s.parked.sessions[w.m.Session] == l {
			delete(s.parked.sessions, w.m.Session)
		}
		if s.parked.keys[w.key()] == l {
			delete(s.parked.keys, w.key())
		}
	}
	s.parked.lots--
	l.gone = true
	s.queue = append(slices.Clone(l.list), s.queue...)
	s.rouse()
}

// rouse wakes the sequencer. The caller holds mu.
func (s *sequencer) rouse() {
	if s.closed {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// unparked waits for what is parked once nothing new comes; false where nothing
// was.
func (s *sequencer) unparked() bool {
	s.mu.Lock()
	some := s.parked.lots > 0
	s.mu.Unlock()
	s.loads.Wait()
	return some
}

// sharedRead ends a Reading when all whom it loaded for have their outcome.
type sharedRead struct {
	reading *replica.Reading
	left    int
}

// share gives each of these a share in a Reading.
func share(reading *replica.Reading, list []*waiting) {
	l := &sharedRead{reading, len(list)}
	for _, w := range list {
		w.loaded = append(w.loaded, l)
	}
}

func (l *sharedRead) leave() {
	if l.left--; l.left == 0 {
		l.reading.End()
	}
}
