package postprocess

import (
	"sync"

	"github.com/graphtide/graphtide/graph"
)

// waitingPerRule is how many runs of one rule wait in this process; more are
// left in the table.
const waitingPerRule = 256

// scheduler gives the process's slots to runs, fairly by rule: a rule has at
// most half of the slots that the others leave, so that however many of the
// rules have handlers that hang, the next one finds a free slot.
//
// Who offers a run does not know whether it may start: that is the claim's
// affair. A run keeps its slot for as long as its handler needs it; that its end
// is written down need not keep the next one waiting, and as many as there are
// slots may be at that.
type scheduler struct {
	slots   int
	start   func(ref graph.RunRef, vacate func()) // in a goroutine of its own; vacate gives the slot up early
	drained func()                                // fewer wait than there are slots, and some were turned away

	mu      sync.Mutex // guards the fields below
	busy    int
	ending  int // runs that gave their slot up and have not ended
	rules   map[lane]*laneState
	ready   []lane // rules with something waiting, in turn
	waiting int
	known   map[string]bool // runs that are here: true where they run, false where they wait
	held    map[string]bool // runs that a slot is kept for: true where they were offered meanwhile
	refused bool            // a run was turned away since the last drained
	free    chan struct{}   // closed when a slot is free; nil while nobody waits
	closed  bool
	running sync.WaitGroup
}

// lane is a rule of a graph, for the sharing of slots.
type lane struct {
	graph graph.GraphKey
	rule  string
}

type laneState struct {
	busy    int
	waiting []graph.RunRef
	inTurn  bool
}

func newScheduler(slots int, start func(graph.RunRef, func()), drained func()) *scheduler {
	return &scheduler{
		slots: slots, start: start, drained: drained,
		rules: map[lane]*laneState{}, known: map[string]bool{}, held: map[string]bool{},
	}
}

// room is what a scheduler has for a run.
type room int

const (
	roomTaken room = iota // the run has a slot
	roomWaits             // it waits here already
	roomRule              // its rule has all it may have
	roomNone              // all slots are taken
)

// now starts the run if a slot is free at once.
func (s *scheduler) now(ref graph.RunRef) room {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.here(ref) {
		return map[bool]room{true: roomTaken, false: roomWaits}[s.known[ref.Run]]
	}
	st, found := s.find(ref)
	if found == roomTaken {
		s.begin(ref, st)
	}
	return found
}

// find looks for a free slot. The caller holds mu.
func (s *scheduler) find(ref graph.RunRef) (*laneState, room) {
	if s.closed || s.busy >= s.slots {
		return nil, roomNone
	}
	st := s.lane(ref)
	if st.busy >= s.share(st) || len(st.waiting) > 0 {
		return nil, roomRule
	}
	return st, roomTaken
}

// here reports whether the run is here already. The caller holds mu.
func (s *scheduler) here(ref graph.RunRef) bool {
	if _, kept := s.held[ref.Run]; kept {
		s.held[ref.Run] = true
	}
	_, ok := s.known[ref.Run]
	return ok
}

// hold keeps a free slot for a run that is about to be made, until begin or drop;
// false where there is none.
func (s *scheduler) hold(ref graph.RunRef) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.here(ref) {
		return false
	}
	st, found := s.find(ref)
	if found != roomTaken {
		return false
	}
	s.take(ref, st)
	s.held[ref.Run] = false
	return true
}

// started has a run use the slot that was kept for it; fn is what start is to others.
func (s *scheduler) started(ref graph.RunRef, fn func(ref graph.RunRef, vacate func())) {
	s.mu.Lock()
	delete(s.held, ref.Run)
	s.mu.Unlock()
	go s.serve(ref, fn)
}

// drop gives up a slot that was kept. A run that was offered meanwhile has its turn.
func (s *scheduler) drop(ref graph.RunRef) {
	s.mu.Lock()
	offered := s.held[ref.Run]
	delete(s.held, ref.Run)
	s.mu.Unlock()
	s.end(ref, false)
	s.running.Done()
	if offered {
		s.offer(ref)
	}
}

// freed gives a channel that is closed when a slot is free again.
func (s *scheduler) freed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free == nil {
		s.free = make(chan struct{})
	}
	return s.free
}

// offer starts the run now or when it is its turn; false where too many wait.
func (s *scheduler) offer(ref graph.RunRef) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.here(ref) {
		return true
	}
	st := s.lane(ref)
	if len(st.waiting) >= waitingPerRule {
		s.refused = true
		return false
	}
	st.waiting = append(st.waiting, ref)
	s.known[ref.Run] = false
	s.waiting++
	s.line(ref, st)
	s.fill()
	return true
}

// waits reports whether the run waits here for its turn.
func (s *scheduler) waits(ref graph.RunRef) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	runs, ok := s.known[ref.Run]
	return ok && !runs
}

// left notes that runs stay in the table for want of room here.
func (s *scheduler) left() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = true
}

func (s *scheduler) lane(ref graph.RunRef) *laneState {
	k := lane{ref.Graph, ref.Rule}
	st := s.rules[k]
	if st == nil {
		st = &laneState{}
		s.rules[k] = st
	}
	return st
}

// share is how many slots a rule may have now: half of those that the others
// leave, and one at the least. The caller holds mu.
func (s *scheduler) share(st *laneState) int {
	return max(1, (s.slots-(s.busy-st.busy))/2)
}

// line puts a rule into the turn; the caller holds mu.
func (s *scheduler) line(ref graph.RunRef, st *laneState) {
	if !st.inTurn && len(st.waiting) > 0 {
		st.inTurn = true
		s.ready = append(s.ready, lane{ref.Graph, ref.Rule})
	}
}

// fill gives free slots away, one to each rule in turn; those that have their
// share keep their place. The caller holds mu.
func (s *scheduler) fill() {
	passed := 0
	for s.busy < s.slots && passed < len(s.ready) && !s.closed {
		k := s.ready[0]
		s.ready = s.ready[1:]
		st := s.rules[k]
		if st.busy >= s.share(st) {
			s.ready = append(s.ready, k)
			passed++
			continue
		}
		passed = 0
		st.inTurn = false
		ref := st.waiting[0]
		st.waiting = st.waiting[1:]
		s.waiting--
		s.begin(ref, st)
		s.line(ref, st)
	}
}

// begin starts a run; the caller holds mu.
func (s *scheduler) begin(ref graph.RunRef, st *laneState) {
	s.take(ref, st)
	go s.serve(ref, s.start)
}

// take takes a slot; the caller holds mu.
func (s *scheduler) take(ref graph.RunRef, st *laneState) {
	s.busy++
	st.busy++
	s.known[ref.Run] = true
	s.running.Add(1)
}

// serve runs what has a slot.
func (s *scheduler) serve(ref graph.RunRef, fn func(ref graph.RunRef, vacate func())) {
	defer s.running.Done()
	var vacated bool
	fn(ref, func() { vacated = vacated || s.vacate(ref) })
	s.end(ref, vacated)
}

// vacate gives a run's slot to others; false where too many are ending already.
func (s *scheduler) vacate(ref graph.RunRef) bool {
	s.mu.Lock()
	if s.ending >= s.slots {
		s.mu.Unlock()
		return false
	}
	s.ending++
	s.release(ref)
	return true
}

func (s *scheduler) end(ref graph.RunRef, vacated bool) {
	s.mu.Lock()
	delete(s.known, ref.Run)
	if vacated {
		s.ending--
		s.mu.Unlock()
		return
	}
	s.release(ref)
}

// release frees the slot of a run. The caller holds mu, and has not when it
// returns.
func (s *scheduler) release(ref graph.RunRef) {
	k := lane{ref.Graph, ref.Rule}
	st := s.rules[k]
	s.busy--
	st.busy--
	s.line(ref, st)
	if st.busy == 0 && len(st.waiting) == 0 {
		delete(s.rules, k)
	}
	s.fill()
	if s.free != nil && s.busy < s.slots {
		close(s.free)
		s.free = nil
	}
	more := s.refused && s.waiting < s.slots
	if more {
		s.refused = false
	}
	s.mu.Unlock()
	if more {
		s.drained()
	}
}

// close starts nothing more and forgets what waits: it stays in the table.
func (s *scheduler) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// wait returns when every run that began has ended.
func (s *scheduler) wait() { s.running.Wait() }
